/* SPDX-License-Identifier: MIT */
/*
 * A wait in a domain that something local ends at any moment: before the domain has heard of it,
 * while it does, and after. None may stay behind, wherever the thread's requests stand.
 */
#include "net.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>

#define ROUNDS 1500

static int go[2], bell[2];

/* Everybody has rested when a round begins; then it is ended after a moment that grows. */
static void wait_us(long us)
{
	const struct timespec t = { 0, us * 1000 };

	nanosleep(&t, NULL);
}

static void spin_ns(long ns)
{
	struct timespec from, now;

	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - from.tv_sec) * 1000000000l + now.tv_nsec - from.tv_nsec < ns);
}

static void *ring(void *arg)
{
	int i;

	while (read(go[0], &i, sizeof(i)) == sizeof(i)) {
		spin_ns(i % 300 * 500);
		MUST(write(bell[1], "x", 1) == 1);
	}
	return arg;
}

static void nothing(int sig)
{
	(void)sig;
}

static int by_poll(int sock)
{
	struct pollfd p[2] = { { sock, POLLIN, 0 }, { bell[0], POLLIN, 0 } };
	int r = poll(p, 2, -1);

	return r == 1 && !p[0].revents && p[1].revents == POLLIN;
}

static int by_epoll(int sock)
{
	static int ep = -1;
	struct epoll_event ev = { .events = EPOLLIN };
	int r;

	if (ep < 0) {
		ep = epoll_create1(EPOLL_CLOEXEC);
		ev.data.fd = sock;
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, sock, &ev) == 0);
		ev.data.fd = bell[0];
		MUST(epoll_ctl(ep, EPOLL_CTL_ADD, bell[0], &ev) == 0);
	}
	r = sock < 0 ? close(ep) : epoll_wait(ep, &ev, 1, -1);
	return sock < 0 || (r == 1 && ev.data.fd == bell[0]);
}

static void rounds(const char *what, int (*wait)(int sock), int sock)
{
	int good = 0;
	char c;

	for (int i = 0; i < ROUNDS; i++) {
		wait_us(100);
		MUST(write(go[1], &i, sizeof(i)) == sizeof(i));
		good += wait(sock);
		MUST(read(bell[0], &c, 1) == 1);
	}
	printf("%s: %d\n", what, good);
}

/* A signal that is let in by the wait alone. */
static void signals(int sock)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct pollfd p = { sock, POLLIN, 0 };
	sigset_t alarm, old;
	timer_t t;
	int good = 0;

	MUST(sigaction(SIGALRM, &sa, NULL) == 0);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	MUST(pthread_sigmask(SIG_BLOCK, &alarm, &old) == 0);
	MUST(timer_create(CLOCK_MONOTONIC, NULL, &t) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		const struct itimerspec when = { .it_value = { 0, i % 300 * 500 + 1 } };

		wait_us(100);
		MUST(timer_settime(t, 0, &when, NULL) == 0);
		good += ppoll(&p, 1, NULL, &old) == -1 && errno == EINTR;
	}
	timer_delete(t);
	printf("ppoll ended by a signal: %d\n", good);
}

int main(void)
{
	pthread_t ringer;
	int sv[2];

	t_start();
	net_tcp_pair(sv);
	MUST(pipe(go) == 0 && pipe(bell) == 0);
	MUST(pthread_create(&ringer, NULL, ring, NULL) == 0);
	rounds("poll ended by a pipe", by_poll, sv[0]);
	rounds("epoll ended by a pipe", by_epoll, sv[0]);
	by_epoll(-1);
	close(go[1]);
	pthread_join(ringer, NULL);
	signals(sv[0]);
	SHOW(write(sv[1], "data", 4));
	SHOW(read(sv[0], (char[8]){ 0 }, 8));
	for (int i = 0; i < 2; i++)
		close(sv[i]), close(bell[i]);
	close(go[0]);
	return t_end();
}
