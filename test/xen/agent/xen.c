/* SPDX-License-Identifier: MIT */
/*
 * Sessions between dom0 and a domain. dom0 offers a vchan of its own memory below data/lab in the
 * other domain's part of xenstore, named by the number of its process; the agent over there watches
 * this directory. Nothing is retried and nothing is looked at twice: an offer waits for an agent
 * that has not started yet, and a domain that ends is noticed by a watch as well.
 */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxenvchan.h>
#include <xenstore.h>

#define RING 65536

/* --- dom0 --- */

static struct xs_handle *xs;
static unsigned int offered_to;

static unsigned int find_domain(const char *name)
{
	char path[64], *value, **ids, *end;
	unsigned int n, i, domid = strtoul(name, &end, 10);

	if (!*end)
		return domid;
	ids = xs_directory(xs, XBT_NULL, "/local/domain", &n);
	for (i = 0; ids && i < n; i++) {
		snprintf(path, sizeof(path), "/local/domain/%s/name", ids[i]);
		value = xs_read(xs, XBT_NULL, path, NULL);
		if (value && !strcmp(value, name))
			return strtoul(ids[i], NULL, 10);
		free(value);
	}
	die("%s: no such domain", name);
}

int offer_make(struct offer *o, const char *domain)
{
	xs = xs_open(0);
	if (!xs)
		die("xenstore: %s", strerror(errno));
	offered_to = o->domid = find_domain(domain);
	snprintf(o->path, sizeof(o->path), "/local/domain/%u/data/lab/%d", o->domid, getpid());
	if (!xs_watch(xs, "@releaseDomain", "end"))
		die("xenstore: %s", strerror(errno));
	o->stream.vchan = libxenvchan_server_init(NULL, (int)o->domid, o->path, RING, RING);
	if (!o->stream.vchan)
		die("no vchan to %s: %s", domain, strerror(errno));
	o->stream.vchan->blocking = 0;
	o->stream.fd = libxenvchan_fd_for_select(o->stream.vchan);
	return 0;
}

int offer_watch_fd(void)
{
	return xs ? xs_fileno(xs) : -1;
}

/* After an event: whether the domain is gone. */
int offer_check(void)
{
	char **event;

	while ((event = xs_check_watch(xs)))
		free(event);
	return xs_is_domain_introduced(xs, offered_to) ? 0 : -ENOLINK;
}

void offer_end(struct offer *o)
{
	libxenvchan_close(o->stream.vchan);
	xs_rm(xs, XBT_NULL, o->path);
	xs_close(xs);
}

/* --- the other domain --- */

#define OFFERS 64

static unsigned long taken[OFFERS]; /* offers that have their child; 0: free */

static noreturn void serve_offer(const char *path)
{
	static struct stream s;

	signal(SIGCHLD, SIG_DFL);
	xs = xs_open(0);
	s.vchan = libxenvchan_client_init(NULL, 0, path);
	if (s.vchan) {
		s.vchan->blocking = 0;
		s.fd = libxenvchan_fd_for_select(s.vchan);
		serve(&s);
		libxenvchan_close(s.vchan);
	}
	/* Whoever was killed could not take its offer back. */
	if (xs)
		xs_rm(xs, XBT_NULL, path);
	_exit(0);
}

static unsigned long *slot_of(unsigned long id)
{
	for (int i = 0; i < OFFERS; i++)
		if (taken[i] == id)
			return &taken[i];
	return NULL;
}

/* The port is what is written last of an offer. */
static bool complete(const char *path)
{
	char node[96];
	char *value;

	snprintf(node, sizeof(node), "%s/event-channel", path);
	value = xs_read(xs, XBT_NULL, node, NULL);
	free(value);
	return value != NULL;
}

static void forget_old(char **names, unsigned int n)
{
	unsigned int i, k;

	for (i = 0; i < OFFERS; i++) {
		for (k = 0; k < n && strtoul(names[k], NULL, 10) != taken[i]; k++)
			;
		if (k == n)
			taken[i] = 0;
	}
}

static void look(const char *home)
{
	char path[80];
	unsigned int n = 0, i;
	unsigned long id, *slot;
	char **names = xs_directory(xs, XBT_NULL, "data/lab", &n);

	forget_old(names, n);
	for (i = 0; i < n; i++) {
		id = strtoul(names[i], NULL, 10);
		slot = slot_of(0);
		snprintf(path, sizeof(path), "%s/data/lab/%s", home, names[i]);
		if (!id || slot_of(id) || !slot || !complete(path))
			continue;
		*slot = id;
		if (!fork())
			serve_offer(path);
	}
	free(names);
}

void serve_offers(void)
{
	char home[64], *domid, **event;
	unsigned int n;

	signal(SIGCHLD, SIG_IGN);
	xs = xs_open(0);
	domid = xs ? xs_read(xs, XBT_NULL, "domid", NULL) : NULL;
	if (!domid || !xs_watch(xs, "data/lab", "offer"))
		die("xenstore: %s", strerror(errno));
	snprintf(home, sizeof(home), "/local/domain/%s", domid);
	while ((event = xs_read_watch(xs, &n))) {
		free(event);
		look(home);
	}
	die("xenstore: %s", strerror(errno));
}
