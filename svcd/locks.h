/* SPDX-License-Identifier: MIT */
/*
 * Who has which record locks (locks.c), for the calls that set them (calls/lock.c); what others
 * need of it is in svcd.h.
 */
#ifndef SVCD_LOCKS_H
#define SVCD_LOCKS_H

#include "svcd/ranges.h"
#include "svcd/svcd.h"

#include <fcntl.h>

struct file_id {
	dev_t dev;
	ino_t ino;
};

/* What somebody has locked of one file, on the account of whom. */
struct held {
	struct ranges ranges;
	struct share *share;
};

/* A file that a process has locks on, and the descriptor that has them. */
struct lock_file {
	struct file_id id;
	struct list list; /* of its owner */
	struct lock_owner *owner;
	struct list same;      /* of all owners with this file */
	struct locked *locked; /* or NULL: its owner has no locks there any more */
	int fd;
	unsigned ends;	  /* with this exec of its owner */
	_Atomic int refs; /* the owner's, and one for each call that uses it */
	struct held held;
};

/* A thread of @file's owner waits for a range. */
struct lock_wait {
	struct list list;
	struct lock_file *file;
	const struct flock *range;
};

/* The owner's of the file @fd, with a reference; NULL: it cannot be had. */
struct lock_file *lock_file_get(struct lock_owner *o, int fd);
void lock_file_put(struct lock_file *f);
/* For the locks of an open description, which are the kernel's own and only counted; or NULL. */
struct held *locks_own(struct ofd *);
/*
 * Ranges in what follows begin at l_start from the start of the file, and are no longer than there
 * can be. May there be one more such lock? There is (or F_UNLCK: there is not any more).
 */
bool locks_allowed(const struct held *, short type);
void locks_set(struct held *, const struct flock *);
/* The process that holds the lock which the kernel found in the way, or -1. */
pid_t locks_holder(const struct lock_file *mine, const struct flock *found);
/* About to wait: 0 or -EDEADLK. And afterwards. */
long locks_wait(struct lock_wait *);
void locks_waited(struct lock_wait *, bool got);

#endif
