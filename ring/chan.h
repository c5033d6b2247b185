/* SPDX-License-Identifier: MIT */
/*
 * A channel as the program sees it.
 *
 * Life: a transport's attach() makes the memory, hands it to the service and learns its guard
 * value, threads take lanes and post. When the service dies (the guard changes) or breaks the
 * rules, vos_chan_kill() marks the channel dead, for ever, and wakes every thread that sleeps on
 * it; calls then end with -ENOLINK and the caller makes a new channel.
 *
 * Nothing here uses libc: raw system calls, no allocation but mmap, and none of it once attached.
 */
#ifndef VOS_CHAN_H
#define VOS_CHAN_H

#include "ring/abi.h"
#include "ring/calls.h"
#include "ring/interrupt.h"
#include "ring/lane.h"
#include "ring/pool.h"

#include <poll.h>
#include <stdbool.h>

enum vos_wait {
	VOS_WAIT_RESTART, /* a handler with SA_RESTART does not end the wait */
	VOS_WAIT_ONCE,	  /* any handler ends it */
	VOS_WAIT_ALWAYS,  /* no handler ends it */
};

/* How a call waits, and which handlers had run on the thread when the call began. */
struct vos_waits {
	enum vos_wait how;
	struct vos_handled since;
};
static inline struct vos_waits vos_waits(enum vos_wait how)
{
	return (struct vos_waits){ how, vos_handled };
}

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
	int bell;		/* descriptor of the transport: doorbell, hang-up */
	_Atomic uint32_t *live; /* the word that changes when the service dies */
	uint32_t guard;		/* what it says while the service lives */
	_Atomic bool dead;
	uint64_t session[2];
	uint64_t blocked;    /* attach(): signals that do not end it, though they wait */
	uint8_t incarnation; /* the caller's: of what this channel gives out */
	_Atomic uint16_t pace[VOS_NOPS]; /* pauses that a call of this op takes, averaged */
	_Atomic int64_t doubt;		 /* s of CLOCK_MONOTONIC: when sleepers look at the bell */
	size_t program_size, service_size; /* bytes that are mapped */

	/* vchan_program.c, ext_program.c */
	struct vos_vchan *vchan;
	uint64_t announced; /* what the service calls itself */

	/* vchan_wait.c */
	uint32_t port;				     /* our event channel */
	_Atomic uint32_t loop;			     /* one to ourselves, 0: not made yet */
	int watch;				     /* descriptor of the xenstore, or -1 */
	_Atomic uint32_t watcher;		     /* index + 1 of the lane that reads it */
	char watched[96];			     /* what is watched there */
	_Atomic uint32_t reader;		     /* index + 1 of its lane, 0: nobody */
	_Atomic uint32_t ready_head;		     /* cursor of the ready queue */
	_Atomic uint64_t asleep[VOS_LANES_MAX / 64]; /* bit for each lane */
};

/*
 * How a program reaches a service and the two wake each other. ring/unix_program.c is the one for
 * one machine.
 *
 * Sleeping: the thread has announced it in the entry, with VOS_WAIT_FUTEX or VOS_WAIT_FD, and may
 * be told by a handler's call on top of it, by other threads, and for nothing that it is awake.
 */
struct vos_transport {
	const char *scheme; /* what an address starts with, e.g. "unix:" */
	const char *by;	    /* which of several ways there are for it, for people; or NULL */
	bool mute;	    /* a confined program cannot ring: that takes more than a write() */
	bool once;	    /* sleep() heeds VOS_WAIT_ONCE by itself, whatever has been announced */
	/*
	 * Make the memory of the channel to the service of domain @name at @where and hand it over;
	 * perhaps by another transport for the same address, which is the channel's from then on.
	 * 0 or -errno: -ENXIO when another domain's service is there. *@w then holds a text, the
	 * service's or ours and printable, if there is more to say than that nobody answers.
	 * -ETIMEDOUT: it does not answer. -EINTR: nor has it so far, and a signal waits to be
	 * delivered that is not in c->blocked; the caller has blocked all.
	 */
	int (*attach)(struct vos_chan *c, const char *where, const char *name, struct vos_hello *h,
		      struct vos_welcome *w);
	/* Have the kernel tell the service who we are now. 0 or -errno. NULL: it cannot. */
	int (*prove)(const char *where, const char *name, struct vos_hello *h,
		     struct vos_welcome *w);
	/* Likewise, where the kernel notes it in the channel: before the op ident. Or NULL. */
	long (*vouch)(struct vos_chan *c);
	void (*ring)(struct vos_chan *c);

	/* Can the lane's thread sleep in ppoll()? If so, it has what that takes. 0 or -errno. */
	int (*wake_fd)(struct vos_chan *c, struct vos_lane *l);
	/*
	 * Show the service the file that is to travel with the lane's next token; it keeps neither
	 * the descriptor nor what is in the file. 0 or -errno. NULL: there is no way to.
	 */
	int (*token_file)(struct vos_chan *c, struct vos_lane *l, int fd, uint32_t key);

	/*
	 * Sleep once, as announced, by vos_sleep_call(): -EINTR when a signal handler has run
	 * (VOS_WAIT_FUTEX: one without SA_RESTART), anything else when it is time to look at the
	 * entry.
	 */
	long (*sleep)(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
		      uint32_t announced, struct vos_waits w);
	/*
	 * The same for a thread that polls other things as well: what it is to poll for the entry,
	 * and for how many ns at most (-1: no matter) before it looks at the entry; and, after each
	 * time, what has come of it: the number of those that were ready.
	 */
	int64_t (*poll)(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
			struct pollfd p[2]);
	unsigned (*polled)(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
			   struct pollfd p[2]);
	/*
	 * The thread sleeps no more. @cut: its sleep may have been cut short anywhere, by
	 * cancellation or longjmp(). NULL: makes no difference.
	 */
	void (*awake)(struct vos_chan *c, struct vos_lane *l, bool cut);
	/*
	 * Can the service's domain end without a word? Then: has it? Where nobody sleeps nobody
	 * hears of it, and calls that begin would get an error. Kills the channel. NULL: it cannot.
	 */
	bool (*deserted)(struct vos_chan *c);
	/* The channel is dead: wake everybody who sleeps on it. */
	void (*wake_all)(struct vos_chan *c);
	/* Close its descriptors, in whatever process we are; once is enough. */
	void (*close)(struct vos_chan *c);
};

extern const struct vos_transport vos_transport_unix, vos_transport_vchan;
/* ext_program.c: for addresses of vchan, where there is the kernel extension. */
extern const struct vos_transport vos_transport_ext;

/* The transport of an address, and where in it the scheme ends. NULL: no such scheme. */
const struct vos_transport *vos_transport_find(const char *address, const char **where);

/* The caller's: give a descriptor of ours its place among the program's; returns its number. */
extern int (*vos_chan_hide_fd)(int fd);
/* And close one again. */
extern void (*vos_chan_close_fd)(int fd);

/*
 * unix_program.c, for tests: hand over memory that was made before; -1: only prove who we are. To the
 * service of domain @name, or to any if it is NULL.
 */
int vos_unix_attach(struct vos_chan *c, int memory, const char *path, const char *name,
		    struct vos_hello *h, struct vos_welcome *w);
/* unix_wait.c: sleep, poll, polled and wake_all of threads whom the service wakes by itself. */
long vos_unix_sleep(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e, uint32_t announced,
		    struct vos_waits w);
int64_t vos_unix_poll(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
		      struct pollfd p[2]);
unsigned vos_unix_polled(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
			 struct pollfd p[2]);
void vos_unix_wake_all(struct vos_chan *c);
/* vchan_wait.c: the same where one of them wakes the others. */
long vos_vchan_sleep(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
		     uint32_t announced, struct vos_waits w);
int64_t vos_vchan_poll(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
		       struct pollfd p[2]);
unsigned vos_vchan_polled(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
			  struct pollfd p[2]);
int vos_vchan_wake_fd(struct vos_chan *c, struct vos_lane *l);
void vos_vchan_awake(struct vos_chan *c, struct vos_lane *l, bool cut);
bool vos_vchan_deserted(struct vos_chan *c);
void vos_vchan_wake_all(struct vos_chan *c);
/* vchan_program.c: the service, by what it called itself, has died. */
void vos_vchan_gone(uint64_t announced);
void vos_vchan_close(struct vos_chan *c);

/* The channel on memory that is all zero: 0 or -errno. */
int vos_chan_init(struct vos_chan *c, void *program, void *service, uint32_t lanes, uint32_t pool);
/* On memory of its own. Returns its descriptor (the caller closes it), or -errno. */
int vos_chan_create(struct vos_chan *c, uint32_t lanes, uint32_t pool);
/* Unmap; no thread may use the channel any more. */
void vos_chan_destroy(struct vos_chan *c);

/* The lane that belongs to thread @tid, taken for it if need be; NULL when all are taken. */
struct vos_lane *vos_chan_lane(struct vos_chan *c, int tid, int pid);

/* May a thread of process @pid be using the channel? It has a lane if so. */
bool vos_chan_used(struct vos_chan *c, int pid);

bool vos_chan_alive(struct vos_chan *c);
bool vos_chan_deserted(struct vos_chan *c); /* alive, before a call begins: is nobody there? */
void vos_chan_kill(struct vos_chan *c);

/*
 * Wait until slot @s is done: 0, -EINTR (a handler ran; the call goes on), or -ENOLINK (dead, or
 * the service has made nonsense of the entry, which ends the channel).
 */
int vos_chan_wait(struct vos_chan *c, struct vos_lane *l, int s, enum vos_wait how);
/* Its two halves: spin while that pays (true: done), and sleep. A handler that has run since the
 * call began ends the sleep as one that runs during it does. */
bool vos_chan_spin(struct vos_chan *c, struct vos_lane *l, int s);
int vos_chan_sleep(struct vos_chan *c, struct vos_lane *l, int s, struct vos_waits w);
/* For transports: the system call that sleeps; -EINTR if a handler that ends this wait has run. */
long vos_sleep_call(struct vos_waits w, long nr, const long a[6]);

/*
 * Set by a program that is about to confine itself: from then on waiting and ringing take no system
 * call but futex, read, write and poll.
 */
extern bool vos_chan_confined;

/* CPU that we run on, modulo 256; 255 when unknown. */
uint8_t vos_cpu(void);

#endif
