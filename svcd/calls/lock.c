/* SPDX-License-Identifier: MIT */
/*
 * Record locks: fcntl() with struct flock. POSIX locks are open-description locks of a lock file of
 * the process (locks.c); a lock that has to wait does so in the pool.
 */
#define _GNU_SOURCE
#include "svcd/locks.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* From the start of the file, since the lock file has a position of its own; as the kernel checks it. */
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
	if (fl->l_start < 0)
		return -EINVAL;
	if (fl->l_len > 0 && fl->l_len - 1 > INT64_MAX - fl->l_start)
		return -EOVERFLOW;
	if (fl->l_len >= 0)
		return 0;
	if (fl->l_start + fl->l_len < 0)
		return -EINVAL;
	fl->l_start += fl->l_len;
	fl->l_len = -fl->l_len;
	return 0;
}

static int allowed(int fd, short type)
{
	int mode = fcntl(fd, F_GETFL) & O_ACCMODE;

	if ((type == F_WRLCK && mode == O_RDONLY) || (type == F_RDLCK && mode == O_WRONLY))
		return -EBADF;
	return type == F_WRLCK || type == F_RDLCK || type == F_UNLCK ? 0 : -EINVAL;
}

/* By the pool. What fcntl() is given it may change. */
static long wait_for(struct lock_file *f, struct flock *fl)
{
	const struct flock range = *fl;
	struct lock_wait w = { .file = f, .range = &range };
	long r = locks_wait(&w);

	if (r)
		return r;
	r = fcntl(f->fd, F_OFD_SETLKW, fl) ? -errno : 0;
	locks_waited(&w, !r);
	return r;
}

/* Set without waiting first; a lock that has to wait does so in the pool. */
static long set_lock(struct call *c, struct lock_file *f, struct flock *fl, bool wait)
{
	long r;

	if (!locks_allowed(&f->held, fl->l_type))
		return -ENOLCK;
	if (wait && c->in_pool)
		return wait_for(f, fl);
	if (fl->l_type == F_UNLCK) /* first, so that nobody is told to wait for us any more */
		locks_set(&f->held, fl);
	r = fcntl(f->fd, F_OFD_SETLK, fl) ? -errno : 0;
	if (r == -EACCES)
		r = -EAGAIN;
	if (r == -EBADF) /* the client's descriptor is good for it */
		r = -ENOLCK;
	if (r == -EAGAIN && wait)
		return CALL_POOL;
	if (!r && fl->l_type != F_UNLCK)
		locks_set(&f->held, fl);
	return r;
}

static long posix_lock(struct call *c, struct flock *fl, int cmd)
{
	int fd = c->ofd[0]->fd;
	struct lock_file *f;
	long r = cmd == F_GETLK ? 0 : allowed(fd, fl->l_type);

	if (cmd == F_GETLK && fl->l_type == F_UNLCK)
		return -EINVAL;
	if (!r)
		r = absolute(fl, fd);
	if (r)
		return r;
	f = lock_file_get(c->client->locks, fd);
	if (!f)
		return -ENOLCK;
	if (cmd == F_GETLK) {
		r = fcntl(f->fd, F_OFD_GETLK, fl) ? -errno : 0;
		if (!r && fl->l_type != F_UNLCK && fl->l_pid == -1)
			fl->l_pid = locks_holder(f, fl);
	} else {
		r = set_lock(c, f, fl, cmd == F_SETLKW);
	}
	lock_file_put(f);
	return r;
}

/* Of open descriptions: the kernel's own, which are only counted. */
static long ofd_lock(struct call *c, struct flock *fl, bool wait)
{
	struct ofd *o = c->ofd[0];
	struct held *h = fl->l_type == F_UNLCK ? o->desc->locks : locks_own(o);
	struct flock range;

	if (fl->l_type != F_UNLCK && (!h || !locks_allowed(h, fl->l_type)))
		return -ENOLCK;
	if (fcntl(o->fd, wait && c->in_pool ? F_OFD_SETLKW : F_OFD_SETLK, fl))
		return wait && !c->in_pool && (errno == EAGAIN || errno == EACCES) ? CALL_POOL
										   : -errno;
	range = *fl;
	if (h && !absolute(&range, o->fd))
		locks_set(h, &range);
	return 0;
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
	case F_OFD_SETLK:
		r = ofd_lock(c, &fl, cmd == F_OFD_SETLKW);
		break;
	case F_OFD_GETLK:
		r = fcntl(c->ofd[0]->fd, cmd, &fl) ? -errno : 0;
		break;
	default:
		return -EINVAL;
	}
	if (!r && (cmd == F_GETLK || cmd == F_OFD_GETLK) && c->a[3])
		memcpy((void *)c->a[3], &fl, sizeof(fl));
	return r;
}
