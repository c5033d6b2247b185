/* SPDX-License-Identifier: MIT */
/*
 * The kernel extension, /dev/virtuos, as the transport asks for it; see kernel-ext/virtuos.h for what
 * it does. None of this allocates, locks, or calls libc. All return -errno on failure. The
 * channel's bell is the device's descriptor.
 */
#ifndef VOS_EXT_H
#define VOS_EXT_H

#include "ring/chan.h"

/* A new descriptor; -ENOENT and the like: there is no kernel extension, or not for us. */
long vos_ext_open(void);
/* The service @name of domain @where: the number of its domain, and what it has announced. */
long vos_ext_find(int fd, const char *where, const char *name, uint32_t *domid, char announced[60]);
/*
 * Memory for @domid: a page that says who lives, for reading, to @live; two areas of 2^@order bytes,
 * the program's first. The address of these.
 */
long vos_ext_make(int fd, uint32_t domid, uint32_t lanes, unsigned order, void **live);
long vos_ext_offer(struct vos_chan *c, const char *name);
/* The number of lanes stands for anything that comes. */
long vos_ext_lane_fd(struct vos_chan *c, uint32_t lane, int fd);
/* Sleep while a word of the service's area is @value, for one that the lane is told of. */
long vos_ext_wait(struct vos_chan *c, uint32_t lane, const _Atomic uint32_t *word, uint32_t value,
		  struct vos_waits w);
/* By a write(). */
long vos_ext_ring(struct vos_chan *c);
/* Our credentials of now are those of the channel, by the kernel's word. */
long vos_ext_creds(struct vos_chan *c);
/* It is over: wake whoever waits, and have the service know. */
long vos_ext_end(struct vos_chan *c);

/* Attach, with @fd, which vos_ext_open() has made, and which is ours then. As a transport's attach(). */
int vos_ext_attach(struct vos_chan *c, int fd, const char *where, const char *name,
		   struct vos_hello *h, struct vos_welcome *w);

#endif
