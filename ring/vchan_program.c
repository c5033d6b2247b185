/* SPDX-License-Identifier: MIT */
/*
 * The transport between two Xen domains, the program's side: see ring/vchan.h. How its threads
 * sleep is in vchan_wait.c.
 *
 * It is libxenvchan's protocol, without libxenvchan: attaching happens in the middle of some call
 * of the program's, perhaps in a signal handler or in a child of fork() with threads, where nothing
 * may allocate or lock.
 */
#define _GNU_SOURCE
#include "ring/attach.h"
#include "ring/chan.h"
#include "ring/ext.h"
#include "ring/raw.h"
#include "ring/vchan.h"
#include "ring/vchan_attach.h"
#include "ring/xen.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGE_ORDER 12
#define NUMBER_MAX 24

/* --- text ----------------------------------------------------------------------------------------
 */

struct text {
	char at[256];
	size_t n;
};

static void put(struct text *t, const char *s)
{
	while (*s && t->n < sizeof(t->at) - 1)
		t->at[t->n++] = *s++;
	t->at[t->n] = 0;
}

static void put_number(struct text *t, uint64_t n, unsigned base)
{
	char digits[NUMBER_MAX], *at = digits + NUMBER_MAX - 1;

	*at = 0;
	do
		*--at = "0123456789abcdef"[n % base];
	while (n /= base);
	put(t, at);
}

/* --- finding the service -------------------------------------------------------------------------
 */

struct peers {
	uint32_t us, them;  /* numbers of domains */
	uint64_t announced; /* by the service: its ID */
};

static long read_number(long xs, const char *path)
{
	char value[NUMBER_MAX];
	long r = vos_xs_read(xs, path, value, sizeof(value));

	return r < 0 ? r : vos_vchan_number(value);
}

static void service_path(struct text *t, uint32_t domid, const char *name)
{
	t->n = 0;
	put(t, "/local/domain/");
	put_number(t, domid, 10);
	put(t, "/" VOS_XS_SERVICE "/");
	put(t, name);
}

static long find_service(long xs, const char *path, uint64_t *id)
{
	char value[64];
	long r = vos_xs_read(xs, path, value, sizeof(value));

	if (r < 0) /* nobody there takes offers, or none of ours */
		return r == -ENOENT || r == -EACCES ? -ECONNREFUSED : r;
	return vos_vchan_announced(value, id);
}

static long find_peers(long xs, const char *where, const char *name, struct peers *p)
{
	struct text path = { .n = 0 };
	long r = vos_vchan_number(where);

	if (r < 0) {
		put(&path, VOS_XS_DOMID "/");
		put(&path, where);
		r = read_number(xs, path.at);
	}
	if (r < 0)
		return r == -ENOENT ? -ENXIO : r;
	p->them = (uint32_t)r;
	r = read_number(xs, "domid");
	if (r < 0)
		return r;
	p->us = (uint32_t)r;
	service_path(&path, p->them, name);
	return find_service(xs, path.at, &p->announced);
}

/* --- the memory ----------------------------------------------------------------------------------
 */

static bool failed(long r)
{
	return r < 0 && r > -4096;
}

static void unmap(long at, size_t size)
{
	if (!failed(at))
		vos_raw2(SYS_munmap, at, (long)size);
}

static int make_memory(struct vos_chan *c, long gnt, uint32_t domid, const struct vos_vchan_size *s,
		       uint32_t *ref)
{
	const uint32_t pages = 1u << (s->order - PAGE_ORDER);
	const size_t bytes = 1u << s->order;
	long page, service, program = -ENOMEM;
	struct vos_vchan *v;

	/* The first one, so that the farewell is its. */
	page = vos_gnt_share(gnt, domid, 1, true, ref);
	if (failed(page))
		return (int)page;
	v = (struct vos_vchan *)page;
	service = vos_gnt_share(gnt, domid, pages, true, v->grant);
	if (!failed(service))
		program = vos_gnt_share(gnt, domid, pages, false, v->grant + pages);
	if (failed(service) || failed(program) ||
	    vos_chan_init(c, (void *)program, (void *)service, s->lanes, s->pool)) {
		unmap(page, VOS_PAGE);
		unmap(service, bytes);
		unmap(program, bytes);
		return failed(service) ? (int)service : failed(program) ? (int)program : -ENOMEM;
	}
	vos_raw3(SYS_madvise, page, VOS_PAGE, MADV_DONTFORK);
	c->program_size = c->service_size = bytes;
	v->left_order = v->right_order = s->order;
	atomic_store(&v->live, VOS_VCHAN_OFFERED);
	c->vchan = v;
	c->live = &v->live;
	return 0;
}

/* What can be had: other processes may hold most of it. Returns the descriptor, or -errno. */
static long make_some_memory(struct vos_chan *c, uint32_t domid, uint32_t *ref)
{
	long r = -ENOSPC;

	for (size_t i = 0; i < VOS_VCHAN_SIZES && (r == -ENOSPC || r == -ENOMEM); i++) {
		long gnt = vos_gnt_open();

		if (failed(gnt))
			return gnt;
		r = make_memory(c, gnt, domid, &vos_vchan_size[i], ref);
		if (!r)
			return gnt;
		vos_raw1(SYS_close, gnt);
	}
	return r;
}

/* --- the offer
 * ------------------------------------------------------------------------------------
 */

static long put_value(long xs, const struct text *dir, const char *name, uint64_t value)
{
	struct text path = *dir, text = { .n = 0 };

	put(&path, "/");
	put(&path, name);
	put_number(&text, value, 10);
	return vos_xs_write(xs, path.at, text.at);
}

/* @path: of the offer. */
static long make_offer(long xs, const struct peers *p, const char *name, uint32_t ref,
		       uint32_t port, struct text *path)
{
	uint64_t id;
	long r;

	if (vos_raw3(SYS_getrandom, (long)&id, sizeof(id), 0) != sizeof(id))
		return -EIO;
	put(path, VOS_XS_OFFER "/");
	put(path, name);
	r = vos_xs_directory(xs, path->at, p->us, p->them);
	if (r)
		return r;
	put(path, "/");
	put_number(path, id, 16);
	r = put_value(xs, path, VOS_XS_REF, ref);
	if (!r)
		r = put_value(xs, path, VOS_XS_PORT, port);
	return r;
}

static int wait_for_answer(struct vos_chan *c, const char *name, struct vos_welcome *w)
{
	const struct vos_patience p = { c->blocked, vos_now_ms() };
	long r;

	for (;;) {
		/* Acquire: pairs with the service's release, after it has written the answer. */
		if (atomic_load_explicit(&c->sh->answered, memory_order_acquire))
			return vos_vchan_answer(c, name, w);
		if (!(atomic_load(c->live) & 0xff)) /* it came, and died */
			return -ECONNRESET;
		r = vos_be_patient(&p, c->bell, POLLIN);
		if (r)
			return (int)r;
		if (vos_event_take(c->bell) < 0)
			return -ECONNRESET;
		vos_event_arm(c->bell, c->port);
	}
}

static int offer(struct vos_chan *c, long xs, const struct peers *p, const char *name, uint32_t ref,
		 struct vos_welcome *w)
{
	struct text path = { .n = 0 };
	long r = make_offer(xs, p, name, ref, c->port, &path);

	if (!r)
		r = wait_for_answer(c, name, w);
	/* Who takes an offer takes it away. */
	if (r && path.n && !atomic_load(&c->sh->answered))
		vos_xs_remove(xs, path.at);
	return (int)r;
}

/* To hear of the end of the service's domain, from which no event can come. */
static void watch(struct vos_chan *c, long xs, const struct peers *p, const char *name)
{
	struct text path;

	service_path(&path, p->them, name);
	/* A domain may have so many watches only: without one, we do not hear of it. */
	if (vos_xs_watch(xs, path.at)) {
		vos_raw1(SYS_close, xs);
		return;
	}
	c->watch = vos_chan_hide_fd((int)xs);
	for (size_t i = 0; i <= path.n && i < sizeof(c->watched); i++)
		c->watched[i] = path.at[i];
}

static void forget(struct vos_chan *c)
{
	if (c->vchan)
		vos_raw2(SYS_munmap, (long)c->vchan, VOS_PAGE);
	if (c->program)
		vos_chan_destroy(c);
	c->vchan = NULL;
}

static int connect_to(struct vos_chan *c, long xs, const struct peers *p, const char *name,
		      struct vos_hello *h, struct vos_welcome *w)
{
	uint32_t ref, port;
	long gnt, fd, r;

	gnt = make_some_memory(c, p->them, &ref);
	if (failed(gnt))
		return (int)gnt;
	fd = r = vos_event_open(p->them, &port);
	if (!failed(fd)) {
		c->bell = (int)fd;
		c->port = port;
		c->announced = p->announced;
		vos_vchan_hello(c, h);
		r = vos_gnt_farewell(gnt, offsetof(struct vos_vchan, srv_live), port);
		if (!r)
			r = offer(c, xs, p, name, ref, w);
		if (!r)
			c->bell = vos_chan_hide_fd((int)fd);
		else
			vos_raw1(SYS_close, fd);
	}
	vos_raw1(SYS_close, gnt);
	if (r)
		forget(c);
	return (int)r;
}

static int attach_without(struct vos_chan *c, const char *where, const char *name,
			  struct vos_hello *h, struct vos_welcome *w)
{
	long xs = vos_xs_open();
	struct peers p;
	long r;

	c->vchan = NULL;
	c->watch = -1;
	if (failed(xs))
		return xs == -ENOENT || xs == -ENXIO ? -ENODEV : (int)xs;
	r = find_peers(xs, where, name, &p);
	if (!r)
		r = connect_to(c, xs, &p, name, h, w);
	if (r)
		vos_raw1(SYS_close, xs);
	else
		watch(c, xs, &p, name);
	return (int)r;
}

/* By the kernel extension where there is one, of this version, and it is for us. */
static int vchan_attach(struct vos_chan *c, const char *where, const char *name,
			struct vos_hello *h, struct vos_welcome *w)
{
	long fd = vos_ext_open();
	int r = failed(fd) ? -ENOTTY : vos_ext_attach(c, (int)fd, where, name, h, w);

	return r == -ENOTTY ? attach_without(c, where, name, h, w) : r;
}

static void vchan_ring(struct vos_chan *c)
{
	if (vos_chan_confined)
		return; /* the service knows, and looks by itself */
	if (vos_event_send(c->bell, c->port) < 0)
		vos_chan_kill(c);
}

const struct vos_transport vos_transport_vchan = {
	.scheme = "vchan:",
	.by = "/dev/xen/gntalloc",
	.mute = true,
	.attach = vchan_attach,
	.ring = vchan_ring,
	.wake_fd = vos_vchan_wake_fd,
	.sleep = vos_vchan_sleep,
	.poll = vos_vchan_poll,
	.polled = vos_vchan_polled,
	.awake = vos_vchan_awake,
	.deserted = vos_vchan_deserted,
	.wake_all = vos_vchan_wake_all,
	.close = vos_vchan_close,
};
