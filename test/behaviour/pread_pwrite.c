/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Positioned reads and writes: the file's own offset stays, holes read as zero, wrong offsets. */
#include "t.h"

int main(void)
{
	char buf[16] = "";
	int pipes[2];
	int fd;

	t_start();
	fd = TRY(open(P("f"), O_RDWR | O_CREAT, 0644));
	SHOW(write(fd, "abcdefgh", 8));
	SHOW(pwrite(fd, "XY", 2, 2));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(pread(fd, buf, 8, 0));
	printf("%.8s\n", buf);
	SHOW(pread(fd, buf, 16, 6));
	SHOW(pread(fd, buf, 16, 8));
	SHOW(pread(fd, buf, 16, 1000));
	SHOW(pread(fd, buf, 0, 0));
	SHOW(pwrite(fd, buf, 0, 5000));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(pwrite(fd, "end", 3, 10000));
	SHOW(lseek(fd, 0, SEEK_END));
	memset(buf, 1, sizeof(buf));
	SHOW(pread(fd, buf, 4, 9998));
	printf("%d %d %c%c\n", buf[0], buf[1], buf[2], buf[3]);
	SHOW(pread(fd, buf, 1, -1));
	SHOW(pwrite(fd, buf, 1, -1));
	SHOW(pread(fd, buf, 1, INT64_MAX));
	SHOW(pwrite(fd, "far", 3, 5ll << 30));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(pread(fd, buf, 3, 5ll << 30));
	printf("%.3s\n", buf);
	close(fd);
	SHOW(pread(fd, buf, 1, 0));
	MUST(pipe(pipes) == 0);
	SHOW(pread(pipes[0], buf, 1, 0));
	SHOW(pwrite(pipes[1], buf, 1, 0));
	close(pipes[0]);
	close(pipes[1]);
	return t_end();
}
