/* SPDX-License-Identifier: MIT */
/*
 * epoll_create and epoll_ctl: a local member goes to the real descriptor, a remote one to the
 * companion in its domain (preload/epoll.c), an epoll descriptor to both. Waiting is in
 * epoll_wait.c.
 */
#define _GNU_SOURCE
#include "preload/epoll.h"

#include <sys/syscall.h>

#define NUMBERS 65536u

/* Numbers that were given to an epoll descriptor once: a hint that nesting may be going on. */
static _Atomic uint64_t made[NUMBERS / 64];

static long note_made(long fd)
{
	if (fd >= 0 && fd < (long)NUMBERS && vos_fdtab.n)
		atomic_fetch_or_explicit(&made[fd / 64], 1ull << fd % 64, memory_order_relaxed);
	return fd;
}

static bool may_be_epoll(long fd)
{
	if ((unsigned)fd >= NUMBERS)
		return false;
	return atomic_load_explicit(&made[(unsigned)fd / 64], memory_order_relaxed) >> (fd % 64) &
	       1;
}

long vos_epoll_copied(long fd, long to)
{
	return unlikely(may_be_epoll(fd)) ? note_made(to) : to;
}

long vos_sys_epoll_create(long size, long a1, long a2, long a3, long a4, long a5)
{
	(void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
	return note_made(vos_raw1(SYS_epoll_create, size));
}

long vos_sys_epoll_create1(long flags, long a1, long a2, long a3, long a4, long a5)
{
	(void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
	return note_made(vos_raw1(SYS_epoll_create1, flags));
}

/* --- local members -------------------------------------------------------------------------- */

static long ctl_real(long epfd, long op, long fd, struct epoll_event *ev)
{
	struct vos_epoll *e;
	long r = vos_raw4(SYS_epoll_ctl, epfd, op, fd, (long)ev);

	if (r || op != EPOLL_CTL_ADD || !vos_fdtab.n)
		return r;
	/* The descriptor may be getting its record right now: pairs with vos_epoll_adopt(). */
	atomic_thread_fence(memory_order_seq_cst);
	e = vos_epoll_get(vos_fd(epfd));
	if (unlikely(e))
		atomic_store(&e->local, VOS_LOCAL_SOME);
	return 0;
}

/* --- nested ones ---------------------------------------------------------------------------- */

/* The kernel has taken @fd as a member of @epfd. Is it an epoll descriptor? Only those do not mind.
 */
static bool is_epoll(long fd, long epfd)
{
	return VOS_WORD_KIND(vos_fd(fd)) == VOS_FD_EPOLL ||
	       vos_raw4(SYS_epoll_ctl, fd, EPOLL_CTL_DEL, epfd, 0) == -ENOENT;
}

/* What was done with the real ones is to be done with the companions. */
static long ctl_companions(struct vos_epoll *e, struct vos_epoll *member, long op, long fd,
			   const struct epoll_event *ev)
{
	long r = 0;

	for (unsigned d = 0; d < VOS_MAX_DOMAINS && !r; d++) {
		uint64_t h = vos_epoll_companion(member, d);

		if (!h)
			continue;
		if (op == EPOLL_CTL_ADD)
			r = vos_epoll_make_companion(e, d);
		if (!r)
			r = vos_epoll_ctl_in(e, d, op, fd, h, op == EPOLL_CTL_DEL ? 0 : ev->events);
		if (r == -EEXIST || r == -ENOLINK || (r == -ENOENT && op == EPOLL_CTL_DEL))
			r = 0; /* noted first, made later: there already; or died */
	}
	return r;
}

static long ctl_nested(long epfd, long op, long fd, struct epoll_event *ev)
{
	struct vos_epoll *e = NULL, *member = NULL;
	struct vos_member was;
	long r = ctl_real(epfd, op, fd, ev);

	if (r || (op == EPOLL_CTL_ADD && !is_epoll(fd, epfd)))
		return r;
	if (op == EPOLL_CTL_ADD) {
		r = vos_epoll_adopt(epfd, &e);
		if (!r)
			r = vos_epoll_adopt(fd, &member);
	} else {
		e = vos_epoll_get(vos_fd(epfd));
		member = vos_epoll_get(vos_fd(fd));
	}
	if (!r && e && member) {
		member->nested = true;
		r = vos_epoll_note(e, op, fd, vos_fd(fd), ev, &was);
		if (r == -ENOENT) /* it became a member before we were there to note it */
			r = 0;
		else if (!r)
			r = ctl_companions(e, member, op, fd, ev);
	}
	if (r && op == EPOLL_CTL_ADD)
		vos_raw4(SYS_epoll_ctl, epfd, EPOLL_CTL_DEL, fd, 0);
	return r;
}

/* --- remote members ------------------------------------------------------------------------- */

/* Its domain has died: it can still come and go, and be reported. */
static long ctl_dead(struct vos_epoll *e, long op, long fd, uint64_t word,
		     const struct epoll_event *ev)
{
	struct vos_member *m = vos_epoll_member(e, fd), was;
	bool there = m && m->word == word;
	long r;

	if (op == EPOLL_CTL_ADD && there)
		return -EEXIST;
	if (op != EPOLL_CTL_ADD && !there)
		return -ENOENT;
	r = vos_epoll_note(e, op, fd, word, ev, &was);
	if (!r)
		e->dead = true;
	return r;
}

static long ctl_living(struct vos_epoll *e, long op, long fd, uint64_t word,
		       const struct epoll_event *ev)
{
	unsigned d = VOS_WORD_DOMAIN(word);
	struct vos_member was;
	long r = 0;

	if (op == EPOLL_CTL_ADD)
		r = vos_epoll_make_companion(e, d);
	if (!r && op != EPOLL_CTL_DEL)
		r = vos_epoll_note(e, op, fd, word, ev, &was);
	if (r)
		return r;
	r = vos_epoll_ctl_in(e, d, op, fd, word, op == EPOLL_CTL_DEL ? 0 : ev->events);
	if (!r && op == EPOLL_CTL_DEL)
		vos_epoll_note(e, op, fd, word, ev, &was);
	else if (r && op != EPOLL_CTL_DEL)
		vos_epoll_put_back(e, fd, &was);
	return r;
}

/* The record of @epfd, made for its first remote member. */
static long record_of(long epfd, long op, struct vos_epoll **e)
{
	uint64_t word = vos_fd(epfd);
	long r;

	*e = vos_epoll_get(word);
	if (*e)
		return 0;
	if (word)
		return -EINVAL;
	if (op == EPOLL_CTL_ADD)
		return vos_epoll_adopt(epfd, e);
	/* It has no such member, if it is an epoll descriptor at all: its own number is no member.
	 */
	r = vos_raw4(SYS_epoll_ctl, epfd, op, epfd, 0);
	return r == -EBADF ? r : -ENOENT;
}

static long ctl_remote(long epfd, long op, long fd, uint64_t word, struct epoll_event *ev)
{
	struct vos_epoll *e;
	long r;

	if (op != EPOLL_CTL_DEL && !ev)
		return -EFAULT;
	if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
		return -EINVAL;
	r = record_of(epfd, op, &e);
	if (r)
		return r;
	if (!vos_current(word))
		return ctl_dead(e, op, fd, word, ev);
	r = ctl_living(e, op, fd, word, ev);
	return r == -ENOLINK ? ctl_dead(e, op, fd, word, ev) : r;
}

long vos_sys_epoll_ctl(long epfd, long op, long fd, long event, long a4, long a5)
{
	struct epoll_event *ev = (struct epoll_event *)event;
	uint64_t we = vos_fd(epfd), w = vos_fd(fd);

	(void)a4, (void)a5;
	op = (int)op;
	switch (VOS_WORD_KIND(w)) {
	case VOS_FD_FILE:
	case VOS_FD_SOCKET:
		if (VOS_WORD_KIND(we) == VOS_FD_OURS)
			return -EBADF;
		return ctl_remote(epfd, op, fd, w, ev);
	case VOS_FD_OURS:
		return -EBADF;
	default:
		break;
	}
	if (unlikely(we && VOS_WORD_KIND(we) != VOS_FD_EPOLL))
		return VOS_WORD_KIND(we) == VOS_FD_OURS ? -EBADF : -EINVAL;
	if (unlikely(w || may_be_epoll(fd)))
		return ctl_nested(epfd, op, fd, ev);
	return ctl_real(epfd, op, fd, ev);
}
