/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* chmod() and chown() in every form, and what permissions then allow. */
#include "t.h"

static void mode_of(const char *label)
{
	struct stat st;

	MUST(stat(P("f"), &st) == 0);
	printf("%s: %o %u:%u\n", label, st.st_mode, st.st_uid, st.st_gid);
}

static void change_mode(int dir, int fd)
{
	SHOW(chmod(P("f"), 0600));
	mode_of("chmod");
	SHOW(fchmod(fd, 04711));
	mode_of("fchmod");
	SHOW(fchmodat(dir, "f", 0644, 0));
	mode_of("fchmodat");
	SHOW(fchmodat(-1, P("f"), 0640, 0));
	SHOW(chmod(P("link"), 0604));
	mode_of("through a link");
	SHOW(chmod(P("none"), 0600));
	SHOW(chmod(P("f/x"), 0600));
	SHOW(fchmod(-1, 0600));
	SHOW(fchmodat(dir, "f", 0600, 0x10000));
	SHOW(chmod("/etc/passwd/x", 0600));
}

static void change_owner(int dir, int fd)
{
	MUST(chmod(P("f"), 06755) == 0);
	SHOW(chown(P("f"), -1, -1));
	mode_of("nothing");
	SHOW(chown(P("f"), 1, 2));
	mode_of("chown");
	SHOW(fchown(fd, 3, -1));
	mode_of("fchown");
	SHOW(lchown(P("link"), 4, 4));
	mode_of("lchown of a link");
	SHOW(fchownat(dir, "f", -1, 5, 0));
	mode_of("fchownat");
	SHOW(fchownat(dir, "link", 6, 6, AT_SYMLINK_NOFOLLOW));
	SHOW(fchownat(fd, "", 7, 7, AT_EMPTY_PATH));
	mode_of("fchownat by descriptor");
	SHOW(chown(P("f"), geteuid(), getegid()));
	SHOW(chown(P("none"), -1, -1));
	SHOW(fchown(-1, 0, 0));
}

static void allowed(void)
{
	struct stat st;

	MUST(mkdir(P("closed"), 0755) == 0);
	t_puts(P("closed/f"), "x");
	MUST(chmod(P("closed"), 0600) == 0);
	SHOW(stat(P("closed/f"), &st));
	SHOW(unlink(P("closed/f")));
	MUST(chmod(P("closed"), 0500) == 0);
	SHOW(stat(P("closed/f"), &st));
	SHOW(mkdir(P("closed/d"), 0755));
	SHOW(rename(P("closed/f"), P("closed/g")));
	SHOW(symlink("x", P("closed/s")));
	SHOW(chdir(P("closed")));
	SHOW(chdir("/"));
	MUST(chmod(P("closed"), 0300) == 0);
	TRY(open(P("closed"), O_RDONLY | O_DIRECTORY) < 0 ? -1 : close(3));
	MUST(chmod(P("closed"), 0755) == 0);
	MUST(chmod(P("f"), 0444) == 0);
	SHOW(truncate(P("f"), 0));
	TRY(open(P("f"), O_RDWR) < 0 ? -1 : close(3));
}

int main(void)
{
	int dir;
	int fd;

	t_start();
	t_puts(P("f"), "text");
	MUST(symlink("f", P("link")) == 0);
	dir = TRY(open(P("."), O_RDONLY | O_DIRECTORY));
	fd = TRY(open(P("f"), O_RDWR));
	change_mode(dir, fd);
	change_owner(dir, fd);
	close(fd);
	close(dir);
	allowed();
	return t_end();
}
