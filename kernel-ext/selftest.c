// SPDX-License-Identifier: GPL-2.0
/* What the ready queue must make of honest and of hostile contents. Run when the module is loaded.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/printk.h>

#include "channel.h"

#define SLOTS 8
#define LANES 4

static int expect(const char *what, int is, int should)
{
	if (is == should)
		return 0;
	pr_err("virtuos: selftest: %s: %d instead of %d\n", what, is, should);
	return -EINVAL;
}

int virtuos_ready_selftest(void)
{
	/* Across a page boundary. */
	struct page *page[2] = { alloc_page(GFP_KERNEL | __GFP_ZERO),
				 alloc_page(GFP_KERNEL | __GFP_ZERO) };
	struct virtuos_ready q = { .page = page,
				   .off = PAGE_SIZE - SLOTS / 2 * sizeof(u32),
				   .slots = SLOTS,
				   .lanes = LANES };
	u32 *first, *second, i;
	int r = -ENOMEM;

	if (!page[0] || !page[1])
		goto out;
	first = page_address(page[0]) + q.off;
	second = page_address(page[1]);
	r = expect("empty", virtuos_ready_pop(&q), -EAGAIN);
	for (i = 0; i < 3 * SLOTS; i++) { /* three laps */
		u32 *slot = i % SLOTS < SLOTS / 2 ? &first[i % SLOTS]
						  : &second[i % SLOTS - SLOTS / 2];

		*slot = (i / SLOTS + 1) << 16 | (i % LANES + 1);
		r = r ?: expect("lane", virtuos_ready_pop(&q), i % LANES);
		r = r ?: expect("taken", virtuos_ready_pop(&q), -EAGAIN);
	}
	*first = 3 << 16 | 1;
	r = r ?: expect("the lap before", virtuos_ready_pop(&q), -EAGAIN);
	*first = 0x8004u << 16 | 1;
	r = r ?: expect("half of all laps ahead", virtuos_ready_pop(&q), -EAGAIN);
	*first = 4 << 16;
	r = r ?: expect("no lane", virtuos_ready_pop(&q), -EAGAIN);
	*first = 4 << 16 | (LANES + 1);
	r = r ?: expect("lane too high", virtuos_ready_pop(&q), -EPROTO);
	first[1] = 4 << 16 | 0xffff;
	r = r ?: expect("lane much too high", virtuos_ready_pop(&q), -EPROTO);
	first[2] = 5 << 16 | 1;
	r = r ?: expect("overtaken", virtuos_ready_pop(&q), -EOVERFLOW);
	first[3] = 5 << 16 | 2;
	r = r ?: expect("in step again", virtuos_ready_pop(&q), 1);
	if (!r)
		pr_info("virtuos: selftest passed\n");
out:
	for (i = 0; i < 2; i++)
		if (page[i])
			__free_page(page[i]);
	return r;
}
