/* SPDX-License-Identifier: MIT */
/*
 * mmap of a remote file. A private mapping is a copy: anonymous memory filled with the file's
 * bytes, which is what a private mapping may look like (changes to the file after mmap need not
 * show); but pages behind the file's end are there, too, as zeros. A shared read-only one would have
 * to show them, and a writable one to write them: ENODEV, as from a file system that cannot map.
 */
#define _GNU_SOURCE
#include "preload/calls/rw.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MAP_LIMIT (4ul << 30) /* bytes copied at most */

static long fill(uint64_t w, char *p, size_t len, int64_t off)
{
	size_t done = 0;

	while (done < len) {
		struct iovec iov = { p + done, len - done };
		long r = vos_transfer(w, &iov, 1, off + (int64_t)done, 0, false,
				      vos_waits(VOS_WAIT_ALWAYS));

		if (r < 0)
			return r;
		if (r == 0)
			break; /* beyond the end: zeros */
		done += (size_t)r;
	}
	return 0;
}

static long check(uint64_t w, long fd, long flags, size_t len)
{
	struct stat st;
	long r = vos_forward_fd(VOS_OP_fstat, w, (const long[6]){ fd, (long)&st });

	if (r)
		return r;
	if (!S_ISREG(st.st_mode))
		return -ENODEV;
	if ((flags & MAP_TYPE) != MAP_PRIVATE && (flags & MAP_TYPE) != MAP_SHARED &&
	    (flags & MAP_TYPE) != MAP_SHARED_VALIDATE)
		return -EINVAL;
	r = vos_forward_fd(VOS_OP_fcntl, w, (const long[6]){ fd, F_GETFL });
	if (r >= 0 && (r & O_ACCMODE) == O_WRONLY)
		return -EACCES;
	if ((flags & MAP_TYPE) != MAP_PRIVATE)
		return -ENODEV;
	if (len > MAP_LIMIT)
		return -ENOMEM;
	return 0;
}

long vos_sys_mmap(long addr, long len, long prot, long flags, long fd, long off)
{
	uint64_t w = flags & MAP_ANONYMOUS ? 0 : vos_fd(fd);
	long p, r;

	if (likely(!w) || VOS_WORD_KIND(w) == VOS_FD_EPOLL)
		return vos_raw6(SYS_mmap, addr, len, prot, flags, fd, off);
	if (VOS_WORD_KIND(w) == VOS_FD_OURS)
		return -EBADF;
	if (off & 4095 || !len)
		return -EINVAL;
	r = check(w, fd, flags, (size_t)len);
	if (r)
		return r;
	p = vos_raw6(SYS_mmap, addr, len, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
	if (p < 0 && p > -4096)
		return p;
	r = fill(w, (char *)p, (size_t)len, off);
	if (!r && prot != (PROT_READ | PROT_WRITE))
		r = vos_raw3(SYS_mprotect, p, len, prot);
	if (!r)
		return p;
	vos_raw2(SYS_munmap, p, len);
	return r;
}
