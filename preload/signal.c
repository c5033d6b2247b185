/* SPDX-License-Identifier: MIT */
/*
 * Installing handlers. They are the program's own, with its own flags; only where they return to is
 * ours, so that a call which waits notices that one has run (ring/interrupt.h). libc's functions
 * cannot be asked to do that, so here are those that install handlers, as libc has them.
 *
 * Handlers that are installed past these functions work as ever, but one that runs in the moment
 * before a call goes to sleep does not end the call.
 */
#define _GNU_SOURCE
#include "preload/signal.h"
#include "preload/wrap.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000
#endif

#define RESERVED 32 /* this one and the next are libc's own */

static void to_kernel(struct kernel_sigaction *k, const struct sigaction *act)
{
	k->handler = act->sa_handler;
	k->flags = (unsigned int)act->sa_flags;
	k->restorer = NULL;
	memcpy(&k->mask, &act->sa_mask, sizeof(k->mask));
#ifdef VOS_COUNTS_HANDLERS
	k->flags |= SA_RESTORER;
	k->restorer = act->sa_flags & SA_RESTART ? vos_return_restart : vos_return_hard;
#endif
}

static void from_kernel(struct sigaction *act, const struct kernel_sigaction *k)
{
	memset(act, 0, sizeof(*act));
	act->sa_handler = k->handler;
	act->sa_flags = (int)k->flags;
	act->sa_restorer = k->restorer;
	memcpy(&act->sa_mask, &k->mask, sizeof(k->mask));
}

bool vos_ignores_sigpipe;

long vos_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct kernel_sigaction k, was;
	long r;

	if (sig == RESERVED || sig == RESERVED + 1)
		return -EINVAL;
	if (act)
		to_kernel(&k, act);
	r = vos_raw4(SYS_rt_sigaction, sig, act ? &k : NULL, old ? &was : NULL, sizeof(k.mask));
	if (!r && old)
		from_kernel(old, &was);
	if (!r && sig == SIGPIPE && (act || old))
		vos_ignores_sigpipe = (act ? act : old)->sa_handler == SIG_IGN;
	return r;
}

void vos_signal_again(int sig)
{
	struct sigaction now;

	if (!vos_sigaction(sig, NULL, &now) && now.sa_handler != SIG_DFL &&
	    now.sa_handler != SIG_IGN)
		vos_sigaction(sig, &now, NULL);
}

/* --- libc's functions ----------------------------------------------------------------------- */

EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return (int)vos_result(vos_sigaction(sig, act, old));
}

static _Atomic uint64_t interrupting; /* what siginterrupt() has been told of */

static bool exists(int sig)
{
	return sig > 0 && sig < NSIG;
}

/* Install @fn with @flags; the one before. */
static sighandler_t install(int sig, sighandler_t fn, int flags, bool blocks_itself)
{
	struct sigaction act = { .sa_handler = fn, .sa_flags = flags }, old;
	uint64_t mask = exists(sig) && blocks_itself ? vos_signal_bit(sig) : 0;
	long r = fn == SIG_ERR || !exists(sig) ? -EINVAL : 0;

	memcpy(&act.sa_mask, &mask, sizeof(mask));
	if (!r)
		r = vos_sigaction(sig, &act, &old);
	return vos_result(r) ? SIG_ERR : old.sa_handler;
}

EXPORT sighandler_t signal(int sig, sighandler_t fn)
{
	bool ends = exists(sig) && atomic_load(&interrupting) & vos_signal_bit(sig);

	return install(sig, fn, ends ? 0 : SA_RESTART, true);
}

EXPORT sighandler_t __sysv_signal(int sig, sighandler_t fn)
{
	return install(sig, fn, (int)SA_RESETHAND | SA_NODEFER, false);
}

EXPORT int siginterrupt(int sig, int on)
{
	struct sigaction act;
	long r = exists(sig) ? vos_sigaction(sig, NULL, &act) : -EINVAL;

	if (r)
		return (int)vos_result(r);
	if (on) {
		atomic_fetch_or(&interrupting, vos_signal_bit(sig));
		act.sa_flags &= ~SA_RESTART;
	} else {
		atomic_fetch_and(&interrupting, ~vos_signal_bit(sig));
		act.sa_flags |= SA_RESTART;
	}
	return (int)vos_result(vos_sigaction(sig, &act, NULL));
}

EXPORT sighandler_t sigset(int sig, sighandler_t fn)
{
	uint64_t one = exists(sig) ? vos_signal_bit(sig) : 0, before;
	struct sigaction now;
	sighandler_t old;

	if (fn == SIG_HOLD && exists(sig)) {
		vos_raw4(SYS_rt_sigprocmask, SIG_BLOCK, &one, &before, sizeof(one));
		old = vos_result(vos_sigaction(sig, NULL, &now)) ? SIG_ERR : now.sa_handler;
	} else {
		old = install(sig, fn, 0, false);
		if (old == SIG_ERR)
			return old;
		vos_raw4(SYS_rt_sigprocmask, SIG_UNBLOCK, &one, &before, sizeof(one));
	}
	return before & one ? SIG_HOLD : old;
}

/* In assembly, since headers declare the aliases with types of their own. */
#define SAME(name, target) \
	__asm__(".globl " #name "\n.set " #name ", " #target "\n.type " #name ", @function");
SAME(__sigaction, sigaction)
SAME(bsd_signal, signal)
SAME(ssignal, signal)
SAME(sysv_signal, __sysv_signal)
