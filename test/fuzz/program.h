/* SPDX-License-Identifier: MIT */
/* The parts of program. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "test/fuzz/random.h"

#include <stdbool.h>
#include <stddef.h>

/* Count the call; it may not answer more than @most. -1 and errno if it failed. */
long answer(const char *call, long r, long most);
/* Something that no kernel does has reached the program. */
void breach(const char *call, const char *what) __attribute__((noreturn));

/* Close a descriptor if it is one; that never fails, whatever has become of the domain. */
void done_with(int fd);

/* A path of the domain. */
const char *remote_path(void);
/* Memory of just this size, so that a byte beyond it is noticed; to be freed. */
void *exactly(size_t n);

typedef void attempt_fn(void);
extern attempt_fn *const file_attempts[], *const path_attempts[];
extern attempt_fn *const socket_attempts[], *const waiting_attempts[];

#endif
