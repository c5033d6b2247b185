/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ring/chan.h"
#include "ring/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static void *map(size_t size, int fd, size_t off)
{
	long flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	long p = vos_raw6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE, flags, fd, (long)off);

	return p < 0 && p > -4096 ? NULL : (void *)p;
}

static void unmap(void *p, size_t size)
{
	if (p)
		vos_raw2(SYS_munmap, (long)p, (long)size);
}

static int make_memory(size_t size)
{
	int fd = (int)vos_raw2(SYS_memfd_create, (long)"virtuos", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	long r;

	if (fd < 0)
		return fd;
	r = vos_raw2(SYS_ftruncate, fd, (long)size);
	if (!r)
		r = vos_raw3(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (!r)
		return fd;
	vos_raw1(SYS_close, fd);
	return (int)r;
}

static void init_lanes(struct vos_chan *c)
{
	struct vos_entry *e = (struct vos_entry *)(c->service + VOS_SERVICE_LANES);

	for (uint32_t i = 0; i < c->nlanes; i++) {
		struct vos_lane *l = &c->lane[i];

		l->slot = e + i * VOS_SLOTS;
		l->kick = &c->ph->kick[i];
		l->index = (uint16_t)i;
		l->wake_fd = -1;
	}
}

int vos_chan_create(struct vos_chan *c, uint32_t lanes, uint32_t pool)
{
	size_t psize = VOS_PROGRAM_SIZE(lanes, pool), ssize = VOS_SERVICE_SIZE(lanes, pool);
	int fd = make_memory(psize + ssize);

	if (fd < 0)
		return fd;
	c->nlanes = lanes;
	c->pool = pool;
	c->bell = -1;
	c->guard = 0;
	atomic_store(&c->dead, false);
	atomic_store(&c->doubt, 0);
	for (int i = 0; i < VOS_NOPS; i++)
		c->pace[i] = 0;
	c->program = map(psize + ssize, fd, 0);
	c->lane = map(lanes * sizeof(*c->lane), -1, 0);
	if (!c->program || !c->lane)
		goto out_unmap;
	c->service = c->program + psize;
	/* A fork child must not run into the parent's channel: it gets one of its own. */
	vos_raw3(SYS_madvise, (long)c->program, (long)(psize + ssize), MADV_DONTFORK);
	c->ph = (struct vos_program_head *)c->program;
	c->sh = (struct vos_service_head *)c->service;
	c->ph->magic = VOS_MAGIC;
	c->ph->version = VOS_VERSION;
	c->ph->lanes = lanes;
	c->ph->pool = pool;
	init_lanes(c);
	vos_pool_init(&c->out, VOS_PROGRAM_DATA + VOS_ALIGN(lanes * VOS_SMALL), pool);
	vos_pool_init(&c->in, (uint32_t)(VOS_SERVICE_DATA(lanes) + VOS_ALIGN(lanes * VOS_SMALL)),
		      pool);
	return fd;

out_unmap:
	unmap(c->lane, lanes * sizeof(*c->lane));
	unmap(c->program, psize + ssize);
	vos_raw1(SYS_close, fd);
	return -ENOMEM;
}

void vos_chan_destroy(struct vos_chan *c)
{
	unmap(c->lane, c->nlanes * sizeof(*c->lane));
	unmap(c->program,
	      VOS_PROGRAM_SIZE(c->nlanes, c->pool) + VOS_SERVICE_SIZE(c->nlanes, c->pool));
	c->lane = NULL;
	c->program = NULL;
}

static bool take_lane(struct vos_lane *l, int old, int tid)
{
	return atomic_compare_exchange_strong(&l->owner, &old, tid);
}

/* A lane whose thread has died is as good as free; only looked for when there is no free one. */
static struct vos_lane *inherit_lane(struct vos_chan *c, int tid, int pid)
{
	for (uint32_t i = 0; i < c->nlanes; i++) {
		struct vos_lane *l = &c->lane[i];
		int owner = atomic_load(&l->owner);

		if (!owner || vos_raw3(SYS_tgkill, pid, owner, 0) == -ESRCH) {
			if (!l->claimed && take_lane(l, owner, tid)) {
				vos_lane_adopt(l);
				return l;
			}
		}
	}
	return NULL;
}

struct vos_lane *vos_chan_lane(struct vos_chan *c, int tid, int pid)
{
	for (uint32_t i = 0; i < c->nlanes; i++) {
		struct vos_lane *l = &c->lane[i];
		int owner = atomic_load(&l->owner);

		/* Ours already: of a dead thread with our number, whose calls are over. */
		if (owner == tid && !l->claimed)
			return l;
		if (!owner && take_lane(l, 0, tid)) {
			vos_lane_adopt(l);
			return l;
		}
	}
	return inherit_lane(c, tid, pid);
}

bool vos_chan_alive(struct vos_chan *c)
{
	return !atomic_load_explicit(&c->dead, memory_order_relaxed) &&
	       atomic_load_explicit(&c->sh->guard, memory_order_relaxed) == c->guard;
}

void vos_chan_kill(struct vos_chan *c)
{
	if (atomic_exchange(&c->dead, true))
		return;
	/* Sleepers wait for their entry or for the guard: change it, so that none goes to sleep
	 * any more, and wake those who do. Those on a wake descriptor also look at the bell. */
	atomic_fetch_or(&c->sh->guard, FUTEX_OWNER_DIED);
	vos_raw6(SYS_futex, (long)&c->sh->guard, FUTEX_WAKE, 0x7fffffff, 0, 0, 0);
	if (c->bell >= 0)
		vos_raw2(SYS_shutdown, c->bell, SHUT_RDWR);
}
