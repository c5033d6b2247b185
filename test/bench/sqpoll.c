/* SPDX-License-Identifier: MIT */
/*
 * The nearest relative to compare with: a kernel thread that polls a ring for requests, with all
 * that it offers (a registered file, a registered buffer). Without liburing there is none.
 */
#define _GNU_SOURCE
#include "bench.h"

#ifdef HAVE_LIBURING
#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>

#define IDLE_MS 1

static struct io_uring ring;
static char buf[BENCH_DATA] __attribute__((aligned(4096)));

bool sqpoll_start(struct cpus cpus, int fd)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF,
				     .sq_thread_cpu = (unsigned)cpus.theirs,
				     .sq_thread_idle = IDLE_MS };
	struct iovec iov = { buf, sizeof(buf) };
	/* By its handle: under the library the name itself finds no io_uring. */
	void *h = dlopen("liburing.so.2", RTLD_LAZY | RTLD_NOLOAD);
	int (*init)(unsigned, struct io_uring *, struct io_uring_params *) =
		h ? dlsym(h, "io_uring_queue_init_params") : NULL;

	if (!init)
		die("liburing", -ENOENT);
	if (init(8, &ring, &p))
		return false;
	return !io_uring_register_files(&ring, &fd, 1) &&
	       !io_uring_register_buffers(&ring, &iov, 1);
}

void sqpoll_rest(void)
{
	for (int i = 0; i < 10000; i++) {
		if (__atomic_load_n(ring.sq.kflags, __ATOMIC_ACQUIRE) & IORING_SQ_NEED_WAKEUP)
			return;
		nap(IDLE_MS * 1000000 / 2);
	}
	die("the poller does not go to sleep", 0);
}

static void run_one(int expect)
{
	struct io_uring_cqe *cqe;
	int res;

	io_uring_submit(&ring);
	while (io_uring_peek_cqe(&ring, &cqe))
		relax();
	res = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	if (res != expect)
		die("io_uring", res);
}

void sqpoll_nop(size_t size, int n)
{
	(void)size;
	while (n--) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		io_uring_prep_nop(sqe);
		run_one(0);
	}
}

void sqpoll_read(size_t size, int n)
{
	while (n--) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		io_uring_prep_read_fixed(sqe, 0, buf, (unsigned)size, 0, 0);
		sqe->flags |= IOSQE_FIXED_FILE;
		run_one((int)size);
	}
}

#else

bool sqpoll_start(struct cpus cpus, int fd)
{
	(void)cpus, (void)fd;
	return false;
}

void sqpoll_rest(void)
{
}

void sqpoll_nop(size_t size, int n)
{
	(void)size, (void)n;
}

void sqpoll_read(size_t size, int n)
{
	(void)size, (void)n;
}

#endif
