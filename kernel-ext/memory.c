// SPDX-License-Identifier: GPL-2.0
/* The memory of a channel and its event channel, both for the service domain. */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <asm/xen/hypercall.h>
#include <xen/events.h>
#include <xen/interface/event_channel.h>
#include <xen/page.h>
#include <xen/xen.h>

#include "channel.h"

static unsigned int limit = 131072;
module_param(limit, uint, 0644);
MODULE_PARM_DESC(limit, "pages that all channels together may have");
static atomic_long_t pages;

static int check(const struct virtuos_make *m)
{
	if (m->domid >= DOMID_FIRST_RESERVED || m->program_order < VIRTUOS_ORDER_MIN ||
	    m->program_order > VIRTUOS_ORDER_MAX || m->service_order < VIRTUOS_ORDER_MIN ||
	    m->service_order > VIRTUOS_ORDER_MAX)
		return -EINVAL;
	if (!m->lanes || m->lanes > VIRTUOS_LANES_MAX || m->ready_off % sizeof(u32) ||
	    !is_power_of_2(m->ready_slots) || m->ready_slots > VIRTUOS_READY_MAX ||
	    m->ready_off > 1u << m->service_order ||
	    m->ready_slots * sizeof(u32) > (1u << m->service_order) - m->ready_off)
		return -EINVAL;
	return 0;
}

static int make_lanes(struct virtuos_channel *c, u32 lanes)
{
	u32 i;

	c->lane = kvcalloc(lanes + 1, sizeof(*c->lane), GFP_KERNEL_ACCOUNT);
	if (!c->lane)
		return -ENOMEM;
	for (i = 0; i <= lanes; i++)
		init_waitqueue_head(&c->lane[i].wait);
	c->nlanes = lanes;
	return 0;
}

/* The first page is one more. */
static int charge(unsigned int n)
{
	if (atomic_long_add_return(n, &pages) <= (long)limit)
		return 0;
	atomic_long_sub(n, &pages);
	return -ENOSPC;
}

/* page[] is in the order of mmap(): the program's area, then the service's. */
static int make_pages(struct virtuos_channel *c, unsigned int npages)
{
	int r = charge(npages + 1);

	if (r)
		return r;
	c->charged = npages + 1;
	c->page = kvcalloc(npages, sizeof(*c->page), GFP_KERNEL_ACCOUNT);
	c->refs = kvcalloc(npages, sizeof(*c->refs), GFP_KERNEL_ACCOUNT);
	if (!c->page || !c->refs)
		return -ENOMEM;
	while (c->npages < npages) {
		struct page *p = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

		if (!p)
			return -ENOMEM;
		c->page[c->npages++] = p;
	}
	c->vchan = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return c->vchan ? 0 : -ENOMEM;
}

static int grant_pages(struct virtuos_channel *c, const struct virtuos_make *m)
{
	unsigned int program = 1u << (m->program_order - PAGE_SHIFT);
	unsigned int service = c->npages - program, i;
	int ref;

	for (i = 0; i < c->npages; i++) {
		ref = gnttab_grant_foreign_access(c->domid, xen_page_to_gfn(c->page[i]),
						  i < program);
		if (ref < 0)
			return ref;
		c->refs[c->ngranted++] = ref;
		/* libxenvchan lists the ring that its client writes first. */
		c->vchan->grants[i < program ? service + i : i - program] = ref;
	}
	c->vchan->left_order = m->service_order;
	c->vchan->right_order = m->program_order;
	c->vchan->srv_live = 1;
	c->vchan->cli_live = 2;
	c->vchan->cli_notify = 1;
	ref = gnttab_grant_foreign_access(c->domid, virt_to_gfn(c->vchan), 0);
	if (ref < 0)
		return ref;
	c->ref = ref;
	return 0;
}

static int make_event_channel(struct virtuos_channel *c)
{
	struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = c->domid };
	struct evtchn_close close;
	int r = HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &alloc);

	if (r)
		return r;
	r = bind_evtchn_to_irqhandler_lateeoi(alloc.port, virtuos_interrupt, 0, "virtuos", c);
	if (r < 0) {
		close.port = alloc.port;
		HYPERVISOR_event_channel_op(EVTCHNOP_close, &close);
		return r;
	}
	c->port = alloc.port;
	c->irq = r;
	return 0;
}

int virtuos_make(struct virtuos_channel *c, const struct virtuos_make *m)
{
	unsigned int program, service;
	int r = check(m);

	if (r)
		return r;
	program = 1u << (m->program_order - PAGE_SHIFT);
	service = 1u << (m->service_order - PAGE_SHIFT);
	c->owner = current->files;
	c->domid = m->domid;
	r = make_lanes(c, m->lanes);
	if (!r)
		r = make_pages(c, program + service);
	if (r)
		return r;
	c->service_size = service << PAGE_SHIFT;
	c->ready = (struct virtuos_ready){ .page = c->page + program,
					   .off = m->ready_off,
					   .slots = m->ready_slots,
					   .lanes = m->lanes };
	r = grant_pages(c, m);
	return r ?: make_event_channel(c);
}

/* Whatever there is of it. What the service still has mapped is freed when it lets go. */
void virtuos_free(struct virtuos_channel *c)
{
	unsigned int i;

	if (c->irq)
		unbind_from_irqhandler(c->irq, c);
	for (i = 0; i < c->npages; i++) {
		if (i < c->ngranted)
			gnttab_end_foreign_access(c->refs[i], c->page[i]);
		else
			__free_page(c->page[i]);
	}
	if (c->ref)
		gnttab_end_foreign_access(c->ref, virt_to_page(c->vchan));
	else if (c->vchan)
		free_page((unsigned long)c->vchan);
	for (i = 0; c->lane && i <= c->nlanes; i++)
		if (c->lane[i].eventfd)
			eventfd_ctx_put(c->lane[i].eventfd);
	kvfree(c->lane);
	kvfree(c->refs);
	kvfree(c->page);
	atomic_long_sub(c->charged, &pages);
}
