/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Processes that wait for each other's record locks: the one who would close the circle is told. */
#include "t.h"
#include <signal.h>

#define MAX 12

static int lock(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock fl = { .l_type = (short)type, .l_start = start, .l_len = len };

	return fcntl(fd, cmd, &fl);
}

/* Does process @pid wait for a lock? It sleeps in its call, whoever makes that. */
static bool asleep(pid_t pid)
{
	char name[64];
	char line[512] = "";
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	f = fopen(name, "r");
	MUST(f && fgets(line, sizeof(line), f));
	fclose(f);
	return strrchr(line, ')')[2] == 'S';
}

static void await_sleep(pid_t pid)
{
	int times = 0;

	/* For a while: the call may sleep on its way, too. */
	while (times < 15) {
		times = asleep(pid) ? times + 1 : 0;
		t_sleep_ms(2);
	}
}

struct part {
	pid_t pid;
	int go[2], done[2];
};

/* Holds byte @mine of one file and, when told to, waits for byte @other of another one. */
static void start(struct part *p, const char *a, off_t mine, int type, const char *b, off_t other)
{
	char c;

	MUST(pipe(p->go) == 0 && pipe(p->done) == 0);
	p->pid = fork();
	if (!p->pid) {
		int fd = open(a, O_RDWR);
		int to = open(b, O_RDWR);
		int r;

		MUST(lock(fd, F_SETLK, type, mine, 1) == 0);
		MUST(write(p->done[1], "h", 1) == 1);
		MUST(read(p->go[0], &c, 1) == 1);
		r = lock(to, F_SETLKW, F_WRLCK, other, 1);
		c = (char)(r ? errno : 0);
		MUST(write(p->done[1], &c, 1) == 1);
		/* With its end, or the lock given back, the one before goes on. */
		_exit(0);
	}
	MUST(read(p->done[0], &c, 1) == 1);
}

static void go(struct part *p)
{
	MUST(write(p->go[1], "g", 1) == 1);
}

static int end(struct part *p)
{
	char c = 'x';

	MUST(read(p->done[0], &c, 1) == 1);
	MUST(waitpid(p->pid, NULL, 0) == p->pid);
	for (int i = 0; i < 2; i++) {
		close(p->go[i]);
		close(p->done[i]);
	}
	return c;
}

/* It is one, whoever came last; all others get what they have waited for. */
static void end_all(struct part *p, int n)
{
	int told = 0;
	int got = 0;

	for (int i = n - 1; i >= 0; i--) {
		int err = end(&p[i]);

		told += err == EDEADLK;
		got += err == 0;
	}
	printf("%d EDEADLK, %d locks\n", told, got);
}

/* Each holds a byte of its own and waits for that of the next one. */
static void circle(int n, const char *a, const char *b)
{
	struct part p[MAX];

	printf("-- %d of them\n", n);
	for (int i = 0; i < n; i++)
		start(&p[i], i % 2 ? b : a, i, F_WRLCK, (i + 1) % n % 2 ? b : a, (i + 1) % n);
	for (int i = 0; i < n - 1; i++) {
		go(&p[i]);
		await_sleep(p[i].pid);
	}
	go(&p[n - 1]);
	end_all(p, n);
}

/* A chain that ends with somebody who does not wait is none. */
static void chain(const char *a)
{
	struct part p[3];

	printf("-- a chain\n");
	start(&p[0], a, 0, F_WRLCK, a, 1);
	start(&p[1], a, 1, F_WRLCK, a, 2);
	start(&p[2], a, 2, F_WRLCK, a, 5);
	go(&p[0]);
	await_sleep(p[0].pid);
	go(&p[1]);
	await_sleep(p[1].pid);
	go(&p[2]);
	end_all(p, 3);
}

/* Two who share a lock both want it for themselves. */
static void upgrade(const char *a)
{
	struct part p[2];

	printf("-- upgrade\n");
	start(&p[0], a, 0, F_RDLCK, a, 0);
	start(&p[1], a, 0, F_RDLCK, a, 0);
	go(&p[0]);
	await_sleep(p[0].pid);
	go(&p[1]);
	end_all(p, 2);
}

/* Who has given up does not wait any more. */
static void given_up(const char *a)
{
	struct part p[2];
	int status;

	printf("-- given up\n");
	start(&p[0], a, 0, F_WRLCK, a, 1);
	start(&p[1], a, 1, F_WRLCK, a, 0);
	go(&p[0]);
	await_sleep(p[0].pid);
	MUST(kill(p[0].pid, SIGKILL) == 0);
	MUST(waitpid(p[0].pid, &status, 0) == p[0].pid);
	printf("%s\n", t_status(status));
	go(&p[1]);
	printf("%s\n", t_errname(end(&p[1])));
	for (int i = 0; i < 2; i++) {
		close(p[0].go[i]);
		close(p[0].done[i]);
	}
}

int main(void)
{
	t_start();
	t_puts(P("a"), "a");
	t_puts(P("b"), "b");
	circle(2, P("a"), P("a"));
	circle(2, P("a"), P("b"));
	circle(3, P("a"), P("b"));
	circle(6, P("a"), P("b"));
	chain(P("a"));
	upgrade(P("a"));
	given_up(P("a"));
	return t_end();
}
