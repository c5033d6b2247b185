/* SPDX-License-Identifier: MIT */
/*
 * An honest client of svcd, on the rings alone, for some seconds or until SIGTERM: threads that
 * write files and read them back, and one that waits for what it sends to itself. Whatever other
 * clients do, it must not see an error nor wrong data, nor wait for long.
 *
 *	svcd_honest SOCKET DIRECTORY SECONDS [UID [LONGEST]]
 *
 * DIRECTORY as svcd sees it. LONGEST: milliseconds that a call may take. Prints the number of
 * calls, how long all but one in a thousand took at most, and the longest.
 */
#define _GNU_SOURCE
#include "ring/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WRITERS 2
#define THREADS (WRITERS + 1)
#define BUCKETS 40 /* of times: bucket n has those below 2^n ns */

static struct vos_chan chan;
static const char *directory;
static _Atomic bool over;

struct worker {
	pthread_t thread;
	int number;
	struct vos_lane *l;
	uint32_t out, in; /* blocks: the lane's small ones */
	uint64_t start[VOS_SLOTS];
	uint64_t calls, longest, bucket[BUCKETS];
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

/* --- requests --------------------------------------------------------------------------------- */

static void begin(struct worker *w, int number)
{
	w->number = number;
	w->l = vos_chan_lane(&chan, gettid(), getpid());
	if (!w->l)
		fail("no lane", 0);
	w->out = VOS_PROGRAM_DATA + w->l->index * VOS_SMALL;
	w->in = (uint32_t)VOS_SERVICE_DATA(chan.nlanes) + w->l->index * VOS_SMALL;
}

static char *out_ptr(const struct worker *w)
{
	return (char *)chan.program + w->out;
}

static char *in_ptr(const struct worker *w)
{
	return (char *)chan.service + w->in;
}

static int post(struct worker *w, enum vos_op op, const uint64_t a[6])
{
	struct vos_entry *e;
	bool skipped;
	int s = vos_lane_claim(w->l, &skipped);

	if (s < 0)
		fail("no slot", 0);
	e = &w->l->slot[s];
	e->op = (uint16_t)op;
	e->cpu = vos_cpu();
	e->result = (int64_t)VOS_REF_NULL;
	memcpy(e->arg, a, 6 * sizeof(*a));
	w->start[s] = now_ns();
	if (vos_lane_post(w->l, s, skipped) == VOS_POSTED_KICK)
		chan.transport->ring(&chan);
	return s;
}

static long collect(struct worker *w, int s)
{
	int r = vos_chan_wait(&chan, w->l, s, w->calls % 2 ? VOS_WAIT_ONCE : VOS_WAIT_RESTART);
	uint64_t took = now_ns() - w->start[s];
	long result;

	if (r)
		fail("wait", r);
	result = w->l->slot[s].result;
	vos_lane_release(w->l, s);
	w->longest = took > w->longest ? took : w->longest;
	w->bucket[took ? (64 - __builtin_clzll(took)) % BUCKETS : 0]++;
	w->calls++;
	return result;
}

static long request(struct worker *w, enum vos_op op, const uint64_t a[6])
{
	return collect(w, post(w, op, a));
}

static uint64_t must(const char *what, long r)
{
	if (r < 0)
		fail(what, r);
	return (uint64_t)r;
}

#define ARGS(...) ((const uint64_t[6]){ __VA_ARGS__ })

/* --- files ------------------------------------------------------------------------------------ */

#define BLOCK (VOS_SMALL / 2)

static void write_and_read(struct worker *w, uint64_t handle, uint64_t off, int value)
{
	char *to = out_ptr(w), *from = in_ptr(w);
	const uint64_t out = VOS_REF(w->out, BLOCK), in = VOS_REF(w->in, BLOCK);
	long r;

	memset(to, value, BLOCK);
	r = request(w, VOS_OP_write, ARGS(handle, out, BLOCK, off));
	if (r != BLOCK)
		fail("write", r);
	memset(from, 0, BLOCK);
	r = request(w, VOS_OP_read, ARGS(handle, in, BLOCK, off));
	if (r != BLOCK || memcmp(from, to, BLOCK))
		fail("read", r);
	must("nop", request(w, VOS_OP_nop, ARGS(0)));
}

static void *writer(void *arg)
{
	struct worker *w = arg;
	uint64_t root, handle;

	begin(w, w->number);
	strcpy(out_ptr(w), directory);
	root = must("root", request(w, VOS_OP_root, ARGS(VOS_REF(w->out, BLOCK))));
	while (!over) {
		uint64_t value = w->calls * 0x9e3779b97f4a7c15u;

		sprintf(out_ptr(w), "honest-%d-%d", (int)getpid(), w->number);
		handle = must("openat", request(w, VOS_OP_openat,
						ARGS(VOS_BASE_ROOT(root), VOS_REF(w->out, BLOCK),
						     O_RDWR | O_CREAT, 0600)));
		for (uint64_t i = 0; i < 16; i++)
			write_and_read(w, handle, value % 16 * BLOCK, (int)(value + i));
		must("close", request(w, VOS_OP_close, ARGS(handle)));
	}
	return NULL;
}

/* --- sockets: a call that is parked until another one wakes it -------------------------------- */

static uint64_t socket_to_itself(struct worker *w)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const uint64_t in = VOS_REF(w->in, 64), out = VOS_REF(w->out, sizeof(sa));
	uint64_t handle = must("socket", request(w, VOS_OP_socket, ARGS(AF_INET, SOCK_DGRAM)));

	memcpy(out_ptr(w), &sa, sizeof(sa));
	must("bind", request(w, VOS_OP_bind, ARGS(handle, out, sizeof(sa))));
	must("getsockname", request(w, VOS_OP_getsockname, ARGS(handle, in, 64)));
	memcpy(out_ptr(w), in_ptr(w) + sizeof(uint32_t), sizeof(sa));
	must("connect", request(w, VOS_OP_connect, ARGS(handle, out, sizeof(sa))));
	return handle;
}

static void *waiter(void *arg)
{
	struct worker *w = arg;
	uint64_t handle, value;

	begin(w, w->number);
	handle = socket_to_itself(w);
	for (value = 1; !over; value++) {
		const uint64_t in = VOS_REF(w->in, 64), out = VOS_REF(w->out, sizeof(value));
		int receive = post(w, VOS_OP_recv, ARGS(handle, in, 64));
		long r;

		memcpy(out_ptr(w), &value, sizeof(value));
		r = request(w, VOS_OP_send, ARGS(handle, out, sizeof(value), 0, VOS_REF_NULL, 0));
		if (r != sizeof(value))
			fail("send", r);
		r = collect(w, receive);
		if (r != sizeof(value) || memcmp(in_ptr(w), &value, sizeof(value)))
			fail("recv", r);
	}
	must("close", request(w, VOS_OP_close, ARGS(handle)));
	return NULL;
}

/* --- attaching -------------------------------------------------------------------------------- */

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
	r = vos_unix_attach(c, fd, where, NULL, &h, &welcome);
	if (r)
		fail("attach", r);
	close(fd);
}

/* As a child would: with what we leave for it. */
static void attach_again(const char *where)
{
	static struct vos_chan second;
	struct worker w = { 0 };

	begin(&w, THREADS);
	must("ticket",
	     request(&w, VOS_OP_ticket,
		     ARGS(VOS_REF(w.in, 16), VOS_TICKET_OWN, VOS_REF_NULL, 0, (uint64_t)getpid())));
	attach(&second, where, (const uint64_t *)in_ptr(&w));
	close(second.bell);
	vos_chan_destroy(&second);
}

/* All but one in a thousand calls took less than so many ns. */
static uint64_t usual_time(const struct worker *w, uint64_t calls)
{
	uint64_t left = calls / 1000;

	for (int b = BUCKETS - 1; b > 0; b--) {
		uint64_t n = 0;

		for (int i = 0; i < THREADS; i++)
			n += w[i].bucket[b];
		if (n > left)
			return 1ull << b;
		left -= n;
	}
	return 1;
}

int main(int argc, char **argv)
{
	static struct worker w[THREADS];
	uint64_t calls = 0, longest = 0;
	struct timespec time = { 0 };
	sigset_t term;

	if (argc < 4)
		return 2;
	directory = argv[2];
	if (argc > 4 && (setgid((gid_t)atoi(argv[4])) || setuid((uid_t)atoi(argv[4]))))
		fail("setuid", -errno);
	time.tv_sec = atoi(argv[3]);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	attach(&chan, argv[1], (const uint64_t[2]){ 0, 0 });
	attach_again(argv[1]);
	for (int i = 0; i < THREADS; i++) {
		w[i].number = i;
		pthread_create(&w[i].thread, NULL, i < WRITERS ? writer : waiter, &w[i]);
	}
	sigtimedwait(&term, NULL, &time);
	over = true;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		calls += w[i].calls;
		longest = w[i].longest > longest ? w[i].longest : longest;
	}
	printf("%lu calls, of 1000 all but one below %.2f ms, the longest %.1f ms\n", calls,
	       (double)usual_time(w, calls) / 1e6, (double)longest / 1e6);
	if (argc > 5 && longest > strtoull(argv[5], NULL, 10) * 1000000u) {
		printf("that is more than %s ms\n", argv[5]);
		return 1;
	}
	return 0;
}
