/* SPDX-License-Identifier: MIT */
/*
 * Path calls that are not rows of the table: the older forms, which are the newer ones with some
 * arguments fixed, and the working directory.
 */
#define _GNU_SOURCE
#include "preload/proc.h"
#include "preload/process.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <utime.h>

#define CWD AT_FDCWD

/* Old form, or the kernel's own when nothing is remote: same result, and what strace users expect.
 */
#define OLD(name, op, ...)                                                                 \
	long vos_sys_##name(long a0, long a1, long a2, long a3, long a4, long a5)          \
	{                                                                                  \
		vos_need_init();                                                           \
		if (likely(!vos_files_remote && !vos_fdtab.nremote && vos_cwd_domain < 0)) \
			return vos_raw6(SYS_##name, a0, a1, a2, a3, a4, a5);               \
		return vos_forward_at(VOS_OP_##op, (const long[6]){ __VA_ARGS__ });        \
	}

OLD(stat, newfstatat, CWD, a0, a1, 0)
OLD(lstat, newfstatat, CWD, a0, a1, AT_SYMLINK_NOFOLLOW)
OLD(access, faccessat2, CWD, a0, a1, 0)
OLD(faccessat, faccessat2, a0, a1, a2, 0)
OLD(readlink, readlinkat, CWD, a0, a1, a2)
OLD(unlink, unlinkat, CWD, a0, 0)
OLD(rmdir, unlinkat, CWD, a0, AT_REMOVEDIR)
OLD(mkdir, mkdirat, CWD, a0, a1)
OLD(mknod, mknodat, CWD, a0, a1, a2)
OLD(chmod, fchmodat, CWD, a0, a1)
OLD(chown, fchownat, CWD, a0, a1, a2, 0)
OLD(lchown, fchownat, CWD, a0, a1, a2, AT_SYMLINK_NOFOLLOW)
OLD(symlink, symlinkat, a0, CWD, a1)
OLD(link, linkat, CWD, a0, CWD, a1, 0)
OLD(rename, renameat2, CWD, a0, CWD, a1, 0)
OLD(renameat, renameat2, a0, a1, a2, a3, 0)
OLD(truncate, truncate, CWD, a0, a1)
OLD(statfs, statfs, CWD, a0, a1)
OLD(setxattr, setxattr, CWD, a0, a1, a2, a3, a4)
OLD(lsetxattr, lsetxattr, CWD, a0, a1, a2, a3, a4)
OLD(getxattr, getxattr, CWD, a0, a1, a2, a3)
OLD(lgetxattr, lgetxattr, CWD, a0, a1, a2, a3)
OLD(listxattr, listxattr, CWD, a0, a1, a2)
OLD(llistxattr, llistxattr, CWD, a0, a1, a2)
OLD(removexattr, removexattr, CWD, a0, a1)
OLD(lremovexattr, lremovexattr, CWD, a0, a1)

#define UNUSED(...)         \
	(void)(long[])      \
	{                   \
		__VA_ARGS__ \
	}

long vos_sys_utime(long path, long times, long a2, long a3, long a4, long a5)
{
	const struct utimbuf *u = (const struct utimbuf *)times;
	struct timespec t[2];

	UNUSED(a2, a3, a4, a5);
	if (u) {
		t[0] = (struct timespec){ u->actime, 0 };
		t[1] = (struct timespec){ u->modtime, 0 };
	}
	return vos_forward_at(VOS_OP_utimensat, (const long[6]){ CWD, path, u ? (long)t : 0, 0 });
}

long vos_sys_futimesat(long dirfd, long path, long times, long a3, long a4, long a5)
{
	const struct timeval *v = (const struct timeval *)times;
	struct timespec t[2];

	UNUSED(a3, a4, a5);
	for (int i = 0; v && i < 2; i++) {
		if (v[i].tv_usec < 0 || v[i].tv_usec >= 1000000)
			return -EINVAL;
		t[i] = (struct timespec){ v[i].tv_sec, v[i].tv_usec * 1000 };
	}
	if (!path) /* futimes */
		return vos_sys_utimensat(dirfd, 0, v ? (long)t : 0, 0, 0, 0);
	return vos_forward_at(VOS_OP_utimensat, (const long[6]){ dirfd, path, v ? (long)t : 0, 0 });
}

long vos_sys_utimes(long path, long times, long a2, long a3, long a4, long a5)
{
	UNUSED(a2, a3, a4, a5);
	return vos_sys_futimesat(CWD, path, times, 0, 0, 0);
}

/* Nobody calls it any more; libc's readdir uses getdents64. */
long vos_sys_getdents(long fd, long p, long n, long a3, long a4, long a5)
{
	UNUSED(a3, a4, a5);
	return vos_fd(fd) ? -ENOSYS : vos_raw3(SYS_getdents, fd, p, n);
}

/* --- the working directory ------------------------------------------------------------------ */

static long local_chdir(long nr, long arg)
{
	long r = vos_raw1(nr, arg);

	if (!r)
		vos_cwd_domain = -1;
	return r;
}

long vos_sys_chdir(long path, long a1, long a2, long a3, long a4, long a5)
{
	struct vos_redirect_buf rd;
	struct vos_route r;
	int hops = 0;
	long res;

	UNUSED(a1, a2, a3, a4, a5);
	vos_need_init();
	res = vos_route(&r, CWD, (const char *)path, 0);
	while (!res) {
		if (r.dom == VOS_TO_DENY)
			return -EACCES;
		if (r.dom == VOS_TO_LOCAL) {
			res = local_chdir(SYS_chdir, (long)r.path);
			if (!res || !vos_route_again(&r, res, 0) || ++hops > VOS_HOPS_MAX)
				return res;
			res = 0;
			continue;
		}
		res = vos_forward(VOS_OP_chdir, (unsigned)r.dom,
				  (const uint64_t[6]){ r.base, (uint64_t)r.path }, &rd);
		if (!res) {
			vos_cwd_domain = r.dom;
			vos_cwd_prefix = r.prefix;
		}
		if (res != VOS_REDIRECT)
			return res == -ENOLINK ? -EIO : res;
		res = vos_reroute(&r, &rd.r, &hops, 0);
	}
	return res;
}

long vos_sys_fchdir(long fd, long a1, long a2, long a3, long a4, long a5)
{
	uint64_t w = vos_fd(fd);
	long r;

	UNUSED(a1, a2, a3, a4, a5);
	if (likely(!w))
		return local_chdir(SYS_fchdir, fd);
	r = vos_forward_fd(VOS_OP_fchdir, w, (const long[6]){ fd });
	if (r < 0)
		return r;
	vos_cwd_domain = (int)VOS_WORD_DOMAIN(w);
	/* The answer is the number of the root that the directory was opened below. */
	vos_cwd_prefix = vos_domain_prefix(VOS_WORD_DOMAIN(w), VOS_WORD_INC(w), (uint64_t)r);
	return 0;
}

long vos_sys_getcwd(long buf, long size, long a2, long a3, long a4, long a5)
{
	long r;

	UNUSED(a2, a3, a4, a5);
	if (likely(vos_cwd_domain < 0))
		return vos_raw2(SYS_getcwd, buf, size);
	r = vos_path_of((unsigned)vos_cwd_domain, VOS_BASE_HERE(VOS_BASE_CWD, vos_cwd_domain),
			vos_cwd_prefix, (char *)buf, (size_t)size);
	return r < 0 ? r : r + 1;
}

/* The programs' root is the kernel's; a root inside a domain is refused clearly. */
long vos_sys_chroot(long path, long a1, long a2, long a3, long a4, long a5)
{
	struct vos_route r;
	long res;

	UNUSED(a1, a2, a3, a4, a5);
	res = vos_route(&r, CWD, (const char *)path, false);
	if (res)
		return res;
	if (r.dom != VOS_TO_LOCAL)
		return -EOPNOTSUPP;
	vos_tickets_take(); /* the services may be out of reach from in there */
	return vos_raw1(SYS_chroot, (long)r.path);
}

long vos_sys_umask(long mask, long a1, long a2, long a3, long a4, long a5)
{
	UNUSED(a1, a2, a3, a4, a5);
	for (int i = 0; i < vos_config.ndomains; i++)
		if (atomic_load_explicit(&vos_domain[i].chan, memory_order_relaxed))
			vos_req_simple((unsigned)i, VOS_OP_umask, (uint64_t)mask);
	return vos_raw1(SYS_umask, mask);
}

long vos_sys_uname(long buf, long a1, long a2, long a3, long a4, long a5)
{
	int to = vos_config.class_to[VOS_CLASS_HOSTNAME];

	UNUSED(a1, a2, a3, a4, a5);
	if (vos_stage != VOS_STAGE_READY || to == VOS_TO_LOCAL)
		return vos_raw1(SYS_uname, buf);
	if (to == VOS_TO_DENY)
		return -EACCES;
	return vos_forward(VOS_OP_uname, (unsigned)to, (const uint64_t[6]){ (uint64_t)buf }, NULL);
}
