/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* The mode of what is created: argument, umask, set-id bits, directories, umask in a child. */
#include "t.h"

static void show_mode(const char *label, const char *name)
{
	struct stat st;

	MUST(lstat(P(name), &st) == 0);
	printf("%s: %o\n", label, st.st_mode);
	CHECK(st.st_uid == geteuid());
	CHECK(st.st_gid == getegid());
}

static void make(const char *name, mode_t mask, mode_t mode)
{
	char label[64];
	int fd;

	umask(mask);
	fd = open(P(name), O_WRONLY | O_CREAT | O_EXCL, mode);
	MUST(fd >= 0);
	/* The descriptor may write whatever the mode says. */
	SHOW(write(fd, "x", 1));
	close(fd);
	snprintf(label, sizeof(label), "umask %03o mode %04o", mask, mode);
	show_mode(label, name);
}

int main(void)
{
	static const mode_t masks[] = { 0, 022, 027, 077, 0777 };
	static const mode_t modes[] = { 0, 0400, 0644, 0666, 0777, 04755, 02755, 01777 };
	char name[32];
	pid_t pid;

	t_start();
	SHOW(umask(022));
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		for (size_t j = 0; j < sizeof(modes) / sizeof(modes[0]); j++) {
			snprintf(name, sizeof(name), "f%zu-%zu", i, j);
			make(name, masks[i], modes[j]);
		}
	}
	umask(027);
	MUST(mkdir(P("d"), 0777) == 0);
	show_mode("mkdir", "d");
	MUST(mkdir(P("sticky"), 01777) == 0);
	show_mode("mkdir sticky", "sticky");
	MUST(close(creat(P("c"), 0666)) == 0);
	show_mode("creat", "c");
	MUST(symlink("c", P("l")) == 0);
	show_mode("symlink", "l");
	MUST(mkfifo(P("fifo"), 0666) == 0);
	show_mode("fifo", "fifo");

	/* A child inherits the mask; what it sets is its own. */
	pid = fork();
	if (!pid) {
		SHOW(umask(0));
		MUST(close(creat(P("child"), 0666)) == 0);
		_exit(t_failed);
	}
	t_wait("child", pid);
	show_mode("child's file", "child");
	SHOW(umask(022));
	return t_end();
}
