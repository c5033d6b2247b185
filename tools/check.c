/* SPDX-License-Identifier: MIT */
/*
 * virtuos check: is a configuration right, and do its domains serve what it sends to them? Each
 * domain is attached to as by a program of the user who asks, and asked for the directories.
 */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "tools/virtuos.h"

#define ROOTS_MAX 64 /* for one attachment, in svcd */

/* Lines of the configuration that send something to a domain, each class and prefix once. */
struct uses {
	struct vos_prefix_config *use;
	size_t n;
};

static void note_use(void *arg, const struct vos_prefix_config *use)
{
	struct uses *u = arg;

	for (size_t i = 0; i < u->n; i++)
		if (u->use[i].to == use->to && !strcmp(u->use[i].path, use->path) &&
		    !strcmp(u->use[i].root, use->root))
			return;
	u->use = reallocarray(u->use, u->n + 1, sizeof(*use));
	if (!u->use) {
		say("%s", strerror(ENOMEM));
		exit(1);
	}
	u->use[u->n++] = *use;
}

static void say_unreachable(const char *file, const struct vos_domain_config *d, int error,
			    const char *text)
{
	const char *hint = "";

	if (!*text) {
		text = strerror(-error);
		if (error == -ENOENT || error == -ECONNREFUSED)
			hint = " (is its svcd running?)";
		else if (error == -EACCES && !strncmp(d->address, "vchan:", 6))
			hint = " (may this user open /dev/virtuos, or what is in /dev/xen?)";
		else if (error == -EACCES)
			hint = " (does the socket's directory let this user through?)";
		else if (error == -EPROTOTYPE)
			hint = " (what listens there is no svcd)";
		else if (error == -ENODEV)
			hint = " (is this a Xen domain, with /dev/xen?)";
		else if (error == -ENXIO)
			hint = " (the xenstore has no number for this name)";
	}
	fprintf(stderr, "%s:%d: domain '%s' cannot be used at %s: %s%s\n", file, d->line, d->name,
		d->address, text, hint);
}

/* Does the domain have what @use needs? Attaches again when one attachment is full of roots. */
static int check_use(const char *file, const struct vos_domain_config *d, struct probe **p,
		     size_t *roots, const struct vos_prefix_config *use)
{
	char text[128];
	int ret = 0;

	if (!*use->root)
		return 0;
	if (*roots == ROOTS_MAX) {
		probe_end(*p);
		*p = NULL;
		*roots = 0;
		ret = probe_attach(p, d, text);
	}
	++*roots;
	if (!ret)
		ret = probe_root(*p, use->root);
	if (ret)
		fprintf(stderr, "%s:%d: domain '%s' has no directory %s for 'file %s': %s\n", file,
			use->line, d->name, use->root, use->path, strerror(-ret));
	return ret;
}

static void print_uses(const struct uses *u, int dom)
{
	const char *between = "";

	for (size_t i = 0; i < u->n; i++) {
		if (u->use[i].to != dom)
			continue;
		printf("%s%s", between, u->use[i].path);
		if (*u->use[i].root)
			printf(" (its %s)", u->use[i].root);
		between = ", ";
	}
	puts(*between ? "" : "nothing: no section names it");
}

/* There is a kernel extension, but not for us. */
static const char *not_by(const char *by)
{
	return by && strcmp(by, "/dev/virtuos") && !access("/dev/virtuos", F_OK)
		       ? "; /dev/virtuos cannot be used"
		       : "";
}

static int check_domain(const char *file, const struct vos_config *cfg, int dom,
			const struct uses *u)
{
	const struct vos_domain_config *d = &cfg->domain[dom];
	struct probe *p = NULL;
	size_t roots = 0;
	const char *by;
	char text[128];
	int bad = 0, ret;

	ret = probe_attach(&p, d, text);
	if (ret) {
		say_unreachable(file, d, ret, text);
		return 1;
	}
	by = probe_by(p);
	for (size_t i = 0; i < u->n && p; i++)
		if (u->use[i].to == dom && check_use(file, d, &p, &roots, &u->use[i]))
			bad = 1;
	if (p)
		probe_end(p);
	if (bad)
		return 1;
	printf("%s: ok: %s%s%s%s, %s, for ", d->name, d->address, by ? " by " : "", by ? by : "",
	       not_by(by), text);
	print_uses(u, dom);
	return 0;
}

static int check(const char *file, bool connect)
{
	struct uses u = { 0 };
	struct vos_config cfg;
	int bad = conf_all(&cfg, file, note_use, &u) ? 1 : 0;

	if (!bad && (!connect || !cfg.ndomains))
		printf("%s: ok, %d domain%s%s\n", file, cfg.ndomains, cfg.ndomains == 1 ? "" : "s",
		       connect ? "" : " not attached to");
	else if (!bad)
		for (int i = 0; i < cfg.ndomains; i++)
			bad |= check_domain(file, &cfg, i, &u);
	free(u.use);
	return bad;
}

static void usage(FILE *out)
{
	fputs("Usage: virtuos check [--no-connect] [FILE...]\n", out);
}

int cmd_check(int argc, char **argv)
{
	static const struct option options[] = { { "no-connect", no_argument, NULL, 'n' },
						 { "help", no_argument, NULL, 'h' },
						 { 0 } };
	bool connect = true;
	char file[PATH_MAX];
	int opt, bad = 0;

	argv[0] = "virtuos check";	  /* for getopt's messages */
	setvbuf(stdout, NULL, _IOLBF, 0); /* among those of stderr in their order */
	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case 'n':
			connect = false;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		while (optind < argc)
			bad |= check(argv[optind++], connect);
		return bad;
	}
	if (conf_find(NULL, file)) {
		usage(stderr);
		return 1;
	}
	return check(file, connect);
}
