/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of every kind, each made anew for each call of the matrices, so that no call sees what
 * another one has done. The tree: file f ("some text"), directory d (the working directory), link l
 * to f, FIFO p.
 */
#ifndef KINDS_H
#define KINDS_H

#include "net.h"
#include <sys/epoll.h>
#include <sys/xattr.h>

enum kind {
	CLOSED,
	NEGATIVE,
	RDONLY,
	WRONLY,
	RDWR,
	APPEND,
	PATH,
	DIRECTORY,
	DIRPATH,
	LINKPATH,
	FIFO,
	NAMELESS,
	TCP,
	BOUND,
	LISTENING,
	CONNECTED,
	ENDED,
	UDP,
	UDP_CONNECTED,
	EPOLL,
	EPOLL_MEMBER,
	LOCAL_FILE,
	LOCAL_DIRECTORY,
	LOCAL_PIPE,
	LOCAL_SOCKET,
	KINDS
};

static T_UNUSED const char *const kind_name[KINDS] = {
	[CLOSED] = "closed",
	[NEGATIVE] = "negative",
	[RDONLY] = "O_RDONLY",
	[WRONLY] = "O_WRONLY",
	[RDWR] = "O_RDWR",
	[APPEND] = "O_APPEND",
	[PATH] = "O_PATH",
	[DIRECTORY] = "directory",
	[DIRPATH] = "directory O_PATH",
	[LINKPATH] = "link O_PATH",
	[FIFO] = "FIFO",
	[NAMELESS] = "O_TMPFILE",
	[TCP] = "tcp",
	[BOUND] = "tcp bound",
	[LISTENING] = "tcp listening",
	[CONNECTED] = "tcp connected",
	[ENDED] = "tcp ended",
	[UDP] = "udp",
	[UDP_CONNECTED] = "udp connected",
	[EPOLL] = "epoll",
	[EPOLL_MEMBER] = "epoll with a socket",
	[LOCAL_FILE] = "local file",
	[LOCAL_DIRECTORY] = "local directory",
	[LOCAL_PIPE] = "local pipe",
	[LOCAL_SOCKET] = "local socket",
};

#define NO_FD 400 /* a number that is not in use */

/* A descriptor, and the other end or the member that goes with it (-1: none). */
struct made {
	int fd, other;
};

static T_UNUSED void kinds_tree(void)
{
	t_puts(P("f"), "some text");
	t_puts(L("f"), "local text");
	MUST(mkdir(P("d"), 0755) == 0);
	MUST(symlink("f", P("l")) == 0);
	MUST(mkfifo(P("p"), 0644) == 0);
	MUST(chdir(P("d")) == 0);
}

static T_UNUSED struct made kind_socket(enum kind k)
{
	struct sockaddr_in sa;
	int sv[2] = { -1, -1 };

	switch (k) {
	case TCP:
	case UDP:
		sv[0] = socket(AF_INET, k == TCP ? SOCK_STREAM : SOCK_DGRAM, 0);
		break;
	case BOUND:
		sv[0] = net_bound(SOCK_STREAM, &sa);
		break;
	case LISTENING:
		sv[0] = net_listen(&sa);
		break;
	case CONNECTED:
	case ENDED:
		net_tcp_pair(sv);
		break;
	case UDP_CONNECTED:
		net_udp_pair(sv);
		break;
	default:
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	}
	if (k == ENDED) {
		close(sv[1]);
		sv[1] = -1;
		net_await(sv[0]);
	}
	net_nonblock(sv[0]);
	return (struct made){ sv[0], sv[1] };
}

static T_UNUSED int kind_epoll_member(int epfd)
{
	struct epoll_event e = { .events = EPOLLIN };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e) == 0);
	return fd;
}

static T_UNUSED struct made kind_make(enum kind k)
{
	struct made m = { -1, -1 };
	int p[2];

	switch (k) {
	case CLOSED:
		return (struct made){ NO_FD, -1 };
	case NEGATIVE:
		return m;
	case RDONLY:
		m.fd = open(P("f"), O_RDONLY);
		break;
	case WRONLY:
		m.fd = open(P("f"), O_WRONLY);
		break;
	case RDWR:
		m.fd = open(P("f"), O_RDWR);
		break;
	case APPEND:
		m.fd = open(P("f"), O_RDWR | O_APPEND);
		break;
	case PATH:
		m.fd = open(P("f"), O_PATH);
		break;
	case DIRECTORY:
		m.fd = open(P("d"), O_RDONLY | O_DIRECTORY);
		break;
	case DIRPATH:
		m.fd = open(P("d"), O_PATH);
		break;
	case LINKPATH:
		m.fd = open(P("l"), O_PATH | O_NOFOLLOW);
		break;
	case FIFO:
		m.fd = open(P("p"), O_RDWR | O_NONBLOCK);
		break;
	case NAMELESS:
		m.fd = open(P("d"), O_RDWR | O_TMPFILE, 0600);
		break;
	case EPOLL:
	case EPOLL_MEMBER:
		m.fd = epoll_create1(0);
		if (k == EPOLL_MEMBER)
			m.other = kind_epoll_member(m.fd);
		break;
	case LOCAL_FILE:
		m.fd = open(L("f"), O_RDWR);
		break;
	case LOCAL_DIRECTORY:
		m.fd = open(L(""), O_RDONLY | O_DIRECTORY);
		break;
	case LOCAL_PIPE:
		MUST(pipe2(p, O_NONBLOCK) == 0);
		return (struct made){ p[0], p[1] };
	default:
		m = kind_socket(k);
	}
	MUST(m.fd >= 0);
	return m;
}

static T_UNUSED void kind_drop(struct made m)
{
	if (m.fd >= 0 && m.fd != NO_FD)
		close(m.fd);
	if (m.other >= 0)
		close(m.other);
	close(NO_FD); /* where dup2() may have put something */
}

/* What a call has made goes, what it has changed is told, and is as before. */
static T_UNUSED void kinds_restore(void)
{
	struct stat st;

	if (stat(P("f"), &st) || st.st_size != 9 || (st.st_mode & 07777) != 0644) {
		printf("   f: %lld bytes, mode %o\n", (long long)st.st_size, st.st_mode & 07777u);
		chmod(P("f"), 0644);
		t_puts(P("f"), "some text");
	}
	if (stat(L("f"), &st) == 0 && st.st_size != 10) {
		printf("   local f: %lld bytes\n", (long long)st.st_size);
		t_puts(L("f"), "local text");
	}
	chmod(P("d"), 0755);
	for (const char *const *n = (const char *const[]){ "x", "y", NULL }; *n; n++) {
		unlink(*n);
		rmdir(*n);
		unlink(L(*n));
		rmdir(L(*n));
	}
	removexattr(P("f"), "user.x");
}

static T_UNUSED void kind_show(const char *kind, const char *what, long r, int err)
{
	if (r == -1)
		printf("%s: %s = -1 %s\n", kind, what, t_errname(err));
	else
		printf("%s: %s = %ld%s\n", kind, what, r, err ? ", but errno" : "");
}

/* One call, on @fd of this kind; whether it has worked is told, not a descriptor that it has made. */
#define EACH(kind, expr)                                      \
	do {                                                  \
		struct made m_ = kind_make(kind);             \
		const int fd = m_.fd;                         \
		long r_;                                      \
		errno = 0;                                    \
		r_ = (long)(expr);                            \
		kind_show(kind_name[kind], #expr, r_, errno); \
		kind_drop(m_);                                \
		kinds_restore();                              \
	} while (0)
#define EACH_FD(kind, expr)                                               \
	do {                                                              \
		struct made m_ = kind_make(kind);                         \
		const int fd = m_.fd;                                     \
		int r_, err_;                                             \
		errno = 0;                                                \
		r_ = (int)(expr);                                         \
		err_ = errno;                                             \
		if (r_ >= 0)                                              \
			close(r_);                                        \
		kind_show(kind_name[kind], #expr, r_ < 0 ? -1 : 0, err_); \
		kind_drop(m_);                                            \
		kinds_restore();                                          \
	} while (0)

#endif
