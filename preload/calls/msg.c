/* SPDX-License-Identifier: MIT */
/*
 * Messages: data in several places, an address, ancillary data. They travel in one block as struct
 * vos_msg and its parts; see ring/calls.h.
 *
 * Ancillary data is passed on as it is, both ways. Descriptors are the exception: those of a remote
 * socket's message would be numbers of another table (EOPNOTSUPP); remote ones in a local message
 * go by way of pass.c.
 */
#define _GNU_SOURCE
#include "preload/calls/cursor.h"
#include "preload/calls/rw.h"
#include "preload/calls/socket.h"
#include "preload/many.h"
#include "preload/pass.h"

#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#define CONTROL_MAX 4096u /* of ancillary data that one message carries */
#define MESSAGES    1024u /* that one sendmmsg or recvmmsg looks at, the kernel's limit */

static long total_length(const struct msghdr *m, size_t *total)
{
	return m->msg_iovlen > IOV_MAX ? -EMSGSIZE
				       : vos_iov_total(m->msg_iov, m->msg_iovlen, total);
}

/* --- sending -------------------------------------------------------------------------------- */

/* What of a message goes before its data. */
struct head {
	const void *name, *control;
	uint32_t namelen, controllen;
};

static size_t head_size(const struct head *h)
{
	if (h->controllen)
		return sizeof(struct vos_msg) + VOS_MSG_PART(h->namelen) +
		       VOS_MSG_PART(h->controllen);
	return VOS_MSG_PART(h->namelen);
}

/* Without control data: the plain send. */
static void fill_send(struct vos_req *q, const struct head *h, struct cursor *v, size_t len)
{
	size_t at = VOS_MSG_PART(h->namelen);
	uint8_t *p = vos_req_out_ptr(q);

	if (h->namelen)
		memcpy(p, h->name, h->namelen);
	gather(v, p + at, len);
	q->e->op = VOS_OP_send;
	q->e->arg[1] = VOS_REF(q->out.off + at, len);
	q->e->arg[2] = len;
	q->e->arg[4] = h->name ? VOS_REF(q->out.off, h->namelen) : VOS_REF_NULL;
	q->e->arg[5] = h->namelen;
}

static void fill_sendmsg(struct vos_req *q, const struct head *h, struct cursor *v, size_t len)
{
	struct vos_msg m = { .name = h->namelen, .control = h->controllen, .data = (uint32_t)len };
	uint8_t *p = vos_req_out_ptr(q);

	memcpy(p, &m, sizeof(m));
	p += sizeof(m);
	if (m.name)
		memcpy(p, h->name, m.name);
	p += VOS_MSG_PART(m.name);
	memcpy(p, h->control, m.control);
	p += VOS_MSG_PART(m.control);
	gather(v, p, len);
	q->e->op = VOS_OP_sendmsg;
	q->e->arg[1] = VOS_REF(q->out.off, head_size(h) + len);
	q->e->arg[2] = head_size(h) + len;
}

/* One request of at most VOS_IO_MAX bytes. *@asked: how many of @len it was for. */
static long send_piece(uint64_t w, const struct head *h, struct cursor *v, size_t len, long flags,
		       struct vos_waits how, size_t *asked)
{
	size_t head = head_size(h), min = w & VOS_WORD_STREAM ? 1 : VOS_DATAGRAM_MAX;
	struct vos_req q;
	long r = vos_begin_fd(&q, w, VOS_OP_send);

	if (r)
		return r;
	if (len > VOS_IO_MAX - head)
		len = VOS_IO_MAX - head;
	r = vos_req_out(&q, head + len, head + (len < min ? len : min));
	if (r)
		goto out;
	if (len > q.out.size - head)
		len = q.out.size - head;
	*asked = len;
	q.e->arg[3] = (uint64_t)flags;
	if (h->controllen)
		fill_sendmsg(&q, h, v, len);
	else
		fill_send(&q, h, v, len);
	r = vos_req_run_as(&q, how);
	if (r > (long)len)
		r = vos_req_breach(&q);
out:
	vos_req_end(&q);
	return r;
}

static long check_head(const struct msghdr *m, struct head *h)
{
	memset(h, 0, sizeof(*h));
	if (m->msg_name) {
		if ((int)m->msg_namelen < 0)
			return -EINVAL;
		h->name = m->msg_namelen ? m->msg_name : NULL;
		h->namelen = m->msg_namelen;
		if (h->namelen > sizeof(struct sockaddr_storage))
			h->namelen = sizeof(struct sockaddr_storage);
	}
	if (m->msg_control && m->msg_controllen) {
		if (m->msg_controllen > CONTROL_MAX)
			return -ENOBUFS;
		h->control = m->msg_control;
		h->controllen = (uint32_t)m->msg_controllen;
	}
	return 0;
}

/*
 * What does not fit one request goes in several, which only a stream can take: the kernel refuses a
 * datagram of the first one's size.
 */
long vos_send_msg(uint64_t w, const struct msghdr *m, long flags, struct vos_waits how)
{
	struct cursor v = { m->msg_iov, 0 };
	size_t total, done = 0, asked = 0;
	struct head h;
	long r = check_head(m, &h);

	if (!r)
		r = total_length(m, &total);
	if (r)
		return r;
	do {
		r = send_piece(w, &h, &v, total - done, flags, how, &asked);
		if (r < 0)
			break;
		done += (size_t)r;
		memset(&h, 0, sizeof(h)); /* goes with the first piece */
		flags &= ~MSG_FASTOPEN;
	} while (r == (long)asked && done < total);
	return done ? (long)done : vos_sent(w, r, flags);
}

/* --- receiving ------------------------------------------------------------------------------ */

/*
 * Ancillary data as the kernel puts it: programs go by the lengths in it, and take descriptors in
 * it for theirs.
 */
static bool control_is_fine(struct msghdr *m)
{
	const char *end = (char *)m->msg_control + m->msg_controllen;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_len < sizeof(*h) || h->cmsg_len > (size_t)(end - (char *)h))
			return false;
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
			return false;
	}
	return true;
}

/*
 * Copy what came with the data to where the program wants it. @room: of the name and of the control
 * data in the answer. False: it is not what a kernel says.
 */
static bool take_parts(struct msghdr *m, const struct vos_msg *out, const uint8_t *name,
		       const size_t room[2])
{
	const uint8_t *control = name + VOS_MSG_PART(room[0]);

	if (out->name > room[0] || out->full > sizeof(struct sockaddr_storage) ||
	    out->control > room[1])
		return false;
	if (m->msg_name) {
		socklen_t n = out->name < m->msg_namelen ? out->name : m->msg_namelen;

		memcpy(m->msg_name, name, n);
		m->msg_namelen = out->full;
	}
	m->msg_controllen = out->control;
	if (m->msg_controllen)
		memcpy(m->msg_control, control, m->msg_controllen);
	m->msg_flags = (int)out->flags;
	return control_is_fine(m);
}

bool vos_recv_fits(long r, size_t len, uint64_t w, long flags)
{
	if (flags & MSG_TRUNC && !(w & VOS_WORD_STREAM))
		return r <= INT_MAX;
	return r <= (long)len;
}

/* *@asked: how many bytes of data there was room for. *@scarce: the call has not waited. */
static long recv_once(uint64_t w, struct msghdr *m, struct cursor *v, size_t len, long flags,
		      struct vos_waits how, size_t *asked, bool *scarce)
{
	size_t control = m->msg_control ? m->msg_controllen : 0, head;
	const size_t room[2] = { m->msg_name ? sizeof(struct sockaddr_storage) : 0,
				 control < CONTROL_MAX ? control : CONTROL_MAX };
	size_t min = w & VOS_WORD_STREAM ? 1 : VOS_DATAGRAM_MAX;
	struct vos_msg out;
	struct vos_req q;
	long r = vos_begin_fd(&q, w, VOS_OP_recvmsg);

	if (r)
		return r;
	head = sizeof(out) + VOS_MSG_PART(room[0]) + VOS_MSG_PART(room[1]);
	if (len > VOS_IO_MAX - head)
		len = VOS_IO_MAX - head;
	r = vos_req_in(&q, head + len, head + (len < min ? len : min));
	if (r)
		goto out;
	if (len > q.in.size - head)
		len = q.in.size - head;
	*scarce = vos_recv_scarce(&q, &flags);
	*asked = len;
	q.e->arg[1] = VOS_REF(q.in.off, head + len);
	q.e->arg[2] = head + len;
	q.e->arg[3] = (uint64_t)flags;
	q.e->arg[4] = room[0];
	q.e->arg[5] = room[1];
	r = vos_req_run_as(&q, how);
	if (r < 0)
		goto out;
	memcpy(&out, vos_req_in_ptr(&q), sizeof(out));
	if (!vos_recv_fits(r, len, w, flags) ||
	    !take_parts(m, &out, vos_req_in_ptr(&q) + sizeof(out), room)) {
		r = vos_req_breach(&q);
		goto out;
	}
	if (!(flags & MSG_TRUNC && w & VOS_WORD_STREAM)) /* a stream throws away instead */
		scatter(v, vos_req_in_ptr(&q) + head, (size_t)r < len ? (size_t)r : len);
out:
	vos_req_end(&q);
	return r;
}

static long recv_first(uint64_t w, struct msghdr *m, struct cursor *v, size_t len, long flags,
		       struct vos_waits how, size_t *asked)
{
	bool scarce = false;
	long r;

	for (;;) {
		r = recv_once(w, m, v, len, flags, how, asked, &scarce);
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

/* The rest of what MSG_WAITALL asks for: the next part of the vector that lies together. */
static long recv_more(uint64_t w, struct cursor *v, size_t len, long flags, struct vos_waits how,
		      size_t *asked)
{
	char *p = next_run(v, len, asked);
	long r = vos_recv(w, p, *asked, flags, how);

	v->skip -= *asked - (r > 0 ? (size_t)r : 0);
	return r;
}

long vos_recv_msg(uint64_t w, struct msghdr *m, long flags, struct vos_waits how)
{
	struct cursor v = { m->msg_iov, 0 };
	size_t total, done, asked = 0;
	long r = total_length(m, &total);

	if (!r && m->msg_name && (int)m->msg_namelen < 0)
		r = -EINVAL;
	if (r)
		return r;
	if (flags & (MSG_ERRQUEUE | MSG_OOB)) /* are never waited for */
		flags |= MSG_DONTWAIT;
	r = recv_first(w, m, &v, total, flags, how, &asked);
	if (r < 0)
		return r == -ENOLINK ? vos_dead(w, true) : r;
	done = (size_t)r;
	if (!(flags & MSG_WAITALL) || flags & (MSG_PEEK | MSG_TRUNC) || !vos_is_stream(w))
		return r;
	while (r == (long)asked && r && done < total) {
		r = recv_more(w, &v, total - done, flags, how, &asked);
		if (r > 0)
			done += (size_t)r;
	}
	return (long)done;
}

/* --- read and write ------------------------------------------------------------------------- */

/* A vector without a byte is not even tried, and neither is a read without one. */
long vos_transfer_socket(uint64_t w, const struct iovec *iov, long n, int flags, bool out,
			 struct vos_waits how)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	long dontwait = flags & RWF_NOWAIT ? MSG_DONTWAIT : 0;
	size_t total;
	long r = total_length(&m, &total);

	if (unlikely(r))
		return r;
	if (!total && !(out && n == 1))
		return 0;
	if (n == 1)
		return out ? vos_send(w, iov->iov_base, total, dontwait, how)
			   : vos_recv(w, iov->iov_base, total, dontwait, how);
	return out ? vos_send_msg(w, &m, dontwait, how) : vos_recv_msg(w, &m, dontwait, how);
}

/* --- the system calls ----------------------------------------------------------------------- */

static long send_local(long fd, const struct msghdr *m, long flags)
{
	if (unlikely(vos_pass_any(m)))
		return vos_pass_send(fd, m, flags);
	return vos_local(SYS_sendmsg, fd, (long)m, flags, 0, 0, 0);
}

long vos_sys_sendmsg(long fd, long msg, long flags, long a3, long a4, long a5)
{
	const struct msghdr *m = (const struct msghdr *)msg;
	uint64_t w = vos_fd(fd);
	long r;

	(void)a3, (void)a4, (void)a5;
	if (likely(!w))
		return send_local(fd, m, flags);
	r = vos_not_socket(w);
	if (r)
		return r;
	r = vos_send_msg(w, m, flags, vos_wait_of(fd, true));
	return likely(!vos_fd_moved(fd, w, r)) ? r : vos_sys_sendmsg(fd, msg, flags, 0, 0, 0);
}

long vos_sys_recvmsg(long fd, long msg, long flags, long a3, long a4, long a5)
{
	uint64_t w = vos_fd(fd);
	long r;

	(void)a3, (void)a4, (void)a5;
	if (likely(!w)) {
		r = vos_local(SYS_recvmsg, fd, msg, flags, 0, 0, 0);
		if (r >= 0)
			vos_pass_received((const struct msghdr *)msg, flags);
		return r;
	}
	r = vos_not_socket(w);
	if (r)
		return r;
	r = vos_recv_msg(w, (struct msghdr *)msg, flags, vos_wait_of(fd, false));
	return likely(!vos_fd_moved(fd, w, r)) ? r : vos_sys_recvmsg(fd, msg, flags, 0, 0, 0);
}

static long sendmmsg_local(long fd, struct mmsghdr *m, unsigned n, long flags)
{
	bool any = false;
	unsigned i;
	long r = 0;

	if (atomic_load_explicit(&vos_fdtab.nremote, memory_order_relaxed))
		for (i = 0; i < n && i < MESSAGES && !any; i++)
			any = vos_pass_any(&m[i].msg_hdr);
	if (likely(!any))
		return vos_local(SYS_sendmmsg, fd, (long)m, n, flags, 0, 0);
	for (i = 0; i < n && i < MESSAGES; i++) {
		r = send_local(fd, &m[i].msg_hdr, flags);
		if (r < 0)
			break;
		m[i].msg_len = (unsigned)r;
	}
	return i ? (long)i : r;
}

/* An error after the first message is forgotten, as the kernel does; the next call will meet it. */
long vos_sys_sendmmsg(long fd, long msgs, long count, long flags, long a4, long a5)
{
	struct mmsghdr *m = (struct mmsghdr *)msgs;
	unsigned n = (unsigned)count, i;
	uint64_t w = vos_fd(fd);
	struct vos_waits how;
	size_t total;
	long r;

	(void)a4, (void)a5;
	if (likely(!w))
		return sendmmsg_local(fd, m, n, flags);
	r = vos_not_socket(w);
	if (r)
		return r;
	how = vos_wait_of(fd, true);
	for (i = 0; i < n && i < MESSAGES; i++) {
		r = vos_send_msg(w, &m[i].msg_hdr, flags, how);
		if (r < 0)
			break;
		m[i].msg_len = (unsigned)r;
		if (!total_length(&m[i].msg_hdr, &total) && (size_t)r < total) {
			i++;
			break;
		}
	}
	return i ? (long)i : r;
}

/* What is left; false: nothing. */
static bool time_left(struct timespec *t, int64_t deadline)
{
	int64_t left = vos_left(deadline);

	if (left == VOS_FOREVER)
		return true;
	*t = (struct timespec){ left / 1000000000, left % 1000000000 };
	return left > 0;
}

/* The time is looked at after each message only, as the kernel does. */
long vos_sys_recvmmsg(long fd, long msgs, long count, long flags, long timeout, long a5)
{
	struct mmsghdr *m = (struct mmsghdr *)msgs;
	struct timespec *t = (struct timespec *)timeout;
	unsigned n = (unsigned)count, i;
	uint64_t w = vos_fd(fd);
	struct vos_waits how;
	int64_t ns, deadline;
	long r;

	(void)a5;
	if (likely(!w)) {
		r = vos_local(SYS_recvmmsg, fd, msgs, count, flags, timeout, 0);
		for (i = 0; (long)i < r; i++)
			vos_pass_received(&m[i].msg_hdr, flags);
		return r;
	}
	r = vos_not_socket(w);
	if (r)
		return r;
	r = vos_timeout(t, &ns);
	if (r)
		return r;
	deadline = vos_deadline(ns);
	how = vos_wait_of(fd, false);
	for (i = 0; i < n && i < MESSAGES; i++) {
		r = vos_recv_msg(w, &m[i].msg_hdr, flags & ~(long)MSG_WAITFORONE, how);
		if (r < 0)
			break;
		m[i].msg_len = (unsigned)r;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if ((t && !time_left(t, deadline)) || m[i].msg_hdr.msg_flags & MSG_OOB) {
			i++;
			break;
		}
	}
	return i ? (long)i : r;
}
