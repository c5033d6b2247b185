/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Every descriptor call on a closed number, and file and socket calls on the wrong kind. */
#include "net.h"
#include <dirent.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

static void files(const char *label, int fd)
{
	struct iovec iov = { (char[1]){ 0 }, 1 };
	struct statfs fs;
	struct stat st;
	char buf[64];
	int n;

	printf("-- %s\n", label);
	TRY(read(fd, buf, 1));
	TRY(write(fd, buf, 1));
	TRY(pread(fd, buf, 1, 0));
	TRY(pwrite(fd, buf, 1, 0));
	TRY(readv(fd, &iov, 1));
	TRY(writev(fd, &iov, 1));
	TRY(preadv(fd, &iov, 1, 0));
	TRY(pwritev(fd, &iov, 1, 0));
	TRY(lseek(fd, 0, SEEK_SET));
	TRY(fsync(fd));
	TRY(fdatasync(fd));
	TRY(ftruncate(fd, 0));
	TRY(fallocate(fd, 0, 0, 1));
	printf("posix_fadvise %s\n", t_errname(posix_fadvise(fd, 0, 0, 0)));
	TRY(fstat(fd, &st));
	TRY(fstatfs(fd, &fs));
	TRY(fchmod(fd, 0644));
	TRY(fchown(fd, -1, -1));
	TRY(futimens(fd, NULL));
	TRY(fgetxattr(fd, "user.x", buf, 1));
	TRY(flistxattr(fd, buf, 0));
	TRY(getdents64(fd, buf, sizeof(buf)));
	TRY(fchdir(fd));
	TRY(flock(fd, LOCK_UN));
	TRY(fcntl(fd, F_GETFL));
	TRY(fcntl(fd, F_GETLK, &(struct flock){ .l_type = F_RDLCK }));
	TRY(ioctl(fd, FIONREAD, &n));
	TRY(openat(fd, "x", O_RDONLY));
	TRY(unlinkat(fd, "x", 0));
	TRY(mkdirat(fd, "x", 0755));
	TRY(readlinkat(fd, "x", buf, sizeof(buf)));
	TRY(symlinkat("y", fd, "x"));
	TRY(sendfile(fd, fd, NULL, 1));
	TRY(syncfs(fd));
}

static void sockets(const char *label, int fd)
{
	struct sockaddr_in sa = net_addr();
	struct msghdr m = { 0 };
	struct mmsghdr mm = { 0 };
	socklen_t len = sizeof(sa);
	char buf[16];
	int n = 0;

	printf("-- %s\n", label);
	TRY(bind(fd, (struct sockaddr *)&sa, sizeof(sa)));
	TRY(listen(fd, 1));
	TRY(accept(fd, NULL, NULL));
	TRY(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
	TRY(connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	TRY(send(fd, buf, 1, MSG_NOSIGNAL));
	TRY(sendto(fd, buf, 1, MSG_NOSIGNAL, (struct sockaddr *)&sa, sizeof(sa)));
	TRY(recv(fd, buf, 1, MSG_DONTWAIT));
	TRY(recvfrom(fd, buf, 1, MSG_DONTWAIT, (struct sockaddr *)&sa, &len));
	TRY(sendmsg(fd, &m, MSG_NOSIGNAL));
	TRY(recvmsg(fd, &m, MSG_DONTWAIT));
	TRY(sendmmsg(fd, &mm, 1, MSG_NOSIGNAL));
	TRY(recvmmsg(fd, &mm, 1, MSG_DONTWAIT, NULL));
	TRY(shutdown(fd, SHUT_RD));
	TRY(getsockname(fd, (struct sockaddr *)&sa, &len));
	TRY(getpeername(fd, (struct sockaddr *)&sa, &len));
	len = sizeof(n);
	TRY(getsockopt(fd, SOL_SOCKET, SO_ERROR, &n, &len));
	TRY(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &n, sizeof(n)));
}

static void file_calls_on_socket(int fd)
{
	struct stat st;
	char c;

	printf("-- file calls on a socket\n");
	SHOW(fstat(fd, &st));
	printf("%s\n", S_ISSOCK(st.st_mode) ? "a socket" : "no socket");
	SHOW(pread(fd, &c, 1, 0));
	SHOW(pwrite(fd, &c, 1, 0));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(ftruncate(fd, 0));
	SHOW(fallocate(fd, 0, 0, 1));
	SHOW(fsync(fd));
	SHOW(getdents64(fd, &c, 1));
	SHOW(fchdir(fd));
	TRY(openat(fd, "x", O_RDONLY));
	SHOW(isatty(fd));
}

int main(void)
{
	int fd;

	t_start();
	files("closed", 400);
	files("negative", -1);
	sockets("closed", 400);
	sockets("negative", -5);
	fd = open(P("f"), O_RDWR | O_CREAT, 0644);
	sockets("a file", fd);
	close(fd);
	fd = open(P("."), O_RDONLY | O_DIRECTORY);
	sockets("a directory", fd);
	close(fd);
	files("closed a moment ago", fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	file_calls_on_socket(fd);
	SHOW(close(fd));
	SHOW(close(fd));
	return t_end();
}
