/* SPDX-License-Identifier: MIT */
/*
 * Queues that a program shares with the kernel, io_uring and io_submit(). They would hand remote
 * descriptors to the local kernel past us, which knows nothing about them. Where anything is
 * forwarded there are none; programs fall back, as on kernels that have none.
 *
 * liburing and libaio make their system calls by themselves, so it is their own names that have to
 * be taken from them. Their results are -errno.
 */
#define _GNU_SOURCE
#include "preload/wrap.h"

#include <dlfcn.h>
#include <sys/syscall.h>

struct io_uring;
struct io_uring_params;

long vos_sys_io_uring_setup(long entries, long params, long a2, long a3, long a4, long a5)
{
	(void)a2, (void)a3, (void)a4, (void)a5;
	if (vos_fdtab.n)
		return -ENOSYS;
	return vos_raw2(SYS_io_uring_setup, entries, params);
}

long vos_sys_io_setup(long n, long context, long a2, long a3, long a4, long a5)
{
	(void)a2, (void)a3, (void)a4, (void)a5;
	if (vos_fdtab.n)
		return -ENOSYS;
	return vos_raw2(SYS_io_setup, n, context);
}

/* --- liburing ------------------------------------------------------------------------------- */

/* A library's own function; NULL: it was loaded where it cannot be found, or refused. */
static void *unless_remote(const char *name)
{
	vos_need_init();
	return vos_fdtab.n ? NULL : dlsym(RTLD_NEXT, name);
}

EXPORT int io_uring_setup(unsigned entries, struct io_uring_params *p)
{
	vos_need_init();
	return (int)vos_sys_io_uring_setup(entries, (long)p, 0, 0, 0, 0);
}

EXPORT int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
	int (*real)(unsigned, struct io_uring *, unsigned) = unless_remote("io_uring_queue_init");

	return real ? real(entries, ring, flags) : -ENOSYS;
}

EXPORT int io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *p)
{
	int (*real)(unsigned, struct io_uring *, struct io_uring_params *) =
		unless_remote("io_uring_queue_init_params");

	return real ? real(entries, ring, p) : -ENOSYS;
}

EXPORT int io_uring_queue_init_mem(unsigned entries, struct io_uring *ring,
				   struct io_uring_params *p, void *buf, size_t size)
{
	int (*real)(unsigned, struct io_uring *, struct io_uring_params *, void *, size_t) =
		unless_remote("io_uring_queue_init_mem");

	return real ? real(entries, ring, p, buf, size) : -ENOSYS;
}

/* --- libaio --------------------------------------------------------------------------------- */

EXPORT int io_setup(int n, void **context)
{
	vos_need_init();
	return (int)vos_sys_io_setup(n, (long)context, 0, 0, 0, 0);
}

EXPORT int io_queue_init(int n, void **context)
{
	if (n <= 0)
		return -EINVAL;
	*context = NULL;
	return io_setup(n, context);
}
