/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* timeout: 120 */
/*
 * A lock that goes with the last descriptor is gone when close() is back, also right after a call that
 * a service may well have left to another thread, on a machine with much to do.
 */
#include "t.h"
#include <pthread.h>
#include <sys/file.h>
#include <sys/sysinfo.h>

enum { ROUNDS = 1000, BUSY_MAX = 9, MS_MAX = 20000 };

static _Atomic bool over;

static void *busy(void *unused)
{
	while (!over)
		;
	return unused;
}

static int locked(void)
{
	int fd = open(P("f"), O_RDWR);

	CHECK(fd >= 0);
	CHECK(flock(fd, LOCK_EX | LOCK_NB) == 0);
	return fd;
}

int main(void)
{
	int n = get_nprocs() < BUSY_MAX ? get_nprocs() + 1 : BUSY_MAX;
	int64_t start = t_ms();
	pthread_t t[BUSY_MAX];

	t_start();
	t_puts(P("f"), "x");
	for (int i = 0; i < n; i++)
		MUST(pthread_create(&t[i], NULL, busy, NULL) == 0);
	for (int i = 0; i < ROUNDS && !t_failed && t_ms() - start < MS_MAX; i++) {
		int fd = locked();

		CHECK(fdatasync(fd) == 0);
		close(fd);
	}
	over = true;
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	return t_end();
}
