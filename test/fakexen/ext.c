/* SPDX-License-Identifier: MIT */
/*
 * ring/ext.h without a kernel extension, see README. What its kernel would do for a program that
 * sleeps is done by the service (service.c, wake_threads()): a futex of each entry of the lanes that
 * it takes from the ready queue, and their descriptors, which we send there.
 *
 * FAKE_EXT 0: there is none, and programs do as they do without.
 */
#define _GNU_SOURCE
#include "kernel-ext/virtuos.h"
#include "ring/ext.h"
#include "ring/futex.h"
#include "ring/raw.h"
#include "ring/vchan.h"
#include "ring/xen.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#define LOOK_NS 20000000 /* whether the service has hung up: no kernel tells us */

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

static void put_number(struct text *t, uint32_t n)
{
	char digits[12], *at = digits + sizeof(digits) - 1;

	*at = 0;
	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	put(t, at);
}

static uint32_t number(const char *s)
{
	uint32_t n = 0;

	while (*s >= '0' && *s <= '9')
		n = n * 10 + (uint32_t)(*s++ - '0');
	return n;
}

long vos_ext_open(void)
{
	return FAKE_EXT ? vos_gnt_open() : -ENOENT; /* a number, at first */
}

long vos_ext_find(int fd, const char *where, const char *name, uint32_t *domid, char announced[60])
{
	struct text path = { .n = 0 };
	char value[16];
	long r;

	put(&path, VOS_XS_DOMID "/");
	put(&path, where);
	r = vos_xs_read(fd, path.at, value, sizeof(value));
	if (r < 0)
		return -ENXIO;
	*domid = number(value);
	path.n = 0;
	put(&path, "/local/domain/");
	put(&path, value);
	put(&path, "/" VOS_XS_SERVICE "/");
	put(&path, name);
	r = vos_xs_read(fd, path.at, announced, 60);
	return r < 0 ? -ECONNREFUSED : 0;
}

/* The order of the rings is that of the grants. */
long vos_ext_make(int fd, uint32_t domid, uint32_t lanes, unsigned order, void **live)
{
	const uint32_t pages = 1u << (order - 12);
	const long size = 1l << order;
	struct vos_vchan *v;
	uint32_t ref, port;
	long sock, at, part, r;

	(void)lanes;
	sock = vos_event_open(domid, &port);
	if (sock < 0)
		return sock;
	vos_raw3(SYS_dup3, sock, fd, O_CLOEXEC);
	vos_raw1(SYS_close, sock);
	v = (struct vos_vchan *)vos_gnt_share(-1, domid, 1, true, &ref);
	at = vos_raw6(SYS_mmap, 0, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	part = vos_gnt_share(-1, domid, pages, true, v->grant);
	r = vos_raw5(SYS_mremap, part, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at + size);
	part = vos_gnt_share(-1, domid, pages, false, v->grant + pages);
	if (r > 0 || r < -4095)
		r = vos_raw5(SYS_mremap, part, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	vos_raw3(SYS_madvise, (long)v, VOS_PAGE, MADV_DONTFORK);
	v->left_order = v->right_order = (uint16_t)order;
	/* For ourselves. */
	v->unused[0] = ref;
	v->unused[1] = port;
	atomic_store(&v->live, VOS_VCHAN_OFFERED);
	*live = v;
	return r;
}

static long put_value(const struct text *dir, const char *name, uint32_t value)
{
	struct text path = *dir, text = { .n = 0 };

	put(&path, name);
	put_number(&text, value);
	return vos_xs_write(-1, path.at, text.at);
}

long vos_ext_offer(struct vos_chan *c, const char *name)
{
	struct text path = { .n = 0 };
	long r = vos_ext_creds(c);

	put(&path, VOS_XS_OFFER "/");
	put(&path, name);
	put(&path, "/k");
	put_number(&path, c->vchan->unused[1]);
	if (!r)
		r = put_value(&path, "/vouched", VIRTUOS_VOUCHED);
	if (!r)
		r = put_value(&path, "/" VOS_XS_REF, c->vchan->unused[0]);
	return r ? r : put_value(&path, "/" VOS_XS_PORT, c->vchan->unused[1]);
}

long vos_ext_creds(struct vos_chan *c)
{
	struct virtuos_creds *to = (void *)((uint8_t *)c->vchan + VIRTUOS_CREDS_AT);
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { 0 };
	long n;

	to->pid = (int32_t)vos_raw0(SYS_getpid);
	to->uid = (uint32_t)vos_raw1(SYS_setfsuid, -1);
	to->gid = (uint32_t)vos_raw1(SYS_setfsgid, -1);
	to->ruid = (uint32_t)vos_raw0(SYS_getuid);
	to->rgid = (uint32_t)vos_raw0(SYS_getgid);
	vos_raw2(SYS_capget, (long)&h, (long)d);
	to->caps[0] = d[0].effective;
	to->caps[1] = d[1].effective;
	n = vos_raw2(SYS_getgroups, VIRTUOS_CREDS_GROUPS, (long)to->group);
	if (n < 0)
		return -E2BIG;
	to->ngroups = (uint32_t)n;
	to->number += 2;
	return 0;
}

/* The service counts it up once, since it may have been due before the service has got it. */
long vos_ext_lane_fd(struct vos_chan *c, uint32_t lane, int fd)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { &lane, sizeof(lane) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	long r;

	if (fd < 0)
		return 0;
	*(int *)CMSG_DATA(&control.h) = fd;
	r = vos_raw3(SYS_sendmsg, c->bell, (long)&m, MSG_NOSIGNAL);
	return r < 0 ? r : 0;
}

static void look_for_hang_up(struct vos_chan *c)
{
	const struct timespec none = { 0, 0 };
	struct pollfd p = { c->bell, 0, 0 };

	if (vos_raw5(SYS_ppoll, (long)&p, 1, (long)&none, 0, 8) > 0)
		atomic_store(&c->vchan->cli_live, 0);
}

long vos_ext_wait(struct vos_chan *c, uint32_t lane, const _Atomic uint32_t *word, uint32_t value,
		  struct vos_waits w)
{
	struct vos_futex_wait v = { value, (uintptr_t)word, VOS_FUTEX_32, 0 };
	struct timespec t;
	long r;

	(void)lane;
	vos_raw2(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&t);
	t.tv_nsec += LOOK_NS;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	r = vos_sleep_call(w, SYS_futex_waitv,
			   (const long[6]){ (long)&v, 1, 0, (long)&t, CLOCK_MONOTONIC });
	if (r == -ETIMEDOUT)
		look_for_hang_up(c);
	return r;
}

long vos_ext_ring(struct vos_chan *c)
{
	const uint32_t port = c->vchan->unused[1];
	long r = vos_raw3(SYS_write, c->bell, (long)&port, sizeof(port));

	return r == -EAGAIN ? 0 : r;
}

long vos_ext_end(struct vos_chan *c)
{
	look_for_hang_up(c);
	atomic_store(&c->vchan->srv_live, 0);
	return vos_raw2(SYS_shutdown, c->bell, SHUT_RDWR);
}
