/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Calls before main() and after it: earlier than any constructor, in constructors, at exit. */
#include "t.h"

static int before = -1;
static int first = -1;
static int late = -1;

static int append(const char *dir, const char *text)
{
	char path[PATH_MAX];
	int fd;
	int ret;

	if (!dir)
		return 0;
	snprintf(path, sizeof(path), "%s/log", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	ret = fd < 0 ? -errno : (int)write(fd, text, strlen(text));
	if (fd >= 0)
		close(fd);
	return ret;
}

/* Runs before the constructors of all libraries, the preloaded one included. */
static void preinit(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	for (; *envp; envp++)
		if (!strncmp(*envp, "VT_DIR=", 7))
			before = append(*envp + 7, "preinit ");
}

__attribute__((section(".preinit_array"), used)) static void (*hook)(int, char **,
								     char **) = preinit;

__attribute__((constructor(101))) static void first_constructor(void)
{
	first = append(getenv("VT_DIR"), "first ");
}

__attribute__((constructor)) static void constructor(void)
{
	late = append(getenv("VT_DIR"), "constructor ");
}

__attribute__((destructor)) static void destructor(void)
{
	append(getenv("VT_DIR"), "destructor ");
	t_cat("in the destructor", P("log"));
	fflush(stdout);
}

static void at_exit(void)
{
	append(getenv("VT_DIR"), "atexit ");
}

int main(void)
{
	t_start();
	SHOW(before);
	SHOW(first);
	SHOW(late);
	t_cat("in main", P("log"));
	MUST(atexit(at_exit) == 0);
	return t_end();
}
