/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * Programs that start with remote descriptors in the first places: as inetd starts them (0 to 2 are
 * a connection or a socket), as a shell does (files), as a service manager does (from 3 on, with
 * LISTEN_FDS).
 */
#include "net.h"
#include <spawn.h>
#include <sys/ioctl.h>
#include <termios.h>

extern char **environ;

static const char *type_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return t_errname(errno);
	return S_ISSOCK(st.st_mode)   ? "socket"
	       : S_ISREG(st.st_mode)  ? "file"
	       : S_ISDIR(st.st_mode)  ? "directory"
	       : S_ISFIFO(st.st_mode) ? "fifo"
	       : S_ISCHR(st.st_mode)  ? "device"
				      : "other";
}

/* On standard output, whatever that is. */
static void describe(FILE *out)
{
	struct termios t;
	struct winsize size;
	long r;

	for (int fd = 0; fd < 3; fd++) {
		fprintf(out, "%d: %s", fd, type_of(fd));
		r = isatty(fd);
		fprintf(out, " isatty %ld %s", r, t_errname(errno));
		r = tcgetattr(fd, &t);
		fprintf(out, " tcgetattr %ld %s", r, t_errname(errno));
		r = ttyname(fd) != NULL;
		fprintf(out, " ttyname %ld %s", r, t_errname(errno));
		r = ioctl(fd, TIOCGWINSZ, &size);
		fprintf(out, " winsize %ld %s", r, t_errname(errno));
		errno = 0;
		r = lseek(fd, 0, SEEK_CUR);
		fprintf(out, " seek %ld %s\n", r, t_errname(errno));
	}
}

/* A service for one connection, in stdio. */
static int serve(void)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	char line[80];

	describe(stdout);
	printf("peer %d", getpeername(0, (struct sockaddr *)&sa, &len));
	printf(" %s\n", inet_ntoa(sa.sin_addr));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		printf("you said %s", line);
		fflush(stdout);
		fprintf(stderr, "aside: %zu\n", strlen(line));
	}
	printf("end of input %d\n", feof(stdin) != 0);
	return 0;
}

/* A service for all connections: 0 listens. */
static int serve_all(int fd)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	int on = 0;
	int conn;

	/* What sd_is_socket_inet() asks. */
	CHECK(!strcmp(type_of(fd), "socket"));
	len = sizeof(on);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &on, &len) == 0 && on == SOCK_STREAM);
	len = sizeof(on);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on == 1);
	len = sizeof(sa);
	CHECK(getsockname(fd, (struct sockaddr *)&sa, &len) == 0 && sa.sin_family == AF_INET);
	conn = accept(fd, NULL, NULL);
	CHECK(write(conn, "served\n", 7) == 7);
	close(conn);
	return t_failed;
}

static int activated(void)
{
	const char *n = getenv("LISTEN_FDS");
	const char *pid = getenv("LISTEN_PID");

	CHECK(n && atoi(n) == 2 && pid && atoi(pid) == getpid());
	CHECK(fcntl(3, F_SETFD, FD_CLOEXEC) == 0);
	CHECK(!strcmp(type_of(4), "file"));
	return serve_all(3);
}

/* Reads words from its input and writes them to its output, each by its own way. */
static int filter(void)
{
	char word[40];
	char again[40] = "";
	FILE *f;
	int fd;

	describe(stderr);
	while (scanf("%39s", word) == 1)
		printf("<%s>", word);
	printf("\n");
	fflush(stdout);
	/* By their other names. */
	f = fopen("/dev/stdin", "r");
	fprintf(stderr, "again: %s\n",
		f && fgets(again, sizeof(again), f) ? again : t_errname(errno));
	if (f)
		fclose(f);
	fd = open("/dev/stdout", O_WRONLY | O_APPEND);
	dprintf(fd, "more\n");
	close(fd);
	fd = open("/proc/self/fd/1", O_WRONLY | O_APPEND);
	dprintf(fd, "and more\n");
	close(fd);
	return 0;
}

static pid_t start(const char *what, int in, int out, int err)
{
	posix_spawn_file_actions_t fa;
	char *argv[] = { "image", (char *)what, NULL };
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, in, 0);
	posix_spawn_file_actions_adddup2(&fa, out, 1);
	posix_spawn_file_actions_adddup2(&fa, err, 2);
	MUST(posix_spawn(&pid, "/proc/self/exe", &fa, NULL, argv, environ) == 0);
	posix_spawn_file_actions_destroy(&fa);
	return pid;
}

static void nowait(void)
{
	struct sockaddr_in sa;
	int listener = net_listen(&sa);
	int client = net_connect(&sa);
	int conn = accept(listener, NULL, NULL);
	char line[1000];
	FILE *f;
	pid_t pid;

	printf("-- a connection\n");
	pid = start("serve", conn, conn, conn);
	close(conn);
	f = fdopen(client, "r");
	MUST(write(client, "hello\nagain\n", 12) == 12);
	shutdown(client, SHUT_WR);
	while (fgets(line, sizeof(line), f))
		fputs(line, stdout);
	t_wait("server", pid);
	fclose(f);
	close(listener);
}

static void wait_style(void)
{
	struct sockaddr_in sa;
	int listener = net_listen(&sa);
	int client = net_connect(&sa);
	char line[100] = "";
	pid_t pid;

	printf("-- a listening socket\n");
	pid = start("all", listener, listener, 1);
	close(listener);
	SHOW(recv(client, line, sizeof(line), 0));
	fputs(line, stdout);
	t_wait("server", pid);
	close(client);
}

static void by_manager(void)
{
	struct sockaddr_in sa;
	int listener = net_listen(&sa);
	int file = open(P("in"), O_RDONLY);
	int client = net_connect(&sa);
	char line[100] = "";
	pid_t pid;

	printf("-- LISTEN_FDS\n");
	pid = fork();
	if (!pid) {
		char *argv[] = { "image", "activated", NULL };
		char number[16];

		snprintf(number, sizeof(number), "%d", (int)getpid());
		setenv("LISTEN_FDS", "2", 1);
		setenv("LISTEN_PID", number, 1);
		/* Out of the way first: they may be 3 and 4 themselves. */
		listener = fcntl(listener, F_DUPFD, 20);
		file = fcntl(file, F_DUPFD, 20);
		dup2(listener, 3);
		dup2(file, 4);
		close_range(5, ~0u, 0);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	close(listener);
	close(file);
	SHOW(recv(client, line, sizeof(line), 0));
	fputs(line, stdout);
	t_wait("server", pid);
	close(client);
}

static void files(void)
{
	int in = open(P("in"), O_RDONLY);
	int out = open(P("out"), O_WRONLY | O_CREAT | O_APPEND, 0644);
	int err = open(P("err"), O_WRONLY | O_CREAT, 0644);

	printf("-- files\n");
	t_wait("filter", start("filter", in, out, err));
	t_cat("out", P("out"));
	close(in);
	close(out);
	close(err);
	MUST(dup2(1, 2) == 2);
	fflush(stdout);
	/* What it said of its own. */
	err = open(P("err"), O_RDONLY);
	for (char buf[500]; (in = (int)read(err, buf, sizeof(buf))) > 0;)
		fwrite(buf, 1, (size_t)in, stdout);
	close(err);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "serve"))
		return serve();
	if (argc > 1 && !strcmp(argv[1], "all"))
		return serve_all(0);
	if (argc > 1 && !strcmp(argv[1], "activated"))
		return activated();
	if (argc > 1)
		return filter();
	t_start();
	t_puts(P("in"), "one two\nthree\n");
	nowait();
	wait_style();
	by_manager();
	files();
	return t_end();
}
