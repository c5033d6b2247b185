/* SPDX-License-Identifier: MIT */
/*
 * Has a call been left by longjmp() out of a handler, or is it merely interrupted by one, and goes
 * on when that returns? Only the stacks can tell. To take one for the other is bad either way: a
 * request that nobody waits for may take data that others wait for, but one that is taken back while
 * somebody does is the program's call lost. So a call has been left when that is certain:
 *
 *	- something else lies where its frame was; or
 *	- we are on the stack that the frame is on, and not as deep. There are two stacks that we
 *	  know: the thread's own and the one that the kernel runs handlers on. Of all others, such as
 *	  those of coroutines, a handler may have come from one to the other and mean to go back.
 *
 * With SS_AUTODISARM the kernel does not say where handlers run, while one does; and programs ask for
 * it in order to leave handlers for another stack. From then on only the first counts.
 */
#define _GNU_SOURCE
#include "preload/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

#define OWN_MAX (64ul << 20) /* no stack is followed any further */

extern void *__libc_stack_end; /* where the first thread's begins */

static __thread bool disarms __attribute__((tls_model("initial-exec")));
static uintptr_t first_thread;

/* Of the thread: at the top of its stack, unless it is the first one. */
static uintptr_t thread_pointer(void)
{
	return (uintptr_t)__builtin_thread_pointer();
}

void vos_left_init(void)
{
	first_thread = thread_pointer();
}

long vos_sys_sigaltstack(long new, long old, long a2, long a3, long a4, long a5)
{
	long r = vos_raw(SYS_sigaltstack, new, old, a2, a3, a4, a5);

	if (!r && new && (unsigned int)((const stack_t *)new)->ss_flags & SS_AUTODISARM)
		disarms = true;
	return r;
}

/* Are there 8 bytes at @p? (The kernel reads them before it finds that there is no such way.) */
static bool readable(uintptr_t p)
{
	return vos_raw4(SYS_rt_sigprocmask, -1, p, 0, 8) != -EFAULT;
}

/* All that lies between two stacks, a guard at least, cannot be read. */
static bool on_own_stack(uintptr_t from, uintptr_t to)
{
	uintptr_t top = thread_pointer();

	if (top == first_thread)
		top = (uintptr_t)__libc_stack_end;
	if (from > to || to >= top || top - from > OWN_MAX)
		return false;
	for (uintptr_t p = from & -(uintptr_t)VOS_PAGE; p < top; p += VOS_PAGE)
		if (!readable(p))
			return false;
	return true;
}

/* Not to be looked at by a sanitizer: frames that have been left are what this is about. */
__attribute__((no_sanitize("address"))) static bool overwritten(const volatile struct vos_req *then,
								const struct vos_lane *l, int s)
{
	if (!readable((uintptr_t)then) || !readable((uintptr_t)(then + 1) - 8))
		return true;
	return then->l != l || then->e != &l->slot[s] || (then->slot & (int)(VOS_SLOTS - 1)) != s;
}

bool vos_frame_left(const void *then, const void *now)
{
	stack_t alt = { .ss_flags = SS_DISABLE };
	uintptr_t a = (uintptr_t)then, b = (uintptr_t)now;
	bool theirs, ours;

	if (a == b)
		return true;
	if (disarms || vos_chan_confined)
		return false;
	vos_raw2(SYS_sigaltstack, 0, &alt);
	theirs = !(alt.ss_flags & SS_DISABLE) && a - (uintptr_t)alt.ss_sp < alt.ss_size;
	ours = alt.ss_flags & SS_ONSTACK;
	if (ours)
		return theirs && a < b;
	return theirs ? on_own_stack(b, b) : on_own_stack(a, b);
}

bool vos_req_left(const struct vos_lane *l, int s, const struct vos_req *now)
{
	const struct vos_req *then = l->held[s].frame;
	uintptr_t a = (uintptr_t)then, b = (uintptr_t)now;

	if (!then)
		return false;
	return (a < b ? b - a : a - b) < sizeof(*now) || overwritten(then, l, s) ||
	       vos_frame_left(then, now);
}
