/* SPDX-License-Identifier: MIT */
/* run-as: root */
/* A process that changes who it is: what it may do in the tree changes with it. */
#include "t.h"
#include <grp.h>
#include <sys/fsuid.h>

enum { NOBODY = 65534, GROUP = 1234 };

static void try_all(const char *label)
{
	struct stat st;
	int fd;

	printf("-- %s\n", label);
	fd = TRY(open(P("secret"), O_RDONLY));
	if (fd >= 0)
		close(fd);
	fd = TRY(open(P("grouped"), O_RDWR));
	if (fd >= 0)
		close(fd);
	fd = TRY(open(P("open/made"), O_WRONLY | O_CREAT | O_EXCL, 0666));
	if (fd >= 0) {
		MUST(fstat(fd, &st) == 0);
		printf("made by %u:%u\n", st.st_uid, st.st_gid);
		close(fd);
		SHOW(unlink(P("open/made")));
	}
	SHOW(access(P("secret"), R_OK));
	SHOW(chown(P("grouped"), 0, GROUP));
}

static void drop_for_good(void)
{
	char c;
	int fd = TRY(open(P("secret"), O_RDONLY));

	MUST(setgroups(0, NULL) == 0);
	MUST(setresgid(NOBODY, NOBODY, NOBODY) == 0);
	MUST(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	try_all("dropped in a child");
	/* What was opened before stays open. */
	SHOW(read(fd, &c, 1));
	_exit(t_failed);
}

int main(void)
{
	gid_t groups[] = { 1, GROUP };
	pid_t pid;

	t_start();
	t_puts(P("secret"), "s");
	t_puts(P("grouped"), "g");
	MUST(chmod(P("secret"), 0600) == 0);
	MUST(chown(P("grouped"), 0, GROUP) == 0);
	MUST(chmod(P("grouped"), 0660) == 0);
	MUST(mkdir(P("open"), 0755) == 0);
	MUST(chmod(P("open"), 01777) == 0);
	MUST(chmod(P(""), 0755) == 0);
	try_all("root");

	MUST(seteuid(NOBODY) == 0);
	try_all("another effective user");
	MUST(seteuid(0) == 0);
	try_all("root again");

	setfsuid(NOBODY);
	try_all("another file system user");
	setfsuid(0);

	MUST(setgroups(2, groups) == 0);
	MUST(setegid(NOBODY) == 0);
	MUST(seteuid(NOBODY) == 0);
	try_all("supplementary group");
	MUST(seteuid(0) == 0);
	MUST(setegid(0) == 0);

	pid = fork();
	if (!pid)
		drop_for_good();
	t_wait("child", pid);
	try_all("the parent stays root");
	return t_end();
}
