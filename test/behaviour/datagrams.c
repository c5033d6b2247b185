/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * Datagrams stay whole, by whatever call they are moved and however many threads wait for some;
 * MSG_WAITALL is for streams.
 */
#include "net.h"
#include <dirent.h>
#include <sys/uio.h>

#define WAITERS 90
#define LARGE	60000

static char out[LARGE + 10000];
static char in[LARGE + 10000];

/* --- each call -------------------------------------------------------------------------------- */

static bool same(long n)
{
	bool good = !memcmp(in, out, (size_t)n);

	memset(in, 0, sizeof(in));
	return good;
}

static void by_each_call(void)
{
	struct iovec to[3] = { { in, 100 }, { in + 100, 0 }, { in + 100, sizeof(in) - 100 } };
	struct iovec from[3] = { { out, 7 }, { out + 7, 0 }, { out + 7, LARGE - 7 } };
	struct iovec none[2] = { { in, 0 }, { in, 0 } };
	int sv[2];

	net_udp_pair(sv);
	SHOW(write(sv[0], out, LARGE));
	SHOW(read(sv[1], in, sizeof(in)));
	SHOW(same(LARGE));
	SHOW(writev(sv[0], from, 3));
	SHOW(readv(sv[1], to, 3));
	SHOW(same(LARGE));
	/* What does not fit is gone. */
	SHOW(write(sv[0], out, 5000));
	SHOW(write(sv[0], "next", 4));
	SHOW(read(sv[1], in, 3000));
	SHOW(same(3000));
	SHOW(read(sv[1], in, 3000));
	SHOW(write(sv[0], out, 65508));
	SHOW(write(sv[0], out, sizeof(out)));
	/* No bytes at all. */
	SHOW(write(sv[0], "", 0));
	SHOW(send(sv[0], "", 0, 0));
	SHOW(writev(sv[0], none, 2));
	SHOW(write(sv[0], "x", 1));
	SHOW(read(sv[1], in, 0));
	SHOW(readv(sv[1], none, 2));
	SHOW(recv(sv[1], in, 10, 0));
	SHOW(recv(sv[1], in, 10, 0));
	SHOW(recv(sv[1], in, 10, 0));
	SHOW(pread(sv[1], in, 1, 0));
	SHOW(pwrite(sv[1], in, 1, 0));
	SHOW(preadv2(sv[1], to, 1, -1, RWF_NOWAIT));
	MUST(write(sv[0], "y", 1) == 1);
	net_await(sv[1]);
	SHOW(preadv2(sv[1], to, 1, -1, RWF_NOWAIT));
	close(sv[0]);
	close(sv[1]);
}

static void *send_later(void *arg)
{
	t_await_sleep(getpid());
	return send(*(int *)arg, "fgh", 3, 0) == 3 ? arg : NULL;
}

static void wait_for_all(void)
{
	pthread_t t;
	int udp[2];
	int tcp[2];

	net_udp_pair(udp);
	net_tcp_pair(tcp);
	MUST(send(udp[0], "abc", 3, 0) == 3 && send(udp[0], "de", 2, 0) == 2);
	SHOW(recv(udp[1], in, 5, MSG_WAITALL));
	SHOW(recv(udp[1], in, 5, MSG_WAITALL));
	MUST(send(tcp[0], "abcde", 5, 0) == 5);
	MUST(pthread_create(&t, NULL, send_later, &tcp[0]) == 0);
	SHOW(recv(tcp[1], in, 8, MSG_WAITALL | MSG_PEEK));
	pthread_join(t, NULL);
	SHOW(recv(tcp[1], in, 9, MSG_WAITALL | MSG_PEEK | MSG_DONTWAIT));
	MUST(shutdown(tcp[0], SHUT_WR) == 0);
	SHOW(recv(tcp[1], in, 9, MSG_WAITALL | MSG_PEEK));
	SHOW(recv(tcp[1], in, 9, MSG_WAITALL));
	SHOW(recv(tcp[1], in, 9, MSG_WAITALL | MSG_PEEK));
	close(udp[0]);
	close(udp[1]);
	close(tcp[0]);
	close(tcp[1]);
}

/* --- many that wait --------------------------------------------------------------------------- */

struct waiter {
	pthread_t thread;
	int sv[2];
	bool stream;
	char *buf;
	ssize_t got;
	_Atomic pid_t tid;
};

static void *wait_long(void *arg)
{
	struct waiter *w = arg;

	w->tid = gettid();
	w->got = w->stream ? read(w->sv[1], w->buf, LARGE) : recv(w->sv[1], w->buf, LARGE, 0);
	return NULL;
}

static int count_names(void)
{
	DIR *d = opendir(P(""));
	int n = 0;

	MUST(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* While they all wait with large buffers, others get what they ask for. */
static void many(void)
{
	static struct waiter w[WAITERS];
	int good = 0;
	int sv[2];

	net_udp_pair(sv);
	for (int i = 0; i < WAITERS; i++) {
		w[i].stream = i % 3 == 0;
		if (w[i].stream)
			net_tcp_pair(w[i].sv);
		else
			net_udp_pair(w[i].sv);
		w[i].buf = malloc(LARGE);
		MUST(pthread_create(&w[i].thread, NULL, wait_long, &w[i]) == 0);
	}
	for (int i = 0; i < WAITERS; i++) {
		while (!w[i].tid)
			t_sleep_ms(1);
		t_await_sleep(w[i].tid);
	}
	for (int i = 0; i < 20; i++) {
		MUST(send(sv[0], out, LARGE, 0) == LARGE);
		good += read(sv[1], in, sizeof(in)) == LARGE && same(LARGE);
		MUST(write(sv[0], out, LARGE) == LARGE);
		good += recv(sv[1], in, sizeof(in), 0) == LARGE && same(LARGE);
	}
	printf("%d of 40 whole\n", good);
	t_put(P("large"), out, sizeof(out));
	t_cat("large", P("large"));
	printf("%d names\n", count_names());
	good = 0;
	for (int i = 0; i < WAITERS; i++)
		MUST(send(w[i].sv[0], out + i, LARGE / 2, 0) == LARGE / 2);
	for (int i = 0; i < WAITERS; i++) {
		pthread_join(w[i].thread, NULL);
		/* A stream may come in parts. */
		good += (w[i].stream ? w[i].got > 0 : w[i].got == LARGE / 2) &&
			!memcmp(w[i].buf, out + i, (size_t)w[i].got);
		free(w[i].buf);
		close(w[i].sv[0]);
		close(w[i].sv[1]);
	}
	printf("%d of %d waited well\n", good, WAITERS);
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	t_start();
	t_fill(out, sizeof(out), 3);
	by_each_call();
	wait_for_all();
	many();
	return t_end();
}
