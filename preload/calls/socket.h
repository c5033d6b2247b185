/* SPDX-License-Identifier: MIT */
/* What the calls on sockets share, and what others need of them. */
#ifndef VOS_CALLS_SOCKET_H
#define VOS_CALLS_SOCKET_H

#include "preload/vos.h"

#include <stddef.h>

struct msghdr;

/*
 * In the word of a socket, beside its kind: it is known to be a stream. Without it the socket may
 * be one all the same (a duplicate, one inherited over exec): ask vos_is_stream() where it matters.
 */
#define VOS_WORD_STREAM (1ull << 55)

#define VOS_DATAGRAM_MAX (64u << 10) /* no datagram is longer */

/* Values of vos_in_resolver: class dns in the resolver, class inet where interfaces are listed. */
enum vos_caller { VOS_FROM_PROGRAM, VOS_FROM_RESOLVER, VOS_FROM_INTERFACES };

/* EPIPE of a call that is no MSG_NOSIGNAL: what the kernel does to the calling thread. */
void vos_sigpipe(void) HIDDEN;

/*
 * Begin a request about the descriptor of @word, with its handle as the first argument. 0, -ENOLINK
 * (what the word names is gone: vos_dead()), or -ENOBUFS (no lane, no slot).
 */
long vos_begin_fd(struct vos_req *q, uint64_t word, enum vos_op op) HIDDEN;

bool vos_is_stream(uint64_t word) HIDDEN;

/* 0 if @word is that of a socket, else what the kernel says. */
static inline long vos_not_socket(uint64_t word)
{
	if (likely(VOS_WORD_KIND(word) == VOS_FD_SOCKET))
		return 0;
	return VOS_WORD_KIND(word) == VOS_FD_OURS ? -EBADF : -ENOTSOCK;
}

/* The end of a send: the error that the program sees, and the signal. */
long vos_sent(uint64_t word, long r, long flags) HIDDEN;

/* sendmsg and recvmsg on a remote socket. */
long vos_send_msg(uint64_t word, const struct msghdr *m, long flags, struct vos_waits how) HIDDEN;
long vos_recv_msg(uint64_t word, struct msghdr *m, long flags, struct vos_waits how) HIDDEN;
/* May a call for @len bytes answer @r? With MSG_TRUNC a datagram's length may be more. */
bool vos_recv_fits(long r, size_t len, uint64_t word, long flags) HIDDEN;

/* How a transfer on the socket @fd that begins now waits: one with a timeout is never restarted. */
struct vos_waits vos_wait_of(long fd, bool out) HIDDEN;

#endif
