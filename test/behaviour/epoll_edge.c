/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Edge-triggered and one-shot epoll: each arrival once, re-arming, a set shared by threads. */
#include "net.h"
#include <sys/epoll.h>

static void look(const char *label, int ep)
{
	struct epoll_event ev[8];
	uint32_t all = 0;
	/* What is to come has arrived; what is not to come needs no long wait. */
	int n = epoll_wait(ep, ev, 8, 30);

	for (int i = 0; i < n; i++)
		all |= ev[i].events;
	printf("%s: %d %x\n", label, n, all);
}

static void set(int ep, int op, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	MUST(epoll_ctl(ep, op, fd, &ev) == 0);
}

static void put(int fd, const char *text)
{
	MUST(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	t_sleep_ms(20);
}

static void edges(const char *kind, int out, int in)
{
	char buf[16];
	int ep = epoll_create1(0);

	printf("-- %s\n", kind);
	set(ep, EPOLL_CTL_ADD, in, EPOLLIN | EPOLLET);
	look("quiet", ep);
	put(out, "one");
	look("arrived", ep);
	look("told once", ep);
	put(out, "two");
	look("another arrival", ep);
	MUST(read(in, buf, 3) == 3);
	look("half read is no event", ep);
	MUST(read(in, buf, sizeof(buf)) == 3);
	put(out, "three");
	look("after draining", ep);
	set(ep, EPOLL_CTL_MOD, in, EPOLLIN | EPOLLET);
	look("armed again while ready", ep);
	look("told once", ep);
	MUST(read(in, buf, sizeof(buf)) == 5);
	put(out, "ready");
	set(ep, EPOLL_CTL_DEL, in, 0);
	look("not in the set", ep);
	set(ep, EPOLL_CTL_ADD, in, EPOLLIN | EPOLLET);
	look("ready when added", ep);
	MUST(read(in, buf, sizeof(buf)) == 5);
	close(ep);
}

static void one_shot(const char *kind, int out, int in)
{
	char buf[16];
	int ep = epoll_create1(0);

	printf("-- one shot, %s\n", kind);
	set(ep, EPOLL_CTL_ADD, in, EPOLLIN | EPOLLONESHOT);
	put(out, "a");
	look("first", ep);
	look("disarmed", ep);
	put(out, "b");
	look("still disarmed", ep);
	set(ep, EPOLL_CTL_MOD, in, EPOLLIN | EPOLLONESHOT);
	look("armed again", ep);
	look("disarmed", ep);
	MUST(read(in, buf, sizeof(buf)) == 2);
	set(ep, EPOLL_CTL_MOD, in, EPOLLIN | EPOLLONESHOT);
	look("armed, nothing there", ep);
	put(out, "c");
	look("arrived", ep);
	MUST(read(in, buf, sizeof(buf)) == 1);
	close(ep);
}

/* Writability comes back as an edge when the reader makes room. */
static void writable(void)
{
	static char chunk[65536];
	struct epoll_event ev;
	size_t sent = 0;
	ssize_t n;
	int ep = epoll_create1(0);
	int sv[2];

	net_tcp_pair(sv);
	net_nonblock(sv[0]);
	net_nonblock(sv[1]);
	set(ep, EPOLL_CTL_ADD, sv[0], EPOLLOUT | EPOLLET);
	look("writable at first", ep);
	do {
		while ((n = write(sv[0], chunk, sizeof(chunk))) > 0)
			sent += (size_t)n;
	} while (epoll_wait(ep, &ev, 1, 100) == 1);
	while (sent) {
		n = read(sv[1], chunk, sizeof(chunk));
		if (n < 0)
			net_await(sv[1]);
		else
			sent -= (size_t)n;
	}
	SHOW(epoll_wait(ep, &ev, 1, 5000));
	SHOW(ev.events);
	close(sv[0]);
	close(sv[1]);
	close(ep);
}

struct pool {
	int ep;
	int done;
};

static void *serve(void *arg)
{
	struct pool *p = arg;
	struct epoll_event ev;

	while (epoll_wait(p->ep, &ev, 1, -1) == 1) {
		char c;

		if (recv(ev.data.fd, &c, 1, MSG_DONTWAIT) != 1)
			continue;
		if (c == 'Q')
			break;
		__atomic_add_fetch(&p->done, 1, __ATOMIC_SEQ_CST);
		set(p->ep, EPOLL_CTL_MOD, ev.data.fd, EPOLLIN | EPOLLONESHOT);
	}
	return NULL;
}

/* Several threads in one set: a one-shot member goes to one of them at a time. */
static void threads(void)
{
	struct pool p = { .ep = epoll_create1(0) };
	int sv[4][2];
	pthread_t t[4];

	for (int i = 0; i < 4; i++) {
		net_udp_pair(sv[i]);
		set(p.ep, EPOLL_CTL_ADD, sv[i][1], EPOLLIN | EPOLLONESHOT);
		MUST(pthread_create(&t[i], NULL, serve, &p) == 0);
	}
	for (int i = 0; i < 100; i++)
		MUST(write(sv[i % 4][0], "x", 1) == 1);
	while (__atomic_load_n(&p.done, __ATOMIC_SEQ_CST) < 100)
		t_sleep_ms(1);
	for (int i = 0; i < 4; i++)
		MUST(write(sv[i][0], "Q", 1) == 1);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 4; i++) {
		close(sv[i][0]);
		close(sv[i][1]);
	}
	printf("%d datagrams served\n", p.done);
	close(p.ep);
}

int main(void)
{
	int sv[2];

	t_start();
	net_tcp_pair(sv);
	edges("TCP", sv[0], sv[1]);
	one_shot("TCP", sv[0], sv[1]);
	close(sv[0]);
	close(sv[1]);
	MUST(pipe(sv) == 0);
	edges("a pipe", sv[1], sv[0]);
	one_shot("a pipe", sv[1], sv[0]);
	close(sv[0]);
	close(sv[1]);
	writable();
	threads();
	return t_end();
}
