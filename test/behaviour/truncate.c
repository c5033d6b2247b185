/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* truncate(), ftruncate(), fallocate(), advice and the sync family. */
#include "t.h"

static void sizes(int fd)
{
	char buf[8];

	SHOW(write(fd, "0123456789", 10));
	SHOW(ftruncate(fd, 4));
	t_cat("shrunk", P("f"));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(ftruncate(fd, 8));
	SHOW(pread(fd, buf, 8, 0));
	printf("%.4s %d%d%d%d\n", buf, buf[4], buf[5], buf[6], buf[7]);
	SHOW(truncate(P("f"), 2));
	t_cat("by name", P("f"));
	SHOW(ftruncate(fd, -1));
	SHOW(truncate(P("f"), -1));
	SHOW(truncate(P("missing"), 0));
	SHOW(truncate(P("."), 0));
	SHOW(truncate(P("f/x"), 0));
	SHOW(ftruncate(fd, 5ll << 30));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(ftruncate(fd, 0));
}

static void reserve(int fd)
{
	struct stat st;

	SHOW(fallocate(fd, 0, 0, 65536));
	MUST(fstat(fd, &st) == 0);
	printf("size %ld allocated %s\n", (long)st.st_size, st.st_blocks >= 128 ? "all" : "less");
	SHOW(fallocate(fd, FALLOC_FL_KEEP_SIZE, 65536, 65536));
	MUST(fstat(fd, &st) == 0);
	printf("size %ld allocated %s\n", (long)st.st_size, st.st_blocks >= 256 ? "all" : "less");
	SHOW(pwrite(fd, "hole", 4, 8192));
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096));
	SHOW(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096));
	t_cat("all zero", P("f"));
	SHOW(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 1, 4096));
	SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
	SHOW(fallocate(fd, 0, 0, 0));
	SHOW(fallocate(fd, 0, -1, 5));
	SHOW(posix_fallocate(fd, 0, 200000));
	SHOW(lseek(fd, 0, SEEK_END));
	CHECK(posix_fallocate(fd, -1, 1) == EINVAL);
}

static void hints(int fd)
{
	int p[2];

	SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
	SHOW(posix_fadvise(fd, 0, 4096, POSIX_FADV_WILLNEED));
	SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	CHECK(posix_fadvise(fd, 0, 0, 99) == EINVAL);
	SHOW(readahead(fd, 0, 4096));
	SHOW(fsync(fd));
	SHOW(fdatasync(fd));
	SHOW(syncfs(fd));
	SHOW(sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WRITE));
	MUST(pipe(p) == 0);
	CHECK(posix_fadvise(p[0], 0, 0, POSIX_FADV_NORMAL) == ESPIPE);
	SHOW(fsync(p[1]));
	SHOW(ftruncate(p[1], 0));
	SHOW(fallocate(p[1], 0, 0, 1));
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	int fd;

	t_start();
	fd = TRY(open(P("f"), O_RDWR | O_CREAT, 0644));
	sizes(fd);
	reserve(fd);
	hints(fd);
	close(fd);
	SHOW(ftruncate(fd, 0));
	SHOW(fsync(fd));
	fd = TRY(open(P("f"), O_RDONLY));
	SHOW(ftruncate(fd, 0));
	SHOW(fallocate(fd, 0, 0, 1));
	SHOW(fsync(fd));
	close(fd);
	return t_end();
}
