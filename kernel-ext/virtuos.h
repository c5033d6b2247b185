/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * /dev/virtuos: what a program asks of the kernel extension. An open file is one channel to one
 * service domain; it ends when the process that made it closes the file, executes a program with
 * the file closed by that, or ends itself.
 */
#ifndef VIRTUOS_H
#define VIRTUOS_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VIRTUOS_ORDER_MIN 12 /* a page */
#define VIRTUOS_ORDER_MAX 20
#define VIRTUOS_LANES_MAX 1024
#define VIRTUOS_READY_MAX 4096
#define VIRTUOS_NAME_MAX  31

/*
 * Make the channel: its memory, granted to the service domain, and an event channel. The memory is
 * mapped with mmap(), from offset 0: first the area that the program writes and the service only
 * reads, then the area that both write. Its first words have to be there before it is offered.
 *
 * The ready queue is an array of 32 bit words in the service's area: lap << 16 | (lane + 1), where
 * lap counts the service's passes through the array from 1, modulo 2^16. 0: not yet used.
 *
 * EBUSY: this file has a channel, or was to have one. EINVAL: out of the ranges below. ENOSPC: all
 * channels together have as many pages as the module's parameter "limit" says.
 */
struct virtuos_make {
	__u32 domid;	     /* the service domain */
	__u32 program_order; /* log2 of the bytes, VIRTUOS_ORDER_MIN .. VIRTUOS_ORDER_MAX */
	__u32 service_order; /* likewise */
	__u32 lanes;	     /* 1 .. VIRTUOS_LANES_MAX */
	__u32 ready_off;     /* of the ready queue in the service's area, a multiple of 4 */
	__u32 ready_slots;   /* a power of two, at most VIRTUOS_READY_MAX */
};

/*
 * Tell the service, in xenstore, below data/virtuos/offer/NAME/ID of this domain. The directory
 * data/virtuos/offer/NAME must be there; whoever made it has given the service's domain leave to
 * read what is in it.
 *
 *	ring-ref, event-channel		what libxenvchan_client_init() looks for
 *	uid, gid, ruid, rgid, groups	of the caller, by the kernel's word: effective and real ids,
 *					decimal, groups separated by spaces
 *	caps				effective capabilities, hexadecimal; 0 for a caller in a
 *					user namespace of its own
 *	pid				likewise
 *
 * ENOENT: there is no such directory. EALREADY: it has been offered. E2BIG: more groups than a node of xenstore has room for.
 */
struct virtuos_offer {
	char name[VIRTUOS_NAME_MAX + 1]; /* of the service: letters, digits, - and _ */
	__u64 id;			 /* answer; ID is k and this number, decimal */
};

/*
 * Sleep until the lane is taken from the ready queue, or a signal comes. It may have been taken
 * before, or for an earlier call: look at the entry, and come again. The number behind that of the
 * last lane stands for any event of the service, such as the one after its answer to an offer.
 *
 * EINTR: a signal (with VIRTUOS_WAIT_RESTART the call is restarted as SA_RESTART says). ENOLINK:
 * the service is gone. EPROTO: it has put nonsense into the queue. EINVAL: no such lane.
 */
struct virtuos_wait {
	__u32 lane;
	__u32 flags; /* VIRTUOS_WAIT_* */
};
#define VIRTUOS_WAIT_RESTART 1

/* Count up an eventfd, too, whenever the lane is taken; -1: no longer. EBADF, EINVAL. */
struct virtuos_lane_fd {
	__u32 lane;
	__s32 fd;
};

#define VIRTUOS_MAKE	_IOW('V', 0x80, struct virtuos_make)
#define VIRTUOS_OFFER	_IOWR('V', 0x81, struct virtuos_offer)
#define VIRTUOS_WAIT	_IOW('V', 0x82, struct virtuos_wait)
#define VIRTUOS_LANE_FD _IOW('V', 0x83, struct virtuos_lane_fd)
/* Notify the service. */
#define VIRTUOS_RING _IO('V', 0x84)
/* Write the caller's credentials of now to xenstore; then tell the service to read them. */
#define VIRTUOS_CREDS _IO('V', 0x85)

/* ENOTCONN: a request, or mmap(), that comes before VIRTUOS_MAKE, or CREDS before OFFER. */

/* poll(): POLLHUP when the service is gone. Nothing else is ever ready. */

#endif
