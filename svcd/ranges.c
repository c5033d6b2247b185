/* SPDX-License-Identifier: MIT */
/*
 * Ranges in two trees, one for each sort of lock. No two of them overlap, and two of the same sort
 * do not touch, as the kernel has them: so there is no more here than there. Ranges that overlap
 * compare as equal, which makes a search one for whatever lies in the way; no operation takes longer
 * than the logarithm of how many there are, but for those that it removes.
 */
#define _GNU_SOURCE
#include "svcd/ranges.h"

#include <fcntl.h>
#include <search.h>
#include <stdint.h>
#include <stdlib.h>

struct range {
	off_t start, end;
};

static int order(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->end < y->start ? -1 : x->start > y->end;
}

static bool find(void *const *tree, off_t start, off_t end)
{
	const struct range key = { start, end };

	return tfind(&key, tree, order);
}

/* Take one out that overlaps; to be freed. */
static struct range *take(struct ranges *s, int sort, off_t start, off_t end)
{
	const struct range key = { start, end };
	struct range *const *found = tfind(&key, &s->tree[sort], order);
	struct range *r = found ? *found : NULL;

	if (r) {
		tdelete(r, &s->tree[sort], order);
		s->n--;
	}
	return r;
}

static void add(struct ranges *s, int sort, off_t start, off_t end)
{
	struct range *r = malloc(sizeof(*r));

	if (!r)
		return; /* F_GETLK will not know the owner */
	*r = (struct range){ start, end };
	if (tsearch(r, &s->tree[sort], order))
		s->n++;
	else
		free(r);
}

static void cut_out(struct ranges *s, int sort, off_t start, off_t end)
{
	struct range *r;

	while ((r = take(s, sort, start, end))) {
		if (r->start < start)
			add(s, sort, r->start, start - 1);
		if (r->end > end)
			add(s, sort, end + 1, r->end);
		free(r);
	}
}

void ranges_set(struct ranges *s, off_t start, off_t end, short type)
{
	int sort = type == F_WRLCK;
	struct range *r;

	cut_out(s, 0, start, end);
	cut_out(s, 1, start, end);
	if (type == F_UNLCK)
		return;
	/* With what touches it. */
	while ((r = take(s, sort, start - (start > 0), end + (end < INT64_MAX)))) {
		start = r->start < start ? r->start : start;
		end = r->end > end ? r->end : end;
		free(r);
	}
	add(s, sort, start, end);
}

bool ranges_conflict(const struct ranges *s, off_t start, off_t end, short type)
{
	return find(&s->tree[1], start, end) || (type == F_WRLCK && find(&s->tree[0], start, end));
}

bool ranges_have(const struct ranges *s, off_t at, short type)
{
	return find(&s->tree[type == F_WRLCK], at, at);
}

void ranges_free(struct ranges *s)
{
	for (int sort = 0; sort < 2; sort++)
		tdestroy(s->tree[sort], free);
	*s = (struct ranges){ 0 };
}
