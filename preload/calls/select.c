/* SPDX-License-Identifier: MIT */
/*
 * select and pselect6: poll() for the members of the three sets. The kernel looks at as many bits
 * as the caller says, in whole longs; so do we, without a limit of 1024.
 */
#define _GNU_SOURCE
#include "preload/calls/poll.h"

#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>

#define FEW	  256 /* members on the stack */
#define LONG_BITS (8 * sizeof(unsigned long))
#define NS_PER_S  1000000000ll

/* What makes a descriptor readable, writable and exceptional, as the kernel has it. */
#define IN_SET	(POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)
#define OUT_SET (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)
#define EX_SET	POLLPRI

struct sets {
	unsigned long *in, *out, *ex; /* each may be NULL */
	unsigned nfds;
	struct pollfd *p;
	unsigned n;
};

static unsigned nlongs(const struct sets *s)
{
	return (unsigned)((s->nfds + LONG_BITS - 1) / LONG_BITS);
}

/* The bits of long @i in any set, without those beyond nfds. */
static unsigned long bits(const struct sets *s, unsigned i)
{
	unsigned long b = (s->in ? s->in[i] : 0) | (s->out ? s->out[i] : 0) |
			  (s->ex ? s->ex[i] : 0);
	unsigned left = s->nfds - i * (unsigned)LONG_BITS;

	return left < LONG_BITS ? b & ((1ul << left) - 1) : b;
}

static bool has(const unsigned long *set, unsigned fd)
{
	return set && set[fd / LONG_BITS] >> (fd % LONG_BITS) & 1;
}

/* How many members there are, and whether any of them is remote. */
static bool any_remote(struct sets *s)
{
	bool remote = false;

	s->n = 0;
	for (unsigned i = 0; i < nlongs(s); i++)
		for (unsigned long b = bits(s, i); b; b &= b - 1) {
			remote |= vos_fd((long)(i * LONG_BITS) + __builtin_ctzl(b)) != 0;
			s->n++;
		}
	return remote;
}

static void fill(struct sets *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nlongs(s); i++)
		for (unsigned long b = bits(s, i); b && n < s->n; b &= b - 1) {
			unsigned fd = i * (unsigned)LONG_BITS + (unsigned)__builtin_ctzl(b);
			int ev = 0;

			ev |= has(s->in, fd) ? POLLIN | POLLRDNORM | POLLRDBAND : 0;
			ev |= has(s->out, fd) ? POLLOUT | POLLWRNORM | POLLWRBAND : 0;
			ev |= has(s->ex, fd) ? POLLPRI : 0;
			s->p[n++] = (struct pollfd){ (int)fd, (short)ev, 0 };
		}
	s->n = n;
}

/* What a member's revents mean for the sets that it is in. */
static int meant(const struct pollfd *p)
{
	int m = 0;

	if (p->events & POLLIN && p->revents & IN_SET)
		m |= POLLIN;
	if (p->events & POLLOUT && p->revents & OUT_SET)
		m |= POLLOUT;
	if (p->events & POLLPRI && p->revents & EX_SET)
		m |= POLLPRI;
	return m;
}

/*
 * Bits that will be set, -EBADF, or 0: what poll() found does not matter here (it always reports
 * errors and hang-up). Such members can bring nothing any more, so they are left out from then on.
 */
static long count(struct sets *s)
{
	long total = 0;

	for (unsigned i = 0; i < s->n; i++) {
		if (s->p[i].revents & POLLNVAL)
			return -EBADF;
		if (s->p[i].revents && !meant(&s->p[i]))
			s->p[i].fd = -1;
		total += __builtin_popcount((unsigned)meant(&s->p[i]));
	}
	return total;
}

static void set_bit(unsigned long *set, unsigned fd)
{
	set[fd / LONG_BITS] |= 1ul << fd % LONG_BITS;
}

static void answer(struct sets *s)
{
	size_t size = nlongs(s) * sizeof(unsigned long);

	for (int k = 0; k < 3; k++) {
		unsigned long *set = k == 0 ? s->in : k == 1 ? s->out : s->ex;

		if (set)
			memset(set, 0, size);
	}
	for (unsigned i = 0; i < s->n; i++) {
		int m = meant(&s->p[i]);

		if (m & POLLIN)
			set_bit(s->in, (unsigned)s->p[i].fd);
		if (m & POLLOUT)
			set_bit(s->out, (unsigned)s->p[i].fd);
		if (m & POLLPRI)
			set_bit(s->ex, (unsigned)s->p[i].fd);
	}
}

static long select_sets(struct sets *s, int64_t deadline, const struct vos_mask *mask)
{
	long r, bits_set;

	fill(s);
	do {
		r = vos_poll(s->p, s->n, vos_left(deadline), mask);
		if (r < 0)
			return r;
		bits_set = count(s);
	} while (!bits_set && (r || deadline == VOS_FOREVER));
	if (bits_set >= 0)
		answer(s);
	return bits_set;
}

/* @sets have been looked through by any_remote(). */
static long do_select(const struct sets *sets, int64_t deadline, const struct vos_mask *mask)
{
	struct pollfd few[FEW];
	struct sets s = *sets;
	size_t size = s.n * sizeof(*s.p);
	long r;

	s.p = s.n > FEW ? vos_call_memory(size) : few;
	if (!s.p)
		return -ENOMEM;
	r = select_sets(&s, deadline, mask);
	if (s.p != few)
		vos_call_memory_end(s.p, size);
	return r;
}

static bool is_remote(struct sets *s, long n, long in, long out, long ex)
{
	*s = (struct sets){
		(unsigned long *)in, (unsigned long *)out, (unsigned long *)ex, (unsigned)n, NULL, 0
	};
	if (likely(!atomic_load_explicit(&vos_fdtab.nremote, memory_order_relaxed)))
		return false;
	if ((int)n < 0 || (unsigned long)n > vos_fdtab.n)
		return false;
	return any_remote(s);
}

/* The time that is left is written back. */
long vos_sys_select(long n, long in, long out, long ex, long timeout, long a5)
{
	struct timeval *tv = (struct timeval *)timeout;
	int64_t ns = VOS_FOREVER, deadline;
	struct sets s;
	long r;

	(void)a5;
	if (likely(!is_remote(&s, n, in, out, ex)))
		return vos_local(SYS_select, n, in, out, ex, timeout, 0);
	if (tv) {
		const struct timespec t = { tv->tv_sec + tv->tv_usec / 1000000,
					    tv->tv_usec % 1000000 * 1000 };

		r = vos_timeout(&t, &ns);
		if (r)
			return r;
	}
	deadline = vos_deadline(ns);
	r = do_select(&s, deadline, NULL);
	if (tv && deadline != VOS_FOREVER) {
		ns = vos_left(deadline);
		*tv = (struct timeval){ ns / NS_PER_S, ns % NS_PER_S / 1000 };
	}
	return r;
}

long vos_sys_pselect6(long n, long in, long out, long ex, long timeout, long sigmask)
{
	const struct vos_mask *mask = (const struct vos_mask *)sigmask;
	struct timespec *t = (struct timespec *)timeout;
	int64_t ns, deadline;
	struct sets s;
	long r;

	if (likely(!is_remote(&s, n, in, out, ex)))
		return vos_local(SYS_pselect6, n, in, out, ex, timeout, sigmask);
	r = vos_timeout(t, &ns);
	if (r)
		return r;
	deadline = vos_deadline(ns);
	r = do_select(&s, deadline, mask && mask->set ? mask : NULL);
	if (t && deadline != VOS_FOREVER) {
		ns = vos_left(deadline);
		*t = (struct timespec){ ns / NS_PER_S, ns % NS_PER_S };
	}
	return r;
}
