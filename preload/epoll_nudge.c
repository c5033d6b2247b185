/* SPDX-License-Identifier: MIT */
/*
 * Reaching threads that wait.
 *
 * A thread that waits has looked where the descriptor's members are: in the real one, in which
 * domains. When the first member from a domain is added meanwhile, it must look again. So waiting
 * threads are counted, by number, and if there are any, the real descriptor gets a member that is
 * always ready (a channel's doorbell can always be written to): the nudge. It wakes them all,
 * whether they sleep in the kernel's own epoll_wait or in ours, and its event is taken out before
 * the program sees it.
 *
 *	waiting thread			who adds a companion
 *	counts itself			publishes the companion
 *	looks for companions		looks for waiting threads
 *
 * with a fence between the two, so that at least one sees the other.
 *
 * The nudge is for those who were waiting when it was made, so it also begins a new phase, in which
 * threads are counted anew: the last one to leave of the phase before removes it.
 */
#define _GNU_SOURCE
#include "preload/epoll.h"

#include <sys/syscall.h>

#define NUMBERS 65536u /* that threads are counted for; higher ones share a count */

static _Atomic uint16_t waiting[2][NUMBERS]; /* by phase */
static _Atomic uint32_t waiting_top;	     /* above the highest number counted for so far */
static _Atomic bool ever_nudged;

/* What a nudge's event carries: an address of ours, which no program has for its own. */
static const char tag;
#define NUDGE ((uint64_t)(uintptr_t)&tag)

#define PHASE_BIT 30 /* in the key of a waiting thread */

/*
 * The next number of @e at or after @fd; -1. Before it had a record, threads were counted under the
 * number that they waited by, since then all by the one that it was first seen under.
 */
static long next_number(const struct vos_epoll *e, long fd)
{
	if (e->refs == 1)
		return fd <= e->fd ? e->fd : -1;
	for (; (unsigned long)fd < vos_fdtab.end; fd++)
		if (VOS_WORD_KIND(vos_fd(fd)) == VOS_FD_EPOLL && vos_epoll_get(vos_fd(fd)) == e)
			return fd;
	return -1;
}

static bool waited_for(const struct vos_epoll *e, int phase)
{
	for (long fd = next_number(e, 0); fd >= 0; fd = next_number(e, fd + 1))
		if (atomic_load(&waiting[phase][(unsigned)fd % NUMBERS]))
			return true;
	return false;
}

/* Under the lock. */
static void begin_nudge(struct vos_epoll *e, int bell)
{
	struct epoll_event ev = { .events = EPOLLOUT, .data.u64 = NUDGE };
	int epfd = e->fd, phase = e->phase;

	atomic_store(&e->phase, !phase);
	/* Pairs with the fence in vos_epoll_enter(). */
	atomic_thread_fence(memory_order_seq_cst);
	if (!waited_for(e, phase))
		return;
	atomic_store(&ever_nudged, true);
	if (!vos_raw4(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, bell, (long)&ev))
		e->nudge = bell;
}

/* Under the lock. */
static void end_nudge(struct vos_epoll *e)
{
	int bell = e->nudge;

	/* A doorbell that is closed has left the set by itself. */
	if (bell >= 0 && vos_fd_internal(bell))
		vos_raw4(SYS_epoll_ctl, e->fd, EPOLL_CTL_DEL, bell, 0);
	e->nudge = -1;
	if (!e->nudge_again)
		return;
	e->nudge_again = false;
	if (bell >= 0 && vos_fd_internal(bell))
		begin_nudge(e, bell);
}

void vos_epoll_nudge(struct vos_epoll *e, unsigned d)
{
	struct vos_chan *c = atomic_load(&vos_domain[d].chan);

	if (!c || vos_epoll_get(vos_fd(e->fd)) != e)
		return;
	if (e->nudge >= 0)
		e->nudge_again = true; /* one after the other: there are two phases only */
	else
		begin_nudge(e, c->bell);
}

long vos_epoll_enter(long epfd, const struct vos_epoll *e)
{
	uint32_t key = (unsigned)(e ? e->fd : (int)epfd) % NUMBERS;
	uint32_t top = atomic_load_explicit(&waiting_top, memory_order_relaxed);
	uint32_t phase = e ? (uint32_t)e->phase : 0; /* without a record there was no nudge yet */

	atomic_fetch_add(&waiting[phase][key], 1);
	while (key >= top && !atomic_compare_exchange_weak(&waiting_top, &top, key + 1))
		;
	/* Pairs with the fence in begin_nudge(). */
	atomic_thread_fence(memory_order_seq_cst);
	return (long)(key | phase << PHASE_BIT);
}

static void last_of_phase(long key, int phase)
{
	struct vos_epoll *e = vos_epoll_get(vos_fd(key));
	uint64_t mask;

	if (!e || e->nudge < 0)
		return;
	vos_epoll_lock(&mask);
	if (vos_epoll_get(vos_fd(key)) == e && e->nudge >= 0 && phase != e->phase &&
	    !waited_for(e, phase))
		end_nudge(e);
	vos_epoll_unlock(&mask);
}

void vos_epoll_leave(long key)
{
	int phase = (int)(key >> PHASE_BIT);
	_Atomic uint16_t *count;
	uint16_t n;

	key &= (1l << PHASE_BIT) - 1;
	count = &waiting[phase][key];
	n = atomic_load(count);
	/* Never below 0: a fork child starts from there, perhaps with us in the middle. */
	while (n && !atomic_compare_exchange_weak(count, &n, (uint16_t)(n - 1)))
		;
	if (n <= 1 && unlikely(atomic_load_explicit(&ever_nudged, memory_order_relaxed)))
		last_of_phase(key, phase);
}

/*
 * Should a count stay too high (a handler that jumped out of the wait, a cancelled thread), nobody
 * is the last to leave: whoever has been woken for nothing too often takes the nudge away.
 */
void vos_epoll_overdue(struct vos_epoll *e)
{
	uint64_t mask;

	vos_epoll_lock(&mask);
	if (e->nudge >= 0) {
		for (long fd = next_number(e, 0); fd >= 0; fd = next_number(e, fd + 1))
			atomic_store(&waiting[!e->phase][(unsigned)fd % NUMBERS], 0);
		end_nudge(e);
	}
	vos_epoll_unlock(&mask);
}

int vos_epoll_filter(struct epoll_event *ev, int n, bool *nudged)
{
	int kept = 0;

	*nudged = false;
	if (likely(!atomic_load_explicit(&ever_nudged, memory_order_relaxed)))
		return n;
	for (int i = 0; i < n; i++) {
		if (ev[i].data.u64 == NUDGE)
			*nudged = true;
		else
			ev[kept++] = ev[i];
	}
	return kept;
}

void vos_epoll_nobody_waits(void)
{
	uint32_t top = atomic_load(&waiting_top);

	for (uint32_t i = 0; i < 2 * top; i++)
		if (waiting[i & 1][i / 2])
			atomic_store(&waiting[i & 1][i / 2], 0);
}
