/* SPDX-License-Identifier: MIT */
/* System calls of the engine's hot path: the result or -errno, without libc's detour. */
#ifndef SVCD_SYS_H
#define SVCD_SYS_H

#include "ring/raw.h"

#include <sys/syscall.h>

static inline long sys(long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
	long r = vos_raw(nr, a0, a1, a2, a3, a4, a5);

	vos_refill_returns();
	return r;
}

#endif
