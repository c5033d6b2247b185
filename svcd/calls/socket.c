/* SPDX-License-Identifier: MIT */
/* Sockets: creation, connection, messages, options. Every socket here is non-blocking. */
#define _GNU_SOURCE
#include "svcd/allowed.h"
#include "svcd/svcd.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static long add_socket(struct call *c, int fd, bool nonblock, bool netlink)
{
	struct ofd *o = ofd_new(fd, OFD_SOCKET, nonblock);

	if (!o) {
		close(fd);
		return -ENOMEM;
	}
	o->desc->netlink = netlink;
	if (c->ofd[0]) { /* accepted: the kernel's socket inherits these, so does ours */
		for (int i = 0; i < 2; i++)
			o->desc->timeout[i] = c->ofd[0]->desc->timeout[i];
		o->desc->lowat = c->ofd[0]->desc->lowat;
	}
	if (c->ofd[0])
		atomic_store(&o->desc->lingers, atomic_load(&c->ofd[0]->desc->lingers));
	return handle_add(c->client, o, VOS_ROOT_NONE);
}

long svcd_call_socket(struct call *c)
{
	int fd;

	if (!allowed_family((int)c->a[0], (int)c->a[2]))
		return -EAFNOSUPPORT;
	fd = socket((int)c->a[0], (int)c->a[1] | SOCK_NONBLOCK | SOCK_CLOEXEC, (int)c->a[2]);
	return fd < 0 ? -errno : add_socket(c, fd, c->a[1] & SOCK_NONBLOCK, c->a[0] == AF_NETLINK);
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
	if (!handle_room(c->client))
		return -EMFILE;
	fd = accept4(c->ofd[0]->fd, (struct sockaddr *)&ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return errno == EAGAIN ? svcd_would_block(c, EPOLLIN, 0, false) : -errno;
	put_address((void *)c->a[1], c->len[1], &ss, n);
	return add_socket(c, fd, c->a[3] & SOCK_NONBLOCK, false);
}

/*
 * Called again when the socket has become writable: the kernel then says how it went, and leaves
 * the socket as a blocking connect would have. Likewise for a connect that a signal has interrupted
 * and that is made again.
 */
long svcd_call_connect(struct call *c)
{
	struct ofd *o = c->ofd[0];

	if (ofd_kind(o) != OFD_SOCKET)
		return -ENOTSOCK;
	if (!connect(o->fd, (const struct sockaddr *)c->a[1], (socklen_t)c->a[2]))
		return 0;
	if (errno == EISCONN && c->step)
		return 0; /* a relative's connect came first */
	if ((errno != EINPROGRESS && errno != EALREADY) || o->desc->nonblock)
		return -errno;
	c->step = 1;
	return c->timed_out ? -EINPROGRESS : svcd_would_block(c, EPOLLOUT, 1, false);
}

/* --- messages ------------------------------------------------------------------------------- */

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
	msg.msg_name = m.name ? &name : NULL;
	msg.msg_namelen = m.name;
	msg.msg_control = m.control ? control : NULL;
	msg.msg_controllen = m.control;
	if (passes_rights(&msg))
		return -EOPNOTSUPP;
	return svcd_send(c, &msg, part[2], m.data, (int)c->a[3]);
}

/* a[3] flags, a[4] room for the name, a[5] room for control; what is left of the block is data. */
long svcd_call_recvmsg(struct call *c)
{
	_Alignas(8) char control[CONTROL_MAX];
	struct sockaddr_storage name;
	struct vos_msg out = { 0 };
	size_t name_room = c->raw[4], control_room = c->raw[5], head;
	char *p = (char *)c->a[1];
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	long r;

	if (!p || name_room > sizeof(name) || control_room > VOS_IO_MAX)
		return CALL_BREAK;
	head = sizeof(out) + VOS_MSG_PART(name_room) + VOS_MSG_PART(control_room);
	if (head > c->len[1])
		return CALL_BREAK;
	if (ofd_kind(c->ofd[0]) != OFD_SOCKET)
		return -ENOTSOCK;
	msg.msg_name = name_room ? &name : NULL;
	msg.msg_namelen = (socklen_t)name_room;
	msg.msg_control = control_room ? control : NULL;
	msg.msg_controllen = control_room < sizeof(control) ? control_room : sizeof(control);
	r = svcd_receive(c, &msg, p + head, c->len[1] - head, (int)c->a[3]);
	if (r < 0 && !c->done)
		return r;
	/* Also when it parks with a part of it: that is the answer if it is taken back. */
	out.full = msg.msg_name ? msg.msg_namelen : 0;
	out.name = out.full < name_room ? out.full : (uint32_t)name_room;
	out.control = control_room ? (uint32_t)msg.msg_controllen : 0;
	out.data = (uint32_t)c->done;
	/* The kernel gives back the flag that is always ours. */
	out.flags = ((uint32_t)msg.msg_flags & ~(uint32_t)MSG_CMSG_CLOEXEC) |
		    ((uint32_t)c->a[3] & MSG_CMSG_CLOEXEC);
	memcpy(p, &out, sizeof(out));
	memcpy(p + sizeof(out), &name, out.name);
	memcpy(p + sizeof(out) + VOS_MSG_PART(name_room), control, out.control);
	return r;
}

/* --- options and names ---------------------------------------------------------------------- */

/*
 * Options whose value holds an address or a descriptor: they would be looked up here, not in the
 * program. Programs for the kernel, netfilter tables, zero-copy (which would also send a block that
 * has long been given to another call), associations peeled off as new descriptors.
 */
static bool refers_to_us(int level, int name)
{
	switch (level) {
	case SOL_SOCKET:
		return name == SO_ATTACH_BPF || name == SO_ATTACH_REUSEPORT_EBPF ||
		       name == SO_ZEROCOPY || name == 77 /* SO_PEERPIDFD */;
	case IPPROTO_TCP:
		return name == TCP_ZEROCOPY_RECEIVE;
	case 132: /* SOL_SCTP */
		return true;
	default:
		return !allowed_name(level, name);
	}
}

/* Timeouts have no effect on a non-blocking socket: the engine keeps them for parked calls. */
static void note_timeout(struct ofd *o, int name, const void *value, socklen_t n)
{
	struct timeval tv;
	int64_t ns;

	if ((name != SO_RCVTIMEO && name != SO_SNDTIMEO) || n < sizeof(tv))
		return;
	memcpy(&tv, value, sizeof(tv));
	if (tv.tv_sec < 0)
		ns = 1; /* to the kernel: do not wait */
	else if (tv.tv_sec > INT64_MAX / 1000000000 - 1)
		ns = 0;
	else
		ns = tv.tv_sec * 1000000000ll + tv.tv_usec * 1000;
	o->desc->timeout[name == SO_SNDTIMEO] = ns;
}

static void note_linger(struct ofd *o, int name, const void *value, socklen_t n)
{
	struct linger l;

	if (name != SO_LINGER || n < sizeof(l))
		return;
	memcpy(&l, value, sizeof(l));
	atomic_store(&o->desc->lingers, l.l_onoff && l.l_linger);
}

/* Of no effect on a non-blocking socket either. What the kernel has made of the value counts. */
static void note_lowat(struct ofd *o)
{
	int mark = 0;
	socklen_t n = sizeof(mark);

	if (svcd_is_stream(o) && !getsockopt(o->fd, SOL_SOCKET, SO_RCVLOWAT, &mark, &n))
		o->desc->lowat = mark;
}

/* The value is the filter itself. */
static long attach_filter(struct ofd *o, int name, void *value, socklen_t n)
{
	struct sock_fprog prog = { (unsigned short)(n / sizeof(struct sock_filter)), value };

	return setsockopt(o->fd, SOL_SOCKET, name, &prog, sizeof(prog)) ? -errno : 0;
}

long svcd_call_setsockopt(struct call *c)
{
	_Alignas(8) char value[4096];
	int level = (int)c->a[1], name = (int)c->a[2];
	socklen_t n = c->len[3];

	if (ofd_kind(c->ofd[0]) != OFD_SOCKET)
		return -ENOTSOCK;
	if (n > sizeof(value))
		return -EINVAL;
	if (refers_to_us(level, name))
		return -EOPNOTSUPP;
	if (!allowed_level(level))
		return -ENOPROTOOPT;
	if (!c->a[3] && c->raw[4])
		return -EFAULT;
	if (n)
		memcpy(value, (const void *)c->a[3], n);
	if (level == SOL_SOCKET && (name == SO_ATTACH_FILTER || name == SO_ATTACH_REUSEPORT_CBPF))
		return attach_filter(c->ofd[0], name, value, n);
	if (setsockopt(c->ofd[0]->fd, level, name, value, n))
		return -errno;
	if (level == SOL_SOCKET) {
		note_timeout(c->ofd[0], name, value, n);
		note_linger(c->ofd[0], name, value, n);
		if (name == SO_RCVLOWAT)
			note_lowat(c->ofd[0]);
	}
	return 0;
}

long svcd_call_getsockopt(struct call *c)
{
	char value[4096];
	int level = (int)c->a[1], name = (int)c->a[2];
	socklen_t n = c->len[3] < sizeof(value) ? c->len[3] : sizeof(value);

	if (ofd_kind(c->ofd[0]) != OFD_SOCKET)
		return -ENOTSOCK;
	if (refers_to_us(level, name))
		return -EOPNOTSUPP;
	if (!allowed_level(level))
		return -ENOPROTOOPT;
	/* Some options read the buffer first. */
	if (n)
		memcpy(value, (const void *)c->a[3], n);
	if (getsockopt(c->ofd[0]->fd, level, name, value, &n))
		return -errno;
	if (c->len[3])
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
