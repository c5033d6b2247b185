/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Blocking calls that wait for more than the next byte: MSG_FASTOPEN connects, SO_RCVLOWAT. */
#include "net.h"
#include <netinet/tcp.h>
#include <sys/syscall.h>

static struct sockaddr_in sa;

static int lfd;

static void *read_all(void *arg)
{
	char buf[4096];
	size_t *have = arg;
	int fd = accept(lfd, NULL, NULL);
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		*have += (size_t)n;
	close(fd);
	return NULL;
}

static void send_first(size_t len)
{
	char *data = calloc(1, len);
	size_t have = 0;
	pthread_t t;
	int s = socket(AF_INET, SOCK_STREAM, 0);

	lfd = net_listen(&sa);
	MUST(pthread_create(&t, NULL, read_all, &have) == 0);
	printf("connect and send %zu\n", len);
	SHOW(sendto(s, data, len, MSG_FASTOPEN, (struct sockaddr *)&sa, sizeof(sa)) ==
	     (ssize_t)len);
	SHOW(sendto(s, data, 1, MSG_FASTOPEN, (struct sockaddr *)&sa, sizeof(sa)));
	close(s);
	pthread_join(t, NULL);
	SHOW(have == len);
	close(lfd);
	free(data);
}

static void refused(void)
{
	int fd = net_bound(SOCK_STREAM, &sa);
	int s = socket(AF_INET, SOCK_STREAM, 0);

	close(fd);
	SHOW(sendto(s, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&sa, sizeof(sa)));
	close(s);
}

static void message(void)
{
	struct iovec iov = { "hello", 5 };
	struct msghdr m = {
		.msg_name = &sa, .msg_namelen = sizeof(sa), .msg_iov = &iov, .msg_iovlen = 1
	};
	int fd = net_listen(&sa);
	int s = socket(AF_INET, SOCK_STREAM, 0);

	SHOW(sendmsg(s, &m, MSG_FASTOPEN));
	close(s);
	close(fd);
}

static int sv[2];

static void *write_rest(void *arg)
{
	t_await_block();
	MUST(write(sv[0], arg, 4) == 4);
	return NULL;
}

static void *write_none(void *arg)
{
	t_await_block();
	shutdown(sv[0], SHUT_WR);
	return arg;
}

/*
 * Two bytes are there; what comes while the receiver sleeps is up to @fn. As many as the mark, since
 * the kernel takes the two and then wakes for no fewer.
 */
static void receive(void *(*fn)(void *), int how)
{
	char buf[16] = "";
	struct iovec iov = { buf, 10 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	pthread_t t;

	MUST(write(sv[0], "ab", 2) == 2);
	net_await_event(sv[1], POLLOUT);
	SHOW(recv(sv[1], buf, 2, MSG_PEEK));
	SHOW(recv(sv[1], buf, 10, MSG_PEEK | MSG_DONTWAIT));
	MUST(pthread_create(&t, NULL, fn, "cdef") == 0);
	t_block();
	if (how == 0)
		SHOW(recv(sv[1], buf, 10, 0));
	else if (how == 1)
		SHOW(recvmsg(sv[1], &m, 0));
	else
		SHOW(read(sv[1], buf, 10));
	printf("%s\n", buf);
	pthread_join(t, NULL);
}

static void low_water(void)
{
	struct timeval limit = { 0, 50000 };
	char buf[16] = "";
	int mark = 4;
	int now = 0;

	net_tcp_pair(sv);
	SHOW(setsockopt(sv[1], SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark)));
	SHOW(getsockopt(sv[1], SOL_SOCKET, SO_RCVLOWAT, &now, &(socklen_t){ sizeof(now) }));
	SHOW(now);
	for (int how = 0; how < 3; how++)
		receive(write_rest, how);
	MUST(write(sv[0], "ab", 2) == 2);
	MUST(setsockopt(sv[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
	SHOW(recv(sv[1], buf, 10, 0));
	limit.tv_usec = 0;
	MUST(setsockopt(sv[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
	receive(write_none, 0);
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	t_start();
	send_first(5);
	send_first(1000000);
	refused();
	message();
	low_water();
	return t_end();
}
