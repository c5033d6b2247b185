/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* lseek() with every whence, on what cannot seek, and over holes. */
#include "t.h"
#include <sys/socket.h>

static void holes(void)
{
	int fd = TRY(open(P("sparse"), O_RDWR | O_CREAT, 0644));

	MUST(ftruncate(fd, 1 << 20) == 0);
	MUST(pwrite(fd, "data", 4, 256 << 10) == 4);
	MUST(pwrite(fd, "data", 4, 512 << 10) == 4);
	MUST(fsync(fd) == 0);
	SHOW(lseek(fd, 0, SEEK_DATA));
	SHOW(lseek(fd, 256 << 10, SEEK_HOLE));
	SHOW(lseek(fd, 300 << 10, SEEK_DATA));
	SHOW(lseek(fd, 0, SEEK_HOLE));
	SHOW(lseek(fd, 600 << 10, SEEK_DATA));
	SHOW(lseek(fd, 600 << 10, SEEK_HOLE));
	SHOW(lseek(fd, 2 << 20, SEEK_HOLE));
	SHOW(lseek(fd, -1, SEEK_DATA));
	close(fd);
}

int main(void)
{
	char c = 0;
	int sv[2];
	int fd;

	t_start();
	fd = TRY(open(P("f"), O_RDWR | O_CREAT, 0644));
	SHOW(write(fd, "0123456789", 10));
	SHOW(lseek(fd, 3, SEEK_SET));
	SHOW(read(fd, &c, 1));
	printf("%c\n", c);
	SHOW(lseek(fd, 2, SEEK_CUR));
	SHOW(lseek(fd, -1, SEEK_END));
	SHOW(read(fd, &c, 1));
	printf("%c\n", c);
	SHOW(lseek(fd, -1, SEEK_SET));
	SHOW(lseek(fd, -100, SEEK_CUR));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(lseek(fd, 0, 99));
	SHOW(lseek(fd, 100, SEEK_END));
	SHOW(read(fd, &c, 1));
	SHOW(write(fd, "x", 1));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(lseek(fd, 6ll << 30, SEEK_SET));
	SHOW(lseek(fd, INT64_MAX, SEEK_SET));
	close(fd);
	SHOW(lseek(fd, 0, SEEK_SET));
	MUST(pipe(sv) == 0);
	SHOW(lseek(sv[0], 0, SEEK_CUR));
	close(sv[0]);
	close(sv[1]);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(lseek(fd, 0, SEEK_CUR));
	close(fd);
	holes();
	return t_end();
}
