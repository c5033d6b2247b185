/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * A program for which nothing is remote gets descriptors and a working directory that are: also by
 * functions of libc that make system calls of their own.
 */
#include "t.h"
#include <dirent.h>

extern char **environ;

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(int fd)
{
	DIR *d = fdopendir(fd);
	char *names[16];
	struct dirent *e;
	size_t n = 0;

	MUST(d);
	while ((e = readdir(d)) && n < 16)
		names[n++] = strdup(e->d_name);
	qsort(names, n, sizeof(names[0]), by_name);
	for (size_t i = 0; i < n; i++) {
		printf(" %s", names[i]);
		free(names[i]);
	}
	printf("\n");
	closedir(d);
}

/* The new image: in, out and a directory. */
static int image(char **argv)
{
	FILE *in = fdopen(atoi(argv[2]), "r");
	FILE *out = fdopen(atoi(argv[3]), "w");
	char line[64];
	FILE *f;

	MUST(in && out);
	while (fgets(line, sizeof(line), in))
		printf("in: %s", line);
	MUST(fprintf(out, "written by %s\n", "stdio") > 0);
	MUST(fclose(out) == 0);
	fclose(in);
	list(atoi(argv[4]));
	f = fopen("in", "r"); /* the working directory */
	MUST(f && fgets(line, sizeof(line), f));
	printf("relative: %s", line);
	fclose(f);
	while (fgets(line, sizeof(line), stdin))
		printf("stdin: %s", line);
	return t_failed;
}

static void run(const char *label)
{
	char number[3][16];
	char *argv[] = { "image", "image", number[0], number[1], number[2], NULL };
	pid_t pid;

	printf("-- %s\n", label);
	pid = fork();
	if (!pid) {
		int fd[3] = { open(P("in"), O_RDONLY), open(P("out"), O_WRONLY | O_CREAT, 0600),
			      open(P(""), O_RDONLY | O_DIRECTORY) };

		for (int i = 0; i < 3; i++)
			snprintf(number[i], sizeof(number[i]), "%d", fd[i]);
		MUST(dup2(open(P("in"), O_RDONLY), 0) == 0);
		MUST(lseek(fd[0], 6, SEEK_SET) == 6);
		MUST(chdir(P("")) == 0);
		execve("/proc/self/exe", argv, environ);
		_exit(127);
	}
	t_wait(label, pid);
	t_cat("out", P("out"));
	MUST(unlink(P("out")) == 0);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return image(argv);
	t_start();
	t_puts(P("in"), "first\nsecond\nthird\n");
	run("with our configuration");
	t_puts(L("local.conf"), "[default]\ninet = local\ndns = local\n");
	MUST(chmod(L("local.conf"), 0644) == 0);
	setenv("VIRTUOS_CONFIG", L("local.conf"), 1);
	run("with one that has everything local");
	return t_end();
}
