/* SPDX-License-Identifier: MIT */
/*
 * Answers: some that a service may give, so that programs get somewhere, and some that none may.
 * Data is of the form that the call has, with each length in it now and then wrong.
 */
#define _GNU_SOURCE
#include "test/fuzz/service.h"
#include "ring/calls_table.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

static bool wild(const struct victim *v)
{
	return v->wildness && !below(v->wildness);
}

/* Numbers about which a program may be careless. */
static int64_t odd_number(uint64_t room)
{
	const int64_t some[] = {
		-1,
		-EINTR,
		-EAGAIN,
		-ENOLINK,
		-512,
		-4095,
		VOS_REDIRECT,
		-4097,
		INT64_MIN,
		INT64_MAX,
		INT32_MAX,
		UINT32_MAX,
		1,
		5,
		(int64_t)room,
		(int64_t)room + 1,
		(int64_t)room + 8,
		1ll << 48,
		1ll << 51,
		VOS_HANDLE_MASK,
	};

	return below(8) ? PICK(some) : (int64_t)random_bits();
}

/* A length for a field: right, or not. */
static uint32_t length(struct victim *v, uint32_t right)
{
	const uint32_t some[] = { 0,	      1,	  right + 1, right + 8, 0x7fffffff,
				  0xffffffff, 0xfffffff8, right * 2, 128,	129 };

	return wild(v) ? PICK(some) : right;
}

/* --- forms ------------------------------------------------------------------------------------ */

static size_t fill_entries(struct victim *v, uint8_t *p, size_t room)
{
	const size_t head = offsetof(struct dirent64, d_name);
	size_t at = 0;

	while (room - at >= head + 16 && below(8)) {
		struct dirent64 *d = (struct dirent64 *)(p + at);

		d->d_ino = random_bits();
		d->d_off = (int64_t)random_bits();
		d->d_reclen = (uint16_t)length(v, (uint32_t)head + 13);
		d->d_type = (uint8_t)below(16);
		memset(d->d_name, 'a' + (int)below(26), 13);
		if (!wild(v))
			d->d_name[below(13)] = 0;
		at += head + 13;
	}
	return at;
}

static size_t fill_names(struct victim *v, uint8_t *p, size_t room)
{
	size_t n = room && below(4) ? 1 + below(room) : room;

	for (size_t i = 0; i < n; i++)
		p[i] = below(5) ? (uint8_t)('a' + below(26)) : 0;
	if (n && !wild(v))
		p[n - 1] = 0;
	return n;
}

static size_t fill_path(struct victim *v, uint8_t *p, size_t room)
{
	size_t n = fill_names(v, p, room);

	for (size_t i = 0; i + 1 < n; i++)
		p[i] = i % 7 ? 'p' : '/';
	return n;
}

static size_t fill_where(struct victim *v, uint8_t *p, size_t room)
{
	struct vos_where w = { .root = wild(v) ? (uint32_t)random_bits() : (uint32_t)below(4) };

	if (room < sizeof(w))
		return 0;
	memcpy(p, &w, sizeof(w));
	return sizeof(w) + fill_path(v, p + sizeof(w), room - sizeof(w));
}

static size_t fill_events(struct victim *v, uint8_t *p, size_t room)
{
	struct epoll_event *ev = (struct epoll_event *)p;
	size_t n = room / sizeof(*ev);

	n = n ? below(n < 8 ? n + 1 : 8) : 0;
	for (size_t i = 0; i < n; i++) {
		ev[i].events = (uint32_t)(below(2) ? EPOLLIN : random_bits());
		ev[i].data.u64 = wild(v) ? random_bits() : below(64);
	}
	return n;
}

static size_t fill_poll(struct victim *v, uint8_t *p, size_t room)
{
	struct vos_pollfd *fd = (struct vos_pollfd *)p;
	size_t found = 0;

	for (size_t i = 0; i < room / sizeof(*fd); i++) {
		fd[i].handle = random_bits();
		fd[i].pad = (uint32_t)random_bits();
		fd[i].revents = (int16_t)(wild(v) ? random_bits() : below(2) ? POLLIN : 0);
		found += fd[i].revents != 0;
	}
	return found;
}

/* Ancillary data: each with a length, of a level and a type. */
static uint32_t fill_control(struct victim *v, uint8_t *p, size_t room)
{
	size_t at = 0;

	while (room - at >= CMSG_SPACE(8) && below(4)) {
		struct cmsghdr *h = (struct cmsghdr *)(p + at);

		h->cmsg_len = length(v, CMSG_LEN(8));
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = wild(v) ? SCM_RIGHTS : SO_TIMESTAMP;
		memset(CMSG_DATA(h), (int)below(4),
		       8); /* descriptors of the program, if it believes it */
		at += CMSG_SPACE(8);
	}
	return length(v, (uint32_t)at);
}

static size_t fill_message(struct victim *v, uint8_t *p, size_t room, const uint64_t arg[6])
{
	size_t name = arg[4] <= 128 ? arg[4] : 0, control = arg[5] <= room / 2 ? arg[5] : 0;
	size_t head = sizeof(struct vos_msg) + VOS_MSG_PART(name) + VOS_MSG_PART(control);
	struct vos_msg m = { .name = length(v, name ? 16 : 0),
			     .full = length(v, name ? 16 : 0),
			     .flags = (uint32_t)(wild(v) ? random_bits() : 0) };

	if (room < head)
		return 0;
	m.control = fill_control(v, p + sizeof(m) + VOS_MSG_PART(name), control);
	m.data = (uint32_t)(room - head);
	memcpy(p, &m, sizeof(m));
	random_fill(p + sizeof(m), 16);
	return below(room - head + 1);
}

static void fill_address(struct victim *v, uint8_t *p, size_t room)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = (in_port_t)random_bits() };
	uint32_t len = length(v, sizeof(sa));

	if (room < sizeof(len) + sizeof(sa))
		return;
	memcpy(p, &len, sizeof(len));
	memcpy(p + sizeof(len), &sa, sizeof(sa));
}

/* A file that is large enough for whatever is wanted of it, mostly. */
static void fill_stat(struct victim *v, uint8_t *p, size_t room)
{
	struct stat st = { .st_mode = (below(4) ? S_IFREG : S_IFDIR) | 0755,
			   .st_size = (off_t)below(100000),
			   .st_blksize = 4096,
			   .st_nlink = 1 };

	if (wild(v))
		random_fill(&st, sizeof(st));
	memcpy(p, &st, room < sizeof(st) ? room : sizeof(st));
}

/* "The path goes on elsewhere." */
static void fill_redirect(struct victim *v, uint8_t *p, size_t room)
{
	static const char *const paths[] = { "/", "/remote/g", "/tmp", "..",
					     "/remote/../remote/h" };
	const char *path = PICK(paths);
	struct vos_redirect r = { .which = length(v, (uint32_t)below(2)),
				  .root = below(2) ? VOS_ROOT_NONE : length(v, 0),
				  .len = length(v, (uint32_t)strlen(path)) };

	if (room < sizeof(r) + strlen(path) + 1)
		return;
	memcpy(p, &r, sizeof(r));
	memcpy(p + sizeof(r), path, strlen(path) + 1);
}

/* --- the answer ------------------------------------------------------------------------------- */

/* The block of the service's area that @ref names, if it is one. */
static uint8_t *block(const struct victim *v, uint64_t ref, size_t *room)
{
	size_t off = VOS_REF_OFF(ref), len = VOS_REF_LEN(ref);
	size_t end = VOS_SERVICE_SIZE(v->lanes, v->pool);

	*room = 0;
	if (ref == VOS_REF_NULL || off < VOS_SERVICE_DATA(v->lanes) || off + len > end)
		return NULL;
	*room = len;
	return v->service + off;
}

/* Fill the block; what there is to be told about it. */
static int64_t fill(struct victim *v, uint16_t op, const uint64_t arg[6], uint8_t *p, size_t room)
{
	switch (op) {
	case VOS_OP_getdents64:
		return (int64_t)fill_entries(v, p, room);
	case VOS_OP_listxattr:
	case VOS_OP_llistxattr:
	case VOS_OP_flistxattr:
		return (int64_t)fill_names(v, p, room);
	case VOS_OP_getcwd:
		return (int64_t)fill_where(v, p, room);
	case VOS_OP_epoll_wait:
		return (int64_t)fill_events(v, p, room);
	case VOS_OP_poll:
		return (int64_t)fill_poll(v, p, room);
	case VOS_OP_recvmsg:
		return (int64_t)fill_message(v, p, room, arg);
	case VOS_OP_accept:
	case VOS_OP_getsockname:
	case VOS_OP_getpeername:
		fill_address(v, p, room);
		return 0;
	case VOS_OP_fstat:
	case VOS_OP_newfstatat:
		fill_stat(v, p, room);
		return 0;
	case VOS_OP_read:
	case VOS_OP_recv:
	case VOS_OP_readlinkat:
	case VOS_OP_getxattr:
	case VOS_OP_lgetxattr:
	case VOS_OP_fgetxattr:
	case VOS_OP_getsockopt:
		random_fill(p, room < 256 ? room : 256);
		return (int64_t)(room ? below(room + 1) : 0);
	case VOS_OP_ioctl:
		random_fill(p, room);
		return (int64_t)room;
	default:
		random_fill(p, room < 4096 ? room : 4096);
		return 0;
	}
}

static bool makes_handle(uint16_t op)
{
	return op == VOS_OP_openat || op == VOS_OP_socket || op == VOS_OP_accept ||
	       op == VOS_OP_dup || op == VOS_OP_epoll_create;
}

/* Of ops without data that have more to say than that it worked. */
static int64_t number(uint16_t op, const uint64_t arg[6])
{
	switch (op) {
	case VOS_OP_write:
	case VOS_OP_send:
		return (int64_t)(VOS_REF_LEN(arg[1]) ? 1 + below(VOS_REF_LEN(arg[1])) : 0);
	case VOS_OP_copy:
	case VOS_OP_sendfile:
		return (int64_t)below(100);
	case VOS_OP_lseek:
		return (int64_t)below(1 << 20);
	case VOS_OP_fcntl:
		return 2; /* O_RDWR */
	default:
		return 0;
	}
}

/* Little data needs no block: it comes in the entry. */
static int64_t fill_entry(struct vos_entry *e, uint64_t room)
{
	random_fill(e->arg, sizeof(e->arg));
	return (int64_t)below(room <= VOS_INLINE ? room + 1 : 1);
}

int64_t make_answer(struct victim *v, struct vos_entry *e)
{
	uint64_t arg[6];
	uint16_t op = e->op;
	int64_t r, extra = e->result;
	size_t room = 0, most = 0;
	uint8_t *p;

	memcpy(arg, e->arg, sizeof(arg));
	if (op >= VOS_NOPS)
		return -ENOSYS;
	r = number(op, arg);
	for (int i = 0; i < 6; i++) {
		enum vos_kind kind = VOS_ARG_KIND(vos_ops[op].arg[i]);

		if (kind != VOS_K_O && kind != VOS_K_OE && kind != VOS_K_OF)
			continue;
		p = block(v, arg[i], &room);
		if (p)
			r = fill(v, op, arg, p, room);
		else if (kind == VOS_K_OE && arg[i] == VOS_REF_NULL)
			r = fill_entry(e, arg[VOS_ARG_N(vos_ops[op].arg[i])]);
		most = room > most ? room : most;
	}
	if (makes_handle(op))
		r = (int64_t)VOS_HANDLE(1 + below(64), 1 + below(4));
	p = block(v, (uint64_t)extra, &room);
	if (p && !below(6)) {
		fill_redirect(v, p, room);
		return VOS_REDIRECT;
	}
	if (!below(12))
		return -(int64_t)(1 + below(130));
	return wild(v) ? odd_number(most) : r;
}
