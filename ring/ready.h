/* SPDX-License-Identifier: MIT */
/*
 * Ready queue operations.
 *
 *			vos_ready_push	vos_ready_pop
 *   vos_ready_push	yes		yes
 *   vos_ready_pop	yes		yes
 *
 * The queue holds as many lanes as all calls of a program that sleep at once; only those that were
 * answered before their thread slept, and are in it all the same, can be more. A taker that comes
 *so late that some have been overwritten finds that out, and wakes everybody instead.
 */
#ifndef VOS_READY_H
#define VOS_READY_H

#include "ring/abi.h"

#define VOS_READY_LAP(cursor) (((cursor) / VOS_READY_SLOTS + 1) & 0xffffu)

static inline uint32_t vos_ready_value(uint32_t cursor, uint32_t lane)
{
	return VOS_READY_LAP(cursor) << 16 | (lane + 1);
}

/* @tail is the service's own cursor for this queue. */
static inline void vos_ready_push(struct vos_ready *q, _Atomic uint32_t *tail, uint32_t lane)
{
	uint32_t t = atomic_fetch_add_explicit(tail, 1, memory_order_relaxed);

	/* Release: the entry's DONE is seen before its lane. Pairs with the load in vos_ready_pop.
	 */
	atomic_store_explicit(&q->slot[t & (VOS_READY_SLOTS - 1)], vos_ready_value(t, lane),
			      memory_order_release);
}

enum { VOS_READY_EMPTY = -1, VOS_READY_LOST = -2 };

/*
 * @head is the takers' own cursor. Returns a lane (not yet checked), VOS_READY_EMPTY, or
 * VOS_READY_LOST: some were overwritten, anybody's call may be done.
 */
static inline int vos_ready_pop(struct vos_ready *q, _Atomic uint32_t *head)
{
	uint32_t h = atomic_load_explicit(head, memory_order_relaxed), v;
	uint32_t ahead;

	for (;;) {
		v = atomic_load_explicit(&q->slot[h & (VOS_READY_SLOTS - 1)], memory_order_acquire);
		if (!(v & 0xffff))
			return VOS_READY_EMPTY;
		ahead = ((v >> 16) - VOS_READY_LAP(h)) & 0xffff;
		if (ahead >= 0x8000) /* what was there a lap ago */
			return VOS_READY_EMPTY;
		/* Compare and exchange: takers may overlap, each takes what no other has taken. */
		if (atomic_compare_exchange_weak_explicit(
			    head, &h, h + 1 + (ahead ? ahead * VOS_READY_SLOTS : 0),
			    memory_order_relaxed, memory_order_relaxed))
			return ahead ? VOS_READY_LOST : (int)(v & 0xffff) - 1;
	}
}

#endif
