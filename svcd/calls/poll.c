/* SPDX-License-Identifier: MIT */
/*
 * Waiting for many. An epoll descriptor of the program is a real one here, so that edges, one-shot
 * and nesting are the kernel's; poll and select get a set that lives for one call.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define POLL_FEW   256	/* members that the driver looks at itself */
#define EVENTS_MAX 1024 /* that it takes at once */

static uint32_t epoll_bits(short events)
{
	return (uint32_t)(unsigned short)events &
	       (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLRDNORM | EPOLLRDBAND |
		EPOLLWRNORM | EPOLLWRBAND);
}

/* What is asked for of a descriptor that is there more than once: all of it. */
static uint32_t all_bits(const struct pollfd *p, size_t n, int fd)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < n; i++)
		if (p[i].fd == fd)
			bits |= epoll_bits(p[i].events);
	return bits;
}

/* The driver, whose epoll it goes into: what is ready already comes as an event, so none is lost. */
static long park_on_set(struct call *c)
{
	int set = c->set;
	long r;

	c->set = -1;
	r = call_park_set(c, set);
	if (r != CALL_PARK)
		call_set_gone(c);
	return r;
}

/* Its members count among the user's as long as the set is there. */
static long park_poll(struct call *c, const struct pollfd *p, size_t n)
{
	struct user *u = c->client->user;
	int set;

	if (user_charge(u, USER_WATCHES, (int)n, opt.user_watches))
		return -ENOMEM;
	if (user_charge(u, USER_FDS, 1, opt.user_fds))
		goto out_watches;
	set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0)
		goto out_fds;
	for (size_t i = 0; i < n; i++) {
		struct epoll_event ev = { .events = epoll_bits(p[i].events) };
		int fd = p[i].fd;

		if (fd < 0)
			continue;
		if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev) && errno == EEXIST) {
			ev.events = all_bits(p, n, fd);
			epoll_ctl(set, EPOLL_CTL_MOD, fd, &ev);
		}
	}
	c->set = set;
	c->set_members = (int)n;
	return driving ? park_on_set(c) : CALL_PARK;
out_fds:
	user_release(u, USER_FDS, 1);
out_watches:
	user_release(u, USER_WATCHES, (int)n);
	return -ENOMEM;
}

static long poll_answer(struct call *c, const struct pollfd *p, size_t n, long ready)
{
	struct vos_pollfd *out = (void *)c->a[1];

	if (c->len[1] < n * sizeof(*out))
		return CALL_BREAK;
	for (size_t i = 0; i < n; i++)
		out[i].revents = p[i].revents;
	return ready;
}

static long poll_or_park(struct call *c, struct pollfd *p, size_t n)
{
	int64_t timeout = (int64_t)c->raw[3];
	long r = poll(p, n, 0);

	if (r < 0)
		return -errno;
	if (r > 0 || timeout == 0 || c->timed_out)
		return poll_answer(c, p, n, r);
	if (c->own_watch) { /* parked before: its set is still right */
		c->watch = c->own_watch;
		return CALL_PARK;
	}
	if (c->set >= 0) /* made by a driver that had lost its engine */
		return park_on_set(c);
	call_deadline(c, timeout);
	return park_poll(c, p, n);
}

/* What the @i-th member stands for, read once. */
static uint64_t member(const struct call *c, size_t i, struct pollfd *p)
{
	const volatile struct vos_pollfd *in = (const volatile void *)c->a[0];

	p->events = in[i].events;
	p->revents = 0;
	return in[i].handle;
}

/* A descriptor that is not open: poll() says POLLNVAL of a number out of range. */
static int fd_of(const struct ofd *o)
{
	return o ? o->fd : 0x7fffffff;
}

static long poll_few(struct call *c, size_t n)
{
	struct pollfd p[POLL_FEW];
	bool nested = false;

	for (size_t i = 0; i < n; i++) {
		struct ofd *o = handle_ofd(c->client, member(c, i, &p[i]), NULL);

		nested |= o && o->kind == OFD_EPOLL;
		p[i].fd = fd_of(o);
	}
	if (nested) /* whose members are looked at as well, and theirs */
		call_may_block(c);
	return poll_or_park(c, p, n);
}

/* By the pool, which must hold what it looks at. */
static long poll_many(struct call *c, size_t n)
{
	struct pollfd *p = malloc(n * sizeof(*p));
	struct ofd **o = malloc(n * sizeof(struct ofd *));
	long r = -ENOMEM;

	if (!p || !o)
		goto out;
	for (size_t i = 0; i < n; i++) {
		o[i] = handle_get(c->client, member(c, i, &p[i]));
		p[i].fd = fd_of(o[i]);
	}
	r = poll_or_park(c, p, n);
	for (size_t i = 0; i < n; i++)
		ofd_put(o[i]);
out:
	free(p);
	free(o);
	return r;
}

/* Before a call parks again that the pool has looked after: what came meanwhile, nobody has seen. */
static bool set_is_ready(const struct call *c)
{
	struct pollfd p = { c->own_watch->fd, POLLIN, 0 };

	return poll(&p, 1, 0) > 0;
}

/*
 * Members are gone through one by one, and so are those of the set to park on: of more than a few
 * that would keep the driver from others. So the pool does it, and the driver parks.
 */
long svcd_call_poll(struct call *c)
{
	size_t n = c->len[0] / sizeof(struct vos_pollfd);

	if (n <= POLL_FEW)
		return poll_few(c, n);
	if (c->in_pool)
		return poll_many(c, n);
	if (c->set >= 0)
		return park_on_set(c);
	if (!c->own_watch || c->timed_out || set_is_ready(c))
		return CALL_POOL;
	c->watch = c->own_watch;
	return CALL_PARK;
}

long svcd_call_epoll_create(struct call *c)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);
	struct ofd *o;

	if (fd < 0)
		return -errno;
	o = ofd_new(fd, OFD_EPOLL, false);
	if (!o) {
		close(fd);
		return -ENOMEM;
	}
	set_begin(o);
	return handle_add(c->client, o, VOS_ROOT_NONE);
}

long svcd_call_epoll_ctl(struct call *c)
{
	struct epoll_event ev = { 0 };
	struct ofd *set = c->ofd[0], *o = c->ofd[1];
	struct set_member *m = NULL;
	int op = (int)c->a[1];
	long r;

	if (c->a[3])
		memcpy(&ev, (const void *)c->a[3], sizeof(ev));
	if (op == EPOLL_CTL_ADD && set->kind == OFD_EPOLL) {
		r = set_member_new(set, o, &m);
		if (r)
			return r;
		if (o->kind == OFD_EPOLL) { /* the kernel looks for circles */
			atomic_store_explicit(&set->desc->nested, true, memory_order_relaxed);
			call_may_block(c);
		}
	}
	r = epoll_ctl(set->fd, op, o->fd, c->a[3] ? &ev : NULL) ? -errno : 0;
	if (m)
		set_member_added(m, !r);
	else if (op == EPOLL_CTL_DEL && !r)
		set_member_gone(set, o);
	return r;
}

/* Without room for an event: wait until there is one, and leave it there. */
static int take_events(struct call *c, int max)
{
	struct pollfd p = { c->ofd[0]->fd, POLLIN, 0 };

	if (max)
		return epoll_wait(p.fd, (struct epoll_event *)c->a[1], max, 0);
	return poll(&p, 1, 0);
}

long svcd_call_epoll_wait(struct call *c)
{
	int max = (int)(c->len[1] / sizeof(struct epoll_event));
	int64_t timeout = (int64_t)c->raw[3];
	int r;

	if (c->ofd[0]->kind != OFD_EPOLL)
		return -EINVAL;
	if (max > EVENTS_MAX)
		max = EVENTS_MAX;
	/* Relaxed: a hint. What is nested may go deep. */
	if (__builtin_expect(atomic_load_explicit(&c->ofd[0]->desc->nested, memory_order_relaxed),
			     0))
		call_may_block(c);
	r = take_events(c, max);
	if (r < 0)
		return -errno;
	if (r > 0 || timeout == 0 || c->timed_out)
		return max ? r : 0;
	call_deadline(c, timeout);
	return call_park_on(c, c->ofd[0], EPOLLIN);
}
