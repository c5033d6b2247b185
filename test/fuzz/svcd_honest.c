/* SPDX-License-Identifier: MIT */
/*
 * An honest client of svcd, on the rings alone: writes a file and reads it back, with a thread for
 * each of several lanes, for as long as it is told. Whatever other clients do, it must not see an
 * error nor wrong data.
 *
 *	svcd_honest SOCKET DIRECTORY SECONDS [UID]
 *
 * DIRECTORY as svcd sees it. Prints the number of calls and the longest one.
 */
#define _GNU_SOURCE
#include "ring/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS 2
#define BLOCK	4096

static struct vos_chan chan;
static const char *directory;
static uint64_t until;

struct worker {
	pthread_t thread;
	int number;
	uint64_t calls, longest;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what, long r)
{
	fprintf(stderr, "svcd_honest: %s: %s\n", what, r < 0 ? strerror((int)-r) : "wrong");
	_exit(1);
}

/* A request of this thread; blocks are the lane's small ones. */
static long request(struct worker *w, struct vos_lane *l, enum vos_op op, const uint64_t a[5])
{
	uint64_t start = now_ns(), took;
	struct vos_entry *e;
	bool skipped;
	int s = vos_lane_claim(l, &skipped), r;
	long result;

	if (s < 0)
		fail("no slot", 0);
	e = &l->slot[s];
	e->op = (uint16_t)op;
	e->cpu = vos_cpu();
	e->result = (int64_t)VOS_REF_NULL;
	memcpy(e->arg, a, 5 * sizeof(*a));
	e->arg[5] = 0;
	if (vos_lane_post(l, s, skipped) == VOS_POSTED_KICK)
		chan.transport->ring(&chan);
	r = vos_chan_wait(&chan, l, s, w->calls % 2 ? VOS_WAIT_ONCE : VOS_WAIT_RESTART);
	if (r)
		fail("wait", r);
	result = e->result;
	vos_lane_release(l, s);
	took = now_ns() - start;
	if (took > w->longest)
		w->longest = took;
	w->calls++;
	return result;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct vos_lane *l = vos_chan_lane(&chan, gettid(), getpid());
	uint32_t out = VOS_PROGRAM_DATA + l->index * VOS_SMALL;
	uint32_t in = (uint32_t)VOS_SERVICE_DATA(chan.nlanes) + l->index * VOS_SMALL;
	char *to = (char *)chan.program + out, *from = (char *)chan.service + in;
	const uint32_t half = VOS_SMALL / 2;
	long root, r;

	strcpy(to, directory);
	root = request(w, l, VOS_OP_root, (uint64_t[5]){ VOS_REF(out, half) });
	if (root < 0)
		fail("root", root);
	while (now_ns() < until) {
		uint64_t value = w->calls * 0x9e3779b97f4a7c15u, handle;

		sprintf(to, "honest-%d-%d", (int)getpid(), w->number);
		r = request(w, l, VOS_OP_openat,
			    (uint64_t[5]){ VOS_BASE_ROOT((uint64_t)root), VOS_REF(out, half),
					   O_RDWR | O_CREAT, 0600, 0 });
		if (r < 0)
			fail("openat", r);
		handle = (uint64_t)r;
		for (uint64_t i = 0; i < 16; i++) {
			uint64_t off = value % 16 * half;

			memset(to, (int)(value + i), half);
			r = request(w, l, VOS_OP_write,
				    (uint64_t[5]){ handle, VOS_REF(out, half), half, off, 0 });
			if (r != half)
				fail("write", r);
			memset(from, 0, half);
			r = request(w, l, VOS_OP_read,
				    (uint64_t[5]){ handle, VOS_REF(in, half), half, off, 0 });
			if (r != half || memcmp(from, to, half))
				fail("read", r);
			r = request(w, l, VOS_OP_nop, (uint64_t[5]){ 0 });
			if (r)
				fail("nop", r);
		}
		r = request(w, l, VOS_OP_close, (uint64_t[5]){ handle });
		if (r)
			fail("close", r);
	}
	return NULL;
}

static void attach(struct vos_chan *c, const char *where, const uint64_t ticket[2])
{
	struct vos_hello h = { .magic = VOS_MAGIC,
			       .version = VOS_VERSION,
			       .kind = VOS_HELLO_ATTACH,
			       .ticket = { ticket[0], ticket[1] } };
	struct vos_welcome welcome;
	int fd, r;

	c->transport = &vos_transport_unix;
	fd = vos_chan_create(c, THREADS + 1, 1 << 20);
	if (fd < 0)
		fail("channel", fd);
	r = vos_unix_attach(c, fd, where, &h, &welcome);
	if (r)
		fail("attach", r);
	close(fd);
}

/* As a child would: with what we leave for it. */
static void attach_again(const char *where)
{
	static struct vos_chan second;
	struct worker w = { 0 };
	struct vos_lane *l = vos_chan_lane(&chan, getpid(), getpid());
	uint32_t in = (uint32_t)VOS_SERVICE_DATA(chan.nlanes) + l->index * VOS_SMALL;
	long r = request(&w, l, VOS_OP_ticket,
			 (uint64_t[5]){ VOS_REF(in, 16), VOS_TICKET_OWN, VOS_REF_NULL, 0,
					(uint64_t)getpid() });

	if (r < 0)
		fail("ticket", r);
	attach(&second, where, (const uint64_t *)(chan.service + in));
	close(second.bell);
	vos_chan_destroy(&second);
}

int main(int argc, char **argv)
{
	struct worker w[THREADS] = { 0 };
	uint64_t calls = 0, longest = 0;

	if (argc < 4)
		return 2;
	directory = argv[2];
	if (argc > 4 && (setgid((gid_t)atoi(argv[4])) || setuid((uid_t)atoi(argv[4]))))
		fail("setuid", -errno);
	attach(&chan, argv[1], (const uint64_t[2]){ 0, 0 });
	attach_again(argv[1]);
	until = now_ns() + strtoull(argv[3], NULL, 10) * 1000000000u;
	for (int i = 0; i < THREADS; i++) {
		w[i].number = i;
		pthread_create(&w[i].thread, NULL, work, &w[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		calls += w[i].calls;
		longest = w[i].longest > longest ? w[i].longest : longest;
	}
	printf("%lu calls, the longest took %.1f ms\n", calls, (double)longest / 1e6);
	return 0;
}
