/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* shutdown(): half-closed connections, both directions, repeated, on what is not connected. */
#include "net.h"
#include <signal.h>

static void half(void)
{
	char buf[16] = "";
	int sv[2];

	net_tcp_pair(sv);
	MUST(write(sv[0], "question", 8) == 8);
	SHOW(shutdown(sv[0], SHUT_WR));
	SHOW(write(sv[0], "x", 1));
	SHOW(recv(sv[1], buf, 8, MSG_WAITALL));
	SHOW(read(sv[1], buf, 1));
	SHOW(read(sv[1], buf, 1));
	SHOW(write(sv[1], "answer", 6));
	SHOW(recv(sv[0], buf, 6, MSG_WAITALL));
	SHOW(shutdown(sv[0], SHUT_WR));
	SHOW(shutdown(sv[1], SHUT_RDWR));
	SHOW(read(sv[0], buf, 1));
	SHOW(shutdown(sv[1], SHUT_RD));
	SHOW(shutdown(sv[0], SHUT_RD));
	close(sv[0]);
	close(sv[1]);
}

static void reading_side(void)
{
	char c;
	int sv[2];

	net_tcp_pair(sv);
	SHOW(shutdown(sv[0], SHUT_RD));
	SHOW(read(sv[0], &c, 1));
	SHOW(shutdown(sv[0], 99));
	close(sv[0]);
	close(sv[1]);
}

static void *reader(void *arg)
{
	char c;

	t_block();
	return (void *)read(*(int *)arg, &c, 1);
}

/* A thread blocked in read() is woken by a shutdown of its own socket. */
static void wakes(void)
{
	void *ret;
	int sv[2];
	pthread_t t;

	net_tcp_pair(sv);
	MUST(pthread_create(&t, NULL, reader, &sv[0]) == 0);
	t_await_block();
	SHOW(shutdown(sv[0], SHUT_RDWR));
	pthread_join(t, &ret);
	SHOW(ret);
	close(sv[0]);
	close(sv[1]);
}

/* Unread data at close() becomes a reset for the peer. */
static void reset(void)
{
	struct linger none = { 1, 0 };
	char c;
	int sv[2];

	net_tcp_pair(sv);
	MUST(setsockopt(sv[1], SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0);
	close(sv[1]);
	net_await(sv[0]);
	SHOW(read(sv[0], &c, 1));
	SHOW(read(sv[0], &c, 1));
	SHOW(write(sv[0], "x", 1));
	close(sv[0]);
}

int main(void)
{
	struct sockaddr_in sa;
	int fd;

	t_start();
	signal(SIGPIPE, SIG_IGN);
	half();
	reading_side();
	wakes();
	reset();
	fd = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(shutdown(fd, SHUT_RDWR));
	close(fd);
	SHOW(shutdown(fd, SHUT_RDWR));
	fd = net_bound(SOCK_DGRAM, &sa);
	SHOW(shutdown(fd, SHUT_RD));
	close(fd);
	fd = open(P("f"), O_RDWR | O_CREAT, 0644);
	SHOW(shutdown(fd, SHUT_RD));
	close(fd);
	return t_end();
}
