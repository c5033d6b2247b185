/* SPDX-License-Identifier: MIT */
/* Calls on descriptors as such: close, dup, tokens, fcntl, ioctl. */
#define _GNU_SOURCE
#include "svcd/allowed.h"
#include "svcd/svcd.h"
#include "svcd/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

long svcd_call_close(struct call *c)
{
	struct ofd *o = c->closing;

	if (o) { /* the pool's */
		c->closing = NULL;
		ofd_close(o);
		return 0;
	}
	o = handle_remove(c->client, c->raw[0]);
	if (!o)
		return -EBADF;
	/* It goes before the answer, and while we may be replaced: the call must not hold it. */
	c->ofd[0] = NULL;
	if (locks_any(c->client->locks)) {
		call_may_block(c); /* somebody may have the lock of locks for long */
		locks_closed(c->client->locks, o);
	}
	if (atomic_load(&o->refs) != 1) {
		ofd_put(o);
	} else if (atomic_load(&o->desc->lingers)) {
		c->closing = o;
		return CALL_POOL;
	} else {
		call_may_block(c);
		ofd_close(o);
	}
	return 0;
}

long svcd_call_dup(struct call *c)
{
	struct ofd *o = c->ofd[0], *d;
	uint32_t root = 0;
	int fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return -errno;
	handle_ofd(c->client, c->raw[0], &root);
	d = ofd_dup(o, fd);
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	return handle_add(c->client, d, root);
}

long svcd_call_token(struct call *c)
{
	uint32_t root = VOS_ROOT_NONE;
	uint64_t id[2];
	long r;

	if (!c->a[1])
		return -EFAULT;
	handle_ofd(c->client, c->raw[0], &root);
	call_may_block(c);
	if (c->a[2])
		engine_hear(c->client);
	r = token_make(c, c->ofd[0], (uint32_t)c->a[2], id);
	if (r)
		return r;
	memcpy((void *)c->a[1], id, sizeof(id));
	return root;
}

long svcd_call_claim(struct call *c)
{
	const uint64_t id[2] = { c->raw[0], c->raw[1] };

	return token_claim(c->client, id, (uint32_t)c->a[2], c->a[3]);
}

static long set_flags(struct ofd *o, int flags)
{
	bool always_nonblock = ofd_kind(o) != OFD_FILE;

	if (fcntl(o->fd, F_SETFL, always_nonblock ? flags | O_NONBLOCK : flags))
		return -errno;
	o->desc->nonblock = flags & O_NONBLOCK;
	o->desc->flags = flags & (O_DIRECT | O_APPEND);
	return 0;
}

static long get_flags(struct ofd *o)
{
	long r = sys(SYS_fcntl, o->fd, F_GETFL, 0, 0, 0, 0);

	if (r < 0)
		return r;
	return (r & ~O_NONBLOCK) | (o->desc->nonblock ? O_NONBLOCK : 0);
}

/* To the kernel it is behind a pointer, to the program's library a number. */
static long rw_hint(int fd, int cmd, uint64_t hint)
{
	return fcntl(fd, cmd, &hint) ? -errno : cmd == F_GET_RW_HINT ? (long)hint : 0;
}

long svcd_call_fcntl(struct call *c)
{
	long r;

	switch (c->a[1]) {
	case F_GETFL:
		return get_flags(c->ofd[0]);
	case F_SETFL:
		return set_flags(c->ofd[0], (int)c->a[2]);
	case F_GET_RW_HINT:
	case F_SET_RW_HINT:
		return rw_hint(c->ofd[0]->fd, (int)c->a[1], (uint64_t)c->a[2]);
	case F_GETPIPE_SZ:
	case F_SETPIPE_SZ:
	case F_ADD_SEALS:
	case F_GET_SEALS:
	case F_GETLEASE: /* the signals of F_SETLEASE and F_NOTIFY would be for us */
		r = fcntl(c->ofd[0]->fd, (int)c->a[1], c->a[2]);
		return r < 0 ? -errno : r;
	default:
		return -EINVAL;
	}
}

/* ioctl: a[1] request, a[2] data in, a[3] room for data out; how large is the library's list. */
#define IOCTL_MAX 4096

/* Straight into the block, where the kernel only writes; no block: how long the list is. */
static long list_interfaces(struct call *c)
{
	struct ifconf list = { .ifc_len = (int)c->len[3], .ifc_buf = (char *)c->a[3] };

	return ioctl(c->ofd[0]->fd, SIOCGIFCONF, &list) ? -errno : list.ifc_len;
}

long svcd_call_ioctl(struct call *c)
{
	char data[IOCTL_MAX] = { 0 };
	size_t in = c->len[2], out = c->len[3];
	unsigned long nr = c->raw[1];
	long r;

	if (in > sizeof(data) || out > sizeof(data))
		return -EINVAL;
	if (in)
		memcpy(data, (const void *)c->a[2], in);
	if (nr == FIONBIO) {
		ofd_kind(c->ofd[0]);
		c->ofd[0]->desc->nonblock = *(int *)data != 0;
		return 0;
	}
	if (nr == SIOCGIFCONF)
		return list_interfaces(c);
	if (!allowed_ioctl(nr))
		return -ENOTTY;
	call_may_block(c);
	r = ioctl(c->ofd[0]->fd, nr, data);
	if (r < 0)
		return -errno;
	if (out)
		memcpy((void *)c->a[3], data, out);
	return (long)out; /* of this list none answers with anything but 0 */
}
