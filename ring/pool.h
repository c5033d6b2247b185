/* SPDX-License-Identifier: MIT */
/*
 * Blocks of an area's pool, in three sizes. The program's private matter: the service never looks
 * at who holds what. They begin at pages and have whole pages, as O_DIRECT wants them; lanes' small
 * blocks are large enough for the transfers that their alignment is good enough for.
 *
 *   who			writes				when
 *   any thread, handler	free: bit 1 -> 0		takes a block (compare and exchange)
 *   who holds the block	free: bit 0 -> 1		gives it back
 *   who takes, who gives	turns				hints: lost updates do no harm
 */
#ifndef VOS_POOL_H
#define VOS_POOL_H

#include "ring/abi.h"

#include <stdbool.h>

#define VOS_CLASSES 3
#define VOS_CLASS_SIZES                         \
	{                                       \
		8u << 10, 64u << 10, 256u << 10 \
	}
#define VOS_POOL_BLOCKS 64u /* of a size at most: a bit for each in one word */

/*
 * Which free block next? The small ones: always the same, it is in the cache. For the larger ones
 * that can be the worst choice: a block that the reader has just copied from is in the reader's
 * cache, and the writer has to take it away from there line by line, which costs some processors
 * thrice what the copy does. If blocks take turns, they have left that cache before it is theirs
 * again. Other processors are faster with one hot block, so each pool finds out: it times uses in
 * both ways now and then. Programs that move little stay with one block, and the others untouched.
 */
struct vos_turns {
	_Atomic uint32_t uses;
	_Atomic uint32_t best[2]; /* ticks of the fastest use in the last trial: hot, in turns */
	_Atomic bool taken;	  /* blocks take turns */
};

struct vos_pool {
	_Atomic uint64_t free[VOS_CLASSES]; /* bit per block */
	struct vos_turns turns[VOS_CLASSES];
	uint32_t base[VOS_CLASSES]; /* offset of the first block in the area */
	uint32_t n[VOS_CLASSES];    /* number of blocks, 0 .. VOS_POOL_BLOCKS */
};

struct vos_block {
	uint32_t off;	/* in the area */
	uint32_t size;	/* 0: none */
	int16_t nr;	/* class * VOS_POOL_BLOCKS + bit, or -1: a lane's small block */
	int8_t trial;	/* index of turns.best[] that this use counts for, or -1 */
	uint64_t since; /* ticks, of a trial */
};

/* @off: where the pool starts in its area, @size: its bytes (at most VOS_POOL_MAX). */
void vos_pool_init(struct vos_pool *p, uint32_t off, uint32_t size);

/*
 * A block of at least @want bytes, or the largest smaller one of at least @min bytes.
 * Returns 0, or -EAGAIN.
 */
int vos_pool_get(struct vos_pool *p, uint32_t want, uint32_t min, struct vos_block *b);
void vos_pool_put(struct vos_pool *p, const struct vos_block *b);
/*
 * Are more blocks of the size of @b, or larger, in use than free? Then who waits for something that
 * may not come for long should give it back meanwhile.
 */
bool vos_pool_scarce(struct vos_pool *p, const struct vos_block *b);

#endif
