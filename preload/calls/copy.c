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

/* Is @fd open, with none of these flags? O_ACCMODE: whatever its mode is. */
static bool open_but(long fd, long without)
{
	long flags = vos_sys_fcntl(fd, F_GETFL, 0, 0, 0, 0);
	bool mode = without != O_ACCMODE && (flags & O_ACCMODE) == (without & O_ACCMODE);

	return flags >= 0 && !mode && !(flags & (O_PATH | (without & ~O_ACCMODE)));
}

/* Before anything is taken from a pipe that could not be put anywhere. */
static bool writable(long fd)
{
	return open_but(fd, O_RDONLY);
}

/* Where @in is at a position of the caller's, nothing is asked of @out before. */
static long unless_bad_in(long in, long err)
{
	return open_but(in, O_WRONLY) ? err : -EBADF;
}

/* The error @err of a call, unless the kernel would have found before that a descriptor is no good. */
static long unless_bad(long in, long out, long err)
{
	return open_but(in, O_WRONLY) && writable(out) ? err : -EBADF;
}

/* What cannot be written in full has to go back to where it was read. */
static bool seekable(long fd, uint64_t w)
{
	return (w ? vos_forward_fd(VOS_OP_lseek, w, (const long[6]){ fd, 0, SEEK_CUR })
		  : vos_raw3(SYS_lseek, fd, 0, SEEK_CUR)) >= 0;
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
	long r;

	(void)a4, (void)a5;
	if (likely(!wo && !wi))
		return vos_raw4(SYS_sendfile, out, in, off, len);
	if (len < 0 || (off && *(int64_t *)off < 0))
		return unless_bad_in(in, -EINVAL);
	if (wi && VOS_WORD_KIND(wi) != VOS_FD_FILE)
		return off ? unless_bad_in(in, -ESPIPE) : unless_bad(in, out, -EINVAL);
	if ((size_t)len > VOS_RW_MAX)
		len = VOS_RW_MAX;
	if (same_domain(wo, wi))
		return sendfile_inside(wo, wi, (int64_t *)off, (size_t)len);
	if (!seekable(in, wi)) /* callers fall back to read and write */
		return off ? unless_bad_in(in, -ESPIPE) : unless_bad(in, out, -EINVAL);
	if (!open_but(out, O_RDONLY | O_APPEND))
		return unless_bad(in, out, -EINVAL);
	r = copy_loop(&i, &o, (size_t)len);
	return r == -EISDIR ? -EINVAL : r;
}

/* --- copy_file_range ------------------------------------------------------------------------ */

/* The type of what is open, or 0. */
static mode_t type(long fd)
{
	struct stat st;

	return vos_sys_fstat(fd, (long)&st, 0, 0, 0, 0) ? 0 : st.st_mode & S_IFMT;
}

static bool negative(const int64_t *off)
{
	return off && *off < 0;
}

/* What the kernel says of a copy that is not of one domain: the first of these that is so. */
static long copy_error(long in, const int64_t *off_in, long out, const int64_t *off_out, size_t len,
		       long flags)
{
	mode_t from = type(in), to = type(out);

	if (!open_but(in, O_ACCMODE) || !open_but(out, O_ACCMODE))
		return -EBADF;
	if (flags)
		return -EINVAL;
	if (from == S_IFDIR || to == S_IFDIR)
		return -EISDIR;
	if (from != S_IFREG || to != S_IFREG)
		return -EINVAL;
	if (!open_but(in, O_WRONLY) || !open_but(out, O_RDONLY | O_APPEND))
		return -EBADF;
	if ((negative(off_in) && (uint64_t)*off_in + len < len) ||
	    (negative(off_out) && (uint64_t)*off_out + len < len))
		return -EOVERFLOW;
	/* As between file systems: callers fall back to read and write. */
	return negative(off_in) || negative(off_out) ? -EINVAL : -EXDEV;
}

long vos_sys_copy_file_range(long in, long off_in, long out, long off_out, long len, long flags)
{
	uint64_t wi = vos_fd(in), wo = vos_fd(out);
	int64_t *oi = (int64_t *)off_in, *oo = (int64_t *)off_out;
	long r;

	if (likely(!wi && !wo))
		return vos_raw6(SYS_copy_file_range, in, off_in, out, off_out, len, flags);
	/* To the service a position below 0 is the descriptor's own. */
	if (flags || !same_domain(wi, wo) || VOS_WORD_KIND(wi) != VOS_FD_FILE ||
	    VOS_WORD_KIND(wo) != VOS_FD_FILE || negative(oi) || negative(oo))
		return copy_error(in, oi, out, oo, (size_t)len, flags);
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
#define SPLICE_ALL (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

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
	if (!len)
		return 0;
	if (flags & ~(long)SPLICE_ALL)
		return -EINVAL;
	if ((is_pipe(in) && off_in) || (is_pipe(out) && off_out))
		return open_but(in, O_ACCMODE) && open_but(out, O_ACCMODE) ? -ESPIPE : -EBADF;
	if (!open_but(in, O_WRONLY) || !writable(out))
		return -EBADF;
	if (!is_pipe(in) && !is_pipe(out))
		return -EINVAL;
	if (!wi && (VOS_WORD_KIND(wo) == VOS_FD_EPOLL || !open_but(out, O_RDONLY | O_APPEND) ||
		    (off_out && !seekable(out, wo))))
		return -EINVAL;
	if ((size_t)len > STEP)
		len = STEP;
	return wi ? splice_to_pipe(&i, &o, (size_t)len, flags)
		  : splice_from_pipe(&i, &o, (size_t)len, flags);
}

long vos_sys_tee(long in, long out, long len, long flags, long a4, long a5)
{
	(void)a4, (void)a5;
	if (unlikely(vos_fd(in) || vos_fd(out))) /* both ends must be pipes */
		return len || flags & ~(long)SPLICE_ALL ? unless_bad(in, out, -EINVAL) : 0;
	return vos_local(SYS_tee, in, out, len, flags, 0, 0);
}
