/* SPDX-License-Identifier: MIT */
/* Resolving a path here, component by component, until it is seen where it belongs. */
#ifndef VOS_WALK_H
#define VOS_WALK_H

#include "preload/vos.h"

#include <stddef.h>

struct vos_walk {
	char cur[VOS_PATH_MAX]; /* canonical: no symlink, no "..", no "//"; "" is the root */
	char todo[VOS_PATH_MAX * 2];
	size_t scope;	  /* bytes of cur that are the root, by resolve */
	uint64_t resolve; /* RESOLVE_ of openat2() */
	int links;	  /* so far */
};

/* The longest prefix that canonical @path lies in, or -1. *@rest: what follows it. */
int vos_find_prefix(const char *path, const char **rest) HIDDEN;

/* Begin: 0, or -errno that the kernel will give, too. */
long vos_walk_from(struct vos_walk *w, long dirfd, const char *path) HIDDEN;
/* A symlink has led away: go on at absolute @path, or at @path from w->cur. 0 or -errno. */
long vos_walk_on(struct vos_walk *w, const char *path) HIDDEN;
/*
 * Resolve w->todo from w->cur; @how: VOS_ROUTE_. 1: it entered prefix *@p, w->todo is what remains;
 * 0: it is local all the way, w->cur is where it ends; -errno.
 */
long vos_walk(struct vos_walk *w, int how, int *p) HIDDEN;

/* openat2() with rules about where the path may lead: scoped.c. The rules are valid. */
struct open_how;
long vos_open_scoped(long dirfd, const char *path, const struct open_how *how) HIDDEN;
/* Open @r in its domain: calls/open.c. A number, -errno, or VOS_REDIRECT. */
long vos_open_remote(const struct vos_route *r, const struct open_how *how,
		     struct vos_redirect_buf *rd) HIDDEN;

#endif
