/* SPDX-License-Identifier: MIT */
/*
 * A program that makes calls of all kinds, for a hostile service to answer. It is built with
 * sanitizers, as is the library that is preloaded into it, and goes by what calls answer as
 * programs do: it walks directories, lists and messages, follows the pointers that it has had
 * noted with epoll, believes lengths. Any call may fail. None may answer what no kernel would, nor
 * touch memory that is not its own, nor hang.
 *
 *	program SECONDS SEED [wait]
 *
 * wait: one call that is never answered, by a service that dies without being noticed.
 * Prints how many calls there were, how many failed, and how many with EPROTO.
 */
#define _GNU_SOURCE
#include "test/fuzz/program.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 3
#define HANG_S	60 /* longer than any call may take here */

static _Atomic unsigned long calls, failed, broken;
static time_t until;
static uint64_t seed;

void breach(const char *call, const char *what)
{
	printf("%s: %s\n", call, what);
	fflush(stdout);
	abort();
}

long answer(const char *call, long r, long most)
{
	calls++;
	if (r < -1 || r > most)
		breach(call, "answers what it cannot");
	if (r < 0) {
		failed++;
		broken += errno == EPROTO;
		if (errno <= 0 || errno > 4095)
			breach(call, "sets an errno that there is not");
	}
	return r;
}

void done_with(int fd)
{
	if (fd >= 0 && close(fd))
		breach("close", "fails");
}

const char *remote_path(void)
{
	static const char *const paths[] = {
		"/remote",	   "/remote/f",	  "/remote/d/../f", "/remote/../remote/x",
		"/remote/long/er", "/remote/./g", "/remote/",
	};

	return PICK(paths);
}

void *exactly(size_t n)
{
	void *p = malloc(n);

	if (!p)
		breach("malloc", "no memory");
	memset(p, 0x5a, n);
	return p;
}

/* --- what there is to try --------------------------------------------------------------------- */

static attempt_fn *const *const groups[] = {
	file_attempts, path_attempts, socket_attempts, waiting_attempts, waiting_attempts,
};

static void try_something(void)
{
	attempt_fn *const *group = PICK(groups);
	unsigned n = 0;

	while (group[n])
		n++;
	group[below(n)]();
}

/* A child goes on with what its parent had, or finds it dead. */
static void try_fork(void)
{
	int status, fd = open(remote_path(), O_RDWR);
	pid_t pid = fork();

	if (!pid) {
		char c;

		alarm(HANG_S);
		answer("read in a child", read(fd, &c, 1), 1);
		answer("open in a child", open(remote_path(), O_RDONLY), 1 << 20);
		_exit(0);
	}
	done_with(fd);
	if (pid > 0 && (waitpid(pid, &status, 0) != pid || status))
		breach("fork", "the child has not ended well");
}

static void *worker(void *arg)
{
	uintptr_t number = (uintptr_t)arg;

	random_seed(seed * 100 + number);
	while (time(NULL) < until) {
		if (!number && !below(200))
			try_fork();
		else
			try_something();
	}
	return NULL;
}

/* --- one call that nobody answers ------------------------------------------------------------- */

static int wait_for_nothing(void)
{
	time_t start = time(NULL);
	int fd;

	alarm(HANG_S);
	fd = open("/remote/f", O_RDONLY);
	printf("open ended after %ld s: %s\n", (long)(time(NULL) - start),
	       fd < 0 ? strerror(errno) : "it worked");
	return fd >= 0;
}

int main(int argc, char **argv)
{
	pthread_t t[THREADS];

	if (argc < 3)
		return 2;
	seed = strtoull(argv[2], NULL, 10);
	until = time(NULL) + atoi(argv[1]);
	if (argc > 3)
		return wait_for_nothing();
	signal(SIGPIPE, SIG_IGN);
	alarm((unsigned)atoi(argv[1]) + HANG_S);
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, worker, (void *)i))
			breach("pthread_create", "no thread");
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	printf("%lu calls, %lu failed, %lu of them with EPROTO\n", calls, failed, broken);
	/* Else there was no service, or it was not hostile. */
	return failed > calls / 2 || !broken;
}
