/* SPDX-License-Identifier: MIT */
/*
 * Waiting for an answer: spin while that pays, then sleep.
 *
 * Spinning pays while the answer comes sooner than a sleep and a wake-up take, so each op has an
 * average of how long its answers took, and the limit follows it. Spinning never pays on the CPU
 * that the engine needs: then the CPU is handed over at once.
 *
 * The sleep is the transport's. There are two kinds: one whose restart rule is that of a blocking
 * read, so that a handler with SA_RESTART does not end it, and ppoll(), for calls that no handler
 * may restart.
 */
#define _GNU_SOURCE
#include "ring/chan.h"
#include "ring/raw.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>

#define SPIN_MAX    2000	   /* pauses; about 50 us */
#define SPIN_SLEEPY (SPIN_MAX / 2) /* with an average from here on sleep, after SPIN_MIN */
#define SPIN_MIN    80		   /* tried even if the last answers took longer */
#define SPIN_PROBE  15		   /* every so many calls: try the full window again */

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
	return atomic_load_explicit(&c->sh->cpu, memory_order_relaxed) == vos_cpu();
}

/*
 * What a spin of @i pauses of @limit says about the answers of its op, whose average was @avg. How
 * long an engine took that had to be woken says little: that it was soon enough all the same, or
 * nothing.
 */
static uint32_t learn(uint32_t avg, uint32_t i, uint32_t limit, bool woken)
{
	bool done = i < limit;

	if (!done && (woken || limit == SPIN_MIN)) /* counts: one in SPIN_PROBE + 1 probes again */
		return avg + 1 < SPIN_MAX * 2 ? avg + 1 : SPIN_MAX;
	if (done && woken)
		return avg - avg / 4;
	if (done && avg >= SPIN_SLEEPY) /* what made it slow has gone: a few such are enough */
		return (avg + i) / 2;
	return avg - avg / 8 + (done ? i / 8 : SPIN_MAX / 4);
}

static bool spin(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e)
{
	uint16_t op = *(volatile uint16_t *)&e->op; /* once: the service can write it */
	_Atomic uint16_t *pace = &c->pace[op < VOS_NOPS ? op : 0];
	uint32_t avg = atomic_load_explicit(pace, memory_order_relaxed), i;
	uint32_t limit = avg >= SPIN_SLEEPY && (avg & SPIN_PROBE) != SPIN_PROBE ? SPIN_MIN
										: SPIN_MAX;

	for (i = 0; i < limit; i++) {
		if (vos_entry_done(e))
			break;
		relax();
	}
	avg = learn(avg, i, limit, l->woke);
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

bool vos_chan_spin(struct vos_chan *c, struct vos_lane *l, int s)
{
	struct vos_entry *e = &l->slot[s];

	return engine_on_our_cpu(c) ? yield(e) : spin(c, l, e);
}

int vos_chan_wait(struct vos_chan *c, struct vos_lane *l, int s, enum vos_wait how)
{
	struct vos_waits w = vos_waits(how);

	return vos_chan_spin(c, l, s) ? 0 : vos_chan_sleep(c, l, s, w);
}

__thread struct vos_handled vos_handled;

long vos_sleep_call(struct vos_waits w, long nr, const long a[6])
{
	switch (w.how) {
	case VOS_WAIT_RESTART:
		return vos_interruptible(a[0], a[1], a[2], a[3], a[4], a[5], nr, &vos_handled.hard,
					 w.since.hard);
	case VOS_WAIT_ONCE:
		return vos_interruptible(a[0], a[1], a[2], a[3], a[4], a[5], nr, &vos_handled.any,
					 w.since.any);
	default:
		return vos_raw(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
}

/* Has a sleep ended for handlers with SA_RESTART only? Then the kernel's call would go on. */
static bool goes_on(struct vos_waits *w)
{
	struct vos_handled now = vos_handled;
	bool any = now.any != w->since.any;

	w->since.any = now.any;
	return w->how == VOS_WAIT_RESTART && any && now.hard == w->since.hard;
}

static int sleep_until(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e, uint32_t kind,
		       struct vos_waits w)
{
	while (vos_entry_announce(e, kind)) {
		uint32_t announced = atomic_load_explicit(&e->state, memory_order_acquire);
		long r;

		if (announced == VOS_DONE)
			break;
		if (!vos_chan_alive(c) || !vos_lane_posted(l, (int)(e - l->slot), announced)) {
			vos_chan_kill(c);
			return -ENOLINK;
		}
		r = c->transport->sleep(c, l, e, announced, w);
		if (vos_entry_done(e))
			break;
		if (r == -EINTR && w.how != VOS_WAIT_ALWAYS && !goes_on(&w))
			return -EINTR;
	}
	return 0;
}

int vos_chan_sleep(struct vos_chan *c, struct vos_lane *l, int s, struct vos_waits w)
{
	uint32_t kind;
	int r;

	/* A handler must not empty the descriptor on which the call below it is about to sleep. */
	kind = w.how == VOS_WAIT_ONCE && !c->transport->once && l->depth == 1 &&
			       !c->transport->wake_fd(c, l)
		       ? VOS_WAIT_FD
		       : VOS_WAIT_FUTEX;
	r = sleep_until(c, l, &l->slot[s], kind, w);
	if (c->transport->awake)
		c->transport->awake(c, l, false);
	return r;
}
