/* SPDX-License-Identifier: MIT */
/* A program's vector, and how far it has been used. Its end is the caller's to know. */
#ifndef VOS_CALLS_CURSOR_H
#define VOS_CALLS_CURSOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

struct cursor {
	const struct iovec *iov;
	size_t skip; /* bytes of iov[0] used */
};

/* The next bytes of the vector that lie together, at most @len. */
static inline char *next_run(struct cursor *v, size_t len, size_t *run)
{
	char *p;

	while (v->skip == v->iov->iov_len) {
		v->iov++;
		v->skip = 0;
	}
	p = (char *)v->iov->iov_base + v->skip;
	*run = v->iov->iov_len - v->skip;
	*run = *run < len ? *run : len;
	v->skip += *run;
	return p;
}

static inline void gather(struct cursor *v, uint8_t *to, size_t len)
{
	size_t n;

	for (; len; to += n, len -= n) {
		const char *p = next_run(v, len, &n);

		memcpy(to, p, n);
	}
}

static inline void scatter(struct cursor *v, const uint8_t *from, size_t len)
{
	size_t n;

	for (; len; from += n, len -= n) {
		char *p = next_run(v, len, &n);

		memcpy(p, from, n);
	}
}

#endif
