/* SPDX-License-Identifier: MIT */
/*
 * A hostile client of svcd.
 *
 *	svcd_hostile SOCKET SECONDS SEED [UID [table | scribble | flip]]
 *
 * table: each op with each argument at each limit, once; SECONDS are the time allowed for it.
 * scribble: sessions with random bytes over all of the channel all the time.
 * flip: sessions in which a word of what is posted keeps changing.
 * Otherwise all kinds of sessions and hellos. It fails if svcd does not accept it any more.
 */
#define _GNU_SOURCE
#include "test/fuzz/hostile.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SESSION_S 20 /* no session lasts so long, but may hang */

const char *socket_path;

static void bad_hellos(uint64_t seed) __attribute__((noreturn));
static void bad_hellos(uint64_t seed)
{
	random_seed(seed);
	for (uint64_t i = below(200); i; i--)
		bad_hello();
	_exit(0);
}

static void any_of_them(uint64_t seed)
{
	random_seed(seed);
	switch (below(8)) {
	case 0:
		bad_hellos(seed);
	case 1:
		run_scribbler(seed);
	case 2:
		run_flipper(seed);
	default:
		run_session(seed);
	}
}

/* Each in a process of its own: svcd knows clients by their process. Was it accepted? */
static bool in_child(void (*run)(uint64_t), uint64_t seed, unsigned limit)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(limit);
		run(seed);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("svcd_hostile");
		exit(1);
	}
	return !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_REFUSED;
}

/* All of it or failure: a table that was not gone through to its end shows nothing. */
static int table(uint64_t seed, unsigned limit)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(limit);
		run_table(seed);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		printf("the table was not gone through: %s %d\n",
		       WIFSIGNALED(status) ? "signal" : "exit",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	void (*run)(uint64_t) = any_of_them;
	uint64_t seed, n = 0, refused = 0;
	time_t until;

	if (argc < 4)
		return 2;
	socket_path = argv[1];
	until = time(NULL) + atoi(argv[2]);
	seed = strtoull(argv[3], NULL, 10);
	if (argc > 4 && (setgid((gid_t)atoi(argv[4])) || setuid((uid_t)atoi(argv[4])))) {
		perror("setuid");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	if (argc > 5 && !strcmp(argv[5], "table"))
		return table(seed, (unsigned)atoi(argv[2]));
	if (argc > 5 && !strcmp(argv[5], "scribble"))
		run = run_scribbler;
	if (argc > 5 && !strcmp(argv[5], "flip"))
		run = run_flipper;
	for (; time(NULL) < until; n++)
		refused += !in_child(run, seed + n, SESSION_S);
	printf("seed %lu: %lu sessions, %lu not accepted\n", seed, n, refused);
	return refused != 0;
}
