/* SPDX-License-Identifier: MIT */
/* /dev/virtuos: see ring/ext.h. */
#define _GNU_SOURCE
#include "kernel-ext/virtuos.h"
#include "ring/ext.h"
#include "ring/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static bool failed(long r)
{
	return r < 0 && r > -4096;
}

static long request(int fd, unsigned long what, const void *arg)
{
	return vos_raw3(SYS_ioctl, fd, (long)what, (long)arg);
}

/* With a NUL if it fits; without one nobody takes it for a name. */
static void copy(char *to, size_t size, const char *from)
{
	for (size_t i = 0; i < size && (!i || from[i - 1]); i++)
		to[i] = from[i];
}

long vos_ext_open(void)
{
	return vos_raw4(SYS_openat, AT_FDCWD, (long)"/dev/virtuos", O_RDWR | O_CLOEXEC, 0);
}

long vos_ext_find(int fd, const char *where, const char *name, uint32_t *domid, char announced[60])
{
	struct virtuos_find f = { .domid = 0 };
	long r;

	copy(f.domain, sizeof(f.domain), where);
	copy(f.name, sizeof(f.name), name);
	r = request(fd, VIRTUOS_FIND, &f);
	*domid = f.domid;
	f.announced[sizeof(f.announced) - 1] = 0;
	copy(announced, sizeof(f.announced), f.announced);
	return r;
}

long vos_ext_make(int fd, uint32_t domid, uint32_t lanes, unsigned order, void **live)
{
	const struct virtuos_make m = { .domid = domid,
					.program_order = order,
					.service_order = order,
					.lanes = lanes,
					.ready_off = offsetof(struct vos_service_head, ready.slot),
					.ready_slots = VOS_READY_SLOTS };
	const long size = 2l << order;
	long r = request(fd, VIRTUOS_MAKE, &m), page;

	if (r)
		return r;
	r = vos_raw6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (failed(r))
		return r;
	page = vos_raw6(SYS_mmap, 0, VOS_PAGE, PROT_READ, MAP_SHARED, fd, size);
	if (failed(page)) {
		vos_raw2(SYS_munmap, r, size);
		return page;
	}
	*live = (void *)page;
	return r;
}

long vos_ext_offer(struct vos_chan *c, const char *name)
{
	struct virtuos_offer o = { .name = "" };

	copy(o.name, sizeof(o.name), name);
	return request(c->bell, VIRTUOS_OFFER, &o);
}

long vos_ext_lane_fd(struct vos_chan *c, uint32_t lane, int fd)
{
	const struct virtuos_lane_fd f = { lane, fd };

	return request(c->bell, VIRTUOS_LANE_FD, &f);
}

long vos_ext_wait(struct vos_chan *c, uint32_t lane, const _Atomic uint32_t *word, uint32_t value,
		  struct vos_waits w)
{
	const struct virtuos_wait v = { .lane = lane,
					.flags = w.how == VOS_WAIT_ONCE ? 0 : VIRTUOS_WAIT_RESTART,
					.off = (uint32_t)((const uint8_t *)word - c->service),
					.value = value };

	return vos_sleep_call(w, SYS_ioctl, (const long[6]){ c->bell, VIRTUOS_WAIT, (long)&v });
}

long vos_ext_ring(struct vos_chan *c)
{
	return vos_raw3(SYS_write, c->bell, (long)"", 1);
}

long vos_ext_creds(struct vos_chan *c)
{
	return request(c->bell, VIRTUOS_CREDS, NULL);
}

long vos_ext_end(struct vos_chan *c)
{
	return request(c->bell, VIRTUOS_END, NULL);
}
