/* SPDX-License-Identifier: MIT */
/* Which bytes of a file have record locks, and of which sort: those of one owner. */
#ifndef SVCD_RANGES_H
#define SVCD_RANGES_H

#include <stdbool.h>
#include <sys/types.h>

struct ranges {
	void *tree[2]; /* of F_RDLCK and of F_WRLCK */
	int n;
};

/* From @start to @end, the last byte: of @type from now on, F_UNLCK: none. */
void ranges_set(struct ranges *, off_t start, off_t end, short type);
/* Does somebody else's lock of @type there have to wait for one of these? */
bool ranges_conflict(const struct ranges *, off_t start, off_t end, short type);
/* Is this byte locked so? */
bool ranges_have(const struct ranges *, off_t at, short type);
void ranges_free(struct ranges *);

#endif
