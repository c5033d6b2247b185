/* SPDX-License-Identifier: MIT */
/* Calls on paths: walk to the directory of the last component, then the row's system call there. */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Does the call follow a symlink that its path ends in? */
static enum follow follows(const struct call *c, int which)
{
	switch (c->op) {
	case VOS_OP_newfstatat:
	case VOS_OP_faccessat2:
	case VOS_OP_utimensat:
		return c->a[3] & AT_SYMLINK_NOFOLLOW ? NOFOLLOW : FOLLOW;
	case VOS_OP_statx:
		return c->a[2] & AT_SYMLINK_NOFOLLOW ? NOFOLLOW : FOLLOW;
	case VOS_OP_fchownat:
		return c->a[4] & AT_SYMLINK_NOFOLLOW ? NOFOLLOW : FOLLOW;
	case VOS_OP_linkat:
		if (which)
			return PARENT;
		return c->a[4] & AT_SYMLINK_FOLLOW ? FOLLOW : NOFOLLOW;
	case VOS_OP_fchmodat:
	case VOS_OP_truncate:
	case VOS_OP_statfs:
	case VOS_OP_setxattr:
	case VOS_OP_getxattr:
	case VOS_OP_listxattr:
	case VOS_OP_removexattr:
		return FOLLOW;
	case VOS_OP_readlinkat:
	case VOS_OP_lsetxattr:
	case VOS_OP_lgetxattr:
	case VOS_OP_llistxattr:
	case VOS_OP_lremovexattr:
		return NOFOLLOW;
	default:
		return PARENT;
	}
}

/* Without a directory argument in the kernel's call: the thread goes there (it has its own cwd). */
static bool has_no_dir(uint16_t op)
{
	switch (op) {
	case VOS_OP_truncate:
	case VOS_OP_statfs:
	case VOS_OP_setxattr:
	case VOS_OP_lsetxattr:
	case VOS_OP_getxattr:
	case VOS_OP_lgetxattr:
	case VOS_OP_listxattr:
	case VOS_OP_llistxattr:
	case VOS_OP_removexattr:
	case VOS_OP_lremovexattr:
		return true;
	default:
		return false;
	}
}

static long empty_flag(const struct call *c)
{
	switch (c->op) {
	case VOS_OP_newfstatat:
	case VOS_OP_faccessat2:
	case VOS_OP_utimensat:
		return c->a[3];
	case VOS_OP_statx:
		return c->a[2];
	case VOS_OP_fchownat:
		return c->a[4];
	default: /* linkat has it, but needs a capability for it */
		return 0;
	}
}

/* The calls that follow a symlink unless a flag says otherwise: where that is; -1. */
static int flag_arg(uint16_t op)
{
	switch (op) {
	case VOS_OP_newfstatat:
	case VOS_OP_faccessat2:
	case VOS_OP_utimensat:
		return 3;
	case VOS_OP_statx:
		return 2;
	case VOS_OP_fchownat:
		return 4;
	default:
		return -1;
	}
}

/*
 * Have the kernel follow no symlink that has come since the walk: by a flag, or by holding the object.
 * The calls that make, remove or rename follow none, but for a slash.
 */
static long follow_no_more(struct call *c, long a[6], struct where *w, enum follow follow)
{
	int flags = flag_arg(c->op);

	if (!follow || !*w->name || !strcmp(w->name, "."))
		return 0;
	if (follow == NOFOLLOW && !walk_slash(w))
		return 0;
	if (c->op == VOS_OP_linkat)
		a[4] &= ~(long)AT_SYMLINK_FOLLOW;
	if (flags >= 0 && !walk_slash(w)) {
		a[flags] |= AT_SYMLINK_NOFOLLOW;
		return 0;
	}
	return c->op == VOS_OP_linkat && !walk_slash(w) ? 0 : walk_pin(w);
}

/* What is asked of an object itself is not asked of the link to it in /proc. */
static long through_link(uint16_t op, long nr, long a[6])
{
	int flags = flag_arg(op);

	if (flags >= 0)
		a[flags] &= ~(long)AT_SYMLINK_NOFOLLOW;
	switch (op) {
	case VOS_OP_linkat:
		a[4] |= AT_SYMLINK_FOLLOW;
		return nr;
	case VOS_OP_lsetxattr:
		return SYS_setxattr;
	case VOS_OP_lgetxattr:
		return SYS_getxattr;
	case VOS_OP_llistxattr:
		return SYS_listxattr;
	case VOS_OP_lremovexattr:
		return SYS_removexattr;
	default:
		return nr;
	}
}

/* Has a call that follows a symlink been answered about one? */
static bool met_link(const struct call *c, const long a[6], enum follow follow)
{
	const struct statx *x = (const struct statx *)a[4];
	const struct stat *st = (const struct stat *)a[2];

	if (follow != FOLLOW)
		return false;
	return (c->op == VOS_OP_newfstatat && st && S_ISLNK(st->st_mode)) ||
	       (c->op == VOS_OP_statx && x && S_ISLNK(x->stx_mode));
}

static long kernel_call(struct call *c, const int at[2], struct where w[2], int npaths)
{
	enum follow follow = follows(c, 0);
	bool named = *w[0].name;
	long nr = c->desc->nr;
	char number[16];
	long a[6];
	long r;

	memcpy(a, c->a, sizeof(a));
	for (int i = 0; i < npaths; i++) {
		r = follow_no_more(c, a, &w[i], follows(c, i));
		if (r)
			return r;
		a[at[i]] = w[i].dir;
		a[at[i] + 1] = (long)w[i].name;
	}
	if (c->op == VOS_OP_readlinkat && named && !*w[0].name) /* a slash: a directory */
		return -EINVAL;
	if (c->op == VOS_OP_utimensat && !named && !(a[3] & AT_EMPTY_PATH) && c->ofd[0] &&
	    c->ofd[0]->kind == OFD_PATH) /* futimens() is not for those */
		return -EBADF;
	if (c->op == VOS_OP_linkat) /* is for those who have opened it */
		a[4] &= ~(long)AT_EMPTY_PATH;
	/* An object itself, where the kernel's call knows only paths: by way of /proc. */
	if (!*w[0].name && c->op != VOS_OP_readlinkat &&
	    (named || !(empty_flag(c) & AT_EMPTY_PATH))) {
		a[at[0]] = proc_fds;
		a[at[0] + 1] = (long)fd_name(number, w[0].dir);
		nr = through_link(c->op, nr, a);
	}
	if (has_no_dir(c->op)) {
		if (fchdir((int)a[0]))
			return -errno;
		/* Drop the directory argument, which these calls do not have. */
		memmove(a, a + 1, sizeof(a) - sizeof(a[0]));
	}
	if (c->op == VOS_OP_faccessat2 && !(a[3] & AT_EACCESS)) {
		/* The program's real ids are meant, not ours. */
		r = ident_assume_real(c->client->umask);
		if (r)
			return r;
		a[3] |= AT_EACCESS;
	}
	r = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (r < 0)
		return -errno;
	return named && met_link(c, a, follow) ? WALK_SWAPPED : r;
}

/* The second path of a call ends in the error @r: does the kernel find before that the first one does? */
static long first_error(const struct call *c, const struct where *first, long r)
{
	struct stat st;

	if (c->op != VOS_OP_linkat || r < -4095 || !*first->name)
		return r;
	return fstatat(first->dir, first->name, &st, AT_SYMLINK_NOFOLLOW) ? -errno : r;
}

static long try_call(struct call *c)
{
	struct where w[2];
	int at[2], n = 0;
	long r = 0;

	for (int i = 0; i < 6 && n < 2; i++)
		if (VOS_ARG_KIND(c->desc->arg[i]) == VOS_K_A)
			at[n++] = i;
	w[0].close = w[1].close = false;
	w[0].name = w[1].name = "";
	for (int i = 0; i < n && !r; i++) {
		r = walk(c, i, at[i], follows(c, i), &w[i]);
		if (r < 0 && i)
			r = first_error(c, &w[0], r);
	}
	if (!r)
		r = kernel_call(c, at, w, n);
	for (int i = 0; i < n; i++)
		walk_end(&w[i]);
	return r;
}

long path_call(struct call *c)
{
	long r = WALK_SWAPPED;

	for (int i = 0; i < WALK_TRIES && r == WALK_SWAPPED; i++)
		r = try_call(c);
	return r == WALK_SWAPPED ? -ELOOP : r;
}

/* --- open ----------------------------------------------------------------------------------- */

static long open_resolved(int dir, const char *path, uint64_t flags, uint64_t mode,
			  uint64_t resolve)
{
	/* With O_PATH openat2 takes no flag that would mean nothing. */
	struct open_how how = { .flags = flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY),
				.mode = mode,
				.resolve = resolve };
	long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static long try_open(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	return open_resolved(dir, path, flags, mode, resolve | RESOLVE_NO_SYMLINKS);
}

static bool dotdot_in(const char *p)
{
	return strstr(p, "..") != NULL;
}

static long walk_and_open(struct call *c, uint64_t flags, uint64_t resolve, uint32_t *root)
{
	bool follow = !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
	struct where w;
	long r = walk(c, 0, 0,
		      flags & O_CREAT ? (follow ? CREATE : PARENT) : (follow ? FOLLOW : NOFOLLOW),
		      &w);

	*root = w.root;
	if (!r) {
		r = try_open(w.dir, w.name, flags, (uint64_t)c->a[3], resolve);
		if (r == -ELOOP && (follow || walk_slash(&w)))
			r = WALK_SWAPPED;
	}
	walk_end(&w);
	return r;
}

static long open_walked(struct call *c, uint64_t flags, uint64_t resolve, uint32_t *root)
{
	long r = WALK_SWAPPED;

	for (int i = 0; i < WALK_TRIES && r == WALK_SWAPPED; i++)
		r = walk_and_open(c, flags, resolve, root);
	return r == WALK_SWAPPED ? -ELOOP : r;
}

static long add_opened(struct call *c, int fd, uint64_t flags, uint32_t root)
{
	struct ofd *o = ofd_new(fd, flags & O_PATH ? OFD_PATH : OFD_UNKNOWN, flags & O_NONBLOCK);

	if (o) {
		o->desc->flags = (int)flags & (O_DIRECT | O_APPEND);
		return handle_add(c->client, o, root);
	}
	close(fd);
	return -ENOMEM;
}

/* open("/proc/self/fd/N"): another description of the same object. */
static long reopen(struct call *c, int of, uint64_t flags, uint32_t root)
{
	char number[16];
	int fd = openat(proc_fds, fd_name(number, of), (int)flags | O_CLOEXEC | O_NOCTTY,
			(mode_t)c->a[3]);

	return fd < 0 ? -errno : add_opened(c, fd, flags, root);
}

long svcd_call_openat(struct call *c)
{
	uint64_t flags = (uint64_t)c->a[2] & ~(uint64_t)O_CLOEXEC, resolve = (uint64_t)c->a[4];
	char path[VOS_PATH_MAX];
	uint32_t root = c->base_root[0];
	int dir = c->base[0];
	long fd = -ELOOP;
	const char *p = path;

	if (dir < 0)
		return dir;
	if (!handle_room(c->client)) /* before it is created, or truncated */
		return -EMFILE;
	call_may_block(c);
	if (c->raw[0] & VOS_BASE_SELF)
		return reopen(c, dir, flags, root);
	fd = call_string(c, 1, path, sizeof(path));
	if (fd)
		return fd;
	while (*p == '/')
		p++;
	if (resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) {
		/* The kernel keeps it below the directory: no need to walk. */
		fd = open_resolved(dir, *p ? p : "/", flags, (uint64_t)c->a[3], resolve);
		return fd < 0 ? fd : add_opened(c, (int)fd, flags, root);
	}
	fd = -ELOOP;
	if (!dotdot_in(p))
		fd = try_open(dir, *p ? p : ".", flags, (uint64_t)c->a[3], resolve);
	if (fd == -ELOOP)
		fd = open_walked(c, flags, resolve, &root);
	if (fd < 0)
		return fd;
	return add_opened(c, (int)fd, flags, root);
}

/* --- directories of the client -------------------------------------------------------------- */

static long try_dir(struct call *c, uint32_t *root)
{
	struct where w;
	long r = walk(c, 0, 0, FOLLOW, &w);

	*root = w.root;
	if (!r) {
		r = try_open(w.dir, *w.name ? w.name : ".", O_PATH | O_DIRECTORY, 0, 0);
		r = r == -ELOOP ? WALK_SWAPPED : r;
	}
	walk_end(&w);
	return r;
}

static long open_dir(struct call *c, uint32_t *root)
{
	long r = WALK_SWAPPED;

	call_may_block(c);
	for (int i = 0; i < WALK_TRIES && r == WALK_SWAPPED; i++)
		r = try_dir(c, root);
	if (r == WALK_SWAPPED)
		return -ELOOP;
	/* To be searched, not only to exist. */
	if (r >= 0 && fchdir((int)r)) {
		int err = -errno;

		close((int)r);
		r = err;
	}
	return r;
}

/* Under its old number, which calls that are still on their way may be using. */
static long set_cwd(struct client *cl, int fd, uint32_t root)
{
	if (cl->cwd < 0) {
		cl->cwd = fd;
	} else {
		dup3(fd, cl->cwd, O_CLOEXEC);
		close(fd);
	}
	cl->cwd_root = root;
	return 0;
}

long svcd_call_chdir(struct call *c)
{
	int opened;

	if (!c->step) {
		long fd = open_dir(c, &c->opened_root);

		if (fd < 0)
			return fd;
		c->opened = (int)fd;
		c->step = 1;
		if (!call_blocked(c))
			return CALL_AGAIN;
	}
	opened = c->opened;
	c->opened = -1; /* not the call's any more */
	return set_cwd(c->client, opened, c->opened_root);
}

long svcd_call_fchdir(struct call *c)
{
	uint32_t root = 0;
	struct stat st;
	int fd;

	handle_ofd(c->client, c->raw[0], &root);
	if (fstat((int)c->a[0], &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (fchdir((int)c->a[0]))
		return -errno;
	fd = openat((int)c->a[0], ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return set_cwd(c->client, fd, root);
}

static bool deleted(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && !st.st_nlink;
}

/* The kernel's name for what a descriptor of ours is, in our root. */
static long name_of(int fd, char *buf, size_t size)
{
	char number[16];
	long n = readlinkat(proc_fds, fd_name(number, fd), buf, size - 1);

	if (n < 0)
		return -errno;
	buf[n] = 0;
	return n;
}

/*
 * The root that an object was found under, and its path below that, with a leading slash; or what
 * the kernel calls a thing without a path ("socket:[1]").
 */
long svcd_call_getcwd(struct call *c)
{
	char at[VOS_PATH_MAX], top[VOS_PATH_MAX];
	struct vos_where *to;
	const char *tail = at;
	uint32_t root = c->base_root[0];
	int fd = c->base[0];
	long n, m = 1;

	if (fd < 0)
		return fd;
	call_may_block(c);
	n = name_of(fd, at, sizeof(at));
	if (n >= 0 && at[0] == '/' && root < c->client->nroots)
		m = name_of(c->client->root[root].fd, top, sizeof(top));
	if (n < 0 || m < 0)
		return n < 0 ? n : m;
	if (m > 1) {
		if (strncmp(at, top, (size_t)m) || (at[m] && at[m] != '/'))
			return -ENOENT;
		tail = at[m] ? at + m : "/";
	}
	/* A working directory that has been removed has no path. */
	if (c->raw[0] & VOS_BASE_CWD && (at[0] != '/' || deleted(fd)))
		return -ENOENT;
	if (root >= c->client->nroots)
		root = VOS_ROOT_NONE;
	n = (long)(sizeof(struct vos_where) + strlen(tail) + 1);
	if (n > (long)c->len[1])
		return -ERANGE;
	to = (struct vos_where *)c->a[1];
	to->root = root;
	memcpy(to->path, tail, strlen(tail) + 1);
	return n;
}
