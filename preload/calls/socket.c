/* SPDX-License-Identifier: MIT */
/*
 * Sockets: where a new one belongs, connections taken from it, its names and options, and plain
 * send and receive. Messages with all their parts are in msg.c; bind, listen, connect, shutdown and
 * setsockopt are generic rows of the table.
 *
 * A remote socket is always non-blocking in the service; it waits there for those that block here.
 */
#define _GNU_SOURCE
#include "preload/calls/rw.h"
#include "preload/calls/socket.h"
#include "preload/signal.h"

#include <limits.h>
#include <linux/filter.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>

void vos_sigpipe(void)
{
	if (vos_chan_confined && vos_ignores_sigpipe) /* a filter may not know the call */
		return;
	vos_raw3(SYS_tgkill, vos_pid(), vos_tid(), SIGPIPE);
}

long vos_begin_fd(struct vos_req *q, uint64_t word, enum vos_op op)
{
	long r;

	if (unlikely(!vos_current(word)))
		return -ENOLINK;
	r = vos_req_begin_about(q, word, op);
	if (unlikely(r))
		return r == -EAGAIN || r == -ENOMEM ? -ENOBUFS : -ENOLINK;
	q->e->arg[0] = VOS_WORD_HANDLE(word);
	return 0;
}

/* --- timeouts ------------------------------------------------------------------------------- */

/*
 * A call on a socket with a timeout is not restarted after a handler has run, whatever the
 * handler's flags say. Which numbers that concerns is kept here, for receiving and for sending; the
 * others wait by the restarting rule.
 */
#define NUMBERS 65536u

static _Atomic uint64_t timed[2][NUMBERS / 64];

static bool is_timed(long fd, int which)
{
	return (unsigned long)fd < NUMBERS &&
	       atomic_load_explicit(&timed[which][fd / 64], memory_order_relaxed) >> fd % 64 & 1;
}

static void set_timed(long fd, int which, bool on)
{
	uint64_t bit = 1ull << fd % 64;

	if ((unsigned long)fd >= NUMBERS || is_timed(fd, which) == on)
		return;
	/* Relaxed: threads that set it and wait at once have no order of their own. */
	if (on)
		atomic_fetch_or_explicit(&timed[which][fd / 64], bit, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(&timed[which][fd / 64], ~bit, memory_order_relaxed);
}

static void note_timeout(long fd, int which, const void *value, socklen_t len)
{
	struct timeval tv = { 0 };

	memcpy(&tv, value, len < sizeof(tv) ? len : sizeof(tv));
	set_timed(fd, which, tv.tv_sec || tv.tv_usec);
}

struct vos_waits vos_wait_of(long fd, bool out)
{
	return vos_waits(unlikely(is_timed(fd, out)) ? VOS_WAIT_ONCE : VOS_WAIT_RESTART);
}

void vos_timeouts_of(long fd, long from)
{
	for (int i = 0; i < 2 && fd >= 0; i++)
		set_timed(fd, i, from >= 0 && is_timed(from, i));
}

/* --- socket --------------------------------------------------------------------------------- */

static int class_of(long family)
{
	bool inet = family == AF_INET || family == AF_INET6;

	switch (vos_caller()) {
	case VOS_FROM_RESOLVER: /* with the routes that it sorts addresses by */
		return inet || family == AF_NETLINK ? vos_config.class_to[VOS_CLASS_DNS]
						    : VOS_TO_LOCAL;
	case VOS_FROM_INTERFACES:
		inet |= family == AF_NETLINK;
		break;
	default:
		break;
	}
	return inet ? vos_config.class_to[VOS_CLASS_INET] : VOS_TO_LOCAL;
}

/* *@inc: the incarnation that the handle belongs to. */
static long remote_socket(unsigned dom, long family, long type, long protocol, uint8_t *inc)
{
	struct vos_req q;
	long r = vos_req_begin(&q, dom, VOS_OP_socket);

	if (r)
		return r == -EAGAIN || r == -ENOMEM ? -ENOBUFS : -ENOLINK;
	*inc = q.c->incarnation;
	q.e->arg[0] = (uint64_t)family;
	q.e->arg[1] = (uint64_t)type;
	q.e->arg[2] = (uint64_t)protocol;
	r = vos_req_run(&q, VOS_WAIT_RESTART);
	if (r >= 0)
		r = vos_req_handle(&q, r);
	vos_req_end(&q);
	return r;
}

long vos_sys_socket(long family, long type, long protocol, long a3, long a4, long a5)
{
	uint64_t stream = (type & 0xf) == SOCK_STREAM ? VOS_WORD_STREAM : 0;
	uint8_t inc;
	long r, fd;
	int to;

	(void)a3, (void)a4, (void)a5;
	vos_need_init();
	to = likely(vos_stage == VOS_STAGE_READY) ? class_of(family) : VOS_TO_LOCAL;
	if (to == VOS_TO_LOCAL)
		return vos_raw3(SYS_socket, family, type, protocol);
	if (to == VOS_TO_DENY)
		return -EACCES;
	fd = vos_fd_reserve(0, type & SOCK_CLOEXEC);
	if (fd < 0)
		return fd;
	r = remote_socket((unsigned)to, family, type, protocol, &inc);
	if (r == -ENOLINK) /* it died under us: another instance may be there already */
		r = remote_socket((unsigned)to, family, type, protocol, &inc);
	if (r == -ENOLINK && vos_config.unavailable_local) {
		vos_fd_release(fd, r);
		return vos_raw3(SYS_socket, family, type, protocol);
	}
	if (r < 0)
		return vos_fd_release(fd, r == -ENOLINK ? -ENETDOWN : r);
	vos_timeouts_of(fd, -1);
	return vos_fd_fill(fd, VOS_WORD(r, to, VOS_FD_SOCKET, inc) | stream);
}

/* --- addresses ------------------------------------------------------------------------------ */

/* What the service sends: the length of the address (uint32_t), then its bytes. */
#define ADDRESS_ROOM (sizeof(uint32_t) + sizeof(struct sockaddr_storage))

static bool copy_address(const uint8_t *from, void *to, socklen_t *len)
{
	uint32_t full = *(const volatile uint32_t *)from;

	if (full > sizeof(struct sockaddr_storage))
		return false;
	memcpy(to, from + sizeof(full), full < *len ? full : *len);
	*len = full;
	return true;
}

/* A call that answers with an address, if @sa is not NULL: a[1] room, a[2] its size. */
static long with_address(struct vos_req *q, void *sa, socklen_t *len, struct vos_waits how)
{
	long r = 0;

	q->e->arg[1] = VOS_REF_NULL;
	q->e->arg[2] = ADDRESS_ROOM;
	if (sa) {
		r = vos_req_in(q, ADDRESS_ROOM, ADDRESS_ROOM);
		if (r)
			return r;
		memset(vos_req_in_ptr(q), 0, sizeof(uint32_t));
		q->e->arg[1] = VOS_REF(q->in.off, ADDRESS_ROOM);
	}
	r = vos_req_run_as(q, how);
	if (r >= 0 && sa && !copy_address(vos_req_in_ptr(q), sa, len))
		r = vos_req_breach(q);
	return r;
}

static long check_address(const void *sa, const socklen_t *len)
{
	if (!sa)
		return 0;
	if (!len)
		return -EFAULT;
	return (int)*len < 0 ? -EINVAL : 0;
}

static long do_accept(long fd, uint64_t w, void *sa, socklen_t *len, long flags)
{
	struct vos_req q;
	long r = vos_not_socket(w), new;

	if (!r && flags & ~(long)(SOCK_CLOEXEC | SOCK_NONBLOCK))
		r = -EINVAL;
	if (!r)
		r = check_address(sa, len);
	if (r)
		return r;
	new = vos_fd_reserve(0, flags & SOCK_CLOEXEC);
	if (new < 0)
		return new;
	r = vos_begin_fd(&q, w, VOS_OP_accept);
	if (!r) {
		q.e->arg[3] = (uint64_t)flags & SOCK_NONBLOCK;
		r = with_address(&q, sa, len, vos_wait_of(fd, false));
		if (r >= 0)
			r = vos_req_handle(&q, r);
		vos_req_end(&q);
	}
	if (r < 0)
		return vos_fd_release(new, r == -ENOLINK ? vos_dead(w, false) : r);
	vos_timeouts_of(new, fd);
	return vos_fd_fill(new, VOS_WORD(r, VOS_WORD_DOMAIN(w), VOS_FD_SOCKET, VOS_WORD_INC(w)) |
					VOS_WORD_STREAM);
}

long vos_sys_accept(long fd, long sa, long len, long a3, long a4, long a5)
{
	uint64_t w = vos_fd(fd);

	(void)a3, (void)a4, (void)a5;
	if (likely(!w))
		return vos_local(SYS_accept, fd, sa, len, 0, 0, 0);
	return do_accept(fd, w, (void *)sa, (socklen_t *)len, 0);
}

long vos_sys_accept4(long fd, long sa, long len, long flags, long a4, long a5)
{
	uint64_t w = vos_fd(fd);

	(void)a4, (void)a5;
	if (likely(!w))
		return vos_local(SYS_accept4, fd, sa, len, flags, 0, 0);
	return do_accept(fd, w, (void *)sa, (socklen_t *)len, flags);
}

static long get_name(enum vos_op op, uint64_t w, void *sa, socklen_t *len)
{
	struct vos_req q;
	long r = vos_not_socket(w);

	if (!r && !sa)
		r = -EFAULT;
	if (!r)
		r = check_address(sa, len);
	if (!r)
		r = vos_begin_fd(&q, w, op);
	if (r)
		return r == -ENOLINK ? vos_dead(w, false) : r;
	r = with_address(&q, sa, len, vos_waits(VOS_WAIT_ALWAYS));
	if (r > 0)
		r = vos_req_breach(&q);
	vos_req_end(&q);
	return r == -ENOLINK ? vos_dead(w, false) : r;
}

long vos_sys_getsockname(long fd, long sa, long len, long a3, long a4, long a5)
{
	uint64_t w = vos_fd(fd);

	(void)a3, (void)a4, (void)a5;
	if (likely(!w))
		return vos_raw3(SYS_getsockname, fd, sa, len);
	return get_name(VOS_OP_getsockname, w, (void *)sa, (socklen_t *)len);
}

long vos_sys_getpeername(long fd, long sa, long len, long a3, long a4, long a5)
{
	uint64_t w = vos_fd(fd);

	(void)a3, (void)a4, (void)a5;
	if (likely(!w))
		return vos_raw3(SYS_getpeername, fd, sa, len);
	return get_name(VOS_OP_getpeername, w, (void *)sa, (socklen_t *)len);
}

/* --- options -------------------------------------------------------------------------------- */

#define OPTION_MAX 4096u

static long get_option(uint64_t w, long level, long name, void *value, socklen_t *len)
{
	struct vos_req q;
	uint32_t n = *len < OPTION_MAX ? *len : OPTION_MAX;
	long r = vos_begin_fd(&q, w, VOS_OP_getsockopt);

	if (r)
		return r;
	r = vos_req_in(&q, n, n);
	if (r)
		goto out;
	/* Some options read the buffer before they fill it. */
	memcpy(vos_req_in_ptr(&q), value, n);
	q.e->arg[1] = (uint64_t)level;
	q.e->arg[2] = (uint64_t)name;
	q.e->arg[3] = VOS_REF(q.in.off, n);
	q.e->arg[4] = n;
	r = vos_req_run(&q, VOS_WAIT_ALWAYS);
	/* Netlink tells how much room a list of groups would have needed. */
	if (r > (level == SOL_NETLINK ? INT_MAX : (long)n)) {
		r = vos_req_breach(&q);
	} else if (r >= 0) {
		memcpy(value, vos_req_in_ptr(&q), r < (long)n ? (size_t)r : n);
		*len = (socklen_t)r;
		r = 0;
	}
out:
	vos_req_end(&q);
	return r;
}

long vos_sys_getsockopt(long fd, long level, long name, long value, long len, long a5)
{
	uint64_t w = vos_fd(fd);
	long r;

	(void)a5;
	if (likely(!w))
		return vos_raw5(SYS_getsockopt, fd, level, name, value, len);
	r = vos_not_socket(w);
	if (!r && (!len || (!value && *(socklen_t *)len)))
		r = -EFAULT;
	if (!r && (int)*(socklen_t *)len < 0)
		r = -EINVAL;
	if (!r)
		r = get_option(w, level, name, (void *)value, (socklen_t *)len);
	return r == -ENOLINK ? vos_dead(w, false) : r;
}

/* A packet filter: the value holds the program's address of it. The filter itself goes instead. */
static long set_filter(uint64_t w, long name, const void *value, socklen_t len)
{
	const struct sock_fprog *prog = value;
	uint64_t a[6] = { w, SOL_SOCKET, (uint64_t)name };

	if (len < sizeof(*prog) || !prog->filter)
		return -EINVAL;
	if (!vos_current(w))
		return -ENOLINK;
	a[3] = (uint64_t)prog->filter;
	a[4] = prog->len * sizeof(*prog->filter);
	return vos_forward(VOS_OP_setsockopt, VOS_WORD_DOMAIN(w), a, NULL);
}

long vos_sys_setsockopt(long fd, long level, long name, long value, long len, long a5)
{
	const long a[6] = { fd, level, name, value, len };
	uint64_t w = vos_fd(fd);
	long r;

	(void)a5;
	name = (int)name; /* what the kernel looks at of it */
	if (likely(!w))
		return vos_raw5(SYS_setsockopt, fd, level, name, value, len);
	r = vos_not_socket(w);
	if (r)
		return r;
	if ((int)len < 0)
		return -EINVAL;
	if ((int)level == SOL_SOCKET &&
	    (name == SO_ATTACH_FILTER || name == SO_ATTACH_REUSEPORT_CBPF))
		r = set_filter(w, name, (const void *)value, (socklen_t)len);
	else
		r = vos_forward_fd(VOS_OP_setsockopt, w, a);
	if (!r && (int)level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO))
		note_timeout(fd, name == SO_SNDTIMEO, (const void *)value, (socklen_t)len);
	return r == -ENOLINK ? vos_dead(w, false) : r;
}

bool vos_is_stream(uint64_t word)
{
	int type = 0;
	socklen_t len = sizeof(type);

	if (likely(word & VOS_WORD_STREAM))
		return true;
	return !get_option(word, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_STREAM;
}

/* --- plain data ----------------------------------------------------------------------------- */

long vos_sent(uint64_t word, long r, long flags)
{
	if (likely(r >= 0))
		return r;
	if (r == -EPIPE && !(flags & MSG_NOSIGNAL) && vos_is_stream(word))
		vos_sigpipe();
	return r == -ENOLINK ? vos_dead(word, true) : r;
}

/* The common case: no address, and it fits the lane's own block. */
static long send_small(uint64_t w, const void *p, size_t len, long flags, struct vos_waits how)
{
	struct vos_req q;
	long r = vos_begin_fd(&q, w, VOS_OP_send);

	if (unlikely(r))
		return r;
	r = vos_req_out(&q, len, len);
	if (unlikely(r))
		goto out;
	memcpy(vos_req_out_ptr(&q), p, len);
	q.e->arg[1] = VOS_REF(q.out.off, len);
	q.e->arg[2] = len;
	q.e->arg[3] = (uint64_t)flags;
	q.e->arg[4] = VOS_REF_NULL;
	q.e->arg[5] = 0;
	r = vos_req_run_as(&q, how);
	if (unlikely(r > (long)len))
		r = vos_req_breach(&q);
out:
	vos_req_end(&q);
	return r;
}

long vos_send(uint64_t w, const void *p, size_t len, long flags, struct vos_waits how)
{
	struct iovec iov = { (void *)p, vos_rw_len(len) };
	const struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (likely(len <= VOS_SMALL))
		return vos_sent(w, send_small(w, p, len, flags, how), flags);
	return vos_send_msg(w, &m, flags, how);
}

/* sendto with an address. */
static long send_to(uint64_t w, long fd, long p, long len, long flags, long sa, long salen)
{
	struct iovec iov = { (void *)p, vos_rw_len((size_t)len) };
	struct msghdr m = { .msg_name = (void *)sa, .msg_iov = &iov, .msg_iovlen = 1 };

	if (salen < 0 || (size_t)salen > sizeof(struct sockaddr_storage))
		return -EINVAL;
	m.msg_namelen = (socklen_t)salen;
	return vos_send_msg(w, &m, flags, vos_wait_of(fd, true));
}

long vos_sys_sendto(long fd, long p, long len, long flags, long sa, long salen)
{
	uint64_t w;
	long r;

	do {
		w = vos_fd(fd);
		if (likely(!w))
			r = vos_local(SYS_sendto, fd, p, len, flags, sa, salen);
		else if (unlikely((r = vos_not_socket(w)) != 0))
			return r;
		else if (likely(!sa))
			r = vos_send(w, (const void *)p, (size_t)len, flags, vos_wait_of(fd, true));
		else
			r = send_to(w, fd, p, len, flags, sa, salen);
	} while (unlikely(vos_fd_moved(fd, w, r)));
	return r;
}

/* *@asked: how many bytes there was room for. *@scarce: the call has not waited, see below. */
static long recv_once(uint64_t w, void *p, size_t len, long flags, struct vos_waits how,
		      size_t *asked, bool *scarce)
{
	size_t min = w & VOS_WORD_STREAM ? 1 : VOS_DATAGRAM_MAX;
	struct vos_req q;
	long r = vos_begin_fd(&q, w, VOS_OP_recv);

	*scarce = false;
	if (unlikely(r))
		return r;
	r = vos_req_room(&q, 1, &len, len < min ? len : min);
	if (unlikely(r))
		goto out;
	*scarce = vos_recv_scarce(&q, &flags);
	*asked = len;
	q.e->arg[2] = len;
	q.e->arg[3] = (uint64_t)flags;
	r = vos_req_run_as(&q, how);
	/* With MSG_TRUNC a stream's bytes have been thrown away. */
	if (unlikely(r > (long)len && !vos_recv_fits(r, len, w, flags)))
		r = vos_req_breach(&q);
	else if (r > 0 && !(flags & MSG_TRUNC && (w & VOS_WORD_STREAM || !p)))
		memcpy(p, vos_req_came(&q), (size_t)r < len ? (size_t)r : len);
out:
	vos_req_end(&q);
	return r;
}

/*
 * What a call waits for may not come for long, and the block for it is of no use meanwhile. While
 * more than half of the larger blocks are in use, those who receive do not wait with one, but give
 * it back, wait until there is something, and take one again. So those who wait cannot have all.
 */
bool vos_recv_scarce(struct vos_req *q, long *flags)
{
	if (likely(!q->in.size || q->in.nr < 0) || *flags & MSG_DONTWAIT ||
	    (*flags & MSG_PEEK && *flags & MSG_WAITALL) || !vos_pool_scarce(&q->c->in, &q->in))
		return false;
	*flags |= MSG_DONTWAIT;
	return true;
}

long vos_recv_await(uint64_t w, struct vos_waits how)
{
	size_t asked;
	bool scarce;

	return recv_once(w, NULL, 0, MSG_PEEK, how, &asked, &scarce);
}

static long recv_piece(uint64_t w, void *p, size_t len, long flags, struct vos_waits how,
		       size_t *asked)
{
	bool scarce;
	long r;

	for (;;) {
		r = recv_once(w, p, len, flags, how, asked, &scarce);
		if (likely(!scarce) || (r < 0 && r != -EAGAIN))
			return r;
		if (r >= 0) {
			*asked = (size_t)r; /* there was no waiting for more */
			return r;
		}
		r = vos_recv_await(w, how);
		if (r < 0)
			return r;
	}
}

long vos_recv(uint64_t w, char *p, size_t len, long flags, struct vos_waits how)
{
	size_t done = 0, asked = 0;
	long r;

	if (flags & (MSG_ERRQUEUE | MSG_OOB)) /* are never waited for */
		flags |= MSG_DONTWAIT;
	if (flags & MSG_WAITALL && !vos_is_stream(w))
		flags &= ~(long)MSG_WAITALL;
	do {
		r = recv_piece(w, p + done, len - done, flags, how, &asked);
		if (r <= 0)
			break;
		done += (size_t)r;
	} while (flags & MSG_WAITALL && !(flags & MSG_PEEK) && (size_t)r == asked && done < len);
	if (done)
		return (long)done;
	return r == -ENOLINK ? vos_dead(w, true) : r;
}

/* recvfrom with an address. */
static long recv_from(uint64_t w, long fd, long p, long len, long flags, long sa, long salen)
{
	struct iovec iov = { (void *)p, vos_rw_len((size_t)len) };
	struct msghdr m = { .msg_name = (void *)sa, .msg_iov = &iov, .msg_iovlen = 1 };
	long r = check_address((void *)sa, (socklen_t *)salen);

	if (r)
		return r;
	m.msg_namelen = *(socklen_t *)salen;
	r = vos_recv_msg(w, &m, flags, vos_wait_of(fd, false));
	if (r >= 0)
		*(socklen_t *)salen = m.msg_namelen;
	return r;
}

long vos_sys_recvfrom(long fd, long p, long len, long flags, long sa, long salen)
{
	uint64_t w;
	long r;

	do {
		w = vos_fd(fd);
		if (likely(!w))
			r = vos_local(SYS_recvfrom, fd, p, len, flags, sa, salen);
		else if (unlikely((r = vos_not_socket(w)) != 0))
			return r;
		else if (likely(!sa))
			r = vos_recv(w, (char *)p, (size_t)len, flags, vos_wait_of(fd, false));
		else
			r = recv_from(w, fd, p, len, flags, sa, salen);
	} while (unlikely(vos_fd_moved(fd, w, r)));
	return r;
}
