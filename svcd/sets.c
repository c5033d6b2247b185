/* SPDX-License-Identifier: MIT */
/*
 * What is in the epoll sets of programs: counted, since the kernel allows us only so many members for
 * all users together. It keeps a member as long as the member's open description is there, whichever
 * descriptor it was added by, and so do we.
 */
#include "svcd/svcd.h"

#include <errno.h>
#include <stdlib.h>

struct set_member {
	struct list of_set, of_file;
	struct description *set, *file;
	struct user *user; /* the set's */
	int fd;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all lists of members */

/* It is one. */
void set_begin(struct ofd *o)
{
	o->desc->in_sets = true;
}

long set_member_new(struct ofd *set, struct ofd *o, struct set_member **to)
{
	struct set_member *m;

	/* As the kernel says it. */
	if (user_charge(set->user, USER_WATCHES, 1, opt.user_watches))
		return -ENOSPC;
	m = malloc(sizeof(*m));
	if (!m) {
		user_release(set->user, USER_WATCHES, 1);
		return -ENOMEM;
	}
	*m = (struct set_member){
		.set = set->desc, .file = o->desc, .user = user_ref(set->user), .fd = o->fd
	};
	*to = m;
	return 0;
}

static void member_free(struct set_member *m)
{
	user_release(m->user, USER_WATCHES, 1);
	user_put(m->user);
	free(m);
}

void set_member_added(struct set_member *m, bool added)
{
	if (!added) {
		member_free(m);
		return;
	}
	pthread_mutex_lock(&lock);
	/* Before the last reference goes: pairs with set_forget(). */
	m->file->in_sets = true;
	list_add_tail(&m->of_set, &m->set->members);
	list_add_tail(&m->of_file, &m->file->sets);
	pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static void unlink_member(struct set_member *m)
{
	list_del(&m->of_set);
	list_del(&m->of_file);
	member_free(m);
}

void set_member_gone(struct ofd *set, struct ofd *o)
{
	pthread_mutex_lock(&lock);
	list_for_each(p, &o->desc->sets) {
		struct set_member *m = list_entry(p, struct set_member, of_file);

		if (m->set != set->desc || m->fd != o->fd)
			continue;
		unlink_member(m);
		break;
	}
	pthread_mutex_unlock(&lock);
}

void set_forget(struct description *d)
{
	if (!d->in_sets)
		return;
	pthread_mutex_lock(&lock);
	while (!list_empty(&d->sets))
		unlink_member(list_entry(d->sets.next, struct set_member, of_file));
	while (!list_empty(&d->members))
		unlink_member(list_entry(d->members.next, struct set_member, of_set));
	pthread_mutex_unlock(&lock);
}
