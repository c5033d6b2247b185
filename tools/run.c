/* SPDX-License-Identifier: MIT */
/* virtuos run: start a program with libvirtuos.so preloaded. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "tools/virtuos.h"

#define LIBRARY "libvirtuos.so"

/*
 * The library of the build tree that this command is in, or the installed one. The build tree comes
 * first, so that a build is never tried with an older library by mistake.
 */
static int find_library(char library[PATH_MAX])
{
	char self[PATH_MAX], beside[PATH_MAX + 32];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[len > 0 ? len : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash) {
		*slash = '\0';
		snprintf(beside, sizeof(beside), "%s/../preload/" LIBRARY, self);
		if (realpath(beside, library))
			return 0;
	}
	if (realpath(VIRTUOS_LIBDIR "/" LIBRARY, library))
		return 0;
	say("no " LIBRARY " in %s/../preload or " VIRTUOS_LIBDIR, self);
	return -1;
}

/* Is @library one of the names in @list, which are separated by spaces and colons? */
static bool listed(const char *list, const char *library)
{
	size_t len = strlen(library);

	for (const char *s = list; *s; s += strspn(s, " :")) {
		size_t n = strcspn(s, " :");

		if (n == len && !strncmp(s, library, n))
			return true;
		s += n;
	}
	return false;
}

/* LD_PRELOAD: a sanitizer's runtime, our library, what was there. */
static int set_preload(const struct target *t, const char *library)
{
	CLEANUP(free) char *value = NULL;
	const char *old = getenv("LD_PRELOAD");

	if (strpbrk(library, " :")) {
		say("%s: LD_PRELOAD cannot hold a path with a space or a colon", library);
		return -1;
	}
	if (!old)
		old = "";
	if (asprintf(&value, "%s%s%s%s%s", t->sanitizer, *t->sanitizer ? ":" : "",
		     listed(old, library) ? "" : library, *old && !listed(old, library) ? ":" : "",
		     old) < 0) {
		value = NULL;
		say("%s", strerror(ENOMEM));
		return -1;
	}
	return setenv("LD_PRELOAD", value, 1);
}

/* Returns 0 to go on, or the exit code. */
static int judge(struct target *t, const char *command, bool require)
{
	int ret = target_find(t, command);

	if (!ret)
		ret = target_examine(t);
	if (ret) {
		say("%s: %s", command, strerror(-ret));
		return ret == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
	}
	if (t->preloadable)
		return 0;
	if (require) {
		say("%s: refused: %s", t->image, t->why);
		return EXIT_NOT_RUNNABLE;
	}
	say("warning: %s runs without VirtuOS: %s", t->image, t->why);
	return 0;
}

static int run(const char *config, bool require, char **argv)
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
	if (conf_find(config, file) ||
	    conf_load(&cfg, file, base ? base + 1 : t.path, t.image, true) || find_library(library))
		return EXIT_OWN;
	if (set_preload(&t, library) || setenv("VIRTUOS_CONFIG", file, 1) ||
	    (require && setenv("VIRTUOS_REQUIRE", "1", 1)))
		return EXIT_OWN;
	execvp(argv[0], argv);
	say("%s: %s", argv[0], strerror(errno));
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
}

int cmd_run(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
						 { "require", no_argument, NULL, 'r' },
						 { "help", no_argument, NULL, 'h' },
						 { 0 } };
	const char *config = NULL;
	bool require = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			config = optarg;
			break;
		case 'r':
			require = true;
			break;
		case 'h':
			puts("Usage: virtuos run [--config FILE] [--require] [--] COMMAND [ARG...]");
			return 0;
		default:
			return EXIT_OWN;
		}
	}
	if (optind == argc) {
		say("run: no command given");
		return EXIT_OWN;
	}
	return run(config, require, argv + optind);
}
