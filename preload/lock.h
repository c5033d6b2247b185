/* SPDX-License-Identifier: MIT */
/*
 * Locks for the little that threads change together outside of the fast path. Whoever has one has
 * all signals blocked, so that no handler waits for what its own thread holds; while somebody else
 * has it they are heard.
 */
#ifndef VOS_LOCK_H
#define VOS_LOCK_H

#include "preload/vos.h"

#include <stdatomic.h>

/* False: somebody else has it. @mask: the signals that were blocked before. */
bool vos_try_lock(_Atomic int *l, uint64_t *mask) HIDDEN;
void vos_lock(_Atomic int *l, uint64_t *mask) HIDDEN;
void vos_unlock(_Atomic int *l, const uint64_t *mask) HIDDEN;
/* What vos_lock() does between two tries. */
void vos_lock_pause(void) HIDDEN;

#endif
