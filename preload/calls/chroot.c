/* SPDX-License-Identifier: MIT */
/*
 * The root of the program is the kernel's; one inside a domain is refused clearly. What lies below a
 * new root keeps its place, under a shorter name, as mounts do: so prefixes lose the part of their
 * path that leads to the root, and those that lie elsewhere are out of reach by any path. Their places
 * in the configuration stay, nameless, since handles and channels know prefixes by their numbers.
 *
 * A thread that resolves a path while another one changes the root gets something of either.
 */
#define _GNU_SOURCE
#include "preload/proc.h"
#include "preload/process.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* What the path of a prefix is below @top, "" for @top itself; NULL: it is not there. */
static const char *below(const struct vos_prefix_config *p, const char *top)
{
	size_t n = strlen(top);

	if (!n || strncmp(p->path, top, n) || (p->path[n] && p->path[n] != '/'))
		return NULL;
	return p->path + n;
}

/* While the services can be reached: those that will be needed in there. */
static void name_roots(const char *top)
{
	uint64_t base;

	for (int i = 0; i < vos_config.nprefixes; i++)
		if (vos_config.prefix[i].to >= 0 && below(&vos_config.prefix[i], top))
			vos_domain_root(i, &base);
}

/* Those that only our inheritance knows, too. */
static void rename_prefixes(const char *top)
{
	for (int i = 0; i < VOS_MAX_PREFIXES; i++) {
		struct vos_prefix_config *p = &vos_config.prefix[i];
		const char *rest = below(p, top);

		if (rest && *rest) {
			memmove(p->path, rest, strlen(rest) + 1);
		} else if (rest) {
			memcpy(p->path, "/", 2);
		} else {
			p->path[0] = 0;
			p->to = VOS_TO_LOCAL;
		}
	}
}

static bool is_root(long fd)
{
	struct stat a, b;

	return !vos_raw4(SYS_newfstatat, fd, (long)"", (long)&a, AT_EMPTY_PATH) &&
	       !vos_raw4(SYS_newfstatat, AT_FDCWD, (long)"/", (long)&b, 0) &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Without a /proc nobody knows what lies below: nothing, then. */
static void name_of(long fd, char top[VOS_PATH_MAX])
{
	long n = vos_proc_link(fd, top, VOS_PATH_MAX - 1);

	top[n < 0 || top[0] != '/' ? 0 : n] = 0;
}

static long change(const char *path)
{
	char top[VOS_PATH_MAX];
	long r, fd = vos_raw4(SYS_openat, AT_FDCWD, (long)path, O_PATH | O_DIRECTORY | O_CLOEXEC,
			      0);

	if (fd < 0)
		return fd;
	if (is_root(fd)) {
		r = vos_raw1(SYS_chroot, (long)path);
	} else {
		vos_cwd_known(); /* its path will lead elsewhere, or nowhere */
		name_of(fd, top);
		name_roots(top);
		r = vos_raw1(SYS_chroot, (long)path);
		if (!r) {
			rename_prefixes(top);
			vos_route_init();
		}
	}
	vos_raw1(SYS_close, fd);
	return r;
}

/* Not there; but what is wrong with the path itself comes first. */
static long refuse(long path)
{
	struct stat st;
	long r = vos_sys_newfstatat(AT_FDCWD, path, (long)&st, 0, 0, 0);

	if (r)
		return r;
	return S_ISDIR(st.st_mode) ? -EOPNOTSUPP : -ENOTDIR;
}

long vos_sys_chroot(long path, long a1, long a2, long a3, long a4, long a5)
{
	char buf[VOS_PATH_MAX];
	struct vos_route r = { .buf = buf };
	long res;

	(void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
	vos_need_init();
	res = vos_route(&r, AT_FDCWD, (const char *)path, 0);
	if (!res)
		res = vos_settle(&r, 0);
	if (res)
		return res;
	if (r.dom != VOS_TO_LOCAL)
		return refuse(path);
	vos_tickets_take(); /* the services may be out of reach from in there */
	return vos_files_remote ? change(r.path) : vos_raw1(SYS_chroot, (long)r.path);
}
