/* SPDX-License-Identifier: MIT */
/*
 * Path calls that are not rows of the table: the older forms, which are the newer ones with some
 * arguments fixed.
 */
#define _GNU_SOURCE
#include "preload/vos.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <utime.h>

#define CWD AT_FDCWD

/* Old form, or the kernel's own when nothing is remote: same result, and what strace users expect.
 */
#define OLD(name, op, ...)                                                          \
	long vos_sys_##name(long a0, long a1, long a2, long a3, long a4, long a5)   \
	{                                                                           \
		vos_need_init();                                                    \
		if (likely(!vos_files_remote && !vos_fdtab.nremote && vos_cwd < 0)) \
			return vos_raw6(SYS_##name, a0, a1, a2, a3, a4, a5);        \
		return vos_forward_at(VOS_OP_##op, (const long[6]){ __VA_ARGS__ }); \
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

/* --- and one that is not about paths --------------------------------------------------------- */

static long names_there(struct utsname *u, unsigned dom)
{
	long r = vos_forward(VOS_OP_uname, dom, (const uint64_t[6]){ (uint64_t)u }, NULL);

	if (r) /* it died under us: another instance may be there already */
		r = vos_forward(VOS_OP_uname, dom, (const uint64_t[6]){ (uint64_t)u }, NULL);
	return r;
}

/* The names are the domain's; the kernel, its version and what it runs on are those that we have. */
long vos_sys_uname(long buf, long a1, long a2, long a3, long a4, long a5)
{
	struct utsname *u = (struct utsname *)buf, there;
	long r;
	int to;

	UNUSED(a1, a2, a3, a4, a5);
	vos_need_init();
	to = vos_stage == VOS_STAGE_READY ? vos_config.class_to[VOS_CLASS_HOSTNAME] : VOS_TO_LOCAL;
	if (to == VOS_TO_DENY)
		return -EACCES;
	r = vos_raw1(SYS_uname, buf);
	if (r || to == VOS_TO_LOCAL)
		return r;
	if (names_there(&there, (unsigned)to))
		return vos_config.unavailable_local ? 0 : -EIO;
	memcpy(u->nodename, there.nodename, sizeof(u->nodename));
	memcpy(u->domainname, there.domainname, sizeof(u->domainname));
	return 0;
}
