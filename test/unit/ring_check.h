/* SPDX-License-Identifier: MIT */
/* What the tests of the rings share. */
#ifndef RING_CHECK_H
#define RING_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define CHECK(cond)                                                                 \
	do {                                                                        \
		if (!(cond)) {                                                      \
			printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #cond); \
			exit(1);                                                    \
		}                                                                   \
	} while (0)

/* Until that thread sleeps in the kernel. */
static inline void await_sleep(pid_t tid)
{
	char path[64], stat[256];
	bool asleep = false;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	while (!asleep) {
		FILE *f = fopen(path, "r");
		const char *end;

		CHECK(f && fgets(stat, sizeof(stat), f));
		end = strrchr(stat, ')');
		asleep = end && end[2] == 'S';
		fclose(f);
		if (!asleep)
			usleep(1000);
	}
}

#endif
