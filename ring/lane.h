/* SPDX-License-Identifier: MIT */
/*
 * Lanes: how one thread's requests go to the service and come back.
 *
 * The thread posts in the order of the slots; the service polls one slot, the one that is posted
 * next. Two things break the order: a signal handler that makes a call while the interrupted call
 * is being filled in, and a slot that is still in use when the ring comes round to it. In both
 * cases the thread kicks: it says where it will go on and rings the doorbell, and the service looks
 * at every slot. A kick is also what wakes a service that no longer polls the lane.
 *
 * Everything in struct vos_lane belongs to the lane's thread (and to signal handlers on top of it,
 * which leave it as they found it); see ring/abi.h for who changes an entry when.
 */
#ifndef VOS_LANE_H
#define VOS_LANE_H

#include "ring/abi.h"

#include <stdbool.h>

struct vos_lane {
	struct vos_entry *slot;	   /* VOS_SLOTS of them */
	_Atomic uint16_t *kick;	   /* our kick word */
	uint32_t tail;		   /* slot that is claimed next */
	uint32_t claimed;	   /* bit per slot: claimed and not yet released */
	uint32_t unposted;	   /* claimed but not posted: > 0 only in a handler */
	bool out_used, in_used;	   /* the small blocks */
	uint16_t index;
	int wake_fd;		   /* eventfd for VOS_WAIT_FD, or -1 */
	_Atomic int owner;	   /* thread id, 0: free */
};

/* Outcome of vos_lane_post(). */
enum vos_post { VOS_POSTED_OK, VOS_POSTED_KICK };

/* Take the next free slot. Returns its number, or -1 when all are in use. */
static inline int vos_lane_claim(struct vos_lane *l, bool *skipped)
{
	uint32_t s = l->tail;

	*skipped = false;
	while (l->claimed & 1u << s) {
		s = (s + 1) & (VOS_SLOTS - 1);
		*skipped = true;
		if (s == l->tail)
			return -1;
	}
	l->claimed |= 1u << s;
	l->tail = (s + 1) & (VOS_SLOTS - 1);
	l->unposted++;
	return (int)s;
}

static inline void vos_lane_kick(struct vos_lane *l)
{
	uint16_t old = atomic_load_explicit(l->kick, memory_order_relaxed);
	uint16_t new;

	do {
		new = (uint16_t)((old & 0xff00) + 0x100) | (uint16_t)l->tail;
		/* Release: the entry is posted before the kick is seen. Pairs with the scan of the
		 * kick words in the service. A loop, since a handler may kick in between. */
	} while (!atomic_compare_exchange_weak_explicit(l->kick, &old, new, memory_order_release,
							memory_order_relaxed));
}

/* Publish a filled slot. VOS_POSTED_KICK: the caller must ring the doorbell. */
static inline enum vos_post vos_lane_post(struct vos_lane *l, int s, bool skipped)
{
	/* Exchange: releases what we filled in (pairs with vos_entry_state), and tells whether the
	 * service went to sleep first (pairs with the exchange in vos_entry_sleep). */
	uint32_t old = atomic_exchange_explicit(&l->slot[s].state, VOS_POSTED, memory_order_acq_rel);
	bool nested;

	l->unposted--;
	nested = l->unposted || l->tail != ((uint32_t)(s + 1) & (VOS_SLOTS - 1));
	if (__builtin_expect(old == VOS_IDLE && !skipped && !nested, 1))
		return VOS_POSTED_OK;
	vos_lane_kick(l);
	return VOS_POSTED_KICK;
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
						       memory_order_acq_rel, memory_order_acquire) ||
	       old != VOS_DONE;
}

/* Give the slot back. */
static inline void vos_lane_release(struct vos_lane *l, int s)
{
	atomic_store_explicit(&l->slot[s].state, VOS_IDLE, memory_order_release);
	l->claimed &= ~(1u << s);
}

/* --- the service's side ---------------------------------------------------------------------- */

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

/* Stop polling the lane at this slot. False: it has been posted meanwhile. */
static inline bool vos_entry_sleep(struct vos_entry *e)
{
	uint32_t old = VOS_IDLE;

	/* Pairs with the exchange in vos_lane_post: one of the two sees the other. */
	return atomic_compare_exchange_strong_explicit(&e->state, &old, VOS_ASLEEP,
						       memory_order_acq_rel, memory_order_acquire) ||
	       old == VOS_ASLEEP;
}

#endif
