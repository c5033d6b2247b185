/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* A program that allows itself only a few calls: what it has open stays usable. */
#include "net.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), BPF_STMT(BPF_RET, 0x7fff0000)

static void lock_down(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		ALLOW(SYS_read),
		ALLOW(SYS_write),
		ALLOW(SYS_poll),
		ALLOW(SYS_futex),
		ALLOW(SYS_pread64),
		ALLOW(SYS_rt_sigreturn),
		ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = { sizeof(f) / sizeof(f[0]), f };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
}

static int confined(int file, int sock)
{
	static char large[200000];
	char buf[8] = "";

	/* stdio gets its buffer with the first line. */
	printf("-- confined\n");
	lock_down();
	SHOW(read(file, buf, 4));
	printf("%s\n", buf);
	SHOW(write(file, "more", 4));
	SHOW(pread(file, large, sizeof(large), 0));
	SHOW(write(sock, "ping", 4));
	SHOW(read(sock, buf, 4));
	printf("%s\n", buf);
	return t_failed;
}

/* Asking what there is confines nobody: a remote descriptor can still be passed on. */
static void probe(int file)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} u = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	char c = 'x';
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &u,
			    .msg_controllen = sizeof(u.room) };
	int sv[2], got;

	SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	memcpy(CMSG_DATA(&u.h), &file, sizeof(file));
	SHOW(sendmsg(sv[0], &m, 0));
	SHOW(recvmsg(sv[1], &m, 0));
	memcpy(&got, CMSG_DATA(&u.h), sizeof(got));
	SHOW(pread(got, &c, 1, 3));
	close(got);
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	char buf[8];
	int sv[2];
	pid_t pid;
	int fd;

	t_start();
	t_puts(P("f"), "0123456789");
	fd = open(P("f"), O_RDWR);
	probe(fd);
	net_tcp_pair(sv);
	pid = fork();
	if (!pid)
		_exit(confined(fd, sv[0]));
	close(sv[0]);
	if (recv(sv[1], buf, 4, MSG_WAITALL) == 4)
		MUST(write(sv[1], "pong", 4) == 4);
	t_wait("confined", pid);
	close(fd);
	close(sv[1]);
	return t_end();
}
