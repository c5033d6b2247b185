/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Flags of send() and recv(): PEEK, DONTWAIT, WAITALL, TRUNC, OOB, MORE, and refused ones. */
#include "net.h"

static void *write_late(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 5; i++) {
		t_await_sleep(getpid());
		MUST(write(fd, "part.", 5) == 5);
	}
	return NULL;
}

static void stream(void)
{
	char buf[64] = "";
	pthread_t t;
	int sv[2];

	net_tcp_pair(sv);
	SHOW(recv(sv[1], buf, 1, MSG_DONTWAIT));
	MUST(write(sv[0], "abcdef", 6) == 6);
	net_await(sv[1]);
	SHOW(recv(sv[1], buf, 3, MSG_PEEK));
	SHOW(recv(sv[1], buf, 3, MSG_PEEK));
	printf("%.3s\n", buf);
	SHOW(recv(sv[1], buf, 3, 0));
	SHOW(recv(sv[1], buf, 64, MSG_PEEK | MSG_DONTWAIT));
	printf("%.3s\n", buf);
	/* MSG_TRUNC on a stream throws away. */
	SHOW(recv(sv[1], NULL, 2, MSG_TRUNC));
	SHOW(recv(sv[1], buf, 64, 0));
	printf("%.1s\n", buf);
	MUST(pthread_create(&t, NULL, write_late, &sv[0]) == 0);
	SHOW(recv(sv[1], buf, 25, MSG_WAITALL));
	printf("%.25s\n", buf);
	pthread_join(t, NULL);
	MUST(write(sv[0], "12", 2) == 2);
	net_await(sv[1]);
	SHOW(recv(sv[1], buf, 25, MSG_WAITALL | MSG_DONTWAIT));
	SHOW(send(sv[0], "more", 4, MSG_MORE));
	SHOW(send(sv[0], "end", 3, 0));
	SHOW(recv(sv[1], buf, 7, MSG_WAITALL));
	printf("%.7s\n", buf);
	MUST(write(sv[0], "last", 4) == 4);
	close(sv[0]);
	SHOW(recv(sv[1], buf, 25, MSG_WAITALL));
	SHOW(recv(sv[1], buf, 25, MSG_WAITALL));
	close(sv[1]);
}

static void urgent(void)
{
	char buf[8] = "";
	int sv[2];
	int on = 1;

	net_tcp_pair(sv);
	SHOW(send(sv[0], "abX", 3, MSG_OOB));
	net_await_event(sv[1], POLLPRI);
	SHOW(recv(sv[1], buf, 1, MSG_OOB));
	printf("%c\n", buf[0]);
	SHOW(recv(sv[1], buf, 1, MSG_OOB));
	SHOW(recv(sv[1], buf, 8, 0));
	printf("%.2s\n", buf);
	MUST(setsockopt(sv[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) == 0);
	MUST(send(sv[0], "cdY", 3, MSG_OOB) == 3);
	net_await_event(sv[1], POLLPRI);
	SHOW(recv(sv[1], buf, 8, 0));
	SHOW(recv(sv[1], buf, 8, 0));
	printf("%c\n", buf[0]);
	close(sv[0]);
	close(sv[1]);
}

static void datagrams(void)
{
	char buf[16] = "";
	int sv[2];

	net_udp_pair(sv);
	MUST(write(sv[0], "datagram", 8) == 8);
	net_await(sv[1]);
	SHOW(recv(sv[1], buf, 4, MSG_PEEK));
	SHOW(recv(sv[1], buf, 4, MSG_PEEK | MSG_TRUNC));
	SHOW(recv(sv[1], buf, 4, MSG_TRUNC));
	SHOW(recv(sv[1], buf, 4, MSG_DONTWAIT));
	SHOW(recv(sv[1], buf, 4, MSG_DONTWAIT | MSG_PEEK));
	SHOW(send(sv[0], "a", 1, MSG_DONTROUTE));
	SHOW(send(sv[0], "b", 1, MSG_CONFIRM));
	SHOW(send(sv[0], "c", 1, MSG_OOB));
	SHOW(recv(sv[1], buf, 4, MSG_OOB));
	SHOW(recv(sv[1], buf, 4, MSG_ERRQUEUE));
	SHOW(recv(sv[1], buf, 4, 0));
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	int fd;
	char c;

	t_start();
	stream();
	urgent();
	datagrams();
	fd = open(P("f"), O_RDWR | O_CREAT, 0644);
	SHOW(send(fd, "x", 1, 0));
	SHOW(recv(fd, &c, 1, 0));
	close(fd);
	SHOW(send(fd, "x", 1, 0));
	SHOW(recv(fd, &c, 1, 0));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
	SHOW(recv(fd, &c, 1, 0));
	close(fd);
	return t_end();
}
