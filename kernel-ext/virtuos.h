/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * /dev/virtuos: what a program asks of the kernel extension. An open file is one channel to one
 * service domain; it ends when the process that made it closes the file, executes a program with
 * the file closed by that, or ends itself. (A duplicate that this process closes counts as well.)
 *
 * write(), of anything, notifies the service: ENOLINK and EPROTO as below.
 * poll(): POLLOUT always, POLLHUP when the service is gone.
 * ENOTCONN: what comes before VIRTUOS_MAKE, or CREDS before OFFER.
 */
#ifndef VIRTUOS_H
#define VIRTUOS_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VIRTUOS_ORDER_MIN  12 /* a page */
#define VIRTUOS_ORDER_MAX  20
#define VIRTUOS_LANES_MAX  1024
#define VIRTUOS_READY_MAX  4096
#define VIRTUOS_NAME_MAX   31
#define VIRTUOS_DOMAIN_MAX 63

/*
 * Where is the service? Names are of letters, digits, - and _. The domain is a number, or a name
 * whose number stands in data/virtuos/domid/DOMAIN of this domain's part of xenstore.
 *
 * ENXIO: there is no number for that name. ECONNREFUSED: no such service takes offers there, or none
 * of ours.
 */
struct virtuos_find {
	char domain[VIRTUOS_DOMAIN_MAX + 1];
	char name[VIRTUOS_NAME_MAX + 1]; /* of the service */
	__u32 domid;			 /* answer */
	char announced[60];		 /* answer: what data/virtuos/service/NAME there says */
};

/*
 * Make the channel: its memory, granted to the service domain, and an event channel. The memory is
 * mapped with mmap(), from offset 0: first the area that the program writes and the service only
 * reads, then the area that both write. Its first words have to be there before it is offered. A page
 * that describes the channel (struct vchan_interface of libxenvchan) can be mapped behind these, by
 * itself and for reading only: it says who lives.
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
 * read what is in it, and to take it away.
 *
 *	ring-ref, event-channel		what libxenvchan_client_init() looks for
 *	vouched				VIRTUOS_VOUCHED: the kernel has made this, and what stands in
 *					the first page about credentials is its word
 *
 * ENOENT: there is no such directory. EALREADY: it has been offered. E2BIG: more groups than there
 * is room for.
 */
struct virtuos_offer {
	char name[VIRTUOS_NAME_MAX + 1]; /* of the service */
};

/*
 * Whose program it is, in the first page, which programs cannot write: the caller of VIRTUOS_OFFER,
 * and later on of VIRTUOS_CREDS.
 */
#define VIRTUOS_VOUCHED	     1
#define VIRTUOS_CREDS_AT     2304 /* behind the grants of the largest areas */
#define VIRTUOS_CREDS_GROUPS 439
struct virtuos_creds {
	__u32 number; /* counts changes by two; odd: it is being changed */
	__s32 pid;
	__u32 uid, gid, ruid, rgid; /* those that count for files, and the real ones */
	__u32 caps[2]; /* effective, low word first; none in a user namespace of its own */
	__u32 ngroups;
	__u32 group[VIRTUOS_CREDS_GROUPS];
};

/*
 * Sleep as long as a word of the service's area is what the caller has seen there. It is looked at
 * when the lane is taken from the ready queue; with the number behind that of the last lane, when
 * anything comes from the service.
 *
 * EINTR: a handler has run (with VIRTUOS_WAIT_RESTART: one without SA_RESTART). ENOLINK: the service
 * is gone. EPROTO: it has put nonsense into the queue. EINVAL: no such lane, or no such word.
 */
struct virtuos_wait {
	__u32 lane;
	__u32 flags; /* VIRTUOS_WAIT_* */
	__u32 off;   /* of the word */
	__u32 value;
};
#define VIRTUOS_WAIT_RESTART 1

/* Count up an eventfd, too, whenever the lane is taken; -1: no longer. EBADF, EINVAL. */
struct virtuos_lane_fd {
	__u32 lane;
	__s32 fd;
};

#define VIRTUOS_FIND	_IOWR('V', 0x80, struct virtuos_find)
#define VIRTUOS_MAKE	_IOW('V', 0x81, struct virtuos_make)
#define VIRTUOS_OFFER	_IOW('V', 0x82, struct virtuos_offer)
#define VIRTUOS_WAIT	_IOW('V', 0x83, struct virtuos_wait)
#define VIRTUOS_LANE_FD _IOW('V', 0x84, struct virtuos_lane_fd)
/*
 * The caller's credentials of now are those of the channel; then tell the service to read them. EPERM:
 * the caller is not the process that has made it.
 */
#define VIRTUOS_CREDS _IO('V', 0x85)
/* It is over: everybody who waits is told so, as if the service were gone, and so is the service. */
#define VIRTUOS_END _IO('V', 0x86)

#endif
