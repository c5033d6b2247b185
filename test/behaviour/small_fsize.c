/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * A program with a small limit of file sizes: the library's own memory files are beyond it, which
 * must cost the program nothing; what it writes within the limit works.
 */
#include "net.h"

#include <sys/resource.h>
#include <sys/wait.h>

/* In a process that has made no remote call: with limits @soft and @hard. */
static void limited(rlim_t soft, rlim_t hard)
{
	struct rlimit l = { soft, hard };
	char buf[8] = "";
	int fd, status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		setrlimit(RLIMIT_FSIZE, &l);
		fd = open(P("f"), O_RDONLY);
		if (fd < 0 || read(fd, buf, 4) != 4 || strcmp(buf, "data") ||
		    getrlimit(RLIMIT_FSIZE, &l) || l.rlim_cur != soft || l.rlim_max != hard)
			_exit(1);
		/* Into the next image, too. */
		dup2(fd, 9);
		execl("/bin/sh", "sh", "-c",
		      "read -r x <\"$VT_DIR/f\" && test \"$x\" = data && test -e /dev/fd/9",
		      (char *)NULL);
		_exit(2);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status))
		printf("signal %d\n", WTERMSIG(status));
	else
		printf("exit status %d\n", WEXITSTATUS(status));
}

int main(void)
{
	int fd;

	t_start();
	fd = TRY(open(P("f"), O_RDWR | O_CREAT, 0644));
	MUST(write(fd, "data\n", 5) == 5);
	close(fd);
	limited(0, RLIM_INFINITY);
	limited(1000, RLIM_INFINITY);
	limited(1000, 1ul << 30);
	return t_end();
}
