/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* A process that is killed in the middle leaves nothing: locks are free, peers see the end. */
#include "net.h"
#include <signal.h>
#include <sys/file.h>

static void hold_much(struct sockaddr_in *sa, int ready)
{
	struct flock fl = { .l_type = F_WRLCK };
	char c;
	int fd;

	for (int i = 0; i < 100; i++)
		MUST(open(P("f"), O_RDONLY) >= 0);
	fd = open(P("f"), O_RDWR);
	MUST(flock(fd, LOCK_EX) == 0);
	MUST(fcntl(open(P("g"), O_RDWR), F_SETLK, &fl) == 0);
	for (int i = 0; i < 20; i++)
		net_connect(sa);
	fd = net_connect(sa);
	MUST(write(ready, "x", 1) == 1);
	/* Blocked here when the signal comes. */
	MUST(read(fd, &c, 1) == 1);
	_exit(1);
}

static void once(void)
{
	struct flock fl = { .l_type = F_WRLCK };
	struct sockaddr_in sa;
	int lfd = net_listen(&sa);
	int ready[2];
	int taken[21];
	int ended = 0;
	int64_t start;
	char c;
	pid_t pid;
	int fd;

	MUST(listen(lfd, 64) == 0);
	MUST(pipe(ready) == 0);
	pid = fork();
	if (!pid) {
		close(lfd);
		hold_much(&sa, ready[1]);
	}
	close(ready[1]);
	MUST(read(ready[0], &c, 1) == 1);
	for (int i = 0; i < 21; i++) {
		taken[i] = accept(lfd, NULL, NULL);
		MUST(taken[i] >= 0);
	}
	fd = open(P("f"), O_RDWR);
	SHOW(flock(fd, LOCK_EX | LOCK_NB));
	MUST(kill(pid, SIGKILL) == 0);
	t_wait("child", pid);
	start = t_ms();
	SHOW(flock(fd, LOCK_EX));
	close(fd);
	fd = open(P("g"), O_RDWR);
	SHOW(fcntl(fd, F_SETLKW, &fl));
	close(fd);
	for (int i = 0; i < 21; i++) {
		net_await(taken[i]);
		ended += read(taken[i], &c, 1) <= 0;
		close(taken[i]);
	}
	TOOK(start, 0, 2000);
	printf("%d connections ended\n", ended);
	close(lfd);
	close(ready[0]);
}

int main(void)
{
	t_start();
	t_puts(P("f"), "f");
	t_puts(P("g"), "g");
	for (int i = 0; i < 3; i++)
		once();
	return t_end();
}
