/* SPDX-License-Identifier: MIT */
/*
 * Ready queue operations.
 *
 *			vos_ready_push	vos_ready_pop
 *   vos_ready_push	yes		yes
 *   vos_ready_pop	yes		no (one taker at a time)
 *
 * The queue cannot overflow with an honest program (a lane is in it at most as often as calls of
 * that lane sleep). If a program sleeps more often than there are slots it loses its own wake-ups.
 */
#ifndef VOS_READY_H
#define VOS_READY_H

#include "ring/abi.h"

static inline uint32_t vos_ready_value(uint32_t cursor, uint32_t lane)
{
	return (cursor / VOS_READY_SLOTS + 1) << 16 | (lane + 1);
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

/* @head is the taker's own cursor. Returns a lane (not yet checked), or -1 when empty. */
static inline int vos_ready_pop(struct vos_ready *q, uint32_t *head)
{
	uint32_t v =
		atomic_load_explicit(&q->slot[*head & (VOS_READY_SLOTS - 1)], memory_order_acquire);

	if (v >> 16 != ((*head / VOS_READY_SLOTS + 1) & 0xffff) || !(v & 0xffff))
		return -1;
	++*head;
	return (int)(v & 0xffff) - 1;
}

#endif
