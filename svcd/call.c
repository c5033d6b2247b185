/* SPDX-License-Identifier: MIT */
/*
 * The life of a call in the service:
 *
 *   call_take	the driver copies a posted entry, once, and decodes its arguments by the table
 *   call_run	runs it: the system call of the row, or the row's own function
 *   then	call_finish		the answer goes into the entry, the thread is woken
 *	or	park_add		it would block: call_retry runs it again when it may not
 *	or	pool_add		it blocks: a thread of the pool runs it
 *	or	nothing			it is in flight: aio_reap finds it when the disk is done
 *
 * What a program sends is checked here and nowhere else: numbers of handles, blocks and ops, and
 * strings that end. An argument that no honest library sends ends the client.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"
#include "svcd/sys.h"
#include "ring/calls_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STUCK_MAX 3
#define STUCK_NS  10000000000ull /* a client that gets nobody stuck for so long is let off */

static const call_fn own[VOS_NOPS] = {
#define VOS_OP(name, nr, run, ...) VOS_OWN_##run(name)
#define VOS_OWN_OWN(name)	   [VOS_OP_##name] = svcd_call_##name,
#define VOS_OWN_INLINE(name)
#define VOS_OWN_BLOCK(name)
#define VOS_OWN_PATH(name)
#define VOS_OWN_POOL(name)
#include "ring/calls.def"
};

/*
 * Calls for which the caller's rights make no difference, since they had to be had before: unless
 * the thread has those of root, and the caller has not.
 */
static bool needs_ident(const struct call *c)
{
	if (ident_privileged && c->client->ident->uid)
		return true;
	switch (c->op) {
	case VOS_OP_nop:
	case VOS_OP_read:
	case VOS_OP_recv:
	case VOS_OP_lseek:
	case VOS_OP_fstat:
	case VOS_OP_poll:
	case VOS_OP_epoll_wait:
	case VOS_OP_cancel:
		return false;
	default:
		return true;
	}
}

/* --- blocks --------------------------------------------------------------------------------- */

static bool in_data(uint64_t ref, size_t start, size_t end, uint32_t *len)
{
	uint32_t off = VOS_REF_OFF(ref);

	*len = VOS_REF_LEN(ref);
	return off >= start && off <= end && *len <= end - off && off % VOS_ALIGNMENT == 0;
}

void *call_in_block(struct client *cl, uint64_t ref, uint32_t *len)
{
	if (!in_data(ref, VOS_SERVICE_DATA(cl->nlanes), VOS_SERVICE_SIZE(cl->nlanes, cl->pool),
		     len))
		return NULL;
	return cl->service + VOS_REF_OFF(ref);
}

const void *call_out_block(struct client *cl, uint64_t ref, uint32_t *len)
{
	if (!in_data(ref, VOS_PROGRAM_DATA, VOS_PROGRAM_SIZE(cl->nlanes, cl->pool), len))
		return NULL;
	return cl->program + VOS_REF_OFF(ref);
}

long call_string(const struct call *c, int i, char *buf, size_t size)
{
	size_t room = c->len[i] < size ? c->len[i] : size;
	size_t n = strnlen((const char *)c->a[i], room);

	/* It did end when it was decoded, but the program can change it at any time. */
	if (n == room)
		return -ENAMETOOLONG;
	memcpy(buf, (const char *)c->a[i], n);
	buf[n] = 0;
	return 0;
}

/* --- decoding ------------------------------------------------------------------------------- */

/* What there is to do for the arguments of each op, without those that are plain numbers. */
static struct plan {
	uint8_t n;
	uint8_t string; /* the S argument + 1 */
	bool xattr;
	struct {
		uint8_t i, kind;
		uint16_t arg; /* VOS_ARG_N */
	} step[6];
} plans[VOS_NOPS];

void call_init(void)
{
	for (int op = 0; op < VOS_NOPS; op++) {
		struct plan *p = &plans[op];

		p->xattr = strstr(vos_ops[op].name, "xattr");
		for (int i = 0; i < 6; i++) {
			enum vos_kind kind = VOS_ARG_KIND(vos_ops[op].arg[i]);

			if (kind == VOS_K__ || kind == VOS_K_V)
				continue;
			if (kind == VOS_K_S)
				p->string = (uint8_t)(i + 1);
			p->step[p->n].i = (uint8_t)i;
			p->step[p->n].kind = (uint8_t)kind;
			p->step[p->n++].arg = (uint16_t)VOS_ARG_N(vos_ops[op].arg[i]);
		}
	}
}

static long decode_out(struct call *c, int i, enum vos_kind kind, uint16_t arg)
{
	const void *p = call_out_block(c->client, c->raw[i], &c->len[i]);

	if (!p || c->len[i] > VOS_IO_MAX)
		return CALL_BREAK;
	c->a[i] = (long)p;
	switch (kind) {
	case VOS_K_I:
		c->a[arg] = c->len[i]; /* the length that the kernel is told is that of the block */
		return 0;
	case VOS_K_IF:
		return c->len[i] >= arg ? 0 : CALL_BREAK;
	default:
		/* A string: copied later; it must only end inside its block. */
		return memchr(p, 0, c->len[i]) ? 0 : CALL_BREAK;
	}
}

static long decode_in(struct call *c, int i, enum vos_kind kind, uint16_t arg)
{
	void *p = call_in_block(c->client, c->raw[i], &c->len[i]);

	if (!p || c->len[i] > VOS_IO_MAX)
		return CALL_BREAK;
	c->a[i] = (long)p;
	if (kind == VOS_K_OF)
		return c->len[i] >= arg ? 0 : CALL_BREAK;
	c->a[arg] = c->len[i];
	return 0;
}

/* No block: the answer is to be in the entry. */
static long decode_small(struct call *c, int i, uint16_t arg)
{
	if (c->raw[arg] > VOS_INLINE)
		return CALL_BREAK;
	memset(c->small, 0, sizeof(c->small)); /* another client's, perhaps */
	c->nsmall = (uint8_t)c->raw[arg];
	c->a[i] = (long)c->small;
	return 0;
}

/*
 * A descriptor opened with O_PATH is good for very few calls. The kernel knows which, but not where
 * we do more than pass the call on: by way of /proc, or from what we remember.
 */
static bool knows_paths(const struct call *c)
{
	switch (c->op) {
	case VOS_OP_close:
	case VOS_OP_dup:
	case VOS_OP_token:
	case VOS_OP_fcntl:
	case VOS_OP_fchdir:
		return true;
	default:
		return c->desc->run != VOS_RUN_OWN;
	}
}

static long decode_handle(struct call *c, int i)
{
	int n = c->ofd[0] ? 1 : 0;
	struct ofd *o = handle_ofd(c->client, c->raw[i], NULL);

	/* Relaxed: it is one from the beginning, or never. */
	if (!o ||
	    (atomic_load_explicit(&o->kind, memory_order_relaxed) == OFD_PATH && !knows_paths(c)))
		return -EBADF;
	c->ofd[n] = o;
	c->a[i] = o->fd;
	return 0;
}

/* Looked up once, since only the driver may look: walk() finds an error when it comes to it. */
static long decode_base(struct call *c, int i)
{
	int n = c->nbases++;
	uint64_t base = c->raw[i];
	struct ofd *o;

	if (base & (VOS_BASE_ROOT(0) | VOS_BASE_CWD)) {
		c->base[n] = walk_base(c->client, base, &c->base_root[n]);
		return 0;
	}
	o = handle_ofd(c->client, base & ~VOS_BASE_SELF, &c->base_root[n]);
	c->ofd[n] = o;
	c->base[n] = o ? o->fd : -EBADF;
	return 0;
}

static long decode(struct call *c)
{
	const struct plan *p = &plans[c->op];

	memcpy(c->a, c->raw, sizeof(c->a));
	for (int k = 0; k < p->n; k++) {
		enum vos_kind kind = p->step[k].kind;
		int i = p->step[k].i;
		long r;

		if (kind == VOS_K_H) {
			r = decode_handle(c, i);
		} else if (kind == VOS_K_A) {
			r = decode_base(c, i);
		} else if (kind == VOS_K_OE && c->raw[i] == VOS_REF_NULL) {
			r = decode_small(c, i, p->step[k].arg);
		} else if (c->raw[i] == VOS_REF_NULL) {
			c->a[i] = 0;
			c->len[i] = 0;
			/* The kernel minds a length without a buffer; our own functions need not. */
			if (c->desc->run == VOS_RUN_OWN && (kind == VOS_K_I || kind == VOS_K_O))
				c->a[p->step[k].arg] = 0;
			r = kind == VOS_K_P || kind == VOS_K_S ? CALL_BREAK : 0;
		} else if (kind == VOS_K_O || kind == VOS_K_OE || kind == VOS_K_OF) {
			r = decode_in(c, i, kind, p->step[k].arg);
		} else {
			r = decode_out(c, i, kind, p->step[k].arg);
		}
		if (r)
			return r;
	}
	return 0;
}

/* --- running -------------------------------------------------------------------------------- */

static long run_syscall(struct call *c)
{
	return sys(c->desc->nr, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4], c->a[5]);
}

/* flock is tried without waiting first: it seldom has to wait. */
static long try_pool_call(struct call *c)
{
	long r;

	if (c->op != VOS_OP_flock || c->in_pool)
		return c->in_pool ? run_syscall(c) : CALL_POOL;
	r = syscall(SYS_flock, c->a[0], c->a[1] | 4 /* LOCK_NB */) ? -errno : 0;
	return r == -EWOULDBLOCK && !(c->a[1] & 4) ? CALL_POOL : r;
}

/* The kernel must not read a string in the program's memory: it might end elsewhere by then. */
static long with_string(struct call *c, int i, long (*run)(struct call *))
{
	char buf[VOS_PATH_MAX];
	long shared = c->a[i];
	long r = call_string(c, i, buf, sizeof(buf));

	if (r)
		return r;
	c->a[i] = (long)buf;
	r = run(c);
	c->a[i] = shared;
	return r;
}

static long run_row(struct call *c)
{
	int string = plans[c->op].string;

	switch (c->desc->run) {
	case VOS_RUN_OWN:
		return own[c->op](c);
	case VOS_RUN_PATH:
		return string ? with_string(c, string - 1, path_call) : path_call(c);
	case VOS_RUN_POOL:
		return try_pool_call(c);
	default:
		return string ? with_string(c, string - 1, run_syscall) : run_syscall(c);
	}
}

/* Attributes have name spaces that ask more of root than files do. */
long call_run(struct call *c)
{
	long r;

	if (__builtin_expect(!plans[c->op].xattr, 1))
		return run_row(c);
	ident_xattr(true);
	r = run_row(c);
	ident_xattr(false);
	return r;
}

/* From here on the call may block. The driver marks itself, so that it can be replaced ... */
void call_may_block(struct call *c)
{
	if (c->blocking || !driving)
		return;
	c->blocking = true;
	driving->in_call = c;
	turn_enter(driving);
}

/* ... until here. False: what follows is the driver's, and we are not the driver (any more). */
bool call_blocked(struct call *c)
{
	if (!c->blocking)
		return driving;
	c->blocking = false;
	if (turn_leave(driving))
		return true;
	/* Acquire: pairs with call_adopt(). It is about to, if it has not yet. */
	while (!atomic_load_explicit(&c->adopted, memory_order_acquire))
		usleep(50);
	return false;
}

/*
 * By the driver that takes over from the one that is stuck in @c, before it does anything else:
 * what the call uses must not be freed, nor its entry taken again. Done only now, since a call that
 * gets nobody stuck needs none of it.
 */
void call_adopt(struct call *c, int tid)
{
	c->client->stuck++;
	c->client->stuck_at = now_ns();
	call_hold(c);
	pool_adopt(c, tid);
	/* Release: all this is seen by the one that was stuck. Pairs with call_blocked(). */
	atomic_store_explicit(&c->adopted, true, memory_order_release);
}

/*
 * A client whose calls keep getting the driver stuck waits for the pool from then on: each time
 * costs everybody else the time that the watchdog needs to notice.
 */
static bool gets_stuck(const struct call *c)
{
	struct client *cl = c->client;

	if (cl->stuck < STUCK_MAX)
		return false;
	if (now_ns() - cl->stuck_at > STUCK_NS)
		cl->stuck = 0;
	switch (c->op) {
	case VOS_OP_read:
	case VOS_OP_write:
		return ofd_kind(c->ofd[0]) == OFD_FILE || c->ofd[0]->desc->netlink;
	case VOS_OP_send:
	case VOS_OP_recv:
	case VOS_OP_sendmsg:
	case VOS_OP_recvmsg:
		return c->ofd[0]->desc->netlink;
	case VOS_OP_openat:
	case VOS_OP_copy:
	case VOS_OP_sendfile:
	case VOS_OP_ioctl:
	case VOS_OP_fcntl_lock:
	case VOS_OP_getcwd:
		return true;
	default:
		return c->desc->run == VOS_RUN_BLOCK || c->desc->run == VOS_RUN_PATH;
	}
}

/* Run by the driver. It may come back without its engine: then driving is NULL. */
static long drive_call(struct call *c)
{
	long r;

	if (__builtin_expect(gets_stuck(c), 0))
		return CALL_POOL;
	if (c->desc->run == VOS_RUN_BLOCK || c->desc->run == VOS_RUN_PATH)
		call_may_block(c);
	r = call_run(c);
	if (r != CALL_FLYING)
		call_blocked(c);
	return r;
}

static void retry_mail(struct engine *e, void *arg)
{
	struct call *c = arg;

	(void)e;
	c->in_pool = c->adopted = false;
	if (c->client->gone)
		call_finish(c, -EIO);
	else
		call_retry(c);
}

/* By a thread of the pool, or a driver that has lost its engine: the rest may be the driver's. */
void call_settle_elsewhere(struct call *c, long r)
{
	if (r == CALL_POOL) { /* lost it just before: we are as good as the pool */
		c->in_pool = true;
		r = call_run(c);
	}
	if (r == CALL_FLYING)
		return;
	if (r == CALL_PARK || r == CALL_AGAIN) {
		pool_left(c);
		if (!engine_post(c->client->engine, retry_mail, c))
			return;
		r = -ENOMEM;
	}
	if (r == CALL_BREAK) {
		client_break(c->client, c->desc->name);
		r = -EPROTO;
	}
	call_finish(c, r);
}

void call_settle(struct call *c, long r)
{
	if (__builtin_expect(!driving, 0)) {
		call_settle_elsewhere(c, r);
		return;
	}
	switch (r) {
	case CALL_PARK:
		park_add(c);
		break;
	case CALL_POOL:
		call_hold(c);
		pool_add(c);
		break;
	case CALL_FLYING:
		break;
	case CALL_BREAK:
		client_break(c->client, c->desc->name);
		call_finish(c, -EPROTO);
		break;
	default:
		call_finish(c, r);
	}
}

void call_retry(struct call *c)
{
	long r = -EINTR;

	if (!c->cancelled) {
		r = needs_ident(c) ? ident_assume(c->client->ident, c->client->umask) : 0;
		if (!r)
			r = drive_call(c);
	}
	call_settle(c, r);
}

static void complete(struct lane *l, uint32_t slot, long result);

static struct call *call_new(struct engine *e)
{
	struct call *c;

	if (list_empty(&e->free_calls)) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return NULL;
		c->opened = c->set = -1;
	} else {
		c = list_entry(e->free_calls.next, struct call, job);
		list_del(&c->job);
	}
	list_init(&c->parked);
	list_init(&c->of_client);
	list_init(&c->timer);
	list_init(&c->job);
	return c;
}

static void call_free(struct call *c)
{
	struct engine *e = driving;

	if (!e) { /* not the driver: the list is not ours */
		free(c);
		return;
	}
	c->in_pool = c->timed_out = c->cancelled = c->held = c->adopted = false;
	c->nbases = c->nsmall = 0;
	c->opened = c->set = -1;
	c->closing = NULL;
	c->state = CALL_RUNNING;
	c->ofd[0] = c->ofd[1] = NULL;
	c->watch = c->own_watch = NULL;
	c->deadline = c->done = 0;
	c->step = 0;
	c->aio = 0;
	c->tid = 0;
	c->ident = NULL;
	c->job.next = e->free_calls.next; /* first out next: it is in the cache */
	c->job.prev = &e->free_calls;
	e->free_calls.next->prev = &c->job;
	e->free_calls.next = &c->job;
}

void call_take(struct engine *e, struct lane *l, uint32_t slot, uint32_t state)
{
	const struct vos_entry *entry = &l->slot[slot];
	struct call *c = call_new(e);
	long r;

	vos_lane_taken(state, &l->next);
	l->last = e->turn;
	if (!c) {
		complete(l, slot, -ENOMEM);
		return;
	}
	/* The one copy: what is checked below is what is used. */
	c->op = *(volatile const uint16_t *)&entry->op;
	c->cpu = *(volatile const uint8_t *)&entry->cpu;
	c->extra = (uint64_t) * (volatile const int64_t *)&entry->result;
	for (int i = 0; i < 6; i++)
		c->raw[i] = *(volatile const uint64_t *)&entry->arg[i];
	c->client = l->client;
	c->lane = l;
	c->slot = (uint8_t)slot;
	e->client_cpu = c->client->transport->far ? VOS_CPU_NONE : c->cpu;
	if (c->op >= VOS_NOPS) {
		c->desc = &vos_ops[VOS_OP_nop];
		call_settle(c, CALL_BREAK);
		return;
	}
	c->desc = &vos_ops[c->op];
	r = decode(c);
	if (!r && needs_ident(c))
		r = ident_assume(c->client->ident, c->client->umask);
	if (!r)
		r = drive_call(c);
	call_settle(c, r);
}

/* --- the end -------------------------------------------------------------------------------- */

void call_hold(struct call *c)
{
	if (c->held)
		return;
	c->held = true;
	client_get(c->client);
	for (int i = 0; i < 2; i++)
		if (c->ofd[i])
			ofd_get(c->ofd[i]);
	/* So that a scan of the lane does not take the entry twice. */
	c->lane->call[c->slot] = c;
	atomic_fetch_or_explicit(&c->lane->busy, 1u << c->slot, memory_order_relaxed);
}

void call_set_gone(struct call *c)
{
	user_release(c->client->user, USER_WATCHES, c->set_members);
	user_release(c->client->user, USER_FDS, 1);
}

static void release(struct call *c)
{
	if (c->opened >= 0)
		close(c->opened);
	ofd_put(c->closing); /* nobody has come to it */
	if (c->own_watch) {
		int fd = c->own_watch->fd;

		watch_release(c->own_watch);
		close(fd);
		call_set_gone(c);
	}
	if (c->set >= 0) { /* not parked on it yet */
		close(c->set);
		call_set_gone(c);
	}
	if (c->ident)
		ident_put(c->ident);
	if (c->held)
		client_put(c->client);
}

/*
 * Before the answer: whoever has it may close a descriptor, and what goes with its last reference, a
 * lock or an address, must be gone when that is answered.
 */
static void put_ofds(struct call *c)
{
	for (int i = 0; i < 2; i++) {
		ofd_put(c->ofd[i]);
		c->ofd[i] = NULL;
	}
}

static void complete(struct lane *l, uint32_t slot, long result)
{
	struct vos_entry *entry = &l->slot[slot];
	uint32_t how = vos_entry_complete(entry, result);
	if (how)
		l->client->transport->wake(l, entry, how);
}

static void rescan_mail(struct engine *e, void *arg)
{
	struct lane *l = arg;

	if (!l->client->gone) {
		l->scan = true;
		engine_poll_lane(e, l);
	}
	client_put(l->client);
}

/*
 * The call has been completed: its slot is not ours any more. In this order, since a slot that is
 * not busy and says POSTED must be a new request. Whoever looks at it in between, when it has been
 * posted again already, passes it over: the driver itself cannot, others have it look again.
 */
static void forget(struct call *c)
{
	struct lane *l = c->lane;

	if (driving) {
		l->call[c->slot] = NULL;
		atomic_fetch_and_explicit(&l->busy, ~(1u << c->slot), memory_order_relaxed);
		return;
	}
	pool_forget(c);
	atomic_fetch_and(&l->busy, ~(1u << c->slot));
	if (!(atomic_load(&l->slot[c->slot].state) & VOS_POSTED))
		return;
	client_get(l->client);
	while (engine_post(l->client->engine, rescan_mail, l))
		usleep(1000);
}

static void answer_small(struct call *c, long result)
{
	struct vos_entry *e = &c->lane->slot[c->slot];

	for (long i = 0; i * 8 < result && i * 8 < c->nsmall; i++)
		e->arg[i] = c->small[i];
}

/* By whatever thread has the call. */
void call_finish(struct call *c, long result)
{
	if (c->nsmall)
		answer_small(c, result);
	if (__builtin_expect(c->taken, 0))
		aio_give_back(c, result);
	if (c->held)
		put_ofds(c);
	complete(c->lane, c->slot, result);
	if (c->held)
		forget(c);
	release(c);
	call_free(c);
}

void call_cancel(struct lane *l, uint32_t slot)
{
	struct call *c = slot < VOS_SLOTS ? pool_interrupt(l, slot) : NULL;

	if (!c) /* not there, or some other thread's: that one has been told */
		return;
	park_remove(c);
	call_finish(c, c->done ? (long)c->done : -EINTR);
}
