/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* epoll descriptors in epoll sets, in poll() and in select(); loops are refused. */
#include "net.h"
#include <sys/epoll.h>
#include <sys/select.h>

static int add(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static void nested(const char *kind, int out, int in)
{
	struct epoll_event ev;
	struct pollfd p;
	struct timeval tv = { 1, 0 };
	fd_set r;
	char c;
	int inner = epoll_create1(0);
	int outer = epoll_create1(0);
	int top = epoll_create1(0);

	printf("-- %s\n", kind);
	MUST(add(inner, in, EPOLLIN) == 0);
	SHOW(add(outer, inner, EPOLLIN));
	SHOW(add(top, outer, EPOLLIN));
	SHOW(epoll_wait(top, &ev, 1, 20));
	p = (struct pollfd){ inner, POLLIN | POLLOUT, 0 };
	SHOW(poll(&p, 1, 20));
	MUST(write(out, "x", 1) == 1);
	net_await(in);
	SHOW(epoll_wait(top, &ev, 1, 1000));
	CHECK(ev.data.fd == outer);
	SHOW(epoll_wait(outer, &ev, 1, 1000));
	CHECK(ev.data.fd == inner);
	SHOW(epoll_wait(inner, &ev, 1, 1000));
	CHECK(ev.data.fd == in);
	SHOW(poll(&p, 1, 1000));
	SHOW(p.revents);
	FD_ZERO(&r);
	FD_SET(outer, &r);
	SHOW(select(outer + 1, &r, NULL, NULL, &tv));
	MUST(read(in, &c, 1) == 1);
	SHOW(epoll_wait(top, &ev, 1, 20));
	close(inner);
	SHOW(epoll_wait(top, &ev, 1, 20));
	MUST(write(out, "x", 1) == 1);
	SHOW(epoll_wait(top, &ev, 1, 20));
	MUST(read(in, &c, 1) == 1);
	close(outer);
	close(top);
}

static void *write_later(void *arg)
{
	t_await_sleep(getpid());
	MUST(write(*(int *)arg, "x", 1) == 1);
	return NULL;
}

/* Sleeping in the outer set while the inner ones get their events, remote and local. */
static void woken(void)
{
	struct epoll_event ev;
	int remote = epoll_create1(0);
	int local = epoll_create1(0);
	int outer = epoll_create1(0);
	int64_t start;
	pthread_t t;
	int pi[2];
	int sv[2];
	char c;

	net_tcp_pair(sv);
	MUST(pipe(pi) == 0);
	MUST(add(remote, sv[1], EPOLLIN) == 0 && add(local, pi[0], EPOLLIN) == 0);
	MUST(add(outer, remote, EPOLLIN) == 0 && add(outer, local, EPOLLIN) == 0);
	for (int i = 0; i < 4; i++) {
		start = t_ms();
		MUST(pthread_create(&t, NULL, write_later, i % 2 ? &pi[1] : &sv[0]) == 0);
		SHOW(epoll_wait(outer, &ev, 1, 5000));
		TOOK(start, 0, 3000);
		printf("%s\n", ev.data.fd == local    ? "local"
			       : ev.data.fd == remote ? "remote"
						      : "?");
		MUST(read(i % 2 ? pi[0] : sv[1], &c, 1) == 1);
		pthread_join(t, NULL);
	}
	for (int i = 0; i < 2; i++) {
		close(sv[i]);
		close(pi[i]);
	}
	close(remote);
	close(local);
	close(outer);
}

int main(void)
{
	int a = epoll_create1(0);
	int b = epoll_create1(0);
	int sv[2];

	close(a);
	close(b);
	t_start();
	net_tcp_pair(sv);
	nested("a socket", sv[0], sv[1]);
	close(sv[0]);
	close(sv[1]);
	MUST(pipe(sv) == 0);
	nested("a pipe", sv[1], sv[0]);
	close(sv[0]);
	close(sv[1]);
	woken();
	a = epoll_create1(0);
	b = epoll_create1(0);
	SHOW(add(a, a, EPOLLIN));
	SHOW(add(a, b, EPOLLIN));
	SHOW(add(b, a, EPOLLIN));
	close(a);
	close(b);
	return t_end();
}
