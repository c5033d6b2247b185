/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Programs that lie in the tree: scripts and binaries by path, refused ones. */
#include "t.h"
#include <sys/sendfile.h>

static void run(const char *label, const char *path)
{
	pid_t pid = fork();

	if (!pid) {
		execl(path, "prog", "argument", NULL);
		printf("%s: %s\n", label, t_errname(errno));
		_exit(126);
	}
	t_wait(label, pid);
}

/* The program tells which file it is. */
static void exe(const char *label, const char *path)
{
	pid_t pid = fork();

	if (!pid) {
		execl(path, "readlink", "/proc/self/exe", NULL);
		printf("%s: %s\n", label, t_errname(errno));
		_exit(126);
	}
	t_wait(label, pid);
}

int main(void)
{
	int in;
	int out;

	t_start();
	t_puts(P("text"), "no program\n");
	run("not executable", P("text"));
	run("missing", P("none"));
	run("a directory", P("."));
	run("below a file", P("text/x"));
	t_puts(P("script"), "#!/bin/sh\necho script with $1\nexit 5\n");
	MUST(chmod(P("script"), 0755) == 0);
	run("script", P("script"));
	in = open("/bin/echo", O_RDONLY);
	out = open(P("echo"), O_WRONLY | O_CREAT, 0755);
	while (sendfile(out, in, NULL, 1 << 20) > 0)
		;
	close(in);
	close(out);
	run("binary", P("echo"));
	/* By a link: what it leads to is executed, here or there, and by way of both. */
	MUST(symlink("/bin/readlink", P("to-readlink")) == 0);
	exe("a link out", P("to-readlink"));
	MUST(symlink(P("to-readlink"), L("back-in")) == 0 &&
	     symlink(L("back-in"), P("out-and-in")) == 0);
	exe("a link out, in and out", P("out-and-in"));
	MUST(symlink(P("echo"), L("to-echo")) == 0);
	run("a link in", L("to-echo"));
	MUST(symlink(L("to-echo"), P("to-to-echo")) == 0);
	run("a link out and in", P("to-to-echo"));
	MUST(symlink(P("script"), L("to-script")) == 0);
	run("a link to a script", L("to-script"));
	return t_end();
}
