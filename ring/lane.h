/* SPDX-License-Identifier: MIT */
/*
 * Lanes: how one thread's requests go to the service and come back.
 *
 * The thread numbers its claims; a claim's slot is its number modulo VOS_SLOTS, and the number
 * travels in the entry. The service polls one slot, the one after the newest claim that it has taken.
 * Three things break the order: a signal handler that makes a call while the interrupted one is on
 * its way (the later claim may be posted first), a slot that is still in use when the ring comes
 * round to it (its number is skipped), and a claim given back. In these cases the thread kicks: it
 * counts up the lane's kick word and rings the doorbell, and the service looks at every slot. A kick
 * is also what wakes a service that no longer polls the lane.
 *
 * Everything in struct vos_lane belongs to the lane's thread (and to signal handlers on top of it,
 * which leave it as they found it); see ring/abi.h for who changes an entry when.
 */
#ifndef VOS_LANE_H
#define VOS_LANE_H

#include "ring/abi.h"

#include <stdbool.h>

struct vos_lane {
	struct vos_entry *slot; /* VOS_SLOTS of them */
	_Atomic uint16_t *kick; /* our kick word */
	uint32_t tail;		/* number of the next claim */
	uint32_t claimed;	/* bit per slot: claimed and not yet released */
	uint32_t depth;		/* calls between claim and release */
	bool nested;		/* two calls overlapped since the last one began that was alone */
	bool resync;		/* the next post kicks, whatever its slot says */
	bool out_used, in_used; /* the small blocks */
	uint16_t index;
	int wake_fd;	   /* our end of the socket for VOS_WAIT_FD, or -1 */
	_Atomic int owner; /* thread id, 0: free */
};

/* What a handler may interrupt happens in the order in which it is written. */
#define VOS_HANDLER_FENCE() atomic_signal_fence(memory_order_seq_cst)

/* Outcome of vos_lane_post(). */
enum vos_post { VOS_POSTED_OK, VOS_POSTED_KICK };

/* Take the next free slot. Returns it, or -1 when all are in use. */
static inline int vos_lane_claim(struct vos_lane *l, bool *skipped)
{
	uint32_t t, end;

	l->depth++;
	VOS_HANDLER_FENCE();
	/* A handler from here on finds depth > 0, and this tells us that it ran. */
	if (l->depth > 1)
		l->nested = true;
	t = l->tail;
	end = t + VOS_SLOTS;
	*skipped = false;
	while (l->claimed & 1u << t % VOS_SLOTS) {
		*skipped = true;
		if (++t == end) {
			l->depth--;
			return -1;
		}
	}
	l->claimed |= 1u << t % VOS_SLOTS;
	l->tail = t + 1;
	l->slot[t % VOS_SLOTS].seq = (uint8_t)t;
	VOS_HANDLER_FENCE();
	return (int)(t % VOS_SLOTS);
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
	/* Exchange: releases what we filled in (pairs with vos_entry_state), and tells whether the
	 * service went to sleep first (pairs with the exchange in vos_entry_sleep). */
	uint32_t old =
		atomic_exchange_explicit(&l->slot[s].state, VOS_POSTED, memory_order_acq_rel);

	VOS_HANDLER_FENCE();
	if (__builtin_expect(
		    old == VOS_IDLE && l->depth == 1 && !l->nested && !l->resync && !skipped, 1))
		return VOS_POSTED_OK;
	l->resync = false;
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
	/* Its number is a gap: the service must look further. */
	l->resync = true;
	vos_lane_leave(l, s);
}

static inline bool vos_entry_done(struct vos_entry *e)
{
	/* Acquire: result and data are there. Pairs with vos_entry_complete. */
	return atomic_load_explicit(&e->state, memory_order_acquire) == VOS_DONE;
}

/* Announce that the thread sleeps (@how: VOS_WAIT_FUTEX or VOS_WAIT_FD). False: it is done. */
static inline bool vos_entry_announce(struct vos_entry *e, uint32_t how)
{
	uint32_t old = VOS_POSTED;

	/* Pairs with the exchange in vos_entry_complete: one of the two sees the other. */
	return atomic_compare_exchange_strong_explicit(&e->state, &old, VOS_POSTED | how,
						       memory_order_acq_rel,
						       memory_order_acquire) ||
	       old != VOS_DONE;
}

/* Give back a slot that was posted. (Not done it is on a dead channel only.) */
static inline void vos_lane_release(struct vos_lane *l, int s)
{
	if (__builtin_expect(vos_entry_done(&l->slot[s]), 1))
		atomic_store_explicit(&l->slot[s].state, VOS_IDLE, memory_order_release);
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

/* After taking an entry with number @seq: *@next is the number expected next. */
static inline void vos_lane_taken(uint8_t seq, uint8_t *next)
{
	if ((int8_t)(uint8_t)(seq - *next) >= 0) /* else an older claim that was overtaken */
		*next = (uint8_t)(seq + 1);
}

/* Has this slot been posted? The caller remembers which ones it has taken. */
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
 * Stop polling the lane at this slot. False: the slot is in use. Then either it has been posted
 * meanwhile, or it was in use when the thread's ring came round to it: the thread knows that too,
 * and its next post kicks.
 */
static inline bool vos_entry_sleep(struct vos_entry *e)
{
	uint32_t old = VOS_IDLE;

	/* Pairs with the exchange in vos_lane_post: one of the two sees the other. */
	return atomic_compare_exchange_strong_explicit(
		       &e->state, &old, VOS_ASLEEP, memory_order_acq_rel, memory_order_acquire) ||
	       old == VOS_ASLEEP;
}

/* A kick says that this slot is next. False: it is no longer, or will be kicked for again. */
static inline bool vos_entry_unsleep(struct vos_entry *e)
{
	uint32_t old = VOS_ASLEEP;

	return atomic_compare_exchange_strong_explicit(&e->state, &old, VOS_IDLE,
						       memory_order_acq_rel, memory_order_relaxed);
}

#endif
