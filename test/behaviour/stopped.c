/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* SIGSTOP and SIGCONT while a process is blocked in a call: it goes on as if nothing happened. */
#include "net.h"
#include <signal.h>

int main(void)
{
	struct sockaddr_in sa;
	int lfd;
	int status;
	int fd;
	pid_t pid;

	t_start();
	lfd = net_listen(&sa);
	pid = fork();
	if (!pid) {
		char buf[8] = "";
		ssize_t have = 0;
		ssize_t n;

		fd = net_connect(&sa);
		/* A stop may cut what has begun, but loses nothing and is no error. */
		while (have < 5 && (n = read(fd, buf + have, (size_t)(5 - have))) > 0)
			have += n;
		printf("child got %zd %s\n", have, buf);
		_exit(t_failed);
	}
	fd = accept(lfd, NULL, NULL);
	for (int i = 0; i < 3; i++) {
		t_await_sleep(pid);
		MUST(kill(pid, SIGSTOP) == 0);
		MUST(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
		if (i == 1)
			MUST(write(fd, "da", 2) == 2);
		MUST(kill(pid, SIGCONT) == 0);
	}
	MUST(write(fd, "ta!", 3) == 3);
	t_wait("child", pid);
	close(fd);
	close(lfd);
	return t_end();
}
