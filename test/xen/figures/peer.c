/* SPDX-License-Identifier: MIT */
/* labpeer ADDRESS: the other end of the wire for labworker. Says "ready" when it listens. */
#define _GNU_SOURCE
#include "peer.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static bool take(int fd, uint64_t n)
{
	char buf[PEER_BLOCK];

	while (n) {
		ssize_t r = read(fd, buf, n < sizeof(buf) ? n : sizeof(buf));

		if (r <= 0)
			return false;
		n -= (uint64_t)r;
	}
	return true;
}

static bool give(int fd, uint64_t n)
{
	static const char zeros[PEER_BLOCK];

	while (n) {
		ssize_t r = write(fd, zeros, n < sizeof(zeros) ? n : sizeof(zeros));

		if (r <= 0)
			return false;
		n -= (uint64_t)r;
	}
	return true;
}

static bool echo(int fd, uint64_t n)
{
	while (n--)
		if (!take(fd, PEER_SMALL) || !give(fd, PEER_SMALL))
			return false;
	return true;
}

static bool wake(int fd, const struct peer_order *o)
{
	for (uint64_t n = o->count; n; n--) {
		usleep(o->rest_us);
		if (!give(fd, 1) || !take(fd, 1))
			return false;
	}
	return true;
}

static bool obey(int fd, const struct peer_order *o)
{
	switch (o->kind) {
	case PEER_TAKE:
		return take(fd, o->count) && give(fd, 1);
	case PEER_GIVE:
		return give(fd, o->count);
	case PEER_ECHO:
		return echo(fd, o->count);
	case PEER_WAKE:
		return wake(fd, o);
	default:
		return false;
	}
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	struct peer_order o;

	while (recv(fd, &o, sizeof(o), MSG_WAITALL) == sizeof(o))
		if (!obey(fd, &o))
			break;
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(PEER_PORT) };
	const int one = 1;
	int l = socket(AF_INET, SOCK_STREAM, 0);

	if (argc != 2 || !inet_aton(argv[1], &sin.sin_addr)) {
		fputs("usage: labpeer ADDRESS\n", stderr);
		return 2;
	}
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (void *)&sin, sizeof(sin)) || listen(l, 64)) {
		perror("labpeer");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		int fd = accept(l, NULL, NULL);
		pthread_t t;

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (pthread_create(&t, NULL, serve, (void *)(intptr_t)fd))
			close(fd);
		else
			pthread_detach(t);
	}
}
