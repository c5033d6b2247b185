/* SPDX-License-Identifier: MIT */
/* Descriptors that travel between processes in messages; see pass.c. */
#ifndef VOS_PASS_H
#define VOS_PASS_H

#include "preload/config.h"
#include "preload/vos.h"

#include <string.h>

struct msghdr;

/*
 * The content of the file that travels in place of a remote descriptor: a memfd, sealed with
 * VOS_PLACEHOLDER_SEALS.
 */
struct vos_sent {
	uint32_t magic, version;
	uint32_t kind; /* VOS_FD_FILE or VOS_FD_SOCKET */
	uint32_t pad;
	uint64_t token[2];
	char domain[VOS_DOMAIN_NAME_MAX];
	char address[VOS_ADDRESS_MAX];
	char prefix[VOS_PREFIX_MAX]; /* that a directory was reached by, or "" */
};
_Static_assert(sizeof(struct vos_sent) == 480, "read by another build, perhaps");

#define VOS_SENT_MAGIC	 0x746e6573u /* "sent" */
#define VOS_SENT_VERSION 1u

/* Does the local message carry descriptors that are not local? */
bool vos_pass_any(const struct msghdr *m) HIDDEN;
/* sendmsg() of such a message on the local socket @sock. */
long vos_pass_send(long sock, const struct msghdr *m, long flags) HIDDEN;

/* After a local recvmsg() with @flags: make remote again what came with it. */
void vos_pass_received(const struct msghdr *m, long flags) HIDDEN;
/* The same for one descriptor. @last: its message is not in the queue any more. */
void vos_pass_take(int fd, bool cloexec, bool last) HIDDEN;

/* A string that somebody else has written into room for @n bytes: has it an end? */
static inline bool vos_ends(const char *s, size_t n)
{
	return memchr(s, 0, n);
}

#endif
