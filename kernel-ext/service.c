// SPDX-License-Identifier: GPL-2.0
/*
 * Services that channels lead to, and whether they are still there. A service domain that has been
 * destroyed says nothing any more, but its nodes in xenstore disappear. A domain may have only so
 * many watches there: all channels to one service share one.
 */
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "channel.h"

struct virtuos_service {
	struct list_head list; /* of services */
	struct list_head channels;
	struct xenbus_watch watch;
	char node[64 + VIRTUOS_NAME_MAX];
};

static LIST_HEAD(services);
static DEFINE_MUTEX(lock); /* of the lists; not held while unregistering */

static void service_changed(struct xenbus_watch *w, const char *path, const char *token)
{
	struct virtuos_service *s = container_of(w, struct virtuos_service, watch);
	struct virtuos_channel *c;

	if (xenbus_exists(XBT_NIL, s->node, ""))
		return;
	mutex_lock(&lock);
	list_for_each_entry(c, &s->channels, of_service) virtuos_break(c, -ENOLINK);
	mutex_unlock(&lock);
}

static struct virtuos_service *find(const char *node)
{
	struct virtuos_service *s;

	list_for_each_entry(s, &services, list) if (!strcmp(s->node, node)) return s;
	return NULL;
}

static struct virtuos_service *begin(const char *node)
{
	struct virtuos_service *s = kzalloc(sizeof(*s), GFP_KERNEL);
	int r;

	if (!s)
		return ERR_PTR(-ENOMEM);
	strscpy(s->node, node, sizeof(s->node));
	INIT_LIST_HEAD(&s->channels);
	s->watch.node = s->node;
	s->watch.callback = service_changed;
	r = register_xenbus_watch(&s->watch);
	if (r) {
		kfree(s);
		return ERR_PTR(r);
	}
	list_add(&s->list, &services);
	return s;
}

int virtuos_join(struct virtuos_channel *c, const char *name)
{
	char node[64 + VIRTUOS_NAME_MAX];
	struct virtuos_service *s;
	bool watched;

	snprintf(node, sizeof(node), "/local/domain/%u/data/virtuos/service/%s", c->domid, name);
	mutex_lock(&lock);
	s = find(node);
	watched = s;
	if (!s)
		s = begin(node);
	if (!IS_ERR(s)) {
		c->service = s;
		list_add(&c->of_service, &s->channels);
	}
	mutex_unlock(&lock);
	/* A new watch has an event at once. */
	if (watched && !xenbus_exists(XBT_NIL, node, ""))
		virtuos_break(c, -ENOLINK);
	return PTR_ERR_OR_ZERO(s);
}

void virtuos_leave(struct virtuos_channel *c)
{
	struct virtuos_service *s = c->service;
	bool last;

	if (!s)
		return;
	mutex_lock(&lock);
	list_del(&c->of_service);
	last = list_empty(&s->channels);
	if (last)
		list_del(&s->list);
	mutex_unlock(&lock);
	if (!last)
		return;
	/* Waits for service_changed(), which takes the lock. */
	unregister_xenbus_watch(&s->watch);
	kfree(s);
}
