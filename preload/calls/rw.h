/* SPDX-License-Identifier: MIT */
#ifndef VOS_CALLS_RW_H
#define VOS_CALLS_RW_H

#include "preload/vos.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define VOS_RW_MAX 0x7ffff000ul /* what the kernel moves in one call at most */

static inline size_t vos_rw_len(size_t len)
{
	return len < VOS_RW_MAX ? len : VOS_RW_MAX;
}

/*
 * Where no memory of a program can be, on any processor: what names it is refused without a try, as
 * the kernel does.
 */
#define VOS_POINTER_MAX ((1ul << 56) - 4096)
static inline bool vos_beyond(const void *p, size_t n)
{
	return n > VOS_POINTER_MAX || (uintptr_t)p > VOS_POINTER_MAX - n;
}

/* How many bytes a vector has for one call. 0, -EINVAL or -EFAULT. */
long vos_iov_total(const struct iovec *iov, size_t n, size_t *total) HIDDEN;

/*
 * Move data between the program and a remote descriptor. @off: -1 for its own position; @flags:
 * RWF_. Bytes moved or -errno; raises SIGPIPE as the kernel would.
 */
long vos_transfer(uint64_t word, const struct iovec *iov, long n, int64_t off, int flags, bool out,
		  struct vos_waits how) HIDDEN;
/* How a transfer by the descriptor @fd that begins now waits. */
struct vos_waits vos_transfer_waits(long fd, uint64_t word, bool out) HIDDEN;

#endif
