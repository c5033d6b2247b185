/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* flock(): owned by the open description, shared by dup and fork, waited for, freed by death. */
#include "t.h"
#include <signal.h>
#include <sys/file.h>

static void descriptions(void)
{
	int a = TRY(open(P("f"), O_RDWR));
	int b = TRY(open(P("f"), O_RDONLY));
	int c = dup(a);

	SHOW(flock(a, LOCK_EX));
	SHOW(flock(b, LOCK_EX | LOCK_NB));
	SHOW(flock(b, LOCK_SH | LOCK_NB));
	SHOW(flock(c, LOCK_EX | LOCK_NB));
	close(a);
	SHOW(flock(b, LOCK_SH | LOCK_NB));
	SHOW(flock(c, LOCK_UN));
	SHOW(flock(b, LOCK_SH | LOCK_NB));
	SHOW(flock(c, LOCK_SH | LOCK_NB));
	SHOW(flock(c, LOCK_EX | LOCK_NB));
	close(b);
	SHOW(flock(c, LOCK_EX | LOCK_NB));
	close(c);
	SHOW(flock(c, LOCK_UN));
}

static void wrong(void)
{
	int fd = open(P("f"), O_RDONLY);

	SHOW(flock(fd, 0));
	SHOW(flock(fd, LOCK_SH | LOCK_EX));
	SHOW(flock(fd, LOCK_UN));
	close(fd);
}

static void inherited(void)
{
	int a = open(P("f"), O_RDWR);
	int b = open(P("f"), O_RDWR);
	pid_t pid;

	MUST(flock(a, LOCK_EX) == 0);
	pid = fork();
	if (!pid)
		_exit(flock(b, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK ? 3 : 4);
	t_wait("child sees the parent's lock", pid);
	SHOW(flock(b, LOCK_EX | LOCK_NB));
	pid = fork();
	if (!pid)
		_exit(flock(a, LOCK_UN) ? 4 : 3);
	t_wait("child unlocks what it inherited", pid);
	SHOW(flock(b, LOCK_EX | LOCK_NB));
	close(a);
	close(b);
}

static void waiting(void)
{
	int ready[2];
	int go[2];
	char c;
	int64_t start;
	pid_t pid;
	int fd;

	MUST(pipe(ready) == 0 && pipe(go) == 0);
	pid = fork();
	if (!pid) {
		fd = open(P("f"), O_RDWR);
		MUST(flock(fd, LOCK_EX) == 0);
		MUST(write(ready[1], "x", 1) == 1);
		MUST(read(go[0], &c, 1) == 1);
		t_await_sleep(getppid());
		/* Killed while it holds the lock: nobody unlocks. */
		raise(SIGKILL);
	}
	close(ready[1]);
	MUST(read(ready[0], &c, 1) == 1);
	fd = open(P("f"), O_RDWR);
	SHOW(flock(fd, LOCK_SH | LOCK_NB));
	start = t_ms();
	MUST(write(go[1], "x", 1) == 1);
	SHOW(flock(fd, LOCK_EX));
	TOOK(start, 0, 5000);
	t_wait("holder", pid);
	close(fd);
	close(ready[0]);
	close(go[0]);
	close(go[1]);
}

int main(void)
{
	t_start();
	t_puts(P("f"), "f");
	descriptions();
	wrong();
	inherited();
	waiting();
	return t_end();
}
