// SPDX-License-Identifier: GPL-2.0
/*
 * Xenstore: where a service is, and a channel that is published for it, in the form of libxenvchan.
 * And the kernel's word for whose it is, which stands in the first page.
 */
#include <linux/cred.h>
#include <linux/ctype.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "channel.h"

#define OFFERS	"data/virtuos/offer"
#define DOMAINS "data/virtuos/domid"

static bool good_name(const char *name, size_t size)
{
	size_t i, n = strnlen(name, size);

	for (i = 0; i < n; i++)
		if (!isalnum(name[i]) && name[i] != '-' && name[i] != '_')
			return false;
	return n && n < size;
}

/* --- finding a service --- */

static int find_domain(struct virtuos_find *f)
{
	if (!kstrtou32(f->domain, 10, &f->domid))
		return f->domid < DOMID_FIRST_RESERVED ? 0 : -ENXIO;
	return xenbus_scanf(XBT_NIL, DOMAINS, f->domain, "%u", &f->domid) == 1 ? 0 : -ENXIO;
}

int virtuos_find(struct virtuos_find *f)
{
	char dir[64];
	char *text;
	int r;

	if (!good_name(f->domain, sizeof(f->domain)) || !good_name(f->name, sizeof(f->name)))
		return -EINVAL;
	r = find_domain(f);
	if (r)
		return r;
	snprintf(dir, sizeof(dir), "/local/domain/%u/data/virtuos/service", f->domid);
	text = xenbus_read(XBT_NIL, dir, f->name, NULL);
	if (IS_ERR(text))
		return PTR_ERR(text) == -ENOENT || PTR_ERR(text) == -EACCES ? -ECONNREFUSED
									    : PTR_ERR(text);
	memset(f->announced, 0, sizeof(f->announced));
	strscpy(f->announced, text, sizeof(f->announced));
	kfree(text);
	return 0;
}

/* --- whose it is --- */

/* Those in a user namespace are none of the domain's. */
static void write_caps(struct virtuos_creds *to, const struct cred *cred)
{
	int i;

	to->caps[0] = to->caps[1] = 0;
	for (i = 0; i <= CAP_LAST_CAP && cred->user_ns == &init_user_ns; i++)
		if (cap_raised(cred->cap_effective, i))
			to->caps[i / 32] |= 1u << i % 32;
}

/* The service can write there, too: to its own harm only. */
static int write_creds(struct virtuos_channel *c)
{
	struct virtuos_creds *to = (void *)c->vchan + VIRTUOS_CREDS_AT;
	const struct cred *cred = current_cred();
	const struct group_info *groups = cred->group_info;
	int i;

	if (groups->ngroups > VIRTUOS_CREDS_GROUPS)
		return -E2BIG;
	/* Full barriers: who finds the same even number before and after has read what is whole. */
	WRITE_ONCE(to->number, ++c->creds);
	smp_mb();
	to->pid = task_tgid_nr(current);
	to->uid = from_kuid(&init_user_ns, cred->fsuid);
	to->gid = from_kgid(&init_user_ns, cred->fsgid);
	to->ruid = from_kuid(&init_user_ns, cred->uid);
	to->rgid = from_kgid(&init_user_ns, cred->gid);
	write_caps(to, cred);
	to->ngroups = groups->ngroups;
	for (i = 0; i < groups->ngroups; i++)
		to->group[i] = from_kgid(&init_user_ns, groups->gid[i]);
	smp_mb();
	WRITE_ONCE(to->number, ++c->creds);
	return 0;
}

int virtuos_write_creds(struct virtuos_channel *c)
{
	if (!c->published)
		return -ENOTCONN;
	return c->owner == current->files ? write_creds(c) : -EPERM;
}

/* --- publishing it --- */

static int write_offer(struct virtuos_channel *c, struct xenbus_transaction t)
{
	int r = xenbus_printf(t, c->dir, "vouched", "%u", VIRTUOS_VOUCHED);

	if (!r)
		r = xenbus_printf(t, c->dir, "ring-ref", "%u", c->ref);
	if (!r)
		r = xenbus_printf(t, c->dir, "event-channel", "%u", c->port);
	return r;
}

/* All of it becomes visible at once. */
static int publish(struct virtuos_channel *c)
{
	struct xenbus_transaction t;
	int r;

	do {
		r = xenbus_transaction_start(&t);
		if (r)
			return r;
		r = write_offer(c, t);
		if (r) {
			xenbus_transaction_end(t, 1);
			return r;
		}
		r = xenbus_transaction_end(t, 0);
	} while (r == -EAGAIN);
	return r;
}

/* Once; what has been written before it failed is taken back with the channel. */
int virtuos_offer(struct virtuos_channel *c, const struct virtuos_offer *o)
{
	static atomic64_t next = ATOMIC64_INIT(0);
	char *there;
	int r;

	if (!good_name(o->name, sizeof(o->name)))
		return -EINVAL;
	if (c->published)
		return -EALREADY;
	/* Programs fill no directory of the store that nobody else has made. */
	there = xenbus_read(XBT_NIL, OFFERS, o->name, NULL);
	if (IS_ERR(there))
		return PTR_ERR(there);
	kfree(there);
	r = write_creds(c);
	if (r)
		return r;
	c->published = true;
	snprintf(c->dir, sizeof(c->dir), OFFERS "/%s/k%llu", o->name, atomic64_inc_return(&next));
	r = virtuos_join(c, o->name);
	return r ?: publish(c);
}

void virtuos_withdraw(struct virtuos_channel *c)
{
	if (c->published)
		xenbus_rm(XBT_NIL, c->dir, "");
	virtuos_leave(c);
}
