/* SPDX-License-Identifier: MIT */
/*
 * For confined.sh: a program whose filter kills it for whatever it has not allowed itself, while the
 * domains of its descriptors die. Usage: confined FILE; told by a line on standard input that they
 * are dead.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), BPF_STMT(BPF_RET, 0x7fff0000)

#define MUST(cond)                     \
	do {                           \
		if (!(cond)) {         \
			perror(#cond); \
			exit(2);       \
		}                      \
	} while (0)

static int pair[2], idle[2], gone[2]; /* connections */
static int done[2];		      /* a pipe: who has been woken says what it saw */
static int failed;

static void say(const char *what, bool good)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %s\n", good ? "ok" : "WRONG", what);

	failed |= !good;
	if (write(1, line, (size_t)n) != n)
		_exit(3);
}

static void lock_down(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		ALLOW(SYS_read),
		ALLOW(SYS_write),
		ALLOW(SYS_poll),
		ALLOW(SYS_futex),
		ALLOW(SYS_close),
		ALLOW(SYS_rt_sigprocmask), /* threads of libc could not even end without */
		ALLOW(SYS_rt_sigreturn),
		ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = { sizeof(f) / sizeof(f[0]), f };

	MUST(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog));
}

static void connection(int sv[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	MUST(l >= 0 && !bind(l, (struct sockaddr *)&a, n) && !listen(l, 1));
	MUST(!getsockname(l, (struct sockaddr *)&a, &n));
	sv[0] = socket(AF_INET, SOCK_STREAM, 0);
	MUST(sv[0] >= 0 && !connect(sv[0], (struct sockaddr *)&a, n));
	sv[1] = accept(l, NULL, NULL);
	MUST(sv[1] >= 0);
	close(l);
}

static void started(void)
{
	int tid = (int)syscall(SYS_gettid);

	MUST(write(done[1], &tid, sizeof(tid)) == sizeof(tid));
}

/* What a thread sleeps in goes on, whatever the filter thinks of it. */
static void wait_for_sleep(void)
{
	char name[64], text[512], *state;
	int tid, fd;

	MUST(read(done[0], &tid, sizeof(tid)) == sizeof(tid));
	snprintf(name, sizeof(name), "/proc/self/task/%d/stat", tid);
	for (int asleep = 0; asleep < 5; asleep++) {
		poll(NULL, 0, 2);
		fd = open(name, O_RDONLY);
		MUST(fd >= 0 && read(fd, text, sizeof(text)) > 0);
		close(fd);
		state = strrchr(text, ')');
		MUST(state);
		if (state[2] != 'S')
			asleep = -1;
	}
}

/* Threads do not end: that takes calls of its own. */
static void told(char c)
{
	if (write(done[1], &c, 1) != 1)
		_exit(3);
	for (;;)
		poll(NULL, 0, -1);
}

static void *reader(void *arg)
{
	char c;
	long r;

	poll(&(struct pollfd){ idle[0], POLLIN, 0 }, 1, 0); /* has its lane */
	started();
	r = read(idle[0], &c, 1);
	told(r == -1 && errno == ECONNRESET ? 'r' : '?');
	return arg;
}

/* @arg: it has slept in poll() before. */
static void *poller(void *arg)
{
	struct pollfd p = { idle[0], POLLIN, 0 };
	int r = poll(&p, 1, arg ? 1 : 0);

	started();
	r = poll(&p, 1, -1);
	told(r == 1 && p.revents == (POLLERR | POLLHUP) ? 'p' : '?');
	return arg;
}

static void alive(int file)
{
	char c;

	say("read of a file", read(file, &c, 1) == 1 && c == 'a');
	say("write to a connection", write(pair[0], "x", 1) == 1);
	say("read from a connection", read(pair[1], &c, 1) == 1 && c == 'x');
	say("nothing to read", poll(&(struct pollfd){ pair[1], POLLIN, 0 }, 1, 20) == 0);
	while (write(gone[0], "x", 1) == 1)
		poll(NULL, 0, 1);
	say("EPIPE", errno == EPIPE);
}

static void dead(int file)
{
	struct pollfd p = { pair[1], POLLIN, 0 };
	char c;

	for (int i = 0; i < 2; i++) {
		say("read of a dead file", read(file, &c, 1) == -1 && errno == EIO);
		say("write to a dead connection",
		    write(pair[0], "x", 1) == -1 && errno == ECONNRESET);
		say("poll of a dead connection",
		    poll(&p, 1, -1) == 1 && p.revents == (POLLERR | POLLHUP));
	}
	say("close", !close(file) && !close(pair[0]));
}

int main(int argc, char **argv)
{
	static void *(*const fn[])(void *) = { reader, poller, poller };
	char seen[3] = "", c;
	pthread_t t;
	int file;

	MUST(argc == 2);
	file = open(argv[1], O_RDWR);
	MUST(file >= 0 && !pipe(done));
	connection(pair);
	connection(idle);
	connection(gone);
	close(gone[1]);
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(fn) / sizeof(fn[0]); i++) {
		MUST(!pthread_create(&t, NULL, fn[i], i == 1 ? &t : NULL));
		wait_for_sleep();
	}
	lock_down();
	alive(file);
	say("ready", true);
	if (read(0, &c, 1) != 1)
		_exit(3);
	dead(file);
	for (size_t i = 0; i < sizeof(seen); i++)
		if (read(done[0], &seen[i], 1) != 1)
			_exit(3);
	say("who slept was woken",
	    memchr(seen, 'r', 3) && memchr(seen, 'p', 3) && !memchr(seen, '?', 3));
	_exit(failed);
}
