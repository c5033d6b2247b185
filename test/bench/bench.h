/* SPDX-License-Identifier: MIT */
/* What the parts of the benchmark share. All times are in nanoseconds. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>

#define BENCH_DATA 65536 /* bytes of the file and of each buffer */

struct cpus {
	int ours, theirs; /* of the program; of the service, the poller and the line's other end */
};

/* All print a message and end the program. */
void die(const char *what, long err) __attribute__((noreturn));
double now(void);
void pin(int cpu);
void nap(long ns);

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

/*
 * line.c: one cache line that goes to the other CPU and back.
 * line_start() makes the process at the other end, before anything else exists.
 * line_trip() is the time of one round trip, mean of @n; nothing else may use that CPU meanwhile.
 * line_read() likewise of one that brings @size bytes of @fd: the floor of a forwarded pread().
 */
void line_start(struct cpus cpus, int fd);
double line_trip(int n);
double line_read(size_t size, int n);

/*
 * sqpoll.c: io_uring with a polling kernel thread on the service's CPU.
 * sqpoll_start() returns false when there is none here. @fd is the only file.
 * sqpoll_rest() returns when the poller sleeps, so that the CPU is free.
 */
bool sqpoll_start(struct cpus cpus, int fd);
void sqpoll_rest(void);
void sqpoll_nop(size_t size, int n);
void sqpoll_read(size_t size, int n);

#endif
