/* SPDX-License-Identifier: MIT */
/*
 * Marshalling by the table of ops: which arguments are handles, paths, data going out or coming in.
 * Data lies in one block for each direction, each piece aligned to 8 bytes; a path call has room
 * for a redirect at the end of the incoming one.
 */
#define _GNU_SOURCE
#include "preload/proc.h"
#include "ring/calls_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/xattr.h>

#define ALIGN8(n)    (((n) + 7) & ~(size_t)7)
#define REDIRECT_MIN (sizeof(struct vos_redirect) + 512)

struct sizes {
	size_t out, in, redirect; /* redirect: part of in */
	size_t len[6];
};

static bool has_path(const struct vos_op_desc *d)
{
	for (int i = 0; i < 6; i++)
		if (VOS_ARG_KIND(d->arg[i]) == VOS_K_A)
			return true;
	return false;
}

static long measure(const struct vos_op_desc *d, const uint64_t a[6], struct sizes *s)
{
	s->out = s->in = s->redirect = 0;
	for (int i = 0; i < 6; i++) {
		vos_arg_t arg = d->arg[i];
		size_t n = 0;

		s->len[i] = 0;
		if (!a[i] && VOS_ARG_KIND(arg) == VOS_K_S)
			return -EFAULT;
		if (!a[i])
			continue;
		switch (VOS_ARG_KIND(arg)) {
		case VOS_K_P:
		case VOS_K_S:
			n = strlen((const char *)a[i]) + 1;
			if (n > VOS_PATH_MAX)
				return -ENAMETOOLONG;
			s->out += ALIGN8(n);
			break;
		case VOS_K_I:
			n = a[VOS_ARG_N(arg)];
			if (n > VOS_IO_MAX / 2)
				return d->nr == SYS_bind || d->nr == SYS_connect ? -EINVAL : -E2BIG;
			s->out += ALIGN8(n);
			break;
		case VOS_K_IF:
			n = VOS_ARG_N(arg);
			s->out += ALIGN8(n);
			break;
		case VOS_K_O:
			n = a[VOS_ARG_N(arg)];
			if (n > VOS_IO_MAX / 2)
				n = VOS_IO_MAX / 2;
			s->in += ALIGN8(n);
			break;
		case VOS_K_OF:
			n = VOS_ARG_N(arg);
			s->in += ALIGN8(n);
			break;
		default:
			break;
		}
		s->len[i] = n;
	}
	if (has_path(d))
		s->redirect = REDIRECT_MIN;
	return 0;
}

/* False: a handle or base is not of the channel that the request has been begun on. */
static bool fill(const struct vos_op_desc *d, struct vos_req *q, const uint64_t a[6],
		 const struct sizes *s, const uint8_t *back[6])
{
	size_t out = 0, in = 0;

	for (int i = 0; i < 6; i++) {
		vos_arg_t arg = d->arg[i];

		q->e->arg[i] = a[i];
		back[i] = NULL;
		switch (VOS_ARG_KIND(arg)) {
		case VOS_K_H:
			if (unlikely(!vos_req_knows(q, a[i])))
				return false;
			q->e->arg[i] = VOS_WORD_HANDLE(a[i]);
			break;
		case VOS_K_A:
			if (unlikely(VOS_BASE_INC(a[i]) != q->c->incarnation))
				return false;
			q->e->arg[i] = VOS_BASE_PLAIN(a[i]);
			break;
		case VOS_K_P:
		case VOS_K_S:
		case VOS_K_I:
		case VOS_K_IF:
			if (!a[i] || !s->len[i]) {
				q->e->arg[i] = VOS_REF_NULL;
				break;
			}
			memcpy(vos_req_out_ptr(q) + out, (const void *)a[i], s->len[i]);
			q->e->arg[i] = VOS_REF(q->out.off + out, s->len[i]);
			out += ALIGN8(s->len[i]);
			break;
		case VOS_K_O:
		case VOS_K_OF:
			if (!a[i] || !s->len[i]) { /* a question for the size needs no room */
				q->e->arg[i] = VOS_REF_NULL;
				break;
			}
			back[i] = vos_req_in_ptr(q) + in;
			q->e->arg[i] = VOS_REF(q->in.off + in, s->len[i]);
			in += ALIGN8(s->len[i]);
			break;
		default:
			break;
		}
	}
	if (s->redirect)
		q->e->result = (int64_t)VOS_REF(q->in.off + in, q->in.size - in);
	return true;
}

/* Room for data coming in whose length is the answer; -1: none was given. */
static int room_arg(const struct vos_op_desc *d, const uint8_t *back[6])
{
	for (int i = 0; i < 6; i++)
		if (back[i] && VOS_ARG_KIND(d->arg[i]) == VOS_K_O)
			return i;
	return -1;
}

/* What an op may answer at most, if it is no error. */
static long most(enum vos_op op, const uint64_t a[6], const struct sizes *s, int room)
{
	if (room >= 0)
		return (long)s->len[room];
	switch (op) {
	case VOS_OP_openat:
		return VOS_HANDLE_MASK;
	case VOS_OP_copy:
		return (long)a[4];
	case VOS_OP_sendfile:
		return (long)a[3];
	case VOS_OP_lseek:
		return INT64_MAX;
	case VOS_OP_fcntl:
		return INT32_MAX;
	case VOS_OP_ioctl:
	case VOS_OP_fgetxattr: /* of these the size, when it is asked for */
	case VOS_OP_flistxattr:
	case VOS_OP_getxattr:
	case VOS_OP_lgetxattr:
	case VOS_OP_listxattr:
	case VOS_OP_llistxattr:
		return VOS_IO_MAX;
	default:
		return 0;
	}
}

static void copy_back(const struct vos_op_desc *d, const uint64_t a[6], const struct sizes *s,
		      const uint8_t *back[6], long r)
{
	for (int i = 0; i < 6; i++) {
		size_t n = VOS_ARG_KIND(d->arg[i]) == VOS_K_O ? (size_t)r : s->len[i];

		if (back[i])
			memcpy((void *)a[i], back[i], n);
	}
}

/* Entries of a directory, one behind the other, each with a name that ends. */
static bool are_entries(const char *p, size_t n)
{
	const size_t head = offsetof(struct dirent64, d_name);
	uint16_t len;

	for (; n; p += len, n -= len) {
		if (n <= head)
			return false;
		memcpy(&len, p + offsetof(struct dirent64, d_reclen), sizeof(len));
		if (len <= head || len > n || !memchr(p + head, 0, len - head))
			return false;
	}
	return true;
}

/* What callers go through without a look at its end must be in the form that the kernel has. */
static bool well_formed(enum vos_op op, char *p, size_t n)
{
	switch (op) {
	case VOS_OP_getdents64:
		return are_entries(p, n);
	case VOS_OP_flistxattr:
	case VOS_OP_listxattr:
	case VOS_OP_llistxattr:
		return !n || !p[n - 1];
	default:
		return true;
	}
}

static void end_strings(struct utsname *u)
{
	char(*field)[sizeof(u->sysname)] = (void *)u;

	for (size_t i = 0; i < sizeof(*u) / sizeof(*field); i++)
		field[i][sizeof(*field) - 1] = 0;
}

static long take_answer(enum vos_op op, struct vos_req *q, const uint64_t a[6],
			const struct sizes *s, const uint8_t *back[6], long r)
{
	const struct vos_op_desc *d = &vos_ops[op];
	int room = room_arg(d, back);

	if (unlikely((uint64_t)r > (uint64_t)most(op, a, s, room)))
		return vos_req_breach(q);
	copy_back(d, a, s, back, r);
	if (room >= 0 && !well_formed(op, (char *)a[room], (size_t)r))
		return vos_req_breach(q);
	if (op == VOS_OP_uname)
		end_strings((struct utsname *)a[0]);
	return op == VOS_OP_openat ? vos_req_handle(q, r) : r;
}

/* Read once, checked, copied: the service may change it at any time. */
static long take_redirect(struct vos_req *q, struct vos_redirect_buf *rd)
{
	const struct vos_redirect *r =
		(const struct vos_redirect *)(vos_req_in_ptr(q) + q->in.size - q->redirect_size);
	uint32_t n = *(volatile const uint32_t *)&r->len;

	if (n >= VOS_PATH_MAX || n + sizeof(*r) + 1 > q->redirect_size)
		return vos_req_breach(q);
	rd->r.which = *(volatile const uint32_t *)&r->which;
	rd->r.root = *(volatile const uint32_t *)&r->root;
	rd->r.len = n;
	memcpy(rd->r.path, r->path, n);
	rd->r.path[n] = 0;
	if (rd->r.which > 1 || strlen(rd->r.path) != n)
		return vos_req_breach(q);
	return VOS_REDIRECT;
}

/* Calls that the kernel never restarts after a handler has run. */
static enum vos_wait wait_of(enum vos_op op)
{
	switch (op) {
	case VOS_OP_poll:
	case VOS_OP_epoll_wait:
		return VOS_WAIT_ONCE;
	default:
		return VOS_WAIT_RESTART;
	}
}

long vos_forward(enum vos_op op, unsigned dom, const uint64_t a[6], struct vos_redirect_buf *rd)
{
	const struct vos_op_desc *d = &vos_ops[op];
	const uint8_t *back[6];
	struct sizes s;
	struct vos_req q;
	long r = measure(d, a, &s);

	if (r)
		return r;
	r = vos_req_begin(&q, dom, op);
	if (r)
		return r;
	if (s.out)
		r = vos_req_out(&q, s.out, s.out);
	if (!r && s.in + s.redirect)
		r = vos_req_in(&q, s.in + s.redirect, s.in + s.redirect);
	if (r)
		goto out;
	q.redirect_size = rd && s.redirect ? q.in.size - s.in : 0;
	r = fill(d, &q, a, &s, back) ? vos_req_run(&q, wait_of(op)) : -ENOLINK;
	if (r >= 0)
		r = take_answer(op, &q, a, &s, back, r);
	else if (r == VOS_REDIRECT)
		r = rd == VOS_REDIRECT_UNREAD ? r : take_redirect(&q, rd);
out:
	vos_req_end(&q);
	return r;
}

long vos_forward_fd(enum vos_op op, uint64_t word, const long a[6])
{
	uint64_t b[6];
	long r;

	if (VOS_WORD_KIND(word) == VOS_FD_EPOLL && vos_ops[op].nr >= 0) /* its real one is right */
		return vos_raw6(vos_ops[op].nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (!vos_current(word) || VOS_WORD_KIND(word) == VOS_FD_OURS)
		return vos_dead(word, false);
	for (int i = 0; i < 6; i++)
		b[i] = (uint64_t)a[i];
	b[0] = word;
	r = vos_forward(op, VOS_WORD_DOMAIN(word), b, NULL);
	return r == -ENOLINK ? vos_dead(word, false) : r;
}

/* --- paths ---------------------------------------------------------------------------------- */

/* The AT_ flags of a call that has some. */
static long at_flags(enum vos_op op, const long a[6])
{
	switch (op) {
	case VOS_OP_newfstatat:
	case VOS_OP_faccessat2:
	case VOS_OP_utimensat:
		return a[3];
	case VOS_OP_statx:
		return a[2];
	case VOS_OP_fchownat:
	case VOS_OP_linkat:
		return a[4];
	default:
		return 0;
	}
}

static int route_how(enum vos_op op, const long a[6], int which)
{
	long flags = at_flags(op, a);
	int how = flags & AT_EMPTY_PATH && !which ? VOS_ROUTE_EMPTY : 0;

	switch (op) {
	case VOS_OP_utimensat:
		if (!a[1]) /* futimens */
			how |= VOS_ROUTE_EMPTY;
		/* fall through */
	case VOS_OP_newfstatat:
	case VOS_OP_faccessat2:
	case VOS_OP_statx:
	case VOS_OP_fchownat:
		return how | (flags & AT_SYMLINK_NOFOLLOW ? VOS_ROUTE_NOFOLLOW : 0);
	case VOS_OP_linkat:
		if (which)
			return how | VOS_ROUTE_NOFOLLOW | VOS_ROUTE_PARENT;
		return how | (flags & AT_SYMLINK_FOLLOW ? 0 : VOS_ROUTE_NOFOLLOW);
	case VOS_OP_fchmodat:
	case VOS_OP_truncate:
	case VOS_OP_statfs:
	case VOS_OP_setxattr:
	case VOS_OP_getxattr:
	case VOS_OP_listxattr:
	case VOS_OP_removexattr:
		return 0;
	case VOS_OP_readlinkat: /* of a descriptor that is a symlink, opened with O_PATH */
		return VOS_ROUTE_NOFOLLOW | VOS_ROUTE_EMPTY;
	case VOS_OP_lsetxattr:
	case VOS_OP_lgetxattr:
	case VOS_OP_llistxattr:
	case VOS_OP_lremovexattr:
		return VOS_ROUTE_NOFOLLOW;
	default:
		return VOS_ROUTE_NOFOLLOW | VOS_ROUTE_PARENT;
	}
}

/* System calls on one path that know no directory: their op has one all the same, AT_FDCWD. */
static bool without_dir(enum vos_op op)
{
	return op == VOS_OP_truncate || op == VOS_OP_statfs ||
	       (op >= VOS_OP_setxattr && op <= VOS_OP_lremovexattr);
}

static long local_call(enum vos_op op, const long a[6], const int at[2], int n,
		       const struct vos_route r[2])
{
	long b[6];

	memcpy(b, a, sizeof(b));
	for (int i = 0; i < n; i++) {
		b[at[i]] = r[i].dirfd;
		b[at[i] + 1] = (long)r[i].path;
	}
	if (without_dir(op))
		return vos_raw5(vos_ops[op].nr, b[1], b[2], b[3], b[4], b[5]);
	return vos_raw6(vos_ops[op].nr, b[0], b[1], b[2], b[3], b[4], b[5]);
}

static long remote_call(enum vos_op op, const long a[6], const int at[2], int n,
			const struct vos_route r[2], struct vos_redirect_buf *rd)
{
	uint64_t b[6];

	for (int i = 0; i < 6; i++)
		b[i] = (uint64_t)a[i];
	for (int i = 0; i < n; i++) {
		b[at[i]] = r[i].base;
		b[at[i] + 1] = (uint64_t)r[i].path;
	}
	return vos_forward(op, (unsigned)r[0].dom, b, rd);
}

static int path_args(enum vos_op op, int at[2])
{
	int n = 0;

	for (int i = 0; i < 6 && n < 2; i++)
		if (VOS_ARG_KIND(vos_ops[op].arg[i]) == VOS_K_A)
			at[n++] = i;
	return n;
}

/* Whatever the path is: flags that are no more than what every kernel takes. */
static bool usual(enum vos_op op, const long a[6])
{
	const int empty = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
	const struct timespec *t = (const struct timespec *)a[2];

	switch (op) {
	case VOS_OP_newfstatat:
		return !((int)a[3] & ~(empty | AT_NO_AUTOMOUNT));
	case VOS_OP_statx:
		return !((int)a[2] & ~(empty | AT_NO_AUTOMOUNT)) && (int)a[3] >= 0;
	case VOS_OP_faccessat2:
		return !((int)a[2] & ~7) && !((int)a[3] & ~(empty | AT_EACCESS));
	case VOS_OP_readlinkat:
		return (int)a[3] > 0;
	case VOS_OP_unlinkat:
		return !((int)a[2] & ~AT_REMOVEDIR);
	case VOS_OP_mknodat:
		return !(a[2] & S_IFMT & ~(S_IFREG | S_IFIFO)) &&
		       (a[2] & S_IFMT) != (S_IFREG | S_IFIFO);
	case VOS_OP_fchownat:
		return !((int)a[4] & ~empty);
	case VOS_OP_utimensat:
		return !((int)a[3] & ~empty) && (!t || ((unsigned long)t[0].tv_nsec < 1000000000 &&
							(unsigned long)t[1].tv_nsec < 1000000000));
	case VOS_OP_linkat:
		return !((int)a[4] & ~(AT_EMPTY_PATH | AT_SYMLINK_FOLLOW));
	case VOS_OP_renameat2:
		return (unsigned)a[4] <= RENAME_EXCHANGE;
	case VOS_OP_truncate:
		return a[2] >= 0;
	case VOS_OP_setxattr:
	case VOS_OP_lsetxattr:
		return !((int)a[5] & ~(XATTR_CREATE | XATTR_REPLACE)) &&
		       (size_t)a[4] <= XATTR_SIZE_MAX;
	default:
		return true;
	}
}

/*
 * What a kernel refuses before it looks at the path: ours knows, if it is asked with paths that it
 * cannot read. 1: nothing.
 */
static long refused(enum vos_op op, const long a[6], const int at[2], int n)
{
	struct vos_route nowhere[2];
	long r;

	for (int i = 0; i < n; i++) {
		nowhere[i].dirfd = a[at[i]];
		nowhere[i].path = (const char *)-1;
	}
	r = local_call(op, a, at, n, nowhere);
	return r == -EFAULT ? 1 : r;
}

/* @room: NULL, or for what takes more than the paths as they are. */
static long forward_in(struct vos_room *room, enum vos_op op, const long a[6], const int at[2],
		       int n)
{
	struct vos_route route[2];
	const struct vos_redirect *rd;
	bool settled = false;
	int hops = 0;
	long r;

	for (int i = 0; i < n; i++) {
		route[i].buf = room ? room->buf[i] : NULL;
		r = vos_route(&route[i], a[at[i]], (const char *)a[at[i] + 1], route_how(op, a, i));
		if (r)
			return r;
	}
	for (;;) {
		bool again = false;

		if (route[0].dom == VOS_TO_DENY || (n > 1 && route[1].dom == VOS_TO_DENY))
			return -EACCES;
		if (n > 1 && route[0].dom != route[1].dom) {
			if (settled)
				return vos_cross_error(op, a);
			if (!room)
				return VOS_NO_ROOM;
			settled = true;
			for (int i = 0; i < n; i++) {
				r = vos_settle(&route[i], route_how(op, a, i));
				if (r)
					return r;
			}
			continue;
		}
		if (route[0].dom == VOS_TO_LOCAL) {
			r = local_call(op, a, at, n, route);
			for (int i = 0; r < 0 && i < n; i++)
				again |= vos_route_again(&route[i], r, route_how(op, a, i));
			if (again && !room)
				return VOS_NO_ROOM;
			if (again && ++hops <= VOS_HOPS_MAX)
				continue;
			/* A directory that exists only as the way to a prefix is no symlink. */
			if (r == -ENOENT && op == VOS_OP_readlinkat && vos_route_above(&route[0]))
				r = -EINVAL;
			return r;
		}
		r = remote_call(op, a, at, n, route, room ? &room->rd : VOS_REDIRECT_UNREAD);
		if (r != VOS_REDIRECT)
			return r == -ENOLINK ? -EIO : r;
		if (!room)
			return VOS_NO_ROOM;
		settled = false;
		rd = &room->rd.r;
		r = vos_reroute(&route[n > 1 ? rd->which : 0], rd, &hops,
				route_how(op, a, (int)rd->which));
		if (r)
			return r;
	}
}

static __attribute__((noinline)) long forward_with_room(enum vos_op op, const long a[6],
							const int at[2], int n)
{
	struct vos_room room;

	return forward_in(&room, op, a, at, n);
}

static long forward_routed(enum vos_op op, const long a[6])
{
	int at[2], n = path_args(op, at);
	long r;

	if (unlikely(!usual(op, a))) {
		r = refused(op, a, at, n);
		if (r <= 0)
			return r;
	}
	if (op == VOS_OP_readlinkat &&
	    vos_proc_readlink(a[0], (const char *)a[1], (char *)a[2], (size_t)a[3], &r))
		return r;
	if (op == VOS_OP_readlinkat && !a[1]) /* unlike "" */
		return -EFAULT;
	if (op == VOS_OP_utimensat && !a[1] && a[3] && vos_fd(a[0])) /* likewise */
		return -EINVAL;
	r = forward_in(NULL, op, a, at, n);
	return unlikely(r == VOS_NO_ROOM) ? forward_with_room(op, a, at, n) : r;
}

long vos_forward_at(enum vos_op op, const long a[6])
{
	if (unlikely(vos_files_remote || vos_fdtab.nremote))
		return forward_routed(op, a);
	if (without_dir(op))
		return vos_raw5(vos_ops[op].nr, a[1], a[2], a[3], a[4], a[5]);
	return vos_raw6(vos_ops[op].nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}
