/* SPDX-License-Identifier: MIT */
/* Attaching, what is the same for all transports of the program's side. */
#ifndef VOS_ATTACH_H
#define VOS_ATTACH_H

#include "ring/abi.h"

/* A service that does not answer for so long is not there. */
#define VOS_ANSWER_S 10

/* How long we wait for an answer, and the signals that do not end it. */
struct vos_patience {
	uint64_t blocked;
	int64_t since; /* vos_now_ms() */
};

int64_t vos_now_ms(void);
/*
 * Wait on @fd for a moment; without @events, just wait. 0: look again; -EINTR: a signal is to be
 * delivered first; -ETIMEDOUT, or another -errno.
 */
long vos_be_patient(const struct vos_patience *p, int fd, short events);
/*
 * Our own copy of what the service has answered: 0, or -errno. The text is then printable and has
 * an end. @name: the domain that it is to be, NULL: no matter.
 */
int vos_attach_check(struct vos_welcome *w, const char *name);
/* Say in @w what no service says: @why, and @more if it is not NULL. Returns @error. */
int vos_attach_refused(struct vos_welcome *w, int error, const char *why, const char *more);

#endif
