/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* mkdir(), rmdir(), unlink(), mknod() and what they refuse. */
#include "t.h"
#include <sys/sysmacros.h>

static void directories(int dir)
{
	SHOW(mkdir(P("d"), 0755));
	SHOW(mkdir(P("d"), 0755));
	SHOW(mkdir(P("f"), 0755));
	SHOW(mkdir(P("none/d"), 0755));
	SHOW(mkdir(P("f/d"), 0755));
	SHOW(mkdir(P("."), 0755));
	SHOW(mkdir(P("dangling"), 0755));
	SHOW(mkdirat(dir, "d/e", 0700));
	SHOW(mkdirat(-1, "x", 0700));
	SHOW(rmdir(P("d")));
	SHOW(rmdir(P("d/e")));
	SHOW(rmdir(P("f")));
	SHOW(rmdir(P("none")));
	SHOW(rmdir(P("d/.")));
	SHOW(unlinkat(dir, "d", 0));
	SHOW(unlinkat(dir, "f", AT_REMOVEDIR));
	SHOW(unlinkat(dir, "d", AT_REMOVEDIR));
	SHOW(unlinkat(dir, "d", 0x10000));
	SHOW(remove(P("d")));
}

static void names(void)
{
	struct stat st;
	char c = 0;
	int fd;

	MUST(mkdir(P("d"), 0755) == 0);
	SHOW(unlink(P("d")));
	SHOW(unlink(P("none")));
	SHOW(unlink(P("f/x")));
	SHOW(unlink(P("")));
	fd = TRY(open(P("f"), O_RDWR));
	SHOW(unlink(P("f")));
	SHOW(unlink(P("f")));
	/* Without a name it is still a file. */
	SHOW(fstat(fd, &st));
	printf("links %lu size %ld\n", (unsigned long)st.st_nlink, (long)st.st_size);
	SHOW(pread(fd, &c, 1, 0));
	SHOW(pwrite(fd, "more", 4, 0));
	close(fd);
	SHOW(unlink(P("dangling")));
	SHOW(remove(P("d")));
}

static void nodes(int dir)
{
	struct stat st;

	SHOW(mknod(P("regular"), S_IFREG | 0640, 0));
	SHOW(mknod(P("regular"), S_IFREG | 0640, 0));
	SHOW(mknodat(dir, "fifo", S_IFIFO | 0600, 0));
	SHOW(mkfifoat(dir, "fifo2", 0600));
	SHOW(stat(P("fifo"), &st));
	printf("mode %o\n", st.st_mode);
	/* A device node needs a privilege; as root it is made, with its number. */
	if (TRY(mknod(P("null"), S_IFCHR | 0666, makedev(1, 3))) == 0) {
		SHOW(stat(P("null"), &st));
		printf("%o %u:%u\n", st.st_mode, major(st.st_rdev), minor(st.st_rdev));
	}
	SHOW(mknod(P("bad"), S_IFDIR | 0600, 0));
}

int main(void)
{
	int dir;

	t_start();
	t_puts(P("f"), "f");
	MUST(symlink("nowhere", P("dangling")) == 0);
	dir = TRY(open(P("."), O_RDONLY | O_DIRECTORY));
	directories(dir);
	names();
	nodes(dir);
	close(dir);
	return t_end();
}
