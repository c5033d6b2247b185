/* SPDX-License-Identifier: MIT */
/*
 * Data from descriptor to descriptor. Both in one domain: its kernel does it. Otherwise, and where
 * the kernel would need both ends, it is a loop through a buffer of the caller's stack, with the
 * offsets and short results of the call it stands for.
 */
#define _GNU_SOURCE
#include "preload/calls/rw.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define STEP (32u << 10)

/* One end of a copy: where it is, and whether it has an offset of its own. */
struct end {
	long fd;
	uint64_t word;
	int64_t *off; /* NULL: the descriptor's own position */
};

static long move(const struct end *e, void *buf, size_t n, bool out)
{
	const struct iovec iov = { buf, n };
	long nr;

	if (e->word)
		return vos_transfer(e->word, &iov, 1, e->off ? *e->off : -1, 0, out,
				    vos_transfer_waits(e->fd, e->word, out));
	if (e->off)
		nr = out ? SYS_pwrite64 : SYS_pread64;
	else
		nr = out ? SYS_write : SYS_read;
	return vos_raw4(nr, e->fd, (long)buf, (long)n, e->off ? *e->off : 0);
}

static void advance(const struct end *e, long n)
{
	if (e->off)
		*e->off += n;
}

/* What was read and could not be written goes back, if it can. */
static void unread(const struct end *e, long n)
{
	if (n <= 0 || e->off)
		return;
	if (e->word)
		vos_forward_fd(VOS_OP_lseek, e->word, (const long[6]){ e->fd, -n, SEEK_CUR });
	else
		vos_raw3(SYS_lseek, e->fd, -n, SEEK_CUR);
}

static long copy_loop(const struct end *in, const struct end *out, size_t len)
{
	char buf[STEP];
	size_t done = 0;

	while (done < len) {
		size_t want = len - done < sizeof(buf) ? len - done : sizeof(buf);
		long n = move(in, buf, want, false), w = 0;

		if (n <= 0)
			return done ? (long)done : n;
		while (w < n) {
			long r = move(out, buf + w, (size_t)(n - w), true);

			if (r < 0) {
				unread(in, n - w);
				advance(in, w);
				return done + (size_t)w ? (long)done + w : r;
			}
			w += r;
			advance(out, r);
		}
		advance(in, n);
		done += (size_t)n;
		if ((size_t)n < want)
			break;
	}
	return (long)done;
}

static bool same_domain(uint64_t a, uint64_t b)
{
	return a && b && VOS_WORD_DOMAIN(a) == VOS_WORD_DOMAIN(b) && vos_current(a) &&
	       vos_current(b);
}

/* Before anything is taken from a pipe that could not be put anywhere. */
static bool writable(long fd, uint64_t w)
{
	long flags = w ? vos_forward_fd(VOS_OP_fcntl, w, (const long[6]){ fd, F_GETFL })
		       : vos_raw2(SYS_fcntl, fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

/* What cannot be written in full has to go back to where it was read. */
static bool seekable(long fd, uint64_t w)
{
	return (w ? vos_forward_fd(VOS_OP_lseek, w, (const long[6]){ fd, 0, SEEK_CUR })
		  : vos_raw3(SYS_lseek, fd, 0, SEEK_CUR)) >= 0;
}

static bool bad(uint64_t w)
{
	return VOS_WORD_KIND(w) == VOS_FD_OURS;
}

/* --- sendfile ------------------------------------------------------------------------------- */

static long sendfile_inside(uint64_t out, uint64_t in, int64_t *off, size_t len)
{
	size_t done = 0;
	long r = 0;

	while (done < len) {
		r = vos_forward(VOS_OP_sendfile, VOS_WORD_DOMAIN(out),
				(const uint64_t[6]){ out, in, off ? (uint64_t)*off : (uint64_t)-1,
						     len - done },
				NULL);
		if (r <= 0)
			break;
		done += (size_t)r;
		if (off)
			*off += r;
	}
	if (r == -EPIPE && !done)
		vos_sigpipe();
	if (r == -ENOLINK)
		r = vos_dead(out, true);
	return done ? (long)done : r;
}

long vos_sys_sendfile(long out, long in, long off, long len, long a4, long a5)
{
	uint64_t wo = vos_fd(out), wi = vos_fd(in);
	struct end i = { in, wi, (int64_t *)off }, o = { out, wo, NULL };

	(void)a4, (void)a5;
	if (likely(!wo && !wi))
		return vos_raw4(SYS_sendfile, out, in, off, len);
	if (bad(wo) || bad(wi))
		return -EBADF;
	if (wi && VOS_WORD_KIND(wi) != VOS_FD_FILE)
		return -EINVAL;
	if (off && *(int64_t *)off < 0)
		return -EINVAL;
	if (same_domain(wo, wi))
		return sendfile_inside(wo, wi, (int64_t *)off, (size_t)len);
	if (!writable(out, wo))
		return -EBADF;
	if (!seekable(in, wi))
		return -EINVAL; /* callers fall back to read and write */
	return copy_loop(&i, &o, (size_t)len);
}

/* --- copy_file_range ------------------------------------------------------------------------ */

static bool is_file(long fd, uint64_t w, long *err)
{
	struct stat st;

	*err = w ? vos_forward_fd(VOS_OP_fstat, w, (const long[6]){ fd, (long)&st })
		 : vos_raw2(SYS_fstat, fd, (long)&st);
	if (*err)
		return false;
	*err = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	return S_ISREG(st.st_mode);
}

long vos_sys_copy_file_range(long in, long off_in, long out, long off_out, long len, long flags)
{
	uint64_t wi = vos_fd(in), wo = vos_fd(out);
	int64_t *oi = (int64_t *)off_in, *oo = (int64_t *)off_out;
	long r;

	if (likely(!wi && !wo))
		return vos_raw6(SYS_copy_file_range, in, off_in, out, off_out, len, flags);
	if (bad(wi) || bad(wo))
		return -EBADF;
	if (flags)
		return -EINVAL;
	if (!is_file(in, wi, &r) || !is_file(out, wo, &r))
		return r;
	if (!same_domain(wi, wo)) /* as between file systems: callers fall back to read and write */
		return -EXDEV;
	r = vos_forward(VOS_OP_copy, VOS_WORD_DOMAIN(wi),
			(const uint64_t[6]){ wi, oi ? (uint64_t)*oi : (uint64_t)-1, wo,
					     oo ? (uint64_t)*oo : (uint64_t)-1, (uint64_t)len, 0 },
			NULL);
	if (r > 0 && oi)
		*oi += r;
	if (r > 0 && oo)
		*oo += r;
	return r == -ENOLINK ? -EIO : r;
}

/* --- splice: one end is a pipe, and pipes are local ----------------------------------------- */

/*
 * Neither a pipe nor a socket takes back what was read from it. So what comes out of a pipe is
 * looked at first and taken when it was sent, and what goes into one is read when there is room.
 */
static bool is_pipe(long fd)
{
	struct stat st;

	return !vos_fd(fd) && !vos_raw2(SYS_fstat, fd, (long)&st) && S_ISFIFO(st.st_mode);
}

static bool pipe_waits(long fd, long flags)
{
	return !(flags & SPLICE_F_NONBLOCK) && !(vos_raw2(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK);
}

/* Wait as the kernel's call would: handlers with SA_RESTART do not end it. */
static long await(struct pollfd *p)
{
	const long a[6] = { (long)p, 1, 0, 0, 8 };
	struct vos_waits w = vos_waits(VOS_WAIT_RESTART);
	long r;

	do
		r = vos_sleep_call(w, SYS_ppoll, a);
	while (r == -EINTR && vos_handled.hard == w.since.hard);
	return r;
}

/* What is in the pipe, without taking it; -EAGAIN: nothing. Never sleeps with the copy open. */
static long look(long fd, char *buf, size_t len)
{
	int p[2];
	long r;

	if (vos_raw2(SYS_pipe2, (long)p, O_CLOEXEC))
		return -ENOMEM;
	r = vos_raw4(SYS_tee, fd, p[1], (long)len, SPLICE_F_NONBLOCK);
	if (r > 0)
		r = vos_raw3(SYS_read, p[0], (long)buf, r);
	vos_raw1(SYS_close, p[0]);
	vos_raw1(SYS_close, p[1]);
	return r;
}

static long splice_from_pipe(const struct end *in, const struct end *out, size_t len, long flags)
{
	struct pollfd p = { (int)in->fd, POLLIN, 0 };
	char buf[STEP];
	long n, w, left;

	while ((n = look(in->fd, buf, len)) == -EAGAIN && pipe_waits(in->fd, flags)) {
		n = await(&p);
		if (n < 0)
			break;
	}
	if (n <= 0)
		return n;
	w = move(out, buf, (size_t)n, true);
	for (left = w; left > 0; left -= n) {
		n = vos_raw3(SYS_read, in->fd, (long)buf, left);
		if (n <= 0)
			break;
	}
	if (w > 0)
		advance(out, w);
	return w;
}

/* How much the pipe takes without waiting. */
static long room(long fd, long flags)
{
	struct pollfd p = { (int)fd, POLLOUT, 0 };
	const struct timespec now = { 0 };
	int queued = 0;
	long r = vos_raw5(SYS_ppoll, (long)&p, 1, (long)&now, 0, 0);

	if (!r)
		r = pipe_waits(fd, flags) ? await(&p) : -EAGAIN;
	if (r < 0)
		return r;
	if (p.revents & POLLERR) {
		vos_sigpipe();
		return -EPIPE;
	}
	vos_raw3(SYS_ioctl, fd, FIONREAD, (long)&queued);
	/* One buffer at least; how many are free in a pipe that is not empty nobody tells. */
	return queued ? PIPE_BUF : vos_raw2(SYS_fcntl, fd, F_GETPIPE_SZ);
}

static long splice_to_pipe(const struct end *in, const struct end *out, size_t len, long flags)
{
	struct pollfd p = { (int)out->fd, POLLOUT, 0 };
	long fits = room(out->fd, flags), n, r, w = 0;
	char buf[STEP];

	if (fits <= 0)
		return fits;
	n = move(in, buf, len < (size_t)fits ? len : (size_t)fits, false);
	if (n <= 0)
		return n;
	while (w < n) {
		r = move(out, buf + w, (size_t)(n - w), true);
		if (r >= 0)
			w += r;
		else if (r == -EAGAIN ||
			 r == -EINTR) /* another writer had the room: late, not lost */
			await(&p);
		else
			break;
	}
	unread(in, n - w);
	advance(in, w);
	return w ? w : r;
}

long vos_sys_splice(long in, long off_in, long out, long off_out, long len, long flags)
{
	uint64_t wi = vos_fd(in), wo = vos_fd(out);
	struct end i = { in, wi, (int64_t *)off_in }, o = { out, wo, (int64_t *)off_out };

	if (likely(!wi && !wo))
		return vos_local(SYS_splice, in, off_in, out, off_out, len, flags);
	if (bad(wi) || bad(wo))
		return -EBADF;
	if ((!wi && vos_raw2(SYS_fcntl, in, F_GETFD) < 0) ||
	    (!wo && vos_raw2(SYS_fcntl, out, F_GETFD) < 0))
		return -EBADF;
	if (!is_pipe(in) && !is_pipe(out))
		return -EINVAL;
	if ((is_pipe(in) && off_in) || (is_pipe(out) && off_out))
		return -ESPIPE;
	if (!writable(out, wo))
		return -EBADF;
	if (!len)
		return 0;
	if ((size_t)len > STEP)
		len = STEP;
	return wi ? splice_to_pipe(&i, &o, (size_t)len, flags)
		  : splice_from_pipe(&i, &o, (size_t)len, flags);
}

long vos_sys_tee(long in, long out, long len, long flags, long a4, long a5)
{
	(void)a4, (void)a5;
	if (unlikely(vos_fd(in) || vos_fd(out)))
		return -EINVAL; /* both ends must be pipes */
	return vos_local(SYS_tee, in, out, len, flags, 0, 0);
}
