/* SPDX-License-Identifier: MIT */
/* Attaching to another Xen domain: what is the same with and without the kernel extension. */
#ifndef VOS_VCHAN_ATTACH_H
#define VOS_VCHAN_ATTACH_H

#include "ring/chan.h"
#include "ring/vchan.h"

/*
 * What is asked for, in this order: the pages are there from the beginning, unlike those of a file,
 * and a domain has only so many to grant. Both areas have 2^order bytes.
 */
#define VOS_VCHAN_SIZES 2
extern const struct vos_vchan_size {
	uint32_t lanes, pool;
	uint16_t order;
} vos_vchan_size[VOS_VCHAN_SIZES];

/* A decimal number, at most seven digits or so; -EINVAL: not one. */
long vos_vchan_number(const char *s);
/*
 * What a service has announced, "VERSION ID", which is changed: the ID. -EPROTONOSUPPORT;
 * -ECONNREFUSED: it has died.
 */
long vos_vchan_announced(char *value, uint64_t *id);
/* Say who we are, in the program area. */
void vos_vchan_hello(struct vos_chan *c, const struct vos_hello *h);
/* The service has answered: 0, and the channel is ready, or -errno. */
int vos_vchan_answer(struct vos_chan *c, const char *name, struct vos_welcome *w);

#endif
