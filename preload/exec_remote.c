/* SPDX-License-Identifier: MIT */
/*
 * Programs on a remote path. The kernel can only execute what it can read itself, so the file is
 * copied into a memfd, and that is executed. For a script only its first line is needed: the
 * interpreter, a program like this one, opens the script by its path.
 *
 * What the copy loses: set-user-ID bits and file capabilities; /proc/self/exe and $ORIGIN name the
 * memfd; a file that may be executed but not read cannot be copied.
 */
#define _GNU_SOURCE
#include "preload/process.h"
#include "ring/fsize.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIZE_MAX_COPIED (256l << 20)

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

#define BLANKS " \t"

/* --- opening -------------------------------------------------------------------------------- */

static long check_file(long fd, struct stat *st)
{
	long r = vos_sys_fstat(fd, (long)st, 0, 0, 0, 0);

	if (r)
		return r;
	if (!S_ISREG(st->st_mode) || !(st->st_mode & 0111))
		return -EACCES;
	return (uint64_t)st->st_size > SIZE_MAX_COPIED ? -EFBIG : 0;
}

static long open_file(long dirfd, const char *path, long flags)
{
	long nofollow = flags & AT_SYMLINK_NOFOLLOW;
	long r = vos_sys_faccessat2(dirfd, (long)path, X_OK, AT_EACCESS | nofollow, 0, 0);

	if (r)
		return r;
	/* Non-blocking: it may be a FIFO, which check_file() refuses. */
	return vos_sys_openat(dirfd, (long)path,
			      O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
				      (nofollow ? O_NOFOLLOW : 0),
			      0, 0, 0);
}

static long read_at(long fd, void *to, size_t n, size_t at)
{
	size_t done = 0;

	while (done < n) {
		long r = vos_sys_pread64(fd, (long)((char *)to + done), (long)(n - done),
					 (long)(at + done), 0, 0);

		if (r == -EINTR)
			continue;
		if (r < 0)
			return r;
		if (r == 0)
			break;
		done += (size_t)r;
	}
	return (long)done;
}

/* --- scripts -------------------------------------------------------------------------------- */

/* Take the line in im->line apart, as the kernel would. */
static long parse_line(struct vos_image *im, size_t n, const char *path)
{
	char *p = im->line + 2, *end = memchr(im->line, '\n', n);

	if (!end && n == sizeof(im->line) - 1 && !strpbrk(p + strspn(p, BLANKS), BLANKS))
		return -ENOEXEC; /* the interpreter's name may have been cut */
	if (!end)
		end = im->line + n;
	while (end > p && strchr(BLANKS, end[-1]))
		end--;
	*end = 0;
	p += strspn(p, BLANKS);
	if (!*p)
		return -ENOEXEC;
	im->arg[0] = p;
	p += strcspn(p, BLANKS);
	if (*p) {
		*p++ = 0;
		im->arg[1] = p + strspn(p, BLANKS);
	}
	im->arg[im->arg[1] ? 2 : 1] = path;
	return 0;
}

/* --- copying -------------------------------------------------------------------------------- */

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* By its name the next image knows which program it is (init.c). */
static int make_memfd(const char *path, unsigned flags)
{
	char name[NAME_MAX - 5] = "program"; /* all that the kernel takes */
	size_t n = strnlen(base_of(path), sizeof(name) - 1);
	long fd;

	if (n) {
		memcpy(name, base_of(path), n);
		name[n] = 0;
	}
	/* Where the administrator made memfds without that flag not executable. */
	fd = vos_raw2(SYS_memfd_create, name, flags | MFD_EXEC);
	if (fd == -EINVAL)
		fd = vos_raw2(SYS_memfd_create, name, flags);
	return (int)fd;
}

static long copy(int memfd, long fd, size_t size)
{
	struct vos_fsize room;
	long p, r;

	r = vos_fsize_begin(&room, size);
	if (r)
		return r;
	r = vos_raw2(SYS_ftruncate, memfd, size);
	vos_fsize_end(&room);
	if (r || !size)
		return r;
	p = vos_raw6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (p < 0 && p > -4096)
		return p;
	r = read_at(fd, (void *)p, size, 0);
	vos_raw2(SYS_munmap, p, size);
	if (r >= 0 && (size_t)r != size)
		return -EIO; /* it shrank under our hands */
	return r < 0 ? r : 0;
}

static long load(struct vos_image *im, long fd, long dirfd, const char *path)
{
	bool by_path = *path == '/' || (*path && (int)dirfd == AT_FDCWD), script;
	struct stat st;
	long r = check_file(fd, &st);

	if (r)
		return r;
	r = read_at(fd, im->line, sizeof(im->line) - 1, 0);
	if (r < 0)
		return r;
	im->line[r] = 0;
	script = r > 2 && im->line[0] == '#' && im->line[1] == '!';
	if (script && by_path)
		return parse_line(im, (size_t)r, path);
	/* The interpreter of a script without a path gets /dev/fd/N: that must be open there. */
	im->memfd = make_memfd(path, script ? 0 : MFD_CLOEXEC);
	if (im->memfd < 0)
		return im->memfd;
	r = copy(im->memfd, fd, (size_t)st.st_size);
	if (r)
		vos_raw1(SYS_close, im->memfd);
	return r;
}

long vos_image_load(struct vos_image *im, long dirfd, const char *path, long flags)
{
	long fd, r;

	*im = (struct vos_image){ .memfd = -1 };
	if (!*path)
		return load(im, dirfd, dirfd, path);
	fd = open_file(dirfd, path, flags);
	if (fd < 0)
		return fd;
	r = load(im, fd, dirfd, path);
	vos_sys_close(fd, 0, 0, 0, 0, 0);
	return r;
}
