/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* EPIPE: with SIGPIPE by default, caught, ignored, blocked, and none with MSG_NOSIGNAL. */
#include "net.h"
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static volatile sig_atomic_t caught;
static volatile pthread_t by;

static void on_pipe(int sig, siginfo_t *si, void *ctx)
{
	(void)ctx;
	caught += sig == SIGPIPE && si->si_signo == SIGPIPE;
	by = pthread_self();
}

static int broken(void)
{
	int sv[2];

	net_tcp_pair(sv);
	shutdown(sv[0], SHUT_WR);
	close(sv[1]);
	return sv[0];
}

static void each_call(void)
{
	struct iovec iov = { "x", 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct mmsghdr mm = { .msg_hdr = m };
	int fd = broken();
	int file = open(P("f"), O_RDONLY);

	SHOW(write(fd, "x", 1));
	SHOW(send(fd, "x", 1, 0));
	SHOW(sendto(fd, "x", 1, 0, NULL, 0));
	SHOW(writev(fd, &iov, 1));
	SHOW(sendmsg(fd, &m, 0));
	SHOW(sendmmsg(fd, &mm, 1, 0));
	SHOW(sendfile(fd, file, NULL, 1));
	printf("caught %d by this thread %d\n", (int)caught, by == pthread_self());
	caught = 0;
	SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
	SHOW(sendmsg(fd, &m, MSG_NOSIGNAL));
	SHOW(sendmmsg(fd, &mm, 1, MSG_NOSIGNAL));
	printf("caught %d\n", (int)caught);
	close(file);
	close(fd);
}

static void blocked(void)
{
	sigset_t set;
	sigset_t pending;
	int fd = broken();

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	caught = 0;
	SHOW(write(fd, "x", 1));
	MUST(sigpending(&pending) == 0);
	printf("pending %d caught %d\n", sigismember(&pending, SIGPIPE), (int)caught);
	MUST(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
	printf("caught %d\n", (int)caught);
	close(fd);
}

static void by_default(void)
{
	int fd = broken();
	pid_t pid = fork();

	if (!pid) {
		signal(SIGPIPE, SIG_DFL);
		_exit(write(fd, "x", 1) < 0 ? 7 : 6);
	}
	t_wait("default action", pid);
	pid = fork();
	if (!pid) {
		signal(SIGPIPE, SIG_IGN);
		_exit(write(fd, "x", 1) == -1 && errno == EPIPE ? 8 : 9);
	}
	t_wait("ignored", pid);
	close(fd);
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_pipe, .sa_flags = SA_SIGINFO };

	t_start();
	t_puts(P("f"), "text");
	MUST(sigaction(SIGPIPE, &sa, NULL) == 0);
	each_call();
	blocked();
	by_default();
	return t_end();
}
