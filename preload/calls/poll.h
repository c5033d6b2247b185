/* SPDX-License-Identifier: MIT */
#ifndef VOS_CALLS_POLL_H
#define VOS_CALLS_POLL_H

#include "preload/many.h"

/*
 * poll() for members of any kind; @ns: timeout, VOS_FOREVER. The number of members with revents, or
 * -errno.
 */
long vos_poll(struct pollfd *p, unsigned n, int64_t ns, const struct vos_mask *mask) HIDDEN;

/* Is any member not simply a local descriptor? */
bool vos_poll_remote(const struct pollfd *p, unsigned n) HIDDEN;

/* Memory for one call, beyond what the stack should hold. NULL when there is none. */
void *vos_call_memory(size_t size) HIDDEN;
void vos_call_memory_end(void *p, size_t size) HIDDEN;

#endif
