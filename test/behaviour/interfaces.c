/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* The interfaces that libc tells about are those of the network domain. */
#include "net.h"
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/ioctl.h>

static void lookup(const char *name, int flags)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	int err;

	hints.ai_flags = flags;
	err = getaddrinfo(name, "7", &hints, &list);
	if (err) {
		printf("%s: %s\n", name ? name : "any", gai_strerror(err));
		return;
	}
	printf("%s: %s\n", name ? name : "any",
	       inet_ntoa(((struct sockaddr_in *)list->ai_addr)->sin_addr));
	freeaddrinfo(list);
}

/* The older way, in room for @n of them; 0: how much room it takes. */
static void configured(int fd, int n)
{
	struct ifreq list[4];
	struct ifconf c = { .ifc_len = n * (int)sizeof(list[0]), .ifc_req = n ? list : NULL };

	SHOW(ioctl(fd, SIOCGIFCONF, &c));
	printf("%d\n", c.ifc_len / (int)sizeof(list[0]));
	for (int i = 0; n && i < c.ifc_len / (int)sizeof(list[0]); i++)
		printf("%s %s\n", list[i].ifr_name,
		       inet_ntoa(((struct sockaddr_in *)&list[i].ifr_addr)->sin_addr));
	c = (struct ifconf){ .ifc_len = 5, .ifc_req = list };
	SHOW(ioctl(fd, SIOCGIFCONF, &c));
	printf("%d\n", c.ifc_len);
}

static void old_way(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	configured(fd, 0);
	configured(fd, 1);
	configured(fd, 4);
	SHOW(ioctl(fd, SIOCGIFCONF, NULL));
	close(fd);
	t_puts(P("f"), "");
	fd = open(P("f"), O_RDONLY);
	configured(fd, 0);
	close(fd);
}

int main(void)
{
	struct if_nameindex *names;
	struct ifaddrs *list;
	char name[IF_NAMESIZE] = "";

	t_start();
	SHOW(getifaddrs(&list));
	for (struct ifaddrs *i = list; i; i = i->ifa_next) {
		struct sockaddr_in *sa = (struct sockaddr_in *)i->ifa_addr;

		if (sa && sa->sin_family == AF_INET)
			printf("%s %s %s\n", i->ifa_name, inet_ntoa(sa->sin_addr),
			       i->ifa_flags & IFF_UP ? "up" : "down");
	}
	freeifaddrs(list);
	names = if_nameindex();
	CHECK(names);
	for (struct if_nameindex *i = names; i && i->if_name; i++)
		if (!strcmp(i->if_name, "lo"))
			printf("%u %s\n", i->if_index, i->if_name);
	if_freenameindex(names);
	SHOW(if_nametoindex("lo"));
	SHOW(if_nametoindex("none0"));
	SHOW(if_indextoname(1, name) != NULL);
	printf("%s\n", name);
	old_way();
	lookup("127.0.0.1", AI_NUMERICHOST);
	lookup("localhost", 0);
	lookup(NULL, AI_PASSIVE);
	return t_end();
}
