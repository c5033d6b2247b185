/* SPDX-License-Identifier: MIT */
/*
 * The service daemon: structures and the functions that its files offer each other.
 *
 * Threads, and who may touch what:
 *
 *   control	main(): listens, attaches, signals. Holds the robust list (see guard.c).
 *   driver	the one thread that drives an engine: polls the lanes of the engine's clients, runs
 *		their calls, retries parked ones. Everything inside struct engine is the driver's
 *		unless it says otherwise.
 *   pool	threads that run calls which block; they touch the call they were given, nothing else
 *   watchdog	looks whether a driver is stuck in a call and then lets a new thread drive (turn.c)
 *   reaper	waits for the processes that tickets are bound to (ticket.c)
 *   discard	closes what programs have handed over, which may block (discard.c)
 *
 * A call that has left the driver (pool, or a driver that lost its engine) is completed by the
 * thread that has it; its client and open descriptions are kept alive by references.
 */
#ifndef SVCD_H
#define SVCD_H

#include "ring/abi.h"
#include "ring/calls.h"
#include "ring/lane.h"
#include "svcd/list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/types.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SVCD_SANITIZED /* their run-time needs some more than we do */
#endif

#define SVCD_LISTEN_MAX 8

/* Options of the command line. */
struct options {
	const char *domain;
	const char *listen[SVCD_LISTEN_MAX];
	int nlisten;
	const char *root;
	int engines; /* 1 .. SVCD_ENGINES_MAX */
	int pool;    /* threads of the pool at most */
	int max_clients;
	int max_user_clients; /* of one user; root's are not counted */
	int max_handles;      /* of one client */
	int user_watches;     /* members of one user's epoll sets at most */
	int user_fds; /* descriptors of one user at most: most of what the system lets us have */
	int cpu;      /* first engine's CPU, the next ones follow; -1: not pinned */
	int spin_us;  /* how long an engine polls without work before it sleeps */
	bool verbose;
	bool syslog;
	bool no_filter;
	const char *vchan_user; /* whom programs of other Xen domains are taken for ... */
	bool trust_kernel;	/* ... unless their kernel's word is believed */
	bool trust_vchan;	/* ... or their own */
};
extern struct options opt;

/* Sets opt; ends with a message and status 2 if it cannot. options.c */
void options_parse(int argc, char **argv);
/* Nothing can be done: says so, and ends. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#define SVCD_ENGINES_MAX 16
#define SVCD_ROOTS_MAX	 64
#define SVCD_GROUPS_MAX	 65536

/* --- what epoll reports: every source starts with its type ------------------------------------ */

enum source_type { SOURCE_MAILBOX, SOURCE_CLIENT, SOURCE_PROCESS, SOURCE_WATCH, SOURCE_AIO };

struct source {
	enum source_type type;
};

/* The same for the control thread. */
struct watcher {
	void (*ready)(struct watcher *);
};
/* 0 or -errno. */
int control_watch(struct watcher *, int fd);
void control_unwatch(int fd);
void control_kick(void); /* any thread: there is something to be reaped now */

/* --- transports: how programs reach us, and how the two wake each other (transport.c) ------- */

struct client;
struct lane;

enum { HEED_CAME = 1, HEED_HUNG_UP = 2 }; /* something came from the client; it is gone */

struct transport {
	const char *scheme; /* what an address starts with, e.g. "unix:" */
	/* The rest of an address: NULL, or what is wrong with it. */
	const char *(*check)(const char *where);
	bool far; /* programs run on another machine, with CPUs and processes of its own */
	/* Control thread, before --root: accept programs there. NULL, or why that cannot be. */
	const char *(*listen)(const char *where);
	/* The same, once, when svcd is ready. NULL: nothing to do. */
	const char *(*start)(void);
	/* Control thread, at the end or when the start fails: what these two made goes, or NULL. */
	void (*unlisten)(void);
	/* Read what has come on the client's connection. It may block. HEED_* */
	unsigned (*heed)(struct client *);
	/*
	 * Driver: whose it is by now, if a kernel has said so where we can read it and it is news to
	 * us; NULL: none. Or NULL.
	 */
	struct ident *(*news)(struct client *);
	/* Any thread: the call in @e is completed, and its thread sleeps as @how says. */
	void (*wake)(struct lane *l, struct vos_entry *e, uint32_t how);
	/* Let the client know that it is not served any more. */
	void (*hang_up)(struct client *);
	/* Memory and descriptors of a client that nobody uses any more, or that never was one. */
	void (*release)(struct client *);
	const unsigned long *ioctls; /* that all this takes, up to 0; or NULL */
};

extern const struct transport transport_unix, transport_vchan;
/* NULL: no such scheme. */
const struct transport *transport_find(const char *address, const char **where);
const char *transport_start(void);
void transport_unlisten(void);

/* --- users: how much each has of what is there for all (user.c) ------------------------------ */

enum user_count {
	USER_FDS,     /* descriptors of ours; opt.user_fds */
	USER_TOKENS,  /* under way in messages; opt.max_handles */
	USER_CLIENTS, /* opt.max_user_clients */
	USER_WATCHES, /* members of epoll sets; opt.user_watches */
	USER_LOCKS,   /* record locks; locks.c */
	USER_COUNTS
};

struct user {
	struct list list;
	uid_t uid;
	_Atomic int refs;
	_Atomic int count[USER_COUNTS];
	/* pool.c, under its lock */
	int calls;	     /* queued and running */
	struct list backlog; /* those above the limit */
};

struct user *user_get(uid_t uid); /* NULL: no memory */
struct user *user_ref(struct user *);
void user_put(struct user *);
/* It has @n more of these, if that is not more than @max: 0 or -ENFILE. */
int user_charge(struct user *, enum user_count, int n, int max);
void user_release(struct user *, enum user_count, int n);
int user_has(const struct user *, enum user_count);

/* --- identity: whose rights a call has (ident.c) -------------------------------------------- */

struct ident {
	_Atomic int refs;
	struct user *user;
	uid_t uid, ruid; /* the effective one, and the real one, for access() */
	gid_t gid, rgid;
	uint64_t caps; /* its own; of use only as user 0, and only those in struct caps */
	int ngroups;
	gid_t groups[];
};

struct ident *ident_new(uid_t uid, int ngroups);
struct ident *ident_of_peer(int sock, pid_t *pid);
struct ident *ident_get(struct ident *);
void ident_put(struct ident *);
/* Make the calling thread act for @id with @umask from here on: 0 or -errno. */
int ident_assume(struct ident *id, mode_t mask);
/* The same with the real ids of whom it acts for now; until the next ident_assume(). */
int ident_assume_real(mode_t umask);
bool ident_may_attach(const struct ident *);
/* Of whom the calling thread acts for. */
struct user *ident_user(void);
/* Around a call on extended attributes, by the thread that acts for its caller. */
void ident_xattr(bool begin);
/* Around the opening of a file again that is open for somebody: past its present permissions. */
void ident_override(bool begin);
/* Does the calling thread act for root, with capabilities in effect? */
extern _Thread_local bool ident_privileged;
int ident_init(void);
/* Once per thread that runs calls. */
void ident_thread_init(void);
void ident_thread_exit(void);

/* --- what svcd itself may do (confine.c, filter.c), and its callers (peer.c) ---------------- */

extern struct caps {
	uint64_t permitted;
	uint64_t identity; /* in effect while a thread changes whom it acts for */
	uint64_t caller;   /* ... while it acts for root, if that caller has them */
	uint64_t xattr;	   /* ... in such a caller's calls on extended attributes, besides */
	bool any_user;	   /* we can act for others than ourselves */
} caps;

int confine(void);
int filter_install(const unsigned long *const ioctls[], int n);
/* What the calling thread has in effect from here on, of what is permitted: 0 or -errno. */
int caps_effective(uint64_t set);
void peer_init(void);
uint64_t peer_caps(int sock, pid_t pid);

/* --- open descriptions and handles (ofd.c) -------------------------------------------------- */

enum ofd_kind {
	OFD_UNKNOWN,
	OFD_FILE,
	OFD_SOCKET,
	OFD_EPOLL,
	OFD_OTHER,
	OFD_PATH, /* opened with O_PATH: good for very few calls */
};

/*
 * What all duplicates of an open description share, and the kernel does not keep for us. What is
 * atomic is a value of its own, that calls which run meanwhile see or do not: it pairs with nothing,
 * unless it says so.
 */
struct description {
	_Atomic int refs;
	_Atomic bool nonblock; /* the program's O_NONBLOCK; sockets and pipes here always have it */
	_Atomic int flags;     /* O_DIRECT and O_APPEND, of a file; see aio.c */
	_Atomic bool lingers;  /* SO_LINGER: its last close() may wait */
	_Atomic int64_t timeout[2]; /* ns of SO_RCVTIMEO, SO_SNDTIMEO; 0: none */
	_Atomic int lowat;	    /* SO_RCVLOWAT of a stream, if it has been set */
	_Atomic bool sent;	    /* there has been a token for it; token.c */
	_Atomic bool netlink;	    /* which may have to wait for others; see calls/rw.c */
	_Atomic bool nested;	    /* an epoll set that others are, or were, in */
	bool in_sets;		    /* the lists of sets.c are not, or were not, empty */
	struct list sets, members; /* that it is in, and that are in it; under the lock of sets.c */
	struct list tokens;	   /* under the lock of tokens */
	_Atomic(struct held *) locks; /* record locks of its own; set under the lock of locks.c */
};

/* A descriptor of ours, and the handles that stand for it: those of one client and of its forks. */
struct ofd {
	_Atomic int refs;
	struct user *user; /* whose count it is in */
	int fd;
	struct description *desc;
	_Atomic enum ofd_kind kind; /* what fd is; found out at the first transfer */
	bool no_nowait;		    /* the file system knows no RWF_NOWAIT */
	_Atomic uint8_t warm;	    /* see calls/rw.c */
	_Atomic bool no_aio;	    /* its file system always waits; aio.c */
	struct watch *watches;	    /* one per engine that has parked a call on it; under lock */
	pthread_mutex_t lock;
};

struct ofd *ofd_new(int fd, enum ofd_kind kind, bool nonblock);
/* For @fd, made by dup of @o's. */
struct ofd *ofd_dup(struct ofd *o, int fd);
struct ofd *ofd_get(struct ofd *);
void ofd_put(struct ofd *);
void ofd_close(struct ofd *); /* likewise, and waits as close() does */
enum ofd_kind ofd_kind(struct ofd *);

struct client;
/* A new handle for @o, whose reference it takes over (also on failure): the handle or -errno. */
int64_t handle_add(struct client *, struct ofd *o, uint32_t root);
/* Is there room for one more? To be asked before what could not be taken back. */
bool handle_room(struct client *);
/* The driver's look-up: borrowed, valid while the driver runs this call. */
struct ofd *handle_ofd(struct client *, uint64_t handle, uint32_t *root);
/* Any thread: with a reference. NULL: it is not open. */
struct ofd *handle_get(struct client *, uint64_t handle);
/* Take it out: the description with its reference, or NULL. */
struct ofd *handle_remove(struct client *, uint64_t handle);

/* --- members of epoll sets (sets.c) */
struct set_member;
void set_begin(struct ofd *);
/* About to be added, 0 or -errno; it has been, or not; it has been taken out again. */
long set_member_new(struct ofd *set, struct ofd *, struct set_member **);
void set_member_added(struct set_member *, bool added);
void set_member_gone(struct ofd *set, struct ofd *);
/* The description ends: what it is in, and what is in it. */
void set_forget(struct description *);

#define HANDLE_CHUNK  1024u
#define HANDLE_CHUNKS ((1u << VOS_HANDLE_IDX_BITS) / HANDLE_CHUNK)

struct handle {
	_Atomic(struct ofd *) ofd;
	_Atomic uint32_t gen;
	uint32_t root;
	uint32_t next_free;
};

struct handle_table {
	pthread_mutex_t lock; /* for changes; the driver reads without */
	_Atomic(struct handle *) chunk[HANDLE_CHUNKS];
	uint32_t used; /* slots ever used */
	uint32_t live;
	uint32_t free; /* first free slot + 1 */
	bool closed;   /* nothing is added any more */
};

/* --- clients (client.c) --------------------------------------------------------------------- */

struct root {
	int fd;
	dev_t dev;
	ino_t ino;
};

struct lane {
	struct client *client;
	struct vos_entry *slot;
	struct list active;    /* in client->active while polled */
	uint64_t last;	       /* turn of the engine with the last request */
	uint32_t next;	       /* number of the claim expected next; its slot is polled */
	_Atomic uint32_t busy; /* slots taken and not completed */
	bool polled;
	bool used; /* has been polled before */
	bool scan; /* kicked: all slots are to be looked at */
	uint16_t index;
	uint16_t kick;	     /* last kick word seen */
	_Atomic int wake_fd; /* for VOS_WAIT_FD, or -1; set once */
	int sent_fd;	     /* for the next token, or -1; token.c */
	uint32_t sent_key;
	_Atomic(struct call *) call[VOS_SLOTS]; /* those that are held */
};

struct client {
	struct source source;  /* its connection */
	struct source process; /* its pidfd */
	_Atomic int refs;
	struct engine *engine;
	struct list list; /* all clients */
	struct list of_engine;
	struct list active; /* its lanes that are polled, that which was served last at the end */
	struct list turn;   /* in engine->active while there are any */
	const struct transport *transport;
	int conn;  /* descriptor of the connection, the transport's */
	int pidfd; /* -1: the hang-up alone says that it died */
	pid_t pid;
	char label[24];							  /* for messages */
	enum { VOUCHED_KERNEL, VOUCHED_BELIEVED, VOUCHED_FIXED } vouched; /* its identity */
	struct vchan *vchan;						  /* vchan.c */
	bool gone;							  /* hung up; driver */
	bool tickets_over;   /* and its tickets know; under their lock */
	uint64_t ticket;     /* that which it has taken, until it has made a call */
	_Atomic bool broken; /* broke the rules: to be thrown out */
	uint8_t *program, *service;
	uint32_t nlanes, pool;
	struct lane *lane;
	_Atomic uint32_t ready_tail;
	uint32_t caps;
	uint64_t session[2];
	struct ident *ident; /* driver; changed by way of the mailbox */
	mode_t umask;
	struct root root[SVCD_ROOTS_MAX];
	uint32_t nroots;
	int cwd; /* O_PATH, or -1: not in this domain */
	uint32_t cwd_root;
	struct list parked;	  /* its parked calls */
	struct lock_owner *locks; /* its POSIX locks; locks.c */
	uint32_t stuck;		  /* calls in which a driver got stuck lately */
	uint64_t stuck_at;	  /* the last one, ns */
	struct handle_table *table;
	struct user *user;   /* who has attached */
	bool counted;	     /* among that user's clients */
	_Atomic int charged; /* descriptors of its own that are counted as that user's */
};

/* It is to have @n more descriptors, besides those of its table. 0 or -ENFILE. */
int client_charge(struct client *, int n);
struct client *client_get(struct client *);
void client_put(struct client *);
void client_drop(struct client *); /* driver: hung up or broken */
void client_break(struct client *, const char *why);
/* --- for transports, by the control thread */
struct client *client_new(const struct transport *);
/* Can we serve this? 0, or -errno and *@why. */
int client_geometry(const struct vos_program_head *h, const char **why);
int client_prepare(struct client *, const struct vos_hello *, const char **why);
/* The answer to a hello: @error 0, or -errno and @why. */
void client_welcome(struct vos_welcome *, const struct client *, int error, const char *why);
int client_enter(struct client *);
/* --- */
struct client *client_by_session(const uint64_t session[2]);
/* Any thread: those for which @which says so are gone. */
void client_drop_all(bool (*which)(const struct client *, const void *), const void *arg);
/* Its process, as our kernel knows it; 0: it does not. */
static inline pid_t client_process(const struct client *cl)
{
	return cl->transport->far ? 0 : cl->pid;
}
extern _Atomic int client_count;

/* --- calls (call.c) ------------------------------------------------------------------------- */

/* What a svcd_call_ function may return besides a result. */
#define CALL_PARK   (-5000L) /* retry when the watch set with call_park_on() says so */
#define CALL_POOL   (-5001L) /* run again by a thread of the pool */
#define CALL_BREAK  (-5002L) /* the request makes no sense: throw the client out */
#define CALL_AGAIN  (-5003L) /* run again by the driver */
#define CALL_FLYING (-5004L) /* in flight: not to be touched any more; see aio.c */

enum call_state { CALL_RUNNING, CALL_IS_PARKED, CALL_QUEUED, CALL_IN_POOL };

struct call {
	struct client *client;
	struct lane *lane;
	const struct vos_op_desc *desc;
	uint16_t op;
	uint8_t slot;
	uint8_t cpu;
	bool in_pool;
	bool blocking; /* the driver marked itself: it may get stuck */
	bool timed_out;
	bool timer_set;
	_Atomic enum call_state state; /* pool.c */
	_Atomic bool cancelled;	       /* by the driver; pool.c */
	uint64_t raw[6];	       /* arguments as posted */
	uint64_t extra;		       /* reference to the block for redirects and the like */
	long a[6];		       /* decoded: numbers, descriptors, pointers */
	uint32_t len[6];	       /* bytes behind a pointer */
	uint64_t small[6];	       /* data that goes back in the entry itself */
	uint8_t nsmall;		       /* bytes of it at most; 0: it has a block, or none */
	struct ofd *ofd[2];	       /* behind the handles; references only while held */
	int base[2];		       /* directories that paths start from, or -errno */
	uint32_t base_root[2];
	uint8_t nbases;
	bool held;	      /* the references above and one of the client are ours */
	_Atomic bool adopted; /* by the driver that took over from the one that is stuck in it */
	/* parked */
	struct watch *watch;
	uint32_t events;
	struct list parked; /* in watch->parked */
	struct list of_client;
	struct watch *own_watch; /* an epoll set that lives for this call */
	int set;		 /* that, before it is watched; or -1 */
	int set_members;	 /* of it, on the account of the client's user */
	uint64_t deadline;	 /* ns of CLOCK_MONOTONIC, 0: none */
	struct list timer;
	uint64_t done; /* bytes transferred before it parked */
	int step;
	struct ofd *closing; /* close: what has been taken out of the table and waits for its end */
	int opened; /* chdir: what has been opened, and not yet become the working directory; or -1 */
	uint32_t opened_root;
	/* in flight */
	_Atomic int aio;
	long aio_result;
	size_t taken; /* how far it has moved the file's position */
	/* pool */
	struct list job;
	_Atomic int tid; /* pool.c */
	struct ident *ident;
	mode_t umask;
};

void call_init(void);
long call_run(struct call *);
long path_call(struct call *);
/* @state: of the entry, when it was found posted. */
void call_take(struct engine *, struct lane *, uint32_t slot, uint32_t state);
/* For svcd_call_ functions, before a system call that may block. */
void call_may_block(struct call *);
/* After it. False: what follows is the driver's and we are not; CALL_AGAIN lets it go on. */
bool call_blocked(struct call *);
void call_finish(struct call *, long result);
/* By the driver: do what a result of call_run() says. */
void call_settle(struct call *, long result);
/* A driver that takes over from one with the thread id @tid, which is stuck in the call. */
void call_adopt(struct call *, int tid);
/* Keep what the call refers to alive beyond the driver's turn. */
void call_hold(struct call *);
void call_retry(struct call *);
/* What comes after call_run() for threads that do not drive. */
void call_settle_elsewhere(struct call *, long result);
void call_cancel(struct lane *, uint32_t slot);
/* A block named by a reference: a pointer, or NULL when it lies outside the data part. */
void *call_in_block(struct client *, uint64_t ref, uint32_t *len); /* in the service area */
const void *call_out_block(struct client *, uint64_t ref, uint32_t *len);
/* calls/rw.c: an answer of "would block" for data in (0) or out (1): the program's, or it parks. */
long svcd_would_block(struct call *, uint32_t events, int which, bool dontwait);
bool svcd_is_stream(struct ofd *);
/* Of a socket: from @p, with the message's address and ancillary data; to @p, with @msg, if any. */
struct msghdr;
long svcd_send(struct call *, const struct msghdr *msg, const char *p, size_t len, int flags);
long svcd_receive(struct call *, struct msghdr *msg, char *p, size_t len, int flags);
/* A private copy of a string argument (P or S): 0 or -ENAMETOOLONG. */
long call_string(const struct call *, int i, char *buf, size_t size);

/* --- parked calls (park.c) ------------------------------------------------------------------ */

struct watch {
	struct source source;
	struct engine *engine;
	struct ofd *ofd; /* NULL: a set of one call */
	int fd;
	struct list parked;
	struct watch *next; /* of the same ofd */
	struct list grave;
};

/* Have @c wait for @events of @o (or of the private set @fd). For svcd_call_ functions. */
long call_park_on(struct call *c, struct ofd *o, uint32_t events);
long call_park_set(struct call *c, int epfd);
void call_set_gone(struct call *c); /* off the account */
void park_add(struct call *c);
void park_remove(struct call *c);
void park_event(struct watch *w, uint32_t events);
void park_due(struct engine *e);
void park_timers(struct engine *e);
int64_t park_next_timer(struct engine *e);	/* ns from now, -1: none */
void watch_release(struct watch *w);		/* any thread; freed by the engine */
void call_deadline(struct call *c, int64_t ns); /* from now; < 0: none; once per call */

/* --- engines (engine.c, turn.c) ------------------------------------------------------------- */

#define ENGINE_EVENTS 64

struct engine {
	int index;
	int epoll;
	int mail_fd;
	struct source mailbox;
	struct list active; /* clients with lanes that are polled */
	struct list clients;
	struct list dropped; /* clients; an event of this turn may still name them */
	struct list timers;  /* calls with a deadline, nearest first */
	struct list due;     /* parked calls that are to be retried */
	struct epoll_event events[ENGINE_EVENTS];
	int event, nevents; /* the next one to be looked at, and how many there are */
	uint64_t turn;
	uint32_t nparked;
	struct list free_calls;
	uint16_t client_cpu; /* of the last call, or VOS_CPU_NONE */
	uint8_t cpu;	     /* ours, as of the last look */

	/* aio.c */
	struct source aio_source;
	int aio_fd;
	struct io_context *aio; /* NULL: not needed yet, or not to be had */
	bool aio_failed;
	_Atomic uint32_t flying; /* submitted and not reaped; by a driver that lost us, too */

	pthread_mutex_t mail_lock;
	struct list mail;   /* struct mail */
	struct list graves; /* watches to be freed */

	/* turn.c: odd while the driver is in a call that may block */
	_Atomic uint64_t turns;
	uint64_t turns_seen;  /* watchdog */
	int tid;	      /* the driver's */
	struct call *in_call; /* if turns is odd: the call that it is in, or NULL */
	_Atomic bool awake;
};

extern struct engine engines[SVCD_ENGINES_MAX];

int engine_init(struct engine *, int index);
int engine_start(struct engine *);
int engine_pin(const struct engine *, pthread_t driver);
void engine_drive(struct engine *);
/* Have the driver of @e run fn(arg) soon. 0 or -ENOMEM. */
int engine_post(struct engine *e, void (*fn)(struct engine *, void *), void *arg);
void engine_poll_lane(struct engine *, struct lane *);
/* Read what the client has sent before its call; it may block. */
void engine_hear(struct client *);
uint64_t now_ns(void);

/* turn.c */
extern _Thread_local struct engine *driving;
void turn_enter(struct engine *); /* the driver may block from here ... */
bool turn_leave(struct engine *); /* ... to here. False: another thread drives now */
int turn_start_watchdog(void);
void turn_engine_awake(struct engine *);

/* --- pool (pool.c) -------------------------------------------------------------------------- */

int pool_init(int max);
bool pool_drain(int ms);
void pool_add(struct call *);
void pool_left(struct call *);	 /* by the thread that has it: no signals any more */
void pool_forget(struct call *); /* likewise; its slot is free */
/* A call that has got the thread @tid stuck, which is none of the pool's. */
void pool_adopt(struct call *, int tid);
/* Driver: make the call in a slot return. If it is parked: here it is, finish it. */
struct call *pool_interrupt(struct lane *, uint32_t slot);
bool pool_interrupt_again(void); /* watchdog; true while there is somebody to interrupt */

/* --- O_DIRECT (aio.c) ----------------------------------------------------------------------- */

/* read and write of a file that is O_DIRECT, for svcd_call_ functions. */
long aio_transfer(struct call *, bool out);
void aio_give_back(struct call *, long result);
bool aio_reap(struct engine *);
void aio_event(struct engine *);
void aio_drain(struct engine *, int ms);

static inline bool aio_flying(const struct engine *e)
{
	return atomic_load_explicit(&e->flying, memory_order_relaxed);
}

/* --- paths (walk.c) ------------------------------------------------------------------------- */

struct where {
	int dir;	  /* directory of the last component */
	bool close;	  /* dir is ours to close */
	const char *name; /* last component, "." or (with the object itself) "" */
	uint64_t resolve; /* RESOLVE_ of openat2() */
	uint32_t root;
	char buf[VOS_PATH_MAX * 2];
};

/*
 * Is a symlink followed that the path ends in, and one with a slash behind it? PARENT: calls that
 * make, remove or rename. CREATE: open, which may make one.
 */
enum follow { FOLLOW = 3, NOFOLLOW = 2, CREATE = 1, PARENT = 0 };
/* 0, -errno, or VOS_REDIRECT (already written for the @which-th path of the call). */
long walk(struct call *c, int which, int arg, enum follow follow, struct where *w);
void walk_end(struct where *w);
/* Hold the object that the path ends in, as @dir, with the name "". 0, -errno or WALK_SWAPPED. */
long walk_pin(struct where *w);
/* There is a symlink now where the walk has found none: to be walked again, so many times. */
#define WALK_SWAPPED (-5000L)
#define WALK_TRIES   40
/* Does the path end in a slash behind a name? Then a kernel follows a symlink of that name. */
bool walk_slash(const struct where *w);
/* /proc/self/fd from before --root: an object as a path, "N", that the kernel follows to it. */
extern int proc_fds;
const char *fd_name(char buf[16], int fd);
/* Descriptor of a root or of the working directory, borrowed; -errno. */
int walk_base(struct client *cl, uint64_t base, uint32_t *root);
long walk_redirect(struct call *c, int which, uint32_t root, const char *path);

/* --- tickets (ticket.c): what a child or the next image will claim -------------------------- */

struct ticket;
/* @keep: handles that go into it, all if NULL. By the driver. 0 or -errno. */
/* @own: for the client's own process, which will exec: its locks go with it. */
long ticket_make(struct call *, const uint64_t *keep, size_t n, bool own, uint64_t id[2]);
int ticket_take(const uint64_t id[2], struct client *into);
int ticket_start_reaper(void); /* 0 or -errno */
/* It lasts as long as that process; 0: no longer; or VOS_TICKET_ANYBODY, for a while. -ESRCH: cannot
 * be watched. */
long ticket_bind(const uint64_t id[2], pid_t pid);
/* Its maker is gone; who has taken it has made a call. Both by the driver. */
void ticket_maker_gone(struct client *);
void ticket_settle(struct client *);
void ticket_reap(void);
/* Are there any that ticket_reap() has to look at? */
bool ticket_any(void);

/* --- tokens (token.c): descriptors that are under way to another process -------------------- */

/* The file that will travel with a token of this lane has come. Takes @fd over. */
void token_file(struct lane *, uint32_t key, int fd);
/* @key: of the file that came for it, 0: none. May block. 0 or -errno. */
long token_make(struct call *, struct ofd *, uint32_t key, uint64_t id[2]);
long token_claim(struct client *, const uint64_t id[2], uint32_t root, bool last);
/* A descriptor of @desc was closed: what has arrived is not under way any more. */
void token_settle(struct description *desc);
void token_reap(void);
bool token_any(void);

/* --- POSIX locks (locks.c) --- */

/* A process that has locks: for its client, and handed on with exec. */
struct lock_owner *locks_new(void);
struct lock_owner *locks_get(struct lock_owner *);
void locks_leave(struct lock_owner *); /* locks go with the last who leaves ... */
void locks_free(struct lock_owner *);  /* ... calls that use them may still come back */
/* It closed a descriptor of this file: its locks there are gone. */
void locks_closed(struct lock_owner *, struct ofd *);
bool locks_any(const struct lock_owner *);
/* An exec is coming (true: there are locks), which will close these; it has happened, or may have:
 * there is a new image, the old one has left. */
bool locks_exec_begin(struct lock_owner *);
void locks_exec_closes(struct lock_owner *, struct ofd *);
void locks_image(struct lock_owner *, const struct client *now);
void locks_image_gone(struct lock_owner *, const struct client *);
/* The description ends. */
void locks_forget(struct description *);

/* --- descriptors that programs have handed over (discard.c) ---------------------------------- */

/* Close one some time soon, by a thread that may wait; a connection of ours with all that is in it.
 */
void discard(int fd);
void discard_connection(int fd);

/* --- chores --------------------------------------------------------------------------------- */

void log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void *guard_map(int memfd, size_t size, size_t file_off, uint32_t *guard_value);
void guard_unmap(void *map, size_t size);
int guard_init(void);
void notify_ready(void);
int random_id(uint64_t id[2]);

/* --- calls of their own: svcd/calls/ -------------------------------------------------------- */

typedef long (*call_fn)(struct call *);
#define VOS_OP(name, nr, run, ...) VOS_FN_##run(name)
#define VOS_FN_OWN(name)	   long svcd_call_##name(struct call *);
#define VOS_FN_INLINE(name)
#define VOS_FN_BLOCK(name)
#define VOS_FN_PATH(name)
#define VOS_FN_POOL(name)
#include "ring/calls.def"
#undef VOS_FN_OWN
#undef VOS_FN_INLINE
#undef VOS_FN_BLOCK
#undef VOS_FN_PATH
#undef VOS_FN_POOL

#endif
