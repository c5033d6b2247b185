/* SPDX-License-Identifier: MIT */
/* Calls on files and paths. */
#define _GNU_SOURCE
#include "test/fuzz/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FDS (1 << 20)

static int open_remote(int flags)
{
	return (int)answer("open", open(remote_path(), flags, 0600), FDS);
}

/* --- files ------------------------------------------------------------------------------------ */

static void read_some(void)
{
	size_t n = below(3) ? below(100) : below(20000);
	int fd = open_remote(O_RDONLY);
	char *p = exactly(n);

	answer("read", read(fd, p, n), (long)n);
	answer("pread", pread(fd, p, n, 10), (long)n);
	answer("lseek", lseek(fd, 0, SEEK_CUR), LONG_MAX);
	free(p);
	done_with(fd);
}

static void read_vectors(void)
{
	size_t n[3] = { below(60), below(3000), below(60) };
	struct iovec iov[3];
	int fd = open_remote(O_RDONLY);

	for (int i = 0; i < 3; i++)
		iov[i] = (struct iovec){ exactly(n[i]), n[i] };
	answer("readv", readv(fd, iov, 3), (long)(n[0] + n[1] + n[2]));
	answer("preadv", preadv(fd, iov, 2, 0), (long)(n[0] + n[1]));
	for (int i = 0; i < 3; i++)
		free(iov[i].iov_base);
	done_with(fd);
}

static void write_some(void)
{
	size_t n = below(3) ? below(100) : below(20000);
	int fd = open_remote(O_RDWR | O_CREAT);
	char *p = exactly(n);

	answer("write", write(fd, p, n), (long)n);
	answer("pwrite", pwrite(fd, p, n, 5), (long)n);
	answer("ftruncate", ftruncate(fd, 100), 0);
	answer("fsync", fsync(fd), 0);
	answer("fallocate", fallocate(fd, 0, 0, 4096), 0);
	posix_fallocate(fd, 0, 4096);
	free(p);
	done_with(fd);
}

static void map_privately(void)
{
	size_t n = 1 + below(10000);
	int fd = open_remote(O_RDWR);
	volatile char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	answer("mmap", p == MAP_FAILED ? -1 : 0, 0);
	if (p != MAP_FAILED) {
		p[0] = p[n - 1];
		munmap((void *)p, n);
	}
	done_with(fd);
}

static void stream_of_it(void)
{
	FILE *f = fopen(remote_path(), "r+");
	char line[100];

	answer("fopen", f ? 0 : -1, 0);
	if (!f)
		return;
	for (int i = 0; i < 10 && fgets(line, sizeof(line), f); i++)
		if (strlen(line) >= sizeof(line))
			breach("fgets", "too long");
	fprintf(f, "%s", "text");
	fclose(f);
}

static void about_descriptors(void)
{
	int fd = open_remote(O_RDWR), other = dup(fd), n;
	struct flock fl = { .l_type = F_WRLCK, .l_len = 10 };
	struct stat st;
	long attributes;

	answer("dup", other, FDS);
	answer("fstat", fstat(fd, &st), 0);
	answer("F_GETFL", fcntl(fd, F_GETFL), INT_MAX);
	answer("F_SETFL", fcntl(fd, F_SETFL, O_NONBLOCK), INT_MAX);
	answer("F_GETLK", fcntl(fd, F_GETLK, &fl), 0);
	answer("flock", flock(fd, LOCK_SH | LOCK_NB), 0);
	answer("FIONREAD", ioctl(fd, FIONREAD, &n), 0);
	answer("FS_IOC_GETFLAGS", ioctl(fd, _IOR('f', 1, long), &attributes), 0);
	n = (int)answer("F_DUPFD", fcntl(fd, F_DUPFD, 100), FDS);
	done_with(n);
	done_with(other);
	done_with(fd);
}

static void copy_files(void)
{
	int in = open_remote(O_RDONLY), out = open_remote(O_RDWR), pipes[2];
	off_t at = 3;

	answer("sendfile", sendfile(out, in, &at, 1000), 1000);
	if (at < 3 || at > 1003)
		breach("sendfile", "its offset is not within what was asked for");
	answer("copy_file_range", copy_file_range(in, NULL, out, NULL, 500, 0), 500);
	if (!pipe(pipes)) {
		answer("splice", splice(in, NULL, pipes[1], NULL, 1000, 0), 1000);
		done_with(pipes[0]);
		done_with(pipes[1]);
	}
	done_with(in);
	done_with(out);
}

attempt_fn *const file_attempts[] = { read_some,    read_vectors,      write_some, map_privately,
				      stream_of_it, about_descriptors, copy_files, NULL };

/* --- paths ------------------------------------------------------------------------------------ */

/* As far as a program would: it stops when it has seen enough. */
static void walk_directory(void)
{
	DIR *dir = opendir(remote_path());
	struct dirent *d;

	answer("opendir", dir ? 0 : -1, 0);
	for (int i = 0; dir && i < 2000 && (d = readdir(dir)); i++)
		if (strlen(d->d_name) >= sizeof(d->d_name))
			breach("readdir", "a name that does not end");
	if (dir)
		closedir(dir);
}

static void read_link(void)
{
	size_t n = 1 + below(200);
	char *p = exactly(n);
	long r = answer("readlink", readlink(remote_path(), p, n), (long)n);

	if (r >= 0 && (size_t)r < n)
		p[r] = 0;
	free(p);
}

static void list_attributes(void)
{
	size_t n = below(4) ? 1 + below(300) : 0;
	char *list = n ? exactly(n) : NULL, value[64];
	long r = answer("listxattr", listxattr(remote_path(), list, n), n ? (long)n : 1 << 20);

	for (char *p = list; list && p < list + r; p += strlen(p) + 1)
		answer("getxattr", getxattr(remote_path(), p, value, sizeof(value)), 64);
	free(list);
}

static void about_paths(void)
{
	struct statvfs vfs;
	struct stat st;
	struct statx stx;

	answer("stat", stat(remote_path(), &st), 0);
	answer("lstat", lstat(remote_path(), &st), 0);
	answer("statx", statx(AT_FDCWD, remote_path(), 0, STATX_ALL, &stx), 0);
	answer("statvfs", statvfs(remote_path(), &vfs), 0);
	answer("access", access(remote_path(), R_OK), 0);
}

static void change_paths(void)
{
	answer("rename", rename(remote_path(), remote_path()), 0);
	answer("link", link(remote_path(), remote_path()), 0);
	answer("symlink", symlink("target", remote_path()), 0);
	answer("mkdir", mkdir(remote_path(), 0700), 0);
	answer("unlink", unlink(remote_path()), 0);
	answer("chmod", chmod(remote_path(), 0600), 0);
	answer("truncate", truncate(remote_path(), 10), 0);
	answer("utimensat", utimensat(AT_FDCWD, remote_path(), NULL, 0), 0);
}

static void working_directory(void)
{
	size_t n = 1 + below(200);
	char *p = exactly(n);
	struct stat st;

	answer("chdir", chdir(remote_path()), 0);
	if (getcwd(p, n) && strnlen(p, n) == n)
		breach("getcwd", "does not end");
	answer("stat", stat("relative", &st), 0);
	answer("readlink", readlink("/proc/self/cwd", p, n), (long)n);
	answer("chdir back", chdir("/"), 0);
	free(p);
}

static void names(void)
{
	struct utsname u;
	char name[20];

	if (answer("uname", uname(&u), 0))
		return;
	if (strlen(u.nodename) >= sizeof(u.nodename) ||
	    strlen(u.domainname) >= sizeof(u.domainname))
		breach("uname", "a name that does not end");
	answer("gethostname", gethostname(name, sizeof(name)), 0);
}

attempt_fn *const path_attempts[] = { walk_directory, read_link,    list_attributes,
				      about_paths,    change_paths, working_directory,
				      names,	      NULL };
