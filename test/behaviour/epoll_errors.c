/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Refused epoll calls; duplicates and forks of members and of the set itself. */
#include "net.h"
#include <sys/epoll.h>

static int ctl(int ep, int op, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(ep, op, fd, &ev);
}

static void refused(int ep, int sock, int local)
{
	struct epoll_event ev[1];
	volatile int minus_one = -1;
	int file = open(P("f"), O_RDONLY | O_CREAT, 0644);
	int dir = open(P("."), O_RDONLY | O_DIRECTORY);

	SHOW(ctl(ep, EPOLL_CTL_ADD, file));
	SHOW(ctl(ep, EPOLL_CTL_ADD, dir));
	SHOW(ctl(ep, EPOLL_CTL_ADD, sock));
	SHOW(ctl(ep, EPOLL_CTL_ADD, sock));
	SHOW(ctl(ep, EPOLL_CTL_ADD, local));
	SHOW(ctl(ep, EPOLL_CTL_ADD, local));
	SHOW(ctl(ep, EPOLL_CTL_MOD, file));
	SHOW(ctl(ep, EPOLL_CTL_DEL, dir));
	SHOW(ctl(ep, EPOLL_CTL_DEL, sock));
	SHOW(ctl(ep, EPOLL_CTL_DEL, sock));
	SHOW(ctl(ep, EPOLL_CTL_MOD, sock));
	SHOW(ctl(ep, 99, sock));
	SHOW(ctl(ep, EPOLL_CTL_ADD, 400));
	SHOW(ctl(ep, EPOLL_CTL_ADD, -1));
	SHOW(ctl(-1, EPOLL_CTL_ADD, sock));
	SHOW(ctl(sock, EPOLL_CTL_ADD, local));
	SHOW(ctl(local, EPOLL_CTL_ADD, sock));
	SHOW(ctl(file, EPOLL_CTL_ADD, sock));
	SHOW(epoll_wait(ep, ev, 0, 0));
	SHOW(epoll_wait(ep, ev, minus_one, 0));
	SHOW(epoll_wait(sock, ev, 1, 0));
	SHOW(epoll_wait(-1, ev, 1, 0));
	SHOW(epoll_wait(ep, ev, 1, 0));
	TRY(epoll_create1(77));
	TRY(epoll_create(0));
	SHOW(read(ep, ev, 1));
	SHOW(write(ep, "x", 1));
	SHOW(ctl(ep, EPOLL_CTL_DEL, local));
	close(file);
	close(dir);
}

/* A member is the description: its events go on while any duplicate of it is open. */
static void duplicates(int ep)
{
	struct epoll_event ev;
	int sv[2];
	int copy;

	net_tcp_pair(sv);
	SHOW(ctl(ep, EPOLL_CTL_ADD, sv[0]));
	copy = dup(sv[0]);
	SHOW(ctl(ep, EPOLL_CTL_ADD, copy));
	MUST(write(sv[1], "x", 1) == 1);
	net_await(sv[0]);
	SHOW(epoll_wait(ep, &ev, 1, 1000));
	SHOW(ctl(ep, EPOLL_CTL_DEL, copy));
	SHOW(epoll_wait(ep, &ev, 1, 1000));
	CHECK(ev.data.fd == sv[0]);
	close(sv[0]);
	SHOW(epoll_wait(ep, &ev, 1, 1000));
	close(copy);
	SHOW(epoll_wait(ep, &ev, 1, 20));
	close(sv[1]);
}

static void duplicated_set(void)
{
	struct epoll_event ev;
	int ep = epoll_create1(0);
	int copy = dup(ep);
	int sv[2];
	int pi[2];
	pid_t pid;

	net_tcp_pair(sv);
	MUST(pipe(pi) == 0);
	SHOW(ctl(copy, EPOLL_CTL_ADD, sv[0]));
	SHOW(ctl(ep, EPOLL_CTL_ADD, pi[0]));
	MUST(write(sv[1], "x", 1) == 1);
	net_await(sv[0]);
	SHOW(epoll_wait(ep, &ev, 1, 1000));
	close(ep);
	SHOW(epoll_wait(copy, &ev, 1, 1000));
	/* A child shares the set. */
	pid = fork();
	if (!pid) {
		SHOW(epoll_wait(copy, &ev, 1, 1000));
		CHECK(ev.data.fd == sv[0]);
		SHOW(ctl(copy, EPOLL_CTL_DEL, sv[0]));
		_exit(t_failed);
	}
	t_wait("child", pid);
	SHOW(epoll_wait(copy, &ev, 1, 20));
	MUST(write(pi[1], "x", 1) == 1);
	SHOW(epoll_wait(copy, &ev, 1, 1000));
	CHECK(ev.data.fd == pi[0]);
	close(copy);
	for (int i = 0; i < 2; i++) {
		close(sv[i]);
		close(pi[i]);
	}
}

int main(void)
{
	struct sockaddr_in sa;
	int sock;
	int p[2];
	int ep;

	t_start();
	ep = TRY(epoll_create(1));
	sock = net_bound(SOCK_DGRAM, &sa);
	MUST(pipe(p) == 0);
	refused(ep, sock, p[0]);
	duplicates(ep);
	close(sock);
	close(p[0]);
	close(p[1]);
	close(ep);
	duplicated_set();
	return t_end();
}
