/* SPDX-License-Identifier: MIT */
/*
 * Lanes: how one thread's requests go to the service and come back.
 *
 * The thread numbers its claims; a claim's slot is its number modulo VOS_SLOTS, and the number
 * travels in the entry's state. The service polls one slot, the one after the newest claim that it
 * has taken. As long as that is where the thread posts, a call needs no system call on either side.
 * Otherwise the thread kicks: it counts up the lane's kick word and rings the doorbell, and the
 * service looks at every slot. It kicks when
 *
 *   - the service has stopped polling the lane: the slot says ASLEEP;
 *   - the call overlaps another one of this thread, that is, a signal handler makes it on top of
 *     the interrupted one, or ran while it was being made: the later claim may be posted first;
 *   - numbers were passed over since the last kick (resync): claims given back, slots in use;
 *   - the slot was in use when the thread's numbers came round to it (resync too): the service may
 *     have gone to rest there, and could not say so.
 *
 * Everything in struct vos_lane belongs to the lane's thread and to signal handlers on top of it,
 * which leave depth and claimed as they found them. (A handler that leaves by longjmp() does not:
 * its thread kicks with every call until one of them finds what was left behind and gives it up,
 * reap() in preload/request.c.) See ring/abi.h for who changes an entry when, and
 * test/model/lane.pml for what has been shown of all this.
 */
#ifndef VOS_LANE_H
#define VOS_LANE_H

#include "ring/abi.h"
#include "ring/pool.h"

#include <stdbool.h>
#include <stddef.h>

/* What a claim holds, for the case that its frame is left by longjmp(). */
struct vos_held {
	const void *frame; /* of the call, on the thread's stack */
	struct vos_block out, in;
};

struct vos_lane {
	struct vos_entry *slot; /* VOS_SLOTS of them */
	_Atomic uint16_t *kick; /* our kick word */
	uint32_t tail;		/* number of the next claim; never goes back behind a posted one */
	uint32_t claimed;	/* bit per slot: claimed and not yet released */
	uint32_t depth;		/* calls between claim and release */
	bool nested;		/* two calls overlapped since the last one began that was alone */
	bool resync;		/* the next post kicks, whatever its slot says */
	bool woke;		/* the last post kicked: the engine may have slept */
	bool out_used, in_used; /* the small blocks */
	uint16_t index;
	int wake_fd;		    /* what a thread polls that waits with VOS_WAIT_FD, or -1 */
	_Atomic uint32_t nudge;	    /* vchan: counts up when the thread is to look again */
	int64_t patience;	    /* vchan: ns that it sleeps next before it looks by itself */
	_Atomic int owner;	    /* thread id, 0: free */
	uint32_t number[VOS_SLOTS]; /* of the claim that has the slot */
	struct vos_held held[VOS_SLOTS];
};

/* What a handler may interrupt happens in the order in which it is written. */
#define VOS_HANDLER_FENCE() atomic_signal_fence(memory_order_seq_cst)

/* Read-modify-writes that a handler cannot cut in two; against other threads they need no lock. */
static inline uint32_t vos_local_inc(uint32_t *p)
{
#if defined(__x86_64__)
	uint32_t old = 1;

	__asm__ volatile("xaddl %0, %1" : "+r"(old), "+m"(*p) : : "memory", "cc");
	return old;
#else
	return __atomic_fetch_add(p, 1, __ATOMIC_RELAXED);
#endif
}

static inline bool vos_local_cas(uint32_t *p, uint32_t old, uint32_t new)
{
#if defined(__x86_64__)
	uint32_t was = old;

	__asm__ volatile("cmpxchgl %2, %1" : "+a"(was), "+m"(*p) : "r"(new) : "memory", "cc");
	return was == old;
#else
	return __atomic_compare_exchange_n(p, &old, new, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
#endif
}

/* Outcome of vos_lane_post(). */
enum vos_post { VOS_POSTED_OK, VOS_POSTED_KICK };

/* Take the next free slot. Returns it, or -1 when all are in use. */
static inline int vos_lane_claim(struct vos_lane *l, bool *skipped)
{
	uint32_t n, s;

	*skipped = false;
	if (__builtin_expect(l->claimed == (1u << VOS_SLOTS) - 1, 0))
		return -1;
	l->depth++;
	VOS_HANDLER_FENCE();
	/* A handler from here on finds depth > 0, and this tells us that it ran. */
	if (l->depth > 1)
		l->nested = true;
	for (;;) {
		n = vos_local_inc(&l->tail);
		s = n % VOS_SLOTS;
		if (__builtin_expect(!(l->claimed & 1u << s), 1))
			break;
		*skipped = true;
		l->resync = true;
	}
	l->held[s].frame = NULL; /* that of the claim before tells nothing of this one */
	VOS_HANDLER_FENCE();
	l->claimed |= 1u << s;
	l->number[s] = n;
	VOS_HANDLER_FENCE();
	return (int)s;
}

static inline void vos_lane_kick(struct vos_lane *l)
{
	/* Release: the entry is posted before the kick is seen. Pairs with the scan of the kick
	 * words in the service. A read-modify-write, since a handler may kick in between. */
	atomic_fetch_add_explicit(l->kick, 1, memory_order_release);
}

/* Publish a filled slot. VOS_POSTED_KICK: the caller must ring the doorbell. */
static inline enum vos_post vos_lane_post(struct vos_lane *l, int s, bool skipped)
{
	uint32_t n = l->number[s];
	/* Exchange: releases what we filled in (pairs with vos_entry_state), and tells whether the
	 * service went to sleep first (pairs with the exchange in vos_entry_sleep). */
	uint32_t old = atomic_exchange_explicit(
		&l->slot[s].state, VOS_POSTED | n << VOS_NUMBER_SHIFT, memory_order_acq_rel);

	VOS_HANDLER_FENCE();
	if (__builtin_expect(
		    old == VOS_IDLE && l->depth == 1 && !l->nested && !l->resync && !skipped, 1))
		return VOS_POSTED_OK;
	/* A handler may have passed numbers over that are later than ours. */
	l->resync = false;
	VOS_HANDLER_FENCE();
	if (l->tail != n + 1)
		l->resync = true;
	vos_lane_kick(l);
	return VOS_POSTED_KICK;
}

static inline void vos_lane_leave(struct vos_lane *l, int s)
{
	VOS_HANDLER_FENCE();
	l->claimed &= ~(1u << s);
	if (l->depth == 1)
		l->nested = false;
	VOS_HANDLER_FENCE();
	l->depth--;
}

/* Give a claim back that was not posted. */
static inline void vos_lane_unclaim(struct vos_lane *l, int s)
{
	/* Its number is used again, or else is a gap: the service must look further. */
	if (!vos_local_cas(&l->tail, l->number[s] + 1, l->number[s]))
		l->resync = true;
	vos_lane_leave(l, s);
}

/* Is @state that of a call of ours that the service has not answered? It may be no other. */
static inline bool vos_lane_posted(const struct vos_lane *l, int s, uint32_t state)
{
	return (state & ~(uint32_t)(VOS_WAIT_FUTEX | VOS_WAIT_FD)) ==
	       (VOS_POSTED | l->number[s] << VOS_NUMBER_SHIFT);
}

static inline bool vos_entry_done(struct vos_entry *e)
{
	/* Acquire: result and data are there. Pairs with vos_entry_complete. */
	return atomic_load_explicit(&e->state, memory_order_acquire) == VOS_DONE;
}

/* Announce that the thread sleeps (@how: VOS_WAIT_FUTEX or VOS_WAIT_FD). False: it is done. */
static inline bool vos_entry_announce(struct vos_entry *e, uint32_t how)
{
	uint32_t old = atomic_load_explicit(&e->state, memory_order_acquire);

	/* Pairs with the exchange in vos_entry_complete: one of the two sees the other. */
	while (old != VOS_DONE)
		if (atomic_compare_exchange_weak_explicit(
			    &e->state, &old, old | how, memory_order_acq_rel, memory_order_acquire))
			return true;
	return false;
}

/* Give back a slot that was posted. (Not done it is on a dead channel only.) */
static inline void vos_lane_release(struct vos_lane *l, int s)
{
	if (__builtin_expect(vos_entry_done(&l->slot[s]), 1))
		atomic_store_explicit(&l->slot[s].state, VOS_IDLE, memory_order_release);
	VOS_HANDLER_FENCE();
	/* The service came round to the slot before it was idle. */
	if (__builtin_expect(l->tail % VOS_SLOTS == (uint32_t)s, 0))
		l->resync = true;
	vos_lane_leave(l, s);
}

/* For a thread that takes a lane over: it belonged to another one, which is gone. */
static inline void vos_lane_adopt(struct vos_lane *l)
{
	l->depth = 0;
	l->nested = false;
	l->resync = true;
	l->out_used = l->in_used = false;
}

/* --- the service's side ---------------------------------------------------------------------- */

/* After taking an entry whose state was @state: *@next is the number expected next. */
static inline void vos_lane_taken(uint32_t state, uint32_t *next)
{
	uint32_t n = state >> VOS_NUMBER_SHIFT;

	if ((int32_t)((n - *next) << VOS_NUMBER_SHIFT) >= 0) /* else one that was overtaken */
		*next = n + 1;
}

/*
 * Has this slot been posted? The caller remembers which ones it has taken. If calls are completed
 * by other threads than the one that takes them, those must forget the slot only after they have
 * completed it, and the taker must ask for that first.
 */
static inline uint32_t vos_entry_state(struct vos_entry *e)
{
	/* Acquire: pairs with the exchange in vos_lane_post. */
	return atomic_load_explicit(&e->state, memory_order_acquire);
}

/* Answer. Returns VOS_WAIT_* bits of a thread that must be woken. */
static inline uint32_t vos_entry_complete(struct vos_entry *e, int64_t result)
{
	uint32_t old;

	e->result = result;
	/* Exchange: releases result and data (pairs with vos_entry_done), and tells whether the
	 * thread announced sleep (pairs with vos_entry_announce). */
	old = atomic_exchange_explicit(&e->state, VOS_DONE, memory_order_acq_rel);
	return old & (VOS_WAIT_FUTEX | VOS_WAIT_FD);
}

/*
 * Stop polling the lane at this slot. False: the slot is in use. Unless it has just been posted,
 * the lane may rest all the same: the thread knows that it comes back to a slot in use (resync).
 */
static inline bool vos_entry_sleep(struct vos_entry *e)
{
	uint32_t old = VOS_IDLE;

	/* Pairs with the exchange in vos_lane_post: one of the two sees the other. */
	return atomic_compare_exchange_strong_explicit(
		       &e->state, &old, VOS_ASLEEP, memory_order_acq_rel, memory_order_acquire) ||
	       old == VOS_ASLEEP;
}

/*
 * Before the lane is polled for the first time, all its slots say ASLEEP. Those that have not been
 * posted meanwhile no longer do: the service looks, and looks at all of them once, after this.
 */
static inline void vos_lane_wake(struct vos_entry *slot)
{
	for (uint32_t s = 0; s < VOS_SLOTS; s++) {
		uint32_t old = VOS_ASLEEP;

		atomic_compare_exchange_strong_explicit(&slot[s].state, &old, VOS_IDLE,
							memory_order_acq_rel, memory_order_relaxed);
	}
}

#endif
