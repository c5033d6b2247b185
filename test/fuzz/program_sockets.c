/* SPDX-License-Identifier: MIT */
/* Calls on sockets, and waiting for them together with local descriptors. */
#define _GNU_SOURCE
#include "test/fuzz/program.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FDS (1 << 20)

static int remote_socket(int type)
{
	return (int)answer("socket", socket(AF_INET, type, 0), FDS);
}

static int any_socket(void)
{
	return remote_socket(below(2) ? SOCK_STREAM : SOCK_DGRAM);
}

static const struct sockaddr_in somewhere = { .sin_family = AF_INET, .sin_port = 1234 };

/* --- sockets ---------------------------------------------------------------------------------- */

/* Room for less than an address now and then: it is cut, and its whole length told. */
static void names_of_sockets(void)
{
	socklen_t room = below(2) ? sizeof(struct sockaddr_storage) : (socklen_t)below(30),
		  len = room;
	int fd = any_socket(), other;
	void *p = exactly(room);

	answer("bind", bind(fd, (const struct sockaddr *)&somewhere, sizeof(somewhere)), 0);
	answer("listen", listen(fd, 5), 0);
	answer("getsockname", getsockname(fd, p, &len), 0);
	if (len > sizeof(struct sockaddr_storage))
		breach("getsockname", "an address longer than there are");
	len = room;
	answer("getpeername", getpeername(fd, p, &len), 0);
	len = room;
	other = (int)answer("accept", accept4(fd, p, &len, 0), FDS);
	if (len > sizeof(struct sockaddr_storage))
		breach("accept", "an address longer than there are");
	done_with(other);
	free(p);
	done_with(fd);
}

static void options(void)
{
	socklen_t room = (socklen_t)below(300), len = room;
	int fd = any_socket();
	void *p = exactly(room);

	answer("getsockopt", getsockopt(fd, SOL_SOCKET, SO_RCVBUF, p, &len), 0);
	if (len > room)
		breach("getsockopt", "more than there is room for");
	answer("setsockopt", setsockopt(fd, SOL_SOCKET, SO_RCVBUF, p, room), 0);
	free(p);
	done_with(fd);
}

static void data(void)
{
	size_t n = below(3) ? below(100) : below(100000);
	int fd = any_socket();
	char *p = exactly(n);

	answer("connect", connect(fd, (const struct sockaddr *)&somewhere, sizeof(somewhere)), 0);
	answer("send", send(fd, p, n, 0), (long)n);
	answer("recv", recv(fd, p, n, 0), (long)n);
	answer("recv all", recv(fd, p, n, MSG_WAITALL), (long)n);
	answer("recv with its length", recv(fd, p, n, MSG_TRUNC), INT_MAX);
	answer("write", write(fd, p, n), (long)n);
	answer("read", read(fd, p, n), (long)n);
	answer("shutdown", shutdown(fd, SHUT_RDWR), 0);
	free(p);
	done_with(fd);
}

/* What a program does with ancillary data: it goes by the lengths. */
static void look_at_control(struct msghdr *m)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		unsigned char sum = 0;

		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
			breach("recvmsg", "descriptors that are not ours");
		for (size_t i = 0; i < h->cmsg_len - CMSG_LEN(0); i++)
			sum ^= CMSG_DATA(h)[i];
		if (sum == 0x5a)
			random_bits();
	}
}

static void messages(void)
{
	size_t n = below(3000), room = below(2) ? 8 * below(40) : 0;
	/* Not less: the sanitizer takes the whole length, of a name that is cut, for its bytes. */
	socklen_t name = sizeof(struct sockaddr_storage);
	struct iovec iov[2] = { { exactly(n), n }, { exactly(10), 10 } };
	struct msghdr m = { .msg_name = exactly(name),
			    .msg_namelen = name,
			    .msg_iov = iov,
			    .msg_iovlen = 2,
			    .msg_control = exactly(room),
			    .msg_controllen = room };
	struct mmsghdr many[2] = { { m, 0 }, { m, 0 } };
	int fd = any_socket();
	long r = answer("recvmsg", recvmsg(fd, &m, 0), (long)n + 10);

	if (r >= 0) {
		if (m.msg_namelen > sizeof(struct sockaddr_storage) || m.msg_controllen > room)
			breach("recvmsg", "lengths beyond what there is room for");
		look_at_control(&m);
	}
	answer("recvmmsg", recvmmsg(fd, many, 2, MSG_DONTWAIT, NULL), 2);
	m.msg_name = (void *)&somewhere;
	m.msg_namelen = sizeof(somewhere);
	m.msg_controllen = 0;
	answer("sendmsg", sendmsg(fd, &m, 0), (long)n + 10);
	free(iov[0].iov_base);
	free(iov[1].iov_base);
	free(many[0].msg_hdr.msg_name);
	free(m.msg_control);
	done_with(fd);
}

attempt_fn *const socket_attempts[] = { names_of_sockets, options, data, messages, NULL };

/* --- waiting ---------------------------------------------------------------------------------- */

/* A pipe in which nothing ever comes: who says so is wrong. */
static int quiet_pipe(int pipes[2])
{
	if (pipe(pipes) || pipes[1] >= FD_SETSIZE)
		breach("pipe", "descriptors have been lost");
	return pipes[0];
}

static void wait_by_poll(void)
{
	const short all = POLLIN | POLLOUT | POLLPRI;
	int pipes[2], ready = 0;
	struct pollfd p[5] = { { any_socket(), POLLIN, 0 },
			       { quiet_pipe(pipes), POLLIN, 0 },
			       { -1, all, 0 },
			       { any_socket(), (short)(random_bits() & all), 0 },
			       { -5, all, 0 } };
	long r = answer("poll", poll(p, 5, (int)below(20)), 5);

	for (int i = 0; i < 5; i++) {
		ready += p[i].revents != 0;
		if (p[i].revents & ~(p[i].events | POLLERR | POLLHUP | POLLNVAL))
			breach("poll", "an event that was not asked for");
	}
	if (r >= 0 && (ready != r || p[1].revents || p[2].revents || p[4].revents))
		breach("poll", "events of others than the service's own members");
	for (int i = 0; i < 4; i += 3)
		done_with(p[i].fd);
	done_with(pipes[0]);
	done_with(pipes[1]);
}

static void wait_by_select(void)
{
	struct timeval tv = { 0, (suseconds_t)below(20000) };
	int pipes[2], fd = any_socket(), local = quiet_pipe(pipes);
	struct {
		unsigned long before;
		fd_set in, out;
		unsigned long after;
	} sets = { .before = 1, .after = 2 };
	long r;

	FD_ZERO(&sets.in);
	FD_ZERO(&sets.out);
	FD_SET(local, &sets.in);
	if (fd >= 0 && fd < FD_SETSIZE) {
		FD_SET(fd, &sets.in);
		FD_SET(fd, &sets.out);
	}
	r = answer("select", select(FD_SETSIZE, &sets.in, &sets.out, NULL, &tv), 2);
	if (sets.before != 1 || sets.after != 2)
		breach("select", "has written beyond the sets");
	if (r >= 0 && FD_ISSET(local, &sets.in))
		breach("select", "events of others than the service's own members");
	done_with(fd);
	done_with(pipes[0]);
	done_with(pipes[1]);
}

#define MAGIC 0x1234567890abcdefull

struct node {
	uint64_t magic;
	uint32_t events;
};

static void wait_by_epoll(void)
{
	struct node node[4];
	struct epoll_event ev, got[8];
	int ep = (int)answer("epoll_create", epoll_create1(0), FDS), fd[4];
	long r;

	for (int i = 0; i < 4; i++) {
		node[i] = (struct node){ MAGIC, i ? EPOLLIN : EPOLLIN | EPOLLOUT };
		ev = (struct epoll_event){ .events = node[i].events, .data.ptr = &node[i] };
		fd[i] = any_socket();
		answer("epoll_ctl", epoll_ctl(ep, EPOLL_CTL_ADD, fd[i], &ev), 0);
	}
	r = answer("epoll_wait", epoll_wait(ep, got, 8, (int)below(20)), 8);
	for (long i = 0; i < r; i++) {
		const struct node *n = got[i].data.ptr;

		if (n->magic != MAGIC)
			breach("epoll_wait", "a pointer that is not ours");
		if (got[i].events & ~(n->events | EPOLLERR | EPOLLHUP))
			breach("epoll_wait", "an event that was not asked for");
	}
	answer("epoll_ctl", epoll_ctl(ep, EPOLL_CTL_DEL, fd[0], NULL), 0);
	for (int i = 0; i < 4; i++)
		done_with(fd[i]);
	done_with(ep);
}

attempt_fn *const waiting_attempts[] = { wait_by_poll, wait_by_select, wait_by_epoll, NULL };
