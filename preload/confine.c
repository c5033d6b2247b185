/* SPDX-License-Identifier: MIT */
/*
 * A program that is about to allow itself only few system calls: whatever attaching to a service
 * takes will not be among them, so a child that still holds its parent's tickets takes them now,
 * this thread gets its lanes and wake descriptors, and from here on we make do with futex, read,
 * write and poll. Other threads' first remote call after it may be refused by the filter.
 */
#define _GNU_SOURCE
#include "preload/process.h"
#include "preload/wrap.h"

#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void get_ready(void)
{
	vos_tickets_take();
	for (int i = 0; i < vos_config.ndomains; i++) {
		struct vos_req q;

		if (!atomic_load(&vos_domain[i].chan) || vos_req_begin(&q, (unsigned)i, VOS_OP_nop))
			continue;
		q.c->transport->wake_fd(q.c, q.l);
		vos_req_run(&q, VOS_WAIT_ALWAYS);
		vos_req_end(&q);
	}
	vos_chan_confined = true;
}

long vos_sys_prctl(long op, long a1, long a2, long a3, long a4, long a5)
{
	bool was = vos_chan_confined;
	long r;

	(void)a5;
	if (op == PR_SET_SECCOMP)
		get_ready();
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
	if (sets)
		get_ready();
	r = vos_raw3(SYS_seccomp, op, flags, args);
	if (sets && r < 0) /* a probe */
		vos_chan_confined = was;
	return r;
}

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
