/* SPDX-License-Identifier: MIT */
/*
 * The exported functions: those of libc.def, and those that do a little more than one system call.
 * The only place where errno is set.
 *
 * Built without large-file macros, so that both spellings of a name are ours to define.
 */
#undef _FILE_OFFSET_BITS
#undef _TIME_BITS
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include "preload/proc.h"
#include "preload/wrap.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <utime.h>

extern void __chk_fail(void) __attribute__((noreturn));

#define CALL1(sys, a)	       vos_sys_##sys((long)(a), 0, 0, 0, 0, 0)
#define CALL2(sys, a, b)       vos_sys_##sys((long)(a), (long)(b), 0, 0, 0, 0)
#define CALL3(sys, a, b, c)    vos_sys_##sys((long)(a), (long)(b), (long)(c), 0, 0, 0)
#define CALL4(sys, a, b, c, d) vos_sys_##sys((long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define CALL5(sys, a, b, c, d, e) \
	vos_sys_##sys((long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define CALL6(sys, a, b, c, d, e, f) \
	vos_sys_##sys((long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define COUNT(a, b, c, d, e, f, n, ...) n
#define CALLN(n, ...)			CALLN_(n, __VA_ARGS__)
#define CALLN_(n, ...)			CALL##n(__VA_ARGS__)
#define CALL(sys, ...)			CALLN(COUNT(__VA_ARGS__, 6, 5, 4, 3, 2, 1), sys, __VA_ARGS__)

#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Warray-parameter"

#define VOS_FN(ret, name, params, sys, ...)                     \
	EXPORT ret name params                                  \
	{                                                       \
		return (ret)vos_result(CALL(sys, __VA_ARGS__)); \
	}
#define VOS_CHK(ret, name, params, size, room, sys, ...)        \
	EXPORT ret name params                                  \
	{                                                       \
		if (unlikely((size) > (room)))                  \
			__chk_fail();                           \
		return (ret)vos_result(CALL(sys, __VA_ARGS__)); \
	}
/* In assembly, since headers declare the aliases with types of their own. */
#define VOS_ALIAS(name, target) \
	__asm__(".globl " #name "\n.set " #name ", " #target "\n.type " #name ", @function");
#include "preload/libc.def"

/* --- variable arguments --------------------------------------------------------------------- */

static mode_t mode_arg(int flags, va_list ap)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(ap, mode_t) : 0;
}

EXPORT int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_arg(flags, ap);
	va_end(ap);
	return (int)vos_result(CALL(open, path, flags, mode));
}
VOS_ALIAS(open64, open)
VOS_ALIAS(__open, open)
VOS_ALIAS(__open64, open)

EXPORT int openat(int dirfd, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_arg(flags, ap);
	va_end(ap);
	return (int)vos_result(CALL(openat, dirfd, path, flags, mode));
}
VOS_ALIAS(openat64, openat)

EXPORT int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	return (int)vos_result(CALL(fcntl, fd, cmd, arg));
}
VOS_ALIAS(fcntl64, fcntl)
VOS_ALIAS(__fcntl, fcntl)
VOS_ALIAS(__libc_fcntl64, fcntl)

EXPORT int ioctl(int fd, unsigned long nr, ...)
{
	va_list ap;
	long arg;

	va_start(ap, nr);
	arg = va_arg(ap, long);
	va_end(ap);
	return (int)vos_result(CALL(ioctl, fd, nr, arg));
}

EXPORT long syscall(long nr, ...)
{
	va_list ap;
	long a[6];

	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return vos_result(vos_dispatch(nr, a[0], a[1], a[2], a[3], a[4], a[5]));
}

/* --- more than one call, or another result -------------------------------------------------- */

EXPORT int posix_fadvise(int fd, off_t off, off_t n, int advice)
{
	return (int)-CALL(fadvise64, fd, off, n, advice);
}
VOS_ALIAS(posix_fadvise64, posix_fadvise)

/* libc writes a byte into each block where the file system has no fallocate; so do we. */
static int allocate_by_writing(int fd, off_t off, off_t n)
{
	struct stat st;
	long r = CALL(fstat, fd, &st), step;

	if (r)
		return (int)-r;
	if (off < 0 || n <= 0)
		return EINVAL;
	if (!S_ISREG(st.st_mode))
		return ENODEV;
	if (off + n > st.st_size) {
		r = CALL(ftruncate, fd, off + n);
		if (r)
			return (int)-r;
	}
	step = st.st_blksize > 0 ? st.st_blksize : 512;
	for (off_t at = off; at < off + n; at += step) {
		char c = 0;

		r = at < st.st_size ? CALL(pread64, fd, &c, 1, at) : 0;
		if (r >= 0 && (r == 0 || c == 0))
			r = CALL(pwrite64, fd, &c, 1, at);
		if (r < 0)
			return (int)-r;
	}
	return 0;
}

EXPORT int posix_fallocate(int fd, off_t off, off_t n)
{
	long r = CALL(fallocate, fd, 0, off, n);

	return r == -EOPNOTSUPP ? allocate_by_writing(fd, off, n) : (int)-r;
}
VOS_ALIAS(posix_fallocate64, posix_fallocate)

EXPORT int lockf(int fd, int cmd, off_t n)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_len = n };
	long r;

	switch (cmd) {
	case F_TEST:
		fl.l_type = F_RDLCK;
		r = CALL(fcntl, fd, F_GETLK, &fl);
		if (!r && fl.l_type != F_UNLCK && fl.l_pid != vos_pid())
			r = -EACCES;
		return (int)vos_result(r);
	case F_ULOCK:
		fl.l_type = F_UNLCK;
		return (int)vos_result(CALL(fcntl, fd, F_SETLK, &fl));
	case F_LOCK:
		return (int)vos_result(CALL(fcntl, fd, F_SETLKW, &fl));
	case F_TLOCK:
		return (int)vos_result(CALL(fcntl, fd, F_SETLK, &fl));
	default:
		return (int)vos_result(-EINVAL);
	}
}
VOS_ALIAS(lockf64, lockf)

EXPORT int faccessat(int dirfd, const char *path, int mode, int flags)
{
	return (int)vos_result(CALL(faccessat2, dirfd, path, mode, flags));
}

EXPORT int euidaccess(const char *path, int mode)
{
	return (int)vos_result(CALL(faccessat2, AT_FDCWD, path, mode, AT_EACCESS));
}
VOS_ALIAS(eaccess, euidaccess)

static int set_times(int dirfd, const char *path, const struct timeval tv[2], int flags)
{
	struct timespec t[2];

	for (int i = 0; tv && i < 2; i++)
		t[i] = (struct timespec){ tv[i].tv_sec, tv[i].tv_usec * 1000 };
	return (int)vos_result(CALL(utimensat, dirfd, path, tv ? t : NULL, flags));
}

EXPORT int lutimes(const char *path, const struct timeval tv[2])
{
	return set_times(AT_FDCWD, path, tv, AT_SYMLINK_NOFOLLOW);
}

EXPORT int futimes(int fd, const struct timeval tv[2])
{
	return set_times(fd, NULL, tv, 0);
}

EXPORT int futimens(int fd, const struct timespec t[2])
{
	return (int)vos_result(fd < 0 ? -EBADF : CALL(utimensat, fd, NULL, t, 0));
}

/*
 * A symlink is refused. The kernel's call would follow it, so the object is held first, as libc does:
 * whatever its name is by then, nothing else is changed.
 */
static long chmod_itself(int dirfd, const char *path, mode_t mode)
{
	char name[VOS_PROC_NAME];
	struct stat st;
	long fd = CALL(openat, dirfd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
	long r;

	if (fd < 0)
		return fd;
	r = CALL(fstat, fd, &st);
	if (!r && S_ISLNK(st.st_mode))
		r = -EOPNOTSUPP;
	if (!r) {
		vos_proc_name(fd, name);
		r = CALL(chmod, name, mode);
		if (r == -ENOENT) /* no /proc */
			r = -EOPNOTSUPP;
	}
	CALL(close, fd);
	return r;
}

EXPORT int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	if (flags & ~AT_SYMLINK_NOFOLLOW)
		return (int)vos_result(-EINVAL);
	return (int)vos_result(flags ? chmod_itself(dirfd, path, mode)
				     : CALL(fchmodat, dirfd, path, mode));
}

EXPORT int lchmod(const char *path, mode_t mode)
{
	return fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW);
}

static void to_statvfs(struct statvfs *v, const struct statfs *s)
{
	memset(v, 0, sizeof(*v));
	v->f_bsize = (unsigned long)s->f_bsize;
	v->f_frsize = (unsigned long)(s->f_frsize ? s->f_frsize : s->f_bsize);
	v->f_blocks = s->f_blocks;
	v->f_bfree = s->f_bfree;
	v->f_bavail = s->f_bavail;
	v->f_files = s->f_files;
	v->f_ffree = s->f_ffree;
	v->f_favail = s->f_ffree;
	memcpy(&v->f_fsid, &s->f_fsid, sizeof(s->f_fsid));
	v->f_namemax = (unsigned long)s->f_namelen;
	v->f_flag = (unsigned long)s->f_flags & ~0x20ul; /* ST_VALID is the kernel's own */
}

EXPORT int statvfs(const char *path, struct statvfs *v)
{
	struct statfs s;
	long r = CALL(statfs, path, &s);

	if (!r)
		to_statvfs(v, &s);
	return (int)vos_result(r);
}
VOS_ALIAS(statvfs64, statvfs)

EXPORT int fstatvfs(int fd, struct statvfs *v)
{
	struct statfs s;
	long r = CALL(fstatfs, fd, &s);

	if (!r)
		to_statvfs(v, &s);
	return (int)vos_result(r);
}
VOS_ALIAS(fstatvfs64, fstatvfs)

EXPORT int __xmknod(int v, const char *path, mode_t mode, dev_t *dev)
{
	return (int)vos_result(CALL(mknod, path, mode, *dev));
}

EXPORT int __xmknodat(int v, int dirfd, const char *path, mode_t mode, dev_t *dev)
{
	return (int)vos_result(CALL(mknodat, dirfd, path, mode, *dev));
}

EXPORT int remove(const char *path)
{
	long r = CALL(unlink, path);

	if (r == -EISDIR)
		r = CALL(rmdir, path);
	return (int)vos_result(r);
}

EXPORT void closefrom(int low)
{
	vos_sys_close_range(low < 0 ? 0 : low, (unsigned)~0u, 0, 0, 0, 0);
}

EXPORT char *getcwd(char *buf, size_t size)
{
	char path[PATH_MAX];
	long r;

	if (buf && !size) {
		errno = EINVAL;
		return NULL;
	}
	r = CALL(getcwd, path, sizeof(path));
	if (r > 0 && path[0] != '/')
		r = -ENOENT;
	if (r > 0 && size && (size_t)r > size)
		r = -ERANGE;
	if (r < 0) {
		errno = (int)-r;
		return NULL;
	}
	if (!buf)
		buf = malloc(size ? size : (size_t)r);
	return buf ? memcpy(buf, path, (size_t)r) : NULL;
}

EXPORT char *__getcwd_chk(char *buf, size_t size, size_t room)
{
	if (size > room)
		__chk_fail();
	return getcwd(buf, size);
}

EXPORT char *get_current_dir_name(void)
{
	const char *pwd = getenv("PWD");
	char *copy;

	if (!pwd || !vos_cwd_is(pwd))
		return getcwd(NULL, 0);
	copy = malloc(strlen(pwd) + 1);
	return copy ? strcpy(copy, pwd) : NULL;
}

EXPORT char *getwd(char *buf)
{
	return getcwd(buf, PATH_MAX);
}

EXPORT int isatty(int fd)
{
	struct {
		char space[64];
	} termios;
	long r = CALL(ioctl, fd, 0x5401 /* TCGETS */, &termios);

	return r < 0 ? vos_result(r), 0 : 1;
}

/* libc has these from its own uname(). */
EXPORT int gethostname(char *name, size_t n)
{
	struct utsname u;
	long r = CALL(uname, &u);
	size_t k;

	if (r)
		return (int)vos_result(r);
	k = strlen(u.nodename) + 1;
	memcpy(name, u.nodename, k < n ? k : n);
	return k > n ? (int)vos_result(-ENAMETOOLONG) : 0;
}

EXPORT int __gethostname_chk(char *name, size_t n, size_t room)
{
	if (n > room)
		__chk_fail();
	return gethostname(name, n);
}

EXPORT int getdomainname(char *name, size_t n)
{
	struct utsname u;
	long r = CALL(uname, &u);
	size_t k;

	if (r)
		return (int)vos_result(r);
	k = strlen(u.domainname) + 1;
	memcpy(name, u.domainname, k < n ? k : n);
	return 0;
}

EXPORT int __getdomainname_chk(char *name, size_t n, size_t room)
{
	if (n > room)
		__chk_fail();
	return getdomainname(name, n);
}

EXPORT char *__getwd_chk(char *buf, size_t room)
{
	char *r = getcwd(buf, room < PATH_MAX ? room : PATH_MAX);

	if (!r && errno == ERANGE)
		__chk_fail();
	return r;
}

/* --- masks and timeouts --------------------------------------------------------------------- */

/* The kernel writes back how much time was left; libc's callers do not see that. */
EXPORT int ppoll(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *m)
{
	struct timespec copy;

	if (t)
		copy = *t;
	return (int)vos_result(CALL(ppoll, p, n, t ? &copy : NULL, m, 8));
}

EXPORT int __ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *m,
		       size_t room)
{
	if (n > room / sizeof(*p))
		__chk_fail();
	return ppoll(p, n, t, m);
}

EXPORT int pselect(int n, fd_set *r, fd_set *w, fd_set *x, const struct timespec *t,
		   const sigset_t *m)
{
	const struct {
		const sigset_t *set;
		size_t size;
	} mask = { m, 8 };
	struct timespec copy;

	if (t)
		copy = *t;
	return (int)vos_result(CALL(pselect6, n, r, w, x, t ? &copy : NULL, &mask));
}
