/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* getsockname() and getpeername(): both ends agree, short buffers, nobody there. */
#include "net.h"

static void show(const char *label, int ret, const void *addr, socklen_t len)
{
	const struct sockaddr_in *sa = addr;

	if (ret)
		printf("%s: %s\n", label, t_errname(errno));
	else
		printf("%s: length %u family %d address %s port %s\n", label, len, sa->sin_family,
		       inet_ntoa(sa->sin_addr), sa->sin_port ? "some" : "none");
}

static void truncated(int fd)
{
	unsigned char raw[32];
	socklen_t len;

	for (len = 0; len <= 20; len += 5) {
		socklen_t got = len;

		memset(raw, 0xee, sizeof(raw));
		SHOW(getsockname(fd, (struct sockaddr *)raw, &got));
		printf("%u of %u, next byte %x\n", got, len, raw[len > 16 ? 16 : len]);
		got = len;
		memset(raw, 0xee, sizeof(raw));
		SHOW(getpeername(fd, (struct sockaddr *)raw, &got));
		printf("%u of %u, next byte %x\n", got, len, raw[len > 16 ? 16 : len]);
	}
	len = (socklen_t)-5;
	SHOW(getsockname(fd, (struct sockaddr *)raw, &len));
}

int main(void)
{
	struct sockaddr_in a;
	struct sockaddr_in b;
	socklen_t len = sizeof(a);
	int sv[2];
	int fd;

	t_start();
	net_tcp_pair(sv);
	MUST(getsockname(sv[0], (struct sockaddr *)&a, &len) == 0);
	MUST(getpeername(sv[1], (struct sockaddr *)&b, &len) == 0);
	CHECK(!memcmp(&a, &b, sizeof(a)));
	MUST(getpeername(sv[0], (struct sockaddr *)&a, &len) == 0);
	MUST(getsockname(sv[1], (struct sockaddr *)&b, &len) == 0);
	CHECK(!memcmp(&a, &b, sizeof(a)));
	show("connected", 0, &a, len);
	truncated(sv[0]);
	close(sv[1]);
	net_await(sv[0]);
	len = sizeof(a);
	SHOW(getpeername(sv[0], (struct sockaddr *)&a, &len));
	close(sv[0]);

	fd = socket(AF_INET, SOCK_STREAM, 0);
	len = sizeof(a);
	show("fresh", getsockname(fd, (struct sockaddr *)&a, &len), &a, len);
	show("fresh peer", getpeername(fd, (struct sockaddr *)&a, &len), &a, len);
	/* listen() binds by itself. */
	SHOW(listen(fd, 1));
	show("listening", getsockname(fd, (struct sockaddr *)&a, &len), &a, len);
	close(fd);
	show("closed", getsockname(fd, (struct sockaddr *)&a, &len), &a, len);
	fd = open(P("f"), O_RDONLY | O_CREAT, 0644);
	show("file", getsockname(fd, (struct sockaddr *)&a, &len), &a, len);
	show("file peer", getpeername(fd, (struct sockaddr *)&a, &len), &a, len);
	close(fd);
	return t_end();
}
