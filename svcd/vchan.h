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
	bool vouched;	/* its kernel says in the page whose it is ... */
	uint32_t creds; /* ... and what we know is this number of that */
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

/* vchan_ident.c: the user of --vchan-user is to be found before --root. NULL, or what is wrong. */
const char *vchan_find_user(void);
/* Whose it is, by what it says itself, and perhaps its kernel; cl->ident is NULL if that fails. */
void vchan_identify(struct client *cl, const volatile struct vos_offer *o, bool vouched);
struct ident *vchan_news(struct client *cl);

/* vchan_offer.c */
const char *vchan_check(const char *where);
const char *vchan_listen(const char *where);
const char *vchan_start(void);
void vchan_unlisten(void);

#endif
