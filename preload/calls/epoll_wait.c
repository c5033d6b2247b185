/* SPDX-License-Identifier: MIT */
/*
 * epoll_wait and its relatives. Without companions it is the kernel's own. Otherwise a round goes:
 *
 *   post	a request that waits in each domain where there is a companion
 *   look	at the real descriptor, without waiting, if it has members
 *   sleep	if that found nothing: for the requests, and the real descriptor (see many.c)
 *   collect	every request, taking back those that are not done
 *
 * A request that was answered has taken its events out of the companion, and edges and one-shot
 * events come only once. So each source gets a share of the program's room before the round begins,
 * and what has come is delivered whatever else happened: a signal, the end of the time. When there
 * are more sources than room, the sources are looked at in turn instead, and the requests only
 * wait.
 */
#define _GNU_SOURCE
#include "preload/epoll.h"
#include "preload/many.h"

#include <limits.h>
#include <string.h>
#include <sys/syscall.h>

#define ROOM_MAX \
	((int)(VOS_SMALL / sizeof(struct epoll_event))) /* of one request: fits the lane's block \
							 */
#define GRACE_NS 20000000 /* the services keep the time; how late they may be */

struct wait {
	long epfd;
	struct vos_epoll *e;
	struct epoll_event *ev;
	int max, n; /* room, and how much of it is used */
	int64_t deadline;
	bool nowait;
	const struct vos_mask *mask;
	bool again; /* something changed: what has not been found counts for nothing */
	unsigned nudges;
	struct vos_many many;
	int room[VOS_MAX_DOMAINS];
};

/* --- sources -------------------------------------------------------------------------------- */

/*
 * The nudge was for threads that still have to run. If they do not come for a long time they are no
 * more.
 */
static void let_others_leave(struct wait *w)
{
	const struct timespec t = { 0, 1000000 };

	if (++w->nudges > 2)
		vos_raw2(SYS_nanosleep, (long)&t, 0);
	if (w->nudges == 200)
		vos_epoll_overdue(w->e);
}

/* From the real descriptor, at most @room. */
static long look_local(struct wait *w, int room)
{
	bool nudged;
	long r;

	if (room <= 0)
		return 0;
	r = vos_raw4(SYS_epoll_wait, w->epfd, (long)(w->ev + w->n), room, 0);
	if (r > 0) {
		w->n += vos_epoll_filter(w->ev + w->n, (int)r, &nudged);
		w->again |= nudged;
		if (unlikely(nudged))
			let_others_leave(w);
	}
	return r < 0 ? r : 0;
}

/* A request for at most @room events of the companion in @d; 0: only wait. */
static long begin(struct wait *w, unsigned d, int room, int64_t ns)
{
	struct vos_req *q = &w->many.q[d];
	long r = vos_req_begin(q, d, VOS_OP_epoll_wait);
	uint64_t c;

	if (r == -EAGAIN || r == -ENOMEM)
		return -ENOMEM;
	if (r) {
		vos_epoll_lost(w->e, d);
		return -ENOLINK;
	}
	room = room < ROOM_MAX ? room : ROOM_MAX;
	c = vos_epoll_companion(w->e, d);
	r = c && vos_req_knows(q, c) ? 0 : -ENOLINK;
	if (!r && room)
		r = vos_req_in(q, (size_t)room * sizeof(struct epoll_event),
			       sizeof(struct epoll_event));
	if (r) {
		vos_req_end(q);
		return r;
	}
	if (room && (size_t)room * sizeof(struct epoll_event) > q->in.size)
		room = (int)(q->in.size / sizeof(struct epoll_event));
	w->room[d] = room;
	q->e->arg[0] = VOS_WORD_HANDLE(c);
	q->e->arg[1] = room ? VOS_REF(q->in.off, (size_t)room * sizeof(struct epoll_event))
			    : VOS_REF_NULL;
	q->e->arg[2] = (uint64_t)room * sizeof(struct epoll_event);
	q->e->arg[3] = (uint64_t)ns;
	vos_many_post(&w->many, d);
	return 0;
}

static void collect(struct wait *w, unsigned d)
{
	struct vos_req *q = &w->many.q[d];
	const struct epoll_event *in = (const struct epoll_event *)vos_req_in_ptr(q);
	long r = vos_req_collect(q);

	if (r > w->room[d]) {
		vos_req_breach(q);
		r = -ENOLINK;
	}
	for (long i = 0; i < r; i++)
		w->n += vos_epoll_event(w->e, d, &in[i], &w->ev[w->n]);
	if (r == -ENOLINK)
		w->again = true;
	vos_req_end(q);
	w->many.posted &= ~(1u << d);
}

static void collect_all(struct wait *w)
{
	for (unsigned d = 0; d < VOS_MAX_DOMAINS; d++)
		if (w->many.posted & 1u << d)
			collect(w, d);
}

/* --- a round -------------------------------------------------------------------------------- */

/* More sources than room: one after the other, each time another one first. */
static long look_in_turn(struct wait *w, unsigned doms, bool local)
{
	uint32_t first = atomic_fetch_add_explicit(&w->e->turn, 1, memory_order_relaxed);
	unsigned source[VOS_MAX_DOMAINS + 1], n = 0;

	for (unsigned d = 0; d < VOS_MAX_DOMAINS; d++)
		if (doms & 1u << d)
			source[n++] = d;
	if (local)
		source[n++] = VOS_MAX_DOMAINS;
	for (unsigned i = 0; i < n && w->n < w->max; i++) {
		unsigned d = source[(first + i) % n];
		long r;

		if (d == VOS_MAX_DOMAINS)
			r = look_local(w, w->max - w->n);
		else
			r = begin(w, d, w->max - w->n, 0);
		if (r == -ENOLINK)
			w->again = true;
		else if (r)
			return r;
		vos_many_finish(&w->many);
		collect_all(w);
	}
	return 0;
}

static long post_all(struct wait *w, unsigned doms, int share)
{
	int64_t ns = w->nowait ? 0 : vos_left(w->deadline);

	for (unsigned d = 0; d < VOS_MAX_DOMAINS; d++) {
		long r = doms & 1u << d ? begin(w, d, share, ns) : 0;

		if (r == -ENOLINK)
			w->again = true;
		else if (r)
			return r;
	}
	return 0;
}

/* Until something is there. -EINTR. */
static long sleep(struct wait *w)
{
	struct pollfd p[1 + VOS_MANY_FDS] = { { (int)w->epfd, POLLIN, 0 } };
	int64_t until = w->deadline;
	long r;

	if (w->many.posted && vos_many_spin(&w->many))
		return 0;
	if (w->many.posted && until != VOS_FOREVER && until < INT64_MAX - GRACE_NS)
		until += GRACE_NS;
	r = vos_many_sleep(&w->many, p, 1, until, w->mask);
	if (r < 0)
		return r;
	return p[0].revents ? 1 : 0;
}

static unsigned companions(struct vos_epoll *e)
{
	unsigned doms = 0;

	for (unsigned d = 0; d < VOS_MAX_DOMAINS; d++)
		if (vos_epoll_companion(e, d))
			doms |= 1u << d;
	return doms;
}

static long go_round(struct wait *w)
{
	bool local = atomic_load(&w->e->local) != VOS_LOCAL_NONE;
	unsigned doms;
	int sources, share;
	long r = 0, slept = 0;

	vos_epoll_refresh(w->e);
	if (unlikely(w->e->dead))
		w->n = vos_epoll_dead_events(w->e, w->ev, w->max);
	doms = companions(w->e);
	sources = __builtin_popcount(doms) + local;
	share = sources ? (w->max - w->n) / sources : 0;
	if (!share && sources)
		r = look_in_turn(w, doms, local);
	else if (local)
		r = look_local(w, share);
	w->nowait |= w->n > 0;
	if (r || (!share && w->nowait))
		return r;
	r = post_all(w, doms, share);
	if (w->nowait)
		vos_many_finish(&w->many);
	else if (!r && !w->again)
		slept = sleep(w);
	collect_all(w);
	if (slept > 0 && !r)
		r = look_local(w, w->max - w->n);
	return r ? r : slept < 0 ? slept : 0;
}

/*
 * A member that is a set itself is told of by the real descriptor and by companions, but once to the
 * program. Members are known by their data: those that the program cannot tell apart count as one.
 */
static int once_each(struct epoll_event *ev, int n)
{
	int kept = 0, j;

	for (int i = 0; i < n; i++) {
		for (j = 0; j < kept && ev[j].data.u64 != ev[i].data.u64; j++)
			;
		if (j < kept)
			ev[j].events |= ev[i].events;
		else
			ev[kept++] = ev[i];
	}
	return kept;
}

static long wait_remote(struct wait *w)
{
	long r;

	w->nowait = !w->deadline; /* a duration so far */
	w->deadline = vos_deadline(w->deadline);
	do {
		w->again = false;
		w->many.key = vos_epoll_enter(w->epfd, w->e);
		r = go_round(w);
		vos_epoll_leave(w->many.key);
		if (w->n)
			return w->e->nests ? once_each(w->ev, w->n) : w->n;
		if (r)
			return r;
	} while (w->again || (!w->nowait && vos_left(w->deadline)));
	return 0;
}

/* --- the system calls ----------------------------------------------------------------------- */

/* The kernel's own call, for as long as the descriptor has no companion. 0 in *@record: it had
 * none. */
static long wait_local(long nr, const long a[6], uint64_t *record)
{
	bool nudged = false;
	long r, key;

	*record = 0;
	if (!vos_fdtab.n || (!a[3] && nr != SYS_epoll_pwait2))
		return vos_local(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	key = vos_epoll_enter(a[0], NULL);
	*record = vos_fd(a[0]);
	r = *record ? 0 : vos_local(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	vos_epoll_leave(key);
	if (r > 0)
		r = vos_epoll_filter((struct epoll_event *)a[1], (int)r, &nudged);
	if (nudged && !r)
		*record = vos_fd(a[0]);
	return r;
}

static long do_wait(long nr, const long a[6], int64_t ns, const struct vos_mask *mask)
{
	struct wait w = { .epfd = a[0],
			  .ev = (struct epoll_event *)a[1],
			  .max = (int)a[2],
			  .deadline = ns,
			  .mask = mask };
	uint64_t word = vos_fd(a[0]);
	struct vos_hold hold;
	long r;

	if (likely(!word)) {
		r = wait_local(nr, a, &word);

		if (likely(!word))
			return r;
	}
	if (VOS_WORD_KIND(word) != VOS_FD_EPOLL)
		return VOS_WORD_KIND(word) == VOS_FD_OURS ? -EBADF : -EINVAL;
	w.e = vos_epoll_get(word);
	if (!w.e)
		return -EBADF;
	if (mask && mask->size != sizeof(uint64_t))
		return -EINVAL;
	if (w.max <= 0 || w.max > INT_MAX / (int)sizeof(struct epoll_event))
		return -EINVAL;
	if (!ns)
		return wait_remote(&w);
	w.mask = vos_hold_signals(&hold, mask);
	r = wait_remote(&w);
	vos_release_signals(&hold);
	return r;
}

static int64_t from_ms(long ms)
{
	return (int)ms < 0 ? VOS_FOREVER : (int)ms * 1000000ll;
}

long vos_sys_epoll_wait(long epfd, long ev, long max, long ms, long a4, long a5)
{
	const long a[6] = { epfd, ev, max, (int)ms };

	(void)a4, (void)a5;
	return do_wait(SYS_epoll_wait, a, from_ms(ms), NULL);
}

long vos_sys_epoll_pwait(long epfd, long ev, long max, long ms, long set, long size)
{
	const struct vos_mask mask = { (const void *)set, (size_t)size };
	const long a[6] = { epfd, ev, max, (int)ms, set, size };

	return do_wait(SYS_epoll_pwait, a, from_ms(ms), set ? &mask : NULL);
}

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

long vos_sys_epoll_pwait2(long epfd, long ev, long max, long timeout, long set, long size)
{
	const struct vos_mask mask = { (const void *)set, (size_t)size };
	const long a[6] = { epfd, ev, max, timeout, set, size };
	int64_t ns = VOS_FOREVER;
	long r = vos_fdtab.n ? vos_timeout((const struct timespec *)timeout, &ns) : 0;

	return r ? r : do_wait(SYS_epoll_pwait2, a, ns, set ? &mask : NULL);
}
