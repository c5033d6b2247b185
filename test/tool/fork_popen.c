/* SPDX-License-Identifier: MIT */
/*
 * For fork_popen.sh: processes forked while other threads are in popen() and system() use both.
 * libc's own do not promise it. Usage: fork_popen FILE
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 40

static atomic_bool over;

static void *runs(void *arg)
{
	while (!over) {
		FILE *f = popen(":", "r");

		if (f)
			pclose(f);
		if (arg)
			system(":");
	}
	return NULL;
}

static int child(void)
{
	FILE *f;
	int n = 0;

	alarm(20);
	f = popen("echo 7", "r");
	if (!f || fscanf(f, "%d", &n) != 1 || n != 7 || pclose(f))
		return 1;
	return system("exit 0") != 0;
}

int main(int argc, char **argv)
{
	int fd = open(argc == 2 ? argv[1] : "", O_RDONLY), bad = 0, status;
	pthread_t t[2];

	if (fd < 0 || pthread_create(&t[0], NULL, runs, NULL) ||
	    pthread_create(&t[1], NULL, runs, &fd))
		return 2;
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(child());
		if (waitpid(pid, &status, 0) != pid || status) {
			printf("child %d: status %#x\n", i, (unsigned)status);
			bad = 1;
			break;
		}
	}
	over = true;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	return bad;
}
