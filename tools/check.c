/* SPDX-License-Identifier: MIT */
/* virtuos check: is a configuration right, and do its domains answer? */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tools/virtuos.h"

static int try_connect(const char *path, int type)
{
	/* A service whose queue of connections is full counts as one that does not answer. */
	CLEANUP(close) int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (fd < 0)
		return -errno;
	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
}

/* Returns 0 or -errno. A vchan peer can only be tried by attaching to it, so it is not. */
static int reach(const char *address)
{
	int ret;

	if (strncmp(address, "unix:", 5))
		return 0;
	ret = try_connect(address + 5, SOCK_SEQPACKET);
	return ret == -EPROTOTYPE ? try_connect(address + 5, SOCK_STREAM) : ret;
}

static int check(const char *file, bool connect)
{
	struct vos_config cfg;
	int bad = 0, ret;

	if (conf_load(&cfg, file, "", "", false))
		return 1;
	for (int i = 0; connect && i < cfg.ndomains; i++) {
		ret = reach(cfg.domain[i].address);
		if (!ret)
			continue;
		fprintf(stderr, "%s:%d: domain '%s' cannot be reached at %s: %s\n", file,
			cfg.domain[i].line, cfg.domain[i].name, cfg.domain[i].address,
			strerror(-ret));
		bad = 1;
	}
	return bad;
}

int cmd_check(int argc, char **argv)
{
	static const struct option options[] = { { "no-connect", no_argument, NULL, 'n' },
						 { "help", no_argument, NULL, 'h' },
						 { 0 } };
	bool connect = true;
	int opt, bad = 0;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case 'n':
			connect = false;
			break;
		case 'h':
			puts("Usage: virtuos check [--no-connect] FILE...");
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		say("check: no file given");
		return EXIT_USAGE;
	}
	for (int i = optind; i < argc; i++)
		bad |= check(argv[i], connect);
	return bad;
}
