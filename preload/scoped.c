/* SPDX-License-Identifier: MIT */
/*
 * openat2() with rules about where its path may lead (RESOLVE_). A domain's kernel can keep a path
 * below a directory of its own. A path that starts here is walked here, by the same rules, and goes
 * on in a domain where it enters a prefix, which is to be crossed like a mount point; symlinks and
 * ".." that lead out of the domain come back as redirects, and the walk goes on.
 */
#define _GNU_SOURCE
#include "preload/proc.h"
#include "preload/walk.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#define SCOPED (RESOLVE_BENEATH | RESOLVE_IN_ROOT)

#define ALL_HERE (-5000L) /* no domain has to do with it */

static long kernels(long dirfd, const char *path, const struct open_how *how)
{
	return vos_raw4(SYS_openat2, dirfd, (long)path, (long)how, sizeof(*how));
}

/* Is @dir a prefix, or on the way to one? */
static bool above_prefix(const char *dir)
{
	size_t n = strlen(dir);

	for (int i = 0; i < vos_config.nprefixes; i++) {
		const char *p = vos_config.prefix[i].path;

		if (vos_config.prefix[i].to != VOS_TO_LOCAL && !strncmp(p, dir, n) &&
		    (p[n] == '/' || !n))
			return true;
	}
	return false;
}

/* The path has led through a domain and ends here: at w->cur, which has no symlink left in it. */
static long open_end(const struct vos_walk *w, const struct open_how *how, bool directory)
{
	struct open_how end = *how;

	end.resolve &= RESOLVE_CACHED;
	if (!(how->flags & (O_PATH | O_NOFOLLOW)) && !(how->flags & O_CREAT))
		end.resolve |= RESOLVE_NO_SYMLINKS;
	if (directory && !(how->flags & O_CREAT))
		end.flags |= O_DIRECTORY;
	return kernels(AT_FDCWD, w->cur[0] ? w->cur : "/", &end);
}

/* Out of the domain: w->cur is where ".." leads from its root. */
static long come_back(struct vos_walk *w, const struct vos_route *r, const struct vos_redirect *rd)
{
	if (w->resolve & RESOLVE_NO_XDEV)
		return -EXDEV;
	if (rd->root != VOS_ROOT_NONE) {
		const char *root = vos_route_root(r, rd->root);

		if (!root)
			return -EPROTO;
		memcpy(w->cur, root, (size_t)(strrchr(root, '/') - root) + 1);
		w->cur[strrchr(root, '/') - root] = 0;
	}
	return vos_walk_on(w, rd->path);
}

static bool ends_in_slash(const char *path)
{
	size_t n = strlen(path);

	return n && path[n - 1] == '/';
}

/* From a place here, or one that a domain has led back to. */
static long go_on(struct vos_walk *w, const struct open_how *how, int follow, bool again)
{
	struct open_how there = *how;
	struct vos_redirect_buf rd;
	char buf[VOS_PATH_MAX];
	struct vos_route r = { .buf = buf };
	long res;
	int p;

	there.resolve &= ~(uint64_t)SCOPED;
	for (;;) {
		bool directory = ends_in_slash(w->todo);

		res = vos_walk(w, follow, &p);
		/* The kernel knows more about links and errors than we do, but not of prefixes. */
		if (!again && res <= 0 && res != -EXDEV)
			return ALL_HERE;
		if (res <= 0)
			return res ? res : open_end(w, how, directory);
		res = vos_route_prefix(&r, p, w->todo);
		if (res)
			return res;
		if (r.dom < 0)
			return r.dom == VOS_TO_DENY ? -EACCES : kernels(AT_FDCWD, r.path, &there);
		res = vos_open_remote(&r, &there, &rd);
		if (res != VOS_REDIRECT)
			return res;
		res = come_back(w, &r, &rd.r);
		if (res)
			return res;
		again = true;
	}
}

/* From a directory of a domain. */
static long from_domain(struct vos_walk *w, const struct vos_route *r, const struct open_how *how,
			int follow)
{
	struct vos_redirect_buf rd;
	long res = vos_open_remote(r, how, &rd);

	if (res != VOS_REDIRECT)
		return res;
	w->cur[0] = 0;
	w->scope = 0;
	w->links = 0;
	w->resolve = how->resolve;
	res = come_back(w, r, &rd.r);
	return res ? res : go_on(w, how, follow, true);
}

static int follow_of(uint64_t flags)
{
	int how = flags & O_CREAT ? VOS_ROUTE_PARENT : 0;

	if (flags & O_NOFOLLOW || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		how |= VOS_ROUTE_NOFOLLOW;
	return how;
}

/* Where the path starts, if that is in a domain: r->dom. */
static long start(struct vos_route *r, long dirfd, const char **path, const struct open_how *how)
{
	bool in_root = **path == '/' && how->resolve & RESOLVE_IN_ROOT;
	long res = 0;

	r->dom = VOS_TO_LOCAL;
	/* An empty path is an error wherever it starts. */
	if (in_root || (**path && **path != '/'))
		res = vos_route_dir(r, dirfd, *path, 0);
	if (in_root && r->dom < 0) {
		*path += strspn(*path, "/");
		if (!**path)
			*path = ".";
	}
	return res;
}

long vos_open_scoped(long dirfd, const char *path, const struct open_how *how)
{
	const char *given = path;
	struct vos_route r;
	struct vos_walk w;
	long res;

	if (!path || strnlen(path, VOS_PATH_MAX) == VOS_PATH_MAX ||
	    (path[0] == '/' && how->resolve & RESOLVE_BENEATH))
		return kernels(dirfd, path, how);
	res = start(&r, dirfd, &path, how);
	if (res)
		return res;
	if (r.dom >= 0)
		return from_domain(&w, &r, how, follow_of(how->flags));
	if (vos_walk_from(&w, dirfd, path))
		return kernels(dirfd, given, how);
	if (how->resolve & SCOPED) {
		if (!above_prefix(w.cur))
			return kernels(dirfd, given, how);
		w.scope = strlen(w.cur);
	}
	w.resolve = how->resolve;
	res = go_on(&w, how, follow_of(how->flags), false);
	return res == ALL_HERE ? kernels(dirfd, given, how) : res;
}
