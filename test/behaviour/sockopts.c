/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Socket options: values come back, lengths are kept, timeouts work, wrong ones are refused. */
#include "net.h"
#include <linux/filter.h>

static void get(const char *label, int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, level, name, &value, &len))
		printf("%s: %s\n", label, t_errname(errno));
	else
		printf("%s: %d length %u\n", label, value, len);
}

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

#define GET(fd, level, name) get(#name, fd, level, name)

static void identity(void)
{
	int tcp = socket(AF_INET, SOCK_STREAM, 0);
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP);

	GET(tcp, SOL_SOCKET, SO_TYPE);
	GET(tcp, SOL_SOCKET, SO_DOMAIN);
	GET(tcp, SOL_SOCKET, SO_PROTOCOL);
	GET(tcp, SOL_SOCKET, SO_ACCEPTCONN);
	GET(tcp, SOL_SOCKET, SO_ERROR);
	GET(udp, SOL_SOCKET, SO_TYPE);
	GET(udp, SOL_SOCKET, SO_PROTOCOL);
	close(tcp);
	close(udp);
}

static void values(void)
{
	struct linger linger = { 1, 7 };
	socklen_t len = sizeof(linger);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	SHOW(set(fd, SOL_SOCKET, SO_REUSEADDR, 1));
	GET(fd, SOL_SOCKET, SO_REUSEADDR);
	SHOW(set(fd, SOL_SOCKET, SO_REUSEPORT, 1));
	GET(fd, SOL_SOCKET, SO_REUSEPORT);
	SHOW(set(fd, SOL_SOCKET, SO_KEEPALIVE, 5));
	GET(fd, SOL_SOCKET, SO_KEEPALIVE);
	SHOW(set(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	GET(fd, IPPROTO_TCP, TCP_NODELAY);
	SHOW(set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 33));
	GET(fd, IPPROTO_TCP, TCP_KEEPIDLE);
	SHOW(set(fd, IPPROTO_TCP, TCP_CORK, 1));
	GET(fd, IPPROTO_TCP, TCP_CORK);
	SHOW(set(fd, SOL_SOCKET, SO_SNDBUF, 32768));
	GET(fd, SOL_SOCKET, SO_SNDBUF);
	SHOW(set(fd, SOL_SOCKET, SO_RCVBUF, 32768));
	GET(fd, SOL_SOCKET, SO_RCVBUF);
	SHOW(set(fd, IPPROTO_IP, IP_TTL, 42));
	GET(fd, IPPROTO_IP, IP_TTL);
	SHOW(set(fd, IPPROTO_IP, IP_TOS, 0x10));
	GET(fd, IPPROTO_IP, IP_TOS);
	SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	memset(&linger, 0, sizeof(linger));
	SHOW(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len));
	printf("linger %d %d length %u\n", linger.l_onoff, linger.l_linger, len);
	SHOW(set(fd, SOL_SOCKET, SO_LINGER, 0));
	close(fd);
}

static void lengths(void)
{
	unsigned char raw[256];
	char name[32] = "";
	socklen_t len = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(raw, 0xee, sizeof(raw));
	SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, raw, &len));
	printf("%u %x %x\n", len, raw[0], raw[1]);
	len = 100;
	SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, raw, &len));
	printf("%u\n", len);
	len = 0;
	SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, raw, &len));
	len = (socklen_t)-1;
	SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, raw, &len));
	len = sizeof(struct tcp_info);
	memset(raw, 0, sizeof(raw));
	SHOW(getsockopt(fd, IPPROTO_TCP, TCP_INFO, raw, &len));
	printf("state %d length %u\n", raw[0], len);
	len = sizeof(name);
	SHOW(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len));
	CHECK(strlen(name) > 0);
	SHOW(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	SHOW(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, raw, 1));
	SHOW(set(fd, SOL_SOCKET, 9999, 1));
	SHOW(set(fd, 9999, 1, 1));
	SHOW(set(fd, SOL_SOCKET, SO_TYPE, 1));
	GET(fd, SOL_SOCKET, 9999);
	close(fd);
	GET(fd, SOL_SOCKET, SO_TYPE);
	fd = open(P("f"), O_RDWR | O_CREAT, 0644);
	GET(fd, SOL_SOCKET, SO_TYPE);
	SHOW(set(fd, SOL_SOCKET, SO_REUSEADDR, 1));
	close(fd);
}

static void timeouts(void)
{
	struct timeval tv = { 0, 150000 };
	struct timeval bad = { 0, 5000000 };
	struct timeval minute = { 60, 0 };
	socklen_t len = sizeof(tv);
	struct sockaddr_in sa;
	int64_t start;
	int sv[2];
	int lfd;
	char c;

	net_tcp_pair(sv);
	SHOW(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	memset(&tv, 0, sizeof(tv));
	SHOW(getsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
	/* Kept in ticks: what comes back may be rounded up. */
	CHECK(tv.tv_sec == 0 && tv.tv_usec >= 150000 && tv.tv_usec < 165000);
	start = t_ms();
	SHOW(read(sv[0], &c, 1));
	TOOK(start, 120, 30000);
	MUST(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof(minute)) == 0);
	start = t_ms();
	SHOW(recv(sv[0], &c, 1, MSG_DONTWAIT));
	TOOK(start, 0, 30000);
	MUST(write(sv[1], "x", 1) == 1);
	SHOW(read(sv[0], &c, 1));
	SHOW(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &bad, sizeof(bad)));
	SHOW(setsockopt(sv[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	start = t_ms();
	for (;;) {
		static char chunk[1 << 20];

		if (send(sv[0], chunk, sizeof(chunk), 0) < 0)
			break;
		MUST(t_ms() - start < 10000);
	}
	printf("full: %s\n", t_errname(errno));
	close(sv[0]);
	close(sv[1]);
	lfd = net_listen(&sa);
	MUST(setsockopt(lfd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	start = t_ms();
	TRY(accept(lfd, NULL, NULL));
	TOOK(start, 120, 30000);
	close(lfd);
}

/* A pointer inside the value: the program that it points to must be carried along. */
static void filter(void)
{
	struct sock_filter none[] = { { BPF_RET | BPF_K, 0, 0, 0 } };
	struct sock_fprog prog = { 1, none };
	char c;
	int sv[2];

	net_udp_pair(sv);
	SHOW(setsockopt(sv[1], SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)));
	MUST(send(sv[0], "x", 1, 0) == 1);
	t_sleep_ms(20);
	SHOW(recv(sv[1], &c, 1, MSG_DONTWAIT));
	SHOW(set(sv[1], SOL_SOCKET, SO_DETACH_FILTER, 0));
	MUST(send(sv[0], "y", 1, 0) == 1);
	SHOW(recv(sv[1], &c, 1, 0));
	printf("%c\n", c);
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	t_start();
	identity();
	values();
	lengths();
	timeouts();
	filter();
	return t_end();
}
