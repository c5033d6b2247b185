/* SPDX-License-Identifier: MIT */
/*
 * A channel as the program sees it.
 *
 * Life: vos_chan_create() makes the memory, a transport's attach() hands it to the service and
 * learns its guard value, threads take lanes and post. When the service dies (the guard changes) or
 * breaks the rules, vos_chan_kill() marks the channel dead, for ever, and wakes every thread that
 * sleeps on it; calls then end with -ENOLINK and the caller makes a new channel.
 *
 * Nothing here uses libc: raw system calls, no allocation but mmap, and none of it once attached.
 */
#ifndef VOS_CHAN_H
#define VOS_CHAN_H

#include "ring/abi.h"
#include "ring/calls.h"
#include "ring/lane.h"
#include "ring/pool.h"

#include <stdbool.h>

struct vos_transport;

struct vos_chan {
	uint8_t *program, *service; /* the two areas */
	struct vos_program_head *ph;
	struct vos_service_head *sh;
	struct vos_lane *lane; /* nlanes of them, ours alone */
	uint32_t nlanes;
	uint32_t pool;
	struct vos_pool out, in; /* blocks of the program's and of the service's area */
	const struct vos_transport *transport;
	int bell;	/* descriptor of the transport: doorbell, hang-up */
	uint32_t guard; /* what sh->guard says while the service lives */
	_Atomic bool dead;
	uint64_t session[2];
	_Atomic uint16_t pace[VOS_NOPS]; /* pauses that a call of this op takes, averaged */
	_Atomic int64_t doubt;		 /* s of CLOCK_MONOTONIC: when sleepers look at the bell */
};

/*
 * How a program reaches a service and the two wake each other. ring/unix_program.c is the one for
 * one machine.
 */
struct vos_transport {
	const char *scheme; /* what an address starts with, e.g. "unix:" */
	/* Hand the channel over; 0 or -errno, and *@w holds the service's text if it refused. */
	int (*attach)(struct vos_chan *c, int memory, const char *where, struct vos_hello *h,
		      struct vos_welcome *w);
	void (*ring)(struct vos_chan *c);
	/* Give the lane a wake descriptor, if it has none yet. 0 or -errno. */
	int (*wake_fd)(struct vos_chan *c, struct vos_lane *l);
	/*
	 * Show the service the file that is to travel with the lane's next token; it keeps neither
	 * the descriptor nor what is in the file. 0 or -errno. NULL: there is no way to.
	 */
	int (*token_file)(struct vos_chan *c, struct vos_lane *l, int fd, uint32_t key);
};

extern const struct vos_transport vos_transport_unix;

/* The caller's: give a descriptor of ours its place among the program's; returns its number. */
extern int (*vos_chan_hide_fd)(int fd);

/* Map the memory of a channel. Returns its descriptor (the caller closes it), or -errno. */
int vos_chan_create(struct vos_chan *c, uint32_t lanes, uint32_t pool);
/* Unmap; no thread may use the channel any more. */
void vos_chan_destroy(struct vos_chan *c);

/* The lane that belongs to thread @tid, taken for it if need be; NULL when all are taken. */
struct vos_lane *vos_chan_lane(struct vos_chan *c, int tid, int pid);

bool vos_chan_alive(struct vos_chan *c);
void vos_chan_kill(struct vos_chan *c);

enum vos_wait {
	VOS_WAIT_RESTART, /* a handler with SA_RESTART does not end the wait */
	VOS_WAIT_ONCE,	  /* any handler ends it */
	VOS_WAIT_ALWAYS,  /* no handler ends it */
};

/*
 * Wait until slot @s is done: 0, -EINTR (a handler ran; the call goes on), or -ENOLINK (dead, or
 * the service has made nonsense of the entry, which ends the channel).
 */
int vos_chan_wait(struct vos_chan *c, struct vos_lane *l, int s, enum vos_wait how);
/* Its two halves: spin while that pays (true: done), and sleep. */
bool vos_chan_spin(struct vos_chan *c, struct vos_lane *l, int s);
int vos_chan_sleep(struct vos_chan *c, struct vos_lane *l, int s, enum vos_wait how);

/*
 * Set by a program that is about to confine itself: from then on waiting and ringing take no system
 * call but futex, read, write and poll.
 */
extern bool vos_chan_confined;

/* CPU that we run on, modulo 256; 255 when unknown. */
uint8_t vos_cpu(void);

#endif
