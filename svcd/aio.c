/* SPDX-License-Identifier: MIT */
/*
 * Transfers of descriptors that are O_DIRECT: the disk's time is all that they take, so the driver
 * hands them to the kernel (io_submit) and goes on; any number of them is in flight at once without
 * a thread. The kernel counts the engine's eventfd up as they end.
 *
 *	aio_transfer()	submits, from then on the call is in flight: nobody's
 *	aio_reap()	finds it among those that have ended: finishes it, or has the pool do it
 * again
 *
 * What the kernel would have to wait for before the disk has all it needs (blocks to be allocated,
 * dirty pages in the cache, a lock) it refuses when asked not to wait, and so it does on file
 * systems that cannot. The pool then makes the plain call, whose result is the kernel's own.
 *
 * Submitting may cost the driver its engine all the same. Then its successor may find the call
 * ended before the one that has submitted it comes back from the kernel: the second of them goes on
 * with it, and the first does not touch it any more (call->aio).
 *
 * The file's own position: such a transfer takes its part of the file beforehand, as if it had been
 * there already, so that several threads get a part each. call_finish() gives back what it has
 * fallen short of.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_FLIGHT 1024 /* of an engine; the kernel has a limit for all of the machine */
#define BATCH	  32

enum { SUBMITTED = 1, ENDED = 2 };

/*
 * With the first transfer: a process that has such a context takes a while longer to die, and its
 * programs to notice. Without one all goes to the pool.
 */
static bool ready(struct engine *e)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &e->aio_source };
	int r;

	if (e->aio || e->aio_failed)
		return e->aio;
	e->aio_source.type = SOURCE_AIO;
	e->aio_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = e->aio_fd < 0 ? -errno : io_setup(IN_FLIGHT, &e->aio);
	if (!r && !epoll_ctl(e->epoll, EPOLL_CTL_ADD, e->aio_fd, &ev))
		return true;
	log_line(5, "no asynchronous disk I/O: %s", strerror(r ? -r : errno));
	e->aio_failed = true;
	e->aio = NULL;
	return false;
}

/* --- submitting --------------------------------------------------------------------------- */

/*
 * The kernel looks at the whole length, of which we see only the part that fits a request: so the
 * library says how much is still to come. What lies behind the end of a file need not be aligned.
 */
static bool misaligned(const struct call *c, bool out)
{
#ifdef STATX_DIOALIGN
	uint64_t all = (uint64_t)c->a[2] + c->raw[5], tail;
	int fd = c->ofd[0]->fd;
	struct statx st;

	if (!c->raw[5] || all % VOS_PAGE == 0)
		return false;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN | STATX_SIZE, &st) ||
	    !(st.stx_mask & STATX_DIOALIGN) || !st.stx_dio_offset_align)
		return false;
	tail = all % st.stx_dio_offset_align;
	if (out || !tail)
		return tail;
	all += (uint64_t)(c->a[3] < 0 ? lseek(fd, 0, SEEK_CUR) : c->a[3]);
	return all - tail < st.stx_size;
#else
	(void)c, (void)out;
	return false;
#endif
}

/* Can it be done by io_submit() at all, as far as that can be known before? */
static bool suitable(const struct call *c, bool out)
{
	struct ofd *o = c->ofd[0];

	return !atomic_load_explicit(&o->no_aio, memory_order_relaxed) &&
	       !((int)c->a[4] & ~(RWF_DSYNC | RWF_SYNC)) &&
	       !(out && atomic_load_explicit(&o->desc->flags, memory_order_relaxed) & O_APPEND) &&
	       ready(driving);
}

static bool take_position(struct call *c)
{
	off_t end = lseek(c->ofd[0]->fd, c->a[2], SEEK_CUR);

	if (end < 0)
		return false;
	c->taken = (size_t)c->a[2];
	c->a[3] = end - c->a[2];
	return true;
}

/* Before the answer, which says that the position is where it should be. */
void aio_give_back(struct call *c, long result)
{
	off_t moved = result > 0 ? result : 0;

	if (moved != (off_t)c->taken)
		lseek(c->ofd[0]->fd, moved - (off_t)c->taken, SEEK_CUR);
	c->taken = 0;
}

/* As the kernel would: it is the kernel. */
static long wait_for(struct call *c, bool out)
{
	struct iovec iov = { (void *)c->a[1], (size_t)c->a[2] };
	long r = syscall(out ? SYS_pwritev2 : SYS_preadv2, c->ofd[0]->fd, &iov, 1, c->a[3], 0,
			 (int)c->a[4]);

	return r < 0 ? -errno : r;
}

static bool at_end(const struct call *c, long moved)
{
	struct stat st;

	return !fstat(c->ofd[0]->fd, &st) && c->a[3] + moved >= st.st_size;
}

/* The kernel's answer: the result, or CALL_POOL. */
static long outcome(struct call *c, long r)
{
	switch (r) {
	case -EOPNOTSUPP: /* this file system always waits */
		atomic_store_explicit(&c->ofd[0]->no_aio, true, memory_order_relaxed);
		return CALL_POOL;
	case -EAGAIN: /* it would wait */
	case -EINVAL: /* misaligned, or unknown to older kernels */
	case -ENOMEM:
		return CALL_POOL;
	default:
		/* Only part of it without waiting? Not that we know of. */
		return c->op == VOS_OP_read && r >= 0 && r < c->a[2] && !at_end(c, r) ? CALL_POOL
										      : r;
	}
}

/* 1, or why not. */
static int start(struct engine *e, struct call *c, bool out)
{
	struct iocb cb, *list[] = { &cb };

	if (c->a[3] < 0 && !take_position(c))
		return -EAGAIN;
	if (out)
		io_prep_pwrite(&cb, c->ofd[0]->fd, (void *)c->a[1], (size_t)c->a[2], c->a[3]);
	else
		io_prep_pread(&cb, c->ofd[0]->fd, (void *)c->a[1], (size_t)c->a[2], c->a[3]);
	io_set_eventfd(&cb, e->aio_fd);
	cb.data = c;
	cb.aio_rw_flags = (unsigned)c->a[4] | RWF_NOWAIT;
	return io_submit(e->aio, 1, list);
}

static long submit(struct call *c, bool out)
{
	struct engine *e = driving;
	int r;

	call_hold(c);
	atomic_fetch_add_explicit(&e->flying, 1, memory_order_relaxed);
	call_may_block(c);
	r = start(e, c, out);
	if (!call_blocked(c))
		pool_left(c);
	if (r != 1) {
		atomic_fetch_sub_explicit(&e->flying, 1, memory_order_relaxed);
		return outcome(c, r);
	}
	/* Acquire and release, like landed(): the first hands the call to the second. */
	if (atomic_fetch_or_explicit(&c->aio, SUBMITTED, memory_order_acq_rel) & ENDED)
		return outcome(c, c->aio_result);
	return CALL_FLYING;
}

long aio_transfer(struct call *c, bool out)
{
	if (c->in_pool || !c->a[2])
		return wait_for(c, out);
	if (misaligned(c, out))
		return -EINVAL;
	return suitable(c, out) ? submit(c, out) : CALL_POOL;
}

/* --- what has ended ----------------------------------------------------------------------- */

static void landed(struct engine *e, const struct io_event *ev)
{
	struct call *c = ev->data;

	atomic_fetch_sub_explicit(&e->flying, 1, memory_order_relaxed);
	c->aio_result = (long)ev->res;
	if (atomic_fetch_or_explicit(&c->aio, ENDED, memory_order_acq_rel) & SUBMITTED)
		call_settle(c, outcome(c, c->aio_result));
}

/* By the driver. Without a system call when there is none. True if there was one. */
bool aio_reap(struct engine *e)
{
	struct timespec none = { 0, 0 };
	struct io_event ev[BATCH];
	bool any = false;
	int n;

	do {
		n = io_getevents(e->aio, 0, BATCH, ev, &none);
		for (int i = 0; i < n; i++)
			landed(e, &ev[i]);
		any = any || n > 0;
	} while (n == BATCH);
	return any;
}

void aio_event(struct engine *e)
{
	uint64_t n;

	if (read(e->aio_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	aio_reap(e);
}

/* Before the driver stops: wait for those that are in flight, at most @ms. */
void aio_drain(struct engine *e, int ms)
{
	struct timespec limit = { ms / 1000, ms % 1000 * 1000000l };
	struct io_event ev;

	while (aio_flying(e) && io_getevents(e->aio, 1, 1, &ev, &limit) == 1)
		landed(e, &ev);
}
