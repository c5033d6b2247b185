/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* timeout: 120 */
/*
 * A signal that comes a few microseconds after a call has begun to wait: the call ends with EINTR,
 * or goes on, as at any other time. Each call is tried with many delays. When the signal comes just
 * before the kernel has been asked its call goes on, too, so "most" is what counts.
 */
#include "net.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* siginterrupt */

#define TRIES 24
#define LATE  20 /* ms after which what a call waits for is given to it */

static atomic_int turn;	 /* the call that is being made */
static atomic_int ended; /* the one that has come to its end */
static volatile sig_atomic_t caught;
static volatile sig_atomic_t inside; /* a call has begun */
static volatile sig_atomic_t missed; /* the signal came before it */
static timer_t timer;
static void (*give)(void);
static sigjmp_buf jump;

static int tcp[2];
static int udp[2];
static int fifo[2] = { -1, -1 };
static int quick = -1; /* the FIFO, not waiting */
static int lfd = -1;
static struct sockaddr_in peer;

static void on_signal(int sig)
{
	(void)sig;
	caught++;
	missed = !inside;
}

static void on_signal_leave(int sig)
{
	(void)sig;
	caught++;
	missed = !inside;
	siglongjmp(jump, 1);
}

/* A signal to this thread, from the kernel: another thread would need a CPU of its own for it. */
static void signal_in(long us)
{
	struct itimerspec it = { .it_value.tv_nsec = us * 1000 };

	MUST(timer_settime(timer, 0, &it, NULL) == 0);
}

static void make_timer(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };

	ev._sigev_un._tid = gettid();
	MUST(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0);
}

/* Gives each call what it waits for if it still waits after a long time. */
static void *give_late(void *arg)
{
	(void)arg;
	for (int i = 1;; i++) {
		while (atomic_load(&turn) < i)
			t_sleep_ms(1);
		if (atomic_load(&ended) == INT_MAX)
			return NULL;
		for (int ms = 0; ms < LATE && atomic_load(&ended) < i; ms++)
			t_sleep_ms(1);
		if (atomic_load(&ended) < i)
			give();
		while (atomic_load(&ended) < i)
			t_sleep_ms(1);
	}
}

static void handler(void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
}

static const char *share(int n)
{
	return n == 0 ? "none" : n * 4 >= TRIES * 3 ? "most" : "few";
}

static void quiet(void)
{
	char buf[4096];

	while (recv(tcp[0], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	while (recv(tcp[1], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	while (recv(udp[0], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

/* The signal comes while @call is made, or just before it. */
static ssize_t disturbed(ssize_t (*call)(void), long us)
{
	if (sigsetjmp(jump, 1)) {
		errno = EINTR;
		return -1;
	}
	signal_in(us);
	inside = 1;
	return call();
}

/* @call: -1 with an errno, or what it got. */
static void early(const char *what, void (*prepare)(void), ssize_t (*call)(void),
		  void (*giver)(void))
{
	int interrupted = 0;
	int late = 0;
	int other = 0;
	int n = 0;
	long more =
		0; /* us that this thread needs to get to the call, on a machine with much to do */
	pthread_t t;

	caught = 0;
	give = giver;
	atomic_store(&turn, 0);
	atomic_store(&ended, 0);
	MUST(pthread_create(&t, NULL, give_late, NULL) == 0);
	while (interrupted + late + other < TRIES) {
		int64_t start;
		ssize_t r;

		/* Calls that end at once: the library waits for the next one awake. */
		for (int k = 0; k < 6; k++) {
			prepare();
			giver();
			call();
		}
		prepare();
		start = t_ms();
		atomic_store(&turn, ++n);
		r = disturbed(call, 10 + n % 35 + more);
		inside = 0;
		more = missed ? more * 2 + 5 : more / 2;
		if (more > LATE * 1000 / 4)
			more = LATE * 1000 / 4;
		if (missed)
			; /* this thread did not get to the call in time */
		else if (r < 0 && errno == EINTR)
			interrupted++;
		else if (r >= 0)
			late++;
		else
			other++;
		atomic_store(&ended, n);
		MUST(t_ms() - start < 5000 && caught == n);
		quiet();
	}
	atomic_store(&ended, INT_MAX);
	atomic_store(&turn, n + 1);
	pthread_join(t, NULL);
	printf("%s: interrupted %s, other errors %d\n", what, share(interrupted), other);
}

/* --- the calls ------------------------------------------------------------------------------- */

static char byte;

static void nothing(void)
{
}

static void give_tcp(void)
{
	MUST(write(tcp[1], "x", 1) == 1);
}

static void give_udp(void)
{
	MUST(write(udp[1], "x", 1) == 1);
}

static void give_fifo(void)
{
	MUST(write(fifo[1], "x", 1) == 1);
}

static void give_peer(void)
{
	close(net_connect(&peer));
}

static void give_room(void)
{
	char buf[1 << 16];

	MUST(read(quick, buf, sizeof(buf)) > 0);
}

static ssize_t do_read(void)
{
	return read(tcp[0], &byte, 1);
}

static ssize_t do_recvmsg(void)
{
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	return recvmsg(tcp[0], &m, 0);
}

static ssize_t do_recvfrom(void)
{
	struct sockaddr_in sa;
	socklen_t n = sizeof(sa);

	return recvfrom(udp[0], &byte, 1, 0, (struct sockaddr *)&sa, &n);
}

static ssize_t do_accept(void)
{
	int fd = accept(lfd, NULL, NULL);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static ssize_t do_fifo(void)
{
	return read(fifo[0], &byte, 1);
}

static ssize_t do_write(void)
{
	return write(fifo[1], &byte, 1);
}

/* Until there is no more room for a single byte. */
static void fill(void)
{
	static const char page[4096];

	while (write(quick, page, sizeof(page)) > 0)
		;
	while (write(quick, page, 1) > 0)
		;
}

/* Three bytes are there and five are asked for: what has come counts. */
static ssize_t do_waitall(void)
{
	char buf[8];
	ssize_t r = recv(tcp[0], buf, 8, MSG_WAITALL);

	if (r == 3) {
		errno = EINTR; /* shortened */
		return -1;
	}
	return r;
}

static void give_rest(void)
{
	MUST(write(tcp[1], "rest!", 5) == 5);
}

static void three_bytes(void)
{
	MUST(write(tcp[1], "abc", 3) == 3);
	net_await(tcp[0]);
}

static void without_restart(void)
{
	printf("-- no SA_RESTART\n");
	handler(on_signal, 0);
	early("read", nothing, do_read, give_tcp);
	early("recvmsg", nothing, do_recvmsg, give_tcp);
	early("recvfrom", nothing, do_recvfrom, give_udp);
	early("accept", nothing, do_accept, give_peer);
	early("read of a FIFO", nothing, do_fifo, give_fifo);
	early("recv, part of it", three_bytes, do_waitall, give_rest);
	early("write to a full FIFO", fill, do_write, give_room);
	give_room();
	signal(SIGUSR1, on_signal);
	MUST(siginterrupt(SIGUSR1, 1) == 0);
	early("read, siginterrupt", nothing, do_read, give_tcp);
}

static void with_restart(void)
{
	struct timeval tv = { 5, 0 };

	printf("-- SA_RESTART\n");
	signal(SIGUSR1, on_signal);
	MUST(siginterrupt(SIGUSR1, 0) == 0);
	early("read", nothing, do_read, give_tcp);
	handler(on_signal, SA_RESTART);
	early("read", nothing, do_read, give_tcp);
	early("accept", nothing, do_accept, give_peer);
	/* With a timeout it is never restarted. */
	MUST(setsockopt(udp[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	early("recvfrom with a timeout", nothing, do_recvfrom, give_udp);
	tv.tv_sec = 0;
	MUST(setsockopt(udp[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
}

/* --- a handler that does not come back -------------------------------------------------------- */

static void jumps(void)
{
	char c = 0;

	printf("-- siglongjmp\n");
	handler(on_signal_leave, 0);
	early("read", nothing, do_read, give_tcp);
	MUST(write(tcp[1], "y", 1) == 1);
	SHOW(read(tcp[0], &c, 1));
	printf("%c\n", c);
}

/* --- another thread's signal is none of ours ------------------------------------------------ */

static void *read_one(void *arg)
{
	char c;

	return read(*(int *)arg, &c, 1) == 1 ? arg : NULL;
}

static void others(void)
{
	pthread_t t;
	void *r;

	printf("-- two threads\n");
	handler(on_signal, 0);
	MUST(pthread_create(&t, NULL, read_one, &udp[1]) == 0);
	early("read", nothing, do_read, give_tcp);
	MUST(write(udp[0], "x", 1) == 1);
	pthread_join(t, &r);
	printf("the other thread's read: %s\n", r ? "data" : "failed");
}

/* After a filter the library makes do with fewer system calls. This one allows them all. */
static void confined(void)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &all };

	printf("-- confined\n");
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
	handler(on_signal, 0);
	early("read", nothing, do_read, give_tcp);
	handler(on_signal, SA_RESTART);
	early("read", nothing, do_read, give_tcp);
}

int main(void)
{
	t_start();
	make_timer();
	net_tcp_pair(tcp);
	net_udp_pair(udp);
	lfd = net_listen(&peer);
	MUST(mkfifo(P("fifo"), 0600) == 0);
	fifo[0] = open(P("fifo"), O_RDWR);
	fifo[1] = open(P("fifo"), O_WRONLY);
	quick = open(P("fifo"), O_RDWR | O_NONBLOCK);
	MUST(fifo[0] >= 0 && fifo[1] >= 0);
	without_restart();
	with_restart();
	jumps();
	others();
	confined();
	close(fifo[0]);
	close(fifo[1]);
	close(quick);
	close(lfd);
	close(tcp[0]);
	close(tcp[1]);
	close(udp[0]);
	close(udp[1]);
	MUST(timer_delete(timer) == 0);
	return t_end();
}
