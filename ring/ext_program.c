/* SPDX-License-Identifier: MIT */
/*
 * The transport between two Xen domains by way of the kernel extension. The kernel makes the memory
 * and the offer, and wakes each thread by itself, as on one machine: so what is not here is as in
 * unix_wait.c. See kernel-ext/virtuos.h, and ring/vchan.h for what the service is told.
 */
#define _GNU_SOURCE
#include "ring/attach.h"
#include "ring/ext.h"
#include "ring/raw.h"
#include "ring/vchan_attach.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define CONFINED_MS 1000 /* in a confined program, nobody wakes us when the channel ends */
#define SLICE_MS    10

static bool failed(long r)
{
	return r < 0 && r > -4096;
}

/* --- attaching ----------------------------------------------------------------------------------
 */

/* Everything of it is in the device's file: one that could not be made is to be closed. */
static int make_memory(struct vos_chan *c, int fd, uint32_t domid, const struct vos_vchan_size *s)
{
	void *live = NULL;
	long at = vos_ext_make(fd, domid, s->lanes, s->order, &live);
	uint8_t *program = (uint8_t *)at;
	int r;

	if (failed(at))
		return (int)at;
	r = vos_chan_init(c, program, program + (1ul << s->order), s->lanes, s->pool);
	if (r) {
		vos_raw2(SYS_munmap, at, 2l << s->order);
		vos_raw2(SYS_munmap, (long)live, VOS_PAGE);
		return r;
	}
	c->program_size = c->service_size = 1ul << s->order;
	c->bell = fd;
	c->vchan = live;
	c->live = &c->vchan->live;
	return 0;
}

/* Takes @fd over if it fails. */
static int make(struct vos_chan *c, int fd, const char *where, const char *name,
		const struct vos_vchan_size *s)
{
	char announced[60];
	uint32_t domid;
	long r;

	/* Before it is a channel's: closing a duplicate would end that. */
	fd = vos_chan_hide_fd(fd);
	r = vos_ext_find(fd, where, name, &domid, announced);
	if (!r)
		r = vos_vchan_announced(announced, &c->announced);
	if (!r)
		r = make_memory(c, fd, domid, s);
	if (r)
		vos_chan_close_fd(fd);
	return (int)r;
}

/* What can be had: other processes may hold most of it. One that has failed is of no more use. */
static int make_some(struct vos_chan *c, long fd, const char *where, const char *name)
{
	int r = -ENOSPC;

	for (int i = 0; i < VOS_VCHAN_SIZES && (r == -ENOSPC || r == -ENOMEM); i++) {
		if (i)
			fd = vos_ext_open();
		r = failed(fd) ? (int)fd : make(c, (int)fd, where, name, &vos_vchan_size[i]);
	}
	return r;
}

static int wait_for_answer(struct vos_chan *c, const char *name, struct vos_welcome *w, int event)
{
	const struct vos_patience p = { c->blocked, vos_now_ms() };
	uint64_t n;
	long r;

	for (;;) {
		/* Acquire: pairs with the service's release, after it has written the answer. */
		if (atomic_load_explicit(&c->sh->answered, memory_order_acquire))
			return vos_vchan_answer(c, name, w);
		if (!atomic_load(&c->vchan->cli_live) || !atomic_load(&c->vchan->srv_live))
			return -ECONNRESET; /* it came, and died */
		r = vos_be_patient(&p, event, POLLIN);
		if (r)
			return (int)r;
		vos_raw3(SYS_read, event, (long)&n, sizeof(n));
	}
}

static int offer(struct vos_chan *c, const char *name, struct vos_welcome *w)
{
	long event = vos_raw2(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	long r = event;

	if (failed(event))
		return (int)event;
	r = vos_ext_lane_fd(c, c->nlanes, (int)event);
	if (!r)
		r = vos_ext_offer(c, name);
	if (r == -ENOENT)
		r = vos_attach_refused(w, (int)r,
				       "there is no directory for its offers in the "
				       "xenstore (see configs/xen/introduce)",
				       NULL);
	if (!r)
		r = wait_for_answer(c, name, w, (int)event);
	vos_ext_lane_fd(c, c->nlanes, -1);
	vos_raw1(SYS_close, event);
	return (int)r;
}

int vos_ext_attach(struct vos_chan *c, int fd, const char *where, const char *name,
		   struct vos_hello *h, struct vos_welcome *w)
{
	int r = make_some(c, fd, where, name);

	if (r)
		return r;
	c->watch = -1;
	vos_vchan_hello(c, h);
	r = offer(c, name, w);
	if (!r) {
		c->transport = &vos_transport_ext;
		return 0;
	}
	vos_chan_close_fd(c->bell); /* and what has been offered is taken back */
	vos_raw2(SYS_munmap, (long)c->vchan, VOS_PAGE);
	vos_chan_destroy(c);
	return r;
}

/* --- while it lasts -----------------------------------------------------------------------------
 */

static void ext_ring(struct vos_chan *c)
{
	long r = vos_ext_ring(c);

	if (r < 0 && r != -EINTR)
		vos_chan_kill(c);
}

static int ext_wake_fd(struct vos_chan *c, struct vos_lane *l)
{
	long fd, r;

	if (l->wake_fd >= 0)
		return 0;
	if (vos_chan_confined)
		return -EPERM;
	fd = vos_raw2(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (failed(fd))
		return (int)fd;
	r = vos_ext_lane_fd(c, l->index, (int)fd);
	if (r)
		vos_raw1(SYS_close, fd);
	else
		l->wake_fd = vos_chan_hide_fd((int)fd);
	return (int)r;
}

static long ext_vouch(struct vos_chan *c)
{
	return vos_chan_confined ? -EPERM : vos_ext_creds(c);
}

/* As one that has confined itself can: on the lane's descriptor, unless a call below sleeps on it. */
static long sleep_confined(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
			   struct vos_waits w)
{
	bool fd = l->wake_fd >= 0 && l->depth == 1;
	struct pollfd p[2];
	long r;

	vos_unix_poll(c, l, e, p);
	if (!fd)
		p[0].fd = -1;
	r = vos_sleep_call(w, SYS_poll, (const long[6]){ (long)p, 2, fd ? CONFINED_MS : SLICE_MS });
	if (r == -EINVAL) /* no descriptors at all */
		r = vos_sleep_call(w, SYS_poll, (const long[6]){ (long)p, 0, SLICE_MS });
	if (r > 0)
		vos_unix_polled(c, l, e, p);
	return r;
}

static long ext_sleep(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
		      uint32_t announced, struct vos_waits w)
{
	return vos_chan_confined ? sleep_confined(c, l, e, w)
				 : vos_ext_wait(c, l->index, &e->state, announced, w);
}

static void ext_wake_all(struct vos_chan *c)
{
	if (!vos_chan_confined)
		vos_ext_end(c);
	if (!atomic_load(&c->vchan->cli_live) &&
	    atomic_load(&c->sh->answered) == VOS_VCHAN_ANSWERED)
		vos_vchan_gone(c->announced);
}

const struct vos_transport vos_transport_ext = {
	.scheme = "vchan:",
	.by = "/dev/virtuos",
	.once = true,
	.vouch = ext_vouch,
	.ring = ext_ring,
	.wake_fd = ext_wake_fd,
	.sleep = ext_sleep,
	.poll = vos_unix_poll,
	.polled = vos_unix_polled,
	.wake_all = ext_wake_all,
	.close = vos_vchan_close,
};
