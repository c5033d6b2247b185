/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* preadv2() and pwritev2(): offset -1, the RWF flags, refused flags. */
#include "t.h"
#include <sys/uio.h>

#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif

int main(void)
{
	char a[4] = "";
	char b[4] = "";
	struct iovec w[] = { { "abcd", 4 }, { "efgh", 4 } };
	struct iovec r[] = { { a, 4 }, { b, 4 } };
	volatile int minus_one = -1;
	int fd;

	t_start();
	fd = TRY(open(P("f"), O_RDWR | O_CREAT, 0644));
	SHOW(pwritev2(fd, w, 2, -1, 0));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(pwritev2(fd, w, 2, 4, 0));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(lseek(fd, 2, SEEK_SET));
	SHOW(preadv2(fd, r, 2, -1, 0));
	printf("%.4s%.4s at %ld\n", a, b, (long)lseek(fd, 0, SEEK_CUR));
	SHOW(preadv2(fd, r, 1, 0, RWF_NOWAIT));
	SHOW(preadv2(fd, r, 2, 0, RWF_HIPRI));
	SHOW(pwritev2(fd, w, 1, 0, RWF_SYNC));
	SHOW(pwritev2(fd, w, 1, 0, RWF_DSYNC));
	SHOW(pwritev2(fd, w, 1, 0, RWF_APPEND));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(preadv2(fd, r, 1, 0, 0x40000000));
	SHOW(pwritev2(fd, w, 1, 0, 0x40000000));
	SHOW(preadv2(fd, r, 1, -2, 0));
	SHOW(preadv2(fd, r, minus_one, 0, 0));
	close(fd);
	SHOW(preadv2(fd, r, 1, 0, 0));
	t_cat("file", P("f"));
	return t_end();
}
