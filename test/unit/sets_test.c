/* SPDX-License-Identifier: MIT */
/*
 * Members of epoll sets in a svcd of its own: so many of one user, ENOSPC after that; there is room
 * again when one is taken out, when its last descriptor is closed, and when its set is. What a call
 * of poll() waits for counts as long as it waits.
 */
#define _GNU_SOURCE
#include "test/unit/own_svcd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define MAX 8

static uint64_t new_socket(void)
{
	int64_t h = request(VOS_OP_socket, AF_INET, SOCK_DGRAM, 0, 0);

	CHECK(h > 0);
	return (uint64_t)h;
}

static uint64_t new_set(void)
{
	int64_t h = request(VOS_OP_epoll_create, 0, 0, 0, 0);

	CHECK(h > 0);
	return (uint64_t)h;
}

static int64_t ctl(uint64_t set, int op, uint64_t h)
{
	uint32_t out = VOS_PROGRAM_DATA + lane->index * VOS_SMALL;
	const struct epoll_event ev = { .events = EPOLLIN };

	memcpy(chan.program + out, &ev, sizeof(ev));
	return request(VOS_OP_epoll_ctl, set, (uint64_t)op, h, VOS_REF(out, sizeof(ev)));
}

static void close_handle(uint64_t h)
{
	CHECK(!request(VOS_OP_close, h, 0, 0, 0));
}

/* Waits for @n at most @ms for nothing: 0 or -errno. */
static int64_t wait_for(const uint64_t *h, size_t n, int ms)
{
	uint32_t out = VOS_PROGRAM_DATA + lane->index * VOS_SMALL;
	uint32_t in = (uint32_t)VOS_SERVICE_DATA(chan.nlanes) + lane->index * VOS_SMALL;
	struct vos_pollfd p[MAX + 1] = { 0 };
	uint32_t bytes = (uint32_t)(n * sizeof(p[0]));

	for (size_t i = 0; i < n; i++)
		p[i] = (struct vos_pollfd){ .handle = h[i], .events = 1 /* POLLIN */ };
	memcpy(chan.program + out, p, bytes);
	return request(VOS_OP_poll, VOS_REF(out, bytes), VOS_REF(in, bytes), bytes,
		       (uint64_t)ms * 1000000);
}

int main(void)
{
	uint64_t h[MAX + 1], set, other, copy;

	start_svcd("--max-user-watches", "8");
	attach();
	for (int i = 0; i <= MAX; i++)
		h[i] = new_socket();
	set = new_set();
	other = new_set();

	for (int i = 0; i < MAX; i++)
		CHECK(!ctl(i % 2 ? set : other, EPOLL_CTL_ADD, h[i]));
	CHECK(ctl(set, EPOLL_CTL_ADD, h[MAX]) == -ENOSPC);
	CHECK(wait_for(h, 1, 1) == -ENOMEM);
	CHECK(!ctl(set, EPOLL_CTL_MOD, h[1]));

	/* What is not added, and what is not taken out, makes no difference. */
	CHECK(!ctl(set, EPOLL_CTL_DEL, h[1]));
	CHECK(ctl(set, EPOLL_CTL_DEL, h[1]) == -ENOENT);
	CHECK(ctl(set, EPOLL_CTL_ADD, h[3]) == -EEXIST);
	CHECK(ctl(h[0], EPOLL_CTL_ADD, h[3]) == -EINVAL);
	CHECK(wait_for(h, 1, 1) == 0);
	CHECK(wait_for(h, 2, 1) == -ENOMEM);
	CHECK(!ctl(set, EPOLL_CTL_ADD, h[1]));
	CHECK(ctl(set, EPOLL_CTL_ADD, h[MAX]) == -ENOSPC);

	/* The kernel keeps it while there is another descriptor of it. */
	copy = (uint64_t)request(VOS_OP_dup, h[0], 0, 0, 0);
	close_handle(h[0]);
	CHECK(ctl(set, EPOLL_CTL_ADD, h[MAX]) == -ENOSPC);
	close_handle(copy);
	CHECK(!ctl(set, EPOLL_CTL_ADD, h[MAX]));
	CHECK(ctl(set, EPOLL_CTL_ADD, h[2]) == -ENOSPC);

	close_handle(set);
	set = new_set();
	for (int i = 0; i < 5; i++)
		CHECK(!ctl(set, EPOLL_CTL_ADD, h[i + 4]));
	CHECK(ctl(set, EPOLL_CTL_ADD, h[2]) == -ENOSPC);
	close_handle(set);
	close_handle(other);
	CHECK(wait_for(h + 1, MAX, 1) == 0);
	CHECK(wait_for(h, MAX + 1, 1) > 0); /* one is closed: POLLNVAL, which needs no wait */
	return 0;
}
