/* SPDX-License-Identifier: MIT */
/* futex_waitv(), which headers of today do not all know. */
#ifndef VOS_FUTEX_H
#define VOS_FUTEX_H

#include "ring/raw.h"

#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449 /* Linux 5.16; the same number on every machine */
#endif

struct vos_futex_wait {
	uint64_t val, uaddr;
	uint32_t flags, reserved;
};
#define VOS_FUTEX_32	  2u
#define VOS_FUTEX_PRIVATE 128u

#endif
