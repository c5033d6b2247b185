/* SPDX-License-Identifier: MIT */
/*
 * Open descriptions and handles. A handle is to a client what a descriptor number is to a process:
 * several may name one open description, each has its own kernel descriptor only if it was made by
 * dup (so that epoll tells them apart), and a fork shares them.
 *
 * Tables change under their lock; the driver looks handles up without: a slot's description is
 * published with release after its generation, and chunks are never moved nor freed while the
 * client lives. Only the driver removes, so what it has looked up stays until its turn ends.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ofd *make(int fd, enum ofd_kind kind, struct description *desc)
{
	struct user *user = ident_user();
	struct ofd *o;

	/* So that nobody can take them all. */
	if (user_charge(user, USER_FDS, 1, opt.user_fds))
		return NULL;
	o = calloc(1, sizeof(*o));
	if (!o) {
		user_release(user, USER_FDS, 1);
		return NULL;
	}
	o->user = user_ref(user);
	o->refs = 1;
	o->fd = fd;
	o->kind = kind;
	o->desc = desc;
	pthread_mutex_init(&o->lock, NULL);
	return o;
}

bool handle_room(struct client *cl)
{
	struct handle_table *t = cl->table;
	bool room;

	pthread_mutex_lock(&t->lock);
	room = t->live < (uint32_t)opt.max_handles && !t->closed;
	pthread_mutex_unlock(&t->lock);
	return room && user_has(ident_user(), USER_FDS) < opt.user_fds;
}

struct ofd *ofd_new(int fd, enum ofd_kind kind, bool nonblock)
{
	struct description *d = calloc(1, sizeof(*d));
	struct ofd *o = d ? make(fd, kind, d) : NULL;

	if (!o) {
		free(d);
		return NULL;
	}
	d->refs = 1;
	d->nonblock = nonblock;
	list_init(&d->tokens);
	list_init(&d->sets);
	list_init(&d->members);
	return o;
}

struct ofd *ofd_dup(struct ofd *o, int fd)
{
	struct ofd *d = make(fd, o->kind, o->desc);

	if (d) {
		d->no_nowait = o->no_nowait;
		atomic_fetch_add_explicit(&o->desc->refs, 1, memory_order_relaxed);
	}
	return d;
}

struct ofd *ofd_get(struct ofd *o)
{
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	return o;
}

static bool put(struct ofd *o)
{
	if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
		return false;
	/* Pairs with token_make(). */
	if (atomic_load(&o->desc->sent))
		token_settle(o->desc);
	return true;
}

static void destroy(struct ofd *o)
{
	for (struct watch *w = o->watches, *next; w; w = next) {
		next = w->next;
		watch_release(w);
	}
	close(o->fd);
	if (atomic_fetch_sub_explicit(&o->desc->refs, 1, memory_order_acq_rel) == 1) {
		set_forget(o->desc);
		locks_forget(o->desc);
		free(o->desc);
	}
	pthread_mutex_destroy(&o->lock);
	user_release(o->user, USER_FDS, 1);
	user_put(o->user);
	free(o);
}

/* For close(), which may have to wait until all has been sent (SO_LINGER). */
void ofd_close(struct ofd *o)
{
	if (put(o))
		destroy(o);
}

/* Nobody waits here: it must not block whoever happens to have the last reference. */
void ofd_put(struct ofd *o)
{
	struct linger l;
	socklen_t n = sizeof(l);

	if (!put(o))
		return;
	if (o->kind == OFD_SOCKET && atomic_load(&o->desc->refs) == 1 &&
	    !getsockopt(o->fd, SOL_SOCKET, SO_LINGER, &l, &n) && l.l_onoff && l.l_linger) {
		l.l_onoff = 0; /* in the background, as when a process ends */
		setsockopt(o->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	}
	destroy(o);
}

/* Found out at the first transfer, since opening a file should not cost another call. */
enum ofd_kind ofd_kind(struct ofd *o)
{
	enum ofd_kind kind = o->kind;
	struct stat st;

	if (kind != OFD_UNKNOWN)
		return kind;
	if (fstat(o->fd, &st) || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ||
	    S_ISBLK(st.st_mode)) {
		kind = OFD_FILE;
	} else {
		kind = OFD_OTHER;
		fcntl(o->fd, F_SETFL, fcntl(o->fd, F_GETFL) | O_NONBLOCK);
	}
	o->kind = kind;
	return kind;
}

static struct handle *slot_at(struct handle_table *t, uint32_t idx)
{
	struct handle *chunk =
		atomic_load_explicit(&t->chunk[idx / HANDLE_CHUNK], memory_order_acquire);

	return chunk ? &chunk[idx % HANDLE_CHUNK] : NULL;
}

static struct handle *free_slot(struct handle_table *t, uint32_t *idx)
{
	struct handle *h;

	if (t->free) {
		*idx = t->free - 1;
		h = slot_at(t, *idx);
		t->free = h->next_free;
		return h;
	}
	if (t->used >= HANDLE_CHUNK * HANDLE_CHUNKS)
		return NULL;
	*idx = t->used;
	if (*idx % HANDLE_CHUNK == 0) {
		struct handle *chunk = calloc(HANDLE_CHUNK, sizeof(*chunk));

		if (!chunk)
			return NULL;
		/* Release: pairs with slot_at(). */
		atomic_store_explicit(&t->chunk[*idx / HANDLE_CHUNK], chunk, memory_order_release);
	}
	t->used++;
	return slot_at(t, *idx);
}

int64_t handle_add(struct client *cl, struct ofd *o, uint32_t root)
{
	struct handle_table *t = cl->table;
	struct handle *h = NULL;
	uint32_t idx = 0, gen = 0;

	if (!o)
		return -ENOMEM;
	pthread_mutex_lock(&t->lock);
	if (t->live < (uint32_t)opt.max_handles && !t->closed)
		h = free_slot(t, &idx);
	if (h) {
		t->live++;
		gen = (h->gen + 1) & ((1u << VOS_HANDLE_GEN_BITS) - 1);
		if (!gen)
			gen = 1;
		h->gen = gen;
		h->root = root;
		/* Release: generation and root first. Pairs with handle_ofd(). */
		atomic_store_explicit(&h->ofd, o, memory_order_release);
	}
	pthread_mutex_unlock(&t->lock);
	if (h)
		return (int64_t)VOS_HANDLE(idx, gen);
	ofd_put(o);
	return -EMFILE;
}

static struct handle *find(struct client *cl, uint64_t handle, struct ofd **o)
{
	uint32_t idx = VOS_HANDLE_IDX(handle);
	struct handle *h = slot_at(cl->table, idx);

	if (!h || handle & ~VOS_HANDLE_MASK)
		return NULL;
	*o = atomic_load_explicit(&h->ofd, memory_order_acquire);
	return *o && h->gen == VOS_HANDLE_GEN(handle) ? h : NULL;
}

struct ofd *handle_ofd(struct client *cl, uint64_t handle, uint32_t *root)
{
	struct ofd *o;
	struct handle *h = find(cl, handle, &o);

	if (!h)
		return NULL;
	if (root)
		*root = h->root;
	return o;
}

struct ofd *handle_get(struct client *cl, uint64_t handle)
{
	struct ofd *o = NULL;

	pthread_mutex_lock(&cl->table->lock);
	if (find(cl, handle, &o))
		ofd_get(o);
	else
		o = NULL;
	pthread_mutex_unlock(&cl->table->lock);
	return o;
}

struct ofd *handle_remove(struct client *cl, uint64_t handle)
{
	struct handle_table *t = cl->table;
	struct ofd *o = NULL;
	struct handle *h;

	pthread_mutex_lock(&t->lock);
	h = find(cl, handle, &o);
	if (h) {
		atomic_store_explicit(&h->ofd, NULL, memory_order_release);
		h->next_free = t->free;
		t->free = VOS_HANDLE_IDX(handle) + 1;
		t->live--;
	}
	pthread_mutex_unlock(&t->lock);
	return h ? o : NULL;
}
