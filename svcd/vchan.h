/* SPDX-License-Identifier: MIT */
/* Programs in other Xen domains: what vchan.c and vchan_offer.c share. See ring/vchan.h. */
#ifndef SVCD_VCHAN_H
#define SVCD_VCHAN_H

#include "ring/vchan.h"
#include "svcd/svcd.h"

#include <xenevtchn.h>
#include <xengnttab.h>

/* A client's memory and event channel. */
struct vchan {
	unsigned domid;
	xenevtchn_handle *event;
	evtchn_port_t port; /* ours */
	struct vos_vchan *page;
	uint32_t pages[2]; /* of the left ring (service area), of the right one */
	void *ring[2];
};

/* Once, before --root: NULL, or what is missing. */
const char *vchan_open(void);
/*
 * Map what domain @domid offers with the grant @ref of its first page and the event channel @port,
 * as the memory of @cl. 0, or -errno and *@why.
 */
int vchan_map(struct client *cl, unsigned domid, uint32_t ref, evtchn_port_t port,
	      const char **why);
/* The answer, and whatever else the program shall see. */
void vchan_answer(struct client *cl, int error, const char *why);

/* vchan_offer.c */
const char *vchan_check(const char *where);
const char *vchan_listen(const char *where);
const char *vchan_start(void);
void vchan_unlisten(void);

#endif
