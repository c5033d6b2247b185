/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Signals and waiting: EINTR, the atomic mask of ppoll(), pselect() and epoll_pwait(). */
#include "net.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	(void)sig;
	caught++;
}

static void in_50_ms(void)
{
	struct itimerval it = { .it_value = { 0, 50000 } };

	setitimer(ITIMER_REAL, &it, NULL);
}

static void report(const char *label, int ret)
{
	printf("%s: %d %s caught %d\n", label, ret, ret < 0 ? t_errname(errno) : "-", (int)caught);
	caught = 0;
}

/* No wait is restarted, whatever SA_RESTART says. */
static void interrupted(int fd, int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };
	struct epoll_event ev = { .events = EPOLLIN };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timeval tv = { 5, 0 };
	fd_set set;
	int ep = epoll_create1(0);

	MUST(sigaction(SIGALRM, &sa, NULL) == 0);
	in_50_ms();
	report("poll", poll(&p, 1, 5000));
	FD_ZERO(&set);
	FD_SET(fd, &set);
	in_50_ms();
	report("select", select(fd + 1, &set, NULL, NULL, &tv));
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	in_50_ms();
	report("epoll_wait", epoll_wait(ep, &ev, 1, 5000));
	close(ep);
}

/* Blocked outside, open inside: what is pending is delivered in the wait and nowhere else. */
static void masked(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec ts = { 5, 0 };
	sigset_t block;
	sigset_t none;
	fd_set set;
	int ep = epoll_create1(0);

	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	signal(SIGUSR1, on_signal);
	MUST(sigprocmask(SIG_BLOCK, &block, NULL) == 0);
	raise(SIGUSR1);
	printf("before: %d\n", (int)caught);
	report("ppoll", ppoll(&p, 1, &ts, &none));
	raise(SIGUSR1);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	report("pselect", pselect(fd + 1, &set, NULL, NULL, &ts, &none));
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	raise(SIGUSR1);
	report("epoll_pwait", epoll_pwait(ep, &ev, 1, 5000, &none));
	raise(SIGUSR1);
	report("epoll_pwait2", epoll_pwait2(ep, &ev, 1, &ts, &none));
	/* Blocked inside too: the timeout ends it. */
	raise(SIGUSR1);
	ts = (struct timespec){ 0, 50000000 };
	report("still blocked", ppoll(&p, 1, &ts, &block));
	MUST(sigprocmask(SIG_UNBLOCK, &block, NULL) == 0);
	report("after", 0);
	close(ep);
}

static void timeouts(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec ts = { 0, 60000000 };
	struct timespec bad = { 0, 2000000000 };
	int64_t start = t_ms();

	SHOW(ppoll(&p, 1, &ts, NULL));
	TOOK(start, 50, 2000);
	CHECK(ts.tv_nsec == 60000000);
	SHOW(ppoll(&p, 1, &bad, NULL));
	ts.tv_nsec = 0;
	SHOW(ppoll(&p, 1, &ts, NULL));
}

int main(void)
{
	int sv[2];

	t_start();
	net_tcp_pair(sv);
	interrupted(sv[0], 0);
	interrupted(sv[0], SA_RESTART);
	masked(sv[0]);
	timeouts(sv[0]);
	close(sv[0]);
	close(sv[1]);
	return t_end();
}
