/* SPDX-License-Identifier: MIT */
/*
 * Inside the library.
 *
 * We are a guest in somebody's program: no malloc, no stdio, no libc function that we wrap
 * ourselves, no lock held across fork, and nothing but raw system calls until vos_init() is done.
 * Functions return what the kernel would: a result or -errno; only exported wrappers set errno.
 *
 * How a call goes: an exported wrapper (wrap.c, from libc.def), the system call hook of a patched
 * libc, or syscall() all end in the handler of the system call, vos_sys_<name>(). It finds out
 * where the call belongs (the descriptor table, or the route of a path) and either lets the kernel
 * do it or forwards it: forward.c marshals by the table of ops, request.c posts and waits.
 */
#ifndef VOS_H
#define VOS_H

#include "preload/config.h"
#include "ring/abi.h"
#include "ring/calls.h"
#include "ring/chan.h"
#include "ring/raw.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define HIDDEN	    __attribute__((visibility("hidden")))

/* --- descriptors: fdtab.c ------------------------------------------------------------------- */

/*
 * One word for each number. 0: a local descriptor, nothing of ours. Otherwise
 *	bits 0-47	handle in the domain (VOS_FD_EPOLL: number of the companion, see epoll.c)
 *	bits 48-50	domain
 *	bits 51-54	kind
 *	bits 56-63	incarnation of the channel that gave the handle, 1 .. 255
 * The number itself is held by a placeholder: a real descriptor, duplicate of one of ours, so that
 * the kernel goes on doing all that it does with numbers.
 */
enum vos_fd_kind {
	VOS_FD_LOCAL,
	VOS_FD_FILE,
	VOS_FD_SOCKET,
	VOS_FD_EPOLL,
	VOS_FD_OURS = 15, /* a descriptor of the library itself: EBADF for the program */
};

#define VOS_WORD(handle, dom, kind, inc)                                       \
	((uint64_t)(handle) | (uint64_t)(dom) << 48 | (uint64_t)(kind) << 51 | \
	 (uint64_t)(inc) << 56)
#define VOS_WORD_HANDLE(w) ((w)&VOS_HANDLE_MASK)
#define VOS_WORD_DOMAIN(w) ((unsigned)((w) >> 48) & 7)
#define VOS_WORD_KIND(w)   ((enum vos_fd_kind)((w) >> 51 & 15))
#define VOS_WORD_INC(w)	   ((uint8_t)((w) >> 56))

struct vos_fdtab {
	_Atomic uint64_t *word;
	unsigned long n;	   /* 0 before vos_init() */
	_Atomic unsigned long end; /* above all numbers that have ever had a word */
	_Atomic int nremote;	   /* numbers that are not local */
	int placeholder;	   /* what placeholders are duplicates of; -1: none yet */
};
extern struct vos_fdtab vos_fdtab HIDDEN;

static inline uint64_t vos_fd(long fd)
{
	/* Acquire: pairs with vos_fd_set(). A negative number is a large one. */
	if (likely((unsigned long)(unsigned)fd < vos_fdtab.n))
		return atomic_load_explicit(&vos_fdtab.word[(unsigned)fd], memory_order_acquire);
	return 0;
}

int vos_fdtab_init(void) HIDDEN;
/* Give the number @fd, which already holds a placeholder, its word; 0 takes the word away. The old
 * one. What changes words and numbers together is a change (change.h). */
uint64_t vos_fd_set(long fd, uint64_t word) HIDDEN;
/* What placeholders are duplicates of: a memfd sealed against everything. Or -errno. */
int vos_fd_placeholder(void) HIDDEN;
/* Only make @fd a placeholder, whatever its word. fd or -errno. */
long vos_fd_put(long fd, bool cloexec) HIDDEN;
/* Make a memfd one that nothing can be done with. */
long vos_fd_seal(long fd) HIDDEN;
#define VOS_PLACEHOLDER_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
/* Some process's placeholder, where there may be no word for it? */
bool vos_fd_is_placeholder(long fd) HIDDEN;
/* Is this number one of our own descriptors? The program must not see or close them. */
bool vos_fd_internal(long fd) HIDDEN;
/* Move a descriptor of ours to a number out of the way. */
int vos_fd_hide(int fd) HIDDEN;
/* It stays where it is, but is ours. */
void vos_fd_ours(int fd) HIDDEN;

/* --- numbers for what is about to be opened: reserve.c ---------------------------------------- */

/*
 * The lowest free number that is at least @min, before the domain is asked for anything: a call
 * that fails since there is none has done nothing. It is EBADF to the program until it is filled,
 * and given back if the call is left by longjmp() or by the end of its thread. -errno: there is
 * none.
 */
long vos_fd_reserve(long min, bool cloexec) HIDDEN;
/* It stands for @word now. @fd. */
long vos_fd_fill(long fd, uint64_t word) HIDDEN;
/* The call has failed with @err, which is the result. */
long vos_fd_release(long fd, long err) HIDDEN;
/* This thread ends in the middle of its calls. */
void vos_fd_release_mine(void) HIDDEN;
/* In a fork child of thread @tid: what other threads have reserved is nobody's. */
void vos_fd_forked(int tid) HIDDEN;
/* Before exec: what is reserved now does not go on. */
void vos_fd_reserved_end(void) HIDDEN;
#define VOS_WORD_RESERVED(tid) VOS_WORD(tid, 0, VOS_FD_OURS, 0) /* for ever ours: tid 0 */
/*
 * A call on @fd, made by the word @was, has ended with @r: only since another thread has put
 * something else at this number meanwhile? Then it is to be made again, by the present word.
 */
static inline bool vos_fd_moved(long fd, uint64_t was, long r)
{
	if (likely(r >= 0) || vos_fd(fd) == was)
		return false;
	return was ? r == -EBADF : r == -EINVAL || r == -EPERM || r == -ENOTSOCK;
}

/* --- domains: domain.c ---------------------------------------------------------------------- */

struct vos_domain {
	struct vos_chan *_Atomic chan;		       /* NULL: not attached */
	_Atomic uint8_t inc;			       /* the present incarnation: that of chan */
	_Atomic uint32_t nroots;		       /* roots named so far in this incarnation */
	_Atomic uint8_t root_prefix[VOS_MAX_PREFIXES]; /* prefix that each root belongs to */
	uint64_t ticket[2];			       /* what our parent left for us; 0: nothing */
	int64_t silent; /* ms: when it was given up that it would answer an attach; 0: it was not */
	bool refused;	/* it does not take us, and we have said so */
	bool over;	/* was dead when the program confined itself: not tried again after that */
};

extern struct vos_config vos_config HIDDEN;
extern struct vos_domain vos_domain[VOS_MAX_DOMAINS] HIDDEN;

/* The channel, attached if need be. NULL: *@err says why; -EINTR: a handler ended the wait. */
struct vos_chan *vos_domain_chan(unsigned dom, long *err) HIDDEN;
/* After -ENOLINK: drop the channel, so that the next call attaches again. */
void vos_domain_lost(unsigned dom, struct vos_chan *c) HIDDEN;
/*
 * The root for prefix @p in its domain, named if need be: its number, and as a base of paths in
 * *@base. -errno: -ENOLINK when the domain cannot be reached, or what it says of the root.
 */
long vos_domain_root(int p, uint64_t *base) HIDDEN;
/* This thread goes on elsewhere than with its lane @l of @c, and makes no call there. */
void vos_domain_leave(struct vos_chan *c, struct vos_lane *l) HIDDEN;
/* The prefix that root @root of incarnation @inc belongs to; -1 when that is not known, or over. */
int vos_domain_prefix(unsigned dom, uint8_t inc, uint64_t root) HIDDEN;
/* In a fork child: every channel was the parent's. */
void vos_domain_forked(void) HIDDEN;

/* --- the umask: calls/umask.c --------------------------------------------------------------- */

uint32_t vos_umask(void) HIDDEN;
/* How often it has been changed. */
uint32_t vos_umasks(void) HIDDEN;
/* The service's copy may be that of before. */
void vos_umask_tell(unsigned dom) HIDDEN;

/* This thread's identity; refreshed after fork. */
int vos_tid(void) HIDDEN;
int vos_pid(void) HIDDEN;

/* --- requests: request.c -------------------------------------------------------------------- */

/*
 * One forwarded call from begin to end. Between the two the entry may be filled in:
 *	if (!(r = vos_req_begin(&q, dom, VOS_OP_x))) {
 *		q.e->arg[0] = ...; r = vos_req_run(&q, VOS_WAIT_RESTART); ... vos_req_end(&q); }
 */
struct vos_req {
	struct vos_chan *c;
	struct vos_lane *l;
	struct vos_entry *e;
	int slot;
	unsigned dom;
	bool skipped;
	struct vos_handled since; /* a handler that has run since then may end the wait */
	struct vos_block out, in; /* size 0: not taken */
	size_t redirect_size;	  /* room for a redirect at the end of in */
};

/* Has the call with slot @s of this thread's lane been left for good? @now: the present one. */
bool vos_req_left(const struct vos_lane *l, int s, const struct vos_req *now) HIDDEN;
void vos_left_init(void) HIDDEN; /* left.c */

/* 0, or -errno: -ENOLINK, -EACCES, -EINTR, no channel; -ENOMEM; -EAGAIN, no lane. */
long vos_req_begin(struct vos_req *q, unsigned dom, enum vos_op op) HIDDEN;
/*
 * Room in the program's / the service's area, at least @min and if possible @want bytes. With
 * VOS_WHOLE in @min it rather waits a while for others to give back what they have than to take
 * less, if @want fits one request.
 */
#define VOS_WHOLE ((size_t)1 << 32)
long vos_req_out(struct vos_req *q, size_t want, size_t min) HIDDEN;
long vos_req_in(struct vos_req *q, size_t want, size_t min) HIDDEN;
static inline uint8_t *vos_req_out_ptr(const struct vos_req *q)
{
	return q->c->program + q->out.off;
}
/*
 * Room for data that comes in, for an argument of kind OE: in the entry itself if that has enough
 * of it. *@len: bytes asked for; on return, what there is room for. At least @min, at most
 * VOS_IO_MAX. 0 or -errno.
 */
long vos_req_room(struct vos_req *q, int arg, size_t *len, size_t min) HIDDEN;

static inline uint8_t *vos_req_in_ptr(const struct vos_req *q)
{
	return q->c->service + q->in.off;
}

/* Where what there was vos_req_room() for has come. */
static inline const uint8_t *vos_req_came(const struct vos_req *q)
{
	return q->in.size ? vos_req_in_ptr(q) : (const uint8_t *)q->e->arg;
}
/*
 * Post and wait: the result, -EINTR (cancelled for a signal), or -ENOLINK (the service died). A
 * result is a number that a system call can answer; whether it fits the call is the caller's to
 * check, as is all that lies in the service's area, which the service can change at any time: it is
 * read once, or copied, and then checked. What does not fit is vos_req_breach().
 */
long vos_req_run(struct vos_req *q, enum vos_wait how) HIDDEN;
/* Likewise, for calls of several requests: handlers count from the beginning of the call. */
static inline long vos_req_run_as(struct vos_req *q, struct vos_waits w)
{
	q->since = w.since;
	return vos_req_run(q, w.how);
}
/* The service breaks the rules: its channel ends, for everybody. -EPROTO. */
long vos_req_breach(struct vos_req *q) HIDDEN;
/* The answer @r of a call that makes a handle, or -EPROTO. */
static inline long vos_req_handle(struct vos_req *q, long r)
{
	return unlikely(!r || r > (long)VOS_HANDLE_MASK) ? vos_req_breach(q) : r;
}
/* The two halves, for calls that wait for something else meanwhile. */
void vos_req_post(struct vos_req *q) HIDDEN;
long vos_req_collect(struct vos_req *q) HIDDEN; /* cancels if it is not done */
void vos_req_end(struct vos_req *q) HIDDEN;

/* A request without data or handles; its answer is 0. */
long vos_req_simple(unsigned dom, enum vos_op op, uint64_t a0) HIDDEN;
/* One about the handle of @word; its answer is 0, or a handle if that is what the op makes. */
long vos_req_about(uint64_t word, enum vos_op op) HIDDEN;
/* Has the call with a frame at @then been left by longjmp(), for certain? Asked at @now. */
bool vos_frame_left(const void *then, const void *now) HIDDEN;

/* The errno for a descriptor whose service is gone: the word says what it was. */
long vos_dead(uint64_t word, bool transfer) HIDDEN;
/* Is the word of the present incarnation of its domain? */
static inline bool vos_current(uint64_t w)
{
	return likely(atomic_load_explicit(&vos_domain[VOS_WORD_DOMAIN(w)].inc,
					   memory_order_relaxed) == VOS_WORD_INC(w));
}
/*
 * Is the word of the channel that the request has begun on? That may be a new one: to its client
 * the handle is nothing, or something else.
 */
static inline bool vos_req_knows(const struct vos_req *q, uint64_t word)
{
	return likely(VOS_WORD_INC(word) == q->c->incarnation);
}
/* vos_req_begin() about what @word stands for. */
static inline long vos_req_begin_about(struct vos_req *q, uint64_t word, enum vos_op op)
{
	long r = vos_req_begin(q, VOS_WORD_DOMAIN(word), op);

	if (likely(!r) && unlikely(!vos_req_knows(q, word))) {
		vos_req_end(q);
		return -ENOLINK;
	}
	return r;
}

/*
 * Bases as the library has them: those of the channel, and above a handle the incarnation that they
 * belong to. vos_forward() checks it and takes it out.
 */
#define VOS_BASE_INC(base)     ((uint8_t)((base) >> 48))
#define VOS_BASE_OF(base, inc) ((uint64_t)(base) | (uint64_t)(inc) << 48)
#define VOS_BASE_PLAIN(base)   ((base) & ~(0xffull << 48))
#define VOS_BASE_WORD(word)    VOS_BASE_OF(VOS_WORD_HANDLE(word), VOS_WORD_INC(word))

/* --- marshalling by the table: forward.c ---------------------------------------------------- */

/*
 * Forward @op with the system call's arguments @a. Handles and bases must have been put in place of
 * descriptors already: H arguments are words of the descriptor table, A arguments bases.
 * VOS_REDIRECT: *@rd (VOS_PATH_MAX + 16 bytes) says where the path went, unless that is not asked.
 */
struct vos_redirect_buf {
	struct vos_redirect r;
	char space[VOS_PATH_MAX];
};
#define VOS_REDIRECT_UNREAD ((struct vos_redirect_buf *)-1)
long vos_forward(enum vos_op op, unsigned dom, const uint64_t a[6],
		 struct vos_redirect_buf *rd) HIDDEN;
/* The generic handlers behind VOS_FD and VOS_AT rows. */
long vos_forward_fd(enum vos_op op, uint64_t word, const long a[6]) HIDDEN;
long vos_forward_at(enum vos_op op, const long a[6]) HIDDEN;

/* --- paths: route.c ------------------------------------------------------------------------- */

struct vos_route {
	int dom;	  /* VOS_TO_LOCAL: the kernel's; VOS_TO_DENY; else a domain */
	uint64_t base;	  /* base for the domain */
	long dirfd;	  /* for local: directory and path to use */
	const char *path; /* remaining path, in buf or the caller's */
	char *buf;	  /* VOS_PATH_MAX bytes of the caller's, or NULL: see VOS_NO_ROOM */
};
/*
 * Signal handlers on alternate stacks of 8 KiB open files, too. So nothing that may be called there
 * has a path on its stack at first: calls are tried without. What says that it needs room has done
 * nothing, and is tried again with room for each path and for where it leads.
 */
#define VOS_NO_ROOM (-4097)
struct vos_room {
	char buf[2][VOS_PATH_MAX];
	struct vos_redirect_buf rd;
};

/*
 * Where the path belongs that starts at @dirfd. 0, -errno, or VOS_NO_ROOM if r->buf is NULL.
 * VOS_ROUTE_NOFOLLOW: the call acts on a symlink that the path ends in, not on what it points to.
 * VOS_ROUTE_EMPTY: an empty path, or NULL, means what @dirfd is.
 * VOS_ROUTE_PARENT: the call makes, removes or renames what the path ends in, so a symlink is not
 * followed for a slash behind it.
 */
enum { VOS_ROUTE_NOFOLLOW = 1, VOS_ROUTE_EMPTY = 2, VOS_ROUTE_PARENT = 4 };
long vos_route(struct vos_route *r, long dirfd, const char *path, int how) HIDDEN;
#define VOS_HOPS_MAX 40 /* symlinks on one path that lead from one place to another */
/* Follow a redirect of a call to @dom: the new route, or -ELOOP after too many (*@n counts). */
long vos_reroute(struct vos_route *r, const struct vos_redirect *rd, int *n, int how) HIDDEN;
/*
 * After a local call on @r failed with @err: did symlinks lead its path into a prefix? Then *@r is
 * the way there, and the call is to be made again. If r->buf is NULL: they may have.
 */
bool vos_route_again(struct vos_route *r, long err, int how) HIDDEN;
/* Does the local path of @r name a directory on the way to a prefix? */
bool vos_route_above(const struct vos_route *r) HIDDEN;
/* Does a relative path start in a domain, since @dirfd or the working directory is there? */
long vos_route_dir(struct vos_route *r, long dirfd, const char *path, int how) HIDDEN;
/* Where the root that a redirect has left lies here, or NULL. */
const char *vos_route_root(const struct vos_route *r, uint32_t root) HIDDEN;
/* The place @rest below prefix @p. */
long vos_route_prefix(struct vos_route *r, int p, const char *rest) HIDDEN;
void vos_route_init(void) HIDDEN;
/* Is any file class remote in this program? */
extern bool vos_files_remote HIDDEN;

/* --- the working directory: calls/cwd.c ------------------------------------------------------ */

/*
 * The kernel's is right; the kernel's is the name of one in a domain; or else the domain that it is
 * in, and the incarnation of the channel by which we have come there: it does not outlive that.
 */
enum { VOS_CWD_LOCAL = -1, VOS_CWD_NAMED = -2 };
#define VOS_CWD_IN(dom, inc) ((int)(dom) | (int)(inc) << 8)
#define VOS_CWD_DOMAIN(cwd)  ((unsigned)(cwd)&255)
#define VOS_CWD_INC(cwd)     ((unsigned)(cwd) >> 8)
#define VOS_CWD_BASE(cwd)    VOS_BASE_OF(VOS_BASE_CWD, VOS_CWD_INC(cwd))
extern _Atomic int vos_cwd HIDDEN;
/* The kernel's working directory is a new one: is it a name? */
void vos_cwd_look(void) HIDDEN;
/* Is @path, with the symlinks in it, a name of the working directory? */
bool vos_cwd_is(const char *path) HIDDEN;
/* Go where the name says. */
long vos_cwd_enter(void) HIDDEN;
/* Before a path that starts in the working directory: vos_cwd is where that is. 0 or -errno. */
static inline long vos_cwd_known(void)
{
	return likely(vos_cwd != VOS_CWD_NAMED) ? 0 : vos_cwd_enter();
}

/* --- calls on two paths: cross.c ------------------------------------------------------------- */

/* Follow the path of @r to where it ends: to the domain, or back here. 0 or -errno. */
long vos_settle(struct vos_route *r, int how) HIDDEN;
/* The error of link or rename with arguments @a between two domains. */
long vos_cross_error(enum vos_op op, const long a[6]) HIDDEN;

/* --- start, dispatch ------------------------------------------------------------------------ */

enum vos_stage { VOS_STAGE_RAW, VOS_STAGE_STARTING, VOS_STAGE_READY };
extern enum vos_stage vos_stage HIDDEN;
void vos_init(void) HIDDEN;
/*
 * Have what remote things take: the descriptor table, and libc's own calls. At start, if our
 * configuration sends anything anywhere, or when something remote is inherited. False: no memory.
 */
bool vos_begin_remote(void) HIDDEN;
static inline void vos_need_init(void)
{
	if (unlikely(vos_stage == VOS_STAGE_RAW))
		vos_init();
}

/* A message for the user on descriptor 2, without stdio: the strings up to NULL. */
void vos_say(const char *first, ...) HIDDEN __attribute__((sentinel));
void vos_die(int status) HIDDEN __attribute__((noreturn));

typedef long (*vos_handler)(long, long, long, long, long, long);
/* Handle system call @nr or have the kernel do it. */
long vos_dispatch(long nr, long a0, long a1, long a2, long a3, long a4, long a5) HIDDEN;

#define VOS_FD(name) \
	long vos_sys_##name(long a0, long a1, long a2, long a3, long a4, long a5) HIDDEN;
#define VOS_AT(name) \
	long vos_sys_##name(long a0, long a1, long a2, long a3, long a4, long a5) HIDDEN;
#define VOS_SYS(name) \
	long vos_sys_##name(long a0, long a1, long a2, long a3, long a4, long a5) HIDDEN;
#include "ring/calls.def"

/*
 * A local call that is a cancellation point: like the kernel's, but a thread blocked in it can be
 * cancelled, as in libc.
 */
long vos_local(long nr, long a0, long a1, long a2, long a3, long a4, long a5) HIDDEN;

/* As the kernel does when a write finds nobody to read. */
void vos_sigpipe(void) HIDDEN;
/* The last number of an epoll with companions was closed; another number for it: its word. */
void vos_epoll_closed(uint64_t word) HIDDEN;
uint64_t vos_epoll_duped(uint64_t word) HIDDEN;
/* The kernel has duplicated the local @fd: @to, or an error; that is the result. */
long vos_epoll_copied(long fd, long to) HIDDEN;

#endif
