/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "agent.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"usage: labagent exec [-t] ports:DIR|xen:DOMAIN COMMAND [ARGUMENT ...]\n"
	"       labagent ports DEVICE ...\n"
	"       labagent watch\n";

static int run(bool tty, const char *address, char **argv)
{
	static struct offer o;
	int status;

	if (!strncmp(address, "ports:", 6)) {
		o.stream.fd = connect_port(address + 6);
		return client(&o.stream, tty, argv);
	}
	if (strncmp(address, "xen:", 4))
		die("%s: ports:DIR or xen:DOMAIN", address);
	offer_make(&o, address + 4);
	status = client(&o.stream, tty, argv);
	offer_end(&o);
	return status;
}

int main(int argc, char **argv)
{
	bool tty = argc > 2 && !strcmp(argv[2], "-t");

	signal(SIGPIPE, SIG_IGN);
	if (argc > 3 + tty && !strcmp(argv[1], "exec"))
		return run(tty, argv[2 + tty], argv + 3 + tty);
	if (argc > 2 && !strcmp(argv[1], "ports"))
		serve_ports(argv + 2);
	if (argc == 2 && !strcmp(argv[1], "watch"))
		serve_offers();
	fputs(usage, stderr);
	return 2;
}
