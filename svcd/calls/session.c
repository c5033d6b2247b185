/* SPDX-License-Identifier: MIT */
/* What a client tells about itself: roots, umask, tickets, identity, cancelled calls. */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

long svcd_call_nop(struct call *c)
{
	(void)c;
	return 0;
}

/*
 * "file P = DOMAIN:ROOT" makes ROOT one of the client's roots: the directory that its paths start
 * from, and above which they leave the domain.
 */
long svcd_call_root(struct call *c)
{
	struct client *cl = c->client;
	struct root *r = &cl->root[cl->nroots];
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_NO_MAGICLINKS };
	char path[VOS_PATH_MAX];
	struct stat st;
	long fd;
	int err;

	if (cl->nroots == SVCD_ROOTS_MAX)
		return -ENOSPC;
	if (call_string(c, 0, path, sizeof(path)))
		return -ENAMETOOLONG;
	if (path[0] != '/')
		return -EINVAL;
	/* Not by way of what /proc says that we have open. */
	fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	r->fd = (int)fd;
	err = fstat(r->fd, &st) ? -EIO : client_charge(cl, 1);
	if (err) {
		close(r->fd);
		return err;
	}
	r->dev = st.st_dev;
	r->ino = st.st_ino;
	return cl->nroots++;
}

long svcd_call_cancel(struct call *c)
{
	call_cancel(c->lane, (uint32_t)c->a[0]);
	return 0;
}

long svcd_call_umask(struct call *c)
{
	mode_t old = c->client->umask;

	c->client->umask = (mode_t)c->a[0] & 0777;
	return old;
}

/*
 * The answer: 1 when we know the client's processes by the same numbers as it does, so that a
 * ticket can be bound to one; else whoever gets the ticket should not wait with taking it.
 */
long svcd_call_ticket(struct call *c)
{
	struct client *cl = c->client;
	const uint64_t *keep = c->raw[2] == VOS_REF_NULL ? NULL : (const uint64_t *)c->a[2];
	uint64_t id[2];
	bool own = c->a[1] & VOS_TICKET_OWN;
	long r;

	if (!c->a[0])
		return CALL_BREAK;
	r = ticket_make(c, keep, c->len[2] / sizeof(*keep), own, id);
	if (r)
		return r;
	if (own)
		r = client_process(cl) > 0 && !ticket_bind(id, cl->pid);
	else
		r = client_process(cl) > 0 && c->a[4] == cl->pid;
	if (!r && !own)
		ticket_bind(id, VOS_TICKET_ANYBODY);
	memcpy((void *)c->a[0], id, sizeof(id));
	return r;
}

long svcd_call_ticket_pid(struct call *c)
{
	const uint64_t id[2] = { c->raw[0], c->raw[1] };

	/* Processes that our kernel does not know take theirs at once; nobody may say for whom. */
	if (client_process(c->client) > 0 || c->a[2] <= 0)
		ticket_bind(id, (pid_t)c->a[2]);
	return 0;
}

#define MAY_BECOME (1ull << CAP_SETUID | 1ull << CAP_SETGID)

static bool may_become_anybody(const struct ident *id)
{
	return id->uid == 0 && (id->caps & MAY_BECOME) == MAY_BECOME;
}

/* It is @id from now on, whose reference is ours. */
static long become(struct client *cl, struct ident *id)
{
	if (id->uid)
		id->caps = cl->ident->caps; /* for access(), which asks for the real user */
	ident_put(cl->ident);
	cl->ident = id;
	return 0;
}

/*
 * Its kernel may have said who it is now. Root may become anybody, so it need not prove anything; and
 * must be able to say so where it could not connect again: after chroot(). Everybody else proves who
 * he is by a new connection, and so does root when it says that it has got a capability that we do
 * not know of.
 */
long svcd_call_ident(struct call *c)
{
	const volatile uint32_t *from = (const volatile uint32_t *)c->a[0];
	size_t n = c->len[0] / sizeof(*from);
	struct client *cl = c->client;
	bool believed = cl->vouched == VOUCHED_BELIEVED;
	struct ident *id;

	if (cl->vouched == VOUCHED_FIXED) /* it makes no difference */
		return 0;
	id = cl->transport->news ? cl->transport->news(cl) : NULL;
	if (id && ident_may_attach(id))
		return become(cl, id);
	if (id || (!believed && !may_become_anybody(cl->ident))) {
		ident_put(id);
		return -EPERM;
	}
	if (n < VOS_IDENT_WORDS || n - VOS_IDENT_WORDS > SVCD_GROUPS_MAX)
		return -EINVAL;
	id = ident_new(from[0], (int)(n - VOS_IDENT_WORDS));
	if (!id)
		return -ENOMEM;
	id->gid = from[1];
	id->ruid = from[2];
	id->rgid = from[3];
	id->caps = from[4] | (uint64_t)from[5] << 32;
	for (size_t i = VOS_IDENT_WORDS; i < n; i++)
		id->groups[i - VOS_IDENT_WORDS] = from[i];
	if ((id->uid == 0 && id->caps & ~cl->ident->caps && !believed) || !ident_may_attach(id)) {
		ident_put(id);
		return -EPERM;
	}
	return become(cl, id);
}
