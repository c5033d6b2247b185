/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* getdents64() itself: small buffers, ends, seeking, what is no directory. */
#include "t.h"
#include <dirent.h>
#include <sys/syscall.h>

static int all(int fd, size_t size)
{
	char buf[8192];
	int n = 0;
	ssize_t len;

	while ((len = getdents64(fd, buf, size)) > 0) {
		ssize_t at = 0;

		while (at < len) {
			struct dirent64 *e = (struct dirent64 *)(buf + at);

			CHECK(e->d_reclen >= 24 && e->d_reclen % 8 == 0 && at + e->d_reclen <= len);
			CHECK(strlen(e->d_name) > 0);
			at += e->d_reclen;
			n++;
		}
		CHECK(at == len);
	}
	return len < 0 ? -1 : n;
}

int main(void)
{
	char name[32];
	char buf[512];
	int dir;
	int fd;

	t_start();
	MUST(mkdir(P("d"), 0755) == 0);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "d/file%d", i);
		t_puts(P(name), "");
	}
	dir = TRY(open(P("d"), O_RDONLY | O_DIRECTORY));
	SHOW(all(dir, 8192));
	SHOW(getdents64(dir, buf, sizeof(buf)));
	SHOW(lseek(dir, 0, SEEK_SET));
	SHOW(all(dir, 64));
	SHOW(lseek(dir, 0, SEEK_SET));
	SHOW(getdents64(dir, buf, 8));
	SHOW(all(dir, 100));
	SHOW(lseek(dir, 0, SEEK_SET));
	SHOW(syscall(SYS_getdents64, dir, buf, sizeof(buf)) > 0);
	fd = dup(dir);
	/* A duplicate shares the position. */
	SHOW(all(fd, 8192) < 100);
	SHOW(getdents64(dir, buf, sizeof(buf)));
	close(fd);
	close(dir);
	fd = TRY(open(P("d/file1"), O_RDONLY));
	SHOW(getdents64(fd, buf, sizeof(buf)));
	close(fd);
	SHOW(getdents64(fd, buf, sizeof(buf)));
	fd = TRY(open(P("d"), O_RDONLY));
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "d/file%d", i);
		MUST(unlink(P(name)) == 0);
	}
	SHOW(rmdir(P("d")));
	SHOW(getdents64(fd, buf, sizeof(buf)));
	close(fd);
	return t_end();
}
