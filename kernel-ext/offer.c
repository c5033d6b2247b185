// SPDX-License-Identifier: GPL-2.0
/* A channel is published in xenstore, in the form of libxenvchan, with the kernel's word for whose
 * it is. And whether there is somebody to take it.
 */
#include <linux/cred.h>
#include <linux/ctype.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "channel.h"

#define OFFERS	 "data/virtuos/offer"
#define NODE_MAX 2000 /* bytes of a node that we write */

static int print_groups(char *buf, const struct group_info *groups)
{
	int i, n = 0;

	buf[0] = 0;
	for (i = 0; i < groups->ngroups; i++) {
		n += scnprintf(buf + n, NODE_MAX - n, i ? " %u" : "%u",
			       from_kgid(&init_user_ns, groups->gid[i]));
		if (n >= NODE_MAX - 12)
			return -E2BIG;
	}
	return 0;
}

/* Those in a user namespace are none of the domain's. */
static u64 caps_of(const struct cred *cred)
{
	u64 caps = 0;
	int i;

	if (cred->user_ns != &init_user_ns)
		return 0;
	for (i = 0; i <= CAP_LAST_CAP; i++)
		if (cap_raised(cred->cap_effective, i))
			caps |= 1ull << i;
	return caps;
}

static int write_creds(struct virtuos_channel *c, struct xenbus_transaction t)
{
	const struct cred *cred = current_cred();
	char *groups = kmalloc(NODE_MAX, GFP_KERNEL);
	int r = groups ? print_groups(groups, cred->group_info) : -ENOMEM;

	if (!r)
		r = xenbus_write(t, c->dir, "groups", groups);
	kfree(groups);
	if (!r)
		r = xenbus_printf(t, c->dir, "uid", "%u", from_kuid(&init_user_ns, cred->euid));
	if (!r)
		r = xenbus_printf(t, c->dir, "gid", "%u", from_kgid(&init_user_ns, cred->egid));
	if (!r)
		r = xenbus_printf(t, c->dir, "ruid", "%u", from_kuid(&init_user_ns, cred->uid));
	if (!r)
		r = xenbus_printf(t, c->dir, "rgid", "%u", from_kgid(&init_user_ns, cred->gid));
	if (!r)
		r = xenbus_printf(t, c->dir, "caps", "%llx", caps_of(cred));
	return r;
}

static int write_offer(struct virtuos_channel *c, struct xenbus_transaction t)
{
	int r = write_creds(c, t);

	if (!r)
		r = xenbus_printf(t, c->dir, "pid", "%d", task_tgid_nr(current));
	if (!r)
		r = xenbus_printf(t, c->dir, "ring-ref", "%u", c->ref);
	if (!r)
		r = xenbus_printf(t, c->dir, "event-channel", "%u", c->port);
	return r;
}

/* All of it becomes visible at once. */
static int in_transaction(struct virtuos_channel *c,
			  int (*fn)(struct virtuos_channel *c, struct xenbus_transaction t))
{
	struct xenbus_transaction t;
	int r;

	do {
		r = xenbus_transaction_start(&t);
		if (r)
			return r;
		r = fn(c, t);
		if (r) {
			xenbus_transaction_end(t, 1);
			return r;
		}
		r = xenbus_transaction_end(t, 0);
	} while (r == -EAGAIN);
	return r;
}

int virtuos_write_creds(struct virtuos_channel *c)
{
	return c->published ? in_transaction(c, write_creds) : -ENOTCONN;
}

/* A service domain that has been destroyed says nothing any more, but its nodes disappear. */
static void service_changed(struct xenbus_watch *w, const char *path, const char *token)
{
	struct virtuos_channel *c = container_of(w, struct virtuos_channel, watch);

	if (!xenbus_exists(XBT_NIL, c->watched, ""))
		virtuos_break(c, -ENOLINK);
}

static int watch_service(struct virtuos_channel *c, const char *name)
{
	int r;

	snprintf(c->watched, sizeof(c->watched), "/local/domain/%u/data/virtuos/service/%s",
		 c->domid, name);
	c->watch.node = c->watched;
	c->watch.callback = service_changed;
	r = register_xenbus_watch(&c->watch);
	c->watching = !r;
	return r;
}

static bool good_name(const struct virtuos_offer *o)
{
	size_t i, n = strnlen(o->name, sizeof(o->name));

	for (i = 0; i < n; i++)
		if (!isalnum(o->name[i]) && o->name[i] != '-' && o->name[i] != '_')
			return false;
	return n && n <= VIRTUOS_NAME_MAX;
}

/* Once; what has been written before it failed is taken back with the channel. */
int virtuos_offer(struct virtuos_channel *c, struct virtuos_offer *o)
{
	static atomic64_t next = ATOMIC64_INIT(0);
	int r;

	if (!good_name(o))
		return -EINVAL;
	if (c->published)
		return -EALREADY;
	/* Programs fill no directory of the store that nobody else has made. */
	if (!xenbus_exists(XBT_NIL, OFFERS, o->name))
		return -ENOENT;
	c->published = true;
	o->id = atomic64_inc_return(&next);
	snprintf(c->dir, sizeof(c->dir), OFFERS "/%s/k%llu", o->name, o->id);
	r = watch_service(c, o->name);
	return r ?: in_transaction(c, write_offer);
}

void virtuos_withdraw(struct virtuos_channel *c)
{
	if (c->published)
		xenbus_rm(XBT_NIL, c->dir, "");
	if (c->watching)
		unregister_xenbus_watch(&c->watch);
}
