/* SPDX-License-Identifier: MIT */
/* Options: of the command line, and of the file that it names with --config. */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options opt = {
	.engines = 1,
	.pool = 64,
	.max_clients = 1024,
	.max_handles = 1 << 20,
	.cpu = -1,
	.spin_us = 50,
	.vchan_user = "nobody",
};

static const char usage[] =
	"usage: svcd --domain NAME --listen unix:PATH [option ...]\n"
	"  --domain NAME       name of this service domain, as in the programs' configuration\n"
	"  --listen ADDRESS    unix:PATH, absolute, or vchan:DOMAIN[,DOMAIN...]; up to 8 times\n"
	"  --vchan-user USER   whom programs of other Xen domains are taken for (default nobody)\n"
	"  --trust-kernel      believe what their kernel says who they are\n"
	"  --trust-vchan       believe them who they are\n"
	"  --config FILE       options for some domains or for all; the command line overrides them\n"
	"  --root DIR          directory that clients see as /\n"
	"  --engines N         threads that poll (1 to 16, default 1)\n"
	"  --cpu N             pin the first engine to CPU N, the next ones to those after it\n"
	"  --pool N            threads for calls that block (1 to 1024, default 64)\n"
	"  --max-clients N     attached processes (1 to 2000, default 1024)\n"
	"  --max-user-clients N  those of one user other than root (1 to 2000, default 3/4 of them)\n"
	"  --max-handles N     descriptors of one client (1 to 16777216, default 1048576)\n"
	"  --max-user-watches N  members of one user's epoll sets (default 3/4 of what there can be)\n"
	"  --spin US           polling without work before sleeping (0 to 1000000, default 50)\n"
	"  --log WHERE         stderr (default) or syslog\n"
	"  --no-filter         allow svcd all system calls, to see whether its filter is in the way\n"
	"  --verbose           log every client\n"
	"  --version, --help\n";

enum {
	O_DOMAIN,
	O_LISTEN,
	O_CONFIG,
	O_ROOT,
	O_ENGINES,
	O_CPU,
	O_POOL,
	O_CLIENTS,
	O_USER_CLIENTS,
	O_HANDLES,
	O_USER_WATCHES,
	O_SPIN,
	O_LOG,
	O_FILTER,
	O_VCHAN_USER,
	O_TRUST_KERNEL,
	O_TRUST_VCHAN,
	O_VERBOSE,
	O_VERSION,
	O_HELP
};

static const struct option longopts[] = {
	{ "domain", 1, NULL, O_DOMAIN },
	{ "listen", 1, NULL, O_LISTEN },
	{ "config", 1, NULL, O_CONFIG },
	{ "root", 1, NULL, O_ROOT },
	{ "engines", 1, NULL, O_ENGINES },
	{ "cpu", 1, NULL, O_CPU },
	{ "pool", 1, NULL, O_POOL },
	{ "max-clients", 1, NULL, O_CLIENTS },
	{ "max-user-clients", 1, NULL, O_USER_CLIENTS },
	{ "max-handles", 1, NULL, O_HANDLES },
	{ "max-user-watches", 1, NULL, O_USER_WATCHES },
	{ "spin", 1, NULL, O_SPIN },
	{ "log", 1, NULL, O_LOG },
	{ "no-filter", 0, NULL, O_FILTER },
	{ "vchan-user", 1, NULL, O_VCHAN_USER },
	{ "trust-kernel", 0, NULL, O_TRUST_KERNEL },
	{ "trust-vchan", 0, NULL, O_TRUST_VCHAN },
	{ "verbose", 0, NULL, O_VERBOSE },
	{ "version", 0, NULL, O_VERSION },
	{ "help", 0, NULL, O_HELP },
	{ NULL, 0, NULL, 0 },
};

/* Where the option that is being set stands, for what there is to say about it. */
static struct {
	const char *name, *value;
	const char *file; /* NULL: on the command line */
	int line;
} at;

static void wrong(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void wrong(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (at.file)
		die("%s:%d: %s: %s", at.file, at.line, at.name, text);
	die("--%s%s%s: %s", at.name, at.value ? " " : "", at.value ? at.value : "", text);
}

static int number(const char *s, long min, long max)
{
	char *end;
	long n = strtol(s, &end, 10);

	if (!*s || *end || n < min || n > max)
		wrong("a number from %ld to %ld is allowed", min, max);
	return (int)n;
}

/* As in the programs' configuration: virtuos.conf(5). */
static void check_name(const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	if (!*name || strlen(name) > 31 || name[strspn(name, allowed)])
		wrong("1 to 31 letters, digits, '_', '.' and '-' are allowed");
	if (!strcmp(name, "local") || !strcmp(name, "deny"))
		wrong("a domain cannot have this name, which means something else in "
		      "configurations");
}

static void set_option(int o, const char *arg)
{
	const struct transport *t;
	const char *where, *problem;

	switch (o) {
	case O_DOMAIN:
		check_name(arg);
		opt.domain = arg;
		break;
	case O_CONFIG: /* has been read already */
		break;
	case O_LISTEN:
		if (opt.nlisten == SVCD_LISTEN_MAX)
			wrong("up to %d addresses are allowed", SVCD_LISTEN_MAX);
		t = transport_find(arg, &where);
		problem = t ? t->check(where) : "unix:PATH is allowed";
		if (problem)
			wrong("%s", problem);
		opt.listen[opt.nlisten++] = arg;
		break;
	case O_ROOT:
		opt.root = arg;
		break;
	case O_ENGINES:
		opt.engines = number(arg, 1, SVCD_ENGINES_MAX);
		break;
	case O_CPU:
		opt.cpu = number(arg, 0, 1023);
		break;
	case O_POOL:
		opt.pool = number(arg, 1, 1024);
		break;
	case O_CLIENTS:
		opt.max_clients = number(arg, 1, 2000);
		break;
	case O_USER_CLIENTS:
		opt.max_user_clients = number(arg, 1, 2000);
		break;
	case O_HANDLES:
		opt.max_handles = number(arg, 1, 1 << VOS_HANDLE_IDX_BITS);
		break;
	case O_USER_WATCHES:
		opt.user_watches = number(arg, 1, INT_MAX);
		break;
	case O_SPIN:
		opt.spin_us = number(arg, 0, 1000000);
		break;
	case O_LOG:
		if (strcmp(arg, "stderr") && strcmp(arg, "syslog"))
			wrong("stderr or syslog is allowed");
		opt.syslog = !strcmp(arg, "syslog");
		break;
	case O_FILTER:
		opt.no_filter = true;
		break;
	case O_VCHAN_USER:
		opt.vchan_user = arg;
		break;
	case O_TRUST_KERNEL:
		opt.trust_kernel = true;
		break;
	case O_TRUST_VCHAN:
		opt.trust_vchan = true;
		break;
	case O_VERBOSE:
		opt.verbose = true;
		break;
	case O_VERSION:
		puts("svcd " VIRTUOS_VERSION);
		exit(0);
	case O_HELP:
		fputs(usage, stdout);
		exit(0);
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

/* --- the file ------------------------------------------------------------------------------- */

static char *next_line(char *buf, int size, void *file)
{
	char *line = fgets(buf, size, file);

	at.line++;
	if (line && strlen(line) == (size_t)size - 1 && line[size - 2] != '\n')
		die("%s:%d: the line is too long", at.file, at.line);
	return line;
}

static const struct option *known(const char *name)
{
	for (const struct option *o = longopts; o->name; o++)
		if (!strcmp(o->name, name) && o->val != O_DOMAIN && o->val != O_CONFIG &&
		    o->val != O_VERSION && o->val != O_HELP)
			return o;
	wrong("no such option here: those of --help are allowed, without the dashes");
}

/* Is the section @name one for us? */
static bool for_us(const char *name)
{
	static const char every[] = "svcd";
	size_t n = sizeof(every) - 1;

	if (strncmp(name, every, n) || (name[n] && name[n] != ' '))
		die("%s:%d: [svcd] and [svcd DOMAIN] are allowed as sections", at.file, at.line);
	name += n + strspn(name + n, " ");
	return !*name || !strcmp(name, opt.domain);
}

static int setting(void *unused, const char *section, const char *name, const char *value)
{
	const struct option *o;

	(void)unused;
	at.name = name;
	at.value = value;
	o = known(name);
	if (!for_us(section))
		return 1;
	if (!o->has_arg && strcmp(value, "yes") && strcmp(value, "no"))
		wrong("yes or no is allowed");
	if (o->has_arg || !strcmp(value, "yes"))
		set_option(o->val, strdup(value));
	return 1;
}

static void read_file(const char *path)
{
	FILE *f = fopen(path, "re");
	int line;

	if (!f)
		die("--config %s: %s", path, strerror(errno));
	at.file = path;
	line = ini_parse_stream(next_line, f, setting, NULL);
	if (line)
		die("%s:%d: neither a section nor NAME = VALUE", path, line);
	at.file = NULL;
	fclose(f);
}

/* --- the command line ----------------------------------------------------------------------- */

/* The file comes first, since all others override it; and the domain, since it has sections. */
static void parse_file(int argc, char **argv)
{
	const char *path = NULL;
	int o;

	opterr = 0;
	while ((o = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (o == O_DOMAIN)
			opt.domain = optarg;
		else if (o == O_CONFIG)
			path = optarg;
	}
	optind = opterr = 1;
	if (path && opt.domain)
		read_file(path);
}

void options_parse(int argc, char **argv)
{
	bool listens = false;
	int o, i = 0;

	parse_file(argc, argv);
	while ((o = getopt_long(argc, argv, "", longopts, &i)) != -1) {
		at.name = longopts[i].name;
		at.value = optarg;
		if (o == O_LISTEN && !listens)
			opt.nlisten = 0; /* not those of the file */
		listens |= o == O_LISTEN;
		set_option(o, optarg);
	}
	if (optind < argc)
		die("%s: no such argument (see --help)", argv[optind]);
	if (!opt.domain || !opt.nlisten)
		die("--domain and --listen are needed (see --help)");
	if (!opt.max_user_clients)
		opt.max_user_clients = opt.max_clients - opt.max_clients / 4;
}
