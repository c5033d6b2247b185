/* SPDX-License-Identifier: MIT */
/*
 * Finding programs in other domains: their offers in the xenstore (ring/vchan.h). We watch the
 * directory of each domain that may attach, take what is offered there, answer, and take the offer
 * away, also one that is of no use. What is left of a program that died while it attached is swept
 * away thereby.
 */
#define _GNU_SOURCE
#include "kernel-ext/virtuos.h"
#include "ring/vchan.h"
#include "svcd/vchan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#define DOMAINS_MAX 64
#define DOMID_MAX   32751

struct domain {
	char name[64]; /* by which it was given, or "" */
	bool known;    /* its number is; that of a name can change */
	unsigned domid;
	char offers[128]; /* the directory of its offers to us */
};

static struct domain domains[DOMAINS_MAX];
static int ndomains;
static struct xs_handle *store;
static struct watcher on_store;
static bool announced; /* the node that says that we are there is ours */

/* --- taking an offer ----------------------------------------------------------------------------
 */

static int read_number(const char *dir, const char *name, uint32_t *n)
{
	char path[256], *text, *end;
	unsigned len;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	text = xs_read(store, XBT_NULL, path, &len);
	if (!text)
		return -errno;
	*n = (uint32_t)strtoul(text, &end, 10);
	len = *text && !*end;
	free(text);
	return len ? 0 : -EINVAL;
}

static int attach(struct client *cl, const struct domain *d, const char *dir, const char **why)
{
	const volatile struct vos_offer *o;
	struct vos_hello h;
	uint32_t ref, port, vouched;
	int r;

	*why = "the offer is not complete";
	r = read_number(dir, VOS_XS_REF, &ref);
	if (!r)
		r = read_number(dir, VOS_XS_PORT, &port);
	if (r || read_number(dir, VOS_XS_VOUCHED, &vouched))
		vouched = 0;
	if (!r)
		r = vchan_map(cl, d->domid, ref, port, why);
	if (r)
		return r;
	o = (const void *)(cl->program + VOS_OFFER_AT);
	memcpy(&h, (const void *)&o->hello, sizeof(h));
	*why = "the library is of another version";
	if (h.magic != VOS_MAGIC || h.version != VOS_VERSION || h.kind != VOS_HELLO_ATTACH ||
	    !(h.caps & VOS_CAP_READY_QUEUE))
		return -EPROTONOSUPPORT;
	cl->pid = o->pid;
	snprintf(cl->label, sizeof(cl->label), "%u.%d", d->domid, (int)cl->pid);
	vchan_identify(cl, o, vouched == VIRTUOS_VOUCHED);
	*why = "its user is not one that this service can act for";
	if (!cl->ident || !ident_may_attach(cl->ident))
		return -EACCES;
	return client_prepare(cl, &h, why);
}

static void take_offer(const struct domain *d, const char *dir)
{
	struct client *cl = client_new(&transport_vchan);
	const char *why = "out of memory";
	int r = -ENOMEM;

	if (cl) {
		snprintf(cl->label, sizeof(cl->label), "%u.?", d->domid);
		r = attach(cl, d, dir, &why);
		vchan_answer(cl, r, r ? why : "");
	}
	if (!r)
		r = client_enter(cl);
	xs_rm(store, XBT_NULL, dir);
	if (!r)
		return;
	/* One that was withdrawn, or left by the dead. */
	log_line(r == -ENOENT ? 7 : 4, "offer %s refused: %s (%s)", dir, why, strerror(-r));
	if (cl)
		client_put(cl);
}

/* --- watching -----------------------------------------------------------------------------------
 */

static bool of_domain(const struct client *cl, const void *d)
{
	return cl->transport == &transport_vchan &&
	       cl->vchan->domid == ((const struct domain *)d)->domid;
}

/*
 * Those that were there before us, or nothing: it has offered nothing yet, or it is gone, with all
 * that said who may look.
 */
static void look_at_all(const struct domain *d)
{
	unsigned n = 0;
	char **ids = xs_directory(store, XBT_NULL, d->offers, &n);
	char dir[256];

	if (!ids) {
		if (errno == ENOENT || errno == EACCES)
			client_drop_all(of_domain, d);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		snprintf(dir, sizeof(dir), "%s/%s", d->offers, ids[i]);
		take_offer(d, dir);
	}
	free(ids);
}

/* Something has happened to @path, in the directory of @d: the port comes last. */
static void look_at(const struct domain *d, char *path)
{
	const size_t n = strlen(path), tail = strlen("/" VOS_XS_PORT);

	if (!strcmp(path, d->offers)) {
		look_at_all(d);
	} else if (n > tail && !strcmp(path + n - tail, "/" VOS_XS_PORT)) {
		path[n - tail] = 0;
		if (strlen(path) > strlen(d->offers))
			take_offer(d, path);
	}
}

static const char *announce(void);

/* The number of a domain that was given by name; NULL: it has none now. */
static void meet(struct domain *d, const unsigned *domid)
{
	char token[16];

	snprintf(token, sizeof(token), "%d", (int)(d - domains));
	if (d->known) {
		xs_unwatch(store, d->offers, token);
		client_drop_all(of_domain, d);
	}
	d->known = domid;
	if (domid) {
		d->domid = *domid;
		snprintf(d->offers, sizeof(d->offers), "/local/domain/%u/" VOS_XS_OFFER "/%s",
			 *domid, opt.domain);
	}
	if (domid && !xs_watch(store, d->offers, token))
		log_line(3, "offers of domain %u cannot be watched: %s", *domid, strerror(errno));
}

static void name_node(char path[128], const struct domain *d)
{
	snprintf(path, 128, VOS_XS_DOMID "/%.63s", d->name);
}

static void look_at_name(struct domain *d)
{
	char path[128], *text, *end;
	unsigned domid = 0;
	bool is;

	name_node(path, d);
	text = xs_read(store, XBT_NULL, path, NULL);
	is = text && *text >= '0' && *text <= '9';
	if (is)
		domid = (unsigned)strtoul(text, &end, 10);
	is = is && !*end && domid <= DOMID_MAX;
	free(text);
	if (is == d->known && (!is || domid == d->domid))
		return;
	meet(d, is ? &domid : NULL);
	announce();
	log_line(7, "domain %s: %s%.0u", d->name, is ? "number " : "none", domid);
}

/* Tokens: the number of the domain; with an n before it, of its name. */
static void store_event(struct watcher *w)
{
	char **event;

	(void)w;
	while ((event = xs_check_watch(store))) {
		const char *token = event[XS_WATCH_TOKEN];
		bool name = *token == 'n';
		int i = atoi(token + name);

		if (i >= 0 && i < ndomains && name)
			look_at_name(&domains[i]);
		else if (i >= 0 && i < ndomains && domains[i].known)
			look_at(&domains[i], event[XS_WATCH_PATH]);
		free(event);
	}
}

/* --- the beginning and the end ------------------------------------------------------------------
 */

static const char form[] = "vchan:DOMAIN[,DOMAIN...] is allowed, numbers or names of Xen domains";

/* The next one of a list, into @d; what is left of the list, or NULL: it is wrong. */
static const char *next_domain(const char *list, struct domain *d)
{
	size_t n = strcspn(list, ",");
	char *end;

	if (!n || n >= sizeof(d->name) ||
	    strspn(list, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") < n)
		return NULL;
	memset(d, 0, sizeof(*d));
	memcpy(d->name, list, n);
	if (strspn(d->name, "0123456789") == n) {
		unsigned long domid = strtoul(d->name, &end, 10);

		if (domid > DOMID_MAX)
			return NULL;
		d->domid = (unsigned)domid;
		d->name[0] = 0;
	}
	return list + n;
}

const char *vchan_check(const char *list)
{
	struct domain d;

	while ((list = next_domain(list, &d)) && *list)
		list++;
	return list ? NULL : form;
}

const char *vchan_listen(const char *list)
{
	const char *problem = NULL;

	if (strchr(opt.domain, '.'))
		problem = "the name of a domain that is reached by vchan must not have a dot in it";
	if (!problem)
		problem = vchan_open();
	if (!problem)
		problem = vchan_find_user();
	if (problem)
		return problem;
	if (!store)
		store = xs_open(0);
	/* The descriptor is made when it is asked for first, by calls that we shall not allow. */
	if (!store || xs_fileno(store) < 0)
		return "the xenstore cannot be reached";
	for (;;) {
		if (ndomains == DOMAINS_MAX)
			return "too many domains";
		list = next_domain(list, &domains[ndomains++]);
		if (!list)
			return form;
		if (!*list++)
			return NULL;
	}
}

static void service_node(char path[128])
{
	snprintf(path, 128, VOS_XS_SERVICE "/%s", opt.domain);
}

/* Say that we are there, to those who are concerned. */
static const char *announce(void)
{
	static uint64_t id[2];
	struct xs_permissions perms[DOMAINS_MAX + 1];
	char *ours = xs_read(store, XBT_NULL, "domid", NULL);
	char version[32], path[128];
	unsigned n = 1;

	if (!ours)
		return "the xenstore does not say which domain this is";
	perms[0] = (struct xs_permissions){ .id = (unsigned)atoi(ours), .perms = XS_PERM_NONE };
	free(ours);
	for (int i = 0; i < ndomains; i++)
		if (domains[i].known)
			perms[n++] = (struct xs_permissions){ .id = domains[i].domid,
							      .perms = XS_PERM_READ };
	if (!id[0] && random_id(id))
		return "there are no random numbers";
	snprintf(version, sizeof(version), "%u %llx", VOS_VERSION, (unsigned long long)id[0]);
	service_node(path);
	if (!xs_write(store, XBT_NULL, path, version, (unsigned)strlen(version)) ||
	    !xs_set_permissions(store, XBT_NULL, path, perms, n))
		return "the service cannot be announced in the xenstore";
	announced = true;
	return NULL;
}

/* The library has a thread for watches: made here, it has no more rights than we do. */
const char *vchan_start(void)
{
	on_store.ready = store_event;
	if (!store)
		return NULL;
	if (control_watch(&on_store, xs_fileno(store)))
		return "the xenstore cannot be polled";
	for (int i = 0; i < ndomains; i++) {
		struct domain *d = &domains[i];
		char path[128], token[16];

		if (!d->name[0]) {
			meet(d, &d->domid);
			continue;
		}
		name_node(path, d);
		snprintf(token, sizeof(token), "n%d", i);
		if (!xs_watch(store, path, token))
			return "the xenstore cannot be watched";
	}
	return announce();
}

void vchan_unlisten(void)
{
	char path[128];

	if (!announced)
		return;
	service_node(path);
	xs_rm(store, XBT_NULL, path);
}
