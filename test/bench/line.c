/* SPDX-License-Identifier: MIT */
/*
 * The unit that the cost of forwarding is measured in: one word changes hands twice, both sides
 * pause while they look. The other end is a process and not a thread, since a program with threads
 * takes other paths in libc and in the library. It sleeps between two measurements.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "ring/raw.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define OVER 0xffffffffu

static struct shared {
	_Atomic uint32_t go;		     /* futex: counts the measurements */
	_Alignas(128) _Atomic uint32_t word; /* odd: to be answered with the next number */
} * shared;

static void answer(void)
{
	uint32_t v;

	/* Acquire and release, as a request and its answer would need them. */
	while ((v = atomic_load_explicit(&shared->word, memory_order_acquire)) != OVER) {
		if (v & 1)
			atomic_store_explicit(&shared->word, v + 1, memory_order_release);
		else
			relax();
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

void line_start(struct cpus cpus)
{
	long pid;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
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

double line_trip(int n)
{
	double t = 0;

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
	}
	t = (now() - t) / n;
	atomic_store(&shared->word, OVER);
	nap(200000);
	return t;
}
