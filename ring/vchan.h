/* SPDX-License-Identifier: MIT */
/*
 * A channel between two Xen domains: what both sides share besides ring/abi.h.
 *
 * The memory is that of a vchan, as libxenvchan sets one up (xen/io/libxenvchan.h): a page that
 * describes it and says who lives, and two rings of pages. We use the rings as plain memory:
 *
 *   left ring	the service area; both domains may write it
 *   right ring	the program area; the service's domain has it for reading only
 *
 * The program is the vchan's server, since it owns the memory. It makes an offer, by writing the
 * numbers of the first page's grant and of the event channel into the xenstore:
 *
 *   /local/domain/PROGRAM/data/virtuos/offer/NAME/ID/ring-ref
 *   /local/domain/PROGRAM/data/virtuos/offer/NAME/ID/event-channel	last; then it may be taken
 *
 * PROGRAM is the number of the program's domain, NAME the name of the service, ID a random number.
 * An offer that the kernel extension has made (kernel-ext/virtuos.h) has one node more, VOS_XS_VOUCHED,
 * and a first page that the program cannot write.
 *
 * The directory of the name belongs to the program's domain, and the service's domain may read and
 * write what is in it, and nobody else: it takes offers, and takes them away.
 *
 *   /local/domain/SERVICE/data/virtuos/service/NAME	"VOS_VERSION ID"
 *
 * is there while a service of that name takes offers, readable for those domains whose offers it
 * takes. ID, in hexadecimal, is another one each time it starts: one that is killed cannot take the
 * node away, and whoever has seen it die knows by the ID that it is still that one. Where a program's configuration names the service's domain rather than its number, the
 * number is found in
 *
 *   /local/domain/PROGRAM/data/virtuos/domid/DOMAIN	written by whoever starts domains
 *
 * What is said with an offer stands in the memory, behind the head of each area, so that both find
 * it whatever else they disagree on: struct vos_offer, and the answer. The service writes that, sets
 * answered in its head, and sends an event. From then on events are rings of the doorbell in the one
 * direction, and in the other "look at the ready queue, and at who lives".
 */
#ifndef VOS_VCHAN_H
#define VOS_VCHAN_H

#include "ring/abi.h"

#define VOS_XS_ROOT    "data/virtuos"
#define VOS_XS_OFFER   VOS_XS_ROOT "/offer"
#define VOS_XS_SERVICE VOS_XS_ROOT "/service"
#define VOS_XS_DOMID   VOS_XS_ROOT "/domid"
#define VOS_XS_REF     "ring-ref"
#define VOS_XS_PORT    "event-channel"
#define VOS_XS_VOUCHED "vouched"

/* struct vchan_interface of libxenvchan. */
struct vos_vchan {
	uint32_t unused[4];
	uint16_t left_order, right_order; /* log2 of the bytes */
	/*
	 * Who lives, as one word and as bytes. Each byte is changed by the side that it tells of;
	 * that side's kernel makes it 0 and sends an event when the process is gone.
	 */
	union {
		_Atomic uint32_t live;
		struct {
			_Atomic uint8_t cli_live; /* the service: 2 not yet, 1, 0 no more */
			_Atomic uint8_t srv_live; /* the program: 1, 0 no more */
			_Atomic uint8_t cli_notify, srv_notify; /* 1 from the beginning */
		};
	};
	uint32_t grant[]; /* of the left ring, then of the right one */
};
_Static_assert(offsetof(struct vos_vchan, left_order) == 16, "layout is libxenvchan's");
_Static_assert(offsetof(struct vos_vchan, cli_live) == 20, "layout is libxenvchan's");
_Static_assert(offsetof(struct vos_vchan, grant) == 24, "layout is libxenvchan's");

#define VOS_VCHAN_OFFERED   0x00010102u /* live: the program waits for the service */
#define VOS_VCHAN_LIVE	    0x01010101u /* live: both sides are there */
#define VOS_VCHAN_ANSWERED  1u		/* answered, in the service's head: the welcome is there */
#define VOS_VCHAN_DISMISSED 2u		/* the service lives, and has done with this program */
#define VOS_VCHAN_ORDER	    20		/* a ring has at most so many bytes, log2 */

/* What the program says of itself. Nobody vouches for the part after hello. */
struct vos_offer {
	struct vos_hello hello;
	int32_t pid; /* as it knows itself */
	uint32_t uid, gid, ruid, rgid;
	uint32_t caps[2]; /* effective capabilities, low word first */
	uint32_t ngroups;
	uint32_t group[];
};
_Static_assert(sizeof(struct vos_offer) == 88, "layout is ABI");

#define VOS_OFFER_AT   sizeof(struct vos_program_head) /* in the program area */
#define VOS_OFFER_ROOM (VOS_PROGRAM_DATA - VOS_OFFER_AT)
#define VOS_OFFER_GROUPS \
	((VOS_OFFER_ROOM - sizeof(struct vos_offer)) / sizeof(uint32_t)) /* more are left out */
#define VOS_WELCOME_AT sizeof(struct vos_service_head)			 /* in the service area */
_Static_assert(VOS_OFFER_ROOM >= 1024, "there is room for an offer");
_Static_assert(VOS_WELCOME_AT + sizeof(struct vos_welcome) <= VOS_SERVICE_LANES,
	       "and for an answer");

#endif
