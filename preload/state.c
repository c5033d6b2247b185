/* SPDX-License-Identifier: MIT */
/*
 * Before exec: hand over what the next image will need (state.h).
 *
 * The kernel keeps the placeholders that are not close-on-exec; for each domain that has such, or
 * the working directory, the next image gets a ticket with exactly their handles. All others end
 * with our channel, which the exec closes, as close-on-exec says.
 *
 * A fork child that has made no remote call yet still holds its parent's ticket. If all of its
 * descriptors go on, that ticket goes on as it is; otherwise it is taken now, so that what is not
 * handed over is closed by the exec, neither later nor if it fails.
 *
 * The lists are in memory of our own: this may be the child of a process with threads.
 */
#define _GNU_SOURCE
#include "preload/state.h"
#include "preload/epoll.h"
#include "preload/process.h"
#include "ring/fsize.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bytes of a state without descriptors. */
#define LEAST                                                                                \
	(sizeof(struct vos_state_head) + VOS_MAX_DOMAINS * sizeof(struct vos_state_domain) + \
	 VOS_MAX_PREFIXES * sizeof(struct vos_state_prefix))
#define SLACK 64 /* descriptors that other threads may make meanwhile */

struct keep {
	struct vos_state_fd *fd;
	struct vos_state_number *epoll;
	uint64_t *handle; /* those of one domain */
	size_t n, nepolls, room;
	uint8_t kept;  /* bit per domain: something of it goes on */
	uint8_t ended; /* bit per domain: something of it does not */
};

/* --- which descriptors ---------------------------------------------------------------------- */

static bool is_placeholder(long fd, struct stat *st)
{
	return vos_raw2(SYS_fcntl, fd, F_GET_SEALS) == VOS_PLACEHOLDER_SEALS &&
	       !vos_raw2(SYS_fstat, fd, st);
}

/* Bit per domain: where closing this number closes a handle. */
static uint8_t domains_of(uint64_t word)
{
	struct vos_epoll *e = vos_epoll_get(word);
	uint8_t set = 0;

	if (!e)
		return (uint8_t)(1u << VOS_WORD_DOMAIN(word));
	for (unsigned i = 0; i < VOS_MAX_DOMAINS; i++)
		if (vos_epoll_companion(e, i))
			set |= (uint8_t)(1u << i);
	return set;
}

static void keep_epoll(struct keep *k, long fd, uint64_t word)
{
	for (size_t i = 0; i < k->nepolls; i++)
		if (k->epoll[i].word == word)
			return;
	k->epoll[k->nepolls++] = (struct vos_state_number){ word, (uint32_t)fd };
	k->kept |= domains_of(word);
}

static void look_at(struct keep *k, long fd, uint64_t word)
{
	bool epoll = VOS_WORD_KIND(word) == VOS_FD_EPOLL;
	long flags = vos_raw2(SYS_fcntl, fd, F_GETFD);
	struct stat st;

	if (flags < 0)
		return;
	if (flags & FD_CLOEXEC || k->n + k->nepolls == k->room ||
	    (!epoll && !is_placeholder(fd, &st))) {
		k->ended |= domains_of(word);
		return;
	}
	if (epoll) {
		keep_epoll(k, fd, word);
		return;
	}
	k->fd[k->n++] = (struct vos_state_fd){ word, st.st_dev, st.st_ino, (uint32_t)fd, 0 };
	if (vos_current(word))
		k->kept |= (uint8_t)(1u << VOS_WORD_DOMAIN(word));
}

static size_t keep_size(const struct keep *k)
{
	return k->room * (sizeof(*k->fd) + sizeof(*k->epoll) + sizeof(*k->handle));
}

static long collect(struct keep *k)
{
	long left = vos_fdtab.nremote;
	long p;

	*k = (struct keep){ .room = (size_t)(left > 0 ? left : 0) + SLACK };
	p = vos_raw6(SYS_mmap, 0, (long)keep_size(k), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p < 0 && p > -4096)
		return p;
	k->fd = (struct vos_state_fd *)p;
	k->epoll = (struct vos_state_number *)(k->fd + k->room);
	k->handle = (uint64_t *)(k->epoll + k->room);
	for (unsigned long fd = 0; fd < vos_fdtab.n && left > 0; fd++) {
		uint64_t word = vos_fd((long)fd);

		if (!word || VOS_WORD_KIND(word) == VOS_FD_OURS)
			continue;
		look_at(k, (long)fd, word);
		left--;
	}
	return 0;
}

/* --- tickets -------------------------------------------------------------------------------- */

/* The handles of @dom into k->handle; how many. */
static size_t handles_of(struct keep *k, unsigned dom)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++) {
		uint64_t w = k->fd[i].word;

		if (VOS_WORD_DOMAIN(w) == dom && vos_current(w))
			k->handle[n++] = VOS_WORD_HANDLE(w);
	}
	for (size_t i = 0; i < k->nepolls; i++) {
		k->handle[n] = VOS_WORD_HANDLE(vos_epoll_in(k->epoll[i].word, dom));
		n += k->handle[n] != 0;
	}
	return n;
}

static long hand_over(struct vos_state *s, struct keep *k, unsigned dom, uint8_t *soon)
{
	struct vos_domain *d = &vos_domain[dom];
	size_t n;
	long r;

	if (!atomic_load_explicit(&d->chan, memory_order_relaxed) && vos_ticket_pending(dom) &&
	    !(k->ended & 1u << dom)) {
		memcpy(s->ticket[dom], d->ticket, sizeof(d->ticket));
		return 0;
	}
	n = handles_of(k, dom);
	if (n > VOS_IO_MAX / sizeof(*k->handle)) /* too long a list: all of them then */
		r = vos_ticket_make(dom, VOS_TICKET_OWN, NULL, 0, s->ticket[dom]);
	else
		r = vos_ticket_make(dom, VOS_TICKET_OWN, k->handle, n, s->ticket[dom]);
	if (r < 0)
		return r;
	s->made |= (uint8_t)(1u << dom);
	if (!r)
		*soon |= (uint8_t)(1u << dom);
	return 0;
}

static void make_tickets(struct vos_state *s, struct keep *k, uint8_t *soon)
{
	const int cwd = vos_cwd;

	for (unsigned i = 0; i < VOS_MAX_DOMAINS; i++) {
		long err;

		if (k->kept & 1u << i || (cwd >= 0 && VOS_CWD_DOMAIN(cwd) == i))
			hand_over(s, k, i,
				  soon); /* a domain that fails is dead for the next image */
		else if (vos_ticket_pending(i))
			vos_domain_chan(i, &err); /* nothing goes on: it ends with our channel */
	}
}

/* --- the memfd ------------------------------------------------------------------------------ */

long vos_state_put(int fd, const void *p, size_t n)
{
	while (n) {
		long r = vos_raw3(SYS_write, fd, (long)p, (long)n);

		if (r == -EINTR)
			continue;
		if (r <= 0)
			return r ? r : -EIO;
		p = (const char *)p + r;
		n -= (size_t)r;
	}
	return 0;
}

static long put_domains(int fd, const struct vos_state *s, uint8_t soon)
{
	long r = 0;

	for (int i = 0; i < vos_config.ndomains && !r; i++) {
		const struct vos_domain *d = &vos_domain[i];
		struct vos_state_domain rec = { .inc = d->inc, .soon = soon >> i & 1 };

		memcpy(rec.name, vos_config.domain[i].name, sizeof(rec.name));
		memcpy(rec.address, vos_config.domain[i].address, sizeof(rec.address));
		memcpy(rec.ticket, s->ticket[i], sizeof(rec.ticket));
		rec.nroots = d->nroots < VOS_MAX_PREFIXES ? d->nroots : VOS_MAX_PREFIXES;
		memcpy(rec.root_prefix, d->root_prefix, rec.nroots);
		r = vos_state_put(fd, &rec, sizeof(rec));
	}
	return r;
}

static long put_prefixes(int fd)
{
	long r = 0;

	/* All places: those behind the configuration's own may hold what was inherited. */
	for (int i = 0; i < VOS_MAX_PREFIXES && !r; i++) {
		struct vos_state_prefix rec = { .to = vos_config.prefix[i].to };

		memcpy(rec.path, vos_config.prefix[i].path, sizeof(rec.path));
		r = vos_state_put(fd, &rec, sizeof(rec));
	}
	return r;
}

static long put_all(int fd, const struct vos_state *s, const struct keep *k, uint8_t soon)
{
	const int cwd = vos_cwd;
	struct vos_state_head h = {
		.magic = VOS_STATE_MAGIC,
		.version = VOS_STATE_VERSION,
		.ndomains = (uint32_t)vos_config.ndomains,
		.nprefixes = VOS_MAX_PREFIXES,
		.nfds = (uint32_t)k->n,
		.nepolls = (uint32_t)k->nepolls,
		.cwd_domain = cwd < 0 ? -1 : (int)VOS_CWD_DOMAIN(cwd),
		.cwd_inc = cwd < 0 ? 0 : VOS_CWD_INC(cwd),
	};
	long r, size;

	r = vos_state_put(fd, &h, sizeof(h));
	if (!r)
		r = put_domains(fd, s, soon);
	if (!r)
		r = put_prefixes(fd);
	if (!r)
		r = vos_state_put(fd, k->fd, k->n * sizeof(*k->fd));
	if (!r)
		r = vos_epoll_save(fd, k->epoll, k->nepolls, &h.nmembers);
	if (r)
		return r;
	/* How many members there are is known only now. */
	size = vos_raw3(SYS_lseek, fd, 0, SEEK_CUR);
	if (size < 0 || size > (long)VOS_STATE_MAX)
		return -E2BIG;
	h.size = (uint32_t)size;
	r = vos_raw4(SYS_pwrite64, fd, (long)&h, sizeof(h), 0);
	return r == sizeof(h) ? 0 : -EIO;
}

static long make_memfd(struct vos_state *s, const struct keep *k, uint8_t soon)
{
	int fd = (int)vos_raw2(SYS_memfd_create, "virtuos-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct vos_fsize room;
	long r;

	if (fd < 0)
		return fd;
	r = vos_fsize_begin(&room, LEAST + k->n * sizeof(*k->fd));
	if (!r) {
		r = put_all(fd, s, k, soon);
		vos_fsize_end(&room);
	}
	if (!r)
		r = vos_raw3(SYS_fcntl, fd, F_ADD_SEALS, VOS_STATE_SEALS);
	if (r) {
		vos_raw1(SYS_close, fd);
		return r;
	}
	s->fd = vos_fd_hide(fd);
	vos_raw3(SYS_fcntl, s->fd, F_SETFD, 0);
	return 0;
}

/* --- both together -------------------------------------------------------------------------- */

long vos_state_save(struct vos_state *s)
{
	uint8_t soon = 0;
	struct keep k;
	long r;

	*s = (struct vos_state){ .fd = -1 };
	vos_fd_reserved_end();
	r = collect(&k);
	if (r)
		return r;
	make_tickets(s, &k, &soon);
	if (k.n || k.nepolls || vos_cwd >= 0)
		r = make_memfd(s, &k, soon);
	vos_raw2(SYS_munmap, k.fd, keep_size(&k));
	if (r)
		vos_state_drop(s);
	/* A filter that the program has put up: it goes on without, as far as it lets us. */
	return r == -EPERM || r == -EACCES || r == -ENOSYS ? 0 : r;
}

void vos_state_drop(struct vos_state *s)
{
	for (unsigned i = 0; s->made >> i; i++)
		if (s->made & 1u << i)
			vos_ticket_bind(i, s->ticket[i], 0);
	s->made = 0;
	if (s->fd < 0)
		return;
	vos_fd_set(s->fd, 0);
	vos_raw1(SYS_close, s->fd);
	s->fd = -1;
}
