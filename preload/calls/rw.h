/* SPDX-License-Identifier: MIT */
#ifndef VOS_CALLS_RW_H
#define VOS_CALLS_RW_H

#include "preload/vos.h"

#include <sys/uio.h>

#define VOS_RW_MAX 0x7ffff000ul /* what the kernel moves in one call at most */

/*
 * Move data between the program and a remote descriptor. @off: -1 for its own position; @flags:
 * RWF_. Bytes moved or -errno; raises SIGPIPE as the kernel would.
 */
long vos_transfer(uint64_t word, const struct iovec *iov, long n, int64_t off, int flags, bool out,
		  struct vos_waits how) HIDDEN;
/* How a transfer by the descriptor @fd that begins now waits. */
struct vos_waits vos_transfer_waits(long fd, uint64_t word, bool out) HIDDEN;

#endif
