/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* readv(), writev(), preadv(), pwritev(): order, empty parts, limits. */
#include "t.h"
#include <sys/uio.h>

static void basic(int fd)
{
	struct iovec w[] = { { "one ", 4 }, { NULL, 0 }, { "two ", 4 }, { "three", 5 } };
	char a[3];
	char b[7];
	char c[32];
	struct iovec r[] = { { a, sizeof(a) }, { b, sizeof(b) }, { NULL, 0 }, { c, sizeof(c) } };
	ssize_t n;

	SHOW(writev(fd, w, 4));
	SHOW(lseek(fd, 0, SEEK_SET));
	n = SHOW(readv(fd, r, 4));
	printf("%.3s|%.7s|%.*s\n", a, b, (int)n - 10, c);
	SHOW(readv(fd, r, 4));
	SHOW(pwritev(fd, w, 4, 4));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(preadv(fd, r, 2, 4));
	printf("%.3s|%.7s\n", a, b);
	SHOW(preadv(fd, r, 4, 1000));
}

static void limits(int fd)
{
	static struct iovec many[1025];
	static char bytes[1025];
	static char back[1025];
	volatile int minus_one = -1;
	struct iovec huge[2] = { { bytes, 1 }, { bytes, (size_t)-1 } };

	t_fill(bytes, sizeof(bytes), 3);
	for (int i = 0; i < 1025; i++)
		many[i] = (struct iovec){ bytes + i, 1 };
	MUST(ftruncate(fd, 0) == 0);
	MUST(lseek(fd, 0, SEEK_SET) == 0);
	SHOW(writev(fd, many, 1024));
	SHOW(writev(fd, many, 1025));
	SHOW(writev(fd, many, 0));
	SHOW(writev(fd, many, minus_one));
	SHOW(readv(fd, many, 1025));
	SHOW(preadv(fd, many, 1, -1));
	SHOW(pwritev(fd, huge, 2, 0));
	SHOW(pread(fd, back, 1025, 0));
	CHECK(!memcmp(bytes, back, 1024));
}

static void large(int fd)
{
	const size_t part = 300000;
	char *out = malloc(5 * part);
	char *in = malloc(5 * part);
	struct iovec w[5];
	struct iovec r[3];

	MUST(out && in);
	t_fill(out, 5 * part, 9);
	for (size_t i = 0; i < 5; i++)
		w[i] = (struct iovec){ out + i * part, part };
	r[0] = (struct iovec){ in, 1 };
	r[1] = (struct iovec){ in + 1, 3 * part };
	r[2] = (struct iovec){ in + 1 + 3 * part, 2 * part - 1 };
	MUST(lseek(fd, 0, SEEK_SET) == 0);
	SHOW(writev(fd, w, 5));
	MUST(lseek(fd, 0, SEEK_SET) == 0);
	SHOW(readv(fd, r, 3));
	CHECK(!memcmp(in, out, 5 * part));
	free(out);
	free(in);
}

int main(void)
{
	int fd;

	t_start();
	fd = TRY(open(P("f"), O_RDWR | O_CREAT, 0644));
	basic(fd);
	limits(fd);
	large(fd);
	close(fd);
	t_cat("file", P("f"));
	return t_end();
}
