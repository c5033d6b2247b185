/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Every new descriptor gets the lowest free number, whatever kind was there before. */
#include "net.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

static int make(int kind)
{
	switch (kind % 7) {
	case 0:
		return open(P("f"), O_RDONLY);
	case 1:
		return open(L("f"), O_RDONLY);
	case 2:
		return socket(AF_INET, SOCK_STREAM, 0);
	case 3:
		return socket(AF_UNIX, SOCK_STREAM, 0);
	case 4:
		return epoll_create1(0);
	case 5:
		return eventfd(0, 0);
	default:
		return open(P("."), O_RDONLY | O_DIRECTORY);
	}
}

int main(void)
{
	int sv[2];
	int first;

	t_start();
	t_puts(P("f"), "f");
	t_puts(L("f"), "f");
	first = dup(0);
	close(first);
	printf("first %d\n", first);
	for (int i = 0; i < 21; i++)
		CHECK(make(i) == first + i);
	/* Holes are filled from below, by another kind each time. */
	for (int i = 0; i < 20; i += 3)
		CHECK(close(first + i) == 0);
	for (int i = 0; i < 20; i += 3)
		CHECK(make(i + 5) == first + i);
	CHECK(close(first + 4) == 0 && close(first + 2) == 0);
	CHECK(dup(first) == first + 2);
	CHECK(dup(first + 3) == first + 4);
	CHECK(close(first + 1) == 0 && close(first + 5) == 0);
	CHECK(pipe(sv) == 0);
	printf("pipe %d %d\n", sv[0] - first, sv[1] - first);
	CHECK(close(first + 6) == 0 && close(first + 9) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	printf("socketpair %d %d\n", sv[0] - first, sv[1] - first);
	/* Failures take no number. */
	CHECK(open(P("none"), O_RDONLY) < 0);
	CHECK(socket(AF_INET, 99, 0) < 0);
	CHECK(make(0) == first + 21);
	CHECK(close(0) == 0);
	CHECK(open(P("f"), O_RDONLY) == 0);
	for (int i = 0; i < 22; i++)
		CHECK(close(first + i) == 0);
	CHECK(close(0) == 0);
	CHECK(open("/dev/null", O_RDONLY) == 0);
	CHECK(make(2) == first);
	close(first);
	return t_end();
}
