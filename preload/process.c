/* SPDX-License-Identifier: MIT */
/*
 * fork() and its relatives.
 *
 *	before	a ticket from each service, if there is anything remote; where other threads might
 *		open and close meanwhile, they wait, and it is for what the numbers stand for
 *	child	forgets the channels (their memory is not in it, MADV_DONTFORK), keeps the tickets,
 *		and attaches when it makes its first remote call
 *	parent	tells the services who the child is, so that they drop the ticket if it dies before
 *
 * fork() itself is known by name, which gives the parent the child's number. Forks inside libc
 * (daemon, forkpty) only run the atfork handlers: there the child attaches at once, since nobody
 * can say who it is. A child that none of this saw (a system call instruction of the program's own)
 * is told by memory that the kernel wipes in children: it has no ticket, and its remote descriptors
 * are dead.
 */
#define _GNU_SOURCE
#include "preload/change.h"
#include "preload/epoll.h"
#include "preload/process.h"
#include "preload/wrap.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TLS __attribute__((tls_model("initial-exec")))

static const uint32_t always = 1;
const uint32_t *vos_same_process = &always;

/*
 * What the atfork handlers fill in: that of the fork() under way, on its stack, since a handler may
 * fork in the middle of it. NULL: libc forks by itself, and nobody knows the child's number.
 */
static __thread struct vos_fork *forking TLS;
static __thread struct vos_fork unwrapped TLS;

typedef int clone_fn(int (*)(void *), void *, int, void *, ...);
static pid_t (*real_fork)(void);
static pid_t (*real__Fork)(void);
static clone_fn *real_clone;

/* --- tickets -------------------------------------------------------------------------------- */

static long fill_ticket(struct vos_req *q, unsigned flags, const uint64_t *keep, size_t n)
{
	size_t bytes = n * sizeof(*keep);
	long r = vos_req_in(q, 2 * sizeof(uint64_t), 2 * sizeof(uint64_t));

	if (!r && keep)
		r = vos_req_out(q, bytes ? bytes : 1, bytes ? bytes : 1);
	if (r)
		return r;
	if (bytes)
		memcpy(vos_req_out_ptr(q), keep, bytes);
	q->e->arg[0] = VOS_REF(q->in.off, 2 * sizeof(uint64_t));
	q->e->arg[1] = flags;
	q->e->arg[2] = keep ? VOS_REF(q->out.off, bytes) : VOS_REF_NULL;
	q->e->arg[3] = bytes;
	q->e->arg[4] = (uint64_t)vos_pid();
	return 0;
}

long vos_ticket_make(unsigned dom, unsigned flags, const uint64_t *keep, size_t n, uint64_t id[2])
{
	struct vos_req q;
	long r = vos_req_begin(&q, dom, VOS_OP_ticket);

	if (r)
		return r;
	r = fill_ticket(&q, flags, keep, n);
	if (!r)
		r = vos_req_run(&q, VOS_WAIT_ALWAYS);
	if (r > 1)
		r = vos_req_breach(&q);
	if (r >= 0)
		memcpy(id, vos_req_in_ptr(&q), 2 * sizeof(*id));
	vos_req_end(&q);
	return r;
}

void vos_ticket_bind(unsigned dom, const uint64_t id[2], long pid)
{
	struct vos_req q;

	if (vos_req_begin(&q, dom, VOS_OP_ticket_pid))
		return;
	q.e->arg[0] = id[0];
	q.e->arg[1] = id[1];
	q.e->arg[2] = (uint64_t)pid;
	vos_req_run(&q, VOS_WAIT_ALWAYS);
	vos_req_end(&q);
}

void vos_tickets_take(void)
{
	long err;

	for (unsigned i = 0; i < VOS_MAX_DOMAINS; i++)
		if (vos_ticket_pending(i))
			vos_domain_chan(i, &err);
}

/* --- the three parts of a fork -------------------------------------------------------------- */

static bool known_there(unsigned dom)
{
	return atomic_load_explicit(&vos_domain[dom].chan, memory_order_relaxed) ||
	       vos_ticket_pending(dom);
}

/* What the child will have numbers for. */
struct keep {
	uint64_t *word, *handle; /* of all, and of one domain at a time */
	size_t n, room;
};

/* Without memory for it the list is none: then the child gets all. */
static void collect(struct keep *k)
{
	long left = vos_fdtab.nremote, p;

	*k = (struct keep){ .room = left > 0 ? (size_t)left : 1 };
	p = vos_raw6(SYS_mmap, 0, (long)(2 * k->room * sizeof(*k->word)), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p < 0 && p > -4096)
		return;
	k->word = (uint64_t *)p;
	k->handle = k->word + k->room;
	for (unsigned long fd = 0; fd < vos_fdtab.n && left > 0; fd++) {
		uint64_t w = vos_fd((long)fd);

		if (!w || VOS_WORD_KIND(w) == VOS_FD_OURS)
			continue;
		k->word[k->n++] = w;
		left--;
	}
}

static long make_ticket(unsigned dom, const struct keep *k, uint64_t id[2])
{
	size_t n = 0;

	for (size_t i = 0; i < k->n; i++) {
		uint64_t w = k->word[i];

		if (VOS_WORD_KIND(w) == VOS_FD_EPOLL)
			w = vos_epoll_in(w, dom);
		if (w && VOS_WORD_DOMAIN(w) == dom && vos_current(w))
			k->handle[n++] = VOS_WORD_HANDLE(w);
	}
	/* Too long a list: all of them then. */
	return vos_ticket_make(dom, 0, n * sizeof(*k->handle) > VOS_IO_MAX ? NULL : k->handle, n,
			       id);
}

/* Have other threads wait with what they open and close, until the child is there. */
static void stop_others(struct vos_fork *f)
{
	const uint64_t all = ~0ull;

	vos_raw4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)&f->mask, sizeof(all));
	vos_changes_stop();
	f->stopped = true;
}

static void resume(struct vos_fork *f, bool child)
{
	if (!f->stopped)
		return;
	f->stopped = false;
	if (!child)
		vos_changes_go();
	vos_raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&f->mask, 0, sizeof(f->mask));
}

void vos_fork_begin(struct vos_fork *f)
{
	struct keep k = { NULL };

	f->made = f->soon = 0;
	f->stopped = false;
	if (!__libc_single_threaded && vos_fdtab.n)
		stop_others(f);
	if (likely(!vos_has_remote()))
		return;
	if (f->stopped)
		collect(&k);
	for (unsigned i = 0; i < VOS_MAX_DOMAINS; i++) {
		long r = known_there(i) ? make_ticket(i, &k, f->ticket[i]) : -ENOENT;

		if (r < 0)
			continue;
		f->made |= (uint8_t)(1u << i);
		if (!r)
			f->soon |= (uint8_t)(1u << i);
	}
	if (k.word)
		vos_raw2(SYS_munmap, (long)k.word, (long)(2 * k.room * sizeof(*k.word)));
}

static void drop_held(void);

/* What we had in this domain stays with our parent. */
static void lose(struct vos_domain *d)
{
	d->ticket[0] = d->ticket[1] = 0;
	d->nroots = 0;
	d->inc = d->inc == 255 ? 1 : (uint8_t)(d->inc + 1);
}

static void mark_process(void)
{
	if (vos_same_process != &always)
		*(uint32_t *)vos_same_process = 1;
}

void vos_fork_child(struct vos_fork *f, bool at_once)
{
	uint8_t known = 0;

	vos_changes_forked();
	vos_fd_forked(vos_tid());
	for (unsigned i = 0; i < VOS_MAX_DOMAINS; i++)
		if (known_there(i))
			known |= (uint8_t)(1u << i);
	mark_process();
	drop_held();
	vos_system_forked();
	vos_domain_forked();
	vos_epoll_forked();
	for (unsigned i = 0; known; i++, known >>= 1) {
		if (!(known & 1))
			continue;
		if (f->made & 1u << i)
			memcpy(vos_domain[i].ticket, f->ticket[i], sizeof(f->ticket[i]));
		else
			lose(&vos_domain[i]);
	}
	resume(f, true);
	if (f->made && (at_once || f->soon))
		vos_tickets_take();
}

void vos_fork_parent(struct vos_fork *f, long pid)
{
	resume(f, false);
	for (unsigned i = 0; f->made >> i; i++)
		if (f->made & 1u << i && (pid < 0 || !(f->soon & 1u << i)))
			vos_ticket_bind(i, f->ticket[i], pid < 0 ? 0 : pid);
}

void vos_forked_unseen(void)
{
	struct vos_fork nothing = { .made = 0 };

	vos_fork_child(&nothing, false);
}

bool vos_on_borrowed_memory(void)
{
	vos_forked_behind_our_back();
	return vos_raw0(SYS_gettid) != vos_tid();
}

/* --- fork ----------------------------------------------------------------------------------- */

static void nobody_named(const struct vos_fork *f)
{
	for (unsigned i = 0; f->made >> i; i++)
		if (f->made & 1u << i)
			vos_ticket_bind(i, f->ticket[i], VOS_TICKET_ANYBODY);
}

static void atfork_prepare(void)
{
	vos_fork_begin(forking ? forking : &unwrapped);
}

static void atfork_parent(void)
{
	resume(forking ? forking : &unwrapped, false);
	if (!forking)
		nobody_named(&unwrapped);
}

static void atfork_child(void)
{
	vos_fork_child(forking ? forking : &unwrapped, !forking);
}

EXPORT pid_t fork(void)
{
	struct vos_fork f = { .made = 0 }, *outer = forking;
	pid_t pid;

	vos_need_init();
	if (unlikely(!real_fork)) {
		errno = ENOSYS;
		return -1;
	}
	forking = &f;
	pid = real_fork();
	forking = outer;
	if (pid)
		vos_fork_parent(&f, pid);
	return pid;
}
VOS_SAME_AS(__fork, fork)

EXPORT pid_t _Fork(void)
{
	struct vos_fork f;
	pid_t pid;

	vos_need_init();
	if (unlikely(!real__Fork)) {
		errno = ENOSYS;
		return -1;
	}
	vos_fork_begin(&f);
	pid = real__Fork();
	if (pid)
		vos_fork_parent(&f, pid);
	else
		vos_fork_child(&f, false);
	return pid;
}

/* --- clone ---------------------------------------------------------------------------------- */

struct start {
	int (*fn)(void *);
	void *arg;
	struct vos_fork f;
};

static int start_child(void *arg)
{
	struct start *s = arg; /* in a copy of our parent's stack */

	vos_fork_child(&s->f, false);
	return s->fn(s->arg);
}

EXPORT int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	struct start s = { .fn = fn, .arg = arg };
	void *tid, *tls, *ctid;
	va_list ap;
	int pid;

	/* As libc does: those that were not passed are not used. */
	va_start(ap, arg);
	tid = va_arg(ap, void *);
	tls = va_arg(ap, void *);
	ctid = va_arg(ap, void *);
	va_end(ap);
	vos_need_init();
	if (unlikely(!real_clone)) {
		errno = ENOSYS;
		return -1;
	}
	if (flags & CLONE_VM || !fn || !vos_fdtab.n)
		return real_clone(fn, stack, flags, arg, tid, tls, ctid);
	vos_fork_begin(&s.f);
	pid = real_clone(start_child, stack, flags, &s, tid, tls, ctid);
	vos_fork_parent(&s.f, pid);
	return pid;
}
VOS_SAME_AS(__clone, clone)

/* --- system calls by number ----------------------------------------------------------------- */

static long forked(struct vos_fork *f, long r)
{
	if (r)
		vos_fork_parent(f, r);
	else
		vos_fork_child(f, false);
	return r;
}

long vos_sys_clone(long flags, long stack, long tid, long a3, long a4, long a5)
{
	struct vos_fork f;

	/* A child on our own stack that shares it would overwrite the frames that we return by. */
	if (flags & CLONE_VM && !stack && flags & CLONE_VFORK)
		flags &= ~(long)CLONE_VM;
	if (flags & CLONE_VM || stack)
		return vos_raw(SYS_clone, flags, stack, tid, a3, a4, a5);
	vos_fork_begin(&f);
	return forked(&f, vos_raw(SYS_clone, flags, 0, tid, a3, a4, a5));
}

long vos_sys_clone3(long args, long size, long a2, long a3, long a4, long a5)
{
	const struct clone_args {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack;
	} *c = (const struct clone_args *)args;
	struct vos_fork f;

	if (!c || size < (long)sizeof(*c) || c->flags & CLONE_VM || c->stack)
		return vos_raw(SYS_clone3, args, size, a2, a3, a4, a5);
	vos_fork_begin(&f);
	return forked(&f, vos_raw(SYS_clone3, args, size, a2, a3, a4, a5));
}

#ifdef SYS_fork
long vos_sys_fork(long a0, long a1, long a2, long a3, long a4, long a5)
{
	(void)a0, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
	return vos_sys_clone(SIGCHLD, 0, 0, 0, 0, 0);
}

long vos_sys_vfork(long a0, long a1, long a2, long a3, long a4, long a5)
{
	(void)a0, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
	return vos_sys_clone(CLONE_VFORK | SIGCHLD, 0, 0, 0, 0, 0);
}
#endif

/* --- vfork ---------------------------------------------------------------------------------- */

/*
 * A child that shares our memory would change our descriptor table while it opens and moves its own
 * descriptors. So where there can be remote ones vfork() is a fork whose parent waits, as vfork's
 * does, until the child has become another program or is gone.
 */
pid_t vos_vfork_by_fork(void) HIDDEN;
pid_t (*vos_vfork_target)(void) HIDDEN = vos_vfork_by_fork;

/*
 * The ends that children hold open until they are something else. A child forked meanwhile by
 * another thread has copies, which would have us wait for it as well.
 */
static _Atomic int held[16];  /* number + 1; 0: free */
static __thread int ours TLS; /* what this thread holds, likewise */

static void hold(int fd)
{
	int none = 0;

	ours = fd + 1;
	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++, none = 0)
		if (atomic_compare_exchange_strong(&held[i], &none, ours))
			return;
}

static void hold_no_more(int fd, int outer)
{
	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++)
		if (held[i] == fd + 1)
			held[i] = 0;
	ours = outer;
}

static void drop_held(void)
{
	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
		int n = atomic_exchange(&held[i], 0);

		if (n && n != ours)
			vos_chan_close_fd(n - 1);
	}
	ours = 0;
}

static void wait_for_end(int fd)
{
	long r;
	char c;

	do
		r = vos_raw3(SYS_read, fd, (long)&c, 1);
	while (r == -EINTR);
}

pid_t vos_vfork_by_fork(void)
{
	int p[2], hidden, outer = ours;
	pid_t pid;

	vos_need_init();
	/* Another thread's fork sees an end that is open and noted, or none. */
	vos_change_begin();
	if (vos_raw2(SYS_pipe2, (long)p, O_CLOEXEC)) {
		vos_change_end();
		return fork();
	}
	hidden = vos_fd_hide(p[1]);
	hold(hidden);
	vos_change_end();
	pid = fork();
	if (!pid) {
		vos_raw1(SYS_close, p[0]);
		return 0;
	}
	vos_change_begin();
	hold_no_more(hidden, outer);
	vos_fd_set(hidden, 0);
	vos_raw1(SYS_close, hidden);
	vos_change_end();
	if (pid > 0)
		wait_for_end(p[0]);
	vos_raw1(SYS_close, p[0]);
	return pid;
}

/* --- start ---------------------------------------------------------------------------------- */

static void make_mark(void)
{
	long p = vos_raw6(SYS_mmap, 0, VOS_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p < 0 && p > -4096)
		return;
	if (vos_raw3(SYS_madvise, p, VOS_PAGE, MADV_WIPEONFORK)) {
		vos_raw2(SYS_munmap, p, VOS_PAGE);
		return;
	}
	*(uint32_t *)p = 1;
	vos_same_process = (const uint32_t *)p;
}

void vos_process_init(void)
{
	pid_t (*real_vfork)(void);

	real_fork = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");
	real__Fork = (pid_t(*)(void))dlsym(RTLD_NEXT, "_Fork");
	real_clone = (clone_fn *)dlsym(RTLD_NEXT, "clone");
	vos_env_init();
	vos_spawn_init();
	vos_ident_init();
	vos_inherit();
	if (vos_fdtab.n) {
		make_mark();
		pthread_atfork(atfork_prepare, atfork_parent, atfork_child);
		return;
	}
	/* Nothing is remote in this program. */
	real_vfork = (pid_t(*)(void))dlsym(RTLD_NEXT, "vfork");
	if (real_vfork)
		vos_vfork_target = real_vfork;
}
