/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Lengths, counts, flags and commands that the kernel refuses, on right descriptors; no path at all. */
#include "net.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>

/* The compiler warns about what it sees. */
static char *volatile nothing;
static volatile int negative = -1;

static void vectors(int fd)
{
	static struct iovec many[1025];
	char c;

	printf("-- vectors\n");
	SHOW(readv(fd, many, 0));
	SHOW(readv(fd, many, negative));
	SHOW(readv(fd, many, 1024));
	SHOW(readv(fd, many, 1025));
	SHOW(writev(fd, many, 0));
	SHOW(writev(fd, many, negative));
	SHOW(writev(fd, many, 1025));
	SHOW(preadv(fd, many, 1, -1));
	SHOW(preadv(fd, many, 1025, 0));
	SHOW(pwritev(fd, many, 1, -1));
	SHOW(preadv2(fd, many, 1, 0, 0x8000));
	SHOW(pwritev2(fd, many, 1, 0, 0x8000));
	SHOW(pread(fd, &c, 1, -1));
	SHOW(pwrite(fd, "x", 1, -1));
	SHOW(read(fd, nothing, 0));
	SHOW(write(fd, nothing, 0));
}

static void files(int fd)
{
	struct flock l = { .l_type = 77 };
	char buf[16];

	printf("-- files\n");
	SHOW(lseek(fd, 0, 99));
	SHOW(lseek(fd, -1, SEEK_SET));
	SHOW(ftruncate(fd, -1));
	SHOW(fallocate(fd, 0, -1, 1));
	SHOW(fallocate(fd, 0, 0, 0));
	SHOW(fallocate(fd, 0x4000, 0, 1));
	SHOW(flock(fd, 99));
	SHOW(fcntl(fd, 9999));
	SHOW(fcntl(fd, F_SETFD, 99));
	SHOW(fcntl(fd, F_GETFD));
	SHOW(fcntl(fd, F_DUPFD, -1));
	SHOW(fcntl(fd, F_DUPFD, 1 << 28));
	SHOW(fcntl(fd, F_SETLK, &l));
	l = (struct flock){ .l_type = F_RDLCK, .l_whence = 9 };
	SHOW(fcntl(fd, F_SETLK, &l));
	l = (struct flock){ .l_type = F_RDLCK, .l_start = -1 };
	SHOW(fcntl(fd, F_SETLK, &l));
	SHOW(fgetxattr(fd, "", buf, sizeof(buf)));
	SHOW(fgetxattr(fd, "none.such", buf, sizeof(buf)));
	SHOW(fsetxattr(fd, "user.x", buf, 1, 99));
	SHOW(fsetxattr(fd, nothing, buf, 1, 0));
	SHOW(fgetxattr(fd, nothing, buf, 1));
	SHOW(fremovexattr(fd, nothing));
	SHOW(fsetxattr(fd, "", buf, 1, 0));
	SHOW(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	SHOW(sendfile(fd, fd, &(off_t){ -1 }, 1));
	SHOW(dup3(fd, fd, 0));
	SHOW(dup3(fd, 400, 1));
	SHOW(dup2(fd, -1));
}

static void directory(void)
{
	int fd = open(P(""), O_RDONLY | O_DIRECTORY);
	char buf[16];

	printf("-- directory\n");
	SHOW(syscall(SYS_getdents64, fd, buf, 0));
	SHOW(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	SHOW(read(fd, buf, 1));
	SHOW(readlinkat(fd, "l", buf, 0));
	SHOW(openat(fd, nothing, O_RDONLY));
	SHOW(unlinkat(fd, nothing, 0));
	SHOW(mkdirat(fd, nothing, 0755));
	SHOW(readlinkat(fd, nothing, buf, 1));
	SHOW(symlinkat(nothing, fd, "x"));
	SHOW(symlinkat("x", fd, nothing));
	SHOW(renameat(fd, nothing, fd, "x"));
	SHOW(renameat(fd, "l", fd, nothing));
	SHOW(linkat(fd, nothing, fd, "x", 0));
	SHOW(symlinkat("", fd, "x"));
	close(fd);
}

static void sockets(void)
{
	struct sockaddr_storage sa = { .ss_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = (socklen_t)-1;
	int n = 0;

	printf("-- sockets\n");
	SHOW(socket(AF_INET, 99, 0));
	SHOW(socket(AF_INET, SOCK_STREAM | 0x100, 0));
	SHOW(socket(AF_INET, SOCK_STREAM, 9999));
	SHOW(bind(fd, (struct sockaddr *)&sa, 0));
	SHOW(bind(fd, (struct sockaddr *)&sa, 1));
	SHOW(bind(fd, (struct sockaddr *)&sa, 8));
	SHOW(bind(fd, (struct sockaddr *)&sa, 129));
	SHOW(connect(fd, (struct sockaddr *)&sa, 0));
	SHOW(connect(fd, (struct sockaddr *)&sa, 1));
	SHOW(connect(fd, (struct sockaddr *)&sa, 8));
	SHOW(connect(fd, (struct sockaddr *)&sa, 129));
	SHOW(sendto(udp, "x", 1, 0, (struct sockaddr *)&sa, 1));
	SHOW(sendto(udp, "x", 1, 0, (struct sockaddr *)&sa, 129));
	SHOW(sendto(udp, "x", 1, 0, NULL, 0));
	SHOW(getsockname(fd, (struct sockaddr *)&sa, &len));
	len = (socklen_t)-1;
	SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &n, &len));
	len = 1;
	SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &n, &len));
	printf("%u\n", len);
	SHOW(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &n, 1));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &n, (socklen_t)-1));
	SHOW(setsockopt(fd, SOL_SOCKET, 9999, &n, sizeof(n)));
	SHOW(setsockopt(fd, 9999, 1, &n, sizeof(n)));
	SHOW(shutdown(fd, 99));
	SHOW(accept4(fd, NULL, NULL, 1));
	SHOW(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){ 0 }));
	close(fd);
	close(udp);
}

static void many(int fd)
{
	int ep = epoll_create1(0);
	struct epoll_event e = { .events = EPOLLIN };
	struct pollfd p = { fd, POLLIN, 0 };

	printf("-- many\n");
	SHOW(epoll_create1(1));
	SHOW(epoll_ctl(ep, 99, fd, &e));
	SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e));
	SHOW(epoll_wait(ep, &e, 0, 0));
	SHOW(epoll_wait(ep, &e, negative, 0));
	SHOW(epoll_wait(fd, &e, 1, 0));
	SHOW(ppoll(&p, 1, &(struct timespec){ 0, -1 }, NULL));
	SHOW(ppoll(&p, 1, &(struct timespec){ -1, 0 }, NULL));
	SHOW(select(-1, NULL, NULL, NULL, &(struct timeval){ 0, 0 }));
	SHOW(select(0, NULL, NULL, NULL, &(struct timeval){ -1, 0 }));
	close(ep);
}

int main(void)
{
	int fd;

	t_start();
	t_puts(P("f"), "some text");
	MUST(symlink("f", P("l")) == 0);
	fd = open(P("f"), O_RDWR);
	MUST(fd >= 0);
	vectors(fd);
	files(fd);
	directory();
	sockets();
	fd = (close(fd), socket(AF_INET, SOCK_STREAM, 0));
	many(fd);
	close(fd);
	return t_end();
}
