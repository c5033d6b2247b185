/* SPDX-License-Identifier: MIT */
/* What is known of epoll descriptors that have members in domains; see epoll.c. */
#ifndef VOS_EPOLL_H
#define VOS_EPOLL_H

#include "preload/vos.h"

#include <sys/epoll.h>

/* Are there members in the real epoll descriptor? */
enum vos_local_members { VOS_LOCAL_NONE, VOS_LOCAL_SOME, VOS_LOCAL_UNKNOWN };

struct vos_member {
	_Atomic uint64_t word; /* of the descriptor when it was added; 0: no member */
	uint64_t data;
	uint32_t events;
	uint32_t told; /* its death has been reported, and once is enough (edge, one-shot) */
};

#define VOS_EPOLL_CHUNK	 512u
#define VOS_EPOLL_CHUNKS 2048u

struct vos_epoll {
	_Atomic uint32_t gen; /* counts the descriptors that this record was for */
	_Atomic int refs;     /* numbers that mean it; 0: free */
	_Atomic int fd;	      /* the number it was first seen under */
	_Atomic int local;    /* enum vos_local_members; UNKNOWN and SOME are alike to who waits */
	_Atomic bool dead;    /* members of dead domains may be there */
	_Atomic bool nested;  /* it is a member of another one */
	_Atomic bool nests;   /* another one has been a member of it */
	_Atomic int nudge;    /* descriptor in the real one that makes it ready, or -1 */
	_Atomic int phase;    /* 0 or 1: see epoll_nudge.c */
	bool nudge_again;     /* another nudge is to follow; under the lock */
	_Atomic uint32_t turn;
	_Atomic uint64_t companion[VOS_MAX_DOMAINS];	      /* a word; 0: none */
	_Atomic(struct vos_member *) chunk[VOS_EPOLL_CHUNKS]; /* members by number */
};

/* The record behind a word of kind VOS_FD_EPOLL, NULL if it is no more. */
struct vos_epoll *vos_epoll_get(uint64_t word) HIDDEN;

/* Have a record for @epfd from now on. -EBADF, -EINVAL (no epoll descriptor), -ENOMEM, -ENOSPC. */
long vos_epoll_adopt(long epfd, struct vos_epoll **e) HIDDEN;

/* The companion in domain @d: its word, 0: none (or not any more). */
uint64_t vos_epoll_companion(struct vos_epoll *e, unsigned d) HIDDEN;
uint64_t vos_epoll_in(uint64_t word, unsigned d) HIDDEN;
/* Make one. 0, -errno. */
long vos_epoll_make_companion(struct vos_epoll *e, unsigned d) HIDDEN;
/* epoll_ctl in domain @d, where the member @fd is @member, a word. -ENOENT without a companion. */
long vos_epoll_ctl_in(struct vos_epoll *e, unsigned d, long op, long fd, uint64_t member,
		      uint32_t events) HIDDEN;

/* Members, as the program sees them. */
struct vos_member *vos_epoll_member(struct vos_epoll *e, long fd) HIDDEN;
/*
 * To be noted before the domain is told, which may answer at once. *@was: what to put back if it
 * refuses. -ENOENT, -ENOMEM (no room for such a number).
 */
long vos_epoll_note(struct vos_epoll *e, long op, long fd, uint64_t word,
		    const struct epoll_event *ev, struct vos_member *was) HIDDEN;
void vos_epoll_put_back(struct vos_epoll *e, long fd, const struct vos_member *was) HIDDEN;
/* What domain @d says (@from, in its area) in the program's terms; false: not of its members. */
bool vos_epoll_event(struct vos_epoll *e, unsigned d, const struct epoll_event *from,
		     struct epoll_event *to) HIDDEN;

/* The domain cannot be reached any more. */
void vos_epoll_lost(struct vos_epoll *e, unsigned d) HIDDEN;
/* Notice companions whose domain has died: their members are dead from now on. */
void vos_epoll_refresh(struct vos_epoll *e) HIDDEN;
bool vos_epoll_any_dead(uint64_t word) HIDDEN;
/* Events of dead members: how many of at most @max. */
int vos_epoll_dead_events(struct vos_epoll *e, struct epoll_event *ev, int max) HIDDEN;

/*
 * Around every wait; see epoll_nudge.c. vos_epoll_enter() returns the key for vos_epoll_leave().
 * @e: NULL if the descriptor has no record.
 */
long vos_epoll_enter(long epfd, const struct vos_epoll *e) HIDDEN;
void vos_epoll_leave(long key) HIDDEN;
/* Take a nudge's event out of @n events: how many are left. */
int vos_epoll_filter(struct epoll_event *ev, int n, bool *nudged) HIDDEN;
/* The nudge has been there for too long. */
void vos_epoll_overdue(struct vos_epoll *e) HIDDEN;
/* @e has got a companion in @d: whoever waits is to look again. */
void vos_epoll_nudge(struct vos_epoll *e, unsigned d) HIDDEN;

/* For what is changed by one thread at a time; signals are blocked meanwhile. */
void vos_epoll_lock(uint64_t *mask) HIDDEN;
void vos_epoll_unlock(const uint64_t *mask) HIDDEN;

/* In a fork child. */
void vos_epoll_forked(void) HIDDEN;
void vos_epoll_nobody_waits(void) HIDDEN;

#endif
