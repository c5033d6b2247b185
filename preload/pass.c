/* SPDX-License-Identifier: MIT */
/*
 * Descriptors in messages (SCM_RIGHTS). Unix sockets are local, so the kernel passes a remote
 * descriptor on as what it sees: a placeholder. Its receiver has to learn what it stands for, may
 * be a process that is started later, and may be none that has this library.
 *
 * So each send puts a file of its own in place of the placeholder: a memfd, sealed, whose content
 * names the domain and a token there (svcd/token.c). The receiver looks at each descriptor that
 * comes with a message, and claims the token of such a file: then the number gets a placeholder and
 * its word, and the file is gone.
 *
 *	forgery		A receiver believes only what its own configuration and the service say: the
 *			domain must be one that it has, at the same address, and the token one that
 *			the service has given. Whoever makes such a file by himself can pass on what
 *			he has, which is what sending is.
 *	in flight	The token holds the description as long as the file exists in any queue or
 *			process: its lock (flock) goes with it, which the service watches.
 *	not preloaded	A receiver without the library has a descriptor on which calls fail: the
 *			position of the file is so far out that read and write are EINVAL, and it is
 *			no socket.
 */
#define _GNU_SOURCE
#include "preload/pass.h"
#include "preload/calls/socket.h"
#include "preload/change.h"
#include "ring/fsize.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define CONTROL_MAX 8192u /* of ancillary data: more than 253 descriptors can take */

/* --- going through a message ------------------------------------------------------------------ */

/* The numbers in a header of SCM_RIGHTS: how many. *@at: where, aligned or not. */
static size_t numbers(const struct cmsghdr *h, const char *end, char **at)
{
	size_t room = (size_t)(end - (const char *)h), len = h->cmsg_len;

	*at = (char *)CMSG_DATA((struct cmsghdr *)h);
	if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS || len < CMSG_LEN(0))
		return 0;
	len = len < room ? len : room; /* the kernel will say what is wrong with it */
	return (len - CMSG_LEN(0)) / sizeof(int);
}

static const char *control_end(const struct msghdr *m)
{
	return (const char *)m->msg_control + m->msg_controllen;
}

static int number_at(const char *at, size_t i)
{
	int fd;

	memcpy(&fd, at + i * sizeof(fd), sizeof(fd));
	return fd;
}

bool vos_pass_any(const struct msghdr *m)
{
	if (likely(!atomic_load_explicit(&vos_fdtab.nremote, memory_order_relaxed)))
		return false;
	if (!m || !m->msg_control)
		return false;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR((struct msghdr *)m, h)) {
		char *at;
		size_t n = numbers(h, control_end(m), &at);

		for (size_t i = 0; i < n; i++)
			if (vos_fd(number_at(at, i)))
				return true;
	}
	return false;
}

/* --- sending ---------------------------------------------------------------------------------- */

static uint32_t next_key(void)
{
	static _Atomic uint32_t key;
	uint32_t k = atomic_fetch_add_explicit(&key, 1, memory_order_relaxed);

	return k ? k : next_key();
}

/* Have a token for the handle of @w, which lasts as long as @file: number of its root, -errno. */
static long make_token(uint64_t w, int file, uint64_t token[2])
{
	uint32_t key = next_key();
	struct vos_req q;
	long r;

	r = vos_req_begin_about(&q, w, VOS_OP_token);
	if (r)
		return r;
	if (!q.c->transport->token_file || q.c->transport->token_file(q.c, q.l, file, key))
		key = 0;
	r = vos_req_in(&q, 2 * sizeof(*token), 2 * sizeof(*token));
	if (!r) {
		q.e->arg[0] = VOS_WORD_HANDLE(w);
		q.e->arg[1] = VOS_REF(q.in.off, 2 * sizeof(*token));
		q.e->arg[2] = key;
		r = vos_req_run(&q, VOS_WAIT_ALWAYS);
	}
	if (r > UINT32_MAX)
		r = vos_req_breach(&q);
	if (r >= 0)
		memcpy(token, vos_req_in_ptr(&q), 2 * sizeof(*token));
	vos_req_end(&q);
	return r;
}

static void describe(struct vos_sent *s, uint64_t w, long root)
{
	int prefix = vos_domain_prefix(VOS_WORD_DOMAIN(w), VOS_WORD_INC(w), (uint64_t)root);
	const struct vos_domain_config *c = &vos_config.domain[VOS_WORD_DOMAIN(w)];

	s->magic = VOS_SENT_MAGIC;
	s->version = VOS_SENT_VERSION;
	s->kind = VOS_WORD_KIND(w);
	memcpy(s->domain, c->name, sizeof(s->domain));
	memcpy(s->address, c->address, sizeof(s->address));
	if (prefix >= 0)
		memcpy(s->prefix, vos_config.prefix[prefix].path, sizeof(s->prefix));
}

/* The file that travels for a descriptor with word @w: its number, one of ours; -errno. */
static long make_file(uint64_t w)
{
	struct vos_sent s = { 0 };
	struct vos_fsize room;
	long fd, r;

	if (VOS_WORD_KIND(w) == VOS_FD_OURS)
		return -EBADF;
	/* An epoll descriptor has members here, that its receiver does not have. */
	if (VOS_WORD_KIND(w) == VOS_FD_EPOLL || vos_chan_confined)
		return -EOPNOTSUPP;
	fd = vos_raw2(SYS_memfd_create, (long)"virtuos-sent", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -ETOOMANYREFS;
	fd = vos_fd_hide((int)fd);
	r = vos_raw2(SYS_flock, fd, LOCK_SH);
	if (!r)
		r = make_token(w, (int)fd, s.token);
	if (r >= 0) {
		describe(&s, w, r);
		r = vos_fsize_begin(&room, sizeof(s));
	}
	if (!r) {
		r = vos_raw4(SYS_pwrite64, fd, (long)&s, sizeof(s), 0);
		vos_fsize_end(&room);
		r = r == sizeof(s) ? vos_fd_seal(fd) : -ETOOMANYREFS;
	}
	if (!r)
		return fd;
	vos_fd_set(fd, 0);
	vos_raw1(SYS_close, fd);
	if (r == -ENOLINK)
		return vos_dead(w, false);
	return r == -EMFILE || r == -EAGAIN || r == -ENOMEM ? -ETOOMANYREFS : r;
}

#define FILES_MAX 253 /* descriptors that the kernel passes on with one message */

struct passing {
	struct msghdr m; /* with files of ours */
	int file[FILES_MAX];
	size_t nfiles;
	_Alignas(struct cmsghdr) char control[CONTROL_MAX];
};

static long put_files(struct passing *p)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&p->m); h; h = CMSG_NXTHDR(&p->m, h)) {
		char *at;
		size_t n = numbers(h, control_end(&p->m), &at);

		for (size_t i = 0; i < n; i++) {
			uint64_t w = vos_fd(number_at(at, i));
			int *file = &p->file[p->nfiles];
			long fd;

			if (!w)
				continue;
			fd = p->nfiles < FILES_MAX ? make_file(w) : -EINVAL;
			if (fd < 0)
				return fd;
			*file = (int)fd;
			p->nfiles++;
			memcpy(at + i * sizeof(*file), file, sizeof(*file));
		}
	}
	return 0;
}

static void close_files(void *arg)
{
	const struct passing *p = arg;

	for (size_t i = 0; i < p->nfiles; i++) {
		vos_fd_set(p->file[i], 0);
		vos_raw1(SYS_close, p->file[i]);
	}
}

long vos_pass_send(long sock, const struct msghdr *m, long flags)
{
	struct passing p;
	volatile long r;

	/* The program's may change while we look at it, so it is read once. */
	p.m = *m;
	if (p.m.msg_controllen > CONTROL_MAX)
		return -ENOBUFS;
	memcpy(p.control, p.m.msg_control, p.m.msg_controllen);
	p.m.msg_control = p.control;
	p.nfiles = 0;
	pthread_cleanup_push(close_files, &p);
	r = put_files(&p);
	if (!r)
		r = vos_local(SYS_sendmsg, sock, (long)&p.m, flags, 0, 0, 0);
	pthread_cleanup_pop(1);
	return r;
}

/* --- receiving -------------------------------------------------------------------------------- */

/* Is it such a file? Most descriptors are found not to be by the first call. */
static bool read_file(int fd, struct vos_sent *s)
{
	struct stat st;

	return vos_raw2(SYS_fcntl, fd, F_GET_SEALS) == VOS_PLACEHOLDER_SEALS &&
	       !vos_raw2(SYS_fstat, fd, (long)&st) && st.st_size == sizeof(*s) &&
	       vos_raw4(SYS_pread64, fd, (long)s, sizeof(*s), 0) == sizeof(*s) &&
	       s->magic == VOS_SENT_MAGIC && s->version == VOS_SENT_VERSION &&
	       (s->kind == VOS_FD_FILE || s->kind == VOS_FD_SOCKET) &&
	       vos_ends(s->domain, sizeof(s->domain)) && vos_ends(s->address, sizeof(s->address)) &&
	       vos_ends(s->prefix, sizeof(s->prefix));
}

static int find_domain(const struct vos_sent *s)
{
	for (int i = 0; i < vos_config.ndomains; i++)
		if (!strcmp(vos_config.domain[i].name, s->domain) &&
		    !strcmp(vos_config.domain[i].address, s->address))
			return i;
	return -1;
}

/* The root that a directory's ".." ends at, if we have one for the same prefix. */
static uint64_t find_root(const struct vos_sent *s, int dom, uint64_t *base)
{
	for (int i = 0; i < VOS_MAX_PREFIXES && s->prefix[0]; i++) {
		const struct vos_prefix_config *p = &vos_config.prefix[i];
		long r;

		if (p->to != dom || strcmp(p->path, s->prefix))
			continue;
		r = vos_domain_root(i, base);
		return r < 0 ? VOS_ROOT_NONE : (uint64_t)r;
	}
	return VOS_ROOT_NONE;
}

/* What the number stands for from now on: something dead, if the token cannot be claimed. */
static uint64_t claim(const struct vos_sent *s, int dom, bool last)
{
	uint64_t base = 0, root = find_root(s, dom, &base);
	struct vos_req q;
	uint8_t inc = vos_domain[dom].inc;
	long r = vos_req_begin(&q, (unsigned)dom, VOS_OP_claim);
	uint64_t word;

	if (!r) {
		inc = q.c->incarnation;
		q.e->arg[0] = s->token[0];
		q.e->arg[1] = s->token[1];
		q.e->arg[2] = VOS_BASE_INC(base) == inc ? root : VOS_ROOT_NONE;
		q.e->arg[3] = last;
		r = vos_req_run(&q, VOS_WAIT_ALWAYS);
		if (r >= 0)
			r = vos_req_handle(&q, r);
		vos_req_end(&q);
	}
	if (r < 0) {
		r = 0;
		inc = inc > 1 ? (uint8_t)(inc - 1) : 255; /* it will be long until that comes */
	}
	word = VOS_WORD(r, dom, s->kind, inc);
	if (s->kind == VOS_FD_SOCKET && vos_current(word) && vos_is_stream(word))
		word |= VOS_WORD_STREAM;
	return word;
}

void vos_pass_take(int fd, bool cloexec, bool last)
{
	struct vos_sent s;
	uint64_t word;
	int dom;

	if (!read_file(fd, &s))
		return;
	dom = find_domain(&s);
	if (dom < 0 || (unsigned long)fd >= vos_fdtab.n)
		return;
	word = claim(&s, dom, last);
	/* Without a descriptor for a placeholder the file itself does; it is as good, if larger. */
	vos_change_begin();
	vos_fd_put(fd, cloexec);
	vos_fd_set(fd, word);
	vos_change_end();
}

void vos_pass_received(const struct msghdr *m, long flags)
{
	/* Nothing is remote here; or what this takes may not be allowed any more. */
	if (!vos_fdtab.n || vos_chan_confined || m->msg_controllen < CMSG_LEN(sizeof(int)))
		return;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR((struct msghdr *)m, h)) {
		char *at;
		size_t n = numbers(h, control_end(m), &at);

		for (size_t i = 0; i < n; i++)
			vos_pass_take(number_at(at, i), flags & MSG_CMSG_CLOEXEC,
				      !(flags & MSG_PEEK));
	}
}

/* --- taking them out of another process ------------------------------------------------------- */

/*
 * pidfd_getfd() asks the other process for nothing, so it cannot have told us what its placeholders
 * stand for. A file that travels is as good as one in a message.
 */
long vos_sys_pidfd_getfd(long pidfd, long fd, long flags, long a3, long a4, long a5)
{
	long r = vos_raw3(SYS_pidfd_getfd, pidfd, fd, flags);

	(void)a3, (void)a4, (void)a5;
	if (r < 0)
		return r;
	if (vos_fd_is_placeholder(r)) {
		vos_raw1(SYS_close, r);
		return -EOPNOTSUPP;
	}
	if (vos_fdtab.n && !vos_chan_confined)
		vos_pass_take((int)r, true, false);
	return r;
}
