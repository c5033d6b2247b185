/* SPDX-License-Identifier: MIT */
/*
 * read and write in all their forms. Vectors are flattened; what does not fit one request goes in
 * several, which end at the first short one, as the kernel's would.
 */
#define _GNU_SOURCE
#include "preload/calls/rw.h"
#include "preload/calls/cursor.h"
#include "preload/calls/socket.h"

#include <limits.h>
#include <string.h>
#include <sys/syscall.h>

/* One request of at most VOS_IO_MAX bytes. *@asked: how many it was for. */
static long piece(uint64_t word, struct cursor *v, size_t len, int64_t off, int64_t flags, bool out,
		  struct vos_waits how, size_t *asked)
{
	struct vos_req q;
	size_t all = len, min = 1;
	long r = vos_req_begin_about(&q, word, out ? VOS_OP_write : VOS_OP_read);

	if (unlikely(r))
		return r;
	if (off < 0) /* the position moves once for each request, and others see where it is */
		min |= VOS_WHOLE;
	r = out ? vos_req_out(&q, len, min) : vos_req_room(&q, 1, &len, min);
	if (unlikely(r))
		goto end;
	if (out) {
		if (len > q.out.size)
			len = q.out.size;
		q.e->arg[1] = VOS_REF(q.out.off, len);
	}
	*asked = len;
	q.e->arg[0] = VOS_WORD_HANDLE(word);
	q.e->arg[2] = len;
	q.e->arg[3] = (uint64_t)off;
	q.e->arg[4] = (uint64_t)flags;
	q.e->arg[5] = all - len;
	if (out)
		gather(v, vos_req_out_ptr(&q), len);
	r = vos_req_run_as(&q, how);
	if (unlikely(r > (long)len))
		r = vos_req_breach(&q);
	else if (!out && r > 0)
		scatter(v, vos_req_came(&q), (size_t)r);
end:
	vos_req_end(&q);
	return r;
}

struct vos_waits vos_transfer_waits(long fd, uint64_t word, bool out)
{
	return VOS_WORD_KIND(word) == VOS_FD_SOCKET ? vos_wait_of(fd, out)
						    : vos_waits(VOS_WAIT_RESTART);
}

/*
 * Lengths below 0 count first, then what lies where nothing is; but of a single part only as much is
 * looked at as can be moved at all.
 */
long vos_iov_total(const struct iovec *iov, size_t n, size_t *total)
{
	bool beyond = false;

	*total = 0;
	for (size_t i = 0; i < n; i++) {
		size_t len = iov[i].iov_len, room = VOS_RW_MAX - *total;

		if (unlikely((ssize_t)len < 0))
			return -EINVAL;
		beyond |= n > 1 && vos_beyond(iov[i].iov_base, len);
		*total += len < room ? len : room;
	}
	return unlikely(beyond) ? -EFAULT : 0;
}

long vos_transfer(uint64_t word, const struct iovec *iov, long n, int64_t off, int flags, bool out,
		  struct vos_waits how)
{
	struct cursor v = { iov, 0 };
	size_t total = 0, done = 0;
	long r = 0;

	if (VOS_WORD_KIND(word) == VOS_FD_EPOLL)
		return off >= 0 ? -ESPIPE : -EINVAL;
	if (!vos_current(word) || VOS_WORD_KIND(word) == VOS_FD_OURS)
		return vos_dead(word, true);
	if (VOS_WORD_KIND(word) == VOS_FD_SOCKET)
		return off >= 0 ? -ESPIPE : vos_transfer_socket(word, iov, n, flags, out, how);
	r = vos_iov_total(iov, (size_t)n, &total);
	if (unlikely(r))
		return r;
	do {
		size_t asked = 0;

		r = piece(word, &v, total - done, off < 0 ? off : off + (int64_t)done,
			  done && !out ? flags | VOS_RWF_MORE : flags, out, how, &asked);
		if (r <= 0)
			break;
		done += (size_t)r;
		if ((size_t)r < asked)
			break;
	} while (done < total);
	if (done)
		return (long)done;
	if (r == -ENOLINK)
		return vos_dead(word, true);
	if (r == -EPIPE && out)
		vos_sigpipe();
	return r;
}

static long one(long nr, long fd, long p, long n, long off, bool out, bool at)
{
	const struct iovec iov = { (void *)p, (size_t)n };
	uint64_t w;
	long r;

	do {
		w = vos_fd(fd);
		if (likely(!w))
			r = vos_local(nr, fd, p, n, off, 0, 0);
		else if (unlikely(at && off < 0))
			r = -EINVAL;
		else if (unlikely(vos_beyond((void *)p, (size_t)n)))
			r = -EFAULT;
		else
			r = vos_transfer(w, &iov, 1, at ? off : -1, 0, out,
					 vos_transfer_waits(fd, w, out));
	} while (unlikely(vos_fd_moved(fd, w, r)));
	return r;
}

static long vec(long nr, long fd, const long a[6], int64_t off, int flags, bool out)
{
	uint64_t w;
	long r;

	do {
		w = vos_fd(fd);
		if (likely(!w))
			r = vos_local(nr, fd, a[1], a[2], a[3], a[4], a[5]);
		else if (a[2] < 0 || a[2] > IOV_MAX)
			r = -EINVAL;
		else
			r = vos_transfer(w, (const struct iovec *)a[1], a[2], off, flags, out,
					 vos_transfer_waits(fd, w, out));
	} while (unlikely(vos_fd_moved(fd, w, r)));
	return r;
}

#define UNUSED3 (void)a3, (void)a4, (void)a5

long vos_sys_read(long fd, long p, long n, long a3, long a4, long a5)
{
	UNUSED3;
	return one(SYS_read, fd, p, n, 0, false, false);
}

long vos_sys_write(long fd, long p, long n, long a3, long a4, long a5)
{
	UNUSED3;
	return one(SYS_write, fd, p, n, 0, true, false);
}

long vos_sys_pread64(long fd, long p, long n, long off, long a4, long a5)
{
	(void)a4, (void)a5;
	return one(SYS_pread64, fd, p, n, off, false, true);
}

long vos_sys_pwrite64(long fd, long p, long n, long off, long a4, long a5)
{
	(void)a4, (void)a5;
	return one(SYS_pwrite64, fd, p, n, off, true, true);
}

#define ARGS                           \
	(const long[6])                \
	{                              \
		fd, iov, n, a3, a4, a5 \
	}

long vos_sys_readv(long fd, long iov, long n, long a3, long a4, long a5)
{
	return vec(SYS_readv, fd, ARGS, -1, 0, false);
}

long vos_sys_writev(long fd, long iov, long n, long a3, long a4, long a5)
{
	return vec(SYS_writev, fd, ARGS, -1, 0, true);
}

/* The kernel takes the offset in two halves; on 64 bits the first is all of it. */
long vos_sys_preadv(long fd, long iov, long n, long a3, long a4, long a5)
{
	if (vos_fd(fd) && a3 < 0)
		return -EINVAL;
	return vec(SYS_preadv, fd, ARGS, a3, 0, false);
}

long vos_sys_pwritev(long fd, long iov, long n, long a3, long a4, long a5)
{
	if (vos_fd(fd) && a3 < 0)
		return -EINVAL;
	return vec(SYS_pwritev, fd, ARGS, a3, 0, true);
}

long vos_sys_preadv2(long fd, long iov, long n, long a3, long a4, long a5)
{
	if (vos_fd(fd) && a3 < -1)
		return -EINVAL;
	return vec(SYS_preadv2, fd, ARGS, a3, (int)a5, false);
}

long vos_sys_pwritev2(long fd, long iov, long n, long a3, long a4, long a5)
{
	if (vos_fd(fd) && a3 < -1)
		return -EINVAL;
	return vec(SYS_pwritev2, fd, ARGS, a3, (int)a5, true);
}
