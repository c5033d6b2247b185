/* SPDX-License-Identifier: MIT */
/* One forwarded call: a slot of this thread's lane, blocks for its data, post, wait, give back. */
#define _GNU_SOURCE
#include "preload/process.h"

#include <sys/syscall.h>

static __thread struct {
	struct vos_chan *c;
	struct vos_lane *l;
} mine[VOS_MAX_DOMAINS] __attribute__((tls_model("initial-exec")));

static long find_lane(unsigned dom, struct vos_chan *c)
{
	struct vos_lane *l = vos_chan_lane(c, vos_tid(), vos_pid());

	if (!l)
		return -EAGAIN;
	mine[dom].l = l;
	mine[dom].c = c;
	return 0;
}

long vos_req_begin(struct vos_req *q, unsigned dom, enum vos_op op)
{
	struct vos_chan *c;
	long r = 0;

	if (unlikely(vos_forked_behind_our_back()))
		return -ENOLINK;
	/* Acquire: pairs with attach(). */
	c = atomic_load_explicit(&vos_domain[dom].chan, memory_order_acquire);
	if (unlikely(!c)) {
		c = vos_domain_chan(dom, &r);
		if (!c)
			return r;
	}
	if (unlikely(mine[dom].c != c)) {
		r = find_lane(dom, c);
		if (r)
			return r;
	}
	q->c = c;
	q->l = mine[dom].l;
	q->dom = dom;
	q->out.size = q->in.size = 0;
	q->slot = vos_lane_claim(q->l, &q->skipped);
	if (unlikely(q->slot < 0))
		return -EAGAIN;
	q->e = &q->l->slot[q->slot];
	q->e->op = (uint16_t)op;
	q->e->cpu = vos_cpu();
	q->e->result = (int64_t)VOS_REF_NULL;
	return 0;
}

static long take_block(struct vos_pool *pool, bool *used, uint32_t small, size_t want, size_t min,
		       struct vos_block *b)
{
	if (want > VOS_IO_MAX)
		want = VOS_IO_MAX;
	if (min > VOS_IO_MAX)
		return -EINVAL;
	if (want <= VOS_SMALL && !*used) {
		*used = true;
		*b = (struct vos_block){ small, VOS_SMALL, -1 };
		return 0;
	}
	while (vos_pool_get(pool, (uint32_t)want, (uint32_t)min, b)) {
		if (min <= VOS_SMALL && !*used) {
			*used = true;
			*b = (struct vos_block){ small, VOS_SMALL, -1 };
			return 0;
		}
		vos_raw0(SYS_sched_yield); /* all in use: others give theirs back */
	}
	return 0;
}

long vos_req_out(struct vos_req *q, size_t want, size_t min)
{
	return take_block(&q->c->out, &q->l->out_used, VOS_PROGRAM_DATA + q->l->index * VOS_SMALL, want,
			  min, &q->out);
}

long vos_req_in(struct vos_req *q, size_t want, size_t min)
{
	uint32_t small = (uint32_t)VOS_SERVICE_DATA(q->c->nlanes) + q->l->index * VOS_SMALL;

	return take_block(&q->c->in, &q->l->in_used, small, want, min, &q->in);
}

static void give_block(struct vos_pool *pool, bool *used, struct vos_block *b)
{
	if (!b->size)
		return;
	if (b->nr < 0)
		*used = false;
	else
		vos_pool_put(pool, b);
	b->size = 0;
}

void vos_req_post(struct vos_req *q)
{
	if (unlikely(vos_lane_post(q->l, q->slot, q->skipped) == VOS_POSTED_KICK))
		q->c->transport->ring(q->c);
	q->slot |= VOS_SLOTS; /* posted */
}

static long answer(struct vos_req *q, int wait)
{
	if (likely(!wait))
		return q->e->result;
	return wait;
}

/* Take the call back. Its answer counts if it comes first. */
static long cancel(struct vos_req *q)
{
	struct vos_req n;
	int s = q->slot & (VOS_SLOTS - 1);

	/* On the same lane, since it is the lane's slot that is meant. */
	if (!vos_req_begin(&n, q->dom, VOS_OP_cancel)) {
		n.e->arg[0] = (uint64_t)s;
		vos_req_post(&n);
		vos_chan_wait(n.c, n.l, n.slot & (VOS_SLOTS - 1), VOS_WAIT_ALWAYS);
		vos_req_end(&n);
	}
	return answer(q, vos_chan_wait(q->c, q->l, s, VOS_WAIT_ALWAYS));
}

long vos_req_run(struct vos_req *q, enum vos_wait how)
{
	long r;

	vos_req_post(q);
	r = vos_chan_wait(q->c, q->l, q->slot & (VOS_SLOTS - 1), how);
	if (likely(!r))
		return q->e->result;
	if (r == -EINTR)
		r = cancel(q);
	if (r == -ENOLINK)
		vos_domain_lost(q->dom, q->c);
	return r;
}

long vos_req_collect(struct vos_req *q)
{
	long r;

	if (vos_entry_done(q->e))
		return q->e->result;
	r = cancel(q);
	if (r == -ENOLINK)
		vos_domain_lost(q->dom, q->c);
	return r;
}

void vos_req_end(struct vos_req *q)
{
	give_block(&q->c->in, &q->l->in_used, &q->in);
	give_block(&q->c->out, &q->l->out_used, &q->out);
	if (likely(q->slot & (int)VOS_SLOTS))
		vos_lane_release(q->l, q->slot & (VOS_SLOTS - 1));
	else
		vos_lane_unclaim(q->l, q->slot);
}

long vos_req_simple(unsigned dom, enum vos_op op, uint64_t a0, uint64_t a1, uint64_t a2)
{
	struct vos_req q;
	long r = vos_req_begin(&q, dom, op);

	if (r)
		return r;
	q.e->arg[0] = a0;
	q.e->arg[1] = a1;
	q.e->arg[2] = a2;
	r = vos_req_run(&q, VOS_WAIT_RESTART);
	vos_req_end(&q);
	return r;
}

long vos_dead(uint64_t word, bool transfer)
{
	switch (VOS_WORD_KIND(word)) {
	case VOS_FD_FILE:
		return -EIO;
	case VOS_FD_SOCKET:
		return transfer ? -ECONNRESET : -ENETDOWN;
	case VOS_FD_EPOLL:
		return -EIO;
	default:
		return -EBADF;
	}
}
