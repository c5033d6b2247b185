/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * O_DIRECT: what must be aligned and what comes of it, ends of files, positions that several
 * threads and processes share, appending, and many transfers at once. (A buffer that is not aligned
 * is not tried: it works when forwarded, since the data is copied anyway.)
 */
#include "t.h"
#include <pthread.h>
#include <sys/statfs.h>
#include <sys/uio.h>

enum { PAGE = 4096, SIZE = 3 << 20, THREADS = 64, ROUNDS = 8, BLOCKS = THREADS * ROUNDS };

static unsigned char *buf;
static int fd;
static int shared[THREADS];

static void show_data(long n)
{
	if (n > 0)
		printf("  data %016llx\n", (unsigned long long)t_hash(buf, (size_t)n));
}

static void sizes(void)
{
	static const long lens[] = {
		512,  1024,	   2048, PAGE, 8192, 65536, 256 << 10, (256 << 10) + 512, 1 << 20,
		SIZE, SIZE + PAGE, 1,	 100,  511,  4097,  8191,      (256 << 10) + 1,	  SIZE - 1
	};
	static const long offsets[] = { 0, 512, PAGE, 65536, SIZE - PAGE, SIZE, 1, 100, PAGE + 8 };

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		for (size_t j = 0; j < sizeof(offsets) / sizeof(offsets[0]); j++) {
			long n;

			errno = 0;
			n = pread(fd, buf, (size_t)lens[i], offsets[j]);
			printf("pread %ld at %ld: %ld %s\n", lens[i], offsets[j], n,
			       n < 0 ? t_errname(errno) : "");
			show_data(n);
		}
	SHOW(pread(fd, buf, 0, 0));
	SHOW(pread(fd, buf, PAGE, -PAGE));
}

static void writes(void)
{
	static const long lens[] = { 512, PAGE, 65536, 1 << 20, 1, 100, 4097 };
	int out = TRY(open(P("w"), O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0644));

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		t_fill(buf, (size_t)lens[i], (unsigned int)i);
		printf("%ld: ", lens[i]);
		SHOW(pwrite(out, buf, (size_t)lens[i], PAGE * (long)i));
		SHOW(lseek(out, 0, SEEK_END));
	}
	SHOW(pwrite(out, buf, PAGE, 100));
	SHOW(pwrite(out, buf, 0, 0));
	SHOW(pread(out, buf, 1 << 20, 0));
	close(out);
	t_cat("written", P("w"));
	/* Again, where nothing has to be allocated any more. */
	out = TRY(open(P("w"), O_WRONLY | O_DIRECT | O_DSYNC));
	t_fill(buf, 1 << 19, 77);
	SHOW(pwrite(out, buf, 1 << 19, PAGE));
	SHOW(pwrite(out, buf, PAGE, 0));
	SHOW(pread(out, buf, PAGE, 0));
	close(out);
	t_cat("overwritten", P("w"));
	SHOW(write(fd, buf, PAGE)); /* open for reading */
	/* How much of it is written before it fails is anybody's guess. */
	out = TRY(open(P("bad"), O_RDWR | O_CREAT | O_DIRECT, 0644));
	SHOW(pwrite(out, buf, (1 << 20) + 1, 0));
	SHOW(write(out, buf, (1 << 20) + 100));
	SHOW(lseek(out, 0, SEEK_CUR));
	close(out);
}

static void ends(void)
{
	int f;

	MUST(truncate(P("w"), (1 << 20) + 1000) == 0);
	f = TRY(open(P("w"), O_RDONLY | O_DIRECT));
	SHOW(pread(f, buf, PAGE, 1 << 20));
	SHOW(pread(f, buf, 1 << 20, (1 << 20) - PAGE));
	SHOW(pread(f, buf, PAGE, (1 << 20) + PAGE));
	SHOW(lseek(f, 512 << 10, SEEK_SET));
	for (int i = 0; i < 6; i++) {
		SHOW(read(f, buf, 192 << 10));
		SHOW(lseek(f, 0, SEEK_CUR));
	}
	SHOW(lseek(f, 100, SEEK_SET));
	SHOW(read(f, buf, PAGE));
	SHOW(lseek(f, 0, SEEK_CUR));
	SHOW(read(f, buf, 100));
	SHOW(lseek(f, 0, SEEK_CUR));
	close(f);
}

static void vectors(void)
{
	struct iovec iov[3] = { { buf, PAGE },
				{ buf + (1 << 16), 8192 },
				{ buf + (1 << 17), 512 } };
	int f = TRY(open(P("v"), O_RDWR | O_CREAT | O_DIRECT, 0644));

	t_fill(buf, 1 << 18, 5);
	SHOW(writev(f, iov, 3));
	SHOW(lseek(f, 0, SEEK_CUR));
	SHOW(pwritev(f, iov, 2, 65536));
	SHOW(pwritev2(f, iov, 2, 8192, RWF_DSYNC));
	SHOW(lseek(f, 0, SEEK_SET));
	memset(buf, 0, 1 << 18);
	SHOW(readv(f, iov, 3));
	SHOW(lseek(f, 0, SEEK_CUR));
	printf("%016llx\n", (unsigned long long)t_hash(buf, 1 << 18));
	SHOW(preadv(f, iov, 3, 65536));
	SHOW(preadv2(f, iov, 1, -1, 0));
	SHOW(lseek(f, 0, SEEK_CUR));
	iov[2].iov_len = 100;
	SHOW(preadv(f, iov, 3, 0));
	SHOW(lseek(f, 0, SEEK_CUR));
	close(f);
	t_cat("vectors", P("v"));
}

static void flags(void)
{
	int f = TRY(open(P("v"), O_RDWR));
	int d;

	SHOW(pread(f, buf, 100, 3));
	SHOW(fcntl(f, F_SETFL, O_DIRECT));
	SHOW(!!(fcntl(f, F_GETFL) & O_DIRECT));
	SHOW(pread(f, buf, 100, 3));
	SHOW(read(f, buf, PAGE));
	d = TRY(dup(f));
	SHOW(read(d, buf, PAGE));
	SHOW(lseek(f, 0, SEEK_CUR));
	SHOW(fcntl(d, F_SETFL, 0));
	SHOW(read(f, buf, 100));
	SHOW(fcntl(d, F_SETFL, O_DIRECT | O_APPEND));
	SHOW(pwrite(f, buf, PAGE, 0)); /* appends all the same */
	SHOW(lseek(f, 0, SEEK_CUR));
	close(f);
	SHOW(ftruncate(d, 0));
	for (int i = 0; i < 4; i++) {
		t_fill(buf, 8192, (unsigned int)i);
		SHOW(write(d, buf, 8192));
		SHOW(lseek(d, 0, SEEK_CUR));
	}
	SHOW(write(d, buf, 100));
	close(d);
	t_cat("appended", P("v"));
}

/* Each thread its own blocks, at offsets of its own. */
static void *transfer(void *arg)
{
	long id = (long)arg;
	unsigned char *p = NULL;

	MUST(posix_memalign((void **)&p, PAGE, PAGE) == 0);
	for (long i = id; i < BLOCKS; i += THREADS) {
		t_fill(p, PAGE, (unsigned int)i);
		CHECK(pwrite(fd, p, PAGE, i * PAGE) == PAGE);
	}
	for (long i = id; i < BLOCKS; i += THREADS) {
		memset(p, 0, PAGE);
		CHECK(pread(fd, p, PAGE, i * PAGE) == PAGE);
		CHECK(p[0] == i % 251 && p[PAGE - 1] == (i + PAGE - 1) % 251);
	}
	free(p);
	return NULL;
}

/* All at one position: each block comes to exactly one of them. */
static void *drain(void *arg)
{
	long id = (long)arg;
	unsigned char *p = NULL;
	ssize_t n;

	MUST(posix_memalign((void **)&p, PAGE, PAGE) == 0);
	while ((n = read(fd, p, PAGE)) == PAGE) {
		long i = p[0];

		/* Blocks differ in more than the first byte can tell. */
		CHECK(p[PAGE - 1] == (i + PAGE - 1) % 251);
		shared[id]++;
	}
	CHECK(n == 0);
	free(p);
	return NULL;
}

static void *fill(void *arg)
{
	long id = (long)arg;
	unsigned char *p = NULL;

	MUST(posix_memalign((void **)&p, PAGE, PAGE) == 0);
	memset(p, (int)id, PAGE);
	for (int i = 0; i < ROUNDS; i++)
		CHECK(write(fd, p, PAGE) == PAGE);
	free(p);
	return NULL;
}

static void all(void *(*f)(void *))
{
	pthread_t t[THREADS];

	for (long i = 0; i < THREADS; i++)
		MUST(pthread_create(&t[i], NULL, f, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void many(void)
{
	int count[THREADS] = { 0 };
	int sum = 0;
	pid_t pid;

	fd = TRY(open(P("many"), O_RDWR | O_CREAT | O_DIRECT, 0644));
	all(transfer);
	t_cat("many", P("many"));
	SHOW(lseek(fd, 0, SEEK_SET));
	pid = fork(); /* which shares the position, from another channel */
	all(drain);
	for (int i = 0; i < THREADS; i++)
		sum += shared[i];
	if (!pid)
		_exit(t_failed ? 255 : sum % 128);
	MUST(waitpid(pid, &count[0], 0) == pid);
	CHECK(WIFEXITED(count[0]) && WEXITSTATUS(count[0]) == (BLOCKS - sum) % 128);
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(ftruncate(fd, 0));
	SHOW(lseek(fd, 0, SEEK_SET));
	all(fill);
	SHOW(lseek(fd, 0, SEEK_CUR));
	memset(count, 0, sizeof(count));
	for (int i = 0; i < BLOCKS; i++) {
		CHECK(pread(fd, buf, PAGE, (long)i * PAGE) == PAGE);
		CHECK(buf[0] < THREADS && buf[0] == buf[PAGE - 1]);
		count[buf[0] % THREADS]++;
	}
	for (int i = 0; i < THREADS; i++)
		CHECK(count[i] == ROUNDS);
	close(fd);
}

int main(void)
{
	t_start();
	MUST(posix_memalign((void **)&buf, PAGE, SIZE + PAGE) == 0);
	t_fill(buf, SIZE, 1);
	t_put(P("f"), buf, SIZE);
	fd = open(P("f"), O_RDONLY | O_DIRECT);
	if (fd < 0 && errno == EINVAL)
		t_skip("the file system has no O_DIRECT");
	sizes();
	writes();
	ends();
	close(fd);
	vectors();
	flags();
	many();
	free(buf);
	return t_end();
}
