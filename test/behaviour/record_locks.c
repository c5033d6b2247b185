/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* POSIX record locks between processes, lockf(), and open-file-description locks. */
#include "t.h"
#include <signal.h>

static int lock(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock fl = { .l_type = (short)type, .l_start = start, .l_len = len };

	return fcntl(fd, cmd, &fl);
}

static void who(int fd, int type, off_t start, off_t len, pid_t expected)
{
	struct flock fl = { .l_type = (short)type, .l_start = start, .l_len = len };

	SHOW(fcntl(fd, F_GETLK, &fl));
	printf("type %d start %ld len %ld pid %s\n", fl.l_type, (long)fl.l_start, (long)fl.l_len,
	       fl.l_type == F_UNLCK   ? "none"
	       : fl.l_pid == expected ? "right"
				      : "wrong");
}

/* Runs in a child, whose locks are its own. */
static void other_process(void (*body)(int), const char *label)
{
	pid_t pid = fork();

	if (!pid) {
		int fd = open(P("f"), O_RDWR);

		MUST(fd >= 0);
		body(fd);
		_exit(t_failed);
	}
	t_wait(label, pid);
}

static void conflicts(int fd)
{
	SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	SHOW(lock(fd, F_SETLK, F_RDLCK, 5, 1));
	SHOW(lock(fd, F_SETLK, F_WRLCK, 10, 10));
	SHOW(lock(fd, F_SETLK, F_RDLCK, 200, 0));
	SHOW(lock(fd, F_SETLK, F_WRLCK, 200, 0));
	who(fd, F_WRLCK, 0, 0, getppid());
	who(fd, F_RDLCK, 150, 10, getppid());
	who(fd, F_WRLCK, 150, 100, getppid());
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(lockf(fd, F_TEST, 5));
	SHOW(lockf(fd, F_TLOCK, 5));
}

static void free_now(int fd)
{
	SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

static void within(int fd)
{
	int again;

	/* A process never conflicts with itself, and loses its locks with any close of the file. */
	SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	SHOW(lock(fd, F_SETLK, F_RDLCK, 100, 100));
	SHOW(lock(fd, F_SETLK, F_RDLCK, 300, 0));
	other_process(conflicts, "conflicts");
	SHOW(lock(fd, F_SETLK, F_UNLCK, 3, 4));
	SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	again = open(P("f"), O_RDONLY);
	close(again);
	other_process(free_now, "all free after a close");
}

static void waiting(int fd)
{
	int ready[2];
	int64_t start;
	char c;
	pid_t pid;

	MUST(pipe(ready) == 0);
	pid = fork();
	if (!pid) {
		int mine = open(P("f"), O_RDWR);

		MUST(lock(mine, F_SETLK, F_WRLCK, 0, 0) == 0);
		MUST(write(ready[1], "x", 1) == 1);
		t_await_sleep(getppid());
		raise(SIGKILL);
	}
	close(ready[1]);
	MUST(read(ready[0], &c, 1) == 1);
	SHOW(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	start = t_ms();
	SHOW(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
	TOOK(start, 0, 5000);
	t_wait("holder", pid);
	SHOW(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	close(ready[0]);
}

static void descriptions(int fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_len = 5 };
	int other = open(P("f"), O_RDWR);
	int copy = dup(fd);

	SHOW(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
	SHOW(lock(copy, F_OFD_SETLK, F_WRLCK, 0, 10));
	SHOW(lock(other, F_OFD_SETLK, F_WRLCK, 0, 10));
	SHOW(lock(other, F_OFD_SETLK, F_WRLCK, 10, 10));
	SHOW(lock(other, F_SETLK, F_RDLCK, 0, 1));
	SHOW(fcntl(other, F_OFD_GETLK, &fl));
	printf("type %d pid %d len %ld\n", fl.l_type, fl.l_pid, (long)fl.l_len);
	fl.l_pid = 1;
	SHOW(fcntl(other, F_OFD_SETLK, &fl));
	/* Closing another description of the file frees nothing. */
	close(open(P("f"), O_RDONLY));
	SHOW(lock(other, F_OFD_SETLK, F_WRLCK, 0, 10));
	close(copy);
	SHOW(lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0));
	SHOW(lock(other, F_OFD_SETLKW, F_WRLCK, 0, 0));
	close(other);
	SHOW(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 0));
	SHOW(lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0));
}

static void refused(int fd)
{
	int readonly = open(P("f"), O_RDONLY);

	SHOW(lock(readonly, F_SETLK, F_WRLCK, 0, 1));
	SHOW(lock(readonly, F_SETLK, 77, 0, 1));
	SHOW(lock(readonly, F_SETLK, F_RDLCK, -5, 1));
	close(readonly);
	SHOW(lock(readonly, F_SETLK, F_RDLCK, 0, 1));
	SHOW(lock(fd, F_SETLK, F_UNLCK, 0, 0));
}

int main(void)
{
	int fd;

	t_start();
	t_puts(P("f"), "f");
	fd = TRY(open(P("f"), O_RDWR));
	within(fd);
	waiting(fd);
	descriptions(fd);
	refused(fd);
	close(fd);
	return t_end();
}
