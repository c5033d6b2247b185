/* SPDX-License-Identifier: MIT */
/* An epoll descriptor that has several numbers before it gets its first socket. */
#include "net.h"

#include <sys/epoll.h>

static int inner;
static int copy;
static int outer;
static struct sockaddr_in sa;
static int sock;

static void make(void)
{
	struct epoll_event ev = { .events = EPOLLIN };

	inner = epoll_create1(0);
	outer = epoll_create1(0);
	copy = dup(inner);
	MUST(inner >= 0 && outer >= 0 && copy >= 0);
	MUST(epoll_ctl(outer, EPOLL_CTL_ADD, copy, &ev) == 0);
	sock = net_bound(SOCK_DGRAM, &sa);
}

static void add(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 7 };

	MUST(epoll_ctl(inner, EPOLL_CTL_ADD, sock, &ev) == 0);
}

static void end(void)
{
	close(inner);
	close(outer);
	close(copy);
	close(sock);
}

static void ready(const char *label)
{
	struct epoll_event out;
	struct pollfd p[2] = { { .fd = inner, .events = POLLIN },
			       { .fd = copy, .events = POLLIN } };

	printf("%s: outer %d, inner %d, copy %d,", label, epoll_wait(outer, &out, 1, 0),
	       epoll_wait(inner, &out, 1, 0), epoll_wait(copy, &out, 1, 0));
	printf(" poll %d\n", poll(p, 2, 0));
}

static void send_one(void)
{
	MUST(sendto(sock, "x", 1, 0, (struct sockaddr *)&sa, sizeof(sa)) == 1);
	net_await(sock);
}

static void take_one(void)
{
	char c = 0;

	MUST(recv(sock, &c, 1, 0) == 1);
}

static void nobody_waits(void)
{
	make();
	add();
	ready("nothing");
	send_one();
	ready("something");
	take_one();
	ready("taken");
	end();
}

static pid_t tid;

static void *waiter(void *arg)
{
	struct epoll_event out = { 0 };
	int n;

	tid = gettid();
	t_block();
	n = epoll_wait(*(int *)arg, &out, 1, -1);
	printf("woken: %d, data %u\n", n, out.data.u32);
	return NULL;
}

/* A thread that waits is told to look again by readiness that passes: it may nap before it has. */
static void settle(void)
{
	struct epoll_event out;

	for (int i = 0; i < 5000 && epoll_wait(outer, &out, 1, 0); i++)
		usleep(1000);
}

/* Whoever waits already, by either number, hears of the socket that is added. */
static void somebody_waits(int *by, const char *label)
{
	pthread_t t;

	make();
	MUST(pthread_create(&t, NULL, waiter, by) == 0);
	t_await_block();
	add();
	t_await_sleep(tid);
	settle();
	ready(label);
	send_one();
	pthread_join(t, NULL);
	take_one();
	ready("taken");
	end();
}

int main(void)
{
	t_start();
	nobody_waits();
	somebody_waits(&inner, "by the first number");
	somebody_waits(&copy, "by the other number");
	return t_end();
}
