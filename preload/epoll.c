/* SPDX-License-Identifier: MIT */
/*
 * Epoll descriptors with members in domains.
 *
 * The program's epoll descriptor is a real one and keeps the local members. When the first member
 * from a domain is added it gets a record here and a companion there: an epoll descriptor of the
 * service, so that edges, one-shot and the like are the kernel's own for remote members too. Its
 * word in the descriptor table then names the record; an epoll descriptor without remote members has
 * no word and costs nothing.
 *
 * Life of a record: made by epoll_ctl (vos_epoll_adopt), counted by its numbers, free again when
 * the last of them is closed. Records and their tables of members are kept for the next descriptor,
 * never unmapped, since another thread may still look at them; a generation in the word tells old
 * from new.
 *
 * Members are noted by number, and the service knows them by that number only. What the program
 * wants to be told with an event stays here: often that is a pointer, which a service must not be
 * able to make up. The note is also for members whose domain dies, of which the program must hear,
 * and for nested descriptors: a companion that is made later must become a member of the parents'
 * companions. (A set that is shared over a fork tells each process of its own members only.)
 *
 *	table, companions	changed under the lock, with signals blocked
 *	members			by the thread that is in epoll_ctl for that number
 */
#define _GNU_SOURCE
#include "preload/epoll.h"
#include "preload/change.h"
#include "preload/lock.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#define RECORDS	 4096u
#define GEN_BITS 16

static _Atomic(struct vos_epoll *) table[RECORDS];
static _Atomic uint32_t used; /* records ever made */
static _Atomic int locked;

void vos_epoll_lock(uint64_t *mask)
{
	vos_lock(&locked, mask);
}

void vos_epoll_unlock(const uint64_t *mask)
{
	vos_unlock(&locked, mask);
}

static void *map(size_t size)
{
	long p = vos_raw6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p < 0 && p > -4096 ? NULL : (void *)p;
}

/* --- records -------------------------------------------------------------------------------- */

static uint64_t word_of(uint32_t idx, uint32_t gen)
{
	return VOS_WORD((uint64_t)gen << GEN_BITS | idx, 0, VOS_FD_EPOLL, 0);
}

struct vos_epoll *vos_epoll_get(uint64_t word)
{
	uint32_t idx = word & ((1u << GEN_BITS) - 1), gen = (uint32_t)(word >> GEN_BITS);
	struct vos_epoll *e;

	if (VOS_WORD_KIND(word) != VOS_FD_EPOLL || idx >= RECORDS)
		return NULL;
	/* Acquire: pairs with new_record(). */
	e = atomic_load_explicit(&table[idx], memory_order_acquire);
	return e && atomic_load(&e->gen) == gen ? e : NULL;
}

/* Under the lock. */
static struct vos_epoll *new_record(uint32_t *idx)
{
	struct vos_epoll *e;

	for (uint32_t i = 0; i < used; i++) {
		e = table[i];
		if (!e->refs) {
			*idx = i;
			return e;
		}
	}
	if (used == RECORDS)
		return NULL;
	e = map(sizeof(*e));
	if (!e)
		return NULL;
	*idx = used;
	/* Release: the record is all zeroes before it is seen. Pairs with vos_epoll_get(). */
	atomic_store_explicit(&table[used], e, memory_order_release);
	used++;
	return e;
}

/* Has the real descriptor members? The kernel lists them. */
static bool lists_members(long epfd)
{
	char path[32] = "/proc/self/fdinfo/", buf[1024], digits[12];
	size_t n = strlen(path), k = 0;
	bool found = true;
	long fd;

	do
		digits[k++] = (char)('0' + epfd % 10);
	while ((epfd /= 10) && k < sizeof(digits));
	while (k)
		path[n++] = digits[--k];
	path[n] = 0;
	fd = vos_raw4(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return true;
	/* One line for each, after four short ones. */
	n = 0;
	k = (size_t)vos_raw3(SYS_read, fd, (long)buf, sizeof(buf));
	if (k <= sizeof(buf)) {
		found = false;
		for (; n + 4 <= k && !found; n++)
			found = !memcmp(buf + n, "tfd:", 4);
	}
	vos_raw1(SYS_close, fd);
	return found;
}

static struct vos_epoll *adopt_locked(long epfd, long *err)
{
	uint64_t word = vos_fd(epfd);
	struct vos_epoll *e;
	uint32_t idx;

	if (word) {
		e = vos_epoll_get(word);
		*err = e ? 0 : -EINVAL;
		return e;
	}
	e = (unsigned long)(unsigned)epfd < vos_fdtab.n ? new_record(&idx) : NULL;
	if (!e) {
		*err = -ENOSPC;
		return NULL;
	}
	e->gen++;
	e->refs = 1;
	e->fd = (int)epfd;
	e->nudge = -1;
	e->phase = 0;
	e->dead = e->nested = e->nests = e->nudge_again = false;
	e->local = VOS_LOCAL_UNKNOWN;
	vos_fd_set(epfd, word_of(idx, e->gen));
	*err = 1; /* new */
	return e;
}

/* Is @fd another number of @epfd, which has @probe as a member? Then it has, too. */
static bool is_duplicate(long fd, long epfd, long probe)
{
	struct epoll_event ev = { 0 };

	return fd != epfd && !vos_fd(fd) &&
	       !vos_raw4(SYS_epoll_ctl, fd, EPOLL_CTL_MOD, probe, (long)&ev);
}

/*
 * Numbers that were made from it before it had a record. They are found by asking each descriptor
 * of the process for a member that it can only have through @epfd.
 */
static void adopt_duplicates(struct vos_epoll *e, uint64_t word, long epfd, long probe)
{
	struct epoll_event ev = { 0 };
	struct {
		uint64_t ino, off;
		uint16_t len;
		uint8_t type;
		char name[];
	} * entry;
	_Alignas(8) char buf[1024];
	long n, dir = vos_raw4(SYS_openat, AT_FDCWD, (long)"/proc/self/fd",
			       O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (dir < 0)
		return;
	if (vos_raw4(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, probe, (long)&ev))
		goto out;
	while ((n = vos_raw3(SYS_getdents64, dir, (long)buf, sizeof(buf))) > 0) {
		for (long at = 0; at < n; at += entry->len) {
			long fd = 0;

			entry = (void *)(buf + at);
			for (const char *p = entry->name; *p >= '0' && *p <= '9'; p++)
				fd = fd * 10 + *p - '0';
			if (entry->name[0] == '.' || !is_duplicate(fd, epfd, probe))
				continue;
			e->refs++;
			vos_fd_set(fd, word);
		}
	}
	vos_raw4(SYS_epoll_ctl, epfd, EPOLL_CTL_DEL, probe, 0);
out:
	vos_raw1(SYS_close, dir);
}

long vos_epoll_adopt(long epfd, struct vos_epoll **e)
{
	int unknown = VOS_LOCAL_UNKNOWN;
	uint64_t mask;
	/* What can be polled and is no member tells an epoll descriptor from others. */
	long probe = vos_raw2(SYS_eventfd2, 0, EFD_CLOEXEC), r;

	if (probe < 0)
		return -ENOMEM;
	r = vos_raw4(SYS_epoll_ctl, epfd, EPOLL_CTL_DEL, probe, 0);
	if (r != -ENOENT) {
		vos_raw1(SYS_close, probe);
		return r;
	}
	vos_epoll_lock(&mask);
	*e = adopt_locked(epfd, &r);
	if (r == 1)
		adopt_duplicates(*e, vos_fd(epfd), epfd, probe);
	vos_epoll_unlock(&mask);
	vos_raw1(SYS_close, probe);
	/*
	 * A local member that another thread adds now is either listed already or finds the word
	 * and says so (see vos_sys_epoll_ctl()); then it is SOME and stays so.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	if (r == 1 && !lists_members(epfd))
		atomic_compare_exchange_strong(&(*e)->local, &unknown, VOS_LOCAL_NONE);
	return r < 0 ? r : 0;
}

uint64_t vos_epoll_duped(uint64_t word)
{
	struct vos_epoll *e;
	uint64_t mask;

	vos_epoll_lock(&mask);
	e = vos_epoll_get(word);
	if (e)
		atomic_fetch_add(&e->refs, 1);
	vos_epoll_unlock(&mask);
	return word;
}

static void clear_members(struct vos_epoll *e)
{
	for (unsigned i = 0; i < VOS_EPOLL_CHUNKS; i++) {
		struct vos_member *m = atomic_load_explicit(&e->chunk[i], memory_order_acquire);

		for (unsigned k = 0; m && k < VOS_EPOLL_CHUNK; k++)
			if (m[k].word)
				atomic_store_explicit(&m[k].word, 0, memory_order_relaxed);
	}
}

void vos_epoll_closed(uint64_t word)
{
	struct vos_epoll *e;
	uint64_t mask;

	vos_epoll_lock(&mask);
	e = vos_epoll_get(word);
	if (!e || atomic_fetch_sub(&e->refs, 1) > 1)
		goto out;
	/* Nobody else gets this record while we have the lock; who still looks sees another gen. */
	e->gen++;
	for (unsigned d = 0; d < VOS_MAX_DOMAINS; d++) {
		uint64_t c = vos_epoll_companion(e, d);

		e->companion[d] = 0;
		if (c)
			vos_req_about(c, VOS_OP_close);
	}
	clear_members(e);
out:
	vos_epoll_unlock(&mask);
}

/* --- members -------------------------------------------------------------------------------- */

struct vos_member *vos_epoll_member(struct vos_epoll *e, long fd)
{
	unsigned c = (unsigned)fd / VOS_EPOLL_CHUNK;
	struct vos_member *m;

	if (c >= VOS_EPOLL_CHUNKS)
		return NULL;
	/* Acquire: pairs with member_chunk(). */
	m = atomic_load_explicit(&e->chunk[c], memory_order_acquire);
	return m ? &m[(unsigned)fd % VOS_EPOLL_CHUNK] : NULL;
}

static bool member_chunk(struct vos_epoll *e, long fd)
{
	unsigned c = (unsigned)fd / VOS_EPOLL_CHUNK;
	struct vos_member *m, *none = NULL;

	if (c >= VOS_EPOLL_CHUNKS)
		return false;
	if (atomic_load_explicit(&e->chunk[c], memory_order_relaxed))
		return true;
	m = map(VOS_EPOLL_CHUNK * sizeof(*m));
	if (!m)
		return false;
	/* Release: pairs with vos_epoll_member(). Another thread may have been faster. */
	if (!atomic_compare_exchange_strong_explicit(&e->chunk[c], &none, m, memory_order_release,
						     memory_order_relaxed))
		vos_raw2(SYS_munmap, (long)m, VOS_EPOLL_CHUNK * sizeof(*m));
	return true;
}

static void set_member(struct vos_member *m, uint64_t word, uint64_t data, uint32_t events)
{
	m->data = data;
	m->events = events;
	m->told = 0;
	/* Release: data and events first. Pairs with whoever goes through the members. */
	atomic_store_explicit(&m->word, word, memory_order_release);
}

long vos_epoll_note(struct vos_epoll *e, long op, long fd, uint64_t word,
		    const struct epoll_event *ev, struct vos_member *was)
{
	struct vos_member *m;

	if (op == EPOLL_CTL_ADD && !member_chunk(e, fd))
		return -ENOMEM;
	m = vos_epoll_member(e, fd);
	if (!m)
		return -ENOENT;
	*was = *m;
	if (op == EPOLL_CTL_DEL)
		atomic_store_explicit(&m->word, 0, memory_order_release);
	else
		set_member(m, word, ev->data.u64, ev->events);
	if (VOS_WORD_KIND(word) == VOS_FD_EPOLL)
		e->nests = true;
	return 0;
}

void vos_epoll_put_back(struct vos_epoll *e, long fd, const struct vos_member *was)
{
	set_member(vos_epoll_member(e, fd), was->word, was->data, was->events);
}

#define MODIFIERS (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)

bool vos_epoll_event(struct vos_epoll *e, unsigned d, const struct epoll_event *from,
		     struct epoll_event *to)
{
	uint32_t events = ((const volatile struct epoll_event *)from)->events;
	uint64_t fd = ((const volatile struct epoll_event *)from)->data.u64;
	struct vos_member *m = fd <= INT32_MAX ? vos_epoll_member(e, (long)fd) : NULL;
	/* Acquire: pairs with set_member(). */
	uint64_t word = m ? atomic_load_explicit(&m->word, memory_order_acquire) : 0;

	if (!word || (VOS_WORD_KIND(word) != VOS_FD_EPOLL && VOS_WORD_DOMAIN(word) != d))
		return false;
	events &= (m->events & ~MODIFIERS) | EPOLLERR | EPOLLHUP;
	*to = (struct epoll_event){ .events = events, .data.u64 = m->data };
	return events;
}

/* --- companions ----------------------------------------------------------------------------- */

uint64_t vos_epoll_companion(struct vos_epoll *e, unsigned d)
{
	uint64_t c = atomic_load(&e->companion[d]);

	return c && vos_current(c) ? c : 0;
}

uint64_t vos_epoll_in(uint64_t word, unsigned d)
{
	struct vos_epoll *e = vos_epoll_get(word);

	return e ? vos_epoll_companion(e, d) : 0;
}

/* The domain knows a member by its number here: the program's data is not its to make up. */
long vos_epoll_ctl_in(struct vos_epoll *e, unsigned d, long op, long fd, uint64_t member,
		      uint32_t events)
{
	const struct epoll_event ev = { .events = events, .data.u64 = (uint64_t)fd };
	struct vos_req q;
	long r = vos_req_begin(&q, d, VOS_OP_epoll_ctl);
	uint64_t companion;

	if (r)
		return r == -EAGAIN || r == -ENOMEM ? -ENOMEM : -ENOLINK;
	companion = vos_epoll_companion(e, d);
	q.e->arg[0] = VOS_WORD_HANDLE(companion);
	q.e->arg[1] = (uint64_t)op;
	q.e->arg[2] = VOS_WORD_HANDLE(member);
	q.e->arg[3] = VOS_REF_NULL;
	r = companion ? 0 : -ENOENT;
	if (!r && (!vos_req_knows(&q, companion) || !vos_req_knows(&q, member)))
		r = -ENOLINK;
	if (!r && op != EPOLL_CTL_DEL) {
		r = vos_req_out(&q, sizeof(ev), sizeof(ev));
		if (!r) {
			memcpy(vos_req_out_ptr(&q), &ev, sizeof(ev));
			q.e->arg[3] = VOS_REF(q.out.off, sizeof(ev));
		}
	}
	if (!r)
		r = vos_req_run(&q, VOS_WAIT_ALWAYS);
	if (r > 0)
		r = vos_req_breach(&q);
	vos_req_end(&q);
	return r;
}

static long make_locked(struct vos_epoll *e, unsigned d, int depth);

/* @e has got a companion in @d: in whatever it is nested, there is to be one as well. */
static long tell_parents(struct vos_epoll *e, unsigned d, int depth)
{
	long r = 0;

	for (uint32_t i = 0; i < used && !r; i++) {
		struct vos_epoll *p = table[i];

		for (unsigned c = 0; p->refs && p != e && c < VOS_EPOLL_CHUNKS && !r; c++) {
			struct vos_member *m = p->chunk[c];

			for (unsigned k = 0; m && k < VOS_EPOLL_CHUNK && !r; k++) {
				if (!m[k].word || vos_epoll_get(m[k].word) != e)
					continue;
				r = make_locked(p, d, depth + 1);
				if (!r)
					r = vos_epoll_ctl_in(
						p, d, EPOLL_CTL_ADD, c * VOS_EPOLL_CHUNK + k,
						vos_epoll_companion(e, d), m[k].events);
			}
		}
	}
	return r;
}

/* 0 with the companion's word, or -errno. */
static long new_companion(unsigned d, uint64_t *word)
{
	struct vos_req q;
	long r = vos_req_begin(&q, d, VOS_OP_epoll_create);

	if (r)
		return r;
	q.e->arg[0] = 0;
	r = vos_req_run(&q, VOS_WAIT_RESTART);
	if (r >= 0)
		r = vos_req_handle(&q, r);
	*word = VOS_WORD(r, d, VOS_FD_EPOLL, q.c->incarnation);
	vos_req_end(&q);
	return r < 0 ? r : 0;
}

/* Nesting ends where the kernel ends it; it has refused deeper ones. */
static long make_locked(struct vos_epoll *e, unsigned d, int depth)
{
	uint64_t c;
	long r;

	if (vos_epoll_companion(e, d))
		return 0;
	if (depth > 8)
		return -ELOOP;
	if (e->companion[d])
		e->dead = true;
	r = new_companion(d, &c);
	if (r == -EAGAIN)
		r = -ENOMEM;
	if (r) /* whatever keeps us from attaching: the domain is not there */
		return r == -ENOMEM || r == -EMFILE || r == -ENFILE ? r : -ENOLINK;
	vos_change_begin();
	atomic_store(&e->companion[d], c);
	vos_change_end();
	if (e->nested)
		r = tell_parents(e, d, depth);
	vos_epoll_nudge(e, d);
	return r;
}

long vos_epoll_make_companion(struct vos_epoll *e, unsigned d)
{
	uint64_t mask;
	long r;

	if (likely(vos_epoll_companion(e, d)))
		return 0;
	vos_epoll_lock(&mask);
	r = make_locked(e, d, 0);
	vos_epoll_unlock(&mask);
	return r;
}

/* --- the dead ------------------------------------------------------------------------------- */

void vos_epoll_refresh(struct vos_epoll *e)
{
	for (unsigned d = 0; d < VOS_MAX_DOMAINS; d++) {
		uint64_t c = atomic_load_explicit(&e->companion[d], memory_order_relaxed);

		if (likely(!c) || vos_current(c))
			continue;
		e->dead = true;
		atomic_compare_exchange_strong(&e->companion[d], &c, 0);
	}
}

void vos_epoll_lost(struct vos_epoll *e, unsigned d)
{
	e->dead = true;
	atomic_store(&e->companion[d], 0);
}

/* The next member at or after number @fd whose domain has died, and the companion with it; -1. */
static long next_dead(struct vos_epoll *e, long fd)
{
	for (; (unsigned)fd < VOS_EPOLL_CHUNK * VOS_EPOLL_CHUNKS; fd++) {
		struct vos_member *m = vos_epoll_member(e, fd);
		uint64_t word;

		if (!m) {
			fd |= VOS_EPOLL_CHUNK - 1;
			continue;
		}
		/* Acquire: pairs with vos_epoll_note(). */
		word = atomic_load_explicit(&m->word, memory_order_acquire);
		if (!word || VOS_WORD_KIND(word) == VOS_FD_EPOLL)
			continue;
		if (vos_current(word) && vos_epoll_companion(e, VOS_WORD_DOMAIN(word)))
			continue;
		if (vos_fd(fd) == word)
			return fd;
		/* Closed: so it has left the set, as it would have there. */
		atomic_store_explicit(&m->word, 0, memory_order_relaxed);
	}
	return -1;
}

bool vos_epoll_any_dead(uint64_t word)
{
	struct vos_epoll *e = vos_epoll_get(word);

	if (!e)
		return false;
	vos_epoll_refresh(e);
	return e->dead && next_dead(e, 0) >= 0;
}

int vos_epoll_dead_events(struct vos_epoll *e, struct epoll_event *ev, int max)
{
	long fd = next_dead(e, 0);
	int n = 0;

	if (fd < 0)
		e->dead = false;
	for (; fd >= 0 && n < max; fd = next_dead(e, fd + 1)) {
		struct vos_member *m = vos_epoll_member(e, fd);

		if (m->told)
			continue;
		m->told = (m->events & (EPOLLET | EPOLLONESHOT)) != 0;
		ev[n].events = EPOLLERR | EPOLLHUP;
		ev[n++].data.u64 = m->data;
	}
	return n;
}

void vos_epoll_forked(void)
{
	/* Whoever held the lock is not in this process. */
	atomic_store(&locked, 0);
	vos_epoll_nobody_waits();
}
