/* SPDX-License-Identifier: MIT */
/*
 * Record locks. The kernel's owner of a POSIX lock is the process: here svcd, for all its clients.
 * So each client has, for each file that it locks, one descriptor of its own (a lock file), and its
 * POSIX locks are open-description locks of that one. They go, as POSIX wants, when the client
 * closes any descriptor of the file. Which ranges are locked is remembered, since the kernel does
 * not tell F_GETLK who holds a lock of that kind.
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

struct lock_file {
	struct list list; /* of its client */
	struct list all;
	struct client *client;
	dev_t dev;
	ino_t ino;
	int fd;
	_Atomic int refs; /* the client's, and one for each call that blocks on it */
	struct range *ranges;
};

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

static struct lock_file *find(struct client *cl, const struct stat *st)
{
	list_for_each(p, &cl->lock_files) {
		struct lock_file *f = list_entry(p, struct lock_file, list);

		if (f->dev == st->st_dev && f->ino == st->st_ino)
			return f;
	}
	return NULL;
}

/* By our own rights: what the client may do its own descriptor has shown. */
static int open_again(struct client *cl, int fd)
{
	char number[16];
	int r = openat(proc_fds, fd_name(number, fd), O_RDWR | O_CLOEXEC | O_NONBLOCK);

	(void)cl;
	if (r < 0)
		r = openat(proc_fds, fd_name(number, fd), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return r;
}

static struct lock_file *get(struct client *cl, int fd)
{
	struct lock_file *f;
	struct stat st;

	if (fstat(fd, &st))
		return NULL;
	pthread_mutex_lock(&lock);
	f = find(cl, &st);
	if (!f) {
		f = calloc(1, sizeof(*f));
		if (f)
			f->fd = open_again(cl, fd);
		if (f && f->fd >= 0) {
			f->refs = 1;
			f->client = cl;
			f->dev = st.st_dev;
			f->ino = st.st_ino;
			list_add_tail(&f->list, &cl->lock_files);
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

void locks_closed(struct client *cl, struct ofd *o)
{
	struct lock_file *f;
	struct stat st;

	if (list_empty(&cl->lock_files) || fstat(o->fd, &st))
		return;
	pthread_mutex_lock(&lock);
	f = find(cl, &st);
	if (f)
		unlink_file(f);
	pthread_mutex_unlock(&lock);
}

void locks_drop(struct client *cl)
{
	pthread_mutex_lock(&lock);
	while (!list_empty(&cl->lock_files))
		unlink_file(list_entry(cl->lock_files.next, struct lock_file, list));
	pthread_mutex_unlock(&lock);
}

/* --- who has what
 * ------------------------------------------------------------------------------------- */

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

/* The process that holds the lock which the kernel found in the way. */
static pid_t owner(const struct client *cl, const struct lock_file *mine, off_t start, short type)
{
	pid_t pid = -1;

	list_for_each(p, &all) {
		struct lock_file *f = list_entry(p, struct lock_file, all);

		if (f->client == cl || f->dev != mine->dev || f->ino != mine->ino)
			continue;
		for (struct range *r = f->ranges; r; r = r->next)
			if (r->start <= start && start <= r->end && r->type == type)
				pid = f->client->pid;
	}
	return pid;
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

/* Set without waiting first; a lock that has to wait does so in the pool. */
static long set_lock(struct call *c, struct lock_file *f, struct flock *fl, bool wait)
{
	off_t end = fl->l_len ? fl->l_start + fl->l_len - 1 : INT64_MAX;
	long r = fcntl(f->fd, wait && c->in_pool ? F_OFD_SETLKW : F_OFD_SETLK, fl) ? -errno : 0;

	if (r == -EACCES)
		r = -EAGAIN;
	if (r == -EAGAIN && wait && !c->in_pool)
		return CALL_POOL;
	if (!r) {
		pthread_mutex_lock(&lock);
		set_range(f, fl->l_start, end, fl->l_type);
		pthread_mutex_unlock(&lock);
	}
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
	f = get(c->client, fd);
	if (!f)
		return -ENOLCK;
	if (cmd == F_GETLK) {
		r = fcntl(f->fd, F_OFD_GETLK, fl) ? -errno : 0;
		if (!r && fl->l_type != F_UNLCK && fl->l_pid == -1) {
			pthread_mutex_lock(&lock);
			fl->l_pid = owner(c->client, f, fl->l_start, fl->l_type);
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
