/* SPDX-License-Identifier: MIT */
/*
 * The names that the kernel has for a process's own descriptors and working directory:
 * /proc/self/fd, /dev/fd, /proc/self/cwd. For remote ones the kernel would show the placeholder.
 */
#define _GNU_SOURCE
#include "preload/proc.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

static const char *skip(const char *path, const char *word)
{
	size_t n = strlen(word);

	return strncmp(path, word, n) ? NULL : path + n;
}

static long number(const char **path)
{
	long n = -1;

	while (**path >= '0' && **path <= '9' && n < 1 << 28)
		n = (n < 0 ? 0 : n * 10) + (*(*path)++ - '0');
	return n;
}

/* "/proc/self", "/proc/thread-self", "/proc/<our pid>": what follows, or NULL. */
static const char *own_proc(const char *path)
{
	const char *p = skip(path, "/proc/"), *q, *task;

	if (!p)
		return NULL;
	q = skip(p, "self/");
	if (!q)
		q = skip(p, "thread-self/");
	if (!q && number(&p) == vos_pid() && *p == '/')
		q = p + 1;
	task = q ? skip(q, "task/") : NULL;
	if (task && number(&task) > 0 && *task == '/')
		q = task + 1;
	return q;
}

void vos_proc_name(long fd, char name[VOS_PROC_NAME])
{
	static const char dir[] = "/proc/self/fd/";
	size_t n = sizeof(dir) - 1, k = 0;
	char digits[24];

	memcpy(name, dir, n);
	for (unsigned long d = (unsigned long)(unsigned)fd; k == 0 || d; d /= 10)
		digits[k++] = (char)('0' + d % 10);
	while (k)
		name[n++] = digits[--k];
	name[n] = 0;
}

long vos_proc_link(long fd, char *buf, size_t size)
{
	char link[VOS_PROC_NAME] = "/proc/self/cwd";

	if ((int)fd != AT_FDCWD)
		vos_proc_name(fd, link);
	return vos_raw4(SYS_readlinkat, AT_FDCWD, (long)link, (long)buf, (long)size);
}

/* Is the local directory one of those that list our descriptors? */
static bool lists_descriptors(long dirfd)
{
	char buf[64];
	const char *p;
	long n;

	if ((int)dirfd == AT_FDCWD ? vos_cwd >= 0 : vos_fd(dirfd) != 0)
		return false;
	n = vos_proc_link(dirfd, buf, sizeof(buf) - 1);
	if (n < 0)
		return false;
	buf[n] = 0;
	p = own_proc(buf);
	return p && !strcmp(p, "fd");
}

/* The number that a path names, and what follows it; -1. */
static long descriptor(long dirfd, const char *path, const char **rest)
{
	static const char *const std[] = { "/dev/stdin", "/dev/stdout", "/dev/stderr" };
	const char *p = skip(path, "/dev/fd/");
	long fd;

	if (path[0] != '/') { /* looked at only if it could be a remote one */
		p = path;
		fd = number(&p);
		if (fd < 0 || (*p && *p != '/') || !vos_fd(fd) || !lists_descriptors(dirfd))
			return -1;
		*rest = p;
		return fd;
	}
	for (int i = 0; i < 3 && !p; i++) {
		if (!strcmp(path, std[i])) {
			*rest = "";
			return i;
		}
	}
	if (!p) {
		p = own_proc(path);
		p = p ? skip(p, "fd/") : NULL;
	}
	if (!p)
		return -1;
	fd = number(&p);
	if (fd < 0 || (*p && *p != '/'))
		return -1;
	*rest = p;
	return fd;
}

/* Most paths cannot be such a name by their first characters. */
static bool may_be(const char *path)
{
	if (path[0] == '/')
		return path[1] == 'p' || path[1] == 'd';
	return path[0] >= '0' && path[0] <= '9';
}

/* Is the call about the link that the kernel shows, not about what it leads to? */
static bool is_the_link(const char *rest, int how)
{
	if (!*rest)
		return how & VOS_ROUTE_NOFOLLOW;
	return how & VOS_ROUTE_PARENT && !rest[strspn(rest, "/")];
}

static const char *below(const char *rest)
{
	rest += strspn(rest, "/");
	return *rest ? rest : ".";
}

long vos_proc_route(struct vos_route *r, long dirfd, const char *path, int how)
{
	const char *rest, *p;
	uint64_t w;
	long fd, res;
	int cwd;

	if (likely(!may_be(path)))
		return 0;
	fd = descriptor(dirfd, path, &rest);
	if (fd >= 0) {
		w = vos_fd(fd);
		if (!w || VOS_WORD_KIND(w) == VOS_FD_EPOLL || VOS_WORD_KIND(w) == VOS_FD_OURS ||
		    !vos_current(w) || is_the_link(rest, how))
			return 0;
		r->dom = (int)VOS_WORD_DOMAIN(w);
		r->base = VOS_BASE_WORD(w) | (*rest ? 0 : VOS_BASE_SELF);
		r->path = *rest ? below(rest) : "";
		return 1;
	}
	p = vos_cwd != VOS_CWD_LOCAL ? own_proc(path) : NULL;
	rest = p ? skip(p, "cwd") : NULL;
	if (!rest || (*rest && *rest != '/'))
		return 0;
	if (is_the_link(rest, how))
		return 0;
	res = vos_cwd_known();
	cwd = vos_cwd;
	if (res || cwd < 0)
		return res;
	r->dom = (int)VOS_CWD_DOMAIN(cwd);
	r->base = VOS_CWD_BASE(cwd);
	r->path = below(rest);
	return 1;
}

/* What root @root of the channel of @base is here; where it is nothing, as the kernel says it. */
static const char *top_of(unsigned dom, uint64_t base, uint32_t root)
{
	int p = vos_domain_prefix(dom, VOS_BASE_INC(base), root);
	const char *top = p < 0 ? "" : vos_config.prefix[p].path;

	if (!*top)
		return "(unreachable)";
	return strcmp(top, "/") ? top : "";
}

long vos_path_of(unsigned dom, uint64_t base, char *buf, size_t size)
{
	struct {
		struct vos_where w;
		char path[VOS_PATH_MAX];
	} at;
	const long head = sizeof(at.w);
	const char *top = "";
	size_t n, m;
	long r = vos_forward(VOS_OP_getcwd, dom,
			     (const uint64_t[6]){ base, (uint64_t)&at, sizeof(at) }, NULL);

	if (r < 0)
		return r == -ENOLINK ? -EIO : r;
	if (r <= head || r > (long)sizeof(at) || at.path[r - head - 1])
		return -EPROTO;
	if (at.path[0] == '/')
		top = top_of(dom, base, at.w.root);
	n = strlen(top);
	m = n && !strcmp(at.path, "/") ? 0 : strlen(at.path);
	if (n + m + 1 > size)
		return -ERANGE;
	memcpy(buf, top, n);
	memcpy(buf + n, at.path, m);
	buf[n + m] = 0;
	return (long)(n + m);
}

bool vos_proc_readlink(long dirfd, const char *path, char *buf, size_t size, long *result)
{
	char name[VOS_PATH_MAX];
	const char *rest, *p;
	uint64_t w = 0;
	int cwd = vos_cwd;
	long fd;

	if (!path || likely(!may_be(path)))
		return false;
	fd = descriptor(dirfd, path, &rest);
	if (fd >= 0 && !*rest)
		w = vos_fd(fd);
	if (w && (VOS_WORD_KIND(w) == VOS_FD_FILE || VOS_WORD_KIND(w) == VOS_FD_SOCKET) &&
	    vos_current(w)) {
		*result = vos_path_of(VOS_WORD_DOMAIN(w), VOS_BASE_WORD(w) | VOS_BASE_SELF, name,
				      sizeof(name));
	} else {
		p = cwd >= 0 ? own_proc(path) : NULL;
		if (!p || strcmp(p, "cwd"))
			return false;
		*result = vos_path_of(VOS_CWD_DOMAIN(cwd), VOS_CWD_BASE(cwd), name, sizeof(name));
	}
	if (*result < 0)
		return true;
	if ((size_t)*result > size)
		*result = (long)size;
	memcpy(buf, name, (size_t)*result);
	return true;
}
