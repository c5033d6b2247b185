/* SPDX-License-Identifier: MIT */
/*
 * Calls on numbers: close, dup, fcntl. The kernel does what concerns the number (the placeholder is
 * a real descriptor); the domain does what concerns the open description.
 */
#define _GNU_SOURCE
#include "preload/calls/socket.h"
#include "preload/change.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* The number is free already: forget what it meant. */
static void forget(uint64_t word)
{
	switch (VOS_WORD_KIND(word)) {
	case VOS_FD_EPOLL:
		vos_epoll_closed(word);
		break;
	case VOS_FD_OURS:
		break;
	default:
		if (vos_current(word))
			vos_req_about(word, VOS_OP_close);
	}
}

long vos_sys_close(long fd, long a1, long a2, long a3, long a4, long a5)
{
	uint64_t w = vos_fd(fd);
	long r;

	(void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
	if (likely(!w))
		return vos_local(SYS_close, fd, 0, 0, 0, 0, 0);
	if (VOS_WORD_KIND(w) == VOS_FD_OURS)
		return -EBADF;
	vos_change_begin();
	/* The word first: the number may be somebody else's as soon as it is closed. */
	w = vos_fd_set(fd, 0);
	r = vos_raw1(SYS_close, fd);
	vos_change_end();
	if (w && r != -EBADF)
		forget(w);
	return r;
}

/* Close or mark the local numbers of a run without words. */
static long range(long first, long last, long flags)
{
	return first <= last ? vos_raw3(SYS_close_range, first, last, flags) : 0;
}

long vos_sys_close_range(long first, long last, long flags, long a3, long a4, long a5)
{
	unsigned long lo = (unsigned)first, hi = (unsigned)last;
	/* Untouched pages of the table hold no words, but reading them would make them exist. */
	unsigned long end = atomic_load_explicit(&vos_fdtab.end, memory_order_relaxed);
	unsigned long from = lo;
	long r = 0;

	(void)a3, (void)a4, (void)a5;
	if (!vos_fdtab.n || lo > hi)
		return vos_raw3(SYS_close_range, first, last, flags);
	if ((unsigned)flags & ~(unsigned)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
		return -EINVAL;
	if (flags & CLOSE_RANGE_UNSHARE) {
		r = vos_raw3(SYS_close_range, ~0u, ~0u, CLOSE_RANGE_UNSHARE);
		if (r)
			return r;
		flags &= ~(long)CLOSE_RANGE_UNSHARE;
	}
	for (unsigned long fd = lo; fd <= hi && fd < end; fd++) {
		uint64_t w = vos_fd((long)fd);

		if (!w)
			continue;
		r = fd > from ? range((long)from, (long)fd - 1, flags) : 0;
		from = fd + 1;
		if (r)
			return r;
		if (VOS_WORD_KIND(w) == VOS_FD_OURS)
			continue;
		if (flags & CLOSE_RANGE_CLOEXEC)
			vos_raw3(SYS_fcntl, (long)fd, F_SETFD, FD_CLOEXEC);
		else
			vos_sys_close((long)fd, 0, 0, 0, 0, 0);
	}
	return from <= hi ? range((long)from, (long)hi, flags) : 0;
}

/* --- dup ------------------------------------------------------------------------------------ */

/* Another handle of the same description: its word, 0 with *@err. */
static uint64_t dup_word(uint64_t w, long *err)
{
	long h;

	if (VOS_WORD_KIND(w) == VOS_FD_EPOLL)
		return vos_epoll_duped(w);
	if (!vos_current(w)) { /* dead: so is its copy */
		return w;
	}
	h = vos_req_about(w, VOS_OP_dup);
	if (h < 0) {
		*err = h == -ENOLINK ? vos_dead(w, false) : h;
		return 0;
	}
	return VOS_WORD(h, VOS_WORD_DOMAIN(w), VOS_WORD_KIND(w), VOS_WORD_INC(w)) |
	       (w & VOS_WORD_STREAM);
}

static long dup_epoll(long fd, uint64_t w, long min, bool cloexec)
{
	uint64_t d = vos_epoll_duped(w);
	long r;

	vos_change_begin();
	r = vos_raw3(SYS_fcntl, fd, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, min);
	if (r >= 0)
		vos_fd_set(r, d);
	vos_change_end();
	if (r < 0)
		vos_epoll_closed(d);
	return r;
}

static long dup_to(long fd, uint64_t w, long min, bool cloexec)
{
	long err = 0, to;
	uint64_t d;

	if (VOS_WORD_KIND(w) == VOS_FD_OURS)
		return -EBADF;
	if (VOS_WORD_KIND(w) == VOS_FD_EPOLL)
		return dup_epoll(fd, w, min, cloexec);
	to = vos_fd_reserve(min, cloexec);
	if (to < 0)
		return to;
	d = dup_word(w, &err);
	if (!d)
		return vos_fd_release(to, err);
	vos_timeouts_of(to, VOS_WORD_KIND(d) == VOS_FD_SOCKET ? fd : -1);
	return vos_fd_fill(to, d);
}

long vos_sys_dup(long fd, long a1, long a2, long a3, long a4, long a5)
{
	uint64_t w = vos_fd(fd);

	(void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
	return likely(!w) ? vos_epoll_copied(fd, vos_raw1(SYS_dup, fd)) : dup_to(fd, w, 0, false);
}

/* Can there be a descriptor @to? */
static bool fits(long to)
{
	struct rlimit lim = { RLIM_INFINITY, RLIM_INFINITY };

	if (!vos_chan_confined) /* or the program's filter may not allow the question */
		vos_raw4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&lim);
	return (unsigned)to < lim.rlim_cur && (unsigned)to < vos_fdtab.n;
}

/*
 * Have @to, which may be in use by other threads, stand for @d, with @fd in the kernel (-1: a
 * placeholder). At each moment number and word are a descriptor that works, the old one or the new
 * one: if there is a word, the kernel's part is of no account and changes first; if there is none,
 * it changes last. *@old: what there was, or on failure what is not needed now.
 */
static long swap(long fd, long to, long flags, uint64_t d, uint64_t *old)
{
	bool last = fd < 0 && !vos_fd(to);
	long r;

	if (last)
		*old = vos_fd_set(to, d);
	r = fd < 0 ? vos_fd_put(to, flags & O_CLOEXEC) : vos_raw3(SYS_dup3, fd, to, flags);
	if (r < 0 && last)
		vos_fd_set(to, *old);
	else if (r >= 0 && !last)
		*old = vos_fd_set(to, d);
	if (r < 0)
		*old = d;
	return fd < 0 ? r : vos_epoll_copied(fd, r);
}

static long dup_over(long fd, long to, long flags, uint64_t w, uint64_t old)
{
	bool placeholder = w && VOS_WORD_KIND(w) != VOS_FD_EPOLL;
	uint64_t d = 0;
	long err = 0, r;

	/* A number of ours is not there for the program; or it is reserved for what it opens now. */
	if (VOS_WORD_KIND(w) == VOS_FD_OURS || VOS_WORD_KIND(old) == VOS_FD_OURS)
		return VOS_WORD_KIND(w) != VOS_FD_OURS && VOS_WORD_HANDLE(old) ? -EBUSY : -EBADF;
	if (!fits(to))
		return -EBADF;
	if (w) {
		d = dup_word(w, &err);
		if (!d)
			return err;
	}
	vos_change_begin();
	r = swap(placeholder ? -1 : fd, to, flags, d, &old);
	vos_change_end();
	if (old)
		forget(old);
	if (r >= 0 && VOS_WORD_KIND(d) == VOS_FD_SOCKET)
		vos_timeouts_of(r, fd);
	return r;
}

long vos_sys_dup2(long fd, long to, long a2, long a3, long a4, long a5)
{
	uint64_t w = vos_fd(fd), old = vos_fd(to);

	(void)a2, (void)a3, (void)a4, (void)a5;
	if (likely(!w && !old) || (int)fd == (int)to)
		return vos_epoll_copied(fd, vos_raw2(SYS_dup2, fd, to));
	if (!w) { /* nothing is closed if fd is not open */
		long r = vos_raw2(SYS_fcntl, fd, F_GETFD);

		if (r < 0)
			return r;
	}
	return dup_over(fd, to, 0, w, old);
}

long vos_sys_dup3(long fd, long to, long flags, long a3, long a4, long a5)
{
	uint64_t w = vos_fd(fd), old = vos_fd(to);

	(void)a3, (void)a4, (void)a5;
	if (likely(!w && !old) || (int)fd == (int)to || flags & ~(long)O_CLOEXEC)
		return vos_epoll_copied(fd, vos_raw3(SYS_dup3, fd, to, flags));
	if (!w) {
		long r = vos_raw2(SYS_fcntl, fd, F_GETFD);

		if (r < 0)
			return r;
	}
	return dup_over(fd, to, flags, w, old);
}

/* --- fcntl ---------------------------------------------------------------------------------- */

static long lock_call(uint64_t w, long cmd, long arg)
{
	const uint64_t a[6] = { w,
				(uint64_t)cmd,
				(uint64_t)arg,
				cmd == F_GETLK || cmd == F_OFD_GETLK ? (uint64_t)arg : 0,
				0,
				0 };
	long r;

	if (!arg)
		return -EFAULT;
	r = vos_forward(VOS_OP_fcntl_lock, VOS_WORD_DOMAIN(w), a, NULL);
	return r == -ENOLINK ? vos_dead(w, false) : r;
}

static long hint_call(long fd, uint64_t w, long cmd, uint64_t *hint)
{
	long r;

	if (!hint)
		return -EFAULT;
	r = vos_forward_fd(VOS_OP_fcntl, w,
			   (const long[6]){ fd, cmd, cmd == F_SET_RW_HINT ? (long)*hint : 0 });
	if (r < 0)
		return r;
	if (cmd == F_GET_RW_HINT)
		*hint = (uint64_t)r;
	return 0;
}

static long fcntl_remote(long fd, uint64_t w, long cmd, long arg)
{
	switch (cmd) {
	case F_DUPFD:
		return dup_to(fd, w, (int)arg, false);
	case F_DUPFD_CLOEXEC:
		return dup_to(fd, w, (int)arg, true);
	case F_GETFD:
	case F_SETFD:
		return vos_raw3(SYS_fcntl, fd, cmd, arg);
	default:
		break;
	}
	if (VOS_WORD_KIND(w) == VOS_FD_EPOLL) /* its real descriptor is right for all others */
		return vos_raw3(SYS_fcntl, fd, cmd, arg);
	if (!vos_current(w))
		return vos_dead(w, false);
	switch (cmd) {
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return lock_call(w, cmd, arg);
	case F_GET_RW_HINT:
	case F_SET_RW_HINT:
		return hint_call(fd, w, cmd, (uint64_t *)arg);
	case F_SETOWN: /* signals for descriptors of another kernel: there are none */
	case F_SETSIG:
		return arg ? -EOPNOTSUPP : 0;
	case F_SETOWN_EX:
		return -EOPNOTSUPP;
	case F_GETOWN:
	case F_GETSIG:
		return 0;
	default: {
		const long a[6] = { fd, cmd, arg };

		return vos_forward_fd(VOS_OP_fcntl, w, a);
	}
	}
}

long vos_sys_fcntl(long fd, long cmd, long arg, long a3, long a4, long a5)
{
	uint64_t w = vos_fd(fd);
	long r;

	(void)a3, (void)a4, (void)a5;
	if (likely(!w)) {
		if (cmd == F_SETLKW || cmd == F_OFD_SETLKW)
			return vos_local(SYS_fcntl, fd, cmd, arg, 0, 0, 0);
		if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
			return vos_epoll_copied(fd, vos_raw3(SYS_fcntl, fd, cmd, arg));
		return vos_raw3(SYS_fcntl, fd, cmd, arg);
	}
	if (VOS_WORD_KIND(w) == VOS_FD_OURS)
		return -EBADF;
	r = fcntl_remote(fd, w, (int)cmd, arg);
	return likely(!vos_fd_moved(fd, w, r)) ? r : vos_sys_fcntl(fd, cmd, arg, 0, 0, 0);
}
