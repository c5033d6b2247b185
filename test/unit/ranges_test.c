/* SPDX-License-Identifier: MIT */
/*
 * Ranges of record locks against a plain array of bytes, with everything by chance; and that a
 * hundred thousand of them take no longer to make than a few.
 */
#define _GNU_SOURCE
#include "svcd/ranges.h"
#include "test/unit/ring_check.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BYTES  64
#define ROUNDS 200000
#define MANY   100000

static short model[BYTES];

/* As the kernel counts: neighbours of the same sort are one. */
static int count(void)
{
	int n = 0;

	for (int i = 0; i < BYTES; i++)
		n += model[i] != F_UNLCK && (!i || model[i - 1] != model[i]);
	return n;
}

static bool conflict(off_t start, off_t end, short type)
{
	for (off_t i = start; i <= end; i++)
		if (model[i] == F_WRLCK || (model[i] == F_RDLCK && type == F_WRLCK))
			return true;
	return false;
}

static void by_chance(void)
{
	static const short types[] = { F_RDLCK, F_WRLCK, F_UNLCK };
	struct ranges s = { 0 };

	for (int i = 0; i < BYTES; i++)
		model[i] = F_UNLCK;
	srand(1);
	for (int r = 0; r < ROUNDS; r++) {
		off_t a = rand() % BYTES, b = rand() % BYTES, start = a < b ? a : b;
		off_t end = a < b ? b : a;
		short type = types[rand() % 3];

		CHECK(ranges_conflict(&s, start, end, type) == conflict(start, end, type));
		CHECK(ranges_have(&s, a, F_RDLCK) == (model[a] == F_RDLCK));
		CHECK(ranges_have(&s, b, F_WRLCK) == (model[b] == F_WRLCK));
		if (rand() % 2)
			end = start + (end - start) / 16; /* else there is seldom much */
		ranges_set(&s, start, end, type);
		for (off_t i = start; i <= end; i++)
			model[i] = type;
		CHECK(s.n == count());
	}
	ranges_free(&s);
	CHECK(!s.n && !ranges_have(&s, 0, F_WRLCK));
}

/* The ends of all that there can be. */
static void limits(void)
{
	struct ranges s = { 0 };

	ranges_set(&s, 0, INT64_MAX, F_WRLCK);
	ranges_set(&s, 10, 19, F_UNLCK);
	CHECK(s.n == 2 && ranges_have(&s, 9, F_WRLCK) && ranges_have(&s, INT64_MAX, F_WRLCK));
	ranges_set(&s, INT64_MAX, INT64_MAX, F_RDLCK);
	CHECK(s.n == 3 && ranges_conflict(&s, INT64_MAX, INT64_MAX, F_WRLCK));
	ranges_set(&s, 0, 0, F_RDLCK);
	ranges_set(&s, 0, INT64_MAX, F_RDLCK);
	CHECK(s.n == 1);
	ranges_free(&s);
}

static double seconds(int n)
{
	struct timespec a, b;
	struct ranges s = { 0 };

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	for (int i = 0; i < n; i++)
		ranges_set(&s, 2 * i, 2 * i, F_WRLCK);
	CHECK(s.n == n);
	for (int i = n; i--;)
		ranges_set(&s, 2 * i, 2 * i, F_UNLCK);
	CHECK(!s.n);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	return (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
}

int main(void)
{
	double few = seconds(MANY / 100), many = seconds(MANY);

	printf("%d: %.4f s, %d: %.4f s\n", MANY / 100, few, MANY, many);
	CHECK(many < few * 100 * 20); /* a list would take 100 * 100 times as long */
	by_chance();
	limits();
	return 0;
}
