/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* read() and write() of sizes around page and buffer borders, in one call each. */
#include "t.h"

#define MIB (1024 * 1024)

static void one(unsigned char *out, unsigned char *in, size_t size)
{
	int fd = open(P("f"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	ssize_t n;

	MUST(fd >= 0);
	t_fill(out, size, (unsigned int)size);
	n = write(fd, out, size);
	printf("%zu: wrote %zd", size, n);
	MUST(lseek(fd, 0, SEEK_SET) == 0);
	memset(in, 0xee, size + 1);
	n = read(fd, in, size);
	printf(" read %zd %s", n, memcmp(in, out, size) ? "DIFFERENT" : "equal");
	CHECK(in[size] == 0xee);
	printf(" then %zd at %ld\n", read(fd, in, 1), (long)lseek(fd, 0, SEEK_CUR));
	/* Reading more than there is gives what there is. */
	MUST(lseek(fd, 0, SEEK_SET) == 0);
	n = read(fd, in, size + 1);
	CHECK(n == (ssize_t)size);
	close(fd);
}

int main(void)
{
	static const size_t sizes[] = { 0,	 1,	      2,       63,	    64,
					65,	 255,	      256,     4095,	    4096,
					4097,	 8192,	      16383,   16385,	    65535,
					65536,	 65537,	      131072,  262143,	    262145,
					MIB - 1, MIB,	      MIB + 1, 2 * MIB + 3, 4 * MIB - 1,
					4 * MIB, 4 * MIB + 1, 5 * MIB };
	unsigned char *out = malloc(5 * MIB + 1);
	unsigned char *in = malloc(5 * MIB + 1);

	t_start();
	MUST(out && in);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		one(out, in, sizes[i]);
	free(out);
	free(in);
	return t_end();
}
