/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* O_PATH descriptors: what they allow, what they refuse, and as a base of the *at calls. */
#include "t.h"

static void on_file(void)
{
	struct stat st;
	char c;
	int fd = TRY(open(P("file"), O_PATH));

	SHOW(read(fd, &c, 1));
	SHOW(write(fd, "x", 1));
	SHOW(ftruncate(fd, 0));
	SHOW(fchmod(fd, 0600));
	SHOW(fchown(fd, -1, -1));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(fstat(fd, &st));
	printf("size %ld\n", (long)st.st_size);
	printf("flags %s\n", fcntl(fd, F_GETFL) & O_PATH ? "with O_PATH" : "without O_PATH");
	SHOW(fstatat(fd, "", &st, AT_EMPTY_PATH));
	SHOW(close(fd));
}

static void on_link(void)
{
	struct stat st;
	char buf[32] = "";
	int fd = TRY(open(P("link"), O_PATH | O_NOFOLLOW));

	SHOW(fstat(fd, &st));
	printf("%s\n", S_ISLNK(st.st_mode) ? "a link" : "not a link");
	SHOW(readlinkat(fd, "", buf, sizeof(buf)));
	printf("to %s\n", buf);
	close(fd);
}

static void on_directory(void)
{
	struct stat st;
	char c = 0;
	int fd;
	int dir = TRY(open(P("."), O_PATH | O_DIRECTORY));

	fd = TRY(openat(dir, "file", O_RDONLY));
	SHOW(read(fd, &c, 1));
	printf("read %c\n", c);
	close(fd);
	SHOW(fstatat(dir, "file", &st, 0));
	SHOW(mkdirat(dir, "sub", 0755));
	SHOW(fchdir(dir));
	SHOW(stat("sub", &st));
	SHOW(chdir("/"));
	close(dir);
}

int main(void)
{
	t_start();
	t_puts(P("file"), "content");
	MUST(symlink("file", P("link")) == 0);
	on_file();
	on_link();
	on_directory();
	TRY(open(P("missing"), O_PATH));
	return t_end();
}
