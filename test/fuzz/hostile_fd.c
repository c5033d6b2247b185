/* SPDX-License-Identifier: MIT */
/* Descriptors that one does not expect. */
#define _GNU_SOURCE
#include "test/fuzz/hostile.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* One end of something that has two; the other one stays open for a while. */
static int half(const int pair[2], unsigned keep)
{
	static _Thread_local int others[8];
	static _Thread_local unsigned next;
	int *other = &others[next++ % 8];

	if (*other)
		close(*other);
	*other = pair[!keep];
	return pair[keep];
}

static int lingering_socket(void)
{
	struct linger linger = { 1, 1000 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	return fd;
}

/* That nobody reads: whoever writes to it must not wait. */
static int full(int fd)
{
	char data[4096] = { 0 };

	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	return fd;
}

/* As one that goes with a token. */
static int travelling_file(void)
{
	int fd = memfd_create("travels", MFD_ALLOW_SEALING);

	flock(fd, LOCK_SH);
	return fd;
}

int random_fd(void)
{
	int pair[2] = { -1, -1 };

	switch (below(12)) {
	case 0:
		return open("/dev/zero", O_RDWR);
	case 1:
		return open("/", O_RDONLY | O_DIRECTORY);
	case 2:
		return open("/dev/null", O_PATH);
	case 3:
		return travelling_file();
	case 4:
		return epoll_create1(0);
	case 5:
		return eventfd(0, 0);
	case 6:
		return pipe(pair) ? -1 : half(pair, (unsigned)below(2));
	case 7:
		return socket(AF_INET, SOCK_DGRAM, 0);
	case 8:
		return lingering_socket();
	case 9:
		return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ? -1 : full(half(pair, 0));
	case 10:
		return dial();
	default:
		return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ? -1 : half(pair, 0);
	}
}
