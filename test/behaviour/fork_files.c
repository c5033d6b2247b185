/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* fork() with open tree files: one offset, separate closes, grandchildren, many children. */
#include "t.h"

static void shared_offset(void)
{
	char buf[8] = "";
	int fd = TRY(open(P("f"), O_RDWR));
	pid_t pid;

	SHOW(read(fd, buf, 3));
	pid = fork();
	if (!pid) {
		SHOW(lseek(fd, 0, SEEK_CUR));
		SHOW(read(fd, buf, 2));
		printf("child read %.2s\n", buf);
		SHOW(lseek(fd, 7, SEEK_SET));
		_exit(t_failed);
	}
	t_wait("child", pid);
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(read(fd, buf, 1));
	printf("parent read %.1s\n", buf);
	pid = fork();
	if (!pid) {
		SHOW(write(fd, "CC", 2));
		SHOW(close(fd));
		SHOW(write(fd, "x", 1));
		_exit(t_failed);
	}
	t_wait("child", pid);
	SHOW(lseek(fd, 0, SEEK_CUR));
	close(fd);
	t_cat("file", P("f"));
}

/* Each side's close is its own; the description lives while somebody has it. */
static void separate_closes(void)
{
	int p[2];
	char c = 0;
	pid_t pid;
	int fd = TRY(open(P("f"), O_RDONLY));

	MUST(pipe(p) == 0);
	pid = fork();
	if (!pid) {
		close(p[1]);
		/* Until the parent has closed its own. */
		SHOW(read(p[0], &c, 1));
		SHOW(read(fd, &c, 1));
		printf("child still reads %c\n", c);
		_exit(t_failed);
	}
	SHOW(close(fd));
	close(p[0]);
	close(p[1]);
	t_wait("child", pid);
	SHOW(read(fd, &c, 1));
}

static void in_child_only(void)
{
	pid_t pid = fork();
	int fd;

	if (!pid) {
		fd = TRY(open(P("child"), O_WRONLY | O_CREAT, 0644));
		SHOW(write(fd, "by the child", 12));
		_exit(t_failed);
	}
	t_wait("child", pid);
	t_cat("made", P("child"));
	SHOW(fcntl(3, F_GETFD));
}

static void generations(void)
{
	int fd = TRY(open(P("log"), O_WRONLY | O_CREAT | O_TRUNC, 0644));

	for (int depth = 0; depth < 5; depth++) {
		pid_t pid = fork();
		char c = (char)('a' + depth);
		int status;

		MUST(pid >= 0);
		if (pid) {
			MUST(waitpid(pid, &status, 0) == pid);
			CHECK(status == 0);
			if (depth)
				_exit(t_failed);
			break;
		}
		MUST(write(fd, &c, 1) == 1);
		if (depth == 4)
			_exit(t_failed);
	}
	close(fd);
	t_cat("five generations", P("log"));
}

static void many(void)
{
	int fd = TRY(open(P("many"), O_RDWR | O_CREAT | O_TRUNC, 0644));
	pid_t pid[50];
	int good = 0;
	int status;

	for (int i = 0; i < 50; i++) {
		pid[i] = fork();
		MUST(pid[i] >= 0);
		if (!pid[i]) {
			char text[16];
			int own;

			snprintf(text, sizeof(text), "%08d", i);
			MUST(pwrite(fd, text, 8, i * 8) == 8);
			own = open(P("many"), O_RDONLY);
			MUST(pread(own, text + 8, 8, i * 8) == 8);
			_exit(memcmp(text, text + 8, 8) ? 1 : 0);
		}
	}
	for (int i = 0; i < 50; i++)
		good += waitpid(pid[i], &status, 0) == pid[i] && status == 0;
	printf("%d of 50 children\n", good);
	close(fd);
	t_cat("many", P("many"));
}

int main(void)
{
	t_start();
	t_puts(P("f"), "0123456789");
	shared_offset();
	separate_closes();
	in_child_only();
	generations();
	many();
	return t_end();
}
