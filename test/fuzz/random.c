/* SPDX-License-Identifier: MIT */
#include "test/fuzz/random.h"

#include <string.h>

static _Thread_local uint64_t state = 1;

void random_seed(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15u + 1;
}

/* xorshift */
uint64_t random_bits(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1du;
}

void random_fill(void *p, uint64_t len)
{
	uint8_t *to = p;

	for (; len >= 8; to += 8, len -= 8) {
		uint64_t bits = random_bits();

		memcpy(to, &bits, 8);
	}
	while (len--)
		*to++ = (uint8_t)random_bits();
}
