/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* The same calls through syscall(), as language runtimes make them. */
#include "net.h"
#include <linux/stat.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static void files(void)
{
	char buf[32] = "";
	struct iovec iov = { buf, 4 };
	struct statx sx;
	struct stat st;
	int fd = TRY(syscall(SYS_openat, AT_FDCWD, P("f"), O_RDWR | O_CREAT, 0640));
	int copy;

	SHOW(syscall(SYS_write, fd, "0123456789", 10));
	SHOW(syscall(SYS_lseek, fd, 2, SEEK_SET));
	SHOW(syscall(SYS_read, fd, buf, 3));
	SHOW(syscall(SYS_pread64, fd, buf, 4, 5));
	printf("%s\n", buf);
	SHOW(syscall(SYS_pwrite64, fd, "xy", 2, 1));
	SHOW(syscall(SYS_readv, fd, &iov, 1));
	SHOW(syscall(SYS_preadv, fd, &iov, 1, 3, 0));
	SHOW(syscall(SYS_preadv2, fd, &iov, 1, 3, 0, 0));
	SHOW(syscall(SYS_fstat, fd, &st));
	SHOW(st.st_size);
	SHOW(syscall(SYS_stat, P("f"), &st));
	SHOW(syscall(SYS_lstat, P("f"), &st));
	SHOW(syscall(SYS_newfstatat, AT_FDCWD, P("f"), &st, 0));
	SHOW(syscall(SYS_statx, AT_FDCWD, P("f"), 0, STATX_SIZE, &sx));
	SHOW(sx.stx_size);
	copy = (int)TRY(syscall(SYS_dup, fd));
	SHOW(syscall(SYS_lseek, copy, 0, SEEK_CUR));
	SHOW(syscall(SYS_dup3, fd, 90, O_CLOEXEC));
	SHOW(syscall(SYS_fcntl, 90, F_GETFD));
	SHOW(syscall(SYS_ftruncate, 90, 5));
	SHOW(syscall(SYS_fsync, fd));
	SHOW(syscall(SYS_close, 90));
	SHOW(syscall(SYS_close, copy));
	SHOW(syscall(SYS_close, fd));
	SHOW(syscall(SYS_close, fd));
	t_cat("f", P("f"));
	SHOW(syscall(SYS_access, P("f"), R_OK));
	SHOW(syscall(SYS_faccessat, AT_FDCWD, P("f"), R_OK));
	SHOW(syscall(SYS_faccessat2, AT_FDCWD, P("f"), R_OK, AT_EACCESS));
	SHOW(syscall(SYS_chmod, P("f"), 0600));
	SHOW(syscall(SYS_rename, P("f"), P("g")));
	SHOW(syscall(SYS_renameat2, AT_FDCWD, P("g"), AT_FDCWD, P("f"), 0));
	SHOW(syscall(SYS_mkdir, P("d"), 0755));
	SHOW(syscall(SYS_rmdir, P("d")));
	SHOW(syscall(SYS_truncate, P("f"), 3));
	SHOW(syscall(SYS_unlink, P("f")));
	SHOW(syscall(SYS_unlinkat, AT_FDCWD, P("f"), 0));
	SHOW(syscall(SYS_open, P("f"), O_RDONLY));
	SHOW(syscall(SYS_creat, P("c"), 0644) >= 0);
	SHOW(close(3));
}

static void sockets(void)
{
	struct sockaddr_in sa = net_addr();
	struct timespec ts = { 1, 0 };
	struct epoll_event ev = { .events = EPOLLIN };
	struct pollfd p = { .events = POLLIN };
	socklen_t len = sizeof(sa);
	char buf[8] = "";
	int lfd = TRY(syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
	int fd = TRY(syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	int got;
	int ep;

	SHOW(syscall(SYS_bind, lfd, &sa, sizeof(sa)));
	SHOW(syscall(SYS_listen, lfd, 1));
	SHOW(syscall(SYS_getsockname, lfd, &sa, &len));
	SHOW(syscall(SYS_connect, fd, &sa, sizeof(sa)));
	got = TRY(syscall(SYS_accept4, lfd, NULL, NULL, SOCK_NONBLOCK));
	SHOW(syscall(SYS_recvfrom, got, buf, 8, 0, NULL, NULL));
	SHOW(syscall(SYS_sendto, fd, "abc", 3, 0, NULL, 0));
	p.fd = got;
	SHOW(syscall(SYS_poll, &p, 1, 1000));
	SHOW(syscall(SYS_ppoll, &p, 1, &ts, NULL, 0));
	ep = TRY(syscall(SYS_epoll_create1, 0));
	SHOW(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, got, &ev));
	SHOW(syscall(SYS_epoll_wait, ep, &ev, 1, 1000));
	SHOW(syscall(SYS_epoll_pwait, ep, &ev, 1, 1000, NULL, 8));
	SHOW(syscall(SYS_read, got, buf, 8));
	SHOW(syscall(SYS_shutdown, fd, SHUT_WR));
	SHOW(syscall(SYS_read, got, buf, 8));
	close(ep);
	close(got);
	close(fd);
	close(lfd);
}

int main(void)
{
	t_start();
	files();
	sockets();
	SHOW(syscall(SYS_getpid) == getpid());
	SHOW(syscall(9999));
	return t_end();
}
