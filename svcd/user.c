/* SPDX-License-Identifier: MIT */
/*
 * Users, and how much each of them has of what is there for all. A user is there as long as
 * anything refers to it: identities, clients, and what is counted.
 */
#include "svcd/svcd.h"

#include <errno.h>
#include <stdlib.h>

#define BUCKETS 256 /* a power of two */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list bucket[BUCKETS];

static struct list *bucket_of(uid_t uid)
{
	struct list *b = &bucket[uid % BUCKETS];

	if (!b->next)
		list_init(b);
	return b;
}

static struct user *find(uid_t uid)
{
	struct list *b = bucket_of(uid);

	list_for_each(p, b) {
		struct user *u = list_entry(p, struct user, list);

		if (u->uid == uid)
			return user_ref(u);
	}
	return NULL;
}

static struct user *make(uid_t uid)
{
	struct user *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->uid = uid;
	u->refs = 1;
	list_init(&u->backlog);
	list_add_tail(&u->list, bucket_of(uid));
	return u;
}

struct user *user_get(uid_t uid)
{
	struct user *u;

	pthread_mutex_lock(&lock);
	u = find(uid);
	if (!u)
		u = make(uid);
	pthread_mutex_unlock(&lock);
	return u;
}

/* By who has a reference, or the lock. */
struct user *user_ref(struct user *u)
{
	atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed);
	return u;
}

void user_put(struct user *u)
{
	int refs = u ? atomic_load_explicit(&u->refs, memory_order_relaxed) : 0;

	/* Release: pairs with the acquire of the last one, which frees it. */
	while (refs > 1)
		if (atomic_compare_exchange_weak_explicit(
			    &u->refs, &refs, refs - 1, memory_order_release, memory_order_relaxed))
			return;
	if (!u)
		return;
	/* The last one, unless somebody has found it meanwhile. */
	pthread_mutex_lock(&lock);
	if (atomic_fetch_sub_explicit(&u->refs, 1, memory_order_acq_rel) == 1) {
		list_del(&u->list);
		free(u);
	}
	pthread_mutex_unlock(&lock);
}

/* Counters alone, which nothing else depends on: relaxed. */
int user_charge(struct user *u, enum user_count what, int n, int max)
{
	if (atomic_fetch_add_explicit(&u->count[what], n, memory_order_relaxed) > max - n) {
		atomic_fetch_sub_explicit(&u->count[what], n, memory_order_relaxed);
		return -ENFILE;
	}
	return 0;
}

void user_release(struct user *u, enum user_count what, int n)
{
	atomic_fetch_sub_explicit(&u->count[what], n, memory_order_relaxed);
}

int user_has(const struct user *u, enum user_count what)
{
	return atomic_load_explicit(&u->count[what], memory_order_relaxed);
}
