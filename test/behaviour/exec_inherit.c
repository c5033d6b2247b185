/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* exec: what is inherited and what is closed, offsets, cwd, umask, sockets, an empty environment.
 */
#include "net.h"

extern char **environ;

/* The new image: reports on the numbers it was told about. */
static int image(int argc, char **argv)
{
	char cwd[PATH_MAX];
	char buf[16];

	setvbuf(stdout, NULL, _IOLBF, 4096);
	for (int i = 2; i < argc; i++) {
		int fd = atoi(argv[i]);
		struct stat st;
		ssize_t n;

		if (fcntl(fd, F_GETFD) < 0) {
			printf("%s: %s\n", argv[i], t_errname(errno));
			continue;
		}
		memset(buf, 0, sizeof(buf));
		CHECK(fstat(fd, &st) == 0);
		n = S_ISDIR(st.st_mode) ? 0 : read(fd, buf, 4);
		printf("%s: type %o read %zd %s offset %ld\n", argv[i], st.st_mode & S_IFMT, n, buf,
		       (long)lseek(fd, 0, SEEK_CUR));
		if (S_ISDIR(st.st_mode)) {
			int in = openat(fd, "f", O_RDONLY);

			printf("below it: %zd\n", read(in, buf, 4));
			close(in);
		}
	}
	printf("mask %03o\n", umask(0));
	if (getenv("VT_DIR") && getcwd(cwd, sizeof(cwd)))
		printf("cwd %s\n", strcmp(cwd, P("")) ? "elsewhere" : "the tree");
	t_cat("relative", "f");
	return t_failed;
}

static void run(const char *label, int keep, int cloexec, int sock, int dir, char **env)
{
	char a[16];
	char b[16];
	char c[16];
	char d[16];
	char *argv[] = { "image", "image", a, b, c, d, NULL };
	pid_t pid;

	snprintf(a, sizeof(a), "%d", keep);
	snprintf(b, sizeof(b), "%d", cloexec);
	snprintf(c, sizeof(c), "%d", sock);
	snprintf(d, sizeof(d), "%d", dir);
	printf("-- %s\n", label);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		execve("/proc/self/exe", argv, env);
		_exit(127);
	}
	t_wait(label, pid);
}

int main(int argc, char **argv)
{
	char *empty[] = { NULL };
	char *some[] = { "A=b", NULL, NULL };
	char dirvar[PATH_MAX + 16];
	int keep;
	int closed;
	int dir;
	int sv[2];

	if (argc > 1)
		return image(argc, argv);
	t_start();
	t_puts(P("f"), "0123456789abcdef0123");
	keep = TRY(open(P("f"), O_RDONLY));
	closed = TRY(open(P("f"), O_RDONLY | O_CLOEXEC));
	dir = TRY(open(P("."), O_RDONLY | O_DIRECTORY));
	net_tcp_pair(sv);
	MUST(fcntl(sv[0], F_SETFD, FD_CLOEXEC) == 0);
	MUST(send(sv[0], "sockets can also", 16, 0) == 16);
	net_await(sv[1]);
	SHOW(lseek(keep, 2, SEEK_SET));
	MUST(chdir(P("")) == 0);
	umask(027);
	snprintf(dirvar, sizeof(dirvar), "VT_DIR=%s", P(""));
	some[1] = dirvar;
	run("same environment", keep, closed, sv[1], dir, environ);
	SHOW(lseek(keep, 0, SEEK_CUR));
	run("another environment", keep, closed, sv[1], dir, some);
	/* As env -i does: descriptors that are forwarded stay usable. */
	run("no environment", keep, closed, sv[1], dir, empty);
	SHOW(lseek(keep, 0, SEEK_CUR));
	SHOW(lseek(closed, 0, SEEK_CUR));
	MUST(chdir("/") == 0);
	umask(022);
	close(keep);
	close(closed);
	close(dir);
	close(sv[0]);
	close(sv[1]);
	return t_end();
}
