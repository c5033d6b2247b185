/* SPDX-License-Identifier: MIT */
/* What a message says when it is sent counts: the program changes it while the call waits. */
#include "pass.h"

#define N 3

static int sv[2];
static union {
	struct cmsghdr align;
	char space[CMSG_SPACE(N * sizeof(int))];
} control;
static struct msghdr msg;

static void *sender(void *arg)
{
	(void)arg;
	t_block();
	return (void *)sendmsg(sv[0], &msg, 0);
}

static void set(size_t i, int fd)
{
	memcpy(CMSG_DATA(&control.align) + i * sizeof(fd), &fd, sizeof(fd));
}

int main(void)
{
	struct iovec iov = { (void *)"y", 1 };
	char buf[1024] = "";
	int got[N] = { -1, -1, -1 };
	long filled = 0;
	int local;
	int remote;
	int n;
	void *ret;
	pthread_t t;
	ssize_t r;

	t_start();
	t_puts(P("f"), "remote");
	t_puts(L("f"), "local");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	local = open(L("f"), O_RDONLY);
	remote = open(P("f"), O_RDONLY);
	MUST(local >= 0 && remote >= 0);
	while ((r = send(sv[0], buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		filled += r;
	control.align = (struct cmsghdr){ CMSG_LEN(N * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	set(0, local);
	set(1, remote);
	set(2, local);
	msg = (struct msghdr){ .msg_iov = &iov,
			       .msg_iovlen = 1,
			       .msg_control = &control,
			       .msg_controllen = sizeof(control) };
	MUST(pthread_create(&t, NULL, sender, NULL) == 0);
	t_await_block();
	/* It waits, and has read all this. */
	set(0, remote);
	set(1, local);
	set(2, sv[0]);
	while (filled > 0) {
		r = recv(sv[1], buf, filled < (long)sizeof(buf) ? (size_t)filled : sizeof(buf), 0);
		MUST(r > 0);
		filled -= r;
	}
	pthread_join(t, &ret);
	printf("sent: %ld\n", (long)ret);
	n = pass_receive(sv[1], got, N, 0, NULL);
	printf("received: %d\n", n);
	for (int i = 0; i < n; i++) {
		ssize_t len = pread(got[i], buf, sizeof(buf), 0);

		printf("%d: %.*s\n", i, (int)len, buf);
		close(got[i]);
	}
	/* Those of the program are open still. */
	SHOW(pread(local, buf, 1, 0));
	SHOW(pread(remote, buf, 1, 0));
	close(local);
	close(remote);
	close(sv[0]);
	close(sv[1]);
	return t_end();
}
