/* SPDX-License-Identifier: MIT */
/*
 * poll and ppoll. A set with local members only is the kernel's; one with members in one domain
 * only is one request, which waits there. Any other is first looked at everywhere without waiting;
 * if nothing is ready, a request that waits is posted in each domain and the thread sleeps once for
 * all of them and the local members (see many.c).
 *
 * A member that is an epoll descriptor with companions counts in each of their domains and here.
 */
#define _GNU_SOURCE
#include "preload/calls/poll.h"
#include "preload/calls/socket.h"
#include "preload/epoll.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define FEW 256 /* members on the stack */

/* A set: the program's array, and what is local of it. */
struct set {
	struct pollfd *p; /* revents are gathered here */
	unsigned n;
	unsigned ready;			 /* members with revents */
	unsigned count[VOS_MAX_DOMAINS]; /* members in each domain */
	uint8_t *asked;			 /* bit for each domain whose request has the member */
	int16_t *events;		 /* what was asked for: neither the program's array nor the
					  * request, which others can write, is read for it again */
	struct pollfd *local;		 /* and VOS_MANY_FDS spare ones */
	uint32_t *at;			 /* which member each of local is */
	unsigned nlocal;
};

void *vos_call_memory(size_t size)
{
	long p = vos_raw6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p < 0 && p > -4096 ? NULL : (void *)p;
}

void vos_call_memory_end(void *p, size_t size)
{
	vos_raw2(SYS_munmap, (long)p, (long)size);
}

bool vos_poll_remote(const struct pollfd *p, unsigned n)
{
	if (likely(!atomic_load_explicit(&vos_fdtab.nremote, memory_order_relaxed)))
		return false;
	for (unsigned i = 0; i < n; i++)
		if (vos_fd(p[i].fd))
			return true;
	return false;
}

/*
 * @revents of what was asked for, and of what nobody has to ask for. What was asked is not read
 * from the program's array again: another thread may change it meanwhile.
 */
static bool mark(struct set *s, unsigned i, int events, int revents)
{
	struct pollfd *p = &s->p[i];

	revents &= events | POLLERR | POLLHUP | POLLNVAL;
	if (revents && !p->revents)
		s->ready++;
	p->revents |= (short)revents;
	return revents;
}

/* What the member with @word is in domain @d, 0: it is nothing there. */
static uint64_t word_in(uint64_t word, unsigned d)
{
	switch (VOS_WORD_KIND(word)) {
	case VOS_FD_FILE:
	case VOS_FD_SOCKET:
		return VOS_WORD_DOMAIN(word) == d && vos_current(word) ? word : 0;
	case VOS_FD_EPOLL:
		return vos_epoll_in(word, d);
	default:
		return 0;
	}
}

static void add_local(struct set *s, unsigned i)
{
	s->local[s->nlocal] = (struct pollfd){ s->p[i].fd, s->events[i], 0 };
	s->at[s->nlocal++] = i;
}

static void add_remote(struct set *s, unsigned i, uint64_t word)
{
	switch (VOS_WORD_KIND(word)) {
	case VOS_FD_FILE:
	case VOS_FD_SOCKET:
		if (vos_current(word))
			s->count[VOS_WORD_DOMAIN(word)]++;
		else
			mark(s, i, 0, POLLERR | POLLHUP);
		break;
	case VOS_FD_EPOLL:
		add_local(s, i);
		for (unsigned d = 0; d < VOS_MAX_DOMAINS; d++)
			s->count[d] += vos_epoll_in(word, d) != 0;
		if (vos_epoll_any_dead(word))
			mark(s, i, s->events[i], POLLIN | POLLRDNORM);
		break;
	default:
		mark(s, i, 0, POLLNVAL);
	}
}

static void sort_members(struct set *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		uint64_t word = s->p[i].fd < 0 ? 0 : vos_fd(s->p[i].fd);

		s->p[i].revents = 0;
		s->events[i] = *(volatile short *)&s->p[i].events;
		if (s->p[i].fd < 0)
			continue;
		if (word)
			add_remote(s, i, word);
		else
			add_local(s, i);
	}
}

/* --- one domain ----------------------------------------------------------------------------- */

/* The service is gone, or cannot be reached any more: so is every member that it had. */
static void domain_died(struct set *s, unsigned d)
{
	for (unsigned i = 0; i < s->n; i++) {
		uint64_t word = s->p[i].fd < 0 ? 0 : vos_fd(s->p[i].fd);

		if (VOS_WORD_KIND(word) == VOS_FD_EPOLL && vos_epoll_any_dead(word))
			mark(s, i, s->events[i], POLLIN | POLLRDNORM);
		else if ((VOS_WORD_KIND(word) == VOS_FD_FILE ||
			  VOS_WORD_KIND(word) == VOS_FD_SOCKET) &&
			 VOS_WORD_DOMAIN(word) == d)
			mark(s, i, 0, POLLERR | POLLHUP);
	}
	s->count[d] = 0;
}

/* A request for the members in @d. 0, -ENOLINK, -ENOMEM. */
static long begin(struct set *s, unsigned d, int64_t ns, struct vos_req *q)
{
	size_t size = s->count[d] * sizeof(struct vos_pollfd);
	struct vos_pollfd *out;
	unsigned k = 0;
	long r;

	if (size > VOS_IO_MAX)
		return -ENOMEM;
	r = vos_req_begin(q, d, VOS_OP_poll);
	if (r)
		return r == -EAGAIN || r == -ENOMEM ? -ENOMEM : -ENOLINK;
	r = vos_req_out(q, size, size);
	if (!r)
		r = vos_req_in(q, size, size);
	if (r) {
		vos_req_end(q);
		return -ENOMEM;
	}
	out = (struct vos_pollfd *)vos_req_out_ptr(q);
	for (unsigned i = 0; i < s->n; i++) {
		uint64_t w = s->p[i].fd < 0 ? 0 : word_in(vos_fd(s->p[i].fd), d);

		s->asked[i] &= (uint8_t) ~(1u << d);
		if (!w || !vos_req_knows(q, w) || k == s->count[d])
			continue;
		s->asked[i] |= (uint8_t)(1u << d);
		out[k++] = (struct vos_pollfd){ VOS_WORD_HANDLE(w), s->events[i], 0, 0 };
	}
	if (!k) { /* what there was to ask of was the last instance's */
		vos_req_end(q);
		return -ENOLINK;
	}
	size = k * sizeof(*out);
	q->e->arg[0] = VOS_REF(q->out.off, size);
	q->e->arg[1] = VOS_REF(q->in.off, size);
	q->e->arg[2] = size;
	q->e->arg[3] = (uint64_t)ns;
	return 0;
}

/* Take the answer @r of a request, and give the request back. */
static void end(struct set *s, struct vos_req *q, long r)
{
	const volatile struct vos_pollfd *in = (const struct vos_pollfd *)vos_req_in_ptr(q);
	long found = 0;

	for (unsigned i = 0; r > 0 && i < s->n; i++)
		if (s->asked[i] & 1u << q->dom)
			found += mark(s, i, s->events[i], in++->revents);
	if (r > 0 && r != found)
		r = vos_req_breach(q);
	vos_req_end(q);
	if (r == -ENOLINK || r == -EPROTO)
		domain_died(s, q->dom);
}

static long look_in(struct set *s, unsigned d)
{
	struct vos_req q;
	long r = begin(s, d, 0, &q);

	if (r == -ENOLINK)
		domain_died(s, d);
	if (r)
		return r == -ENOLINK ? 0 : r;
	r = vos_req_run(&q, VOS_WAIT_ALWAYS);
	end(s, &q, r);
	return r == -ENOLINK || r > 0 ? 0 : r;
}

/* Wait in one domain alone, which keeps the time. */
static long wait_in(struct set *s, unsigned d, int64_t ns, const struct vos_mask *mask)
{
	struct vos_many m = { .posted = 0, .key = -1 };
	long r = begin(s, d, ns, &m.q[d]), slept = 0;

	if (r == -ENOLINK)
		domain_died(s, d);
	if (r)
		return r == -ENOLINK ? 0 : r;
	vos_many_post(&m, d);
	if (!vos_many_spin(&m))
		slept = vos_many_sleep(&m, s->local, 0, VOS_FOREVER, mask);
	r = vos_req_collect(&m.q[d]);
	end(s, &m.q[d], r);
	return slept < 0 ? slept : r == -ENOLINK || r > 0 ? 0 : r;
}

/* --- several -------------------------------------------------------------------------------- */

static void take_local(struct set *s)
{
	for (unsigned k = 0; k < s->nlocal; k++)
		if (s->local[k].revents)
			mark(s, s->at[k], s->local[k].events, s->local[k].revents);
}

/* Everywhere, without waiting. */
static long look(struct set *s)
{
	long r = 0;

	for (unsigned d = 0; d < VOS_MAX_DOMAINS && !r; d++)
		if (s->count[d])
			r = look_in(s, d);
	if (!r && s->nlocal)
		r = vos_ppoll(s->local, s->nlocal, 0, NULL);
	if (r > 0)
		take_local(s);
	return r < 0 ? r : 0;
}

/* Post in every domain, sleep, take what came. */
static long wait_everywhere(struct set *s, int64_t deadline, const struct vos_mask *mask)
{
	struct vos_many m = { .posted = 0, .key = -1 };
	long r = 0, slept;

	for (unsigned d = 0; d < VOS_MAX_DOMAINS && !r; d++) {
		if (!s->count[d])
			continue;
		r = begin(s, d, VOS_FOREVER, &m.q[d]);
		if (!r)
			vos_many_post(&m, d);
		else if (r == -ENOLINK)
			domain_died(s, d);
	}
	slept = r;
	if (!r)
		slept = vos_many_sleep(&m, s->local, s->nlocal, deadline, mask);
	for (unsigned d = 0; d < VOS_MAX_DOMAINS; d++)
		if (m.posted & 1u << d)
			end(s, &m.q[d], vos_req_collect(&m.q[d]));
	if (slept > 0)
		take_local(s);
	return r == -ENOLINK ? 0 : slept < 0 ? slept : 0;
}

static long poll_set(struct set *s, int64_t ns, const struct vos_mask *mask)
{
	int64_t deadline;
	long r = look(s);

	if (r || s->ready)
		return r;
	if (!ns) /* signals that the mask lets through, as the kernel would */
		return mask ? vos_ppoll(NULL, 0, 0, mask) : 0;
	deadline = vos_deadline(ns);
	do
		r = wait_everywhere(s, deadline, mask);
	while (!r && !s->ready && vos_left(deadline));
	return r;
}

/* The only domain of the set, if it has no other members; -1. */
static int only_domain(const struct set *s)
{
	int only = -1;

	if (s->nlocal || s->ready)
		return -1;
	for (unsigned d = 0; d < VOS_MAX_DOMAINS; d++) {
		if (!s->count[d])
			continue;
		if (only >= 0)
			return -1;
		only = (int)d;
	}
	return only;
}

/* A set larger than the limit of descriptors is an error, as it is to the kernel. */
static bool too_many(unsigned n)
{
	uint64_t lim[2] = { 0, 0 };

	if (vos_chan_confined) /* a filter may not know the call */
		return false;
	return vos_raw4(SYS_prlimit64, 0, 7 /* RLIMIT_NOFILE */, 0, (long)lim) || n > lim[0];
}

long vos_poll(struct pollfd *p, unsigned n, int64_t ns, const struct vos_mask *mask)
{
	struct pollfd few[FEW + VOS_MANY_FDS];
	uint32_t few_at[FEW];
	uint8_t few_asked[FEW];
	int16_t few_events[FEW];
	struct set s = {
		.p = p, .n = n, .local = few, .at = few_at, .asked = few_asked, .events = few_events
	};
	struct vos_hold hold;
	size_t size = 0;
	int only;
	long r;

	if (n > FEW) {
		if (too_many(n))
			return -EINVAL;
		size = n * (sizeof(*s.local) + sizeof(*s.at) + sizeof(*s.events) +
			    sizeof(*s.asked)) +
		       VOS_MANY_FDS * sizeof(*s.local);
		s.local = vos_call_memory(size);
		if (!s.local)
			return -ENOMEM;
		s.at = (uint32_t *)(s.local + n + VOS_MANY_FDS);
		s.events = (int16_t *)(s.at + n);
		s.asked = (uint8_t *)(s.events + n);
	}
	sort_members(&s);
	only = only_domain(&s);
	hold.on = false;
	if (ns && !s.ready)
		mask = vos_hold_signals(&hold, mask);
	if (only >= 0 && ns)
		r = wait_in(&s, (unsigned)only, ns, mask);
	else
		r = poll_set(&s, s.ready ? 0 : ns, s.ready ? NULL : mask);
	vos_release_signals(&hold);
	if (size)
		vos_call_memory_end(s.local, size);
	return s.ready ? (long)s.ready : r < 0 ? r : 0;
}

/* --- the system calls ----------------------------------------------------------------------- */

long vos_sys_poll(long fds, long n, long ms, long a3, long a4, long a5)
{
	(void)a3, (void)a4, (void)a5;
	ms = (int)ms;
	if (likely(!vos_poll_remote((struct pollfd *)fds, (unsigned)n)))
		return vos_local(SYS_poll, fds, n, ms, 0, 0, 0);
	return vos_poll((struct pollfd *)fds, (unsigned)n, ms < 0 ? VOS_FOREVER : ms * 1000000ll,
			NULL);
}

/*
 * The time that was left is not written back: libc's function does not promise it, and its callers'
 * timespec may be constant.
 */
long vos_sys_ppoll(long fds, long n, long timeout, long set, long size, long a5)
{
	const struct vos_mask mask = { (const void *)set, (size_t)size };
	int64_t ns;
	long r;

	(void)a5;
	if (likely(!vos_poll_remote((struct pollfd *)fds, (unsigned)n)))
		return vos_local(SYS_ppoll, fds, n, timeout, set, size, 0);
	r = vos_timeout((const struct timespec *)timeout, &ns);
	if (r)
		return r;
	return vos_poll((struct pollfd *)fds, (unsigned)n, ns, set ? &mask : NULL);
}
