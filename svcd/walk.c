/* SPDX-License-Identifier: MIT */
/*
 * Paths. A path belongs to the program's name space: an absolute symlink in our tree, or a ".."
 * above one of the client's roots, leads out of this domain. The kernel would follow both in *our*
 * name space, so it is never asked to: paths without symlinks and ".." go to it as they are
 * (RESOLVE_NO_SYMLINKS tells), all others are walked here, component by component, and where one
 * leaves the domain the answer is a redirect that says where it goes on.
 *
 * Somebody may put a symlink where the walk has found none, at the end of the path. So the call that
 * comes after the walk is one that follows none, and when it meets one the walk begins again.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINKS_MAX 40

static int open_plain(const struct where *w, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = w->resolve | RESOLVE_NO_SYMLINKS };
	long fd = syscall(SYS_openat2, w->dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int walk_base(struct client *cl, uint64_t base, uint32_t *root)
{
	if (base & VOS_BASE_ROOT(0)) {
		uint64_t n = base & ~VOS_BASE_ROOT(0);

		if (n >= cl->nroots)
			return -EBADF;
		*root = (uint32_t)n;
		return cl->root[n].fd;
	}
	*root = cl->cwd_root;
	return cl->cwd >= 0 ? cl->cwd : -ENOENT;
}

long walk_redirect(struct call *c, int which, uint32_t root, const char *path)
{
	struct vos_redirect *r;
	size_t n = strlen(path);
	uint32_t room;

	r = call_in_block(c->client, c->extra, &room);
	if (!r)
		return CALL_BREAK;
	if (room < sizeof(*r) + n + 1)
		return -ENAMETOOLONG;
	r->which = (uint32_t)which;
	r->root = root;
	r->len = (uint32_t)n;
	memcpy(r->path, path, n + 1);
	return VOS_REDIRECT;
}

/* Does the path need walking? Not if it has no ".." (symlinks show when the kernel sees it). */
static bool has_dotdot(const char *p)
{
	for (; (p = strstr(p, "..")); p += 2)
		if ((p[2] == '/' || !p[2]) /* a component that ends here ... */)
			return true; /* "x.." is walked too: seldom, and right */
	return false;
}

static void take_dir(struct where *w, int fd)
{
	if (w->close)
		close(w->dir);
	w->dir = fd;
	w->close = true;
}

/* Split "a/b/c" into its parent "a/b" (in place, NUL-terminated) and "c" with trailing slashes. */
static char *last_component(char *path)
{
	size_t n = strlen(path);

	while (n && path[n - 1] == '/')
		n--;
	while (n && path[n - 1] != '/')
		n--;
	return path + n;
}

/* -EINVAL: not a symlink. */
static int is_link(int dir, const char *name, char *target, size_t size)
{
	char plain[NAME_MAX + 1];
	size_t n = strcspn(name, "/");
	ssize_t r;

	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(plain, name, n);
	plain[n] = 0;
	r = readlinkat(dir, plain, target, size - 1);
	if (r < 0)
		return -errno;
	target[r] = 0;
	return 0;
}

static bool follows_last(enum follow follow, bool slash)
{
	return follow & (slash ? NOFOLLOW : CREATE);
}

/* The kernel resolves the parent if there is no symlink on the way. -ELOOP: walk it. */
static long walk_plain(struct where *w, enum follow follow)
{
	char target[VOS_PATH_MAX];
	char *last = last_component(w->buf);
	int fd;

	if (!*last) { /* only slashes, or nothing: the base itself */
		w->name = ".";
		return 0;
	}
	if (last != w->buf) {
		last[-1] = 0;
		fd = open_plain(w, w->buf);
		last[-1] = '/';
		if (fd < 0)
			return fd;
		take_dir(w, fd);
	}
	w->name = last;
	if (follows_last(follow, last[strcspn(last, "/")]) &&
	    !is_link(w->dir, last, target, sizeof(target)))
		return -ELOOP;
	return 0;
}

static bool at_root(const struct client *cl, const struct where *w)
{
	const struct root *r = &cl->root[w->root];
	struct stat st;

	return !fstat(w->dir, &st) && st.st_dev == r->dev && st.st_ino == r->ino;
}

/* Put @target in front of what remains at @rest, in w->buf. */
static int insert(struct where *w, const char *target, const char *rest)
{
	char tmp[VOS_PATH_MAX * 2];
	size_t n = strlen(target), m = strlen(rest);

	if (n + 1 + m + 1 > sizeof(tmp))
		return -ENAMETOOLONG;
	memcpy(tmp, target, n);
	tmp[n] = '/';
	memcpy(tmp + n + 1, rest, m + 1);
	if (!m)
		tmp[n] = 0;
	memcpy(w->buf, tmp, n + 1 + m + 1);
	return 0;
}

static long up(struct call *c, int which, struct where *w, const char *rest)
{
	int fd;

	if (w->root < c->client->nroots && at_root(c->client, w))
		return walk_redirect(c, which, w->root, rest);
	fd = open_plain(w, "..");
	if (fd < 0)
		return fd;
	take_dir(w, fd);
	return 0;
}

static long down(struct where *w, const char *name)
{
	int fd = open_plain(w, name);

	if (fd < 0)
		return fd;
	take_dir(w, fd);
	return 0;
}

static long walk_slow(struct call *c, int which, enum follow follow, struct where *w)
{
	char target[VOS_PATH_MAX];
	char *p = w->buf;
	int links = 0;

	for (;;) {
		char *rest, *end;
		bool last;
		long r;

		p += strspn(p, "/");
		end = p + strcspn(p, "/");
		rest = end + strspn(end, "/");
		last = !*rest;
		w->name = p;
		if (!*p) {
			w->name = ".";
			return 0;
		}
		if (end - p == 1 && p[0] == '.') {
			if (last)
				return 0;
			p = rest;
			continue;
		}
		if (end - p == 2 && p[0] == '.' && p[1] == '.') {
			/* What cannot be done to ".." the kernel says best, wherever that is. */
			if (last && (follow == PARENT ||
				     !(w->root < c->client->nroots && at_root(c->client, w))))
				return 0;
			r = up(c, which, w, rest);
			if (r)
				return r;
			p = rest;
			continue;
		}
		if ((!last || follows_last(follow, *end)) &&
		    !is_link(w->dir, p, target, sizeof(target))) {
			if (w->resolve & RESOLVE_NO_SYMLINKS || ++links > LINKS_MAX)
				return -ELOOP;
			/* A trailing slash asks for a directory, also behind the link. */
			r = insert(w, target, *end && last ? "./" : rest);
			if (r)
				return r;
			if (target[0] == '/')
				return walk_redirect(c, which, VOS_ROOT_NONE, w->buf);
			p = w->buf;
			continue;
		}
		if (last)
			return 0;
		*end = 0;
		r = down(w, p);
		if (r)
			return r;
		p = rest;
	}
}

static int start(struct call *c, int which, struct where *w)
{
	w->close = false;
	w->root = c->base_root[which];
	w->dir = c->base[which];
	w->resolve = c->op == VOS_OP_openat ? (uint64_t)c->a[4] : 0;
	return w->dir;
}

long walk(struct call *c, int which, int arg, enum follow follow, struct where *w)
{
	uint64_t base = c->raw[arg];
	size_t n;
	long r;

	start(c, which, w);
	if (w->dir < 0)
		return w->dir;
	if (base & VOS_BASE_SELF && !(base & VOS_BASE_ROOT(0))) {
		w->name = "";
		return 0;
	}
	r = call_string(c, arg + 1, w->buf, VOS_PATH_MAX);
	if (r)
		return r;
	n = strspn(w->buf, "/");
	memmove(w->buf, w->buf + n, strlen(w->buf + n) + 1);
	if (!has_dotdot(w->buf)) {
		r = walk_plain(w, follow);
		if (r != -ELOOP)
			return r;
		if (w->close)
			close(w->dir);
		start(c, which, w);
	}
	return walk_slow(c, which, follow, w);
}

bool walk_slash(const struct where *w)
{
	return w->name[strcspn(w->name, "/")];
}

long walk_pin(struct where *w)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
	long fd = syscall(SYS_openat2, w->dir, w->name, &how, sizeof(how));

	if (fd < 0)
		return errno == ELOOP ? WALK_SWAPPED : -errno;
	take_dir(w, (int)fd);
	w->name = "";
	return 0;
}

void walk_end(struct where *w)
{
	if (w->close)
		close(w->dir);
	w->close = false;
}
