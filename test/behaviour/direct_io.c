/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* O_DIRECT, O_SYNC, O_DSYNC and O_NOATIME: aligned and unaligned, large, from several threads. */
#include "net.h"

enum { BLOCK = 4096, BLOCKS = 64 };

static int fd = -1;

static void *worker(void *arg)
{
	long id = (long)arg;
	unsigned char *buf = NULL;

	MUST(posix_memalign((void **)&buf, BLOCK, BLOCK) == 0);
	for (long i = id; i < BLOCKS; i += 4) {
		t_fill(buf, BLOCK, (unsigned int)i);
		CHECK(pwrite(fd, buf, BLOCK, i * BLOCK) == BLOCK);
		memset(buf, 0, BLOCK);
		CHECK(pread(fd, buf, BLOCK, i * BLOCK) == BLOCK);
		CHECK(buf[0] == i % 251);
	}
	free(buf);
	return NULL;
}

int main(void)
{
	unsigned char *buf = NULL;
	struct stat before;
	struct stat after;
	pthread_t t[4];

	t_start();
	MUST(posix_memalign((void **)&buf, BLOCK, BLOCK * BLOCKS) == 0);
	fd = open(P("f"), O_RDWR | O_CREAT | O_DIRECT, 0644);
	if (fd < 0 && errno == EINVAL)
		t_skip("the file system has no O_DIRECT");
	t_fill(buf, BLOCK * BLOCKS, 3);
	SHOW(write(fd, buf, BLOCK * BLOCKS));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(pread(fd, buf, BLOCK, BLOCK));
	SHOW(pread(fd, buf, 100, 0));
	SHOW(pread(fd, buf, BLOCK, 100));
	SHOW(pwrite(fd, buf, 100, 0));
	SHOW(pread(fd, buf, BLOCK, BLOCK * BLOCKS));
	SHOW(!!(fcntl(fd, F_GETFL) & O_DIRECT));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(read(fd, buf, BLOCK * BLOCKS));
	for (long i = 0; i < 4; i++)
		MUST(pthread_create(&t[i], NULL, worker, (void *)i) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	close(fd);
	t_cat("file", P("f"));

	fd = TRY(open(P("f"), O_WRONLY | O_SYNC));
	SHOW(pwrite(fd, "synchronous", 11, 5));
	SHOW((fcntl(fd, F_GETFL) & O_SYNC) == O_SYNC);
	close(fd);
	fd = TRY(open(P("f"), O_WRONLY | O_DSYNC | O_APPEND));
	SHOW(write(fd, "end", 3));
	close(fd);
	fd = TRY(open(P("f"), O_RDONLY | O_NOATIME));
	MUST(fstat(fd, &before) == 0);
	SHOW(read(fd, buf, 100));
	MUST(fstat(fd, &after) == 0);
	CHECK(!memcmp(&before.st_atim, &after.st_atim, sizeof(before.st_atim)));
	close(fd);
	free(buf);
	return t_end();
}
