/* SPDX-License-Identifier: MIT */
/*
 * Record locks. The kernel's owner of a POSIX lock is the process: here svcd, for all its clients.
 * So each process has, for each file that it locks, one descriptor of its own (a lock file), and
 * its POSIX locks are open-description locks of that one. They go, as POSIX wants, when the process
 * closes any descriptor of the file.
 *
 * The owner is a thing of its own, since a process is one client after the other: exec hands it on
 * with the ticket. What exec closes is known when the ticket is made, and that its locks are gone
 * is found by whichever comes first: the next image, or the end of the one before.
 *
 * Which ranges are locked is remembered, and who waits for which: the kernel does not tell F_GETLK
 * who holds a lock of that kind, nor does it notice when owners wait for each other; and nobody may
 * have too many.
 */
#define _GNU_SOURCE
#include "svcd/locks.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * So many of one user, and of them so many of one file: the kernel goes through all locks of a file,
 * one by one, for whoever wants one there.
 */
#define LOCKS_MAX 32768
#define SHARE_MAX 4096

/* A user's locks of one file. */
struct share {
	struct file_id id;
	struct user *user;
	int refs; /* of struct held */
	_Atomic int n;
};

struct lock_owner {
	int refs;    /* clients and tickets that have not been freed */
	int holders; /* those that have not ended: with the last of them the locks go */
	pid_t pid;
	const struct client *image; /* the client that it is now */
	struct list files;
	void *by_id; /* the same as a tree, tsearch(3) */
	struct list waits;
	unsigned execs; /* that have been prepared */
};

/* A file that somebody has locks on. */
struct locked {
	struct file_id id;
	struct list files; /* of all owners */
};

/*
 * Everything but files in use is under the lock, which nobody has for long: what takes time is done
 * before or after, as opening and closing.
 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *all;    /* struct locked, a tree */
static void *shares; /* struct share, likewise */

static int by_id(const void *a, const void *b)
{
	const struct file_id *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Of what has been found in a tree. */
static void *item(void *const *node)
{
	return node ? *node : NULL;
}

/* --- how much --------------------------------------------------------------------------------- */

static int by_id_and_user(const void *a, const void *b)
{
	const struct share *x = a, *y = b;
	int r = by_id(&x->id, &y->id);

	return r ? r : x->user->uid < y->user->uid ? -1 : x->user->uid > y->user->uid;
}

/* Under the lock; NULL: no memory. */
static struct share *share_get(const struct stat *st, struct user *user)
{
	struct share key = { .id = { st->st_dev, st->st_ino }, .user = user };
	struct share *s = item(tfind(&key, &shares, by_id_and_user));

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return NULL;
		s->id = key.id;
		s->user = user;
		if (!tsearch(s, &shares, by_id_and_user)) {
			free(s);
			return NULL;
		}
		user_ref(user);
	}
	s->refs++;
	return s;
}

/* Likewise. */
static void share_put(struct share *s)
{
	if (!s || --s->refs)
		return;
	tdelete(s, &shares, by_id_and_user);
	user_put(s->user);
	free(s);
}

/* Relaxed: a number alone, and one too many is no harm. */
bool locks_allowed(const struct held *h, short type)
{
	return type == F_UNLCK ||
	       (atomic_load_explicit(&h->share->n, memory_order_relaxed) < SHARE_MAX &&
		user_has(h->share->user, USER_LOCKS) < LOCKS_MAX);
}

/* There are so many more, or fewer. */
static void count(struct share *s, int n)
{
	atomic_fetch_add_explicit(&s->n, n, memory_order_relaxed);
	user_release(s->user, USER_LOCKS, -n);
}

static off_t last_byte(const struct flock *fl)
{
	return fl->l_len ? fl->l_start + fl->l_len - 1 : INT64_MAX;
}

static void set_range(struct held *h, const struct flock *fl)
{
	int before = h->ranges.n;

	ranges_set(&h->ranges, fl->l_start, last_byte(fl), fl->l_type);
	count(h->share, h->ranges.n - before);
}

/* Of what nobody else has any more. */
static void drop_held(struct held *h)
{
	count(h->share, -h->ranges.n);
	ranges_free(&h->ranges);
	pthread_mutex_lock(&lock);
	share_put(h->share);
	pthread_mutex_unlock(&lock);
}

/* --- lock files ------------------------------------------------------------------------------- */

/* Without the lock: closing may take long, and lets others have what was locked. */
void lock_file_put(struct lock_file *f)
{
	/* Release and acquire: who frees it sees what the others have done. */
	if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
		return;
	close(f->fd);
	user_release(f->held.share->user, USER_FDS, 1);
	drop_held(&f->held);
	free(f);
}

static void put_all(struct list *dead)
{
	list_for_each_safe(p, next, dead) {
		list_del(p);
		lock_file_put(list_entry(p, struct lock_file, list));
	}
}

static struct lock_file *find(struct lock_owner *o, const struct stat *st)
{
	const struct file_id id = { st->st_dev, st->st_ino };

	return item(tfind(&id, &o->by_id, by_id));
}

static int open_as(int fd, int flags)
{
	char number[16];

	return openat(proc_fds, fd_name(number, fd), flags | O_APPEND | O_CLOEXEC | O_NONBLOCK);
}

/*
 * For all sorts of locks, if that can be. What the client may do its own descriptor has shown, maybe
 * under another mode of the file, or as somebody else: but no more than that is done past the
 * present permissions.
 */
static int open_again(int fd, const struct stat *st)
{
	int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
	int r = open_as(fd, O_RDWR);

	if (r < 0 && errno == EACCES && S_ISREG(st->st_mode)) {
		ident_override(true);
		r = open_as(fd, mode == O_RDONLY ? O_RDONLY : O_RDWR);
		ident_override(false);
	}
	return r < 0 ? open_as(fd, mode) : r;
}

static struct lock_file *make(int fd, const struct stat *st)
{
	struct user *user = ident_user();
	struct lock_file *f;

	if (user_charge(user, USER_FDS, 1, opt.user_fds))
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f)
		goto out;
	f->fd = open_again(fd, st);
	if (f->fd < 0)
		goto out_free;
	pthread_mutex_lock(&lock);
	f->held.share = share_get(st, user);
	pthread_mutex_unlock(&lock);
	if (!f->held.share)
		goto out_close;
	f->refs = 1;
	f->id = (struct file_id){ st->st_dev, st->st_ino };
	list_init(&f->list);
	return f;
out_close:
	close(f->fd);
out_free:
	free(f);
out:
	user_release(user, USER_FDS, 1);
	return NULL;
}

static struct locked *locked_of(const struct file_id *id)
{
	struct locked *k = item(tfind(id, &all, by_id));

	if (k)
		return k;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->id = *id;
	list_init(&k->files);
	if (tsearch(k, &all, by_id))
		return k;
	free(k);
	return NULL;
}

static void forget_locked(struct locked *k)
{
	if (!list_empty(&k->files))
		return;
	tdelete(k, &all, by_id);
	free(k);
}

/* Under the lock: its owner has it from now on. */
static bool enter(struct lock_owner *o, struct lock_file *f)
{
	struct locked *k = o->holders ? locked_of(&f->id) : NULL;

	if (!k)
		return false;
	if (!tsearch(f, &o->by_id, by_id)) {
		forget_locked(k);
		return false;
	}
	f->owner = o;
	f->locked = k;
	list_add_tail(&f->list, &o->files);
	list_add_tail(&f->same, &k->files);
	return true;
}

/* Under the lock: to @dead, which is for put_all(). */
static void unlink_file(struct lock_file *f, struct list *dead)
{
	struct locked *k = f->locked;

	tdelete(f, &f->owner->by_id, by_id);
	list_del(&f->same);
	forget_locked(k);
	f->locked = NULL;
	list_del(&f->list);
	list_add_tail(&f->list, dead);
}

struct lock_file *lock_file_get(struct lock_owner *o, int fd)
{
	struct lock_file *f, *new = NULL;
	struct stat st;

	if (fstat(fd, &st))
		return NULL;
	pthread_mutex_lock(&lock);
	f = find(o, &st);
	if (!f) {
		pthread_mutex_unlock(&lock);
		new = make(fd, &st);
		if (!new)
			return NULL;
		pthread_mutex_lock(&lock);
		f = find(o, &st); /* another thread's was first */
		if (!f && enter(o, new)) {
			f = new;
			new = NULL;
		}
	}
	/* Relaxed: the owner has one, and cannot give it up without the lock. */
	if (f)
		atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
	pthread_mutex_unlock(&lock);
	if (new)
		lock_file_put(new);
	return f;
}

/* By the driver, without the lock: a lock that is only being made is not meant. */
bool locks_any(const struct lock_owner *o)
{
	return !list_empty(&o->files);
}

void locks_closed(struct lock_owner *o, struct ofd *ofd)
{
	struct lock_file *f;
	struct list dead;
	struct stat st;

	if (list_empty(&o->files) || fstat(ofd->fd, &st))
		return;
	list_init(&dead);
	pthread_mutex_lock(&lock);
	f = find(o, &st);
	if (f)
		unlink_file(f, &dead);
	pthread_mutex_unlock(&lock);
	put_all(&dead);
}

/* --- owners ----------------------------------------------------------------------------------- */

struct lock_owner *locks_new(void)
{
	struct lock_owner *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->refs = o->holders = 1;
	list_init(&o->files);
	list_init(&o->waits);
	return o;
}

struct lock_owner *locks_get(struct lock_owner *o)
{
	pthread_mutex_lock(&lock);
	o->refs++;
	o->holders++;
	pthread_mutex_unlock(&lock);
	return o;
}

/* Under the lock. */
static void leave(struct lock_owner *o, struct list *dead)
{
	o->holders--;
	while (!o->holders && !list_empty(&o->files))
		unlink_file(list_entry(o->files.next, struct lock_file, list), dead);
}

void locks_leave(struct lock_owner *o)
{
	struct list dead;

	list_init(&dead);
	pthread_mutex_lock(&lock);
	leave(o, &dead);
	pthread_mutex_unlock(&lock);
	put_all(&dead);
}

void locks_free(struct lock_owner *o)
{
	int refs;

	pthread_mutex_lock(&lock);
	refs = --o->refs;
	pthread_mutex_unlock(&lock);
	if (!refs)
		free(o);
}

/* --- exec ------------------------------------------------------------------------------------- */

bool locks_exec_begin(struct lock_owner *o)
{
	bool any;

	pthread_mutex_lock(&lock);
	any = !list_empty(&o->files);
	o->execs++;
	pthread_mutex_unlock(&lock);
	return any;
}

void locks_exec_closes(struct lock_owner *o, struct ofd *ofd)
{
	struct lock_file *f;
	struct stat st;

	if (fstat(ofd->fd, &st))
		return;
	pthread_mutex_lock(&lock);
	f = find(o, &st);
	if (f)
		f->ends = o->execs;
	pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static void exec_done(struct lock_owner *o, struct list *dead)
{
	list_for_each_safe(p, next, &o->files) {
		struct lock_file *f = list_entry(p, struct lock_file, list);

		if (o->execs && f->ends == o->execs)
			unlink_file(f, dead);
	}
}

void locks_image(struct lock_owner *o, const struct client *cl)
{
	struct list dead;

	list_init(&dead);
	pthread_mutex_lock(&lock);
	exec_done(o, &dead);
	o->pid = cl->pid;
	o->image = cl;
	pthread_mutex_unlock(&lock);
	put_all(&dead);
}

void locks_image_gone(struct lock_owner *o, const struct client *cl)
{
	struct list dead;

	list_init(&dead);
	pthread_mutex_lock(&lock);
	if (o->image == cl)
		exec_done(o, &dead);
	leave(o, &dead);
	pthread_mutex_unlock(&lock);
	put_all(&dead);
}

/* --- who has what --------------------------------------------------------------------------- */

void locks_set(struct held *h, const struct flock *fl)
{
	pthread_mutex_lock(&lock);
	set_range(h, fl);
	pthread_mutex_unlock(&lock);
}

pid_t locks_holder(const struct lock_file *mine, const struct flock *found)
{
	pid_t pid = -1;

	pthread_mutex_lock(&lock);
	if (!mine->locked)
		goto out;
	list_for_each(p, &mine->locked->files) {
		struct lock_file *f = list_entry(p, struct lock_file, same);

		if (f->owner != mine->owner &&
		    ranges_have(&f->held.ranges, found->l_start, found->l_type))
			pid = f->owner->pid;
	}
out:
	pthread_mutex_unlock(&lock);
	return pid;
}

struct held *locks_own(struct ofd *o)
{
	struct description *d = o->desc;
	struct held *h;
	struct stat st;

	pthread_mutex_lock(&lock);
	if (!d->locks && !fstat(o->fd, &st)) {
		h = calloc(1, sizeof(*h));
		if (h)
			h->share = share_get(&st, ident_user());
		if (h && !h->share) {
			free(h);
			h = NULL;
		}
		d->locks = h;
	}
	h = d->locks;
	pthread_mutex_unlock(&lock);
	return h;
}

void locks_forget(struct description *d)
{
	if (!d->locks)
		return;
	drop_held(d->locks);
	free(d->locks);
}

/* --- who waits for whom ----------------------------------------------------------------------- */

#define CHAIN_MAX 10	/* owners that wait for one another, as the kernel has it */
#define STEPS_MAX 10000 /* owners and waits that are looked at for one wait */

/* Does whoever @w waits for wait for @me, directly or by others? */
static bool leads_to(const struct lock_owner *me, const struct lock_wait *w, int chain, int *steps)
{
	const struct locked *k = w->file->locked;

	++*steps;
	if (!k)
		return false;
	list_for_each(p, &k->files) {
		const struct lock_file *f = list_entry(p, struct lock_file, same);

		if (++*steps > STEPS_MAX)
			return false;
		if (f->owner == w->file->owner ||
		    !ranges_conflict(&f->held.ranges, w->range->l_start, last_byte(w->range),
				     w->range->l_type))
			continue;
		if (f->owner == me && chain)
			return true;
		if (chain == CHAIN_MAX)
			return false;
		list_for_each(q, &f->owner->waits)
			if (leads_to(me, list_entry(q, struct lock_wait, list), chain + 1, steps))
				return true;
	}
	return false;
}

/*
 * All waits are known before they begin, and all that somebody holds before his next call, so the
 * one who closes a circle sees all of it.
 */
long locks_wait(struct lock_wait *w)
{
	struct lock_owner *o = w->file->owner;
	int steps = 0;
	long r;

	pthread_mutex_lock(&lock);
	r = leads_to(o, w, 0, &steps) ? -EDEADLK : 0;
	if (!r)
		list_add_tail(&w->list, &o->waits);
	pthread_mutex_unlock(&lock);
	return r;
}

void locks_waited(struct lock_wait *w, bool got)
{
	pthread_mutex_lock(&lock);
	list_del(&w->list);
	if (got)
		set_range(&w->file->held, w->range);
	pthread_mutex_unlock(&lock);
}
