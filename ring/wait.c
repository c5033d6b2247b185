/* SPDX-License-Identifier: MIT */
/*
 * Waiting for an answer: spin while that pays, then sleep.
 *
 * Spinning pays while the answer comes sooner than a sleep and a wake-up take, so each op has an
 * average of how long its answers took, and the limit follows it. Spinning never pays on the CPU
 * that the engine needs: then the CPU is handed over at once.
 *
 * The sleep is futex_waitv() on two words: the entry, and the guard that the kernel changes when
 * the service dies. Its restart rule is just that of a blocking read: a handler with SA_RESTART
 * does not end it. Calls that no handler may restart sleep in ppoll() on a wake descriptor instead.
 *
 * A service that has scribbled over the guard dies unnoticed by those who sleep on it. So now and
 * then a sleeper looks whether the connection has been hung up, which no service can hide.
 */
#define _GNU_SOURCE
#include "ring/chan.h"
#include "ring/raw.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

struct waitv {
	uint64_t val, uaddr;
	uint32_t flags, reserved;
};
#define WAITV_32 2

#define DOUBT_S 30

#define SPIN_MAX   2000 /* pauses; about 50 us */
#define SPIN_MIN   80	/* tried even if the last answers took longer */
#define SPIN_PROBE 31	/* every so many calls: try the full window again */

/* glibc registers restartable sequences since 2.35; their area tells the CPU at the cost of a load.
 */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

uint8_t vos_cpu(void)
{
	if (&__rseq_size && __rseq_size) {
		const char *tp = __builtin_thread_pointer();

		return (uint8_t) * (const volatile uint32_t *)(tp + __rseq_offset + 4);
	}
	return 255;
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

static bool engine_on_our_cpu(struct vos_chan *c)
{
	return (uint8_t)atomic_load_explicit(&c->sh->cpu, memory_order_relaxed) == vos_cpu();
}

static bool spin(struct vos_chan *c, struct vos_entry *e)
{
	uint16_t op = *(volatile uint16_t *)&e->op; /* once: the service can write it */
	_Atomic uint16_t *pace = &c->pace[op < VOS_NOPS ? op : 0];
	uint32_t avg = atomic_load_explicit(pace, memory_order_relaxed);
	uint32_t limit = avg < SPIN_MAX / 2 ? SPIN_MAX : SPIN_MIN, i;

	if (limit == SPIN_MIN && (avg & SPIN_PROBE) == SPIN_PROBE)
		limit = SPIN_MAX;
	for (i = 0; i < limit; i++) {
		if (vos_entry_done(e))
			break;
		relax();
	}
	if (i == limit && limit == SPIN_MIN) /* count, so that one in SPIN_PROBE + 1 probes again */
		avg = avg + 1 < SPIN_MAX * 2 ? avg + 1 : SPIN_MAX;
	else
		avg = avg - avg / 8 + (i < limit ? i / 8 : SPIN_MAX / 4);
	atomic_store_explicit(pace, (uint16_t)avg, memory_order_relaxed);
	return i < limit;
}

bool vos_chan_confined;

/* Both sides on one CPU: let the engine have it. */
static bool yield(struct vos_entry *e)
{
	if (vos_chan_confined)
		return false;
	for (int i = 0; i < 2; i++) {
		vos_raw0(SYS_sched_yield);
		if (vos_entry_done(e))
			return true;
	}
	return false;
}

static void look_at_bell(struct vos_chan *c)
{
	const struct timespec none = { 0, 0 };
	struct pollfd p = { c->bell, 0, 0 };
	struct timespec now;

	if (vos_raw5(SYS_ppoll, (long)&p, 1, (long)&none, 0, 8) > 0)
		vos_chan_kill(c);
	vos_raw2(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now);
	atomic_store_explicit(&c->doubt, now.tv_sec + DOUBT_S, memory_order_relaxed);
}

static long sleep_futex(struct vos_chan *c, struct vos_entry *e, uint32_t announced)
{
	struct waitv v[2] = {
		{ announced, (uintptr_t)&e->state, WAITV_32, 0 },
		{ c->guard, (uintptr_t)&c->sh->guard, WAITV_32, 0 },
	};
	struct timespec until = { atomic_load_explicit(&c->doubt, memory_order_relaxed), 0 };
	long r = vos_chan_confined
			 ? -ENOSYS
			 : vos_raw5(SYS_futex_waitv, (long)v, 2, 0, (long)&until, CLOCK_MONOTONIC);

	if (r == -ETIMEDOUT)
		look_at_bell(c);
	if (r == -ENOSYS) { /* before Linux 5.16, or a filter: look at the guard now and then */
		struct timespec t = { 0, 50000000 };

		r = vos_raw6(SYS_futex, (long)&e->state, FUTEX_WAIT, announced, (long)&t, 0, 0);
	}
	return r;
}

static long sleep_fd(struct vos_chan *c, struct vos_lane *l)
{
	struct pollfd p[2] = { { l->wake_fd, POLLIN, 0 }, { c->bell, 0, 0 } };
	long r = vos_chan_confined ? vos_raw3(SYS_poll, (long)p, 2, -1)
				   : vos_raw5(SYS_ppoll, (long)p, 2, 0, 0, 8);
	uint64_t n;

	if (p[0].revents)
		vos_raw3(SYS_read, l->wake_fd, (long)&n, sizeof(n));
	if (r > 0 && p[1].revents & (POLLHUP | POLLERR))
		vos_chan_kill(c);
	return r;
}

bool vos_chan_spin(struct vos_chan *c, struct vos_lane *l, int s)
{
	struct vos_entry *e = &l->slot[s];

	return engine_on_our_cpu(c) ? yield(e) : spin(c, e);
}

int vos_chan_wait(struct vos_chan *c, struct vos_lane *l, int s, enum vos_wait how)
{
	return vos_chan_spin(c, l, s) ? 0 : vos_chan_sleep(c, l, s, how);
}

int vos_chan_sleep(struct vos_chan *c, struct vos_lane *l, int s, enum vos_wait how)
{
	struct vos_entry *e = &l->slot[s];
	uint32_t announce;

	/* A handler must not empty the descriptor on which the call below it is about to sleep. */
	announce = how == VOS_WAIT_ONCE && l->depth == 1 && !c->transport->wake_fd(c, l)
			   ? VOS_WAIT_FD
			   : VOS_WAIT_FUTEX;
	while (vos_entry_announce(e, announce)) {
		uint32_t announced = atomic_load_explicit(&e->state, memory_order_acquire);
		long r;

		if (announced == VOS_DONE)
			break;
		if (!vos_chan_alive(c) || !vos_lane_posted(l, s, announced)) {
			vos_chan_kill(c);
			return -ENOLINK;
		}
		/* Announced for another kind of sleep before (a cancelled call): both are woken. */
		if (announced & VOS_WAIT_FUTEX)
			r = sleep_futex(c, e, announced);
		else
			r = sleep_fd(c, l);
		if (vos_entry_done(e))
			break;
		if (r == -EINTR && how != VOS_WAIT_ALWAYS)
			return -EINTR;
	}
	return 0;
}
