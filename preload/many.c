/* SPDX-License-Identifier: MIT */
/*
 * One sleep for requests and local descriptors: the kernel's ppoll() on the descriptors, and for
 * each request on what its channel's transport wants to be polled: what tells of its answer, and of
 * the service's death. The order is that of every sleep: announce it in the entry, then go to
 * sleep; an answer in between finds the announcement.
 *
 * What wakes us may have been meant for an earlier request, so being woken means nothing until an
 * entry says that it is done.
 */
#define _GNU_SOURCE
#include "preload/epoll.h"
#include "preload/many.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>

#define SLICE_NS    10000000   /* without a wake descriptor: look now and then */
#define CONFINED_NS 1000000000 /* confined, nobody wakes us when a channel ends */
#define NS_PER_S    1000000000ll

int64_t vos_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t); /* no system call, and not one that we wrap */
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t vos_deadline(int64_t ns)
{
	int64_t now;

	if (ns == VOS_FOREVER)
		return ns;
	now = vos_now();
	return ns < INT64_MAX - now ? now + ns : INT64_MAX;
}

int64_t vos_left(int64_t deadline)
{
	int64_t left;

	if (deadline == VOS_FOREVER)
		return deadline;
	left = deadline - vos_now();
	return left > 0 ? left : 0;
}

long vos_timeout(const struct timespec *t, int64_t *ns)
{
	*ns = VOS_FOREVER;
	if (!t)
		return 0;
	if (t->tv_sec < 0 || (unsigned long)t->tv_nsec >= NS_PER_S)
		return -EINVAL;
	if (t->tv_sec < INT64_MAX / NS_PER_S)
		*ns = t->tv_sec * NS_PER_S + t->tv_nsec;
	return 0;
}

void vos_many_post(struct vos_many *m, unsigned d)
{
	m->posted |= 1u << d;
	vos_req_post(&m->q[d]);
}

/* The next domain with a request, after @d; -1: none. */
static int next_posted(const struct vos_many *m, int d)
{
	unsigned left = m->posted & (~0u << (d + 1));

	return left ? __builtin_ctz(left) : -1;
}

bool vos_many_done(const struct vos_many *m)
{
	for (int d = next_posted(m, -1); d >= 0; d = next_posted(m, d))
		if (vos_entry_done(m->q[d].e) || !vos_chan_alive(m->q[d].c))
			return true;
	return false;
}

/* The time that it pays to look is known for one answer at a time. */
bool vos_many_spin(const struct vos_many *m)
{
	const struct vos_req *q;

	if (__builtin_popcount(m->posted) != 1)
		return vos_many_done(m);
	q = &m->q[next_posted(m, -1)];
	return vos_chan_spin(q->c, q->l, q->slot & (int)(VOS_SLOTS - 1));
}

void vos_many_finish(struct vos_many *m)
{
	for (int d = next_posted(m, -1); d >= 0; d = next_posted(m, d)) {
		struct vos_req *q = &m->q[d];

		vos_chan_wait(q->c, q->l, q->slot & (int)(VOS_SLOTS - 1), VOS_WAIT_ALWAYS);
	}
}

/* Has the service left the entry as it may? */
static bool is_ours(const struct vos_req *q)
{
	uint32_t state = atomic_load_explicit(&q->e->state, memory_order_relaxed);

	return state == VOS_DONE || vos_lane_posted(q->l, q->slot & (int)(VOS_SLOTS - 1), state);
}

/* Announce the sleep in every entry. False: one of them is done already. */
static bool announce(struct vos_many *m)
{
	bool all = true;

	for (int d = next_posted(m, -1); d >= 0; d = next_posted(m, d)) {
		struct vos_req *q = &m->q[d];

		/* On top of another call: it may be about to sleep there, and must not miss
		 * it. */
		m->has_fd[d] = q->l->depth == 1 && !q->c->transport->wake_fd(q->c, q->l);
		if (m->has_fd[d] && !vos_entry_announce(q->e, VOS_WAIT_FD))
			all = false;
		if (!vos_chan_alive(q->c) || !is_ours(q)) {
			vos_chan_kill(q->c);
			all = false;
		}
	}
	return all;
}

/* What is to be polled for the requests. Returns for how long at most, -1: no matter. */
static int64_t arrange(struct vos_many *m, struct pollfd *p)
{
	int64_t least = -1;

	for (int d = next_posted(m, -1); d >= 0; d = next_posted(m, d)) {
		struct vos_req *q = &m->q[d];
		int64_t ns = SLICE_NS;

		p[0].fd = p[1].fd = -1;
		if (m->has_fd[d])
			ns = q->c->transport->poll(q->c, q->l, q->e, p);
		if (ns >= 0 && (least < 0 || ns < least))
			least = ns;
		p += 2;
	}
	return least;
}

/* What became of the descriptors of ours: how many of them were ready. */
static unsigned heed(struct vos_many *m, struct pollfd *p)
{
	unsigned ours = 0;

	for (int d = next_posted(m, -1); d >= 0; d = next_posted(m, d)) {
		if (m->has_fd[d])
			ours += m->q[d].c->transport->polled(m->q[d].c, m->q[d].l, m->q[d].e, p);
		p += 2;
	}
	return ours;
}

static void awake(struct vos_many *m, bool cut)
{
	for (int d = next_posted(m, -1); d >= 0; d = next_posted(m, d))
		if (m->q[d].c->transport->awake)
			m->q[d].c->transport->awake(m->q[d].c, m->q[d].l, cut);
}

/* Rounded up: not before the time. */
static int to_ms(int64_t ns)
{
	if (ns < 0)
		return -1;
	return ns < INT32_MAX * 1000000ll ? (int)((ns + 999999) / 1000000) : INT32_MAX;
}

/* Not inlined: its caller keeps a place to unwind to, and no value that may change after it. */
__attribute__((noinline)) long vos_ppoll(struct pollfd *p, unsigned n, int64_t ns,
					 const struct vos_mask *mask)
{
	struct timespec t = { ns / NS_PER_S, ns % NS_PER_S };

	if (unlikely(vos_chan_confined) && !mask) /* a filter may not know ppoll */
		return vos_raw3(SYS_poll, (long)p, n, to_ms(ns));
	return vos_raw5(SYS_ppoll, (long)p, n, ns < 0 ? 0 : (long)&t, mask ? (long)mask->set : 0,
			mask ? (long)mask->size : 0);
}

/* All but those that a fault of our own would raise. */
#define BIT(sig) (1ull << ((sig)-1))
#define HELD \
	(~(BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGILL) | BIT(SIGFPE) | BIT(SIGTRAP) | BIT(SIGSYS)))

const struct vos_mask *vos_hold_signals(struct vos_hold *h, const struct vos_mask *mask)
{
	const uint64_t held = HELD;

	h->on = !vos_chan_confined && !vos_raw4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&held,
						(long)&h->before, sizeof(held));
	if (!h->on || mask)
		return mask;
	h->mask = (struct vos_mask){ &h->before, sizeof(h->before) };
	return &h->mask;
}

void vos_release_signals(const struct vos_hold *h)
{
	if (h->on)
		vos_raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&h->before, 0, sizeof(h->before));
}

/* The thread ends: no request of its may be left behind. */
static void give_up(void *arg)
{
	struct vos_many *m = arg;

	awake(m, true);
	for (int d = next_posted(m, -1); d >= 0; d = next_posted(m, d)) {
		vos_req_collect(&m->q[d]);
		vos_req_end(&m->q[d]);
	}
	if (m->key >= 0)
		vos_epoll_leave(m->key);
}

static long cancellable_ppoll(struct vos_many *m, struct pollfd *p, unsigned n, int64_t ns,
			      const struct vos_mask *mask)
{
	volatile long r;
	int old;

	if (likely(__libc_single_threaded))
		return vos_ppoll(p, n, ns, mask);
	pthread_cleanup_push(give_up, m);
	/* What libc does around its own: cancellation may strike while the thread is blocked. */
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	r = vos_ppoll(p, n, ns, mask);
	pthread_setcanceltype(old, &old);
	pthread_cleanup_pop(0);
	return r;
}

/*
 * The limit of descriptors, which is that of a set to poll as well, has no room for what is ours in
 * the set. So one after the other, and the sleep is on the one that most of the news come by.
 */
static long poll_singly(struct pollfd *p, unsigned n, unsigned extra, int64_t ns,
			const struct vos_mask *mask)
{
	int64_t slice = n || extra > 2 || p[n].fd < 0 ? SLICE_NS : CONFINED_NS;
	long ready = 0, r;

	for (unsigned i = 0; i < n + extra; i++) {
		p[i].revents = 0;
		ready += vos_ppoll(&p[i], 1, 0, NULL) > 0;
	}
	if (ready)
		return ready;
	if (ns < 0 || ns > slice)
		ns = slice;
	r = vos_ppoll(&p[n], 1, ns, mask);
	return r == -EINVAL ? vos_ppoll(NULL, 0, ns < SLICE_NS ? ns : SLICE_NS, mask) : r;
}

static long sleep_until(struct vos_many *m, struct pollfd *p, unsigned n, int64_t deadline,
			const struct vos_mask *mask)
{
	unsigned extra = 2 * (unsigned)__builtin_popcount(m->posted);

	if (!announce(m))
		return n ? vos_ppoll(p, n, 0, NULL) : 0;
	for (;;) {
		int64_t most = arrange(m, p + n);
		int64_t left = vos_left(deadline), ns = left;
		long r;

		if (vos_chan_confined && (most < 0 || most > CONFINED_NS))
			most = CONFINED_NS;
		if (most >= 0 && (left < 0 || left > most))
			ns = most;
		r = cancellable_ppoll(m, p, n + extra, ns, mask);
		if (unlikely(r == -EINVAL))
			r = poll_singly(p, n, extra, ns, mask);
		if (r < 0)
			return r;
		r -= heed(m, p + n);
		if (r || vos_many_done(m) || (ns == left && left >= 0 && !vos_left(deadline)))
			return r;
	}
}

long vos_many_sleep(struct vos_many *m, struct pollfd *p, unsigned n, int64_t deadline,
		    const struct vos_mask *mask)
{
	long r = sleep_until(m, p, n, deadline, mask);

	awake(m, false);
	return r;
}
