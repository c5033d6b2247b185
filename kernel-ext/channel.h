/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VIRTUOS_CHANNEL_H
#define VIRTUOS_CHANNEL_H

#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <xen/grant_table.h>
#include <xen/xenbus.h>

#include "virtuos.h"

/* The page that libxenvchan shares first; see its header. Left is written by the service. */
struct vchan_page {
	struct {
		u32 cons, prod;
	} left, right;
	u16 left_order, right_order;
	u8 cli_live, srv_live; /* 0: gone, 1: there, 2 (service only): not yet */
	u8 cli_notify, srv_notify;
	u32 grants[];
};

static_assert(offsetof(struct vchan_page, grants) +
		      2 * ((1u << VIRTUOS_ORDER_MAX) / PAGE_SIZE) * sizeof(u32) <=
	      VIRTUOS_CREDS_AT);
static_assert(VIRTUOS_CREDS_AT + sizeof(struct virtuos_creds) <= PAGE_SIZE);

struct virtuos_service;

struct virtuos_lane {
	wait_queue_head_t wait;
	struct eventfd_ctx *eventfd; /* under virtuos_channel.lane_lock */
};

/*
 * The ready queue, read with the eyes of somebody who does not trust the writer: each word once,
 * never more than a lap at a time. Only the interrupt handler takes from it.
 */
struct virtuos_ready {
	struct page **page; /* of the service's area */
	u32 off, slots, lanes;
	u32 head;
	u32 spare; /* events that may come for nothing: what they tell of has been taken */
};

/* A lane; -EAGAIN: there is none; -EOVERFLOW: some were lost; -EPROTO: that is none. */
int virtuos_ready_pop(struct virtuos_ready *q);
int virtuos_ready_selftest(void);

/*
 * Life of a channel:
 *
 *	open		an empty one
 *	MAKE		memory, grants, event channel; once
 *	OFFER		xenstore; once
 *	interrupt	lanes are woken
 *	broken		the service is gone, or lied, or the program ends it: everybody is woken, and
 *			told so for ever, the service, too
 *	flush		by the process that made it, when it ends: that breaks it
 *	release		the last file descriptor, the last mapping: all is given back
 */
struct virtuos_channel {
	struct mutex lock; /* MAKE, OFFER, CREDS */
	bool made;	   /* all below is set; release, pairs with made() */
	int broken;	   /* 0 or -errno */
	u32 creds;	   /* number of their last change */
	fl_owner_t owner;
	domid_t domid;
	struct vchan_page *vchan;
	grant_ref_t ref;
	unsigned int charged; /* to the limit of pages */
	unsigned int npages;
	struct page **page;
	grant_ref_t *refs; /* of page[], as far as granted */
	unsigned int ngranted;
	evtchn_port_t port;
	int irq;			 /* 0: none */
	char dir[64 + VIRTUOS_NAME_MAX]; /* in xenstore */
	bool published;
	struct virtuos_service *service;
	struct list_head of_service;
	struct virtuos_ready ready;
	u32 service_size; /* bytes of the service's area, whose pages ready names */
	u32 nlanes;
	struct virtuos_lane *lane; /* and one more, for any event */
	spinlock_t lane_lock;
	wait_queue_head_t poll;
};

/* memory.c */
int virtuos_make(struct virtuos_channel *c, const struct virtuos_make *m);
void virtuos_free(struct virtuos_channel *c);

/* offer.c */
int virtuos_find(struct virtuos_find *f);
int virtuos_offer(struct virtuos_channel *c, const struct virtuos_offer *o);
int virtuos_write_creds(struct virtuos_channel *c);
void virtuos_withdraw(struct virtuos_channel *c);

/* service.c */
int virtuos_join(struct virtuos_channel *c, const char *name);
void virtuos_leave(struct virtuos_channel *c);

/* wake.c */
irqreturn_t virtuos_interrupt(int irq, void *channel);
void virtuos_break(struct virtuos_channel *c, int error);
long virtuos_wait(struct virtuos_channel *c, const struct virtuos_wait *w);
int virtuos_lane_fd(struct virtuos_channel *c, const struct virtuos_lane_fd *f);

#endif
