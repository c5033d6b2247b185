/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* O_APPEND: two writers, positioned writes, switched on and off later, many processes at once. */
#include "t.h"

enum { WRITERS = 4, LINES = 200 };

static void one_descriptor(void)
{
	int a = TRY(open(P("f"), O_WRONLY | O_CREAT | O_APPEND, 0644));
	int b = TRY(open(P("f"), O_RDWR));

	SHOW(write(a, "first.", 6));
	SHOW(lseek(a, 0, SEEK_CUR));
	SHOW(write(b, "FIRST", 5));
	SHOW(write(a, "second.", 7));
	SHOW(lseek(a, 0, SEEK_SET));
	SHOW(write(a, "third.", 6));
	t_cat("appended", P("f"));
	/* Linux appends even here; see BUGS in pwrite(2). */
	SHOW(pwrite(a, "fourth.", 7, 0));
	t_cat("after pwrite", P("f"));
	SHOW(fcntl(a, F_SETFL, 0));
	SHOW(pwrite(a, "fifth", 5, 0));
	SHOW(fcntl(b, F_SETFL, O_APPEND));
	SHOW(lseek(b, 0, SEEK_SET));
	SHOW(write(b, "sixth.", 6));
	t_cat("switched", P("f"));
	close(a);
	close(b);
}

static void many_writers(void)
{
	int count[WRITERS] = { 0 };
	char line[16];
	pid_t pid[WRITERS];
	int bad = 0;
	FILE *f;

	for (int i = 0; i < WRITERS; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		int fd = open(P("log"), O_WRONLY | O_CREAT | O_APPEND, 0644);

		snprintf(line, sizeof(line), "writer %d line\n", i & 7);
		for (int n = 0; n < LINES; n++)
			MUST(write(fd, line, 14) == 14);
		_exit(0);
	}
	for (int i = 0; i < WRITERS; i++)
		t_wait("writer", pid[i]);
	f = fopen(P("log"), "r");
	MUST(f);
	while (fgets(line, sizeof(line), f)) {
		if (strlen(line) == 14 && line[7] >= '0' && line[7] < '0' + WRITERS)
			count[line[7] - '0']++;
		else
			bad++;
	}
	fclose(f);
	printf("lines %d %d %d %d, torn %d\n", count[0], count[1], count[2], count[3], bad);
}

int main(void)
{
	t_start();
	one_descriptor();
	many_writers();
	return t_end();
}
