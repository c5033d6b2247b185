/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Threads share mask, descriptors and offsets; each has an errno of its own. */
#include "net.h"

enum { THREADS = 8, ROUNDS = 300 };

static int shared;

static void *worker(void *arg)
{
	long id = (long)arg;
	char name[32];
	char out[64];
	char in[64];
	int fd;

	snprintf(name, sizeof(name), "thread%ld", id);
	memset(out, 'a' + (int)id, sizeof(out));
	for (int i = 0; i < ROUNDS; i++) {
		fd = open(P(name), O_RDWR | O_CREAT, 0666);
		CHECK(fd >= 0);
		CHECK(pwrite(fd, out, sizeof(out), i) == sizeof(out));
		CHECK(pread(fd, in, sizeof(in), i) == sizeof(in));
		CHECK(!memcmp(in, out, sizeof(in)));
		CHECK(open(P("none"), O_RDONLY) == -1 && errno == ENOENT);
		CHECK(close(fd) == 0);
		CHECK(write(shared, out, 1) == 1);
		CHECK(close(-1) == -1 && errno == EBADF);
	}
	return NULL;
}

int main(void)
{
	int count[THREADS] = { 0 };
	pthread_t t[THREADS];
	struct stat st;
	char c;

	t_start();
	umask(077);
	shared = open(P("shared"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	MUST(shared >= 0);
	for (long i = 0; i < THREADS; i++)
		MUST(pthread_create(&t[i], NULL, worker, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	/* Nobody's byte was overwritten: the offset is one for all. */
	SHOW(lseek(shared, 0, SEEK_END));
	MUST(lseek(shared, 0, SEEK_SET) == 0);
	while (read(shared, &c, 1) == 1)
		if (c >= 'a' && c < 'a' + THREADS)
			count[c - 'a']++;
	for (int i = 0; i < THREADS; i++)
		printf("%d ", count[i]);
	printf("\n");
	close(shared);
	MUST(stat(P("thread0"), &st) == 0);
	printf("mode %o size %ld\n", st.st_mode, (long)st.st_size);
	umask(022);
	return t_end();
}
