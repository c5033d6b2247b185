/* SPDX-License-Identifier: MIT */
#ifndef VOS_SIGNAL_H
#define VOS_SIGNAL_H

#include "preload/vos.h"

#include <signal.h>

/* Of a set as the kernel has it. */
static inline uint64_t vos_signal_bit(int sig)
{
	return 1ull << (sig - 1);
}

/* As the kernel has it. */
struct kernel_sigaction {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/* sigaction(), with our way back for the handler: 0 or -errno. */
long vos_sigaction(int sig, const struct sigaction *act, struct sigaction *old) HIDDEN;
/* Does the program ignore SIGPIPE? Known once it has been asked or told by vos_sigaction(). */
extern bool vos_ignores_sigpipe HIDDEN;
/* libc itself has put back a handler that it had taken away for a while: install it our way. */
void vos_signal_again(int sig) HIDDEN;

#endif
