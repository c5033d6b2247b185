/* SPDX-License-Identifier: MIT */
/* For files that export functions. */
#ifndef VOS_WRAP_H
#define VOS_WRAP_H

#include "preload/vos.h"

#include <errno.h>

#define EXPORT __attribute__((visibility("default")))

/* The kernel's result as libc's: -1 and errno. */
static inline long vos_result(long r)
{
	if (unlikely((unsigned long)r > -4096ul)) {
		errno = (int)-r;
		return -1;
	}
	return r;
}

#endif
