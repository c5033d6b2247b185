/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ring/chan.h"
#include "ring/raw.h"
#include "ring/fsize.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
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
	struct vos_fsize room;
	long r;

	if (fd < 0)
		return fd;
	r = vos_fsize_begin(&room, size);
	if (!r) {
		r = vos_raw2(SYS_ftruncate, fd, (long)size);
		vos_fsize_end(&room);
	}
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

int vos_chan_init(struct vos_chan *c, void *program, void *service, uint32_t lanes, uint32_t pool)
{
	c->lane = map(lanes * sizeof(*c->lane), -1, 0);
	if (!c->lane)
		return -ENOMEM;
	c->program = program;
	c->service = service;
	c->program_size = VOS_PROGRAM_SIZE(lanes, pool);
	c->service_size = VOS_SERVICE_SIZE(lanes, pool);
	c->nlanes = lanes;
	c->pool = pool;
	c->bell = -1;
	c->guard = 0;
	atomic_store(&c->dead, false);
	atomic_store(&c->doubt, 0);
	for (int i = 0; i < VOS_NOPS; i++)
		c->pace[i] = 0;
	/* A fork child must not run into the parent's channel: it gets one of its own. */
	vos_raw3(SYS_madvise, (long)program, (long)c->program_size, MADV_DONTFORK);
	vos_raw3(SYS_madvise, (long)service, (long)c->service_size, MADV_DONTFORK);
	c->ph = program;
	c->sh = service;
	c->live = &c->sh->guard;
	c->ph->magic = VOS_MAGIC;
	c->ph->version = VOS_VERSION;
	c->ph->lanes = lanes;
	c->ph->pool = pool;
	init_lanes(c);
	vos_pool_init(&c->out, VOS_PROGRAM_DATA + VOS_ALIGN(lanes * VOS_SMALL), pool);
	vos_pool_init(&c->in, (uint32_t)(VOS_SERVICE_DATA(lanes) + VOS_ALIGN(lanes * VOS_SMALL)),
		      pool);
	return 0;
}

int vos_chan_create(struct vos_chan *c, uint32_t lanes, uint32_t pool)
{
	size_t psize = VOS_PROGRAM_SIZE(lanes, pool), ssize = VOS_SERVICE_SIZE(lanes, pool);
	int fd = make_memory(psize + ssize);
	uint8_t *p;

	if (fd < 0)
		return fd;
	p = map(psize + ssize, fd, 0);
	if (p && !vos_chan_init(c, p, p + psize, lanes, pool))
		return fd;
	unmap(p, psize + ssize);
	vos_raw1(SYS_close, fd);
	return -ENOMEM;
}

void vos_chan_destroy(struct vos_chan *c)
{
	unmap(c->lane, c->nlanes * sizeof(*c->lane));
	unmap(c->program, c->program_size);
	unmap(c->service, c->service_size);
	c->lane = NULL;
	c->program = c->service = NULL;
}

/*
 * Sequentially consistent, so an acquire: pairs with the store of 0 by who has left it, whose calls
 * are over. Of a dead thread the kernel has told us so.
 */
static bool take_lane(struct vos_lane *l, int old, int tid)
{
	return atomic_compare_exchange_strong(&l->owner, &old, tid);
}

/* A lane whose thread has died is as good as free; only looked for when there is no free one. */
static struct vos_lane *inherit_lane(struct vos_chan *c, int tid, int pid)
{
	if (vos_chan_confined)
		return NULL;
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

bool vos_chan_used(struct vos_chan *c, int pid)
{
	for (uint32_t i = 0; i < c->nlanes; i++) {
		int owner = atomic_load(&c->lane[i].owner);

		if (owner && vos_raw3(SYS_tgkill, pid, owner, 0) != -ESRCH)
			return true;
	}
	return false;
}

/* Relaxed: a look, made again by whoever is about to sleep. Pairs with vos_chan_kill(). */
bool vos_chan_alive(struct vos_chan *c)
{
	return !atomic_load_explicit(&c->dead, memory_order_relaxed) &&
	       atomic_load_explicit(c->live, memory_order_relaxed) == c->guard;
}

/*
 * One that is gone does not look: so it is only asked for where the service sleeps, and a call takes
 * system calls anyway. The first lane tells, if not for certain; its owner may be posting.
 */
bool vos_chan_deserted(struct vos_chan *c)
{
	const struct vos_lane *l = &c->lane[0];
	uint32_t s;

	if (!c->transport->deserted)
		return false;
	s = __atomic_load_n(&l->tail, __ATOMIC_RELAXED) % VOS_SLOTS;
	return atomic_load_explicit(&l->slot[s].state, memory_order_relaxed) == VOS_ASLEEP &&
	       c->transport->deserted(c);
}

void vos_chan_kill(struct vos_chan *c)
{
	if (atomic_exchange(&c->dead, true)) /* one does what follows, once */
		return;
	/* Whoever looks from now on sees it; wake those who looked before. */
	c->transport->wake_all(c);
}

static int stay(int fd)
{
	return fd;
}

static void just_close(int fd)
{
	vos_raw1(SYS_close, fd);
}

int (*vos_chan_hide_fd)(int fd) = stay;
void (*vos_chan_close_fd)(int fd) = just_close;
