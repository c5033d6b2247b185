/* SPDX-License-Identifier: MIT */
/* open in all its forms: a route, and for a remote file a handle and a number for it. */
#define _GNU_SOURCE
#include "preload/walk.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

/* What a symlink at the end of the path means to open. */
static int nofollow(uint64_t flags)
{
	return flags & O_NOFOLLOW || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)
		       ? VOS_ROUTE_NOFOLLOW
		       : 0;
}

long vos_open_remote(const struct vos_route *r, const struct open_how *how,
		     struct vos_redirect_buf *rd)
{
	const uint64_t a[6] = {
		r->base, (uint64_t)r->path, how->flags, how->mode, how->resolve, 0
	};
	long h, fd = vos_fd_reserve(0, how->flags & O_CLOEXEC);

	if (fd < 0)
		return fd;
	h = vos_forward(VOS_OP_openat, (unsigned)r->dom, a, rd);
	if (h < 0)
		return vos_fd_release(fd, h == -ENOLINK ? -EIO : h);
	return vos_fd_fill(fd, VOS_WORD(h, r->dom, VOS_FD_FILE, VOS_BASE_INC(r->base)));
}

static long open_local(long dirfd, const char *path, const struct open_how *how, bool v2)
{
	if (v2)
		return vos_raw4(SYS_openat2, dirfd, (long)path, (long)how, sizeof(*how));
	return vos_local(SYS_openat, dirfd, (long)path, (long)how->flags, (long)how->mode, 0, 0);
}

#define USUAL                                                                                    \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_CLOEXEC | \
	 O_DIRECTORY | O_NOFOLLOW | O_LARGEFILE | 0100000)

/* Does every kernel take this, whatever the path is? */
static bool usual(const struct open_how *how, bool v2)
{
	return !v2 && !(how->flags & ~(uint64_t)USUAL) &&
	       (how->flags & (O_CREAT | O_DIRECTORY)) != (O_CREAT | O_DIRECTORY);
}

/* @room: NULL, or for what takes more than the path as it is. */
static long open_in(struct vos_room *room, long dirfd, const char *path, const struct open_how *how,
		    bool v2)
{
	int stop = nofollow(how->flags) | (how->flags & O_CREAT ? VOS_ROUTE_PARENT : 0), hops = 0;
	struct vos_route r = { .buf = room ? room->buf[0] : NULL };
	long res = vos_route(&r, dirfd, path, stop);

	while (!res) {
		if (r.dom == VOS_TO_DENY)
			return -EACCES;
		if (r.dom == VOS_TO_LOCAL) {
			res = open_local(r.dirfd, r.path, how, v2);
			if (res >= 0 || !vos_route_again(&r, res, stop))
				return res;
			if (!room)
				return VOS_NO_ROOM;
			if (++hops > VOS_HOPS_MAX)
				return res;
			res = 0;
			continue;
		}
		res = vos_open_remote(&r, how, room ? &room->rd : VOS_REDIRECT_UNREAD);
		if (res != VOS_REDIRECT)
			return res;
		if (!room)
			return VOS_NO_ROOM;
		res = vos_reroute(&r, &room->rd.r, &hops, stop);
	}
	return res;
}

static __attribute__((noinline)) long open_with_room(long dirfd, const char *path,
						     const struct open_how *how, bool v2)
{
	struct vos_room room;

	return open_in(&room, dirfd, path, how, v2);
}

static long open_routed(long dirfd, const char *path, const struct open_how *how, bool v2)
{
	long res;

	if (unlikely(!usual(how, v2))) {
		/* Ours refuses what it would refuse, if it cannot even read the path. */
		res = open_local(dirfd, (const char *)-1, how, v2);
		if (res != -EFAULT)
			return res;
	}
	if (how->resolve & ~(uint64_t)RESOLVE_CACHED)
		return vos_open_scoped(dirfd, path, how);
	res = open_in(NULL, dirfd, path, how, v2);
	return unlikely(res == VOS_NO_ROOM) ? open_with_room(dirfd, path, how, v2) : res;
}

/* @v2: openat2, which knows rules for where the path may lead. */
static long do_open(long dirfd, const char *path, const struct open_how *how, bool v2)
{
	vos_need_init();
	if (likely(!vos_files_remote && !vos_fdtab.nremote))
		return open_local(dirfd, path, how, v2);
	return open_routed(dirfd, path, how, v2);
}

/* open ignores what it does not know; openat2, which the service uses, does not. */
#define OPEN_KNOWN                                                                             \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC |  \
	 O_ASYNC | O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | \
	 O_PATH | __O_TMPFILE | 0100000 /* O_LARGEFILE as the kernel has it */)
#define PATH_KNOWN (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static long open_flags(long dirfd, long path, long flags, long mode)
{
	struct open_how how = { .flags = (uint64_t)flags &
					 (flags & O_PATH ? PATH_KNOWN : OPEN_KNOWN) };

	if (how.flags & O_CREAT || (how.flags & O_TMPFILE) == O_TMPFILE)
		how.mode = (uint64_t)mode & 07777;
	return do_open(dirfd, (const char *)path, &how, false);
}

long vos_sys_open(long path, long flags, long mode, long a3, long a4, long a5)
{
	(void)a3, (void)a4, (void)a5;
	return open_flags(AT_FDCWD, path, flags, mode);
}

long vos_sys_openat(long dirfd, long path, long flags, long mode, long a4, long a5)
{
	(void)a4, (void)a5;
	return open_flags(dirfd, path, flags, mode);
}

long vos_sys_creat(long path, long mode, long a2, long a3, long a4, long a5)
{
	(void)a2, (void)a3, (void)a4, (void)a5;
	return open_flags(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* Has the structure grown, and does what it has grown by say anything? */
static bool newer(long how, long size)
{
	const char *p = (const char *)how;

	for (long i = sizeof(struct open_how); i < size; i++)
		if (size > 4096 || p[i])
			return true;
	return false;
}

long vos_sys_openat2(long dirfd, long path, long how, long size, long a4, long a5)
{
	(void)a4, (void)a5;
	if (!how || size < (long)sizeof(struct open_how) ||
	    newer(how, size)) /* the kernel's to judge */
		return vos_raw4(SYS_openat2, dirfd, path, how, size);
	return do_open(dirfd, (const char *)path, (const struct open_how *)how, true);
}
