/* SPDX-License-Identifier: MIT */
/* Changes of what a fork copies, and forks: either, not both. See change.h. */
#define _GNU_SOURCE
#include "preload/change.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#define PATIENCE_MS 100

static _Atomic int changing;					    /* changes under way */
static _Atomic uint32_t forking;				    /* forks under way */
static __thread int own __attribute__((tls_model("initial-exec"))); /* of this thread's changes */

void vos_change_begin(void)
{
	const struct timespec patience = { 1, 0 };
	uint32_t n;

	for (long r = 0;;) {
		/* Sequentially consistent, as the other pair in vos_changes_stop(): either we see
		 * the fork or it sees us. */
		atomic_fetch_add(&changing, 1);
		n = atomic_load(&forking);
		/* On top of one that we have interrupted: a fork waits for that one anyway. */
		if (likely(!n) || own || r == -ETIMEDOUT)
			break;
		atomic_fetch_sub(&changing, 1);
		r = vos_raw4(SYS_futex, (long)&forking, FUTEX_WAIT_PRIVATE, n, (long)&patience);
	}
	own++;
}

void vos_change_end(void)
{
	own--;
	/* Release: pairs with the load in vos_changes_stop(). */
	atomic_fetch_sub_explicit(&changing, 1, memory_order_release);
}

void vos_changes_stop(void)
{
	const struct timespec t = { 0, 50000 };
	int n;

	atomic_fetch_add(&forking, 1);
	/* Nobody wakes us: they take less than that. Not a sleep, which a filter may not allow. */
	for (int i = 0; (n = atomic_load(&changing)) > own && i < PATIENCE_MS * 20; i++)
		vos_raw4(SYS_futex, (long)&changing, FUTEX_WAIT_PRIVATE, n, (long)&t);
}

void vos_changes_go(void)
{
	/* Release: they see all that we have done. Pairs with the load in vos_change_begin(). */
	if (atomic_fetch_sub_explicit(&forking, 1, memory_order_release) == 1)
		vos_raw3(SYS_futex, (long)&forking, FUTEX_WAKE_PRIVATE, INT_MAX);
}

void vos_changes_forked(void)
{
	atomic_store_explicit(&changing, own, memory_order_relaxed);
	atomic_store_explicit(&forking, 0, memory_order_relaxed);
}
