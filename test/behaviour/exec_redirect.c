/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* fork and exec of unmodified programs with their streams in the tree, and pipelines of them. */
#include "t.h"

static void move(int fd, int to)
{
	if (fd == to)
		return;
	MUST(dup2(fd, to) == to);
	close(fd);
}

static pid_t start(char **argv, int in, int out)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (in >= 0)
		move(in, 0);
	if (out >= 0)
		move(out, 1);
	execvp(argv[0], argv);
	_exit(127);
}

static void streams(void)
{
	char *cat[] = { "cat", NULL };
	char *missing[] = { "no-such-program", NULL };
	int in = TRY(open(P("in"), O_RDONLY));
	int out = TRY(open(P("out"), O_WRONLY | O_CREAT | O_TRUNC, 0644));

	t_wait("cat", start(cat, in, out));
	SHOW(lseek(in, 0, SEEK_CUR));
	SHOW(lseek(out, 0, SEEK_CUR));
	t_cat("out", P("out"));
	/* A second writer goes on where the first ended. */
	MUST(lseek(in, -4, SEEK_END) > 0);
	t_wait("cat again", start(cat, in, out));
	t_cat("out", P("out"));
	t_wait("missing", start(missing, in, out));
	close(in);
	close(out);
}

static void pipeline(void)
{
	char *cat[] = { "cat", (char *)P("in"), NULL };
	char *sort[] = { "sort", "-r", NULL };
	char *head[] = { "head", "-n", "2", NULL };
	int out = TRY(open(P("sorted"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
	pid_t pid[3];
	int a[2];
	int b[2];

	MUST(pipe2(a, O_CLOEXEC) == 0 && pipe2(b, O_CLOEXEC) == 0);
	pid[0] = start(cat, -1, a[1]);
	pid[1] = start(sort, a[0], b[1]);
	pid[2] = start(head, b[0], out);
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
	close(out);
	for (int i = 0; i < 3; i++)
		t_wait("stage", pid[i]);
	t_cat("sorted", P("sorted"));
}

static void closed_standard(void)
{
	char *sh[] = { "sh", "-c", "echo to stdout; echo lost >&2", NULL };
	int fd;
	pid_t pid;

	/* With 0 closed, the next file gets number 0 and is the program's input. */
	pid = fork();
	if (!pid) {
		close(0);
		MUST(open(P("in"), O_RDONLY) == 0);
		close(1);
		MUST(open(P("numbered"), O_WRONLY | O_CREAT | O_TRUNC, 0644) == 1);
		execlp("cat", "cat", NULL);
		_exit(127);
	}
	t_wait("numbered", pid);
	t_cat("numbered", P("numbered"));
	fd = open(P("errors"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	pid = fork();
	if (!pid) {
		dup2(fd, 1);
		dup2(fd, 2);
		close(fd);
		execvp(sh[0], sh);
		_exit(127);
	}
	t_wait("sh", pid);
	close(fd);
	t_cat("errors", P("errors"));
}

int main(void)
{
	t_start();
	t_puts(P("in"), "one\ntwo\nthree\nfour\n");
	streams();
	pipeline();
	closed_standard();
	return t_end();
}
