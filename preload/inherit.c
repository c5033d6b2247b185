/* SPDX-License-Identifier: MIT */
/*
 * After exec: what the image before us handed over (state.h).
 *
 * The variable and the memfd come from outside, so all of it is checked; what is wrong is ignored
 * as a whole. Somebody who forges it can only pass on descriptors and tickets that are his to pass
 * on. A program that runs with more rights than its caller (AT_SECURE) takes no services from it
 * that its own configuration does not name.
 */
#define _GNU_SOURCE
#include "preload/state.h"
#include "preload/pass.h"
#include "preload/calls/socket.h"
#include "preload/process.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define NONE	   (-1)
#define KEPT_FIRST 3 /* SD_LISTEN_FDS_START */
#define KEPT_MAX   65536

struct state {
	const struct vos_state_head *head;
	const struct vos_state_domain *domain;
	const struct vos_state_prefix *prefix;
	const struct vos_state_fd *fd;
	const struct vos_state_epoll *epoll;
	const struct vos_state_member *member;
	size_t size;
	int domain_here[VOS_MAX_DOMAINS];  /* NONE: not in our configuration */
	int prefix_here[VOS_MAX_PREFIXES]; /* likewise */
};

/* --- checks --------------------------------------------------------------------------------- */

static bool head_fits(const struct vos_state_head *h, size_t size)
{
	return h->magic == VOS_STATE_MAGIC && h->version == VOS_STATE_VERSION && h->size == size &&
	       h->ndomains <= VOS_MAX_DOMAINS && h->nprefixes <= VOS_MAX_PREFIXES &&
	       h->nfds <= VOS_STATE_MAX / sizeof(struct vos_state_fd) &&
	       h->nepolls <= VOS_STATE_MAX / sizeof(struct vos_state_epoll) &&
	       h->nmembers <= VOS_STATE_MAX / sizeof(struct vos_state_member) &&
	       size == sizeof(*h) + h->ndomains * sizeof(struct vos_state_domain) +
			       h->nprefixes * sizeof(struct vos_state_prefix) +
			       h->nfds * sizeof(struct vos_state_fd) +
			       h->nepolls * sizeof(struct vos_state_epoll) +
			       h->nmembers * sizeof(struct vos_state_member) &&
	       h->cwd_domain < (int32_t)h->ndomains && h->cwd_inc <= 255;
}

static bool domain_fits(const struct vos_state_domain *d, uint32_t nprefixes)
{
	if (!vos_ends(d->name, sizeof(d->name)) || !vos_ends(d->address, sizeof(d->address)) ||
	    d->inc > 255 || d->nroots > VOS_MAX_PREFIXES)
		return false;
	for (uint32_t i = 0; i < d->nroots; i++)
		if (d->root_prefix[i] >= nprefixes)
			return false;
	return true;
}

static bool prefix_fits(const struct vos_state_prefix *p)
{
	return vos_ends(p->path, sizeof(p->path)) && (!p->path[0] || p->path[0] == '/');
}

static bool fits(struct state *s)
{
	const struct vos_state_head *h = s->head;

	if (!head_fits(h, s->size))
		return false;
	s->domain = (const struct vos_state_domain *)(h + 1);
	s->prefix = (const struct vos_state_prefix *)(s->domain + h->ndomains);
	s->fd = (const struct vos_state_fd *)(s->prefix + h->nprefixes);
	s->epoll = (const struct vos_state_epoll *)(s->fd + h->nfds);
	s->member = (const struct vos_state_member *)(s->epoll + h->nepolls);
	for (uint32_t i = 0; i < h->ndomains; i++)
		if (!domain_fits(&s->domain[i], h->nprefixes))
			return false;
	for (uint32_t i = 0; i < h->nprefixes; i++)
		if (!prefix_fits(&s->prefix[i]))
			return false;
	return true;
}

/* Map it. The descriptor is closed if it is what it should be, else it is somebody else's. */
static bool open_state(struct state *s, int fd)
{
	struct stat st;
	long p;

	if (vos_raw2(SYS_fcntl, fd, F_GET_SEALS) != VOS_STATE_SEALS || vos_raw2(SYS_fstat, fd, &st))
		return false;
	s->size = (size_t)st.st_size;
	if (s->size < sizeof(*s->head) || s->size > VOS_STATE_MAX)
		return false;
	p = vos_raw6(SYS_mmap, 0, (long)s->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p < 0 && p > -4096)
		return false;
	s->head = (const struct vos_state_head *)p;
	if (s->head->magic == VOS_STATE_MAGIC)
		vos_raw1(SYS_close, fd);
	return true;
}

/* --- finding things again ------------------------------------------------------------------- */

/* A service that our configuration does not know, but whose descriptors we hold. */
static int add_domain(const struct vos_state_domain *d)
{
	struct vos_domain_config *c = &vos_config.domain[vos_config.ndomains];

	if (vos_config.ndomains == VOS_MAX_DOMAINS || getauxval(AT_SECURE))
		return NONE;
	memset(c, 0, sizeof(*c));
	memcpy(c->name, d->name, sizeof(c->name));
	memcpy(c->address, d->address, sizeof(c->address));
	return vos_config.ndomains++;
}

static bool has_ticket(const struct vos_state_domain *d)
{
	return d->ticket[0] | d->ticket[1];
}

/* @cwd: our working directory is there. Even if it is dead: what we call "." must not be local. */
static int find_domain(const struct vos_state_domain *d, bool cwd)
{
	if (!has_ticket(d) && !cwd)
		return NONE;
	for (int i = 0; i < vos_config.ndomains; i++)
		if (!strcmp(vos_config.domain[i].name, d->name) &&
		    !strcmp(vos_config.domain[i].address, d->address))
			return i;
	return add_domain(d);
}

/*
 * Places behind those of our configuration hold prefixes that only our inheritance knows: they say
 * where a directory is, but no path is routed by them.
 */
static int add_prefix(const char *path, int to)
{
	for (int i = VOS_MAX_PREFIXES - 1; i >= vos_config.nprefixes; i--) {
		struct vos_prefix_config *p = &vos_config.prefix[i];

		if (p->path[0] && (p->to != to || strcmp(p->path, path)))
			continue;
		memcpy(p->path, path, strlen(path) + 1);
		p->to = to;
		return i;
	}
	return NONE;
}

static int find_prefix(const struct state *s, const struct vos_state_prefix *p)
{
	int to = p->to >= 0 && p->to < (int)s->head->ndomains ? s->domain_here[p->to] : NONE;

	if (to < 0 || !p->path[0])
		return NONE;
	for (int i = 0; i < vos_config.nprefixes; i++)
		if (vos_config.prefix[i].to == to && !strcmp(vos_config.prefix[i].path, p->path))
			return i;
	return add_prefix(p->path, to);
}

/* --- taking over ---------------------------------------------------------------------------- */

static void take_domain(const struct state *s, uint32_t i)
{
	const struct vos_state_domain *from = &s->domain[i];
	struct vos_domain *d;

	if (s->domain_here[i] < 0)
		return;
	d = &vos_domain[s->domain_here[i]];
	if (!has_ticket(from)) { /* whoever answers there knows nothing of what we have */
		d->inc = (uint8_t)(from->inc + 1);
		return;
	}
	memcpy(d->ticket, from->ticket, sizeof(d->ticket));
	d->inc = (uint8_t)from->inc;
	for (d->nroots = 0; d->nroots < from->nroots; d->nroots++) {
		int p = s->prefix_here[from->root_prefix[d->nroots]];

		/* No place left: the last one, which is then wrong about where ".." leads. */
		d->root_prefix[d->nroots] = (uint8_t)(p >= 0 ? p : VOS_MAX_PREFIXES - 1);
	}
}

uint64_t vos_state_word(uint64_t word, const int domain_here[VOS_MAX_DOMAINS])
{
	enum vos_fd_kind kind = VOS_WORD_KIND(word);
	int dom = domain_here[VOS_WORD_DOMAIN(word)];

	if (dom < 0 || (kind != VOS_FD_FILE && kind != VOS_FD_SOCKET))
		return 0;
	return VOS_WORD(VOS_WORD_HANDLE(word), dom, kind, VOS_WORD_INC(word)) |
	       (word & VOS_WORD_STREAM);
}

/* The word for a number, if it is still the placeholder that it was; true when it has one. */
static bool take_fd(const struct state *s, const struct vos_state_fd *f)
{
	uint64_t word = vos_state_word(f->word, s->domain_here);
	struct stat st;

	if (f->fd >= vos_fdtab.n || !word)
		return false;
	if (vos_raw2(SYS_fstat, f->fd, &st) || st.st_dev != f->dev || st.st_ino != f->ino)
		return false;
	vos_fd_set(f->fd, word);
	return true;
}

static bool take_over(struct state *s)
{
	const struct vos_state_head *h = s->head;
	bool soon = false;

	for (uint32_t i = 0; i < VOS_MAX_DOMAINS; i++)
		s->domain_here[i] = i < h->ndomains
					    ? find_domain(&s->domain[i], (int)i == h->cwd_domain)
					    : NONE;
	for (uint32_t i = 0; i < h->nprefixes; i++)
		s->prefix_here[i] = find_prefix(s, &s->prefix[i]);
	for (uint32_t i = 0; i < h->ndomains; i++) {
		take_domain(s, i);
		soon |= s->domain[i].soon;
	}
	for (uint32_t i = 0; i < h->nfds; i++)
		soon |= take_fd(s, &s->fd[i]);
	vos_epoll_restore(s->epoll, h->nepolls, s->member, h->nmembers, s->domain_here);
	if (h->cwd_domain >= 0) {
		if (s->domain_here[h->cwd_domain] <
		    0) { /* no place for it: nothing may be "." then */
			vos_say("the working directory is in a domain for which there is no place",
				NULL);
			vos_die(127);
		}
		vos_cwd = VOS_CWD_IN(s->domain_here[h->cwd_domain], h->cwd_inc);
		vos_files_remote = true; /* even if no prefix of ours is */
	}
	return soon;
}

/*
 * A service manager keeps descriptors for us (LISTEN_FDS) that it has got in messages: what we have
 * sent to it is what we get.
 */
static void take_kept(void)
{
	const char *s = getenv("LISTEN_FDS");
	int n = 0;

	if (!s || !vos_config.ndomains || !vos_begin_remote())
		return;
	while (*s >= '0' && *s <= '9' && n < KEPT_MAX)
		n = n * 10 + (*s++ - '0');
	for (int fd = KEPT_FIRST; fd < KEPT_FIRST + n && fd < KEPT_MAX; fd++)
		if (!vos_fd(fd))
			vos_pass_take(fd, false, false);
}

static void take_state(int fd)
{
	struct state s = { 0 };
	bool soon = false;

	if (!open_state(&s, fd))
		return;
	if (fits(&s) && vos_begin_remote())
		soon = take_over(&s);
	vos_raw2(SYS_munmap, s.head, s.size);
	/* Descriptors are used soon; before a chroot or a filter that the program may put up. */
	if (soon)
		vos_tickets_take();
}

void vos_inherit(void)
{
	int fd = vos_env_take_state();

	if (fd >= 0)
		take_state(fd);
	take_kept();
}
