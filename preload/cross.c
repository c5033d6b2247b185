/* SPDX-License-Identifier: MIT */
/*
 * Calls on two paths, link and rename, whose paths lie in different domains: an error like that
 * between two file systems. But symlinks may lead one of them to where the other is; and what is
 * wrong with one path is an error before that of both together.
 */
#define _GNU_SOURCE
#include "preload/vos.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

long vos_settle(struct vos_route *r, int how)
{
	const int flags = how & VOS_ROUTE_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
	struct vos_redirect_buf rd;
	struct stat st;
	int hops = 0;
	long res;

	for (;;) {
		if (r->dom < 0 && !vos_route_again(r, -ENOENT, how))
			return 0;
		if (r->dom < 0 && ++hops > VOS_HOPS_MAX)
			return -ELOOP;
		if (r->dom < 0)
			continue;
		res = vos_forward(VOS_OP_newfstatat, (unsigned)r->dom,
				  (const uint64_t[6]){ r->base, (uint64_t)r->path, (uint64_t)&st,
						       (uint64_t)(flags | AT_EMPTY_PATH) },
				  &rd);
		if (res != VOS_REDIRECT)
			return 0;
		res = vos_reroute(r, &rd.r, &hops, how);
		if (res)
			return res;
	}
}

static bool is_dots(const char *name)
{
	return name[0] == '.' &&
	       (!name[1] || name[1] == '/' || (name[1] == '.' && (!name[2] || name[2] == '/')));
}

/* Split the last component off a copy of @path: its name, NULL if it has none (".", "/"). */
static const char *split(const char *path, char parent[VOS_PATH_MAX])
{
	size_t n = strlen(path);

	while (n && path[n - 1] == '/')
		n--;
	while (n && path[n - 1] != '/')
		n--;
	memcpy(parent, path, n);
	parent[n] = 0;
	if (!n)
		memcpy(parent, *path == '/' ? "/" : ".", 2);
	return path[n] && path[n] != '/' && !is_dots(path + n) ? path + n : NULL;
}

static long stat_at(long dirfd, const char *path, struct stat *st, long flags)
{
	return vos_forward_at(VOS_OP_newfstatat,
			      (const long[6]){ dirfd, (long)path, (long)st, flags });
}

/* Is the directory there in which the call acts? */
static long parent_error(long dirfd, const char *path, const char **name)
{
	char parent[VOS_PATH_MAX];
	struct stat st;
	long r;

	if (!path)
		return -EFAULT;
	if (!*path)
		return -ENOENT;
	if (strnlen(path, VOS_PATH_MAX) == VOS_PATH_MAX)
		return -ENAMETOOLONG;
	*name = split(path, parent);
	r = stat_at(dirfd, parent, &st, 0);
	return !r && !S_ISDIR(st.st_mode) ? -ENOTDIR : r;
}

/* The second path of a link: does it exist, or can it not? */
static long new_error(long dirfd, const char *path)
{
	const char *name = NULL;
	long r = parent_error(dirfd, path, &name);
	char plain[VOS_PATH_MAX];
	struct stat st;
	size_t n;

	if (r)
		return r;
	if (!name)
		return -EEXIST;
	n = (size_t)(name - path) + strcspn(name, "/");
	memcpy(plain, path, n);
	plain[n] = 0;
	r = stat_at(dirfd, plain, &st, AT_SYMLINK_NOFOLLOW);
	if (!r)
		return -EEXIST;
	return r == -ENOENT && !path[n] ? 0 : r;
}

long vos_cross_error(enum vos_op op, const long a[6])
{
	const char *from = (const char *)a[1], *to = (const char *)a[3], *name;
	struct stat st;
	long r;

	if (op == VOS_OP_linkat) {
		r = stat_at(a[0], from, &st,
			    (a[4] & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW) |
				    (a[4] & AT_EMPTY_PATH));
		if (!r)
			r = new_error(a[2], to);
	} else {
		r = parent_error(a[0], from, &name);
		if (!r)
			r = parent_error(a[2], to, &name);
	}
	return r ? r : -EXDEV;
}
