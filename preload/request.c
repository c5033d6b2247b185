/* SPDX-License-Identifier: MIT */
/* One forwarded call: a slot of this thread's lane, blocks for its data, post, wait, give back. */
#define _GNU_SOURCE
#include "preload/process.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <time.h>

static __thread struct {
	struct vos_chan *c;
	struct vos_lane *l;
} mine[VOS_MAX_DOMAINS] __attribute__((tls_model("initial-exec")));

static long find_lane(unsigned dom, struct vos_chan *c, struct vos_lane **found)
{
	struct vos_lane *l = vos_chan_lane(c, vos_tid(), vos_pid()), *old_l = mine[dom].l;
	struct vos_chan *old_c = mine[dom].c;

	if (!l)
		return -EAGAIN;
	/* Either we see that it is dead, or who leaves it last sees our lane: vos_domain_leave(). */
	if (unlikely(atomic_load(&c->dead))) {
		if (!l->depth)
			vos_domain_leave(c, l);
		vos_domain_lost(dom, c);
		return -ENOLINK;
	}
	mine[dom].l = l;
	VOS_HANDLER_FENCE();
	mine[dom].c = c;
	*found = l;
	/* Of a channel that has died: only its thread knows that it is not in use. */
	if (old_l && old_c != c && !old_l->depth)
		vos_domain_leave(old_c, old_l);
	return 0;
}

#define MAX_ERRNO 4095

static void reap(struct vos_chan *c, struct vos_lane *l, unsigned dom, struct vos_req *now);

long vos_req_begin(struct vos_req *q, unsigned dom, enum vos_op op)
{
	struct vos_chan *c;
	struct vos_lane *l;
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
	/* In this order: a handler may have us move on to another channel in between. */
	l = mine[dom].l;
	VOS_HANDLER_FENCE();
	if (unlikely(mine[dom].c != c)) {
		r = find_lane(dom, c, &l);
		if (r)
			return r;
	}
	q->c = c;
	q->l = l;
	q->dom = dom;
	q->since = vos_handled;
	q->out.size = q->in.size = 0;
	q->redirect_size = 0;
	if (unlikely(q->l->depth))
		reap(q->c, q->l, dom, q);
	q->slot = vos_lane_claim(q->l, &q->skipped);
	if (unlikely(q->slot < 0))
		return -EAGAIN;
	q->e = &q->l->slot[q->slot];
	VOS_HANDLER_FENCE();
	q->l->held[q->slot].frame = q;
	q->e->op = (uint16_t)op;
	q->e->cpu = vos_cpu();
	q->e->result = (int64_t)VOS_REF_NULL;
	return 0;
}

/*
 * All of the pool is in use. Most blocks come back at once, but threads that wait for room to send
 * may keep theirs for ever, and no signal ends this wait: so it ends by itself, after two seconds.
 */
#define POOL_YIELDS 64
#define POOL_TRIES  (POOL_YIELDS + 2000)
#define POOL_INSIST (POOL_YIELDS + 1000) /* so long nothing less will do, with VOS_WHOLE */

static void wait_for_block(int tries)
{
	const struct timespec t = { 0, 1000000 };
	uint32_t nobody = 0;

	if (tries < POOL_YIELDS && !vos_chan_confined)
		vos_raw0(SYS_sched_yield);
	else
		vos_raw6(SYS_futex, (long)&nobody, FUTEX_WAIT, 0, (long)&t, 0, 0);
}

static long take_block(struct vos_pool *pool, bool *used, uint32_t small, size_t want, size_t min,
		       struct vos_block *b)
{
	int insist = 0;

	if (min & VOS_WHOLE) {
		min &= ~VOS_WHOLE;
		insist = want <= VOS_IO_MAX ? POOL_INSIST : 0;
	}
	if (want > VOS_IO_MAX)
		want = VOS_IO_MAX;
	if (min > VOS_IO_MAX)
		return -EINVAL;
	if (want <= VOS_SMALL && !*used) {
		*used = true;
		*b = (struct vos_block){ .off = small, .size = VOS_SMALL, .nr = -1 };
		return 0;
	}
	for (int tries = 0;
	     vos_pool_get(pool, (uint32_t)want, (uint32_t)(tries < insist ? want : min), b);
	     tries++) {
		if (tries >= insist && min <= VOS_SMALL && !*used) {
			*used = true;
			*b = (struct vos_block){ .off = small, .size = VOS_SMALL, .nr = -1 };
			return 0;
		}
		if (tries == POOL_TRIES)
			return -ENOMEM;
		wait_for_block(tries);
	}
	return 0;
}

long vos_req_out(struct vos_req *q, size_t want, size_t min)
{
	long r = take_block(&q->c->out, &q->l->out_used, VOS_PROGRAM_DATA + q->l->index * VOS_SMALL,
			    want, min, &q->out);

	q->l->held[q->slot].out = q->out;
	return r;
}

long vos_req_in(struct vos_req *q, size_t want, size_t min)
{
	uint32_t small = (uint32_t)VOS_SERVICE_DATA(q->c->nlanes) + q->l->index * VOS_SMALL;

	long r = take_block(&q->c->in, &q->l->in_used, small, want, min, &q->in);

	q->l->held[q->slot].in = q->in;
	return r;
}

long vos_req_room(struct vos_req *q, int arg, size_t *len, size_t min)
{
	long r;

	q->e->arg[arg] = VOS_REF_NULL;
	if (*len <= VOS_INLINE)
		return 0;
	r = vos_req_in(q, *len, min);
	if (r)
		return r;
	if (*len > q->in.size)
		*len = q->in.size;
	q->e->arg[arg] = VOS_REF(q->in.off, *len);
	return 0;
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
	q->l->woke = vos_lane_post(q->l, q->slot, q->skipped) == VOS_POSTED_KICK;
	if (unlikely(q->l->woke))
		q->c->transport->ring(q->c);
	q->slot |= VOS_SLOTS; /* posted */
}

long vos_req_breach(struct vos_req *q)
{
	vos_domain_lost(q->dom, q->c);
	return -EPROTO;
}

/* The answer, read once. Whoever expects a number knows how large it may be. */
static long answer(struct vos_req *q)
{
	long r = *(volatile int64_t *)&q->e->result;

	if (likely(r >= 0) || (r >= -MAX_ERRNO && r != -ENOLINK))
		return r;
	if (r == -ENOLINK) /* ours to say: that there is no service any more */
		return -EIO;
	if (r == VOS_REDIRECT && q->redirect_size)
		return r;
	return vos_req_breach(q);
}

/* Take the call back. Its answer counts if it comes first. Has its own frame: see drop_claim(). */
static __attribute__((noinline)) long cancel(struct vos_req *q)
{
	struct vos_req n;
	int s = q->slot & (VOS_SLOTS - 1);

	if (!vos_req_begin(&n, q->dom, VOS_OP_cancel)) {
		/* It is a slot of this lane that is meant: not one of a channel made since. */
		if (n.l == q->l) {
			n.e->arg[0] = (uint64_t)s;
			vos_req_post(&n);
			vos_chan_wait(n.c, n.l, n.slot & (int)(VOS_SLOTS - 1), VOS_WAIT_ALWAYS);
		}
		vos_req_end(&n);
	}
	if (vos_chan_wait(q->c, q->l, s, VOS_WAIT_ALWAYS))
		return -ENOLINK;
	return answer(q);
}

/* Calls that POSIX has as points where a thread may be cancelled. */
static bool cancellable(uint16_t op)
{
	switch (op) {
	case VOS_OP_read:
	case VOS_OP_write:
	case VOS_OP_recv:
	case VOS_OP_recvmsg:
	case VOS_OP_send:
	case VOS_OP_sendmsg:
	case VOS_OP_accept:
	case VOS_OP_connect:
	case VOS_OP_poll:
	case VOS_OP_epoll_wait:
	case VOS_OP_openat:
	case VOS_OP_fsync:
	case VOS_OP_fdatasync:
	case VOS_OP_fcntl_lock:
		return true;
	default:
		return false;
	}
}

/* Its sleep in a call was left somewhere in the middle. */
static void awake(struct vos_chan *c, struct vos_lane *l)
{
	if (c->transport->awake)
		c->transport->awake(c, l, true);
}

/* The thread ends in the middle of the call. */
static void give_up(void *arg)
{
	struct vos_req *q = arg;

	awake(q->c, q->l);
	cancel(q);
	vos_req_end(q);
	vos_fd_release_mine();
}

static long sleep_for(struct vos_req *q, enum vos_wait how)
{
	const struct vos_waits w = { how, q->since };
	int s = q->slot & (int)(VOS_SLOTS - 1), old;
	volatile long r;

	if (likely(__libc_single_threaded) || how == VOS_WAIT_ALWAYS || !cancellable(q->e->op))
		return vos_chan_sleep(q->c, q->l, s, w);
	if (how == VOS_WAIT_ONCE && !q->c->transport->once) /* before it could be cut in two */
		q->c->transport->wake_fd(q->c, q->l);
	pthread_cleanup_push(give_up, q);
	/* What libc does around its own: cancellation may strike while the thread is blocked. */
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	r = vos_chan_sleep(q->c, q->l, s, w);
	pthread_setcanceltype(old, &old);
	pthread_cleanup_pop(0);
	return r;
}

long vos_req_run(struct vos_req *q, enum vos_wait how)
{
	long r;

	vos_req_post(q);
	if (likely(vos_chan_spin(q->c, q->l, q->slot & (int)(VOS_SLOTS - 1))))
		return answer(q);
	r = sleep_for(q, how);
	if (!r)
		return answer(q);
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
		return answer(q);
	r = cancel(q);
	if (r == -ENOLINK)
		vos_domain_lost(q->dom, q->c);
	return r;
}

void vos_req_end(struct vos_req *q)
{
	struct vos_held *held = &q->l->held[q->slot & (VOS_SLOTS - 1)];

	/* In this order: a block that was given back must not be found and given back once more. */
	held->out.size = held->in.size = 0;
	VOS_HANDLER_FENCE();
	give_block(&q->c->in, &q->l->in_used, &q->in);
	give_block(&q->c->out, &q->l->out_used, &q->out);
	if (likely(q->slot & (int)VOS_SLOTS))
		vos_lane_release(q->l, q->slot & (VOS_SLOTS - 1));
	else
		vos_lane_unclaim(q->l, q->slot);
	/* What went on on top of us (a handler, cancel()) had us move on to the next channel. */
	if (unlikely(q->l != mine[q->dom].l) && !q->l->depth)
		vos_domain_leave(q->c, q->l);
}

/* --- calls that were left by longjmp() ------------------------------------------------------ */

static void drop_claim(struct vos_chan *c, struct vos_lane *l, unsigned dom, int s,
		       struct vos_req *now)
{
	struct vos_req q = { .c = c,
			     .l = l,
			     .e = &l->slot[s],
			     .slot = s,
			     .dom = dom,
			     .out = l->held[s].out,
			     .in = l->held[s].in };
	uint32_t state = atomic_load_explicit(&q.e->state, memory_order_acquire);

	/* From here on it is the present call's, which is not as deep as we are: cancelling must not
	 * find it again, but if a handler leaves us for good, too, the next call must. */
	now->e = q.e;
	now->slot = s;
	VOS_HANDLER_FENCE();
	l->held[s].frame = now;
	VOS_HANDLER_FENCE();
	/* We cannot tell a claim that was not posted from one that had been collected. */
	l->resync = true;
	if (state & VOS_POSTED)
		cancel(&q);
	if (state != VOS_IDLE && state != VOS_ASLEEP)
		q.slot |= VOS_SLOTS;
	vos_req_end(&q);
}

/* A signal handler that interrupts a call may leave it for good. */
static void reap(struct vos_chan *c, struct vos_lane *l, unsigned dom, struct vos_req *now)
{
	if (vos_chan_confined)
		return;
	for (int s = 0; s < (int)VOS_SLOTS; s++) {
		if (!(l->claimed & 1u << s) || !vos_req_left(l, s, now))
			continue;
		awake(c, l);
		drop_claim(c, l, dom, s, now);
	}
}

long vos_req_simple(unsigned dom, enum vos_op op, uint64_t a0)
{
	struct vos_req q;
	long r = vos_req_begin(&q, dom, op);

	if (r)
		return r;
	q.e->arg[0] = a0;
	r = vos_req_run(&q, VOS_WAIT_RESTART);
	vos_req_end(&q);
	return r;
}

long vos_req_about(uint64_t word, enum vos_op op)
{
	struct vos_req q;
	long r = vos_req_begin_about(&q, word, op);

	if (r)
		return r;
	q.e->arg[0] = VOS_WORD_HANDLE(word);
	r = vos_req_run(&q, VOS_WAIT_RESTART);
	if (r >= 0 && op == VOS_OP_dup)
		r = vos_req_handle(&q, r);
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
