/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "preload/lock.h"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

bool vos_try_lock(_Atomic int *l, uint64_t *mask)
{
	const uint64_t all = ~0ull;

	vos_raw4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)mask, sizeof(all));
	/* Acquire: pairs with vos_unlock(). */
	if (!atomic_exchange_explicit(l, 1, memory_order_acquire))
		return true;
	vos_raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)mask, 0, sizeof(*mask));
	return false;
}

void vos_lock_pause(void)
{
	const struct timespec t = { 0, 100000 };

	vos_raw2(SYS_nanosleep, (long)&t, 0);
}

void vos_lock(_Atomic int *l, uint64_t *mask)
{
	while (!vos_try_lock(l, mask))
		vos_lock_pause();
}

void vos_unlock(_Atomic int *l, const uint64_t *mask)
{
	/* Release: pairs with vos_try_lock(). */
	atomic_store_explicit(l, 0, memory_order_release);
	vos_raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)mask, 0, sizeof(*mask));
}
