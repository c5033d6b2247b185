/* SPDX-License-Identifier: MIT */
/* See walk.h. Names are canonical here, so that prefixes can be told by text. */
#define _GNU_SOURCE
#include "preload/walk.h"
#include "preload/proc.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define SCOPED (RESOLVE_BENEATH | RESOLVE_IN_ROOT)

int vos_find_prefix(const char *path, const char **rest)
{
	for (int i = 0; i < vos_config.nprefixes; i++) {
		const char *p = vos_config.prefix[i].path;
		size_t n = strlen(p);

		if (!n) /* out of reach, since a chroot() */
			continue;
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

/* --- where it starts ------------------------------------------------------------------------ */

static long start_of(struct vos_walk *w, long dirfd)
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

long vos_walk_from(struct vos_walk *w, long dirfd, const char *path)
{
	size_t n = strlen(path) + 1;
	long r = 0;

	w->scope = 0;
	w->resolve = 0;
	w->links = 0;
	w->cur[0] = 0;
	if (n > sizeof(w->todo))
		return -ENAMETOOLONG;
	memcpy(w->todo, path, n);
	if (path[0] != '/')
		r = start_of(w, dirfd);
	return r;
}

/* --- one component -------------------------------------------------------------------------- */

/* Does the kernel go through it? One that is no more than the way to a prefix need not exist. */
static long enters(struct vos_walk *w)
{
	size_t n = strlen(w->cur);
	struct stat st;
	long r;

	if (n + 3 > sizeof(w->cur))
		return -ENAMETOOLONG;
	memcpy(w->cur + n, "/.", 3);
	r = vos_raw4(SYS_newfstatat, AT_FDCWD, (long)w->cur, (long)&st, 0);
	w->cur[n] = 0;
	if (r != -ENOENT && r != -ENOTDIR)
		return r;
	for (int i = 0; i < vos_config.nprefixes; i++)
		if (!strncmp(vos_config.prefix[i].path, w->cur, n) &&
		    vos_config.prefix[i].path[n] == '/')
			return 0;
	return r;
}

static long up(struct vos_walk *w)
{
	char *slash;
	long r;

	if (!w->cur[0])
		return w->resolve & RESOLVE_BENEATH ? -EXDEV : 0;
	r = enters(w);
	if (r)
		return r;
	if (w->resolve & SCOPED && strlen(w->cur) == w->scope)
		return w->resolve & RESOLVE_BENEATH ? -EXDEV : 0;
	slash = strrchr(w->cur, '/');
	*slash = 0;
	return 0;
}

/* Does @target lead to the root? Then be there. */
static long turn(struct vos_walk *w, const char *target)
{
	if (target[0] != '/')
		return 0;
	if (w->resolve & RESOLVE_BENEATH)
		return -EXDEV;
	w->cur[w->scope] = 0;
	return 0;
}

static long prepend(struct vos_walk *w, const char *target, size_t n, const char *rest)
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

/* -EINVAL when it is no symlink, or none that is followed. */
static long step(struct vos_walk *w, const char *name, size_t n, const char *rest, bool follow)
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
	if (w->resolve & RESOLVE_NO_SYMLINKS || ++w->links > VOS_HOPS_MAX)
		return -ELOOP;
	target[r] = 0;
	w->cur[len] = 0;
	len = (size_t)r;
	r = turn(w, target);
	return r ? r : prepend(w, target, len, rest);
}

long vos_walk_on(struct vos_walk *w, const char *path)
{
	size_t n = strlen(path) + 1;

	if (++w->links > VOS_HOPS_MAX)
		return -ELOOP;
	if (n > sizeof(w->todo))
		return -ENAMETOOLONG;
	memcpy(w->todo, path, n);
	return turn(w, path);
}

/* Is a symlink followed that @after comes after? */
static bool follows(const char *after, int how)
{
	if (after[strspn(after, "/")])
		return true;
	return *after ? !(how & VOS_ROUTE_PARENT) : !(how & VOS_ROUTE_NOFOLLOW);
}

/* --- all of them ---------------------------------------------------------------------------- */

/* Is it at a prefix whose tree is elsewhere? */
static bool at_prefix(const struct vos_walk *w, int *p)
{
	const char *rest;

	*p = vos_find_prefix(w->cur[0] ? w->cur : "/", &rest);
	return *p >= 0 && !*rest && vos_config.prefix[*p].to != VOS_TO_LOCAL;
}

long vos_walk(struct vos_walk *w, int how, int *p)
{
	char *next = w->todo;

	for (;;) {
		char *name = next + strspn(next, "/");
		size_t n = strcspn(name, "/");
		long r;

		if (at_prefix(w, p)) {
			memmove(w->todo, name, strlen(name) + 1);
			return w->resolve & RESOLVE_NO_XDEV ? -EXDEV : 1;
		}
		if (!n)
			return 0;
		next = name + n;
		if (n == 1 && name[0] == '.')
			continue;
		if (n == 2 && name[0] == '.' && name[1] == '.') {
			r = up(w);
			if (r)
				return r;
			continue;
		}
		r = step(w, name, n, next, follows(next, how));
		if (r == -EINVAL)
			continue;
		if (r)
			return r;
		next = w->todo;
	}
}
