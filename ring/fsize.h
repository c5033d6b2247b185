/* SPDX-License-Identifier: MIT */
/*
 * Room in memory files. RLIMIT_FSIZE counts for them, too, and to go beyond it raises SIGXFSZ, which
 * ends most programs. So the soft limit is lifted to the hard one while the library makes a file,
 * and where that is not enough nothing is tried.
 */
#ifndef VOS_FSIZE_H
#define VOS_FSIZE_H

#include "ring/raw.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>

struct vos_fsize {
	struct rlimit64 was;
	bool lifted;
};

/* For a file of @size bytes, until vos_fsize_end(). 0 or -EFBIG. */
static inline long vos_fsize_begin(struct vos_fsize *r, size_t size)
{
	struct rlimit64 most;

	r->lifted = false;
	if (vos_raw4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, &r->was) || size <= r->was.rlim_cur)
		return 0;
	most = (struct rlimit64){ r->was.rlim_max, r->was.rlim_max };
	if (size <= most.rlim_max)
		r->lifted = !vos_raw4(SYS_prlimit64, 0, RLIMIT_FSIZE, &most, 0);
	return r->lifted ? 0 : -EFBIG;
}

static inline void vos_fsize_end(const struct vos_fsize *r)
{
	if (r->lifted)
		vos_raw4(SYS_prlimit64, 0, RLIMIT_FSIZE, &r->was, 0);
}

#endif
