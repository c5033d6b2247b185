/* SPDX-License-Identifier: MIT */
/* What the tests of the rings share. */
#ifndef RING_CHECK_H
#define RING_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)                                                                 \
	do {                                                                        \
		if (!(cond)) {                                                      \
			printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #cond); \
			exit(1);                                                    \
		}                                                                   \
	} while (0)

#endif
