/* SPDX-License-Identifier: MIT */
/*
 * Data of descriptors.
 *
 * Files are read with RWF_NOWAIT first: what is in the page cache comes at once, the rest is the
 * pool's. That takes a vector, which costs a fifth of a small read, so a file that has been in the
 * cache so many times in a row is just read, and asked about now and then. What is O_DIRECT goes
 * its own way (aio.c). Sockets, pipes and the like are non-blocking here and park. A blocking write
 * to them goes on until all is written, as the kernel's would; c->done counts across retries.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"
#include "svcd/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* The kernel takes the offset in two halves, the second unused here; -1: the file's own position.
 */
static long preadv2_raw(int fd, void *p, size_t n, int64_t off, int flags)
{
	struct iovec iov = { p, n };

	return sys(SYS_preadv2, fd, (long)&iov, 1, off, 0, flags);
}

#define WARM	   64 /* reads in a row that were in the cache */
#define WARM_READS 16 /* so many are not asked about then */

/* Is it to be expected that this read does not wait for the disk? */
static bool warm(struct ofd *o)
{
	uint8_t n = atomic_load_explicit(&o->warm, memory_order_relaxed);

	if (n < WARM)
		return false;
	atomic_store_explicit(&o->warm, n < WARM + WARM_READS ? n + 1 : WARM - 1,
			      memory_order_relaxed);
	return n < WARM + WARM_READS;
}

static void was_cached(struct ofd *o, bool yes)
{
	uint8_t n = atomic_load_explicit(&o->warm, memory_order_relaxed);

	atomic_store_explicit(&o->warm, yes ? n + 1 : 0, memory_order_relaxed);
}

static long read_plain(struct call *c, char *p, size_t len, int64_t off, int flags)
{
	int fd = c->ofd[0]->fd;

	call_may_block(c);
	if (flags)
		return preadv2_raw(fd, p, len, off, flags);
	return off < 0 ? sys(SYS_read, fd, (long)p, (long)len, 0, 0, 0)
		       : sys(SYS_pread64, fd, (long)p, (long)len, off, 0, 0);
}

static long read_file(struct call *c)
{
	struct ofd *o = c->ofd[0];
	char *p = (char *)c->a[1];
	size_t len = (size_t)c->a[2];
	int64_t off = c->a[3];
	int flags = (int)c->a[4];
	long r;

	if (!c->in_pool && !o->no_nowait && (flags || !warm(o))) {
		if (off < 0) /* another call may have the position */
			call_may_block(c);
		r = preadv2_raw(o->fd, p, len, off, flags | RWF_NOWAIT);
		was_cached(o, r == (long)len);
		if (r == (long)len || r == 0 || flags & RWF_NOWAIT)
			return r;
		if (r > 0) { /* the end of the file, or of what is cached: the kernel would go on */
			long more = read_plain(c, p + r, len - (size_t)r, off < 0 ? off : off + r,
					       flags);

			return more > 0 ? r + more : r;
		}
		if (r == -EAGAIN)
			return CALL_POOL;
		if (r != -EOPNOTSUPP)
			return r;
		o->no_nowait = true;
	}
	return read_plain(c, p, len, off, flags);
}

/* An answer of "would block": the program's, or a reason to park. */
long svcd_would_block(struct call *c, uint32_t events, int which, bool dontwait)
{
	struct ofd *o = c->ofd[0];
	int64_t limit = atomic_load_explicit(&o->desc->timeout[which], memory_order_relaxed);

	if (dontwait || atomic_load_explicit(&o->desc->nonblock, memory_order_relaxed) ||
	    c->timed_out)
		return -EAGAIN;
	if (limit)
		call_deadline(c, limit);
	return call_park_on(c, o, events);
}

static long partial(struct call *c, long r)
{
	return c->done && r != CALL_PARK && r != CALL_POOL ? (long)c->done : r;
}

bool svcd_is_stream(struct ofd *o)
{
	int type = 0;
	socklen_t n = sizeof(type);

	return !getsockopt(o->fd, SOL_SOCKET, SO_TYPE, &type, &n) && type == SOCK_STREAM;
}

static bool no_more(struct ofd *o)
{
	struct pollfd p = { o->fd, POLLRDHUP, 0 };

	return poll(&p, 1, 0) > 0;
}

/*
 * SO_RCVLOWAT: is there less than a blocking receive is content with, and may more come? The kernel
 * reports data that comes when there is as much, so none of it is taken before.
 */
static bool below_mark(struct call *c, size_t len, bool dontwait)
{
	struct ofd *o = c->ofd[0];
	size_t mark = (size_t)atomic_load_explicit(&o->desc->lowat, memory_order_relaxed);
	long r;

	if (__builtin_expect(mark <= 1, 1) || dontwait || o->desc->nonblock || c->timed_out)
		return false;
	if (mark > len)
		mark = len;
	r = recv(o->fd, NULL, mark, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	return r > 0 && (size_t)r < mark && !no_more(o);
}

/*
 * What a netlink socket is sent is done at once, and what it is asked is looked up when it is
 * received, both with locks that whoever changes the network has for long.
 */
static void may_wait(struct call *c)
{
	/* Relaxed: set before anybody had the socket. */
	if (__builtin_expect(atomic_load_explicit(&c->ofd[0]->desc->netlink, memory_order_relaxed),
			     0))
		call_may_block(c);
}

/* With @msg its address and ancillary data as well. */
static long recv_once(struct call *c, struct msghdr *msg, char *p, size_t len, int flags)
{
	if (!msg)
		return sys(SYS_recvfrom, c->ofd[0]->fd, (long)p, (long)len, flags, 0, 0);
	*msg->msg_iov = (struct iovec){ p, len };
	return sys(SYS_recvmsg, c->ofd[0]->fd, (long)msg, flags | MSG_CMSG_CLOEXEC, 0, 0, 0);
}

/* The kernel has written nothing of it: what is there is ours. */
static void empty(struct msghdr *msg)
{
	msg->msg_namelen = 0;
	msg->msg_controllen = 0;
	msg->msg_flags = 0;
}

/*
 * Receive until it is enough: bytes in all, or what the kernel or svcd_would_block() say. Only a
 * stream is filled for MSG_WAITALL; errors and urgent data are never waited for.
 */
long svcd_receive(struct call *c, struct msghdr *msg, char *p, size_t len, int flags)
{
	bool all = flags & MSG_WAITALL && svcd_is_stream(c->ofd[0]), peek = flags & MSG_PEEK;
	bool dontwait = flags & (MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB);
	size_t control = msg ? msg->msg_controllen : 0;
	socklen_t name = msg ? msg->msg_namelen : 0;
	long r;

	may_wait(c);
	if (below_mark(c, len, dontwait)) {
		r = -EAGAIN;
		goto nothing;
	}
	for (;;) {
		size_t at = peek ? 0 : c->done;

		if (msg) {
			msg->msg_controllen = control;
			msg->msg_namelen = name;
		}
		r = recv_once(c, msg, p + at, len - at, flags | MSG_DONTWAIT);
		if (r < 0)
			goto nothing;
		c->done = at + (size_t)r;
		if (!r || !all || c->done >= len || (peek && no_more(c->ofd[0])))
			return (long)c->done;
		/* A stream has more to give; what is only looked at has no more so far. */
		if (peek)
			return partial(c, svcd_would_block(c, EPOLLIN, 0, dontwait));
	}
nothing:
	if (msg)
		empty(msg);
	return partial(c, r == -EAGAIN ? svcd_would_block(c, EPOLLIN, 0, dontwait) : r);
}

static long read_other(struct call *c)
{
	long r = c->a[3] < 0 ? read(c->ofd[0]->fd, (void *)c->a[1], (size_t)c->a[2])
			     : pread(c->ofd[0]->fd, (void *)c->a[1], (size_t)c->a[2], c->a[3]);

	r = r < 0 ? -errno : r;
	return r == -EAGAIN ? svcd_would_block(c, EPOLLIN, 0, c->a[4] & (RWF_NOWAIT | VOS_RWF_MORE))
			    : r;
}

static bool direct(const struct ofd *o)
{
	return __builtin_expect(
		atomic_load_explicit(&o->desc->flags, memory_order_relaxed) & O_DIRECT, 0);
}

long svcd_call_read(struct call *c)
{
	switch (ofd_kind(c->ofd[0])) {
	case OFD_FILE:
		return direct(c->ofd[0]) ? aio_transfer(c, false) : read_file(c);
	case OFD_SOCKET:
		if (c->a[3] >= 0)
			return -ESPIPE;
		if (!c->a[2])
			return 0;
		return svcd_receive(c, NULL, (char *)c->a[1], (size_t)c->a[2], 0);
	default:
		return read_other(c);
	}
}

long svcd_call_recv(struct call *c)
{
	if (ofd_kind(c->ofd[0]) != OFD_SOCKET)
		return -ENOTSOCK;
	return svcd_receive(c, NULL, (char *)c->a[1], (size_t)c->a[2], (int)c->a[3]);
}

/* Bytes that are on their way to our cache while the kernel still looks up where they go. */
#define PREFETCH 4096u

static long write_file(struct call *c)
{
	struct iovec iov = { (void *)c->a[1], (size_t)c->a[2] };
	int fd = c->ofd[0]->fd;

	for (size_t i = 0; i < iov.iov_len && i < PREFETCH; i += 64)
		__builtin_prefetch((const char *)iov.iov_base + i);
	call_may_block(c);
	if (c->a[4])
		return sys(SYS_pwritev2, fd, (long)&iov, 1, c->a[3], 0, c->a[4]);
	return c->a[3] < 0 ? sys(SYS_write, fd, c->a[1], c->a[2], 0, 0, 0)
			   : sys(SYS_pwrite64, fd, c->a[1], c->a[2], c->a[3], 0, 0);
}

/*
 * What connects (MSG_FASTOPEN) would do all of it for a blocking socket. Ours only begins: then the
 * call parks, ends the connecting as connect() does, and sends.
 */
enum { SEND_FIRST, SEND_CONNECTING, SEND_REST };

/* Was the answer @r that a connection has begun, which the program is not to hear? Try again. */
static bool connects(struct call *c, long r, bool dontwait)
{
	if (r != -EINPROGRESS || c->step || dontwait || c->ofd[0]->desc->nonblock)
		return false;
	c->step = SEND_CONNECTING;
	return true;
}

/* Before each try. 0 or -errno: -EAGAIN while the connection is under way. */
static long connected(struct call *c, const struct msghdr *m)
{
	if (__builtin_expect(c->step != SEND_CONNECTING, 1))
		return 0;
	if (m->msg_namelen && connect(c->ofd[0]->fd, m->msg_name, m->msg_namelen) &&
	    errno != EISCONN)
		return errno == EALREADY || errno == EINPROGRESS ? -EAGAIN : -errno;
	c->step = SEND_REST;
	return 0;
}

/* Address and ancillary data go with the first byte, or with what connects. */
static long send_once(struct call *c, const struct msghdr *m, const char *p, size_t len, int flags)
{
	bool named = !c->step && !c->done;
	struct iovec iov = { (void *)p, len };
	struct msghdr rest = { .msg_iov = &iov, .msg_iovlen = 1 };

	flags |= MSG_DONTWAIT | MSG_NOSIGNAL;
	if (!named)
		flags &= ~MSG_FASTOPEN;
	if (!m->msg_controllen || c->done)
		return sys(SYS_sendto, c->ofd[0]->fd, (long)p, (long)len, flags,
			   named ? (long)m->msg_name : 0, named ? (long)m->msg_namelen : 0);
	if (named) {
		rest.msg_name = m->msg_name;
		rest.msg_namelen = m->msg_namelen;
	}
	rest.msg_control = m->msg_control;
	rest.msg_controllen = m->msg_controllen;
	return sys(SYS_sendmsg, c->ofd[0]->fd, (long)&rest, flags, 0, 0, 0);
}

long svcd_send(struct call *c, const struct msghdr *m, const char *p, size_t len, int flags)
{
	may_wait(c);
	for (;;) {
		long r = connected(c, m);

		if (!r)
			r = send_once(c, m, p + c->done, len - c->done, flags);
		if (connects(c, r, flags & MSG_DONTWAIT))
			continue;
		if (r == -EAGAIN)
			return partial(c, svcd_would_block(c, EPOLLOUT, 1, flags & MSG_DONTWAIT));
		if (r < 0)
			return partial(c, r);
		c->done += (uint64_t)r;
		if (c->done >= len || flags & MSG_DONTWAIT || c->ofd[0]->desc->nonblock ||
		    !svcd_is_stream(c->ofd[0]))
			return (long)c->done;
	}
}

static long write_other(struct call *c)
{
	const char *p = (const char *)c->a[1];
	size_t len = (size_t)c->a[2];

	for (;;) {
		long r = c->a[3] < 0 ? write(c->ofd[0]->fd, p + c->done, len - c->done)
				     : pwrite(c->ofd[0]->fd, p, len, c->a[3]);

		r = r < 0 ? -errno : r;
		if (r == -EAGAIN)
			return partial(c, svcd_would_block(c, EPOLLOUT, 1, c->a[4] & RWF_NOWAIT));
		if (r < 0)
			return partial(c, r);
		c->done += (uint64_t)r;
		if (c->done >= len || c->ofd[0]->desc->nonblock || r == 0)
			return (long)c->done;
	}
}

long svcd_call_write(struct call *c)
{
	static const struct msghdr none;

	switch (ofd_kind(c->ofd[0])) {
	case OFD_FILE:
		return direct(c->ofd[0]) ? aio_transfer(c, true) : write_file(c);
	case OFD_SOCKET:
		if (c->a[3] >= 0)
			return -ESPIPE;
		return svcd_send(c, &none, (const char *)c->a[1], (size_t)c->a[2], 0);
	default:
		return write_other(c);
	}
}

long svcd_call_send(struct call *c)
{
	const struct msghdr to = { .msg_name = (void *)c->a[4], .msg_namelen = c->len[4] };

	if (ofd_kind(c->ofd[0]) != OFD_SOCKET)
		return -ENOTSOCK;
	return svcd_send(c, &to, (const char *)c->a[1], (size_t)c->a[2], (int)c->a[3]);
}

/* --- from descriptor to descriptor ---------------------------------------------------------- */

#define COPY_STEP (1u << 20) /* bytes moved before the engine does something else */

long svcd_call_copy(struct call *c)
{
	loff_t in = c->a[1], out = c->a[3];
	size_t len = (size_t)c->a[4] < COPY_STEP ? (size_t)c->a[4] : COPY_STEP;
	long r;

	call_may_block(c);
	r = copy_file_range(c->ofd[0]->fd, in < 0 ? NULL : &in, c->ofd[1]->fd,
			    out < 0 ? NULL : &out, len, (unsigned)c->a[5]);

	return r < 0 ? -errno : r;
}

long svcd_call_sendfile(struct call *c)
{
	off_t off = c->a[2];
	size_t len = (size_t)c->a[3] < COPY_STEP ? (size_t)c->a[3] : COPY_STEP;
	long r;

	ofd_kind(c->ofd[0]);
	call_may_block(c);
	r = sendfile(c->ofd[0]->fd, c->ofd[1]->fd, off < 0 ? NULL : &off, len);
	r = r < 0 ? -errno : r;
	return r == -EAGAIN ? svcd_would_block(c, EPOLLOUT, 1, false) : r;
}
