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

/* Who makes a socket: of class dns in the resolver, of class inet where interfaces are listed. */
enum vos_caller { VOS_FROM_PROGRAM, VOS_FROM_RESOLVER, VOS_FROM_INTERFACES };
enum vos_caller vos_caller(void) HIDDEN;

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

/* send, recv, sendmsg and recvmsg on a remote socket. */
long vos_send(uint64_t word, const void *p, size_t len, long flags, struct vos_waits how) HIDDEN;
long vos_recv(uint64_t word, char *p, size_t len, long flags, struct vos_waits how) HIDDEN;
long vos_send_msg(uint64_t word, const struct msghdr *m, long flags, struct vos_waits how) HIDDEN;
long vos_recv_msg(uint64_t word, struct msghdr *m, long flags, struct vos_waits how) HIDDEN;
/* May a call for @len bytes answer @r? With MSG_TRUNC a datagram's length may be more. */
bool vos_recv_fits(long r, size_t len, uint64_t word, long flags) HIDDEN;

/* read and write of a socket; @flags: RWF_. */
struct iovec;
long vos_transfer_socket(uint64_t word, const struct iovec *iov, long n, int flags, bool out,
			 struct vos_waits how) HIDDEN;
/* Is the call not to wait with the block that it has? Then *@flags have it not wait at all. */
bool vos_recv_scarce(struct vos_req *q, long *flags) HIDDEN;
/* Wait until there is something to receive, without a block: 0 or -errno. */
long vos_recv_await(uint64_t word, struct vos_waits how) HIDDEN;

/* How a transfer on the socket @fd that begins now waits: one with a timeout is never restarted. */
struct vos_waits vos_wait_of(long fd, bool out) HIDDEN;
/* The socket @fd has the timeouts of @from (-1: none). */
void vos_timeouts_of(long fd, long from) HIDDEN;

#endif
