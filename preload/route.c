/* SPDX-License-Identifier: MIT */
/*
 * Where a path belongs: to the kernel or to a domain.
 *
 * Most paths are told by their text: absolute and below a prefix, or relative to a descriptor or
 * working directory that is remote. What text cannot tell is resolved as the kernel would, one
 * component after the other (walk.c), on canonical names; that is done only where it can matter:
 *
 *	".." in the path			symlinks before it decide what it means
 *	a relative path that begins with the name of a directory on the way to a prefix
 *	a local call that failed		a symlink may have led into a prefix, where there is
 *						nothing locally
 *	symlinks in the path			only if a prefix exists as a local directory too
 *
 * Domains do not follow absolute symlinks, nor ".." above a prefix: they answer with a redirect,
 * and the path is routed again from there (vos_reroute).
 */
#define _GNU_SOURCE
#include "preload/proc.h"
#include "preload/walk.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

bool vos_files_remote;

static bool prefix_exists; /* some prefix is a local directory as well */

/* --- prefixes ------------------------------------------------------------------------------- */

/* The path below prefix @p as the kernel's: it may be in the route's own buffer. */
static long stay_here(struct vos_route *r, int p, const char *rest)
{
	const char *top = vos_config.prefix[p].path;
	size_t n = strlen(top), m = strlen(rest);

	if (n == 1) /* "/" */
		n = 0;
	if (!r->buf)
		return VOS_NO_ROOM;
	if (n + 1 + m + 1 > VOS_PATH_MAX)
		return -ENAMETOOLONG;
	memmove(r->buf + n + 1, rest, m + 1);
	memcpy(r->buf, top, n);
	r->buf[n] = '/';
	if (!m && n)
		r->buf[n] = 0;
	r->dom = VOS_TO_LOCAL;
	r->dirfd = AT_FDCWD;
	r->path = r->buf;
	return 0;
}

long vos_route_prefix(struct vos_route *r, int p, const char *rest)
{
	long root;

	r->dom = vos_config.prefix[p].to;
	while (*rest == '/')
		rest++;
	r->path = rest;
	if (r->dom < 0)
		return 0;
	root = vos_domain_root(p, &r->base);
	if (root == -EINTR)
		return root;
	if (root < 0) {
		if (vos_config.unavailable_local && root != -EACCES && root != -ENOENT)
			return stay_here(r, p, rest);
		/* A domain that cannot be reached is a disk that does not answer. */
		return root == -ENOENT || root == -EACCES || root == -ENOTDIR || root == -ENOMEM
			       ? root
			       : -EIO;
	}
	return 0;
}

/* --- the walk ------------------------------------------------------------------------------- */

/* Keep the remaining path in the route's own buffer. */
static long enter(struct vos_route *r, struct vos_walk *w, int p)
{
	size_t n = strlen(w->todo) + 1;

	if (n > VOS_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(r->buf, w->todo, n);
	return vos_route_prefix(r, p, r->buf);
}

static __attribute__((noinline)) long walk_there(struct vos_route *r, long dirfd, const char *path,
						 int how)
{
	struct vos_walk w;
	long res;
	int p;

	/* What is wrong the kernel will say. */
	if (vos_walk_from(&w, dirfd, path))
		return 0;
	res = vos_walk(&w, how, &p);
	return res == 1 ? enter(r, &w, p) : res;
}

static long route_by_walk(struct vos_route *r, long dirfd, const char *path, int how)
{
	return r->buf ? walk_there(r, dirfd, path, how) : VOS_NO_ROOM;
}

/* --- text ----------------------------------------------------------------------------------- */

/* No "//", "." and ".."? */
static bool is_normal(const char *path)
{
	for (const char *p = path; p; p = strchr(p + 1, '/')) {
		size_t n = strcspn(p + 1, "/");

		if ((!n && p[1]) || (n == 1 && p[1] == '.') ||
		    (n == 2 && p[1] == '.' && p[2] == '.'))
			return false;
	}
	return true;
}

/* Without "//" and "."; 1: there is a "..", 0: done, -ENAMETOOLONG. */
static int normalise(char *to, size_t size, const char *path)
{
	size_t k = 0;

	while (*path) {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (!n)
			break;
		if (n == 2 && path[0] == '.' && path[1] == '.')
			return 1;
		if (n == 1 && path[0] == '.' && path[1 + strspn(path + 1, "/")]) {
			path++; /* at the end it stays: rmdir("d/.") is an error */
			continue;
		}
		if (k + n + 3 > size)
			return -ENAMETOOLONG;
		to[k++] = '/';
		memcpy(to + k, path, n);
		k += n;
		path += n;
	}
	if (!k)
		to[k++] = '/';
	to[k] = 0;
	return 0;
}

static bool trailing_slash(const char *path)
{
	size_t n = strlen(path);

	return n > 1 && path[n - 1] == '/';
}

static bool has_dotdot(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2)
		if ((p == path || p[-1] == '/') && (!p[2] || p[2] == '/'))
			return true;
	return false;
}

/* Is the first component of @path one of those that lead from the root to a prefix? */
static bool may_lead_to_prefix(const char *path)
{
	size_t n;

	path += strspn(path, "./"); /* "./srv": the dot adds nothing */
	n = strcspn(path, "/");
	for (int i = 0; i < vos_config.nprefixes; i++) {
		const char *p = vos_config.prefix[i].path;

		while (*p == '/') {
			size_t k = strcspn(++p, "/");

			if (k == n && !memcmp(p, path, n))
				return true;
			p += k;
		}
	}
	return false;
}

/* No symlink in it, as far as it exists? */
static bool plain(long dirfd, const char *path, int how)
{
	struct open_how o = { .flags = O_PATH | O_CLOEXEC |
				       (how & VOS_ROUTE_NOFOLLOW ? O_NOFOLLOW : 0),
			      .resolve = RESOLVE_NO_SYMLINKS };
	long fd = vos_raw4(SYS_openat2, dirfd, (long)path, (long)&o, sizeof(o));

	if (fd >= 0)
		vos_raw1(SYS_close, fd);
	return fd != -ELOOP;
}

static long route_absolute(struct vos_route *r, const char *path, int how)
{
	const char *text = path, *rest;
	int p;

	if (!is_normal(path)) {
		int dots = r->buf ? normalise(r->buf, VOS_PATH_MAX, path) : 1;

		if (dots < 0)
			return 0;
		if (dots)
			return route_by_walk(r, AT_FDCWD, path, how);
		text = r->buf;
	}
	p = vos_find_prefix(text, &rest);
	if (p >= 0 && vos_config.prefix[p].to != VOS_TO_LOCAL) {
		if (strnlen(path, VOS_PATH_MAX) == VOS_PATH_MAX)
			return -ENAMETOOLONG;
		if (text == r->buf && trailing_slash(path) && *rest) {
			size_t n = strlen(r->buf);

			if (n + 2 < VOS_PATH_MAX)
				memcpy(r->buf + n, "/", 2);
		}
		return vos_route_prefix(r, p, rest);
	}
	if (p < 0 && prefix_exists && !plain(AT_FDCWD, path, how))
		return route_by_walk(r, AT_FDCWD, path, how);
	return 0;
}

static long route_remote_dir(struct vos_route *r, uint64_t word, const char *path, int how)
{
	if (VOS_WORD_KIND(word) == VOS_FD_OURS)
		return -EBADF;
	if (!vos_current(word))
		return vos_dead(word, false);
	if (VOS_WORD_KIND(word) != VOS_FD_FILE && *path)
		return -ENOTDIR;
	if (!*path && !(how & VOS_ROUTE_EMPTY))
		return -ENOENT;
	if (strnlen(path, VOS_PATH_MAX) == VOS_PATH_MAX)
		return -ENAMETOOLONG;
	r->dom = (int)VOS_WORD_DOMAIN(word);
	r->base = VOS_BASE_WORD(word) | (*path ? 0 : VOS_BASE_SELF);
	r->path = path;
	return 0;
}

long vos_route_dir(struct vos_route *r, long dirfd, const char *path, int how)
{
	uint64_t word = (int)dirfd == AT_FDCWD ? 0 : vos_fd(dirfd);
	long res;
	int cwd;

	if (word && VOS_WORD_KIND(word) != VOS_FD_EPOLL)
		return route_remote_dir(r, word, path, how);
	if ((int)dirfd != AT_FDCWD || !(*path || how & VOS_ROUTE_EMPTY))
		return 0;
	res = vos_cwd_known();
	cwd = vos_cwd;
	if (!res && cwd >= 0) {
		r->dom = (int)VOS_CWD_DOMAIN(cwd);
		r->base = VOS_CWD_BASE(cwd) | (*path ? 0 : VOS_BASE_SELF);
		r->path = path;
	}
	return res;
}

long vos_route(struct vos_route *r, long dirfd, const char *path, int how)
{
	uint64_t word;
	long res;

	r->dom = VOS_TO_LOCAL;
	r->dirfd = dirfd;
	r->path = path;
	if (!path) {
		word = how & VOS_ROUTE_EMPTY ? vos_fd(dirfd) : 0;
		return word && VOS_WORD_KIND(word) != VOS_FD_EPOLL
			       ? route_remote_dir(r, word, "", how)
			       : 0;
	}
	res = vos_proc_route(r, dirfd, path, how);
	if (res)
		return res < 0 ? res : 0;
	if (path[0] == '/')
		return vos_files_remote ? route_absolute(r, path, how) : 0;
	res = vos_route_dir(r, dirfd, path, how);
	if (res || r->dom >= 0 || !vos_files_remote || !*path)
		return res;
	if (has_dotdot(path) || may_lead_to_prefix(path) ||
	    (prefix_exists && !plain(dirfd, path, how)))
		return route_by_walk(r, dirfd, path, how);
	return 0;
}

/* Is prefix @p below @path? */
static bool is_above(const char *path, const char *p)
{
	for (;;) {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (!n)
			return *p == '/';
		if (n != 1 || *path != '.') {
			if (*p != '/' || strncmp(p + 1, path, n) || (p[1 + n] && p[1 + n] != '/'))
				return false;
			p += 1 + n;
		}
		path += n;
	}
}

bool vos_route_above(const struct vos_route *r)
{
	if (!r->path || r->path[0] != '/')
		return false;
	for (int i = 0; i < vos_config.nprefixes; i++)
		if (is_above(r->path, vos_config.prefix[i].path))
			return true;
	return false;
}

bool vos_route_again(struct vos_route *r, long err, int how)
{
	const char *path = r->path;
	long dirfd = r->dirfd;

	if (!vos_files_remote || !path || !*path)
		return false;
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
	case -EROFS:
	case -EACCES:
		break;
	default:
		return false;
	}
	if (plain(dirfd, path, how))
		return false;
	return !r->buf || (!walk_there(r, dirfd, path, how) && r->dom != VOS_TO_LOCAL);
}

const char *vos_route_root(const struct vos_route *r, uint32_t root)
{
	int p = vos_domain_prefix((unsigned)r->dom, VOS_BASE_INC(r->base), root);
	const char *path;

	if (p < 0)
		return NULL;
	path = vos_config.prefix[p].path;
	return *path ? path : NULL; /* inherited, and of no name here */
}

long vos_reroute(struct vos_route *r, const struct vos_redirect *rd, int *n, int how)
{
	char path[VOS_PATH_MAX];
	size_t k = 0;
	long res;

	if (++*n > VOS_HOPS_MAX)
		return -ELOOP;
	if (rd->root != VOS_ROOT_NONE) {
		const char *root = vos_route_root(r, rd->root);

		if (!root)
			return -EPROTO;
		/* The ".." was taken at the root: go on in its parent. A prefix whose parent does
		 * not exist here is like any root: ".." stays there. */
		k = (size_t)(strrchr(root, '/') - root);
		memcpy(path, root, k + 1);
		path[k + 1] = 0;
		if (vos_raw4(SYS_faccessat, AT_FDCWD, (long)path, 0, 0)) {
			k = strlen(root);
			memcpy(path, root, k);
		}
		path[k++] = '/';
		if (!rd->len) /* not a directory by name */
			path[k++] = '.';
	}
	if (k + rd->len + 1 > sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path + k, rd->path, rd->len + 1u);
	res = vos_route(r, AT_FDCWD, path, how);
	if (!res && r->path == path) {
		memcpy(r->buf, path, strlen(path) + 1);
		r->path = r->buf;
	}
	return res;
}

void vos_route_init(void)
{
	for (int i = 0; i < vos_config.nprefixes; i++) {
		struct vos_prefix_config *p = &vos_config.prefix[i];

		if (p->to == VOS_TO_LOCAL)
			continue;
		vos_files_remote = true;
		if (!vos_raw4(SYS_faccessat, AT_FDCWD, (long)p->path, 0, 0))
			prefix_exists = true;
	}
}
