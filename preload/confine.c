/* SPDX-License-Identifier: MIT */
/*
 * A program that is about to allow itself only few system calls: whatever attaching to a service
 * takes will not be among them, so a child that still holds its parent's tickets takes them now,
 * this thread gets its lanes and wake descriptors, and from here on we make do with futex, read,
 * write and poll. Other threads' first remote call after it may be refused by the filter.
 *
 * One that is about to allow itself fewer descriptors, or none, often does so on the way there:
 * what it takes descriptors to have, it has before.
 */
#define _GNU_SOURCE
#include "preload/process.h"
#include "preload/signal.h"
#include "preload/wrap.h"

#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* @mute: we shall not be able to make other calls than a few, wherever ringing takes another one. */
static void get_ready(bool mute)
{
	struct sigaction now;
	long err;

	vos_tickets_take();
	vos_sigaction(SIGPIPE, NULL, &now); /* notes it */
	for (int i = 0; i < vos_config.ndomains; i++) {
		struct vos_req q;

		/* Used before, and has died: this is the last time that we can look. */
		vos_domain[i].over = !atomic_load(&vos_domain[i].chan) && vos_domain[i].inc &&
				     !vos_domain_chan((unsigned)i, &err);
		if (!atomic_load(&vos_domain[i].chan) || vos_req_begin(&q, (unsigned)i, VOS_OP_nop))
			continue;
		q.c->transport->wake_fd(q.c, q.l);
		/* Before the call below, after which the service may go to sleep. */
		if (mute && q.c->transport->mute)
			atomic_store(&q.c->ph->mute, 1);
		vos_req_run(&q, VOS_WAIT_ALWAYS);
		vos_req_end(&q);
	}
}

long vos_sys_prctl(long op, long a1, long a2, long a3, long a4, long a5)
{
	bool was = vos_chan_confined;
	long r;

	(void)a5;
	if (op == PR_SET_SECCOMP) {
		get_ready(true);
		vos_chan_confined = true;
	}
	r = vos_raw5(SYS_prctl, op, a1, a2, a3, a4);
	if (op == PR_SET_SECCOMP && r < 0) /* a probe */
		vos_chan_confined = was;
	return r;
}

long vos_sys_seccomp(long op, long flags, long args, long a3, long a4, long a5)
{
	bool sets = op == SECCOMP_SET_MODE_STRICT || op == SECCOMP_SET_MODE_FILTER;
	bool was = vos_chan_confined;
	long r;

	(void)a3, (void)a4, (void)a5;
	if (sets) {
		get_ready(true);
		vos_chan_confined = true;
	}
	r = vos_raw3(SYS_seccomp, op, flags, args);
	if (sets && r < 0) /* a probe */
		vos_chan_confined = was;
	return r;
}

/* --- limits --------------------------------------------------------------------------------- */

static void limit_ahead(long what, const struct rlimit *new)
{
	struct rlimit now;

	if (what == RLIMIT_NOFILE && new &&vos_fdtab.n &&
	    !vos_raw4(SYS_prlimit64, 0, what, 0, (long)&now) && new->rlim_cur < now.rlim_cur)
		get_ready(false);
}

long vos_sys_setrlimit(long what, long new, long a2, long a3, long a4, long a5)
{
	(void)a2, (void)a3, (void)a4, (void)a5;
	limit_ahead(what, (const struct rlimit *)new);
	return vos_raw2(SYS_setrlimit, what, new);
}

long vos_sys_prlimit64(long pid, long what, long new, long old, long a4, long a5)
{
	(void)a4, (void)a5;
	if (!pid || pid == vos_pid())
		limit_ahead(what, (const struct rlimit *)new);
	return vos_raw4(SYS_prlimit64, pid, what, new, old);
}

/* --- libc's functions ----------------------------------------------------------------------- */

EXPORT int prctl(int op, ...)
{
	va_list ap;
	long a[4];

	va_start(ap, op);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return (int)vos_result(vos_sys_prctl(op, a[0], a[1], a[2], a[3], 0));
}
