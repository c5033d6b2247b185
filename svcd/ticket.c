/* SPDX-License-Identifier: MIT */
/*
 * What a process leaves for its child, for its next image, or for whoever it sends a descriptor to.
 *
 * A ticket is a copy of a client's table (each handle keeps its number), roots and working
 * directory; whoever attaches with its number gets it. It is bound to the process that may take it
 * and goes when that process dies. A token stands for one description and works as often as it is
 * claimed; it lasts as long as the client that made it holds the description.
 * The numbers are random: knowing one is the right to use it, as holding a descriptor is.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNBOUND_NS 10000000000ull /* a ticket that nobody was named for lasts so long */

struct item {
	uint32_t idx, gen, root;
	struct ofd *ofd;
};

struct ticket {
	struct list list;
	uint64_t id[2];
	uint64_t since;
	int pidfd;
	int cwd;
	uint32_t cwd_root, nroots;
	struct root root[SVCD_ROOTS_MAX];
	uint32_t n;
	struct item item[];
};

struct token {
	struct list list;
	uint64_t id[2];
	struct ofd *ofd;
	uint32_t root;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list tickets = { &tickets, &tickets };
static struct list tokens = { &tokens, &tokens };

int random_id(uint64_t id[2])
{
	return getrandom(id, 16, 0) == 16 ? 0 : -EIO;
}

static void ticket_free(struct ticket *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		ofd_put(t->item[i].ofd);
	for (uint32_t i = 0; i < t->nroots; i++)
		close(t->root[i].fd);
	if (t->cwd >= 0)
		close(t->cwd);
	if (t->pidfd >= 0)
		close(t->pidfd);
	free(t);
}

static int dup_fd(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* By the driver of @cl. */
long ticket_make(struct client *cl, uint64_t id[2])
{
	struct handle_table *h = cl->table;
	struct ticket *t = calloc(1, sizeof(*t) + h->live * sizeof(t->item[0]));

	if (!t)
		return -ENOMEM;
	if (random_id(t->id)) {
		free(t);
		return -EIO;
	}
	t->pidfd = -1;
	t->since = now_ns();
	t->cwd = dup_fd(cl->cwd);
	t->cwd_root = cl->cwd_root;
	pthread_mutex_lock(&h->lock);
	for (uint32_t i = 0; i < h->used && t->n < h->live; i++) {
		struct handle *slot = &h->chunk[i / HANDLE_CHUNK][i % HANDLE_CHUNK];

		if (!slot->ofd)
			continue;
		t->item[t->n++] = (struct item){ i, slot->gen, slot->root, ofd_get(slot->ofd) };
	}
	pthread_mutex_unlock(&h->lock);
	for (uint32_t i = 0; i < cl->nroots; i++) {
		t->root[i] = cl->root[i];
		t->root[i].fd = dup_fd(cl->root[i].fd);
		t->nroots++;
	}
	memcpy(id, t->id, sizeof(t->id));
	pthread_mutex_lock(&lock);
	list_add_tail(&t->list, &tickets);
	pthread_mutex_unlock(&lock);
	return 0;
}

static struct ticket *find_ticket(const uint64_t id[2])
{
	list_for_each(p, &tickets) {
		struct ticket *t = list_entry(p, struct ticket, list);

		if (t->id[0] == id[0] && t->id[1] == id[1])
			return t;
	}
	return NULL;
}

static int restore_slot(struct handle_table *h, const struct item *it)
{
	struct handle *slot;

	while (h->used <= it->idx) {
		uint32_t c = h->used / HANDLE_CHUNK;

		if (!h->chunk[c]) {
			h->chunk[c] = calloc(HANDLE_CHUNK, sizeof(struct handle));
			if (!h->chunk[c])
				return -ENOMEM;
		}
		slot = &h->chunk[c][h->used % HANDLE_CHUNK];
		if (h->used++ == it->idx)
			break;
		slot->next_free = h->free;
		h->free = h->used;
	}
	slot = &h->chunk[it->idx / HANDLE_CHUNK][it->idx % HANDLE_CHUNK];
	slot->gen = it->gen;
	slot->root = it->root;
	slot->ofd = ofd_get(it->ofd);
	h->live++;
	return 0;
}

/* Fill the table of a client that is being made: nobody else sees it yet. */
int ticket_take(const uint64_t id[2], struct client *cl)
{
	struct ticket *t;
	int r = 0;

	pthread_mutex_lock(&lock);
	t = find_ticket(id);
	if (t)
		list_del(&t->list);
	pthread_mutex_unlock(&lock);
	if (!t)
		return -ESTALE;
	for (uint32_t i = 0; i < t->n && !r; i++)
		r = restore_slot(cl->table, &t->item[i]);
	for (uint32_t i = 0; i < t->nroots; i++) {
		cl->root[i] = t->root[i];
		cl->nroots++;
	}
	t->nroots = 0; /* moved */
	cl->cwd = t->cwd;
	cl->cwd_root = t->cwd_root;
	t->cwd = -1;
	ticket_free(t);
	return r;
}

void ticket_bind(const uint64_t id[2], pid_t pid)
{
	struct ticket *t;

	pthread_mutex_lock(&lock);
	t = find_ticket(id);
	if (t && pid > 0 && t->pidfd < 0)
		t->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (t && t->pidfd < 0)
		t->since = 0; /* gone already: the next reaping takes it */
	pthread_mutex_unlock(&lock);
}

/* By the control thread, once a second while there are tickets. */
void ticket_reap(void)
{
	struct list dead;
	uint64_t now = now_ns();

	list_init(&dead);
	pthread_mutex_lock(&lock);
	list_for_each_safe(p, next, &tickets) {
		struct ticket *t = list_entry(p, struct ticket, list);
		struct pollfd pf = { t->pidfd, POLLIN, 0 };
		bool gone = t->pidfd >= 0 ? poll(&pf, 1, 0) > 0 : now - t->since > UNBOUND_NS;

		if (gone) {
			list_del(p);
			list_add_tail(p, &dead);
		}
	}
	list_for_each_safe(p, next, &tokens) {
		struct token *t = list_entry(p, struct token, list);

		if (atomic_load(&t->ofd->refs) == 1) { /* only we hold it */
			list_del(p);
			ofd_put(t->ofd);
			free(t);
		}
	}
	pthread_mutex_unlock(&lock);
	list_for_each_safe(p, next, &dead)
		ticket_free(list_entry(p, struct ticket, list));
}

bool ticket_any(void)
{
	bool any;

	pthread_mutex_lock(&lock);
	any = !list_empty(&tickets) || !list_empty(&tokens);
	pthread_mutex_unlock(&lock);
	return any;
}

long token_make(struct client *cl, struct ofd *o, uint32_t root, uint64_t id[2])
{
	struct token *t = calloc(1, sizeof(*t));

	(void)cl;
	if (!t || random_id(t->id)) {
		free(t);
		return -ENOMEM;
	}
	t->ofd = ofd_get(o);
	t->root = root;
	memcpy(id, t->id, sizeof(t->id));
	pthread_mutex_lock(&lock);
	list_add_tail(&t->list, &tokens);
	pthread_mutex_unlock(&lock);
	return 0;
}

long token_claim(struct client *cl, const uint64_t id[2])
{
	struct ofd *o = NULL;
	uint32_t root = 0;

	pthread_mutex_lock(&lock);
	list_for_each(p, &tokens) {
		struct token *t = list_entry(p, struct token, list);

		if (t->id[0] == id[0] && t->id[1] == id[1]) {
			o = ofd_get(t->ofd);
			root = t->root;
		}
	}
	pthread_mutex_unlock(&lock);
	return o ? handle_add(cl, o, root) : -ESTALE;
}
