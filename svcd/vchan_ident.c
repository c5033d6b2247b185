/* SPDX-License-Identifier: MIT */
/*
 * Whose rights programs of other domains have. The hypervisor vouches for their domain only, so it is
 * one user for all of them; or, if we are told that this can be relied on, whom the kernel of that
 * domain says, for those that have its extension (kernel-ext/virtuos.h); or whom they themselves say.
 *
 * That it is the kernel who says so: the offer says so, and where nobody but root can write offers
 * (--trust-kernel), those that say so are the kernel's. What it says stands in a page that programs
 * cannot write.
 */
#define _GNU_SOURCE
#include "kernel-ext/virtuos.h"
#include "svcd/vchan.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY 65534

/* Of all programs of other domains, unless what they say of themselves is to be believed. */
static struct ident *one_for_all;

const char *vchan_find_user(void)
{
	struct passwd *pw = getpwnam(opt.vchan_user);
	char *end;
	unsigned long uid = strtoul(opt.vchan_user, &end, 10);
	int n = 0;

	if (one_for_all)
		return NULL;
	if (!pw && *opt.vchan_user && !*end)
		pw = getpwuid((uid_t)uid);
	if (pw)
		getgrouplist(pw->pw_name, pw->pw_gid, NULL, &n);
	else if (strcmp(opt.vchan_user, "nobody"))
		return "there is no such user as --vchan-user says";
	one_for_all = ident_new(pw ? pw->pw_uid : NOBODY, n);
	if (!one_for_all)
		return strerror(ENOMEM);
	one_for_all->gid = one_for_all->rgid = pw ? pw->pw_gid : NOBODY;
	one_for_all->caps = one_for_all->uid ? 0 : ~0ull;
	if (pw && getgrouplist(pw->pw_name, pw->pw_gid, one_for_all->groups, &n) < 0)
		return "the groups of --vchan-user cannot be found";
	one_for_all->ngroups = n;
	return NULL;
}

static struct ident *claimed(const volatile struct vos_offer *o)
{
	uint32_t n = o->ngroups;
	struct ident *id;

	if (n > VOS_OFFER_GROUPS)
		return NULL;
	id = ident_new(o->uid, (int)n);
	if (!id)
		return NULL;
	id->gid = o->gid;
	id->ruid = o->ruid;
	id->rgid = o->rgid;
	id->caps = id->uid ? 0 : o->caps[0] | (uint64_t)o->caps[1] << 32;
	for (uint32_t i = 0; i < n; i++)
		id->groups[i] = o->group[i];
	return id;
}

/* A kernel does not take long to write it. */
#define TRIES 1000

/* NULL: it does not make sense, or there is no memory. */
static struct ident *said_by_kernel(struct vchan *v)
{
	const volatile struct virtuos_creds *from =
		(const void *)((const uint8_t *)v->page + VIRTUOS_CREDS_AT);
	struct virtuos_creds c;
	struct ident *id;
	uint32_t number;
	int i = 0;

	do {
		number = from->number;
		/* Barriers on both sides: pairs with those of the kernel. */
		atomic_thread_fence(memory_order_seq_cst);
		memcpy(&c, (const void *)from, sizeof(c));
		atomic_thread_fence(memory_order_seq_cst);
	} while ((number & 1 || from->number != number) && ++i < TRIES);
	if (i == TRIES || c.ngroups > VIRTUOS_CREDS_GROUPS)
		return NULL;
	id = ident_new(c.uid, (int)c.ngroups);
	if (!id)
		return NULL;
	v->creds = number;
	id->gid = c.gid;
	id->ruid = c.ruid;
	id->rgid = c.rgid;
	id->caps = id->uid ? 0 : c.caps[0] | (uint64_t)c.caps[1] << 32;
	memcpy(id->groups, c.group, c.ngroups * sizeof(c.group[0]));
	return id;
}

void vchan_identify(struct client *cl, const volatile struct vos_offer *o, bool vouched)
{
	cl->vchan->vouched = vouched && (opt.trust_kernel || opt.trust_vchan);
	if (cl->vchan->vouched) {
		cl->ident = said_by_kernel(cl->vchan);
		cl->vouched = VOUCHED_KERNEL;
	} else if (opt.trust_vchan) {
		cl->ident = claimed(o);
		cl->vouched = VOUCHED_BELIEVED;
	} else {
		cl->ident = ident_get(one_for_all);
		cl->vouched = VOUCHED_FIXED;
	}
}

struct ident *vchan_news(struct client *cl)
{
	const volatile struct virtuos_creds *from =
		(const void *)((const uint8_t *)cl->vchan->page + VIRTUOS_CREDS_AT);

	return cl->vchan->vouched && from->number != cl->vchan->creds ? said_by_kernel(cl->vchan)
								      : NULL;
}
