/* SPDX-License-Identifier: MIT */
/*
 * Waiting for several things at once: requests posted in any number of domains, and local
 * descriptors. One request for each domain, each in this thread's lane of that domain's channel.
 */
#ifndef VOS_MANY_H
#define VOS_MANY_H

#include "preload/vos.h"

#include <poll.h>
#include <time.h>

struct vos_many {
	struct vos_req q[VOS_MAX_DOMAINS];
	unsigned posted;	      /* bit for each domain */
	long key;		      /* from vos_epoll_enter(), -1: none */
	bool has_fd[VOS_MAX_DOMAINS]; /* the answer is announced by a descriptor */
};

/* Spare entries that vos_many_sleep() needs after the local descriptors. */
#define VOS_MANY_FDS (2 * VOS_MAX_DOMAINS)

/* What a call with a signal mask was given. NULL: leave the mask alone. */
struct vos_mask {
	const void *set;
	size_t size;
};

#define VOS_FOREVER (-1ll)

/*
 * A wait that looks, posts and spins before it sleeps must not lose a signal whose handler runs
 * meanwhile: the kernel's call would have ended with EINTR. So signals are held back until the
 * sleep itself lets them in. Returns the mask to sleep with.
 */
struct vos_hold {
	uint64_t before;
	bool on;
	struct vos_mask mask;
};
const struct vos_mask *vos_hold_signals(struct vos_hold *h, const struct vos_mask *mask) HIDDEN;
void vos_release_signals(const struct vos_hold *h) HIDDEN;

/* ns of CLOCK_MONOTONIC. */
int64_t vos_now(void) HIDDEN;
/* The deadline of a call with this timeout; VOS_FOREVER stays what it is. */
int64_t vos_deadline(int64_t ns) HIDDEN;
/* What is left of it, 0 when it is over. */
int64_t vos_left(int64_t deadline) HIDDEN;
/* A program's timespec (NULL: for ever) in ns; -EINVAL. */
long vos_timeout(const struct timespec *t, int64_t *ns) HIDDEN;

/* The kernel's ppoll. No descriptors and no time: signals that the mask lets through come now. */
long vos_ppoll(struct pollfd *p, unsigned n, int64_t ns, const struct vos_mask *mask) HIDDEN;

/* The request of domain @d is ready to be posted: post it. */
void vos_many_post(struct vos_many *m, unsigned d) HIDDEN;
/* Has any request been answered, or its channel died? */
bool vos_many_done(const struct vos_many *m) HIDDEN;
/* Look at the requests for as long as that is cheaper than sleeping: vos_many_done(). */
bool vos_many_spin(const struct vos_many *m) HIDDEN;
/* Wait for an answer that comes at once, since the request does not wait for anything. */
void vos_many_finish(struct vos_many *m) HIDDEN;

/*
 * A point of cancellation: the requests of a thread that is cancelled are taken back.
 *
 * Sleep until a request is answered, its channel dies, one of the @n descriptors in @p (with
 * VOS_MANY_FDS spare entries behind them) is ready, a signal handler has run, or @deadline. The
 * mask is in force while the thread sleeps and not a moment longer.
 *
 * Returns how many of @p are ready (0: look at the requests, or time is up), or -errno: -EINTR.
 */
long vos_many_sleep(struct vos_many *m, struct pollfd *p, unsigned n, int64_t deadline,
		    const struct vos_mask *mask) HIDDEN;

#endif
