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

#define POLL_STACK 64

static uint32_t epoll_bits(short events)
{
	return (uint32_t)(unsigned short)events &
	       (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLRDNORM | EPOLLRDBAND |
		EPOLLWRNORM | EPOLLWRBAND);
}

static long park_poll(struct call *c, const struct pollfd *p, size_t n)
{
	int set = epoll_create1(EPOLL_CLOEXEC);

	if (set < 0)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		struct epoll_event ev = { .events = epoll_bits(p[i].events),
					  .data.u32 = (uint32_t)i };
		int fd = p[i].fd;

		if (fd < 0)
			continue;
		if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev) && errno == EEXIST) {
			/* The same descriptor twice: any event will do, poll() sorts it out. */
			ev.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP;
			epoll_ctl(set, EPOLL_CTL_MOD, fd, &ev);
		}
	}
	return call_park_set(c, set);
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

long svcd_call_poll(struct call *c)
{
	const struct vos_pollfd *in = (const void *)c->a[0];
	size_t n = c->len[0] / sizeof(*in);
	struct pollfd few[POLL_STACK], *p = n <= POLL_STACK ? few : malloc(n * sizeof(*p));
	int64_t timeout = (int64_t)c->raw[3];
	long r;

	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct ofd *o =
			handle_ofd(c->client, *(volatile const uint64_t *)&in[i].handle, NULL);

		/* A descriptor that is not open: poll() says POLLNVAL of a number out of range. */
		p[i].fd = o ? o->fd : 0x7fffffff;
		p[i].events = *(volatile const int16_t *)&in[i].events;
		p[i].revents = 0;
	}
	r = poll(p, n, 0);
	if (r < 0)
		r = -errno;
	else if (r > 0 || timeout == 0 || c->timed_out)
		r = poll_answer(c, p, n, r);
	else if (c->own_watch) { /* parked before: its set is still right */
		c->watch = c->own_watch;
		r = CALL_PARK;
	} else {
		call_deadline(c, timeout);
		r = park_poll(c, p, n);
	}
	if (p != few)
		free(p);
	return r;
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
	return handle_add(c->client, o, VOS_ROOT_NONE);
}

long svcd_call_epoll_ctl(struct call *c)
{
	struct epoll_event ev = { 0 };

	if (c->a[3])
		memcpy(&ev, (const void *)c->a[3], sizeof(ev));
	return epoll_ctl(c->ofd[0]->fd, (int)c->a[1], c->ofd[1]->fd, c->a[3] ? &ev : NULL) ? -errno
											   : 0;
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
	r = take_events(c, max);
	if (r < 0)
		return -errno;
	if (r > 0 || timeout == 0 || c->timed_out)
		return max ? r : 0;
	call_deadline(c, timeout);
	return call_park_on(c, c->ofd[0], EPOLLIN);
}
