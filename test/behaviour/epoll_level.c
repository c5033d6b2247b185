/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Level-triggered epoll over sockets, pipes and event descriptors: readiness, data, maxevents. */
#include "net.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

static int by_data(const void *a, const void *b)
{
	return (int)((const struct epoll_event *)a)->data.u32 -
	       (int)((const struct epoll_event *)b)->data.u32;
}

static void look(const char *label, int ep, int max, int ms)
{
	struct epoll_event ev[16];
	int n = epoll_wait(ep, ev, max, ms);

	printf("%s: %d", label, n);
	if (n < 0)
		printf(" %s", t_errname(errno));
	if (n > 0)
		qsort(ev, (size_t)n, sizeof(ev[0]), by_data);
	for (int i = 0; i < n; i++)
		printf(" %u:%x", ev[i].data.u32, ev[i].events);
	printf("\n");
}

static void add(int ep, int fd, uint32_t events, uint32_t data)
{
	struct epoll_event ev = { .events = events, .data.u32 = data };

	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
}

static void mixed(void)
{
	uint64_t one = 1;
	char c;
	int ep = epoll_create1(EPOLL_CLOEXEC);
	int tcp[2];
	int udp[2];
	int pi[2];
	int ev = eventfd(0, 0);
	int64_t start;

	net_tcp_pair(tcp);
	net_udp_pair(udp);
	MUST(pipe(pi) == 0);
	look("empty set", ep, 16, 0);
	add(ep, tcp[0], EPOLLIN, 1);
	add(ep, pi[0], EPOLLIN, 2);
	add(ep, udp[0], EPOLLIN | EPOLLOUT, 3);
	add(ep, ev, EPOLLIN, 4);
	look("one writable", ep, 16, 1000);
	MUST(write(tcp[1], "x", 1) == 1);
	MUST(write(pi[1], "x", 1) == 1);
	MUST(write(udp[1], "x", 1) == 1);
	MUST(write(ev, &one, 8) == 8);
	net_await(tcp[0]);
	net_await(udp[0]);
	look("all", ep, 16, 1000);
	look("still all", ep, 16, 1000);
	MUST(read(tcp[0], &c, 1) == 1);
	look("without 1", ep, 16, 1000);
	MUST(read(pi[0], &c, 1) == 1);
	look("without 2", ep, 16, 1000);
	MUST(read(ev, &one, 8) == 8);
	MUST(read(udp[0], &c, 1) == 1);
	look("3 writable", ep, 16, 1000);
	add(ep, pi[1], EPOLLOUT, 5);
	look("3 and 5", ep, 16, 1000);
	MUST(epoll_ctl(ep, EPOLL_CTL_DEL, udp[0], NULL) == 0);
	look("5", ep, 16, 1000);
	MUST(epoll_ctl(ep, EPOLL_CTL_DEL, pi[1], NULL) == 0);
	start = t_ms();
	look("none", ep, 16, 60);
	TOOK(start, 50, 2000);
	/* A closed descriptor leaves the set by itself. */
	MUST(write(tcp[1], "x", 1) == 1);
	net_await(tcp[0]);
	look("1", ep, 16, 1000);
	close(tcp[0]);
	look("closed", ep, 16, 0);
	MUST(write(ev, &one, 8) == 8);
	close(ev);
	look("closed", ep, 16, 0);
	close(tcp[1]);
	close(udp[0]);
	close(udp[1]);
	close(pi[0]);
	close(pi[1]);
	close(ep);
}

static void *write_later(void *arg)
{
	t_await_sleep(getpid());
	MUST(write(*(int *)arg, "x", 1) == 1);
	return NULL;
}

static void sleeping(void)
{
	int ep = epoll_create1(0);
	int64_t start;
	pthread_t t;
	int pi[2];
	int sv[2];
	char c;

	net_tcp_pair(sv);
	MUST(pipe(pi) == 0);
	add(ep, sv[1], EPOLLIN, 1);
	add(ep, pi[0], EPOLLIN, 2);
	for (int i = 0; i < 4; i++) {
		start = t_ms();
		MUST(pthread_create(&t, NULL, write_later, i % 2 ? &pi[1] : &sv[0]) == 0);
		look(i % 2 ? "local one wakes" : "remote one wakes", ep, 16, i < 2 ? 5000 : -1);
		TOOK(start, 0, 3000);
		MUST(read(i % 2 ? pi[0] : sv[1], &c, 1) == 1);
		pthread_join(t, NULL);
	}
	for (int i = 0; i < 2; i++) {
		close(sv[i]);
		close(pi[i]);
	}
	close(ep);
}

/* With room for two at a time, everybody gets a turn. */
static void few_at_a_time(void)
{
	struct epoll_event ev[2];
	struct sockaddr_in sa;
	int seen[10] = { 0 };
	int ep = epoll_create1(0);
	int fd[10];
	int total = 0;

	for (int i = 0; i < 10; i++) {
		fd[i] = net_bound(SOCK_DGRAM, &sa);
		add(ep, fd[i], EPOLLIN, (uint32_t)i);
		MUST(sendto(fd[0], "x", 1, 0, (struct sockaddr *)&sa, sizeof(sa)) == 1);
	}
	for (int i = 0; i < 10; i++)
		net_await(fd[i]);
	for (int i = 0; i < 20; i++) {
		int n = epoll_wait(ep, ev, 2, 1000);

		MUST(n == 2);
		for (int k = 0; k < n; k++)
			seen[ev[k].data.u32]++;
	}
	for (int i = 0; i < 10; i++) {
		total += seen[i] > 0;
		close(fd[i]);
	}
	printf("%d of 10 had a turn\n", total);
	close(ep);
}

static void changes(void)
{
	struct epoll_event ev = { .events = EPOLLOUT, .data.u32 = 8 };
	int ep = epoll_create1(0);
	int sv[2];

	net_tcp_pair(sv);
	add(ep, sv[0], EPOLLIN, 7);
	look("nothing to read", ep, 16, 0);
	MUST(epoll_ctl(ep, EPOLL_CTL_MOD, sv[0], &ev) == 0);
	look("writable", ep, 16, 1000);
	ev.events = EPOLLIN | EPOLLRDHUP;
	MUST(epoll_ctl(ep, EPOLL_CTL_MOD, sv[0], &ev) == 0);
	shutdown(sv[1], SHUT_WR);
	net_await_event(sv[0], POLLRDHUP);
	look("half closed", ep, 16, 1000);
	ev.events = 0;
	MUST(epoll_ctl(ep, EPOLL_CTL_MOD, sv[0], &ev) == 0);
	look("nothing asked", ep, 16, 0);
	shutdown(sv[0], SHUT_WR);
	net_await_event(sv[0], 0);
	look("closed is told all the same", ep, 16, 1000);
	close(sv[0]);
	close(sv[1]);
	close(ep);
}

int main(void)
{
	t_start();
	mixed();
	sleeping();
	few_at_a_time();
	changes();
	return t_end();
}
