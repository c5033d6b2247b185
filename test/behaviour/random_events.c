/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* timeout: 120 */
/*
 * A long sequence by chance, the same each time: sets of local descriptors and of sockets, with members
 * that come, change, go, are closed and duplicated, and what is said of them.
 */
#include "net.h"
#include <sys/epoll.h>
#include <sys/select.h>

enum { PAIRS = 6, REMOTE = 4, SETS = 3, MAX = 32 };

static int pair[PAIRS][2];
static int set[SETS];
static uint64_t state;

static unsigned int below(unsigned int n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned int)(state >> 33) % n;
}

/* Sockets of UDP, whose datagrams are there when they have been sent; local ones. */
static void make_pair(int i)
{
	if (i < REMOTE)
		net_udp_pair(pair[i]);
	else
		MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair[i]) == 0);
	net_nonblock(pair[i][0]);
	net_nonblock(pair[i][1]);
}

static int *any(void)
{
	return &pair[below(PAIRS)][below(2)];
}

static int number_of(int fd)
{
	for (int i = 0; i < PAIRS * 2; i++)
		if (pair[i / 2][i % 2] == fd)
			return i;
	return -1;
}

static long control(void)
{
	static const uint32_t flags[] = {
		EPOLLIN, EPOLLIN | EPOLLET,   EPOLLIN | EPOLLONESHOT, EPOLLIN | EPOLLOUT,
		0,	 EPOLLIN | EPOLLRDHUP
	};
	static const int ops[] = { EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL };
	int fd = *any();
	struct epoll_event e = { .events = flags[below(sizeof(flags) / sizeof(flags[0]))],
				 .data.u64 = (uint64_t)number_of(fd) << 8 | below(256) };

	return epoll_ctl(set[below(SETS)], ops[below(4)], fd, &e);
}

static int by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;

	return x->data.u64 < y->data.u64 ? -1 : x->data.u64 > y->data.u64;
}

static long waited(void)
{
	struct epoll_event ev[MAX];
	int n = epoll_wait(set[below(SETS)], ev, MAX, 0);

	if (n > 0)
		qsort(ev, (size_t)n, sizeof(ev[0]), by_data);
	for (int i = 0; i < n; i++)
		printf("%llx:%x ", (unsigned long long)ev[i].data.u64, ev[i].events);
	return n;
}

static long polled(void)
{
	struct pollfd p[5];
	nfds_t n = below(6);
	int r;

	for (nfds_t i = 0; i < n; i++)
		p[i] = (struct pollfd){ below(4) ? *any() : set[below(SETS)],
					below(2) ? POLLIN : POLLIN | POLLOUT, 0 };
	r = poll(p, n, 0);
	for (nfds_t i = 0; i < n; i++)
		printf("%x ", (unsigned short)p[i].revents);
	return r;
}

static long selected(void)
{
	struct timeval now = { 0, 0 };
	fd_set in, out;
	int max = 0, r;

	FD_ZERO(&in);
	FD_ZERO(&out);
	for (unsigned int n = below(6); n; n--) {
		int fd = below(4) ? *any() : set[below(SETS)];

		FD_SET(fd, below(2) ? &in : &out);
		max = fd > max ? fd : max;
	}
	r = select(max + 1, &in, &out, NULL, &now);
	for (int i = 0; i < PAIRS * 2; i++)
		printf("%d", !!FD_ISSET(pair[i / 2][i % 2], &in) +
				     2 * !!FD_ISSET(pair[i / 2][i % 2], &out));
	for (int i = 0; i < SETS; i++)
		printf("%d", !!FD_ISSET(set[i], &in));
	return r;
}

/* What is closed while it is open by another number would stay a member, with what it was. */
static long renumber(int *p)
{
	int fd = dup(*p);

	for (int i = 0; i < SETS; i++)
		epoll_ctl(set[i], EPOLL_CTL_DEL, *p, NULL);
	close(*p);
	*p = fd;
	return 0;
}

/* Another pair, or another number for the same. */
static long changed(void)
{
	int i = (int)below(PAIRS), side = (int)below(2);

	switch (below(3)) {
	case 0:
		close(pair[i][0]);
		close(pair[i][1]);
		make_pair(i);
		return 0;
	case 1:
		return renumber(&pair[i][side]);
	default:
		return shutdown(pair[i][side], (int)below(3));
	}
}

static long set_changed(void)
{
	static uint64_t unique = 1 << 20;
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = unique++ };
	unsigned int i = below(SETS);

	switch (below(6)) {
	case 0:
		close(set[i]);
		set[i] = epoll_create1(0);
		return 0;
	case 1:
		return renumber(&set[i]);
	case 2:
		return epoll_ctl(set[i], EPOLL_CTL_DEL, set[(i + 1) % SETS], &e);
	default:
		return epoll_ctl(set[i], EPOLL_CTL_ADD, set[(i + 1) % SETS], &e);
	}
}

static void step(int i)
{
	unsigned int what = below(14);
	char buf[64] = "";
	long r;

	printf("%d ", i);
	switch (what) {
	case 0:
	case 1:
	case 2:
		r = control();
		break;
	case 3:
	case 4:
		r = send(*any(), buf, 1 + below(32), MSG_NOSIGNAL);
		break;
	case 5:
	case 6:
		r = recv(*any(), buf, sizeof(buf), 0);
		break;
	case 7:
		r = polled();
		break;
	case 8:
		r = selected();
		break;
	case 9:
		r = below(4) ? 0 : changed();
		break;
	case 10:
		r = below(8) ? 0 : set_changed();
		break;
	default:
		r = waited();
	}
	printf("%u: %ld %s\n", what, r, r < 0 ? t_errname(errno) : "");
}

int main(int argc, char **argv)
{
	const char *size = getenv("VT_SIZE");
	int n = size && !strcmp(size, "quick") ? 5000 : 50000;

	t_start();
	state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	for (int i = 0; i < PAIRS; i++)
		make_pair(i);
	for (int i = 0; i < SETS; i++)
		set[i] = epoll_create1(0);
	for (int i = 0; i < n; i++)
		step(i);
	for (int i = 0; i < PAIRS * 2; i++)
		close(pair[i / 2][i % 2]);
	for (int i = 0; i < SETS; i++)
		close(set[i]);
	return t_end();
}
