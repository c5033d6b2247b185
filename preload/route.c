/* SPDX-License-Identifier: MIT */
/*
 * Where a path belongs: to the kernel or to a domain.
 *
 * Most paths are told by their text: absolute and below a prefix, or relative to a descriptor or
 * working directory that is remote. What text cannot tell is resolved as the kernel would, one
 * component after the other, by walk() on canonical names; that is done only where it can matter:
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

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#define HOPS_MAX 40

bool vos_files_remote;
int vos_cwd_domain = -1;
int vos_cwd_prefix = -1;

static bool prefix_exists; /* some prefix is a local directory as well */

/* --- prefixes ------------------------------------------------------------------------------- */

/* The longest prefix that canonical @path lies in, or -1. *@rest: what follows it. */
static int find_prefix(const char *path, const char **rest)
{
	for (int i = 0; i < vos_config.nprefixes; i++) {
		const char *p = vos_config.prefix[i].path;
		size_t n = strlen(p);

		if (n == 1) { /* "/" */
			*rest = path + 1;
			return i;
		}
		if (!strncmp(path, p, n) && (path[n] == '/' || !path[n])) {
			*rest = path + n;
			return i;
		}
	}
	return -1;
}

/* The path below prefix @p as the kernel's: it may be in the route's own buffer. */
static long stay_here(struct vos_route *r, int p, const char *rest)
{
	const char *top = vos_config.prefix[p].path;
	size_t n = strlen(top), m = strlen(rest);

	if (n == 1) /* "/" */
		n = 0;
	if (n + 1 + m + 1 > sizeof(r->buf))
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

static long go_prefix(struct vos_route *r, int p, const char *rest)
{
	long root;

	r->prefix = p;
	r->dom = vos_config.prefix[p].to;
	while (*rest == '/')
		rest++;
	r->path = rest;
	if (r->dom < 0)
		return 0;
	root = vos_domain_root(p, &r->base);
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

struct walk {
	char cur[VOS_PATH_MAX]; /* canonical: no symlink, no "..", no "//"; "" is the root */
	char todo[VOS_PATH_MAX * 2];
};

static size_t copy_str(char *to, size_t size, const char *from)
{
	size_t n = strlen(from);

	if (n >= size)
		return 0;
	memcpy(to, from, n + 1);
	return n + 1;
}

/* Where a relative path starts. */
static long start_of(struct walk *w, long dirfd)
{
	long r;

	if ((int)dirfd == AT_FDCWD) {
		r = vos_raw2(SYS_getcwd, (long)w->cur, sizeof(w->cur));
	} else {
		r = vos_proc_link(dirfd, w->cur, sizeof(w->cur) - 1);
		if (r >= 0)
			w->cur[r] = 0;
	}
	if (r < 0)
		return r;
	if (w->cur[0] != '/')
		return -ENOENT;
	if (!w->cur[1])
		w->cur[0] = 0;
	return 0;
}

static void up(struct walk *w)
{
	char *slash = strrchr(w->cur, '/');

	if (slash)
		*slash = 0;
}

static long prepend(struct walk *w, const char *target, size_t n, const char *rest)
{
	size_t m = strlen(rest);

	if (n + m + 2 > sizeof(w->todo))
		return -ENAMETOOLONG;
	memmove(w->todo + n + 1, rest, m + 1);
	memcpy(w->todo, target, n);
	w->todo[n] = '/';
	if (!m)
		w->todo[n] = 0;
	return 0;
}

/* One component: -EINVAL when it is no symlink. */
static long step(struct walk *w, const char *name, size_t n, const char *rest, bool follow)
{
	char target[VOS_PATH_MAX];
	size_t len = strlen(w->cur);
	long r;

	if (len + n + 2 > sizeof(w->cur))
		return -ENAMETOOLONG;
	w->cur[len] = '/';
	memcpy(w->cur + len + 1, name, n);
	w->cur[len + 1 + n] = 0;
	if (!follow)
		return -EINVAL;
	r = vos_raw4(SYS_readlinkat, AT_FDCWD, (long)w->cur, (long)target, sizeof(target) - 1);
	if (r < 0)
		return -EINVAL; /* whatever it is, the real call will say */
	target[r] = 0;
	w->cur[target[0] == '/' ? 0 : len] = 0;
	return prepend(w, target, (size_t)r, rest);
}

/*
 * Resolve w->todo from w->cur. 1: it entered prefix *@p, w->todo is what remains; 0: it is local
 * all the way; -errno.
 */
static long walk(struct walk *w, int how, int *p)
{
	char *next = w->todo;
	int links = 0;

	for (;;) {
		const char *rest;
		char *name = next + strspn(next, "/");
		size_t n = strcspn(name, "/");
		const char *after = name + n;
		int found;
		long r;

		found = w->cur[0] ? find_prefix(w->cur, &rest) : -1;
		if (found >= 0 && !*rest && vos_config.prefix[found].to != VOS_TO_LOCAL) {
			memmove(w->todo, name, strlen(name) + 1);
			*p = found;
			return 1;
		}
		if (!n)
			return 0;
		next = name + n;
		if (n == 1 && name[0] == '.')
			continue;
		if (n == 2 && name[0] == '.' && name[1] == '.') {
			up(w);
			continue;
		}
		r = step(w, name, n, after, *after || !(how & VOS_ROUTE_NOFOLLOW));
		if (r == -EINVAL)
			continue;
		if (r)
			return r;
		if (++links > HOPS_MAX)
			return -ELOOP;
		next = w->todo;
	}
}

/* Keep the remaining path in the route's own buffer. */
static long enter(struct vos_route *r, struct walk *w, int p)
{
	if (!copy_str(r->buf, sizeof(r->buf), w->todo))
		return -ENAMETOOLONG;
	return go_prefix(r, p, r->buf);
}

static long route_by_walk(struct vos_route *r, long dirfd, const char *path, int how)
{
	struct walk w;
	long res;
	int p;

	w.cur[0] = 0;
	if (path[0] != '/') {
		res = start_of(&w, dirfd);
		if (res)
			return 0; /* the kernel will say what is wrong */
	}
	if (!copy_str(w.todo, sizeof(w.todo), path))
		return 0;
	res = walk(&w, how, &p);
	return res == 1 ? enter(r, &w, p) : res;
}

/* --- text ----------------------------------------------------------------------------------- */

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
	const char *rest;
	int dots = normalise(r->buf, sizeof(r->buf), path);
	int p;

	if (dots < 0)
		return 0;
	if (dots)
		return route_by_walk(r, AT_FDCWD, path, how);
	p = find_prefix(r->buf, &rest);
	if (p >= 0 && vos_config.prefix[p].to != VOS_TO_LOCAL) {
		if (strnlen(path, VOS_PATH_MAX) == VOS_PATH_MAX)
			return -ENAMETOOLONG;
		if (trailing_slash(path) && *rest) {
			size_t n = strlen(r->buf);

			if (n + 2 < sizeof(r->buf))
				memcpy(r->buf + n, "/", 2);
		}
		return go_prefix(r, p, rest);
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

long vos_route(struct vos_route *r, long dirfd, const char *path, int how)
{
	uint64_t word;

	r->dom = VOS_TO_LOCAL;
	r->prefix = -1;
	r->dirfd = dirfd;
	r->path = path;
	if (!path) {
		word = how & VOS_ROUTE_EMPTY ? vos_fd(dirfd) : 0;
		return word && VOS_WORD_KIND(word) != VOS_FD_EPOLL
			       ? route_remote_dir(r, word, "", how)
			       : 0;
	}
	if (vos_proc_route(r, dirfd, path, how))
		return 0;
	if (path[0] == '/')
		return vos_files_remote ? route_absolute(r, path, how) : 0;
	if ((int)dirfd == AT_FDCWD) {
		if (vos_cwd_domain >= 0 && *path) {
			r->dom = vos_cwd_domain;
			r->prefix = vos_cwd_prefix;
			r->base = VOS_BASE_HERE(VOS_BASE_CWD, r->dom);
			return 0;
		}
	} else {
		word = vos_fd(dirfd);
		if (word && VOS_WORD_KIND(word) != VOS_FD_EPOLL)
			return route_remote_dir(r, word, path, how);
	}
	if (!vos_files_remote || !*path)
		return 0;
	if (has_dotdot(path) || may_lead_to_prefix(path) ||
	    (prefix_exists && !plain(dirfd, path, how)))
		return route_by_walk(r, dirfd, path, how);
	return 0;
}

bool vos_route_above(const struct vos_route *r)
{
	char path[VOS_PATH_MAX];
	size_t n;

	if (!r->path || r->path[0] != '/' || normalise(path, sizeof(path), r->path))
		return false;
	n = strlen(path);
	for (int i = 0; i < vos_config.nprefixes; i++) {
		const char *p = vos_config.prefix[i].path;

		if (!strncmp(p, path, n) && p[n] == '/')
			return true;
	}
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
	return !route_by_walk(r, dirfd, path, how) && r->dom != VOS_TO_LOCAL;
}

/* Where the root of the redirect lies here. */
static const char *root_path(const struct vos_route *r, uint32_t root)
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

	if (++*n > HOPS_MAX)
		return -ELOOP;
	if (rd->root != VOS_ROOT_NONE) {
		const char *root = root_path(r, rd->root);

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
