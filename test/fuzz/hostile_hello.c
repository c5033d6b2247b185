/* SPDX-License-Identifier: MIT */
/* Attaching as nobody should: each field of the hello and of the memory wrong in turn. */
#define _GNU_SOURCE
#include "test/fuzz/hostile.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int dial(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strncpy(sun.sun_path, socket_path, sizeof(sun.sun_path) - 1);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof(sun))) {
		close(fd);
		return -1;
	}
	return fd;
}

void send_fds(int sock, const void *data, size_t len, const int *fds, unsigned n)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(253 * sizeof(int))];
	} control = { .h = { CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { (void *)data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(n * sizeof(int));
		memcpy(CMSG_DATA(&control.h), fds, n * sizeof(int));
	}
	sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

enum memory { GOOD, UNSEALED, SMALL, LARGE, HUGE, A_FILE, A_PIPE, EMPTY, BAD_HEAD, KINDS };

/* Numbers at and beyond the limits. */
static uint32_t edge(uint32_t limit)
{
	const uint32_t some[] = { 0,	     1,		 limit - 1,  limit,
				  limit + 1, 0x7fffffff, 0xffffffff, 1u << 31 };

	return below(4) ? PICK(some) : (uint32_t)random_bits();
}

static void fill_head(int fd, enum memory kind, size_t *size)
{
	struct vos_program_head h = { .magic = VOS_MAGIC,
				      .version = VOS_VERSION,
				      .lanes = 1 + (uint32_t)below(VOS_LANES_MAX),
				      .pool = VOS_PAGE * (1 + (uint32_t)below(16)) };

	*size = VOS_PROGRAM_SIZE(h.lanes, h.pool) + VOS_SERVICE_SIZE(h.lanes, h.pool);
	if (kind == BAD_HEAD) {
		switch (below(4)) {
		case 0:
			h.magic = (uint32_t)random_bits();
			break;
		case 1:
			h.version = edge(VOS_VERSION);
			break;
		case 2:
			h.lanes = edge(VOS_LANES_MAX);
			break;
		default:
			h.pool = edge(VOS_POOL_MAX);
		}
	}
	if (pwrite(fd, &h, 16, 0) != 16)
		*size = 0;
}

static int make_memory(enum memory kind)
{
	char name[] = "/tmp/hostile.XXXXXX";
	size_t size;
	int fd;

	switch (kind) {
	case A_FILE:
		fd = mkostemp(name, O_CLOEXEC);
		unlink(name);
		break;
	case A_PIPE:
		return open("/dev/zero", O_RDWR | O_CLOEXEC);
	case HUGE:
		return memfd_create("hostile", MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_CLOEXEC);
	default:
		fd = memfd_create("hostile", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	}
	if (fd < 0 || kind == EMPTY)
		return fd;
	fill_head(fd, kind, &size);
	if (kind == SMALL)
		size -= VOS_PAGE * (1 + below(4));
	if (kind == LARGE)
		size += 1 + below(2 * VOS_PAGE);
	if (size < 1u << 28 && ftruncate(fd, (off_t)size))
		return fd;
	if (kind != UNSEALED)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	return fd;
}

void bad_hello(void)
{
	struct vos_hello h[2] = {
		{ .magic = VOS_MAGIC, .version = VOS_VERSION, .kind = VOS_HELLO_ATTACH }
	};
	const size_t lengths[] = { 0, 1, 7, 8, sizeof(h[0]) - 1, sizeof(h[0]) + 1, sizeof(h) };
	struct vos_welcome w;
	int sock = dial(), fds[253];
	enum memory kind = (enum memory)below(KINDS);
	int memory = make_memory(kind);
	unsigned n = below(3) ? 1 : PICK(((const unsigned[]){ 0, 2, 3, 5, 253 }));
	size_t len = below(3) ? sizeof(h[0]) : PICK(lengths);

	if (sock < 0 || memory < 0)
		goto out;
	for (unsigned i = 0; i < n; i++)
		fds[i] = memory;
	switch (below(8)) {
	case 0:
		h->magic = (uint32_t)random_bits();
		break;
	case 1:
		h->version = edge(VOS_VERSION);
		break;
	case 2:
		h->kind = edge(VOS_HELLO_IDENT);
		h->session[0] = random_bits();
		break;
	case 3:
		h->ticket[below(2)] = random_bits();
		break;
	case 4:
		h->umask = (uint32_t)random_bits();
		h->caps = (uint32_t)random_bits();
		break;
	}
	if (below(32))
		send_fds(sock, h, len, fds, n);
	if (below(2)) {
		struct pollfd p = { sock, POLLIN, 0 };

		if (poll(&p, 1, 50) > 0 && recv(sock, &w, sizeof(w), MSG_DONTWAIT) < 0)
			goto out;
		send_fds(sock, h, below(sizeof(h)), fds, below(2) ? n : 0);
		/* What was mapped shrinks, if it can. */
		if (ftruncate(memory, 0))
			goto out;
		usleep((useconds_t)below(2000));
	}
out:
	if (memory >= 0)
		close(memory);
	if (sock >= 0)
		close(sock);
}
