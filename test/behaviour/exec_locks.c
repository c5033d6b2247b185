/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * POSIX record locks over exec: they are the process's and stay, but for files of which exec closes
 * a descriptor. And what an exec that fails leaves as it was.
 */
#include "net.h"
#include <spawn.h>

extern char **environ;

static int lock(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock fl = { .l_type = (short)type, .l_start = start, .l_len = len };

	return fcntl(fd, cmd, &fl);
}

/* Which bytes of a file are locked, and by whom, as another process sees it. */
static void look(const char *label, const char *name, pid_t holder)
{
	int fd = open(name, O_RDWR);

	printf("%s:", label);
	for (off_t i = 0; i < 10; i++) {
		struct flock fl = { .l_type = F_WRLCK, .l_start = i, .l_len = 1 };

		CHECK(fcntl(fd, F_GETLK, &fl) == 0);
		CHECK(fl.l_type == F_UNLCK || fl.l_pid == holder);
		printf(" %s", fl.l_type == F_UNLCK ? "-" : fl.l_type == F_RDLCK ? "r" : "w");
	}
	printf("\n");
	close(fd);
}

/* The holder says when it is ready, and goes on when it is told to. */
static void step(const int to[2], const int from[2])
{
	char c;

	MUST(write(to[1], "x", 1) == 1);
	MUST(read(from[0], &c, 1) == 1);
}

static int image(char **argv)
{
	int kept = atoi(argv[2]);
	const int to[2] = { -1, atoi(argv[3]) };
	const int from[2] = { atoi(argv[4]), -1 };
	bool first = !strcmp(argv[1], "first");

	setvbuf(stdout, NULL, _IOLBF, 4096);
	step(to, from);
	/* The same owner: its locks are no obstacle, and can be taken back. */
	SHOW(lock(kept, F_SETLK, F_WRLCK, 4, 2));
	SHOW(lock(kept, F_SETLK, F_UNLCK, 0, 2));
	step(to, from);
	if (first) {
		argv[1] = "second";
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	close(open(P("kept"), O_RDONLY));
	step(to, from);
	SHOW(lock(kept, F_SETLK, F_WRLCK, 7, 1));
	step(to, from);
	return t_failed;
}

static void holder(const int to[2], const int from[2])
{
	int kept = open(P("kept"), O_RDWR);
	int closed = open(P("closed"), O_RDWR | O_CLOEXEC);
	int twice = open(P("twice"), O_RDWR);
	char text[3][16];
	char *argv[] = { "image", "first", text[0], text[1], text[2], NULL };

	MUST(open(P("twice"), O_RDONLY | O_CLOEXEC) >= 0);
	snprintf(text[0], sizeof(text[0]), "%d", kept);
	snprintf(text[1], sizeof(text[1]), "%d", to[1]);
	snprintf(text[2], sizeof(text[2]), "%d", from[0]);
	MUST(lock(kept, F_SETLK, F_WRLCK, 0, 3) == 0);
	MUST(lock(kept, F_SETLK, F_RDLCK, 3, 3) == 0);
	MUST(lock(closed, F_SETLK, F_WRLCK, 0, 0) == 0);
	MUST(lock(twice, F_SETLK, F_WRLCK, 0, 0) == 0);
	step(to, from);
	SHOW(execv(P("none"), argv));
	step(to, from);
	execv("/proc/self/exe", argv);
	_exit(127);
}

static void await(const int to[2], pid_t pid, const char *label)
{
	char c;

	MUST(read(to[0], &c, 1) == 1);
	printf("-- %s\n", label);
	look("kept", P("kept"), pid);
	look("closed", P("closed"), pid);
	look("twice", P("twice"), pid);
}

static void locks(void)
{
	static const char *const labels[] = {
		"before",
		"after an exec that failed",
		"exec",
		"some given back",
		"exec again",
		"and given back",
		"a descriptor closed",
		"a new one",
	};
	int to[2];
	int from[2];
	pid_t pid;
	int fd;

	t_puts(P("kept"), "0123456789");
	t_puts(P("closed"), "0123456789");
	t_puts(P("twice"), "0123456789");
	fd = open(P("kept"), O_RDWR | O_CLOEXEC);
	MUST(pipe(to) == 0 && pipe(from) == 0);
	pid = fork();
	if (!pid) {
		holder(to, from);
		_exit(1);
	}
	for (unsigned int i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		await(to, pid, labels[i]);
		MUST(write(from[1], "x", 1) == 1);
	}
	t_wait("holder", pid);
	/* Soon: who keeps the locks may have to hear of its end first. */
	for (int i = 0; i < 500 && lock(fd, F_SETLK, F_WRLCK, 0, 0); i++)
		t_sleep_ms(10);
	SHOW(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	close(fd);
	look("at the end", P("kept"), pid);
	for (int i = 0; i < 2; i++) {
		close(to[i]);
		close(from[i]);
	}
}

/* A child does not inherit locks, however it is made, and its end takes none away. */
static void children(void)
{
	int fd = open(P("kept"), O_RDWR);
	char *argv[] = { "image", "child", NULL };
	pid_t pid;

	MUST(lock(fd, F_SETLK, F_WRLCK, 0, 4) == 0);
	MUST(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) == 0);
	t_wait("spawned", pid);
	pid = fork();
	if (!pid) {
		argv[1] = "child";
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	t_wait("forked", pid);
	pid = fork();
	if (!pid) {
		look("from a child", P("kept"), getppid());
		_exit(t_failed);
	}
	t_wait("child", pid);
	close(fd);
}

/* What was open when an exec failed is closed by close(). */
static void failed_exec(void)
{
	struct sockaddr_in sa;
	int listener = net_listen(&sa);
	int again = socket(AF_INET, SOCK_STREAM, 0);
	char *argv[] = { "none", NULL };

	SHOW(execv(P("none"), argv));
	SHOW(execv("/none", argv));
	SHOW(bind(again, (struct sockaddr *)&sa, sizeof(sa)));
	close(listener);
	SHOW(bind(again, (struct sockaddr *)&sa, sizeof(sa)));
	close(again);
}

int main(int argc, char **argv)
{
	if (argc == 2) {
		setvbuf(stdout, NULL, _IOLBF, 4096);
		look("spawned sees", P("kept"), getppid());
		return t_failed;
	}
	if (argc > 1)
		return image(argv);
	t_start();
	locks();
	children();
	failed_exec();
	return t_end();
}
