/* SPDX-License-Identifier: MIT */
/* virtuos run: start a program with libvirtuos.so preloaded. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "tools/virtuos.h"

/* Returns 0 to go on, or the exit code. */
static int judge(struct target *t, const char *command, bool require)
{
	int ret = target_find(t, command);

	if (!ret)
		ret = target_examine(t);
	if (ret)
		return say_target(t, command, ret);
	if (t->preloadable)
		return 0;
	if (require) {
		say("%s: refused: %s", t->image, t->why);
		return EXIT_NOT_RUNNABLE;
	}
	say("warning: %s runs without VirtuOS: %s", t->image, t->why);
	return 0;
}

static int run(const char *config, bool inside, bool require, char **argv)
{
	char file[PATH_MAX], library[PATH_MAX];
	const char *base;
	struct vos_config cfg;
	struct target t;
	int ret;

	ret = judge(&t, argv[0], require);
	if (ret)
		return ret;
	base = strrchr(t.path, '/');
	if ((inside ? conf_inside(file) : conf_find(config, file)) ||
	    conf_load(&cfg, file, base ? base + 1 : t.path, t.image, true) || find_library(library))
		return EXIT_OWN;
	if (set_preload(t.sanitizer, library) || setenv("VIRTUOS_CONFIG", file, 1) ||
	    (require && setenv("VIRTUOS_REQUIRE", "1", 1)))
		return EXIT_OWN;
	execvp(argv[0], argv);
	say("%s: %s", argv[0], strerror(errno));
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
}

static const char usage[] =
	"Usage: virtuos run [--config FILE] [--require] [--] COMMAND [ARG...]\n";

int cmd_run(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
						 { "inside", no_argument, NULL, 'i' },
						 { "require", no_argument, NULL, 'r' },
						 { "help", no_argument, NULL, 'h' },
						 { 0 } };
	const char *config = NULL;
	bool require = false, inside = false;
	int opt;

	argv[0] = "virtuos run"; /* for getopt's messages */
	while ((opt = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			config = optarg;
			break;
		case 'i':
			inside = true;
			break;
		case 'r':
			require = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return EXIT_OWN;
		}
	}
	if (optind == argc) {
		say("run: no command given");
		return EXIT_OWN;
	}
	if (!inside && go_inside(config, "run", argv))
		return EXIT_OWN;
	return run(config, inside, require, argv + optind);
}
