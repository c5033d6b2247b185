/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* timeout: 120 */
/* Every call on a descriptor, with good and with bad arguments, on descriptors of every kind. */
#include "kinds.h"
#include <linux/fs.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>

#define E(expr)	 EACH(k, expr)
#define FD(expr) EACH_FD(k, expr)

/* The compiler warns about what it sees. */
static char *volatile nothing;
static char big[1 << 17];

static void data(enum kind k)
{
	char buf[4096];
	struct iovec iov[2] = { { buf, 2 }, { buf + 8, 3 } };

	E(read(fd, buf, 4));
	E(write(fd, "abc", 0));
	E(write(fd, "abc", 3));
	E(pread(fd, buf, 4, 7));
	E(pread(fd, buf, 4, 100));
	E(pread(fd, buf, 4, -1));
	E(pread(fd, buf, 4, INT64_MAX));
	E(pwrite(fd, "abc", 0, 0));
	E(pwrite(fd, "abc", 1, 3));
	E(pwrite(fd, "abc", 1, -1));
	E(pwrite(fd, "abc", 3, INT64_MAX));
	E(pwrite(fd, "abc", 1, 1ll << 44));
	E(readv(fd, iov, 2));
	E(readv(fd, iov, 0));
	E(writev(fd, iov, 2));
	E(writev(fd, iov, 0));
	E(preadv(fd, iov, 2, 0));
	E(preadv(fd, iov, 2, -1));
	E(pwritev(fd, iov, 2, 0));
	E(pwritev(fd, iov, 2, -1));
	E(preadv2(fd, iov, 2, -1, 0));
	E(preadv2(fd, iov, 2, -2, 0));
	E(preadv2(fd, iov, 2, 0, RWF_DSYNC));
	E(preadv2(fd, iov, 2, 0, 0x8000));
	E(pwritev2(fd, iov, 2, -1, 0));
	E(pwritev2(fd, iov, 2, 0, RWF_APPEND));
	E(pwritev2(fd, iov, 2, -1, RWF_APPEND));
	E(pwritev2(fd, iov, 2, 0, RWF_SYNC));
	E(pwritev2(fd, iov, 2, 0, 0x8000));
	E(lseek(fd, 5, SEEK_CUR));
	E(lseek(fd, -5, SEEK_CUR));
	E(lseek(fd, 0, SEEK_END));
	E(lseek(fd, 3, SEEK_DATA));
	E(lseek(fd, 3, SEEK_HOLE));
	E(lseek(fd, 9, SEEK_DATA));
	E(lseek(fd, 0, 5));
	E(lseek(fd, INT64_MAX, SEEK_END));
}

static void space(enum kind k)
{
	E(fsync(fd));
	E(fdatasync(fd));
	E(syncfs(fd));
	E(sync_file_range(fd, 0, 0, 0));
	E(sync_file_range(fd, -1, 0, 0));
	E(sync_file_range(fd, 0, 1, 99));
	E(ftruncate(fd, 5));
	E(ftruncate(fd, -1));
	E(fallocate(fd, 0, 0, 20));
	E(fallocate(fd, 0, 0, 0));
	E(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100));
	E(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 4));
	E(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 2, 4));
	E(fallocate(fd, FALLOC_FL_ZERO_RANGE, 2, 4));
	E(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 2, 4));
	E(fallocate(fd, 0x4000, 0, 1));
	E(fallocate(fd, 0, INT64_MAX, 1));
	E(posix_fallocate(fd, 0, 20));
	E(posix_fallocate(fd, -1, 20));
	E(posix_fallocate(fd, 0, 0));
	E(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
	E(posix_fadvise(fd, 0, 0, 99));
	E(posix_fadvise(fd, 0, -1, 0));
	E(readahead(fd, 0, 10));
	E(readahead(fd, -1, 10));
}

static void attributes(enum kind k)
{
	const struct timespec t[2] = { { 1, 2 }, { 3, 4 } }, wrong[2] = { { 1, 2000000000 } };
	const struct timespec omit[2] = { { 1, UTIME_OMIT }, { 3, UTIME_OMIT } };
	const struct timeval tv[2] = { { 1, 2 }, { 3, 4 } }, wrong_tv[2] = { { 1, 1000000 } };
	struct statfs fs;
	struct stat st;
	struct statx sx;
	char buf[256];

	E(fstat(fd, &st));
	E(fstatat(fd, "", &st, AT_EMPTY_PATH));
	E(fstatat(fd, "", &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
	E(fstatat(fd, "", &st, 0));
	E(fstatat(fd, "", &st, 0x8000000));
	E(fstatat(fd, "x", &st, 0));
	E(fstatat(fd, "..", &st, 0));
	E(statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &sx));
	E(statx(fd, "", 0, STATX_ALL, &sx));
	E(statx(fd, "", AT_EMPTY_PATH, STATX__RESERVED, &sx));
	E(statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &sx));
	E(fstatfs(fd, &fs));
	E(fchmod(fd, 0600));
	E(fchmodat(fd, "", 0600, 0));
	E(fchown(fd, -1, -1));
	E(fchownat(fd, "", -1, -1, AT_EMPTY_PATH));
	E(fchownat(fd, "", -1, -1, 0));
	E(fchownat(fd, "", -1, -1, 2));
	E(futimens(fd, t));
	E(futimens(fd, NULL));
	E(futimens(fd, wrong));
	E(futimens(fd, omit));
	E(futimes(fd, tv));
	E(futimes(fd, wrong_tv));
	E(futimesat(fd, NULL, tv));
	E(utimensat(fd, "", t, 0));
	E(utimensat(fd, "", t, AT_EMPTY_PATH));
	E(syscall(SYS_utimensat, fd, NULL, t, AT_SYMLINK_NOFOLLOW));
	E(syscall(SYS_utimensat, fd, NULL, t, AT_EMPTY_PATH));
	E(fsetxattr(fd, "user.x", "v", 1, 0));
	E(fsetxattr(fd, "user.x", "v", 1, XATTR_REPLACE));
	E(fsetxattr(fd, "user.x", "v", 1, 4));
	E(fsetxattr(fd, "user.x", big, 65537, 0));
	E(fsetxattr(fd, "user.", "v", 1, 0));
	E(fsetxattr(fd, "none.such", "v", 1, 0));
	E(fgetxattr(fd, "user.x", buf, 1));
	E(fgetxattr(fd, "", buf, 1));
	E(flistxattr(fd, nothing, 0));
	E(fremovexattr(fd, "user.x"));
	E(syscall(SYS_getdents64, fd, buf, 20));
	E(syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0);
	E(readlinkat(fd, "", buf, sizeof(buf)));
	E(readlinkat(fd, "", buf, 0));
	E(faccessat(fd, "", R_OK, AT_EMPTY_PATH));
	E(faccessat(fd, "", R_OK, 0));
	E(faccessat(fd, ".", X_OK, AT_EACCESS));
}

static void names(enum kind k)
{
	E(mkdirat(fd, "x", 0755));
	E(mkdirat(fd, "", 0755));
	E(mkdirat(fd, ".", 0755));
	E(mknodat(fd, "x", S_IFREG | 0644, 0));
	E(mknodat(fd, "x", S_IFIFO | 0644, 0));
	E(mknodat(fd, "x", S_IFDIR | 0644, 0));
	E(unlinkat(fd, "x", 0));
	E(unlinkat(fd, "", 0));
	E(unlinkat(fd, ".", AT_REMOVEDIR));
	E(unlinkat(fd, "x", 1));
	E(symlinkat("t", fd, "x"));
	E(symlinkat("t", fd, ""));
	E(linkat(fd, "", AT_FDCWD, "y", AT_EMPTY_PATH));
	E(linkat(fd, "", AT_FDCWD, "y", 0));
	E(linkat(AT_FDCWD, P("f"), fd, "x", 0));
	E(linkat(AT_FDCWD, P("f"), fd, "x", 1));
	E(linkat(AT_FDCWD, P("d"), fd, "x", 0));
	E(renameat2(AT_FDCWD, P("nosuch"), fd, "x", 0));
	E(renameat2(AT_FDCWD, P("f"), fd, "x", 99));
	E(renameat2(AT_FDCWD, P("f"), fd, ".", 0));
	E(renameat2(AT_FDCWD, P("f"), fd, "x", RENAME_EXCHANGE));
	FD(openat(fd, "x", O_RDONLY));
	FD(openat(fd, "", O_RDONLY));
	FD(openat(fd, ".", O_RDONLY));
	FD(openat(fd, ".", O_RDWR));
	FD(openat(fd, ".", O_TMPFILE | O_RDWR, 0600));
	FD(openat(fd, ".", O_PATH | O_CREAT, 0600));
	FD(openat(fd, ".", 0x7fffffff, 0600));
	FD(openat(fd, "x", O_CREAT | O_DIRECTORY | O_RDWR, 0600));
	FD(openat(fd, "x", O_CREAT | O_EXCL | O_RDWR, 0600));
	FD(openat(fd, "x/", O_CREAT | O_RDWR, 0600));
	FD(openat(fd, "..", O_PATH));
	FD(openat(fd, P("l"), O_RDONLY | O_NOFOLLOW));
	E(fchdir(fd));
	MUST(chdir(P("d")) == 0);
}

/* F_SETFL, and what has come of it. */
static int set_flags(int fd, int flags)
{
	return fcntl(fd, F_SETFL, flags) ? -1 : fcntl(fd, F_GETFL);
}

static int lock(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_start = start, .l_len = len };

	return fcntl(fd, cmd, &l);
}

static void control(enum kind k)
{
	uint64_t hint = RWH_WRITE_LIFE_SHORT, wrong = 77;
	int n = 0;

	E(fcntl(fd, F_GETFD));
	E(fcntl(fd, F_SETFD, -1));
	E(fcntl(fd, F_GETFL));
	E(set_flags(fd, 0));
	E(set_flags(fd, O_APPEND | O_NONBLOCK | O_RDWR | O_CREAT | O_TRUNC));
	E(set_flags(fd, O_NOATIME));
	FD(fcntl(fd, F_DUPFD, 0));
	FD(fcntl(fd, F_DUPFD, -1));
	FD(fcntl(fd, F_DUPFD_CLOEXEC, 300));
	FD(dup(fd));
	FD(dup2(fd, 300));
	FD(dup2(fd, -1));
	FD(dup3(fd, 300, O_CLOEXEC));
	FD(dup3(fd, 300, O_NONBLOCK));
	E(flock(fd, LOCK_SH));
	E(flock(fd, LOCK_EX | LOCK_NB));
	E(flock(fd, LOCK_UN));
	E(flock(fd, 0));
	E(fcntl(fd, F_SET_RW_HINT, &hint));
	E(fcntl(fd, F_GET_RW_HINT, &hint));
	E(fcntl(fd, F_SET_RW_HINT, &wrong));
	E(fcntl(fd, F_GETPIPE_SZ));
	E(fcntl(fd, F_GET_SEALS));
	E(ioctl(fd, FIONREAD, &n));
	E(ioctl(fd, FIONBIO, &(int){ 1 }));
	E(ioctl(fd, FIGETBSZ, &n));
	E(ioctl(fd, TIOCOUTQ, &n));
	E(close_range(fd, fd, 8));
}

/* There are none, but they can be turned off. */
static void signals(enum kind k)
{
	E(fcntl(fd, F_SETOWN, 0));
	E(fcntl(fd, F_GETOWN));
	E(ioctl(fd, FIOASYNC, &(int){ 0 }));
}

/* A lock on what is neither a file nor a directory locks nothing that could be asked for. */
static void locks(enum kind k)
{
	E(lock(fd, F_SETLK, F_RDLCK, 0, 0));
	E(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	E(lock(fd, F_SETLKW, F_UNLCK, 0, 0));
	E(lock(fd, F_GETLK, F_WRLCK, 0, 0));
	E(lock(fd, F_GETLK, F_UNLCK, 0, 0));
	E(lock(fd, F_GETLK, 3, 0, 0));
	E(lock(fd, F_SETLK, F_RDLCK, 10, -5));
	E(lock(fd, F_OFD_SETLK, F_RDLCK, 0, 0));
	E(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 0));
	E(lock(fd, F_OFD_GETLK, F_WRLCK, 0, 0));
}

static int map(int fd, int prot, int flags, size_t len, off_t off)
{
	char *p = mmap(NULL, len, prot, flags, fd, off);

	if (p == MAP_FAILED)
		return -1;
	munmap(p, len);
	return 0;
}

static void maps(enum kind k)
{
	E(map(fd, PROT_READ, MAP_PRIVATE, 4096, 0));
	E(map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE, 4096, 0));
	E(map(fd, PROT_READ, MAP_PRIVATE, 4096, 1));
	E(map(fd, PROT_READ, MAP_PRIVATE, 4096, 4096));
	E(map(fd, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, 4096, 0));
}

int main(void)
{
	t_start();
	signal(SIGPIPE, SIG_IGN);
	kinds_tree();
	for (enum kind k = 0; k < KINDS; k++) {
		data(k);
		space(k);
		attributes(k);
		names(k);
		control(k);
		if (k != PATH && k != DIRPATH && k != LINKPATH)
			signals(k);
		if (k < FIFO || k == LOCAL_FILE)
			locks(k);
		if (k < DIRPATH || k == LOCAL_FILE)
			maps(k);
	}
	MUST(chdir("/") == 0);
	return t_end();
}
