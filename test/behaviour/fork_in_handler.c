/* SPDX-License-Identifier: MIT */
/* A signal handler that forks while the thread is in the middle of fork() itself. */
#include "t.h"

#include <pthread.h>
#include <signal.h>

static bool forked_inside;
static int fd;

/* Both children run at the same time: they say it by their status alone. */
static void child_reads(char what, off_t at)
{
	char c = 0;

	_exit(pread(fd, &c, 1, at) != 1 || c != what);
}

static void on_signal(int sig)
{
	pid_t pid;

	(void)sig;
	forked_inside = true;
	fflush(stdout);
	pid = fork();
	if (!pid)
		child_reads('b', 1);
	t_wait("the handler's child", pid);
}

/* In the parent, before fork() returns. */
static void in_the_middle(void)
{
	if (!forked_inside)
		raise(SIGUSR1);
}

int main(void)
{
	t_start();
	t_puts(P("f"), "abc");
	fd = TRY(open(P("f"), O_RDONLY));
	MUST(signal(SIGUSR1, on_signal) != SIG_ERR);
	MUST(pthread_atfork(NULL, in_the_middle, NULL) == 0);
	for (int i = 0; i < 4; i++) {
		pid_t pid;

		forked_inside = false;
		fflush(stdout);
		pid = fork();
		/* One that does nothing remote: its parent must have said who it is. */
		if (!pid && i < 3)
			_exit(0);
		if (!pid)
			child_reads('c', 2);
		t_wait("the child", pid);
	}
	close(fd);
	return t_end();
}
