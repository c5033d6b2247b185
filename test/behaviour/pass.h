/* SPDX-License-Identifier: MIT */
/* Descriptors in messages of Unix sockets. */
#ifndef PASS_H
#define PASS_H

#include "net.h"

#define PASS_MAX 300

static T_UNUSED ssize_t pass_send(int sock, const int *fds, size_t n, int flags)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(PASS_MAX * sizeof(int))];
	} c = { .align = { CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { "f", 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &c,
			    .msg_controllen = CMSG_SPACE(n * sizeof(int)) };

	memcpy(CMSG_DATA(&c.align), fds, n * sizeof(int));
	return sendmsg(sock, &m, flags);
}

/* How many came, at most @max; *@got: what msg_flags say. */
static T_UNUSED int pass_receive(int sock, int *fds, size_t max, int flags, int *got)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(PASS_MAX * sizeof(int))];
	} c;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &c,
			    .msg_controllen = CMSG_LEN(max * sizeof(int)) };
	struct cmsghdr *h;
	size_t n;

	if (recvmsg(sock, &m, flags) != 1)
		return -1;
	if (got)
		*got = m.msg_flags;
	h = CMSG_FIRSTHDR(&m);
	if (!h || h->cmsg_type != SCM_RIGHTS)
		return 0;
	n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(h), n * sizeof(int));
	return (int)n;
}

static T_UNUSED int pass_send_one(int sock, int fd)
{
	return pass_send(sock, &fd, 1, 0) == 1 ? 0 : -1;
}

static T_UNUSED int pass_receive_one(int sock)
{
	int fd = -1;

	return pass_receive(sock, &fd, 1, 0, NULL) == 1 ? fd : -1;
}

#endif
