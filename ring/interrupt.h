/* SPDX-License-Identifier: MIT */
/*
 * Signal handlers that run while a call waits.
 *
 * A call that waits awake, before it sleeps, must not lose a signal whose handler runs meanwhile:
 * the kernel's call would have ended with EINTR. Blocking signals would cost two system calls for
 * each call. So each handler of the program returns by way of us (its sa_restorer, which is where
 * the kernel has handlers return to): there it is counted, in variables of the thread that it ran
 * on. A call notes the counts when it begins, and does not go to sleep if they have changed.
 *
 * A handler may run between that look and the system call. For it the code that returns looks at
 * where the thread was interrupted, and has it look again (interrupt.S).
 *
 * A handler that leaves by longjmp() is not counted; it has left the call, too.
 */
#ifndef VOS_INTERRUPT_H
#define VOS_INTERRUPT_H

#include "ring/raw.h"

#include <errno.h>
#include <stdint.h>

struct vos_handled {
	uint32_t any;  /* handlers that have returned on this thread */
	uint32_t hard; /* those of them without SA_RESTART */
};

/* Written by handlers on top of the thread, which leave nothing half done. */
extern __thread struct vos_handled vos_handled __attribute__((tls_model("initial-exec")));

#if defined(__x86_64__)

/* The system call, or -EINTR at once if *@count is not @since any more: no handler is missed. */
long vos_interruptible(long a0, long a1, long a2, long a3, long a4, long a5, long nr,
		       const volatile uint32_t *count, uint32_t since);

/* For sa_restorer. */
#define VOS_COUNTS_HANDLERS 1
void vos_return_restart(void); /* of handlers with SA_RESTART */
void vos_return_hard(void);    /* of all others */

#else /* handlers are not counted */

static inline long vos_interruptible(long a0, long a1, long a2, long a3, long a4, long a5, long nr,
				     const volatile uint32_t *count, uint32_t since)
{
	return *count == since ? vos_raw(nr, a0, a1, a2, a3, a4, a5) : -EINTR;
}

#endif
#endif
