/* SPDX-License-Identifier: MIT */
/*
 * The unit that the cost of forwarding is measured in: one word changes hands twice, both sides
 * pause while they look. And the least that a forwarded read can cost on this machine: with the
 * word a block of memory changes hands, into which the other end reads the file, and which is then
 * copied to where the caller wants it. No ring, no checks, no second client, no sleep.
 *
 * The other end is a process and not a thread, since a program with threads takes other paths in
 * libc and in the library. It sleeps between two measurements.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "ring/raw.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define OVER   0xffffffffu
#define BLOCKS 64 /* together more than fits into the caches that are one processor's own */

static struct shared {
	_Atomic uint32_t go;		     /* futex: counts the measurements */
	_Alignas(128) _Atomic uint32_t word; /* odd: to be answered with the next number */
	size_t size;   /* what to read for each answer, 0: nothing; set before go */
	size_t blocks; /* that take turns */
	_Alignas(4096) char block[BLOCKS][BENCH_DATA];
} * shared;

static int file;
static char data[BENCH_DATA] __attribute__((aligned(4096)));

static char *block_of(uint32_t v)
{
	return shared->block[v / 2 % shared->blocks];
}

/* The instruction that libc and the kernel copy with on processors that have it. */
static void copy(void *to, const void *from, size_t n)
{
#if defined(__x86_64__)
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
#else
	memcpy(to, from, n);
#endif
}

static void answer(void)
{
	uint32_t v;

	/* Acquire and release, as a request and its answer would need them. */
	while ((v = atomic_load_explicit(&shared->word, memory_order_acquire)) != OVER) {
		if (!(v & 1)) {
			relax();
			continue;
		}
		if (shared->size)
			vos_raw4(SYS_pread64, file, block_of(v), shared->size, 0);
		atomic_store_explicit(&shared->word, v + 1, memory_order_release);
	}
}

static void other_end(void)
{
	for (uint32_t seen = 0;; seen++) {
		while (atomic_load(&shared->go) == seen)
			vos_raw4(SYS_futex, &shared->go, FUTEX_WAIT, seen, 0);
		answer();
	}
}

void line_start(struct cpus cpus, int fd)
{
	long pid;

	file = fd;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		die("mmap", 0);
	/* Not libc's fork: the child is none of the library's business. */
	pid = vos_raw5(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		die("clone", pid);
	if (pid)
		return;
	vos_raw2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	pin(cpus.theirs);
	other_end();
}

static double trip(size_t size, size_t blocks, int n)
{
	double t = 0;

	shared->size = size;
	shared->blocks = blocks;
	atomic_store(&shared->word, 0);
	atomic_fetch_add(&shared->go, 1);
	vos_raw3(SYS_futex, &shared->go, FUTEX_WAKE, 1);
	for (int i = -100; i < n; i++) { /* the first ones wait for the other end to wake up */
		uint32_t v = 2 * (uint32_t)(i + 100) + 1;

		if (!i)
			t = now();
		atomic_store_explicit(&shared->word, v, memory_order_release);
		while (atomic_load_explicit(&shared->word, memory_order_acquire) != v + 1)
			relax();
		copy(data, block_of(v), size);
	}
	t = (now() - t) / n;
	atomic_store(&shared->word, OVER);
	nap(200000);
	return t;
}

double line_trip(int n)
{
	return trip(0, 1, n);
}

double line_read(size_t size, int n)
{
	double hot = trip(size, 1, n), turns = trip(size, BLOCKS, n);

	return hot < turns ? hot : turns;
}
