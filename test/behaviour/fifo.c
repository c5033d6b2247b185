/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* A named pipe in the tree: blocking open, two processes, non-blocking ends, end of file. */
#include "t.h"
#include <poll.h>

int main(void)
{
	struct pollfd p = { .events = POLLIN };
	char buf[16] = "";
	int64_t start;
	pid_t pid;
	int fd;
	int wfd;

	t_start();
	SHOW(mkfifo(P("fifo"), 0600));
	TRY(open(P("fifo"), O_WRONLY | O_NONBLOCK));
	fd = TRY(open(P("fifo"), O_RDONLY | O_NONBLOCK));
	SHOW(read(fd, buf, 1));
	wfd = TRY(open(P("fifo"), O_WRONLY | O_NONBLOCK));
	SHOW(read(fd, buf, 1));
	SHOW(write(wfd, "direct", 6));
	p.fd = fd;
	SHOW(poll(&p, 1, 1000));
	SHOW(read(fd, buf, 16));
	SHOW(lseek(fd, 0, SEEK_SET));
	close(wfd);
	SHOW(read(fd, buf, 1));
	close(fd);

	start = t_ms();
	pid = fork();
	if (!pid) {
		t_sleep_ms(60);
		wfd = open(P("fifo"), O_WRONLY);
		MUST(write(wfd, "from the child", 14) == 14);
		_exit(t_failed);
	}
	/* Waits here for the writer. */
	fd = TRY(open(P("fifo"), O_RDONLY));
	TOOK(start, 40, 5000);
	SHOW(read(fd, buf, 14));
	printf("%.14s\n", buf);
	SHOW(read(fd, buf, 1));
	close(fd);
	t_wait("child", pid);
	return t_end();
}
