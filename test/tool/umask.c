/* SPDX-License-Identifier: MIT */
/* What umask() sets while another thread attaches counts for the calls that come after it. */
#include "../behaviour/t.h"
#include <pthread.h>
#include <signal.h>

static void *attach(void *arg)
{
	int fd;

	(void)arg;
	t_block();
	fd = open(P("first"), O_WRONLY | O_CREAT, 0666);
	MUST(fd >= 0);
	close(fd);
	return NULL;
}

/* It is about to stop. */
static void await_stop(pid_t pid)
{
	char name[32], line[256];
	char state = 0;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	while (state != 'T') {
		FILE *f = fopen(name, "r");

		MUST(f && fgets(line, sizeof(line), f));
		fclose(f);
		sscanf(strrchr(line, ')'), ") %c", &state);
	}
}

int main(int argc, char **argv)
{
	pid_t svcd = argc > 1 ? atoi(argv[1]) : 0;
	struct stat st;
	pthread_t t;

	MUST(svcd > 1);
	umask(022);
	MUST(kill(svcd, SIGSTOP) == 0);
	await_stop(svcd);
	MUST(pthread_create(&t, NULL, attach, NULL) == 0);
	t_await_block();
	umask(077);
	MUST(kill(svcd, SIGCONT) == 0);
	pthread_join(t, NULL);
	t_puts(P("second"), "x");
	MUST(stat(P("second"), &st) == 0);
	printf("mode %o\n", st.st_mode & 0777);
	CHECK((st.st_mode & 0777) == 0600);
	umask(022);
	t_puts(P("third"), "x");
	MUST(stat(P("third"), &st) == 0);
	CHECK((st.st_mode & 0777) == 0644);
	return t_failed;
}
