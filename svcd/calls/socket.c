/* SPDX-License-Identifier: MIT */
/* Sockets: creation, connection, messages, options. Every socket here is non-blocking. */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static long add_socket(struct call *c, int fd, bool nonblock)
{
	struct ofd *o = ofd_new(fd, OFD_SOCKET, nonblock);

	if (!o) {
		close(fd);
		return -ENOMEM;
	}
	return handle_add(c->client, o, VOS_ROOT_NONE);
}

long svcd_call_socket(struct call *c)
{
	int fd = socket((int)c->a[0], (int)c->a[1] | SOCK_NONBLOCK | SOCK_CLOEXEC, (int)c->a[2]);

	return fd < 0 ? -errno : add_socket(c, fd, c->a[1] & SOCK_NONBLOCK);
}

static long park_socket(struct call *c, uint32_t events, int which, bool dontwait)
{
	struct ofd *o = c->ofd[0];

	if (dontwait || o->nonblock || c->timed_out)
		return -EAGAIN;
	if (o->timeout[which])
		call_deadline(c, o->timeout[which]);
	return call_park_on(c, o, events);
}

/* The address goes into the extra block as its length and the bytes. */
static void put_address(void *to, uint32_t room, const struct sockaddr_storage *ss, socklen_t n)
{
	uint32_t len = n;

	if (!to || room < sizeof(len))
		return;
	memcpy(to, &len, sizeof(len));
	memcpy((char *)to + sizeof(len), ss, len < room - sizeof(len) ? len : room - sizeof(len));
}

long svcd_call_accept(struct call *c)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	int fd;

	if (ofd_kind(c->ofd[0]) != OFD_SOCKET)
		return -ENOTSOCK;
	fd = accept4(c->ofd[0]->fd, (struct sockaddr *)&ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return errno == EAGAIN ? park_socket(c, EPOLLIN, 0, false) : -errno;
	put_address((void *)c->a[1], c->len[1], &ss, n);
	return add_socket(c, fd, c->a[3] & SOCK_NONBLOCK);
}

long svcd_call_connect(struct call *c)
{
	struct ofd *o = c->ofd[0];
	struct pollfd p = { o->fd, POLLOUT, 0 };
	int err = 0;
	socklen_t n = sizeof(err);

	if (ofd_kind(o) != OFD_SOCKET)
		return -ENOTSOCK;
	if (!c->step) {
		if (!connect(o->fd, (const struct sockaddr *)c->a[1], (socklen_t)c->a[2]))
			return 0;
		if (errno != EINPROGRESS || o->nonblock)
			return -errno;
		c->step = 1;
	} else if (poll(&p, 1, 0) > 0) {
		if (getsockopt(o->fd, SOL_SOCKET, SO_ERROR, &err, &n))
			return -errno;
		return -err;
	}
	return c->timed_out ? -EINPROGRESS : park_socket(c, EPOLLOUT, 1, false);
}

/* --- messages --------------------------------------------------------------------------------------- */

/* Block: struct vos_msg, then name, control and data, each aligned. */
static long take_msg(const void *block, uint32_t len, struct vos_msg *m, char *part[3])
{
	const char *p = block;
	size_t need = sizeof(*m);

	if (!p || len < sizeof(*m))
		return CALL_BREAK;
	memcpy(m, p, sizeof(*m));
	if (m->name > sizeof(struct sockaddr_storage) || m->control > VOS_IO_MAX ||
	    m->data > VOS_IO_MAX)
		return CALL_BREAK;
	part[0] = (char *)p + need;
	need += VOS_MSG_PART(m->name);
	part[1] = (char *)p + need;
	need += VOS_MSG_PART(m->control);
	part[2] = (char *)p + need;
	need += m->data;
	return need <= len ? 0 : CALL_BREAK;
}

#define CONTROL_MAX 4096

/* Descriptors in a message would be ours, not the program's. */
static bool passes_rights(struct msghdr *m)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h))
		if (h->cmsg_level == SOL_SOCKET &&
		    (h->cmsg_type == SCM_RIGHTS || h->cmsg_type == SCM_CREDENTIALS))
			return true;
	return false;
}

long svcd_call_sendmsg(struct call *c)
{
	_Alignas(8) char control[CONTROL_MAX];
	struct sockaddr_storage name;
	struct vos_msg m;
	struct msghdr msg = { 0 };
	struct iovec iov;
	char *part[3];
	long r = take_msg((const void *)c->a[1], c->len[1], &m, part);

	if (r)
		return r;
	if (ofd_kind(c->ofd[0]) != OFD_SOCKET)
		return -ENOTSOCK;
	if (m.control > sizeof(control))
		return -ENOBUFS;
	/* Private copies: the kernel and passes_rights() must see the same. */
	memcpy(&name, part[0], m.name);
	memcpy(control, part[1], m.control);
	iov = (struct iovec){ part[2] + c->done, m.data - c->done };
	msg.msg_name = m.name && !c->done ? &name : NULL;
	msg.msg_namelen = c->done ? 0 : m.name;
	msg.msg_control = m.control && !c->done ? control : NULL;
	msg.msg_controllen = c->done ? 0 : m.control;
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	if (passes_rights(&msg))
		return -EOPNOTSUPP;
	r = sendmsg(c->ofd[0]->fd, &msg, (int)c->a[3] | MSG_DONTWAIT | MSG_NOSIGNAL);
	if (r >= 0) {
		c->done += (uint64_t)r;
		if (c->done < m.data && !(c->a[3] & MSG_DONTWAIT) && !c->ofd[0]->nonblock)
			r = park_socket(c, EPOLLOUT, 1, false);
		return r == CALL_PARK ? r : (long)c->done;
	}
	r = errno == EAGAIN ? park_socket(c, EPOLLOUT, 1, c->a[3] & MSG_DONTWAIT) : -errno;
	return c->done && r != CALL_PARK ? (long)c->done : r;
}

/* a[3] flags, a[4] room for the name, a[5] room for control; what is left of the block is data. */
long svcd_call_recvmsg(struct call *c)
{
	_Alignas(8) char control[CONTROL_MAX];
	struct sockaddr_storage name;
	struct vos_msg out = { 0 };
	size_t name_room = c->raw[4], control_room = c->raw[5];
	size_t head = sizeof(out) + VOS_MSG_PART(name_room) + VOS_MSG_PART(control_room);
	char *p = (char *)c->a[1];
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	long r;

	if (name_room > sizeof(name) || control_room > VOS_IO_MAX || head > c->len[1])
		return CALL_BREAK;
	if (ofd_kind(c->ofd[0]) != OFD_SOCKET)
		return -ENOTSOCK;
	iov = (struct iovec){ p + head + c->done, c->len[1] - head - c->done };
	msg.msg_name = name_room ? &name : NULL;
	msg.msg_namelen = (socklen_t)name_room;
	msg.msg_control = control_room ? control : NULL;
	msg.msg_controllen = control_room < sizeof(control) ? control_room : sizeof(control);
	r = recvmsg(c->ofd[0]->fd, &msg, (int)c->a[3] | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (r < 0) {
		r = errno == EAGAIN ? park_socket(c, EPOLLIN, 0, c->a[3] & MSG_DONTWAIT) : -errno;
		if (!c->done || r == CALL_PARK)
			return r;
		r = 0;
	}
	if (c->a[3] & MSG_WAITALL && r > 0 && (size_t)r < iov.iov_len && !(c->a[3] & MSG_PEEK) &&
	    !c->ofd[0]->nonblock) {
		c->done += (uint64_t)r;
		r = park_socket(c, EPOLLIN, 0, c->a[3] & MSG_DONTWAIT);
		if (r == CALL_PARK)
			return r;
		r = 0;
	}
	out.full = msg.msg_namelen;
	out.name = msg.msg_name ? msg.msg_namelen : 0;
	if (out.name > name_room)
		out.name = (uint32_t)name_room;
	out.control = (uint32_t)msg.msg_controllen;
	out.data = (uint32_t)(c->done + (uint64_t)r);
	out.flags = (uint32_t)msg.msg_flags;
	memcpy(p, &out, sizeof(out));
	if (out.name)
		memcpy(p + sizeof(out), &name, out.name);
	if (control_room && out.control)
		memcpy(p + sizeof(out) + VOS_MSG_PART(name_room), control, out.control);
	return (long)(c->done + (uint64_t)r);
}

/* --- options and names --------------------------------------------------------------------------------- */

/* Timeouts have no effect on a non-blocking socket: the engine keeps them for parked calls. */
static void note_timeout(struct ofd *o, int name, const void *value, socklen_t n)
{
	struct timeval tv;

	if ((name != SO_RCVTIMEO && name != SO_SNDTIMEO) || n < sizeof(tv))
		return;
	memcpy(&tv, value, sizeof(tv));
	o->timeout[name == SO_SNDTIMEO] = tv.tv_sec * 1000000000ll + tv.tv_usec * 1000;
}

long svcd_call_setsockopt(struct call *c)
{
	char value[4096];
	socklen_t n = c->len[3];

	if (ofd_kind(c->ofd[0]) != OFD_SOCKET)
		return -ENOTSOCK;
	if (n > sizeof(value))
		return -EINVAL;
	/* A pointer in it would be followed in our memory. */
	if (c->a[1] == SOL_SOCKET && (c->a[2] == SO_ATTACH_FILTER || c->a[2] == SO_ATTACH_REUSEPORT_CBPF))
		return -EOPNOTSUPP;
	memcpy(value, (const void *)c->a[3], n);
	if (setsockopt(c->ofd[0]->fd, (int)c->a[1], (int)c->a[2], value, n))
		return -errno;
	if (c->a[1] == SOL_SOCKET)
		note_timeout(c->ofd[0], (int)c->a[2], value, n);
	return 0;
}

long svcd_call_getsockopt(struct call *c)
{
	char value[4096];
	socklen_t n = c->len[3] < sizeof(value) ? c->len[3] : sizeof(value);

	if (ofd_kind(c->ofd[0]) != OFD_SOCKET)
		return -ENOTSOCK;
	/* Some options read the buffer first. */
	memcpy(value, (const void *)c->a[3], n);
	if (getsockopt(c->ofd[0]->fd, (int)c->a[1], (int)c->a[2], value, &n))
		return -errno;
	memcpy((void *)c->a[3], value, n < c->len[3] ? n : c->len[3]);
	return n;
}

static long get_name(struct call *c, int (*fn)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);

	if (ofd_kind(c->ofd[0]) != OFD_SOCKET)
		return -ENOTSOCK;
	if (fn(c->ofd[0]->fd, (struct sockaddr *)&ss, &n))
		return -errno;
	put_address((void *)c->a[1], c->len[1], &ss, n);
	return 0;
}

long svcd_call_getsockname(struct call *c)
{
	return get_name(c, getsockname);
}

long svcd_call_getpeername(struct call *c)
{
	return get_name(c, getpeername);
}
