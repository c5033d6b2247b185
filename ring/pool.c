/* SPDX-License-Identifier: MIT */
#include "ring/pool.h"

#include <errno.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static const uint32_t class_size[VOS_CLASSES] = VOS_CLASS_SIZES;
/* Sixteenths of the pool; one that is short of blocks has more of the smallest. */
static const uint32_t class_share[2][VOS_CLASSES] = { { 1, 8, 7 }, { 4, 5, 7 } };
#define SHORT	(1u << 20)
#define LARGEST (VOS_CLASSES - 1)

/* A trial follows so many uses of one hot block, and the next one so many uses later. */
#define FIRST_TRIAL 512u
#define NEXT_TRIAL  16384u
#define HOT_USES    64u /* of a trial, the second half is timed; then all blocks twice, likewise */

void vos_pool_init(struct vos_pool *p, uint32_t off, uint32_t size)
{
	const uint32_t *share = class_share[size < SHORT];
	uint32_t left = size;

	/* From the largest, of which there must be one wherever that is possible: some requests
	 * cannot do with less. The smallest get what is left. */
	for (int c = LARGEST; c >= 0; c--) {
		uint32_t n = c ? size / 16 * share[c] : left;

		if (c == LARGEST && n < class_size[c])
			n = class_size[c];
		n = (n < left ? n : left) / class_size[c];
		n = n < VOS_POOL_BLOCKS ? n : VOS_POOL_BLOCKS;
		left -= n * class_size[c];
		p->n[c] = n;
		p->base[c] = off;
		p->free[c] = n == VOS_POOL_BLOCKS ? ~0ull : (1ull << n) - 1;
		p->turns[c] = (struct vos_turns){ 0 };
		off += n * class_size[c];
	}
}

static uint64_t ticks(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#elif defined(__aarch64__)
	uint64_t t;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
	return t;
#endif
}

/* Do blocks take turns in this use? *@trial: what it counts for, or -1. */
static bool take_turns(struct vos_turns *t, uint32_t use, uint32_t n, int8_t *trial)
{
	uint32_t at = (use - FIRST_TRIAL) % NEXT_TRIAL;

	*trial = -1;
	if (use < FIRST_TRIAL)
		return false;
	if (at < HOT_USES) {
		if (!at) {
			atomic_store_explicit(&t->best[0], UINT32_MAX, memory_order_relaxed);
			atomic_store_explicit(&t->best[1], UINT32_MAX, memory_order_relaxed);
		}
		if (at >= HOT_USES / 2)
			*trial = 0;
		return false;
	}
	if (at < HOT_USES + 2 * n) {
		if (at >= HOT_USES + n)
			*trial = 1;
		return true;
	}
	if (at == HOT_USES + 2 * n) {
		uint64_t hot = atomic_load_explicit(&t->best[0], memory_order_relaxed);
		uint64_t turns = atomic_load_explicit(&t->best[1], memory_order_relaxed);

		atomic_store_explicit(&t->taken, turns * 8 < hot * 7, memory_order_relaxed);
	}
	return atomic_load_explicit(&t->taken, memory_order_relaxed);
}

/* The bit from which to look for a free block. */
static uint32_t first_choice(struct vos_pool *p, int c, int8_t *trial)
{
	struct vos_turns *t = &p->turns[c];
	uint32_t use;

	*trial = -1;
	if (c == 0 || p->n[c] < 2)
		return 0;
	use = atomic_load_explicit(&t->uses, memory_order_relaxed);
	atomic_store_explicit(&t->uses, use + 1, memory_order_relaxed);
	return take_turns(t, use, p->n[c], trial) ? use % p->n[c] : 0;
}

static int get(struct vos_pool *p, int c, struct vos_block *b)
{
	uint64_t free = atomic_load_explicit(&p->free[c], memory_order_relaxed);
	uint32_t from = 0;
	int bit;

	if (!free)
		return -EAGAIN;
	from = first_choice(p, c, &b->trial);
	do {
		uint64_t later = free & ~0ull << from;

		if (!free)
			return -EAGAIN;
		bit = __builtin_ctzll(later ? later : free);
		/* Acquire: who had it has done with it. Pairs with vos_pool_put(). */
	} while (!atomic_compare_exchange_weak_explicit(&p->free[c], &free, free & ~(1ull << bit),
							memory_order_acquire,
							memory_order_relaxed));
	b->nr = (int16_t)(c * (int)VOS_POOL_BLOCKS + bit);
	b->size = class_size[c];
	b->off = p->base[c] + (uint32_t)bit * class_size[c];
	if (__builtin_expect(b->trial >= 0, 0))
		b->since = ticks();
	return 0;
}

int vos_pool_get(struct vos_pool *p, uint32_t want, uint32_t min, struct vos_block *b)
{
	int fit = 0;

	while (fit < VOS_CLASSES - 1 && class_size[fit] < want)
		fit++;
	for (int c = fit; c < VOS_CLASSES; c++)
		if (class_size[c] >= min && !get(p, c, b))
			return 0;
	for (int c = fit - 1; c >= 0; c--)
		if (class_size[c] >= min && !get(p, c, b))
			return 0;
	return -EAGAIN;
}

bool vos_pool_scarce(struct vos_pool *p, const struct vos_block *b)
{
	uint32_t n = 0, free = 0;

	if (!b->size || b->nr < 0)
		return false;
	for (int c = b->nr / (int)VOS_POOL_BLOCKS; c < VOS_CLASSES; c++) {
		uint64_t bits = atomic_load_explicit(&p->free[c], memory_order_relaxed);

		n += p->n[c];
		free += (uint32_t)__builtin_popcountll(bits);
	}
	return free * 2 < n;
}

/* The fastest use counts: others may have waited for something else than the copy. */
static void end_trial(struct vos_turns *t, const struct vos_block *b)
{
	uint64_t took = ticks() - b->since;

	if (took < atomic_load_explicit(&t->best[b->trial], memory_order_relaxed))
		atomic_store_explicit(&t->best[b->trial], (uint32_t)took, memory_order_relaxed);
}

void vos_pool_put(struct vos_pool *p, const struct vos_block *b)
{
	unsigned c = (unsigned)b->nr / VOS_POOL_BLOCKS;

	if (__builtin_expect(b->trial >= 0, 0))
		end_trial(&p->turns[c], b);
	/* Release: pairs with get(). */
	atomic_fetch_or_explicit(&p->free[c], 1ull << (unsigned)b->nr % VOS_POOL_BLOCKS,
				 memory_order_release);
}
