/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* POSIX asynchronous I/O on tree files, which libc does with threads of its own. */
#include "t.h"
#include <aio.h>
#include <signal.h>

enum { BLOCKS = 16, SIZE = 4096 };

static char out[BLOCKS][SIZE];
static char in[BLOCKS][SIZE];

static int finish(struct aiocb *cb)
{
	const struct aiocb *list[] = { cb };

	while (aio_error(cb) == EINPROGRESS)
		aio_suspend(list, 1, NULL);
	return aio_error(cb) ? -aio_error(cb) : (int)aio_return(cb);
}

int main(void)
{
	struct aiocb cb[BLOCKS];
	struct aiocb *list[BLOCKS];
	struct aiocb bad = { .aio_fildes = 400, .aio_buf = in, .aio_nbytes = 1 };
	int good = 0;
	int fd;

	t_start();
	fd = TRY(open(P("f"), O_RDWR | O_CREAT, 0644));
	memset(cb, 0, sizeof(cb));
	for (int i = 0; i < BLOCKS; i++) {
		t_fill(out[i], SIZE, (unsigned int)i * 7);
		cb[i].aio_fildes = fd;
		cb[i].aio_buf = out[i];
		cb[i].aio_nbytes = SIZE;
		cb[i].aio_offset = (off_t)i * SIZE;
		MUST(aio_write(&cb[i]) == 0);
	}
	for (int i = 0; i < BLOCKS; i++)
		good += finish(&cb[i]) == SIZE;
	printf("%d written\n", good);
	SHOW(aio_fsync(O_SYNC, &cb[0]));
	SHOW(finish(&cb[0]));
	for (int i = 0; i < BLOCKS; i++) {
		cb[i].aio_buf = in[i];
		cb[i].aio_lio_opcode = LIO_READ;
		list[i] = &cb[i];
	}
	SHOW(lio_listio(LIO_WAIT, list, BLOCKS, NULL));
	CHECK(!memcmp(in, out, sizeof(in)));
	SHOW(aio_read(&bad));
	SHOW(finish(&bad));
	SHOW(lseek(fd, 0, SEEK_END));
	close(fd);
	t_cat("file", P("f"));
	return t_end();
}
