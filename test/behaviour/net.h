/* SPDX-License-Identifier: MIT */
/* Loopback sockets for the behaviour programs. Ports are the kernel's choice and never printed. */
#ifndef NET_H
#define NET_H

#include "t.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

static T_UNUSED struct sockaddr_in net_addr(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sa;
}

/* A socket bound to a free port of 127.0.0.1, with its address in *@sa. */
static T_UNUSED int net_bound(int type, struct sockaddr_in *sa)
{
	socklen_t len = sizeof(*sa);
	int fd = socket(AF_INET, type, 0);

	*sa = net_addr();
	MUST(fd >= 0);
	MUST(bind(fd, (struct sockaddr *)sa, sizeof(*sa)) == 0);
	MUST(getsockname(fd, (struct sockaddr *)sa, &len) == 0);
	MUST(len == sizeof(*sa) && sa->sin_port != 0);
	return fd;
}

static T_UNUSED int net_listen(struct sockaddr_in *sa)
{
	int fd = net_bound(SOCK_STREAM, sa);

	MUST(listen(fd, 16) == 0);
	return fd;
}

static T_UNUSED int net_connect(const struct sockaddr_in *sa)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	MUST(fd >= 0);
	MUST(connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0);
	return fd;
}

/* A connected pair: sv[0] is the client's end, sv[1] the accepted one. */
static T_UNUSED void net_tcp_pair(int sv[2])
{
	struct sockaddr_in sa;
	int lfd = net_listen(&sa);

	sv[0] = net_connect(&sa);
	sv[1] = accept(lfd, NULL, NULL);
	MUST(sv[1] >= 0);
	close(lfd);
}

/* Two UDP sockets connected to each other. */
static T_UNUSED void net_udp_pair(int sv[2])
{
	struct sockaddr_in a;
	struct sockaddr_in b;

	sv[0] = net_bound(SOCK_DGRAM, &a);
	sv[1] = net_bound(SOCK_DGRAM, &b);
	MUST(connect(sv[0], (struct sockaddr *)&b, sizeof(b)) == 0);
	MUST(connect(sv[1], (struct sockaddr *)&a, sizeof(a)) == 0);
}

static T_UNUSED void net_nonblock(int fd)
{
	MUST(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
}

/* Waits until @fd has such an event, so that what follows is about the call and not about timing. */
static T_UNUSED void net_await_event(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	MUST(poll(&p, 1, 10000) == 1);
}

static T_UNUSED void net_await(int fd)
{
	net_await_event(fd, POLLIN);
}

#endif
