/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* The tree through /proc/self: fd links, cwd, root, /dev/fd, and reopening. */
#include "t.h"

static void by_number(const char *prefix, int fd, const char *name)
{
	char path[64];
	char buf[PATH_MAX] = "";
	struct stat st;

	snprintf(path, sizeof(path), "%s/%d", prefix, fd);
	SHOW(readlink(path, buf, sizeof(buf) - 1) > 0);
	printf("%s: %s\n", prefix, strcmp(buf, P(name)) ? buf : "the file's path");
	SHOW(stat(path, &st));
	printf("size %ld\n", (long)st.st_size);
	t_cat("reopened", path);
}

int main(void)
{
	char path[PATH_MAX + 32];
	char buf[PATH_MAX] = "";
	char c = 0;
	int again;
	int fd;

	t_start();
	t_puts(P("f"), "content");
	fd = TRY(open(P("f"), O_RDONLY));
	SHOW(read(fd, &c, 1));
	by_number("/proc/self/fd", fd, "f");
	by_number("/dev/fd", fd, "f");
	/* Reopening makes a new description: with an offset and an access mode of its own. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = TRY(open(path, O_RDWR));
	SHOW(lseek(again, 0, SEEK_CUR));
	SHOW(write(again, "C", 1));
	SHOW(lseek(fd, 0, SEEK_CUR));
	close(again);
	t_cat("changed", P("f"));
	SHOW(unlink(P("f")));
	t_cat("after unlink", path);
	SHOW(readlink(path, buf, sizeof(buf) - 1) > 0);
	printf("%s\n", strstr(buf, "/f (deleted)") ? "marked as deleted" : "not marked");
	close(fd);
	t_cat("after close", path);

	t_puts(P("g"), "through the cwd");
	MUST(chdir(P("")) == 0);
	t_cat("cwd", "/proc/self/cwd/g");
	memset(buf, 0, sizeof(buf));
	SHOW(readlink("/proc/self/cwd", buf, sizeof(buf) - 1) > 0);
	CHECK(!strcmp(buf, P("")));
	MUST(chdir("/") == 0);
	snprintf(path, sizeof(path), "/proc/self/root%s", P("g"));
	t_cat("root", path);
	return t_end();
}
