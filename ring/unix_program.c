/* SPDX-License-Identifier: MIT */
/* The transport between processes of one machine, the program's side. See ring/abi.h, "Attach". */
#define _GNU_SOURCE
#include "ring/attach.h"
#include "ring/chan.h"
#include "ring/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#define LANES 256u

static long send_fd(int sock, const void *data, size_t len, int fd)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { (void *)data, len };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = CMSG_LEN(sizeof(int)) };

	*(int *)CMSG_DATA(&control.h) = fd;
	return vos_raw3(SYS_sendmsg, sock, (long)&m, MSG_NOSIGNAL);
}

static int dial(const char *path, const struct vos_patience *p)
{
	const struct timeval limit = { VOS_ANSWER_S, 0 };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t n = 0;
	long fd, r;

	while (path[n] && n < sizeof(sun.sun_path) - 1) {
		sun.sun_path[n] = path[n];
		n++;
	}
	if (path[n])
		return -ENAMETOOLONG;
	fd = vos_raw3(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return (int)fd;
	/* For messages with descriptors, once the socket blocks. */
	vos_raw5(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, (long)&limit, sizeof(limit));
	do
		r = vos_raw3(SYS_connect, fd, (long)&sun, sizeof(sun));
	while (r == -EAGAIN && !(r = vos_be_patient(p, -1, 0))); /* so many wait there already */
	if (!r)
		return (int)fd;
	vos_raw1(SYS_close, fd);
	return (int)r;
}

static int exchange(int sock, int memory, const char *name, const struct vos_hello *h,
		    struct vos_welcome *w, const struct vos_patience *p)
{
	long r;

	w->text[0] = 0;
	if (memory >= 0)
		r = send_fd(sock, h, sizeof(*h), memory);
	else
		r = vos_raw6(SYS_sendto, sock, (long)h, sizeof(*h), MSG_NOSIGNAL, 0, 0);
	if (r < 0)
		return (int)r;
	do
		r = vos_raw6(SYS_recvfrom, sock, (long)w, sizeof(*w), 0, 0, 0);
	while (r == -EAGAIN && !(r = vos_be_patient(p, sock, POLLIN)));
	if (r < 0)
		return (int)r;
	if (!r)
		return -ECONNRESET;
	if (r != sizeof(*w))
		w->magic = 0;
	return vos_attach_check(w, name);
}

int vos_unix_attach(struct vos_chan *c, int memory, const char *path, const char *name,
		    struct vos_hello *h, struct vos_welcome *w)
{
	const struct vos_patience p = { c ? c->blocked : ~0ull, vos_now_ms() };
	int sock = dial(path, &p);
	int r;

	if (sock < 0)
		return sock;
	r = exchange(sock, memory, name, h, w, &p);
	if (!r && memory >= 0) {
		/* Acquire: the service wrote the guard before it answered. */
		c->guard = atomic_load(&c->sh->guard);
		if (!c->guard || c->guard & FUTEX_OWNER_DIED) { /* and has died since */
			w->text[0] = 0;
			r = -ECONNRESET;
		}
	}
	if (r || memory < 0) {
		vos_raw1(SYS_close, sock);
		return r;
	}
	vos_raw3(SYS_fcntl, sock, F_SETFL, 0);
	c->bell = vos_chan_hide_fd(sock);
	c->session[0] = w->session[0];
	c->session[1] = w->session[1];
	return 0;
}

static int unix_attach(struct vos_chan *c, const char *path, const char *name, struct vos_hello *h,
		       struct vos_welcome *w)
{
	int memory = vos_chan_create(c, LANES, VOS_POOL_MAX);
	int r;

	if (memory < 0)
		return memory;
	r = vos_unix_attach(c, memory, path, name, h, w);
	vos_raw1(SYS_close, memory);
	if (r)
		vos_chan_destroy(c);
	return r;
}

static int unix_prove(const char *path, const char *name, struct vos_hello *h,
		      struct vos_welcome *w)
{
	return vos_unix_attach(NULL, -1, path, name, h, w);
}

static void unix_ring(struct vos_chan *c)
{
	const uint8_t bell = VOS_TAG_BELL;
	long r;

	/* A full socket holds enough rings already. A confined program has only write, which would
	 * raise SIGPIPE: not on a service that is known to be dead. */
	if (!vos_chan_confined)
		r = vos_raw6(SYS_sendto, c->bell, (long)&bell, 1, MSG_DONTWAIT | MSG_NOSIGNAL, 0,
			     0);
	else
		r = vos_chan_alive(c) ? vos_raw3(SYS_write, c->bell, (long)&bell, 1) : -EPIPE;
	if (r < 0 && r != -EAGAIN && r != -EINTR)
		vos_chan_kill(c);
}

static int unix_wake_fd(struct vos_chan *c, struct vos_lane *l)
{
	struct vos_bell_fd m = { VOS_TAG_WAKE, 0, l->index, 0 };
	int pair[2];
	long r;

	if (l->wake_fd >= 0)
		return 0;
	if (vos_chan_confined)
		return -EPERM;
	/* Sockets, since the service can write to them without ever waiting, whatever we do. */
	r = vos_raw4(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		     (long)pair);
	if (r < 0)
		return (int)r;
	r = send_fd(c->bell, &m, sizeof(m), pair[1]);
	vos_raw1(SYS_close, pair[1]);
	if (r < 0)
		vos_raw1(SYS_close, pair[0]);
	else
		l->wake_fd = vos_chan_hide_fd(pair[0]);
	return r < 0 ? (int)r : 0;
}

static int unix_token_file(struct vos_chan *c, struct vos_lane *l, int fd, uint32_t key)
{
	struct vos_bell_fd m = { VOS_TAG_TOKEN, 0, l->index, key };
	long r = send_fd(c->bell, &m, sizeof(m), fd);

	return r < 0 ? (int)r : 0;
}

static void unix_close(struct vos_chan *c)
{
	int bell = c->bell;

	c->bell = -1;
	if (bell >= 0)
		vos_chan_close_fd(bell);
}

const struct vos_transport vos_transport_unix = {
	.scheme = "unix:",
	.attach = unix_attach,
	.prove = unix_prove,
	.ring = unix_ring,
	.wake_fd = unix_wake_fd,
	.token_file = unix_token_file,
	.sleep = vos_unix_sleep,
	.poll = vos_unix_poll,
	.polled = vos_unix_polled,
	.wake_all = vos_unix_wake_all,
	.close = unix_close,
};
