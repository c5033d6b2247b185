/* SPDX-License-Identifier: MIT */
/*
 * Blocks of an area's pool, in three sizes, last freed first used so that they stay in the cache.
 * The program's private matter: the service never looks at who holds what.
 *
 * Any number of threads and signal handlers may call both functions at once: each size is a stack
 * of block numbers whose head carries a tag that changes with every change.
 */
#ifndef VOS_POOL_H
#define VOS_POOL_H

#include "ring/abi.h"

#define VOS_CLASSES 3
#define VOS_CLASS_SIZES                         \
	{                                       \
		8u << 10, 64u << 10, 256u << 10 \
	}
#define VOS_POOL_BLOCKS 512u

struct vos_pool {
	_Atomic uint64_t head[VOS_CLASSES];	/* tag << 32 | block + 1 */
	uint32_t base[VOS_CLASSES];		/* offset of the first block in the area */
	uint32_t first[VOS_CLASSES + 1];	/* number of the first block of each size */
	_Atomic uint16_t next[VOS_POOL_BLOCKS]; /* block + 1 below this one */
};

struct vos_block {
	uint32_t off;  /* in the area */
	uint32_t size; /* 0: none */
	int16_t nr;    /* block number, or -1: a lane's small block */
};

/* @off: where the pool starts in its area, @size: its bytes (at most VOS_POOL_MAX). */
void vos_pool_init(struct vos_pool *p, uint32_t off, uint32_t size);

/*
 * A block of at least @want bytes, or the largest smaller one of at least @min bytes.
 * Returns 0, or -EAGAIN.
 */
int vos_pool_get(struct vos_pool *p, uint32_t want, uint32_t min, struct vos_block *b);
void vos_pool_put(struct vos_pool *p, const struct vos_block *b);

#endif
