/* SPDX-License-Identifier: MIT */
/* virtuos(1): runs programs over VirtuOS and tells what their configuration means. */
#include <stdarg.h>
#include <string.h>

#include "tools/virtuos.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *args;
	const char *what;
} commands[] = {
	{ "run", cmd_run, "[--config FILE] [--require] [--] COMMAND [ARG...]",
	  "run a program with its calls forwarded" },
	{ "check", cmd_check, "[--no-connect] [FILE...]",
	  "find mistakes in a configuration, and domains that do not serve what it wants" },
	{ "explain", cmd_explain, "[--config FILE] [--] COMMAND [ARG...]",
	  "show where the calls of a program would go, and why" },
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

void say(const char *fmt, ...)
{
	va_list ap;

	fputs("virtuos: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void usage(FILE *out)
{
	fputs("Usage:\n", out);
	for (size_t i = 0; i < NCOMMANDS; i++)
		fprintf(out, "  virtuos %s %s\n          %s\n", commands[i].name, commands[i].args,
			commands[i].what);
	fputs("  virtuos --help\n  virtuos --version\n", out);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("virtuos " VIRTUOS_VERSION);
		return 0;
	}
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	say("unknown command '%s'", argv[1]);
	usage(stderr);
	return EXIT_USAGE;
}
