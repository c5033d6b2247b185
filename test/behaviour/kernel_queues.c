/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * A program that reads by liburing or libaio, and by itself where the kernel has neither. What it
 * reads is the file's content in each case: no queue gets hold of a descriptor that means another.
 */
#include "net.h"

#include <libaio.h>
#include <liburing.h>
#include <sys/syscall.h>

static int fd;

static bool by_uring(char *buf, size_t n)
{
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int r = io_uring_queue_init(4, &ring, 0);

	if (r < 0)
		return false;
	io_uring_prep_read(io_uring_get_sqe(&ring), fd, buf, (unsigned)n, 0);
	CHECK(io_uring_submit(&ring) == 1);
	MUST(io_uring_wait_cqe(&ring, &cqe) == 0);
	CHECK(cqe->res == (int)n);
	io_uring_queue_exit(&ring);
	return true;
}

static bool by_aio(char *buf, size_t n)
{
	io_context_t context = NULL;
	struct io_event done;
	struct iocb cb, *list = &cb;

	if (io_setup(4, &context) < 0)
		return false;
	io_prep_pread(&cb, fd, buf, n, 0);
	MUST(io_submit(context, 1, &list) == 1);
	MUST(io_getevents(context, 1, 1, &done, NULL) == 1);
	CHECK(done.res == n);
	io_destroy(context);
	return true;
}

static void show(const char *how, bool (*read_by)(char *, size_t))
{
	char buf[21] = "";

	if (!read_by(buf, 20))
		CHECK(pread(fd, buf, 20, 0) == 20);
	printf("%s: %s\n", how, buf);
}

int main(void)
{
	struct io_uring_params p = { .flags = 0 };
	unsigned long context = 0;
	long r;

	t_start();
	fd = TRY(open(P("f"), O_RDWR | O_CREAT, 0644));
	MUST(write(fd, "twenty bytes of data", 20) == 20);
	show("liburing", by_uring);
	show("libaio", by_aio);

	r = syscall(SYS_io_uring_setup, 4, &p);
	CHECK(r >= 0 || errno == ENOSYS || errno == EPERM);
	if (r >= 0)
		close((int)r);
	r = syscall(SYS_io_setup, 4, &context);
	CHECK(r == 0 || errno == ENOSYS);
	if (!r)
		syscall(SYS_io_destroy, context);
	close(fd);
	return t_end();
}
