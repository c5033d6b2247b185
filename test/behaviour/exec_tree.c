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
	return t_end();
}
