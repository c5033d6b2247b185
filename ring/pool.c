/* SPDX-License-Identifier: MIT */
#include "ring/pool.h"

#include <errno.h>

static const uint32_t class_size[VOS_CLASSES] = VOS_CLASS_SIZES;
static const uint32_t class_share[VOS_CLASSES] = { 1, 3, 4 }; /* eighths of the pool */

void vos_pool_init(struct vos_pool *p, uint32_t off, uint32_t size)
{
	uint32_t block = 0;

	for (int c = 0; c < VOS_CLASSES; c++) {
		uint32_t n = size / 8 * class_share[c] / class_size[c];

		p->base[c] = off;
		p->first[c] = block;
		for (uint32_t i = 0; i < n; i++)
			p->next[block + i] = (uint16_t)(i + 1 < n ? block + i + 2 : 0);
		p->head[c] = n ? block + 1 : 0;
		block += n;
		off += n * class_size[c];
	}
	p->first[VOS_CLASSES] = block;
}

static int pop(struct vos_pool *p, int c)
{
	uint64_t head = atomic_load_explicit(&p->head[c], memory_order_acquire);
	uint64_t new;
	uint32_t block;

	do {
		block = (uint32_t)head;
		if (!block)
			return -1;
		/* The tag makes the exchange fail if the block was taken and put back meanwhile. */
		new = ((head >> 32) + 1) << 32 |
		      atomic_load_explicit(&p->next[block - 1], memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(
		&p->head[c], &head, new, memory_order_acq_rel, memory_order_acquire));
	return (int)block - 1;
}

static int get(struct vos_pool *p, int c, struct vos_block *b)
{
	int nr = pop(p, c);

	if (nr < 0)
		return -EAGAIN;
	b->nr = (int16_t)nr;
	b->size = class_size[c];
	b->off = p->base[c] + ((uint32_t)nr - p->first[c]) * class_size[c];
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

void vos_pool_put(struct vos_pool *p, const struct vos_block *b)
{
	uint32_t block = (uint32_t)b->nr;
	int c = 0;
	uint64_t head;
	uint64_t new;

	while (block >= p->first[c + 1])
		c++;
	head = atomic_load_explicit(&p->head[c], memory_order_relaxed);
	do {
		atomic_store_explicit(&p->next[block], (uint16_t)head, memory_order_relaxed);
		new = ((head >> 32) + 1) << 32 | (block + 1);
		/* Release: next is set before the block can be taken. Pairs with pop(). */
	} while (!atomic_compare_exchange_weak_explicit(
		&p->head[c], &head, new, memory_order_release, memory_order_relaxed));
}
