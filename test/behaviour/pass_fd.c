/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Descriptors of the tree and of the network sent over a local Unix socket to another process. */
#include "net.h"

static int send_fd(int sock, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} c = { .align = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { "f", 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)
	};

	memcpy(CMSG_DATA(&c.align), &fd, sizeof(fd));
	return sendmsg(sock, &m, 0) == 1 ? 0 : -1;
}

static int receive_fd(int sock)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} c;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)
	};
	int fd = -1;

	if (recvmsg(sock, &m, 0) != 1 || !CMSG_FIRSTHDR(&m))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

static void child(int sock)
{
	char buf[16] = "";
	int file = TRY(receive_fd(sock));
	int conn;

	SHOW(read(file, buf, 4));
	printf("%s\n", buf);
	conn = TRY(receive_fd(sock));
	SHOW(write(conn, "from the child", 14));
	close(conn);
	close(file);
}

int main(void)
{
	char buf[32] = "";
	int pair[2];
	int sv[2];
	int fd;
	pid_t pid;

	t_start();
	t_puts(P("f"), "0123456789");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	fd = open(P("f"), O_RDONLY);
	SHOW(read(fd, buf, 2));
	pid = fork();
	if (!pid) {
		close(fd);
		close(pair[0]);
		child(pair[1]);
		_exit(t_failed);
	}
	close(pair[1]);
	MUST(send_fd(pair[0], fd) == 0);
	net_tcp_pair(sv);
	MUST(send_fd(pair[0], sv[0]) == 0);
	close(sv[0]);
	t_wait("child", pid);
	/* One description: the child's read moved the offset, its close ended the connection. */
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(recv(sv[1], buf, 14, MSG_WAITALL));
	printf("%s\n", buf);
	SHOW(read(sv[1], buf, 1));
	close(fd);
	close(sv[1]);
	close(pair[0]);
	return t_end();
}
