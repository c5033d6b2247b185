/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* IPv6 on loopback: TCP, UDP, mapped addresses, V6ONLY, packet info. */
#include "net.h"

static int bound6(int type, struct sockaddr_in6 *sa, bool any)
{
	socklen_t len = sizeof(*sa);
	int fd = socket(AF_INET6, type, 0);

	memset(sa, 0, sizeof(*sa));
	sa->sin6_family = AF_INET6;
	sa->sin6_addr = any ? in6addr_any : in6addr_loopback;
	if (fd < 0 || bind(fd, (struct sockaddr *)sa, sizeof(*sa)))
		t_skip("no IPv6 on the loopback interface");
	MUST(getsockname(fd, (struct sockaddr *)sa, &len) == 0 && len == sizeof(*sa));
	return fd;
}

static void show(const char *label, const struct sockaddr_in6 *sa, socklen_t len)
{
	char text[64];

	inet_ntop(AF_INET6, &sa->sin6_addr, text, sizeof(text));
	printf("%s: family %d address %s length %u\n", label, sa->sin6_family, text, len);
}

static void tcp(void)
{
	struct sockaddr_in6 sa;
	struct sockaddr_in6 peer;
	socklen_t len = sizeof(peer);
	char buf[8] = "";
	int lfd = bound6(SOCK_STREAM, &sa, false);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	int got;

	MUST(listen(lfd, 1) == 0);
	SHOW(connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	got = TRY(accept(lfd, (struct sockaddr *)&peer, &len));
	show("peer", &peer, len);
	SHOW(write(fd, "six", 3));
	SHOW(read(got, buf, 3));
	printf("%s\n", buf);
	close(fd);
	close(got);
	close(lfd);
}

static void udp(void)
{
	struct sockaddr_in6 a;
	struct sockaddr_in6 b;
	struct sockaddr_in6 from;
	struct in6_pktinfo pi;
	char control[128];
	char buf[8];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m = { .msg_name = &from,
			    .msg_namelen = sizeof(from),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	int on = 1;
	int fda = bound6(SOCK_DGRAM, &a, false);
	int fdb = bound6(SOCK_DGRAM, &b, false);

	MUST(setsockopt(fdb, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) == 0);
	SHOW(sendto(fda, "udp6", 4, 0, (struct sockaddr *)&b, sizeof(b)));
	SHOW(recvmsg(fdb, &m, 0));
	show("from", &from, m.msg_namelen);
	CHECK(from.sin6_port == a.sin6_port);
	memcpy(&pi, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(pi));
	printf("interface %u loopback %d\n", pi.ipi6_ifindex,
	       IN6_IS_ADDR_LOOPBACK(&pi.ipi6_addr) != 0);
	close(fda);
	close(fdb);
}

static void mapped(int only)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6 };
	struct sockaddr_in6 peer;
	struct sockaddr_in v4 = net_addr();
	socklen_t len = sizeof(sa);
	int lfd = socket(AF_INET6, SOCK_STREAM, 0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	SHOW(setsockopt(lfd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)));
	MUST(bind(lfd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	MUST(listen(lfd, 1) == 0);
	MUST(getsockname(lfd, (struct sockaddr *)&sa, &len) == 0);
	v4.sin_port = sa.sin6_port;
	if (SHOW(connect(fd, (struct sockaddr *)&v4, sizeof(v4))) == 0) {
		int got;

		len = sizeof(peer);
		got = TRY(accept(lfd, (struct sockaddr *)&peer, &len));
		show("mapped peer", &peer, len);
		close(got);
	}
	close(fd);
	close(lfd);
}

int main(void)
{
	t_start();
	tcp();
	udp();
	mapped(0);
	mapped(1);
	return t_end();
}
