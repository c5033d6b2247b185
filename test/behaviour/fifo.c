/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* A named pipe in the tree: blocking open, two processes, non-blocking ends, end of file. */
#include "t.h"
#include <poll.h>

int main(void)
{
	struct pollfd p = { .events = POLLIN };
	static char big[512 << 10];
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
	/* What is there is enough, also if there is as much as is moved at a time. */
	MUST(fcntl(wfd, F_SETFL, 0) == 0 && fcntl(fd, F_SETFL, 0) == 0);
	SHOW(fcntl(fd, F_SETPIPE_SZ, sizeof(big)));
	SHOW(write(wfd, big, sizeof(big) / 2));
	SHOW(read(fd, big, sizeof(big)));
	SHOW(write(wfd, big, sizeof(big)));
	SHOW(read(fd, big, sizeof(big)));
	MUST(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	close(wfd);
	SHOW(read(fd, buf, 1));
	close(fd);

	start = t_ms();
	pid = fork();
	if (!pid) {
		t_await_sleep(getppid());
		wfd = open(P("fifo"), O_WRONLY);
		MUST(write(wfd, "from the child", 14) == 14);
		_exit(t_failed);
	}
	/* Waits here for the writer. */
	fd = TRY(open(P("fifo"), O_RDONLY));
	TOOK(start, 0, 5000);
	SHOW(read(fd, buf, 14));
	printf("%.14s\n", buf);
	SHOW(read(fd, buf, 1));
	close(fd);
	t_wait("child", pid);
	return t_end();
}
