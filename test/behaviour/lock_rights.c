/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * What a descriptor may be used for was settled when it was opened: record locks do not care who the
 * process is by now, nor what the file's mode has become.
 */
#include "t.h"
#include <grp.h>

enum { NOBODY = 65534 };

static int lock(int fd, int cmd, int type)
{
	struct flock fl = { .l_type = (short)type, .l_len = 10 };

	return fcntl(fd, cmd, &fl);
}

/* The lock is one for other processes. */
static void conflict(const char *label, int fd)
{
	struct flock fl = { .l_type = F_WRLCK };
	pid_t holder = getpid(), pid = fork();

	if (!pid) {
		MUST(fcntl(fd, F_GETLK, &fl) == 0);
		printf("%s: type %d len %ld, %s\n", label, fl.l_type, (long)fl.l_len,
		       fl.l_type != F_UNLCK && fl.l_pid == holder ? "ours" : "not ours");
		SHOW(lock(fd, F_SETLK, F_RDLCK));
		_exit(t_failed);
	}
	t_wait(label, pid);
}

static void try(const char *label, const char *name, int flags, mode_t later)
{
	int fd = open(name, flags);

	MUST(fd >= 0);
	MUST(fchmod(fd, later) == 0);
	printf("-- %s\n", label);
	SHOW(lock(fd, F_SETLK, F_WRLCK));
	conflict(label, fd);
	SHOW(lock(fd, F_SETLK, F_UNLCK));
	SHOW(lock(fd, F_SETLKW, F_RDLCK));
	conflict(label, fd);
	MUST(fchmod(fd, 0600) == 0);
	close(fd);
}

static void mode_changed(void)
{
	t_puts(P("open/f"), "f");
	try("read-only by now", P("open/f"), O_RDWR, 0400);
	try("closed by now", P("open/f"), O_RDWR, 0);
	try("opened to read, closed", P("open/f"), O_RDONLY, 0);
	try("opened to write, closed", P("open/f"), O_WRONLY, 0);
	try("may only be written", P("open/f"), O_WRONLY, 0200);
}

static void become_nobody(void)
{
	if (geteuid())
		return;
	MUST(setgroups(0, NULL) == 0);
	MUST(setresgid(NOBODY, NOBODY, NOBODY) == 0);
	MUST(setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

int main(void)
{
	int fd;

	t_start();
	MUST(mkdir(P("open"), 0755) == 0 && chmod(P("open"), 01777) == 0);
	t_puts(P("pid"), "1\n");
	MUST(chmod(P("pid"), 0600) == 0);
	fd = open(P("pid"), O_RDWR);
	MUST(fd >= 0);
	become_nobody();
	printf("-- as somebody else\n");
	SHOW(lock(fd, F_SETLK, F_WRLCK));
	conflict("pid file", fd);
	close(fd);
	mode_changed();
	return t_end();
}
