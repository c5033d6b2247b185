/* SPDX-License-Identifier: MIT */
/* What a client tells about itself: roots, umask, tickets, cancelled calls. */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
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
	char path[VOS_PATH_MAX];
	struct stat st;

	if (cl->nroots == SVCD_ROOTS_MAX)
		return -ENOSPC;
	strncpy(path, (const char *)c->a[0], sizeof(path));
	path[sizeof(path) - 1] = 0;
	if (path[0] != '/')
		return -EINVAL;
	r->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r->fd < 0)
		return -errno;
	if (fstat(r->fd, &st)) {
		close(r->fd);
		return -EIO;
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

long svcd_call_ticket(struct call *c)
{
	uint64_t id[2];
	long r = ticket_make(c->client, id);

	if (!r)
		memcpy((void *)c->a[0], id, sizeof(id));
	return r;
}

long svcd_call_ticket_pid(struct call *c)
{
	const uint64_t id[2] = { c->raw[0], c->raw[1] };

	ticket_bind(id, (pid_t)c->a[2]);
	return 0;
}

/* After exec: handles that no descriptor of the new image names are closed, as close-on-exec says. */
long svcd_call_keep(struct call *c)
{
	struct handle_table *t = c->client->table;
	const uint64_t *keep = (const uint64_t *)c->a[0];
	size_t n = c->len[0] / sizeof(*keep);

	for (uint32_t i = 0; i < t->used; i++) {
		struct handle *h = &t->chunk[i / HANDLE_CHUNK][i % HANDLE_CHUNK];
		uint64_t handle = VOS_HANDLE(i, h->gen);
		bool kept = !h->ofd;

		for (size_t k = 0; k < n && !kept; k++)
			kept = *(volatile const uint64_t *)&keep[k] == handle;
		if (!kept)
			ofd_put(handle_remove(c->client, handle));
	}
	return 0;
}
