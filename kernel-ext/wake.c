// SPDX-License-Identifier: GPL-2.0
/* From the interrupt to the threads that it is for. */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/version.h>
#include <xen/events.h>

#include "channel.h"

/* A word of the service's area, once. */
static u32 read_word(struct page **page, u32 off)
{
	u32 *word = page_address(page[off / PAGE_SIZE]) + off % PAGE_SIZE;

	/* Acquire: an entry's answer comes before its lane. Pairs with the service's store. */
	return smp_load_acquire(word);
}

int virtuos_ready_pop(struct virtuos_ready *q)
{
	u32 v = read_word(q->page, q->off + (q->head & (q->slots - 1)) * sizeof(u32));
	u32 ahead = ((v >> 16) - (q->head / q->slots + 1)) & 0xffff;

	if (!(v & 0xffff) || ahead >= 0x8000) /* never used, or what was there a lap ago */
		return -EAGAIN;
	q->head += 1 + ahead * q->slots;
	if (ahead)
		return -EOVERFLOW;
	return (v & 0xffff) <= q->lanes ? (int)(v & 0xffff) - 1 : -EPROTO;
}

static void wake_lane(struct virtuos_channel *c, u32 i)
{
	struct virtuos_lane *l = &c->lane[i];

	wake_up_interruptible(&l->wait);
	spin_lock(&c->lane_lock);
	if (l->eventfd) {
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
		eventfd_signal(l->eventfd);
#else
		eventfd_signal(l->eventfd, 1);
#endif
	}
	spin_unlock(&c->lane_lock);
}

void virtuos_break(struct virtuos_channel *c, int error)
{
	u32 i;

	/* The first reason counts. Pairs with the READ_ONCE()s of those that wake up. */
	if (cmpxchg(&c->broken, 0, error))
		return;
	for (i = 0; i <= c->nlanes; i++)
		wake_up_interruptible(&c->lane[i].wait);
	wake_up_interruptible(&c->poll);
	WRITE_ONCE(c->vchan->srv_live, 0);
	notify_remote_via_irq(c->irq);
}

/*
 * No more than a lap at a time: what an honest service adds meanwhile it tells of afterwards, and
 * another one does not keep us here.
 */
static int take_ready(struct virtuos_channel *c)
{
	bool lost = false;
	int lane = -EAGAIN;
	u32 n, i;

	for (n = 0; n < c->ready.slots; n++) {
		lane = virtuos_ready_pop(&c->ready);
		if (lane >= 0)
			wake_lane(c, lane);
		else if (lane == -EOVERFLOW)
			lost = true;
		else
			break;
	}
	for (i = 0; lost && i < c->nlanes; i++)
		wake_lane(c, i);
	return lane == -EPROTO ? lane : (int)n;
}

/*
 * Has an event come for something? There is one for each lane in the queue, and one may find several of
 * them.
 */
static bool for_something(struct virtuos_ready *q, int taken)
{
	if (taken > 0)
		q->spare = min(q->spare + (u32)taken - 1, q->slots);
	else if (q->spare)
		q->spare--;
	else
		return false;
	return true;
}

irqreturn_t virtuos_interrupt(int irq, void *channel)
{
	struct virtuos_channel *c = channel;
	int n = READ_ONCE(c->broken) ?: take_ready(c);

	if (n == -EPROTO)
		virtuos_break(c, n);
	else if (!READ_ONCE(c->vchan->cli_live))
		virtuos_break(c, -ENOLINK);
	wake_lane(c, c->nlanes);
	/* Who notifies for nothing is heard less and less often. */
	xen_irq_lateeoi(irq, for_something(&c->ready, n) ? 0 : XEN_EOI_FLAG_SPURIOUS);
	return IRQ_HANDLED;
}

long virtuos_wait(struct virtuos_channel *c, const struct virtuos_wait *w)
{
	int r;

	if (w->lane > c->nlanes || w->flags & ~VIRTUOS_WAIT_RESTART || w->off % sizeof(u32) ||
	    w->off >= c->service_size)
		return -EINVAL;
	r = wait_event_interruptible(c->lane[w->lane].wait,
				     read_word(c->ready.page, w->off) != w->value ||
					     READ_ONCE(c->broken));
	if (r)
		return w->flags & VIRTUOS_WAIT_RESTART ? r : -ERESTARTNOHAND;
	return READ_ONCE(c->broken);
}

int virtuos_lane_fd(struct virtuos_channel *c, const struct virtuos_lane_fd *f)
{
	struct eventfd_ctx *new = NULL;
	unsigned long flags;

	if (f->lane > c->nlanes || f->fd < -1)
		return -EINVAL;
	if (f->fd >= 0) {
		new = eventfd_ctx_fdget(f->fd);
		if (IS_ERR(new))
			return PTR_ERR(new);
	}
	spin_lock_irqsave(&c->lane_lock, flags);
	swap(new, c->lane[f->lane].eventfd);
	spin_unlock_irqrestore(&c->lane_lock, flags);
	if (new)
		eventfd_ctx_put(new);
	return 0;
}
