/* SPDX-License-Identifier: MIT */
/*
 * Numbers that are reserved for calls under way, as the kernel reserves them: before it opens,
 * accepts or duplicates anything. A reserved number holds a placeholder, and its word says that it
 * is ours, and which thread's.
 */
#define _GNU_SOURCE
#include "preload/change.h"

#include <fcntl.h>
#include <sys/syscall.h>

/* Calls of one thread on top of each other; of more than these none is given back. */
#define DEPTH 8

static __thread struct {
	int fd; /* number + 1; 0: free */
	const void *frame;
} mine[DEPTH] __attribute__((tls_model("initial-exec")));
static __thread int nmine __attribute__((tls_model("initial-exec")));
static _Atomic int reserved; /* by all threads */

static void note(long fd, const void *frame)
{
	for (int i = 0; i < DEPTH; i++) {
		if (mine[i].fd)
			continue;
		mine[i].frame = frame;
		mine[i].fd = (int)fd + 1;
		nmine++;
		return;
	}
}

static void forget(long fd)
{
	for (int i = 0; nmine && i < DEPTH; i++) {
		if (mine[i].fd != (int)fd + 1)
			continue;
		mine[i].fd = 0;
		nmine--;
		return;
	}
}

static void give_back(long fd)
{
	vos_change_begin();
	vos_fd_set(fd, 0);
	vos_raw1(SYS_close, fd);
	atomic_fetch_sub_explicit(&reserved, 1, memory_order_relaxed);
	vos_change_end();
}

/* Those of calls that a handler has left by longjmp(); or all. */
static void drop(const void *now)
{
	for (int i = 0; i < DEPTH; i++) {
		int fd = mine[i].fd - 1;

		if (fd < 0 || (now && !vos_frame_left(mine[i].frame, now)))
			continue;
		forget(fd);
		give_back(fd);
	}
}

long vos_fd_reserve(long min, bool cloexec)
{
	const void *frame = __builtin_frame_address(0);
	long fd = vos_fd_placeholder();

	if (fd < 0)
		return fd;
	if (unlikely(nmine))
		drop(frame);
	vos_change_begin();
	fd = vos_raw3(SYS_fcntl, fd, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, min);
	if (fd >= 0 && (unsigned long)fd >= vos_fdtab.n) {
		vos_raw1(SYS_close, fd);
		fd = -EMFILE;
	}
	if (fd >= 0) {
		vos_fd_set(fd, VOS_WORD_RESERVED(vos_tid()));
		atomic_fetch_add_explicit(&reserved, 1, memory_order_relaxed);
		note(fd, frame);
	}
	vos_change_end();
	return fd;
}

long vos_fd_fill(long fd, uint64_t word)
{
	vos_change_begin();
	forget(fd);
	vos_fd_set(fd, word);
	atomic_fetch_sub_explicit(&reserved, 1, memory_order_relaxed);
	vos_change_end();
	return fd;
}

long vos_fd_release(long fd, long err)
{
	forget(fd);
	give_back(fd);
	return err;
}

void vos_fd_release_mine(void)
{
	if (nmine)
		drop(NULL);
}

/* --- fork and exec -------------------------------------------------------------------------- */

/* The next number at or after @fd that is reserved; @left counts them down. */
static long next_reserved(long fd, int *left)
{
	for (; *left > 0 && (unsigned long)fd < vos_fdtab.end; fd++) {
		uint64_t w = vos_fd(fd);

		if (VOS_WORD_KIND(w) != VOS_FD_OURS || !VOS_WORD_HANDLE(w))
			continue;
		--*left;
		return fd;
	}
	return -1;
}

void vos_fd_forked(int tid)
{
	int left = atomic_load_explicit(&reserved, memory_order_relaxed);

	for (long fd = next_reserved(0, &left); fd >= 0; fd = next_reserved(fd + 1, &left))
		if (vos_fd(fd) != VOS_WORD_RESERVED(tid))
			give_back(fd);
}

void vos_fd_reserved_end(void)
{
	int left = atomic_load_explicit(&reserved, memory_order_relaxed);

	for (long fd = next_reserved(0, &left); fd >= 0; fd = next_reserved(fd + 1, &left))
		vos_raw3(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
}
