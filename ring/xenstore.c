/* SPDX-License-Identifier: MIT */
/*
 * The xenstore, by way of /dev/xen/xenbus: requests and answers are messages, a header and what
 * belongs to it (xen/io/xs_wire.h). One request at a time; events of watches come in between.
 */
#define _GNU_SOURCE
#include "ring/raw.h"
#include "ring/xen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>

enum {
	XS_READ = 2,
	XS_WATCH = 4,
	XS_WRITE = 11,
	XS_MKDIR = 12,
	XS_RM = 13,
	XS_SET_PERMS = 14,
	XS_WATCH_EVENT = 15,
	XS_ERROR = 16,
};

struct header {
	uint32_t type, request, transaction;
	uint32_t len; /* of what follows */
};

#define PATH_MAX_LEN 256u /* of ours; the store would take 2048 */
#define VALUE_MAX    64u
#define ANSWER_S     10

struct message {
	struct header h;
	char text[PATH_MAX_LEN + VALUE_MAX];
};

/* Never waited for in read(): read_all() knows for how long. */
long vos_xs_open(void)
{
	return vos_raw4(SYS_openat, AT_FDCWD, (long)"/dev/xen/xenbus",
			O_RDWR | O_CLOEXEC | O_NONBLOCK, 0);
}

static void put(struct message *m, const char *s)
{
	while (*s && m->h.len < sizeof(m->text))
		m->text[m->h.len++] = *s++;
}

static void put_end(struct message *m)
{
	if (m->h.len < sizeof(m->text))
		m->text[m->h.len++] = 0;
}

static void put_number(struct message *m, uint32_t n)
{
	char digits[12], *at = digits + sizeof(digits) - 1;

	*at = 0;
	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	put(m, at);
}

static void begin(struct message *m, uint32_t type, const char *path)
{
	m->h = (struct header){ .type = type };
	put(m, path);
	put_end(m);
}

static long read_all(long fd, void *to, size_t n)
{
	char *at = to;

	while (n) {
		struct pollfd p = { (int)fd, POLLIN, 0 };
		const struct timespec limit = { ANSWER_S, 0 };
		long r = vos_raw5(SYS_ppoll, (long)&p, 1, (long)&limit, 0, 8);

		if (!r)
			return -ETIMEDOUT;
		if (r > 0)
			r = vos_raw3(SYS_read, fd, (long)at, (long)n);
		if (r == -EINTR || r == -EAGAIN)
			continue;
		if (r <= 0)
			return r ? r : -EIO;
		at += r;
		n -= (size_t)r;
	}
	return 0;
}

/* The rest of a message that nobody wants. */
static long skip(long fd, uint32_t n)
{
	char waste[64];
	long r = 0;

	while (n && !r) {
		uint32_t some = n < sizeof(waste) ? n : (uint32_t)sizeof(waste);

		r = read_all(fd, waste, some);
		n -= some;
	}
	return r;
}

/* Errors come as names. */
static long error_of(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} known[] = { { "ENOENT", ENOENT }, { "EACCES", EACCES }, { "EEXIST", EEXIST },
		      { "EINVAL", EINVAL }, { "ENOSPC", ENOSPC }, { "E2BIG", E2BIG },
		      { "EBUSY", EBUSY },   { "EAGAIN", EAGAIN }, { "EPERM", EPERM },
		      { "EROFS", EROFS },   { "ENOMEM", ENOMEM } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const char *a = known[i].name, *b = name;

		while (*a && *a == *b)
			a++, b++;
		if (!*a && !*b)
			return -known[i].number;
	}
	return -EIO;
}

static long answer(long fd, uint32_t type, char *buf, size_t size)
{
	char name[32];
	struct header h;
	uint32_t n;
	long r;

	for (;;) {
		r = read_all(fd, &h, sizeof(h));
		if (r)
			return r;
		if (h.type == type || h.type == XS_ERROR)
			break;
		r = skip(fd, h.len);
		if (r)
			return r;
	}
	if (h.type == XS_ERROR) {
		buf = name;
		size = sizeof(name);
	}
	n = h.len < size ? h.len : (uint32_t)size - 1;
	r = read_all(fd, buf, n);
	if (!r)
		r = skip(fd, h.len - n);
	if (r)
		return r;
	buf[n] = 0;
	if (h.type == XS_ERROR)
		return error_of(name);
	return h.len == n ? (long)n : -E2BIG;
}

static long ask(long fd, const struct message *m, char *buf, size_t size)
{
	long n = (long)(sizeof(m->h) + m->h.len), r;

	if (m->h.len == sizeof(m->text))
		return -ENAMETOOLONG;
	do
		r = vos_raw3(SYS_write, fd, (long)m, n);
	while (r == -EINTR);
	if (r != n)
		return r < 0 ? r : -EIO;
	return answer(fd, m->h.type, buf, size);
}

static long tell(long fd, const struct message *m)
{
	char ok[8];
	long r = ask(fd, m, ok, sizeof(ok));

	return r < 0 ? r : 0;
}

long vos_xs_read(long fd, const char *path, char *buf, size_t size)
{
	struct message m;

	begin(&m, XS_READ, path);
	return ask(fd, &m, buf, size);
}

long vos_xs_write(long fd, const char *path, const char *value)
{
	struct message m;

	begin(&m, XS_WRITE, path);
	put(&m, value);
	return tell(fd, &m);
}

long vos_xs_remove(long fd, const char *path)
{
	struct message m;

	begin(&m, XS_RM, path);
	return tell(fd, &m);
}

static void put_permission(struct message *m, const char *what, uint32_t domid)
{
	put(m, what);
	put_number(m, domid);
	put_end(m);
}

long vos_xs_directory(long fd, const char *path, uint32_t owner, uint32_t peer)
{
	struct message m;
	long r;

	begin(&m, XS_MKDIR, path);
	r = tell(fd, &m);
	if (r)
		return r;
	begin(&m, XS_SET_PERMS, path);
	put_permission(&m, "n", owner); /* the owner, and what everybody else may: nothing */
	put_permission(&m, "b", peer);	/* both */
	return tell(fd, &m);
}

long vos_xs_watch(long fd, const char *path)
{
	struct message m;

	begin(&m, XS_WATCH, path);
	put(&m, "v"); /* told with each event; we have one watch only */
	put_end(&m);
	return tell(fd, &m);
}

long vos_xs_event(long fd)
{
	struct header h;
	long r = read_all(fd, &h, sizeof(h));

	return r ? r : skip(fd, h.len);
}
