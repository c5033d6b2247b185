/* SPDX-License-Identifier: MIT */
/* extpeer DOMID: takes the offers of that domain; see ext.h. A process for each offer. */
#define _GNU_SOURCE
#include "ext.h"
#include "kernel-ext/virtuos.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <xen/io/libxenvchan.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#define PAGE 4096u

static uint32_t domid;
static struct xs_handle *xs;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "extpeer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static char *node(const char *dir, const char *name)
{
	char path[160];
	char *text;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	text = xs_read(xs, XBT_NULL, path, NULL);
	if (!text)
		die(path);
	return text;
}

/* --- one program --- */

struct channel {
	const char *dir;
	struct vchan_interface *vchan;
	const struct command *command;
	struct answer *answer;
	_Atomic uint32_t *ready, *word;
	uint32_t tail;
	xenevtchn_handle *events;
	evtchn_port_t port;
};

static void push_word(struct channel *c, uint32_t word)
{
	atomic_store_explicit(&c->ready[c->tail++ % READY_SLOTS], word, memory_order_release);
}

static void push_for_nothing(struct channel *c, uint32_t lane)
{
	push_word(c, (c->tail / READY_SLOTS + 1) << 16 | (lane + 1));
}

static void push(struct channel *c, uint32_t lane)
{
	atomic_fetch_add(&c->word[lane], 1);
	push_for_nothing(c, lane);
}

static void scribble(struct channel *c)
{
	char noise[256];
	size_t rest = (1u << SERVICE_ORDER) - READY_OFF;

	for (char *at = (char *)c->ready; rest; at += sizeof(noise), rest -= sizeof(noise)) {
		if (getrandom(noise, sizeof(noise), 0) != sizeof(noise))
			die("getrandom");
		memcpy(at, noise, sizeof(noise));
	}
	memset(&c->vchan->left, 0xff, sizeof(c->vchan->left));
	c->vchan->left_order = c->vchan->right_order = 0xffff;
	memset(c->vchan->grants, 0xff, PAGE - offsetof(struct vchan_interface, grants));
}

static void creds(struct channel *c)
{
	const struct virtuos_creds *from = (void *)((char *)c->vchan + VIRTUOS_CREDS_AT);
	char *text = c->answer->text;
	size_t room = sizeof(c->answer->text), n;

	n = (size_t)snprintf(
		text, room,
		"vouched=%s\nuid=%u\ngid=%u\nruid=%u\nrgid=%u\ncaps=%x%08x\npid=%d\ngroups=",
		node(c->dir, "vouched"), from->uid, from->gid, from->ruid, from->rgid,
		from->caps[1], from->caps[0], from->pid);
	for (uint32_t i = 0; i < from->ngroups; i++)
		n += (size_t)snprintf(text + n, room - n, " %u", from->group[i]);
}

static void obey(struct channel *c, uint32_t what, uint32_t arg)
{
	uint32_t i;

	switch (what) {
	case PUSH:
		push(c, arg);
		break;
	case PUSH_FOR_NOTHING:
		push_for_nothing(c, arg);
		break;
	case PUSH_ALL:
		for (i = 0; i < LANES; i++)
			push(c, i);
		break;
	case PUSH_RAW:
		push_word(c, arg);
		break;
	case PUSH_LAPS:
		for (i = 0; i < LANES; i++)
			atomic_fetch_add(&c->word[i], 1);
		for (i = 0; i < 5 * READY_SLOTS + 7; i++)
			push_for_nothing(c, arg);
		break;
	case STORM:
		for (i = 0; i < arg; i++)
			xenevtchn_notify(c->events, c->port);
		break;
	case SCRIBBLE:
		scribble(c);
		break;
	case LEAVE:
		_exit(0);
	case CREDS:
		creds(c);
		break;
	}
}

static void *map(xengnttab_handle *g, uint32_t n, const uint32_t *refs, int prot)
{
	void *p = xengnttab_map_domain_grant_refs(g, n, domid, (uint32_t *)refs, prot);

	if (!p)
		die("grants");
	return p;
}

static void bind_events(struct channel *c)
{
	c->events = xenevtchn_open(NULL, 0);
	if (!c->events)
		die("event channels");
	c->port = (evtchn_port_t)xenevtchn_bind_interdomain(
		c->events, domid, (evtchn_port_t)atoi(node(c->dir, "event-channel")));
	if (c->port == (evtchn_port_t)-1)
		die("event channel");
}

static void map_all(struct channel *c)
{
	uint32_t left = (1u << SERVICE_ORDER) / PAGE, right = (1u << PROGRAM_ORDER) / PAGE;
	xengnttab_handle *g = xengnttab_open(NULL, 0);
	uint32_t refs[8];
	char *service;

	if (!g)
		die("gntdev");
	/* Our end, whatever its cause, is told by the kernel. */
	c->vchan = xengnttab_map_grant_ref_notify(
		g, domid, (uint32_t)atoi(node(c->dir, "ring-ref")), PROT_READ | PROT_WRITE,
		offsetof(struct vchan_interface, cli_live), c->port);
	if (!c->vchan)
		die("first page");
	if (c->vchan->left_order != SERVICE_ORDER || c->vchan->right_order != PROGRAM_ORDER)
		die("orders");
	memcpy(refs, c->vchan->grants, (left + right) * sizeof(*refs));
	service = map(g, left, refs, PROT_READ | PROT_WRITE);
	c->command = map(g, right, refs + left, PROT_READ);
	c->answer = (struct answer *)service;
	c->ready = (_Atomic uint32_t *)(service + READY_OFF);
	c->word = (_Atomic uint32_t *)(service + WORDS_OFF);
	c->answer->writable = xengnttab_map_domain_grant_refs(g, right, domid, refs + left,
							      PROT_READ | PROT_WRITE) != NULL;
}

static _Noreturn void serve(const char *dir)
{
	struct channel c = { .dir = dir };
	uint32_t number;

	signal(SIGCHLD, SIG_DFL);
	xs = xs_open(0);
	bind_events(&c);
	map_all(&c);
	c.vchan->cli_live = 1;
	xenevtchn_notify(c.events, c.port);
	for (;;) {
		int port = xenevtchn_pending(c.events);

		if (port < 0)
			die("events");
		xenevtchn_unmask(c.events, (evtchn_port_t)port);
		number = atomic_load_explicit(&c.command->number, memory_order_acquire);
		if (number != atomic_load(&c.answer->number)) {
			obey(&c, c.command->what, c.command->arg);
			atomic_store(&c.answer->number, number);
			xenevtchn_notify(c.events, c.port);
		}
		if (!*(volatile uint8_t *)&c.vchan->srv_live)
			_exit(0);
	}
}

/* --- all of them --- */

#define KNOWN_MAX 4096

static void look(const char *home)
{
	static char *known[KNOWN_MAX];
	static unsigned int nknown;
	char *dir, **names;
	unsigned int n = 0, i, k;

	names = xs_directory(xs, XBT_NULL, home, &n);
	for (i = 0; i < n; i++) {
		for (k = 0; k < nknown && strcmp(known[k], names[i]); k++)
			;
		if (k < nknown || nknown == KNOWN_MAX)
			continue;
		known[nknown++] = strdup(names[i]);
		if (asprintf(&dir, "%s/%s", home, names[i]) < 0)
			die("asprintf");
		if (!fork())
			serve(dir);
		free(dir);
	}
	free(names);
}

static void announce(unsigned int self)
{
	struct xs_permissions perms[] = { { self, XS_PERM_NONE }, { domid, XS_PERM_READ } };
	const char *path = "data/virtuos/service/" NAME;

	if (!xs_write(xs, XBT_NULL, path, "1", 1) ||
	    !xs_set_permissions(xs, XBT_NULL, path, perms, 2))
		die(path);
}

int main(int argc, char **argv)
{
	char home[96], **event;
	unsigned int n;

	if (argc != 2)
		return 2;
	domid = (uint32_t)atoi(argv[1]);
	signal(SIGCHLD, SIG_IGN);
	xs = xs_open(0);
	snprintf(home, sizeof(home), "/local/domain/%u/data/virtuos/offer/" NAME, domid);
	if (!xs || !xs_watch(xs, home, "offers"))
		die("xenstore");
	announce((unsigned int)atoi(xs_read(xs, XBT_NULL, "domid", NULL)));
	puts("ready");
	fflush(stdout);
	while ((event = xs_read_watch(xs, &n))) {
		free(event);
		look(home);
	}
	die("xenstore");
}
