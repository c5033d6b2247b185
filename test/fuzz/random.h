/* SPDX-License-Identifier: MIT */
/* Random numbers of the calling thread. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

void random_seed(uint64_t seed);
uint64_t random_bits(void);
static inline uint64_t below(uint64_t n)
{
	return random_bits() % n;
}
void random_fill(void *p, uint64_t len);

#define PICK(array) (array)[below(sizeof(array) / sizeof((array)[0]))]

#endif
