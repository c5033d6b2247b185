/* SPDX-License-Identifier: MIT */
/* Grants and event channels: /dev/xen/gntalloc and /dev/xen/evtchn. See ring/xen.h. */
#define _GNU_SOURCE
#include "ring/raw.h"
#include "ring/vchan.h"
#include "ring/xen.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

typedef uint16_t domid_t;
#include <xen/evtchn.h>
#include <xen/gntalloc.h>

#define DOMID_SELF 0x7ff0u /* xen/include/public/xen.h */
#define PAGES_MAX  (1u << (VOS_VCHAN_ORDER - 12))

static bool failed(long r)
{
	return r < 0 && r > -4096;
}

static long open_device(const char *path)
{
	return vos_raw4(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC | O_NONBLOCK, 0);
}

long vos_gnt_open(void)
{
	return open_device("/dev/xen/gntalloc");
}

long vos_gnt_share(long fd, uint32_t domid, uint32_t pages, bool writable, uint32_t *ref)
{
	union {
		struct ioctl_gntalloc_alloc_gref op;
		uint8_t space[sizeof(struct ioctl_gntalloc_alloc_gref) + PAGES_MAX * 4];
	} a;
	long r;

	if (pages > PAGES_MAX)
		return -EINVAL;
	a.op.domid = (uint16_t)domid;
	a.op.flags = writable ? GNTALLOC_FLAG_WRITABLE : 0;
	a.op.count = pages;
	r = vos_raw3(SYS_ioctl, fd, IOCTL_GNTALLOC_ALLOC_GREF, (long)&a.op);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < pages; i++)
		ref[i] = ((const volatile uint32_t *)a.op.gref_ids)[i];
	/* Granted until the descriptor and the mapping are gone, in whatever order. */
	return vos_raw6(SYS_mmap, 0, (long)pages << 12, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			(long)a.op.index);
}

long vos_gnt_farewell(long fd, uint32_t at, uint32_t port)
{
	struct ioctl_gntalloc_unmap_notify n = { .index = at, /* the first page has index 0 */
						 .action = UNMAP_NOTIFY_CLEAR_BYTE |
							   UNMAP_NOTIFY_SEND_EVENT,
						 .event_channel_port = port };

	return vos_raw3(SYS_ioctl, fd, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, (long)&n);
}

long vos_event_open(uint32_t domid, uint32_t *port)
{
	struct ioctl_evtchn_bind_unbound_port bind = { domid };
	long fd = open_device("/dev/xen/evtchn");
	long r;

	if (failed(fd))
		return fd;
	r = vos_raw3(SYS_ioctl, fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, (long)&bind);
	if (r >= 0) {
		*port = (uint32_t)r;
		return fd;
	}
	vos_raw1(SYS_close, fd);
	return r;
}

long vos_event_send(int fd, uint32_t port)
{
	struct ioctl_evtchn_notify n = { port };

	return vos_raw3(SYS_ioctl, fd, IOCTL_EVTCHN_NOTIFY, (long)&n);
}

long vos_event_arm(int fd, uint32_t port)
{
	long r = vos_raw3(SYS_write, fd, (long)&port, sizeof(port));

	return r < 0 ? r : 0;
}

long vos_event_take(int fd)
{
	uint32_t port[8];
	long n = vos_raw3(SYS_read, fd, (long)port, sizeof(port));

	return n == -EAGAIN || n == -EINTR ? 0 : n;
}

/* A channel of two ports that are both ours: binding the second one is an event already. */
long vos_event_self(int fd, _Atomic uint32_t *loop)
{
	uint32_t port = *loop, none = 0;

	if (!port) {
		struct ioctl_evtchn_bind_unbound_port a = { DOMID_SELF };
		long r = vos_raw3(SYS_ioctl, fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, (long)&a);
		struct ioctl_evtchn_bind_interdomain b = { DOMID_SELF, (uint32_t)r };

		if (r >= 0)
			port = (uint32_t)r;
		if (r >= 0)
			r = vos_raw3(SYS_ioctl, fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, (long)&b);
		if (r < 0)
			return r;
		if (!__atomic_compare_exchange_n((uint32_t *)loop, &none, port, false,
						 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			port = none;
	}
	return vos_event_send(fd, port);
}
