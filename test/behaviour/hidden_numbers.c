/* SPDX-License-Identifier: MIT */
/*
 * The numbers that a program gets are its own: whatever else is open in it, in however many threads,
 * and whether it may have few descriptors or many.
 */
#include "net.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#define THREADS 200

static int sock, ends[2];

/* Two members, so that the thread itself sleeps, after a look that finds nothing. */
static void *sleeper(void *arg)
{
	struct pollfd p[2] = { { sock, POLLIN, 0 }, { ends[0], POLLIN, 0 } };
	const struct timespec little = { 0, 1000000 };

	MUST(ppoll(p, 2, &little, NULL) == 0);
	MUST(write(*(int *)arg, "s", 1) == 1);
	MUST(ppoll(p, 2, NULL, NULL) == 1);
	return NULL;
}

static void many_threads(void)
{
	pthread_t t[THREADS];
	int sv[2], told[2], a, b;
	char c;

	net_tcp_pair(sv);
	sock = sv[0];
	MUST(pipe(ends) == 0 && pipe(told) == 0);
	a = dup(0);
	close(a);
	for (int i = 0; i < THREADS; i++)
		MUST(pthread_create(&t[i], NULL, sleeper, &told[1]) == 0);
	for (int i = 0; i < THREADS; i++)
		MUST(read(told[0], &c, 1) == 1);
	b = dup(0);
	close(b);
	printf("%d threads: next number %s\n", THREADS, a == b ? "as before" : "is another one");
	SHOW(write(sv[1], "x", 1));
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 2; i++)
		close(sv[i]), close(ends[i]), close(told[i]);
}

/* What there is to do with few numbers, and where it ends. */
static int few(void)
{
	int sv[2], p[2], fd, n = 0, status;
	char buf[8] = "";
	pid_t pid;

	t_start();
	fd = open(P("f"), O_RDWR | O_CREAT, 0644);
	MUST(fd >= 0);
	printf("first number: %d\n", fd);
	SHOW(write(fd, "data", 4));
	SHOW(pread(fd, buf, 8, 0));
	net_tcp_pair(sv);
	MUST(pipe(p) == 0);
	pid = fork();
	if (!pid) {
		MUST(write(p[1], "x", 1) == 1);
		_exit(write(sv[1], "x", 1) != 1);
	}
	MUST(waitpid(pid, &status, 0) == pid && !status);
	SHOW(poll((struct pollfd[2]){ { sv[0], POLLIN, 0 }, { p[0], POLLIN, 0 } }, 2, -1));
	for (int i = 0; i < 2; i++)
		close(sv[i]), close(p[i]);
	while (n < 100 && dup(fd) >= 0)
		n++;
	printf("more of them: %s, %s\n",
	       n < 3	 ? "hardly any"
	       : n < 100 ? "some"
			 : "enough",
	       n < 100 ? t_errname(errno) : "no error");
	fflush(stdout);
	_exit(t_failed);
}

/* In a program of its own, which starts with the limit. */
static void with_limit(char *self, rlim_t n)
{
	struct rlimit lim = { n, n };
	pid_t pid = fork();

	if (!pid) {
		/* More than the hard limit only root may have. */
		if (setrlimit(RLIMIT_NOFILE, &lim) && n > 16) {
			getrlimit(RLIMIT_NOFILE, &lim);
			lim.rlim_cur = lim.rlim_max;
			MUST(setrlimit(RLIMIT_NOFILE, &lim) == 0);
		}
		execl(self, self, "few", NULL);
		_exit(2);
	}
	t_wait(n > 16 ? "as many as there can be" : "16", pid);
}

static rlim_t most(void)
{
	FILE *f = fopen("/proc/sys/fs/nr_open", "r");
	unsigned long n = 1 << 20;

	if (f) {
		MUST(fscanf(f, "%lu", &n) == 1);
		fclose(f);
	}
	return n < 1000000000 ? n : 1000000000;
}

int main(int argc, char **argv)
{
	struct rlimit lim;

	if (argc > 1)
		return few();
	t_start();
	MUST(getrlimit(RLIMIT_NOFILE, &lim) == 0);
	lim.rlim_cur = 1024;
	MUST(setrlimit(RLIMIT_NOFILE, &lim) == 0);
	many_threads();
	with_limit(argv[0], 16);
	with_limit(argv[0], most());
	return t_end();
}
