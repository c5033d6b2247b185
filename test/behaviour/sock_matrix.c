/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* timeout: 120 */
/* Every call on a socket, and every way to wait, on descriptors of every kind. */
#include "kinds.h"
#include <signal.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define E(expr)	 EACH(k, expr)
#define FD(expr) EACH_FD(k, expr)

static char huge[70000];
static struct sockaddr_in here;
static struct sockaddr_in far_away = { .sin_family = AF_INET, .sin_port = 0x0900 };
static struct sockaddr_in6 here6 = { .sin6_family = AF_INET6 };
static struct sockaddr_un un = { .sun_family = AF_UNIX };
static struct sockaddr none = { .sa_family = AF_UNSPEC };

#define SA(a) (struct sockaddr *)&(a)

static void addresses(enum kind k)
{
	struct sockaddr_storage ss;
	socklen_t len;

	E(bind(fd, SA(here), sizeof(here)));
	E(bind(fd, SA(here), 2));
	E(bind(fd, SA(here6), sizeof(here6)));
	E(bind(fd, SA(un), sizeof(un)));
	E(bind(fd, SA(far_away), sizeof(far_away)));
	E(listen(fd, 0));
	E(listen(fd, -1));
	FD(accept(fd, NULL, NULL));
	FD(accept(fd, SA(ss), (len = sizeof(ss), &len)));
	FD(accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	E(connect(fd, SA(here6), sizeof(here6)));
	E(connect(fd, SA(un), sizeof(un)));
	E(connect(fd, &none, sizeof(none)));
	E(connect(fd, SA(here), 3));
	E(getsockname(fd, SA(ss), (len = sizeof(ss), &len)));
	E(getsockname(fd, SA(ss), (len = 0, &len)));
	E(getsockname(fd, SA(ss), (len = (socklen_t)-1, &len)));
	E(getpeername(fd, SA(ss), (len = sizeof(ss), &len)));
	E(getpeername(fd, SA(ss), (len = 3, &len)));
	E(shutdown(fd, SHUT_RD));
	E(shutdown(fd, SHUT_WR));
	E(shutdown(fd, SHUT_RDWR));
	E(shutdown(fd, 3));
	E(shutdown(fd, -1));
}

#define QUIET MSG_NOSIGNAL

static void sending(enum kind k)
{
	struct iovec iov = { huge, 4 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct msghdr many = { .msg_iov = &iov, .msg_iovlen = 1025 };
	struct mmsghdr mm[2] = { { m, 0 }, { many, 0 } };

	E(send(fd, "x", 1, QUIET));
	E(send(fd, "x", 0, QUIET));
	E(send(fd, "x", 1, QUIET | MSG_OOB));
	E(send(fd, "x", 1, QUIET | MSG_MORE));
	E(send(fd, "x", 1, QUIET | MSG_FASTOPEN));
	E(send(fd, huge, 65508, QUIET));
	E(sendto(fd, "x", 1, QUIET, SA(here6), sizeof(here6)));
	E(sendto(fd, "x", 1, QUIET, SA(here), 4));
	E(sendto(fd, "x", 1, QUIET, SA(un), sizeof(un)));
	E(sendto(fd, "x", 1, QUIET, NULL, 16));
	E(sendmsg(fd, &m, QUIET));
	E(sendmsg(fd, &many, QUIET));
	E(sendmmsg(fd, mm, 2, QUIET));
	E(sendmmsg(fd, mm, 0, QUIET));
	E(sendmmsg(fd, mm + 1, 1, QUIET));
}

static void receiving(enum kind k)
{
	struct sockaddr_storage ss;
	struct iovec iov = { huge, 4 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct msghdr many = { .msg_iov = &iov, .msg_iovlen = 1025 };
	struct mmsghdr mm = { m, 0 };
	struct timespec now = { 0, 0 };
	socklen_t len;

	E(recv(fd, huge, 1, 0));
	E(recv(fd, huge, 0, 0));
	E(recv(fd, huge, 1, MSG_PEEK));
	E(recv(fd, huge, 1, MSG_OOB));
	E(recv(fd, huge, 1, MSG_WAITALL));
	E(recv(fd, huge, 1, MSG_TRUNC));
	E(recv(fd, huge, 1, MSG_ERRQUEUE));
	E(recvfrom(fd, huge, 1, 0, SA(ss), (len = sizeof(ss), &len)));
	E(recvmsg(fd, &m, 0));
	E(recvmsg(fd, &many, 0));
	E(recvmmsg(fd, &mm, 1, 0, NULL));
	E(recvmmsg(fd, &mm, 0, 0, NULL));
	E(recvmmsg(fd, &mm, 1, MSG_WAITFORONE, &now));
}

/* An option, asked for with room of several sizes. */
static void option(enum kind k, const char *name, int level, int opt)
{
	static const int sizes[] = { 0, 1, 3, 4, 8, 16, 256 };
	char buf[256];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct made m = kind_make(k);
		socklen_t len = (socklen_t)sizes[i];
		int r = (errno = 0, getsockopt(m.fd, level, opt, buf, &len)), err = errno;

		printf("%s in %d: %u; ", name, sizes[i], len);
		kind_show(kind_name[k], "getsockopt", r, err);
		kind_drop(m);
	}
}

static void options(enum kind k)
{
	const struct linger l = { 1, 1 };
	const struct timeval ok = { 1, 0 }, wrong = { 0, 1000000 };
	const struct ip_mreq group = { { htonl(0xe0000001) }, { 0 } };
	int n = 0, much = 300;

	option(k, "SO_ERROR", SOL_SOCKET, SO_ERROR);
	option(k, "SO_TYPE", SOL_SOCKET, SO_TYPE);
	option(k, "SO_LINGER", SOL_SOCKET, SO_LINGER);
	option(k, "SO_RCVTIMEO", SOL_SOCKET, SO_RCVTIMEO);
	option(k, "SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN);
	option(k, "SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE);
	option(k, "none such", SOL_SOCKET, 9999);
	option(k, "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY);
	option(k, "TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION);
	option(k, "IP_TTL", IPPROTO_IP, IP_TTL);
	option(k, "IP_OPTIONS", IPPROTO_IP, IP_OPTIONS);
	E(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	E(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 4));
	E(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &ok, sizeof(ok)));
	E(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wrong, sizeof(wrong)));
	E(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &ok, 8));
	E(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nosuch", 7));
	E(setsockopt(fd, SOL_SOCKET, SO_TYPE, &n, sizeof(n)));
	E(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &n, 0));
	E(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &n, 100));
	E(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof(n)));
	E(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &n, sizeof(n)));
	E(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, NULL, 0));
	E(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &n, 2));
	E(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &n, sizeof(n)));
	E(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
	E(setsockopt(fd, IPPROTO_IP, IP_TTL, &much, sizeof(much)));
	E(setsockopt(fd, IPPROTO_IP, IP_TTL, "\3", 1));
	E(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, huge, 44));
	E(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, 2));
	E(setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof(group)));
}

static void polled(enum kind k)
{
	static const short events[] = { 0, POLLIN, POLLOUT, POLLIN | POLLOUT | POLLPRI | POLLRDHUP,
					-1 };

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		struct made m = kind_make(k);
		struct pollfd p = { m.fd, events[i], 0x55 };
		int r = poll(&p, 1, 0);

		printf("%s: poll for %x: %d %x\n", kind_name[k], (unsigned short)events[i], r,
		       (unsigned short)p.revents);
		kind_drop(m);
	}
}

static void selected(enum kind k)
{
	struct made m = kind_make(k);
	struct timeval now = { 0, 0 };
	fd_set in, out;
	int r;

	if (m.fd >= 0 && k != CLOSED) { /* of high numbers select() hears only if there are such */
		FD_ZERO(&in);
		FD_SET(m.fd, &in);
		out = in;
		errno = 0;
		r = select(m.fd + 1, &in, &out, NULL, &now);
		printf("%s: select: %d %s", kind_name[k], r, t_errname(errno));
		printf(r < 0 ? "\n" : ": %d %d\n", !!FD_ISSET(m.fd, &in), !!FD_ISSET(m.fd, &out));
	}
	kind_drop(m);
}

static void watched(enum kind k, uint32_t events)
{
	struct made m = kind_make(k);
	struct epoll_event e = { .events = events, .data.u64 = 77 }, got[4] = { 0 };
	int ep = epoll_create1(0), r = epoll_ctl(ep, EPOLL_CTL_ADD, m.fd, &e);

	printf("%s: a member for %x: %s\n", kind_name[k], events, r ? t_errname(errno) : "yes");
	for (int i = 0; !r && i < 3; i++) {
		int n = epoll_wait(ep, got, 4, 0);

		printf("  %d: %x %d\n", n, n > 0 ? got[0].events : 0,
		       n > 0 ? (int)got[0].data.u64 : 0);
		if (i == 1)
			SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, m.fd, &e));
	}
	if (!r)
		SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, m.fd, NULL));
	close(ep);
	kind_drop(m);
}

/* As a set, which most are not. */
static void as_set(enum kind k)
{
	struct epoll_event e = { .events = EPOLLIN }, got[4];
	struct timespec now = { 0, 0 }, wrong = { 0, -1 };
	int sk = socket(AF_INET, SOCK_DGRAM, 0);

	E(epoll_wait(fd, got, 4, 0));
	E(epoll_wait(fd, got, 0, 0));
	E(epoll_pwait2(fd, got, 4, &now, NULL));
	E(epoll_pwait2(fd, got, 4, &wrong, NULL));
	E(syscall(SYS_epoll_pwait, fd, got, 4, 0, "", 3));
	E(epoll_ctl(fd, EPOLL_CTL_ADD, sk, &e));
	close(sk);
}

int main(void)
{
	t_start();
	signal(SIGPIPE, SIG_IGN);
	here = net_addr();
	far_away.sin_addr.s_addr = htonl(0x08080808);
	here6.sin6_addr = in6addr_loopback;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", L("socket"));
	kinds_tree();
	for (enum kind k = 0; k < KINDS; k++) {
		if (k == PATH || k == DIRPATH || k == LINKPATH)
			continue;
		addresses(k);
		sending(k);
		receiving(k);
		options(k);
		selected(k);
		watched(k, 0);
		watched(k, EPOLLIN);
		watched(k, EPOLLIN | EPOLLOUT | EPOLLET);
		watched(k, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLONESHOT);
		watched(k, EPOLLOUT | EPOLLEXCLUSIVE);
		as_set(k);
	}
	for (enum kind k = 0; k < KINDS; k++)
		polled(k);
	MUST(chdir("/") == 0);
	return t_end();
}
