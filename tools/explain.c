/* SPDX-License-Identifier: MIT */
/* virtuos explain: where the calls of a program would go, and which line decided it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>

#include "tools/virtuos.h"

#define CELL 320 /* an address, or a domain and a root */

static void row(const char *setting, const char *where, const char *why)
{
	printf("%-24s %-40s %s\n", setting, where, why);
}

/* Which section and line decided. */
static const char *reason(const char *file, int line, const char *env, char why[CELL])
{
	char section[CELL - 32];

	if (line == VOS_LINE_BUILTIN)
		return "built in: no line sets it";
	if (line == VOS_LINE_ENV)
		return env;
	conf_section(file, line, section, sizeof(section));
	snprintf(why, CELL, "%s, line %d", section, line);
	return why;
}

static const char *target_name(const struct vos_config *cfg, int to, char where[CELL])
{
	if (to == VOS_TO_LOCAL)
		return "local";
	if (to == VOS_TO_DENY)
		return "deny";
	snprintf(where, CELL, "%s (%s)", cfg->domain[to].name, cfg->domain[to].address);
	return where;
}

static void classes(const struct vos_config *cfg, const char *file)
{
	char where[CELL], why[CELL];

	for (int i = 0; i < VOS_NCLASSES; i++)
		row(vos_class_name[i], target_name(cfg, cfg->class_to[i], where),
		    reason(file, cfg->class_line[i], NULL, why));
}

/* @rest is what of a path follows the prefix, with its slash, or "". */
static void prefix_row(const struct vos_config *cfg, const char *file, const char *setting,
		       const struct vos_prefix_config *p, const char *rest)
{
	char where[VOS_DOMAIN_NAME_MAX + VOS_PREFIX_MAX + 2 * PATH_MAX], why[CELL];
	const char *root = p->root;

	if (p->to < 0) {
		row(setting, p->to == VOS_TO_DENY ? "deny" : "local",
		    reason(file, p->line, NULL, why));
		return;
	}
	if (!strcmp(root, "/") && *rest)
		root = "";
	snprintf(where, sizeof(where), "%s:%s%s", cfg->domain[p->to].name, root, rest);
	row(setting, where, reason(file, p->line, NULL, why));
}

static void prefixes(const struct vos_config *cfg, const char *file)
{
	char setting[VOS_PREFIX_MAX + 8];
	bool root = false;

	for (int i = 0; i < cfg->nprefixes; i++) {
		snprintf(setting, sizeof(setting), "file %s", cfg->prefix[i].path);
		prefix_row(cfg, file, setting, &cfg->prefix[i], "");
		root |= !strcmp(cfg->prefix[i].path, "/");
	}
	if (!root)
		row(cfg->nprefixes ? "file (all others)" : "file", "local",
		    "built in: no line sets it");
}

/* @path where it is canonical: without "//", "." and "..", nor symbolic links as far as it exists. */
static void canonical(const char *path, char to[2 * PATH_MAX])
{
	char whole[2 * PATH_MAX] = "", head[2 * PATH_MAX], *rest;

	if (*path != '/' && !getcwd(whole, PATH_MAX))
		*whole = '\0';
	snprintf(head, sizeof(head), "%s/%s", whole, path);
	memcpy(whole, head, sizeof(whole));
	/* The longest part that exists, and then what is left by its text. */
	for (rest = whole + strlen(whole);; *rest = '\0') {
		CLEANUP(free) char *real = realpath(*whole ? whole : "/", NULL);

		if (real || rest == whole) {
			snprintf(to, PATH_MAX, "%s", real && real[1] ? real : "");
			break;
		}
		while (rest > whole && *--rest != '/')
			;
	}
	for (const char *p = head + (rest - whole); *p; p += strcspn(p, "/")) {
		char *slash = strrchr(to, '/');
		size_t n;

		p += strspn(p, "/");
		n = strcspn(p, "/");
		if (n == 2 && !strncmp(p, "..", 2))
			*(slash ? slash : to) = '\0';
		else if (n && !(n == 1 && *p == '.'))
			snprintf(to + strlen(to), 2 * PATH_MAX - strlen(to), "/%.*s", (int)n, p);
	}
	if (!*to)
		strcpy(to, "/");
}

/* An argument that is a path gets a row of its own. */
static void argument(const struct vos_config *cfg, const char *file, const char *arg)
{
	char path[2 * PATH_MAX];

	canonical(arg, path);
	for (int i = 0; i < cfg->nprefixes; i++) {
		const char *prefix = cfg->prefix[i].path;
		size_t len = strcmp(prefix, "/") ? strlen(prefix) : 0;

		if (strncmp(path, prefix, len) || (path[len] && path[len] != '/'))
			continue;
		prefix_row(cfg, file, arg, &cfg->prefix[i],
			   path[len] && path[len + 1] ? path + len : "");
		return;
	}
	row(arg, "local", "built in: no prefix fits");
}

/* Absolute, said to be one, or the name of something that exists. */
static bool is_path(const char *arg)
{
	return *arg == '/' || !strncmp(arg, "./", 2) || !strncmp(arg, "../", 3) ||
	       (*arg && !faccessat(AT_FDCWD, arg, F_OK, AT_SYMLINK_NOFOLLOW));
}

static void policies(const struct vos_config *cfg, const char *file)
{
	static const char *const patch[] = {
		[VOS_PATCH_AUTO] = "auto", [VOS_PATCH_OFF] = "off", [VOS_PATCH_REQUIRE] = "require"
	};
	char why[CELL];

	row("unavailable", cfg->unavailable_local ? "local" : "fail",
	    reason(file, cfg->unavailable_line, "environment, VIRTUOS_UNAVAILABLE", why));
	row("libc_patch", patch[cfg->libc_patch],
	    reason(file, cfg->libc_patch_line, "environment, VIRTUOS_LIBC_PATCH", why));
}

static int explain(const char *config, bool inside, char **argv)
{
	char file[PATH_MAX];
	const char *base;
	struct vos_config cfg;
	struct target t;
	int ret;

	ret = target_find(&t, argv[0]);
	if (!ret)
		ret = target_examine(&t);
	if (ret)
		return say_target(&t, argv[0], ret);
	base = strrchr(t.path, '/');
	if ((inside ? conf_inside(file) : conf_find(config, file)) ||
	    conf_load(&cfg, file, base ? base + 1 : t.path, t.image, true))
		return EXIT_OWN;
	printf("program   %s%s%s\n", t.image, t.script ? ", runs the script " : "",
	       t.script ? t.path : "");
	printf("preload   %s: %s\n", t.preloadable ? "yes" : "NO", t.why);
	if (*t.sanitizer)
		printf("          after %s, which must be the first library\n", t.sanitizer);
	printf("config    %s\n\n", file);
	row("SETTING", "GOES TO", "DECIDED BY");
	classes(&cfg, file);
	prefixes(&cfg, file);
	policies(&cfg, file);
	for (char **arg = argv + 1; *arg; arg++)
		if (is_path(*arg))
			argument(&cfg, file, *arg);
	return 0;
}

static const char usage[] = "Usage: virtuos explain [--config FILE] [--] COMMAND [ARG...]\n";

int cmd_explain(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
						 { "inside", no_argument, NULL, 'i' },
						 { "help", no_argument, NULL, 'h' },
						 { 0 } };
	const char *config = NULL;
	bool inside = false;
	int opt;

	argv[0] = "virtuos explain"; /* for getopt's messages */
	while ((opt = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			config = optarg;
			break;
		case 'i':
			inside = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		say("explain: no command given");
		return EXIT_USAGE;
	}
	if (!inside && go_inside(config, "explain", argv))
		return EXIT_OWN;
	return explain(config, inside, argv + optind);
}
