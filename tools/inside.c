/* SPDX-License-Identifier: MIT */
/*
 * What lies below a prefix is seen only by who has the library. So where there are prefixes, "run" and
 * "explain" start themselves again, preloaded, and look at programs and paths then. Which prefixes:
 * those of this command, as for a shell that starts a program.
 */
#include <errno.h>
#include <string.h>

#include "tools/virtuos.h"

#define LIBRARY "libvirtuos.so"

int find_library(char library[PATH_MAX])
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

int set_preload(const char *sanitizer, const char *library)
{
	CLEANUP(free) char *value = NULL;
	const char *old = getenv("LD_PRELOAD");

	if (strpbrk(library, " :")) {
		say("%s: LD_PRELOAD cannot hold a path with a space or a colon", library);
		return -1;
	}
	if (!old)
		old = "";
	if (asprintf(&value, "%s%s%s%s%s", sanitizer, *sanitizer ? ":" : "",
		     listed(old, library) ? "" : library, *old && !listed(old, library) ? ":" : "",
		     old) < 0) {
		value = NULL;
		say("%s", strerror(ENOMEM));
		return -1;
	}
	return setenv("LD_PRELOAD", value, 1);
}

static bool has_prefixes(const struct vos_config *cfg)
{
	for (int i = 0; i < cfg->nprefixes; i++)
		if (cfg->prefix[i].to != VOS_TO_LOCAL)
			return true;
	return false;
}

/* The library that the run-time of a sanitizer in this very command would have to come before. */
static int sanitizer_of(const char *self, char *sanitizer, size_t size)
{
	struct target t = { 0 };
	int ret;

	snprintf(t.path, sizeof(t.path), "%s", self);
	ret = target_examine(&t);
	snprintf(sanitizer, size, "%s", t.sanitizer);
	return ret;
}

int go_inside(const char *option, char *name, char **argv)
{
	char file[PATH_MAX], library[PATH_MAX], self[PATH_MAX], sanitizer[64];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct vos_config cfg;
	char **again;
	size_t n = 0;

	self[len > 0 ? len : 0] = '\0';
	if (conf_find(option, file) || conf_load(&cfg, file, "virtuos", self, true))
		return -1;
	if (!has_prefixes(&cfg))
		return 0;
	while (argv[n])
		n++;
	again = calloc(n + 3, sizeof(*again));
	if (!again || sanitizer_of(self, sanitizer, sizeof(sanitizer)) || find_library(library) ||
	    set_preload(sanitizer, library) || setenv("VIRTUOS_CONFIG", file, 1))
		return -1;
	again[0] = self;
	again[1] = name;
	again[2] = "--inside";
	memcpy(again + 3, argv + 1, (n - 1) * sizeof(*again));
	execv(self, again);
	say("%s: %s", self, strerror(errno));
	return -1;
}
