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
 * who holds a lock of that kind, nor does it notice when owners wait for each other.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct range {
	struct range *next;
	off_t start, end; /* end: last byte */
	short type;
};

struct lock_owner {
	int refs;    /* clients and tickets that have not been freed */
	int holders; /* those that have not ended: with the last of them the locks go */
	pid_t pid;
	const struct client *image; /* the client that it is now */
	struct list files;
	struct list waits;
};

struct lock_file {
	struct list list; /* of its owner */
	struct list all;
	struct lock_owner *owner;
	dev_t dev;
	ino_t ino;
	int fd;
	bool ends;	  /* with the exec that is coming */
	_Atomic int refs; /* the owner's, and one for each call that uses it */
	struct range *ranges;
};

/* A thread of @file's owner waits for a range. */
struct wait {
	struct list list;
	const struct lock_file *file;
	off_t start, end;
	short type;
};

/* Everything but files in use is under the lock. */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list all = { &all, &all };

static void put(struct lock_file *f)
{
	if (atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	close(f->fd);
	for (struct range *r = f->ranges, *next; r; r = next) {
		next = r->next;
		free(r);
	}
	free(f);
}

static struct lock_file *find(struct lock_owner *o, const struct stat *st)
{
	list_for_each(p, &o->files) {
		struct lock_file *f = list_entry(p, struct lock_file, list);

		if (f->dev == st->st_dev && f->ino == st->st_ino)
			return f;
	}
	return NULL;
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

static struct lock_file *get(struct lock_owner *o, int fd)
{
	struct lock_file *f;
	struct stat st;

	if (fstat(fd, &st))
		return NULL;
	pthread_mutex_lock(&lock);
	f = find(o, &st);
	if (!f && o->holders) {
		f = calloc(1, sizeof(*f));
		if (f)
			f->fd = open_again(fd, &st);
		if (f && f->fd >= 0) {
			f->refs = 1;
			f->owner = o;
			f->dev = st.st_dev;
			f->ino = st.st_ino;
			list_add_tail(&f->list, &o->files);
			list_add_tail(&f->all, &all);
		} else {
			free(f);
			f = NULL;
		}
	}
	if (f)
		atomic_fetch_add(&f->refs, 1);
	pthread_mutex_unlock(&lock);
	return f;
}

static void unlink_file(struct lock_file *f)
{
	list_del(&f->list);
	list_del(&f->all);
	put(f);
}

/* By the driver, without the lock: a lock that is only being made is not meant. */
bool locks_any(const struct lock_owner *o)
{
	return !list_empty(&o->files);
}

void locks_closed(struct lock_owner *o, struct ofd *ofd)
{
	struct lock_file *f;
	struct stat st;

	if (list_empty(&o->files) || fstat(ofd->fd, &st))
		return;
	pthread_mutex_lock(&lock);
	f = find(o, &st);
	if (f)
		unlink_file(f);
	pthread_mutex_unlock(&lock);
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
static void leave(struct lock_owner *o)
{
	o->holders--;
	while (!o->holders && !list_empty(&o->files))
		unlink_file(list_entry(o->files.next, struct lock_file, list));
}

void locks_leave(struct lock_owner *o)
{
	pthread_mutex_lock(&lock);
	leave(o);
	pthread_mutex_unlock(&lock);
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
	list_for_each(p, &o->files)
		list_entry(p, struct lock_file, list)->ends = false;
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
		f->ends = true;
	pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static void exec_done(struct lock_owner *o)
{
	list_for_each_safe(p, next, &o->files) {
		struct lock_file *f = list_entry(p, struct lock_file, list);

		if (f->ends)
			unlink_file(f);
	}
}

void locks_image(struct lock_owner *o, const struct client *cl)
{
	pthread_mutex_lock(&lock);
	exec_done(o);
	o->pid = cl->pid;
	o->image = cl;
	pthread_mutex_unlock(&lock);
}

void locks_image_gone(struct lock_owner *o, const struct client *cl)
{
	pthread_mutex_lock(&lock);
	if (o->image == cl)
		exec_done(o);
	leave(o);
	pthread_mutex_unlock(&lock);
}

/* --- who has what --------------------------------------------------------------------------- */

static void add_range(struct lock_file *f, off_t start, off_t end, short type)
{
	struct range *r = malloc(sizeof(*r));

	if (!r)
		return; /* F_GETLK will not know the owner */
	*r = (struct range){ f->ranges, start, end, type };
	f->ranges = r;
}

/* The new lock takes the place of what was there. */
static void set_range(struct lock_file *f, off_t start, off_t end, short type)
{
	struct range **at = &f->ranges;

	while (*at) {
		struct range *r = *at, old = *r;

		if (old.end < start || old.start > end) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		free(r);
		if (old.start < start)
			add_range(f, old.start, start - 1, old.type);
		if (old.end > end)
			add_range(f, end + 1, old.end, old.type);
		at = &f->ranges; /* what was added does not overlap any more */
	}
	if (type != F_UNLCK)
		add_range(f, start, end, type);
}

static bool same_file(const struct lock_file *a, const struct lock_file *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

/* The process that holds the lock which the kernel found in the way. */
static pid_t holder(const struct lock_file *mine, off_t start, short type)
{
	pid_t pid = -1;

	list_for_each(p, &all) {
		struct lock_file *f = list_entry(p, struct lock_file, all);

		if (f->owner == mine->owner || !same_file(f, mine))
			continue;
		for (struct range *r = f->ranges; r; r = r->next)
			if (r->start <= start && start <= r->end && r->type == type)
				pid = f->owner->pid;
	}
	return pid;
}

/* --- who waits for whom ----------------------------------------------------------------------- */

#define CHAIN_MAX 10   /* owners that wait for one another, as the kernel has it */
#define STEPS_MAX 1000 /* ranges and waits that are looked at for one wait */

static off_t last_byte(const struct flock *fl)
{
	return fl->l_len ? fl->l_start + fl->l_len - 1 : INT64_MAX;
}

static bool in_the_way(const struct lock_file *f, const struct wait *w)
{
	for (const struct range *r = f->ranges; r; r = r->next)
		if (r->start <= w->end && w->start <= r->end &&
		    (r->type == F_WRLCK || w->type == F_WRLCK))
			return true;
	return false;
}

/* Does whoever @w waits for wait for @me, directly or by others? */
static bool leads_to(const struct lock_owner *me, const struct wait *w, int chain, int *steps)
{
	list_for_each(p, &all) {
		const struct lock_file *f = list_entry(p, struct lock_file, all);

		if (f->owner == w->file->owner || !same_file(f, w->file) || !in_the_way(f, w))
			continue;
		if (f->owner == me && chain)
			return true;
		if (++*steps > STEPS_MAX || chain == CHAIN_MAX)
			return false;
		list_for_each(q, &f->owner->waits)
			if (leads_to(me, list_entry(q, struct wait, list), chain + 1, steps))
				return true;
	}
	return false;
}

/*
 * All waits are known before they begin, and all that somebody holds before his next call, so the
 * one who closes a circle sees all of it.
 */
static long wait_for(struct lock_file *f, struct flock *fl)
{
	struct wait w = {
		.file = f, .start = fl->l_start, .end = last_byte(fl), .type = fl->l_type
	};
	int steps = 0;
	long r;

	pthread_mutex_lock(&lock);
	r = leads_to(f->owner, &w, 0, &steps) ? -EDEADLK : 0;
	if (!r)
		list_add_tail(&w.list, &f->owner->waits);
	pthread_mutex_unlock(&lock);
	if (r)
		return r;
	r = fcntl(f->fd, F_OFD_SETLKW, fl) ? -errno : 0;
	pthread_mutex_lock(&lock);
	list_del(&w.list);
	if (!r)
		set_range(f, w.start, w.end, w.type);
	pthread_mutex_unlock(&lock);
	return r;
}

/* From the start of the file, since the lock file has a position of its own. */
static int absolute(struct flock *fl, int fd)
{
	struct stat st;
	off_t base = 0;

	if (fl->l_whence == SEEK_CUR) {
		base = lseek(fd, 0, SEEK_CUR);
	} else if (fl->l_whence == SEEK_END) {
		if (fstat(fd, &st))
			return -errno;
		base = st.st_size;
	} else if (fl->l_whence != SEEK_SET) {
		return -EINVAL;
	}
	if (__builtin_add_overflow(fl->l_start, base, &fl->l_start))
		return -EOVERFLOW;
	fl->l_whence = SEEK_SET;
	if (fl->l_len < 0) {
		fl->l_start += fl->l_len;
		fl->l_len = -fl->l_len;
	}
	return fl->l_start < 0 ? -EINVAL : 0;
}

static int allowed(int fd, short type)
{
	int mode = fcntl(fd, F_GETFL) & O_ACCMODE;

	if ((type == F_WRLCK && mode == O_RDONLY) || (type == F_RDLCK && mode == O_WRONLY))
		return -EBADF;
	return type == F_WRLCK || type == F_RDLCK || type == F_UNLCK ? 0 : -EINVAL;
}

static void remember(struct lock_file *f, const struct flock *fl)
{
	pthread_mutex_lock(&lock);
	set_range(f, fl->l_start, last_byte(fl), fl->l_type);
	pthread_mutex_unlock(&lock);
}

/* Set without waiting first; a lock that has to wait does so in the pool. */
static long set_lock(struct call *c, struct lock_file *f, struct flock *fl, bool wait)
{
	long r;

	if (wait && c->in_pool)
		return wait_for(f, fl);
	if (fl->l_type == F_UNLCK) /* first, so that nobody is told to wait for us any more */
		remember(f, fl);
	r = fcntl(f->fd, F_OFD_SETLK, fl) ? -errno : 0;
	if (r == -EACCES)
		r = -EAGAIN;
	if (r == -EBADF) /* the client's descriptor is good for it */
		r = -ENOLCK;
	if (r == -EAGAIN && wait)
		return CALL_POOL;
	if (!r && fl->l_type != F_UNLCK)
		remember(f, fl);
	return r;
}

static long posix_lock(struct call *c, struct flock *fl, int cmd)
{
	int fd = c->ofd[0]->fd;
	struct lock_file *f;
	long r = cmd == F_GETLK ? 0 : allowed(fd, fl->l_type);

	if (!r)
		r = absolute(fl, fd);
	if (r)
		return r;
	f = get(c->client->locks, fd);
	if (!f)
		return -ENOLCK;
	if (cmd == F_GETLK) {
		r = fcntl(f->fd, F_OFD_GETLK, fl) ? -errno : 0;
		if (!r && fl->l_type != F_UNLCK && fl->l_pid == -1) {
			pthread_mutex_lock(&lock);
			fl->l_pid = holder(f, fl->l_start, fl->l_type);
			pthread_mutex_unlock(&lock);
		}
	} else {
		r = set_lock(c, f, fl, cmd == F_SETLKW);
	}
	put(f);
	return r;
}

long svcd_call_fcntl_lock(struct call *c)
{
	struct flock fl;
	int cmd = (int)c->a[1];
	long r;

	if (!c->a[2])
		return -EFAULT;
	memcpy(&fl, (const void *)c->a[2], sizeof(fl));
	if (cmd == F_GETLK || cmd == F_SETLK || cmd == F_SETLKW)
		fl.l_pid = 0; /* the open-description commands want it 0, and say so if it is not */
	call_may_block(c);
	switch (cmd) {
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
		r = posix_lock(c, &fl, cmd);
		break;
	case F_OFD_SETLKW:
		r = fcntl(c->ofd[0]->fd, c->in_pool ? F_OFD_SETLKW : F_OFD_SETLK, &fl) ? -errno : 0;
		if ((r == -EAGAIN || r == -EACCES) && !c->in_pool)
			r = CALL_POOL;
		break;
	case F_OFD_GETLK:
	case F_OFD_SETLK:
		r = fcntl(c->ofd[0]->fd, cmd, &fl) ? -errno : 0;
		break;
	default:
		return -EINVAL;
	}
	if (!r && (cmd == F_GETLK || cmd == F_OFD_GETLK) && c->a[3])
		memcpy((void *)c->a[3], &fl, sizeof(fl));
	return r;
}
