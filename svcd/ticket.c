/* SPDX-License-Identifier: MIT */
/*
 * What a process leaves for its child, or for its next image.
 *
 * A ticket is a copy of a client's table (each handle keeps its number), roots and working
 * directory. Its life: ticket_make() for a client that is about to fork or exec; ticket_bind() to
 * the process that it is for; ticket_take() when a client attaches with its number. Whoever knows
 * the number may take it, as often as it likes, until the process that it is bound to does, or for
 * one that is bound to nobody, anybody.
 *
 * A description in a ticket is open, so a ticket must not outlive its purpose; but however slow
 * everybody is, it must be there for whom it is for. So no clock runs while somebody can tell:
 *
 *	- the client that made it will say whom it is for, or that it is for nobody;
 *	- the reaper sleeps on the processes that tickets are bound to, and drops them at once;
 *	- who has taken it may not have got our answer, and come once more. It has with its first
 *	  call. Until then all that the ticket holds open is open in its table, too.
 *
 * If its maker is gone, or cannot say (libc has forked by itself; processes have other numbers here
 * than there), it lasts a minute.
 *
 * The numbers are random: knowing one is the right to use it, as holding a descriptor is.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNBOUND_NS    60000000000ull /* a ticket that nobody will be named for lasts so long */
#define ITEMS_COST    16	     /* as much memory as a descriptor takes elsewhere */
#define REAPER_STACK  (128 << 10)
#define REAPER_EVENTS 16

struct item {
	uint32_t idx, gen, root;
	struct ofd *ofd;
};

/* Where its paths start. */
struct places {
	int cwd;
	uint32_t cwd_root, nroots;
	struct root root[SVCD_ROOTS_MAX];
};

struct ticket {
	struct list list;
	uint64_t id[2];
	uint64_t serial;	    /* what the reaper knows it by */
	const struct client *maker; /* who will say whom it is for, or NULL */
	uint64_t since;		    /* that, if it is bound to nobody */
	pid_t pid;		    /* whom it is bound to, or 0 */
	pid_t of;		    /* who has made it, as it knows itself */
	int pidfd;
	struct places places;
	struct lock_owner *locks; /* of the process itself, for its next image */
	struct user *user;	  /* whose descriptors it counts among ... */
	int cost;		  /* ... and as how many, or 0: not yet */
	uint32_t n;
	struct item item[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list tickets = { &tickets, &tickets };
static uint64_t serials;
static int aging;  /* tickets without process and maker */
static int reaper; /* its epoll */

int random_id(uint64_t id[2])
{
	return getrandom(id, 16, 0) == 16 ? 0 : -EIO;
}

static void close_places(struct places *p)
{
	for (uint32_t i = 0; i < p->nroots; i++)
		close(p->root[i].fd);
	if (p->cwd >= 0)
		close(p->cwd);
}

static void ticket_free(struct ticket *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		ofd_put(t->item[i].ofd);
	close_places(&t->places);
	if (t->pidfd >= 0)
		close(t->pidfd);
	if (t->cost)
		user_release(t->user, USER_FDS, t->cost);
	user_put(t->user);
	if (t->locks) {
		locks_leave(t->locks);
		locks_free(t->locks);
	}
	free(t);
}

/* Under the lock, like all of these. */
static bool ages(const struct ticket *t)
{
	return !t->pid && !t->maker;
}

/* Nobody finds it any more. */
static void unlist(struct ticket *t)
{
	list_del(&t->list);
	aging -= ages(t);
}

/* Nobody will say whom it is for. */
static void set_adrift(struct ticket *t)
{
	if (ages(t))
		return;
	t->maker = NULL;
	t->since = now_ns();
	if (ages(t) && !aging++)
		control_kick();
}

static int dup_fd(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* --- making one ----------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* A private, sorted copy of a list in the program's memory. */
static uint64_t *copy_list(const uint64_t *from, size_t n)
{
	uint64_t *to = malloc((n + 1) * sizeof(*to));

	if (!to)
		return NULL;
	for (size_t i = 0; i < n; i++)
		to[i] = *(volatile const uint64_t *)&from[i];
	qsort(to, n, sizeof(*to), by_number);
	return to;
}

/* @closing: whose locks go with what is not kept; or NULL. */
static struct ticket *copy_handles(struct handle_table *h, const uint64_t *keep, size_t n,
				   struct lock_owner *closing)
{
	struct ticket *t;

	pthread_mutex_lock(&h->lock);
	t = calloc(1, sizeof(*t) + h->live * sizeof(t->item[0]));
	for (uint32_t i = 0; t && i < h->used && t->n < h->live; i++) {
		struct handle *slot = &h->chunk[i / HANDLE_CHUNK][i % HANDLE_CHUNK];
		uint64_t handle = VOS_HANDLE(i, slot->gen);

		if (!slot->ofd)
			continue;
		if (keep && !bsearch(&handle, keep, n, sizeof(*keep), by_number)) {
			if (closing)
				locks_exec_closes(closing, slot->ofd);
			continue;
		}
		t->item[t->n++] = (struct item){ i, slot->gen, slot->root, ofd_get(slot->ofd) };
	}
	pthread_mutex_unlock(&h->lock);
	return t;
}

static long copy_places(struct places *p, const struct client *cl)
{
	p->nroots = 0;
	p->cwd = dup_fd(cl->cwd);
	p->cwd_root = cl->cwd_root;
	if (p->cwd < 0 && cl->cwd >= 0)
		return -EMFILE;
	for (uint32_t i = 0; i < cl->nroots; i++) {
		p->root[i] = cl->root[i];
		p->root[i].fd = dup_fd(cl->root[i].fd);
		if (p->root[i].fd < 0)
			return -EMFILE;
		p->nroots++;
	}
	return 0;
}

/* The handles, which may be many: the driver may lose its engine over them. */
static struct ticket *copy_table(struct client *cl, const uint64_t *keep, size_t n, bool own)
{
	struct lock_owner *closing = own && locks_exec_begin(cl->locks) ? cl->locks : NULL;
	uint64_t *sorted = keep ? copy_list(keep, n) : NULL;
	struct ticket *t = NULL;

	if (!keep || sorted)
		t = copy_handles(cl->table, sorted, n, closing);
	free(sorted);
	if (!t)
		return NULL;
	if (own)
		t->locks = locks_get(cl->locks);
	t->pidfd = -1;
	t->of = cl->pid;
	return t;
}

long ticket_make(struct call *c, const uint64_t *keep, size_t n, bool own, uint64_t id[2])
{
	struct client *cl = c->client;
	struct places places;
	struct ticket *t = NULL;
	int cost;
	long r = copy_places(&places, cl); /* the driver's to see: before it may lose its engine */

	if (!r) {
		call_may_block(c);
		t = copy_table(cl, keep, n, own);
		r = t ? 0 : -ENOMEM;
	}
	if (r) {
		close_places(&places);
		return r;
	}
	t->places = places;
	/* Those that it has itself, and what its list takes. */
	cost = 2 + (int)places.nroots + (int)(t->n / ITEMS_COST);
	t->user = user_ref(ident_user());
	r = user_charge(t->user, USER_FDS, cost, opt.user_fds);
	if (!r) {
		t->cost = cost;
		r = random_id(t->id);
	}
	if (r) {
		ticket_free(t);
		return r;
	}
	memcpy(id, t->id, sizeof(t->id));
	pthread_mutex_lock(&lock);
	t->serial = ++serials;
	t->maker = cl;
	list_add_tail(&t->list, &tickets);
	if (cl->tickets_over)
		set_adrift(t);
	pthread_mutex_unlock(&lock);
	return 0;
}

void ticket_maker_gone(struct client *cl)
{
	pthread_mutex_lock(&lock);
	cl->tickets_over = true;
	list_for_each(p, &tickets) {
		struct ticket *t = list_entry(p, struct ticket, list);

		if (t->maker == cl)
			set_adrift(t);
	}
	pthread_mutex_unlock(&lock);
}

/* --- taking it ------------------------------------------------------------------------------ */

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
	int r = -ESTALE;

	pthread_mutex_lock(&lock);
	t = find_ticket(id);
	if (!t)
		goto out;
	r = 0;
	for (uint32_t i = 0; i < t->n && !r; i++)
		r = restore_slot(cl->table, &t->item[i]);
	for (uint32_t i = 0; i < t->places.nroots && !r; i++) {
		cl->root[i] = t->places.root[i];
		cl->root[i].fd = dup_fd(t->places.root[i].fd);
		if (cl->root[i].fd < 0)
			r = -EMFILE;
		else
			cl->nroots++;
	}
	cl->cwd = dup_fd(t->places.cwd);
	cl->cwd_root = t->places.cwd_root;
	if (t->locks && (t->pid ? t->pid : t->of) == cl->pid)
		cl->locks = locks_get(t->locks);
	/* Otherwise it is a relative of the process that it is bound to: that one may still come. */
	if (!t->pid || t->pid == client_process(cl))
		cl->ticket = t->serial;
out:
	pthread_mutex_unlock(&lock);
	return r;
}

static void drop_serial(uint64_t serial)
{
	struct ticket *found = NULL;

	pthread_mutex_lock(&lock);
	list_for_each(p, &tickets) {
		struct ticket *t = list_entry(p, struct ticket, list);

		if (t->serial == serial)
			found = t;
	}
	if (found)
		unlist(found);
	pthread_mutex_unlock(&lock);
	if (found)
		ticket_free(found);
}

/* By the driver: it has made a call, so it knows that it has what it came for. */
void ticket_settle(struct client *cl)
{
	drop_serial(cl->ticket);
	cl->ticket = 0;
}

/* --- whose it is ---------------------------------------------------------------------------- */

static void *reap(void *arg)
{
	struct epoll_event ev[REAPER_EVENTS];

	(void)arg;
	for (;;) {
		int n = epoll_wait(reaper, ev, REAPER_EVENTS, -1);

		for (int i = 0; i < n; i++)
			drop_serial(ev[i].data.u64);
	}
	return NULL;
}

int ticket_start_reaper(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	reaper = epoll_create1(EPOLL_CLOEXEC);
	if (reaper < 0)
		return -errno;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, REAPER_STACK);
	r = pthread_create(&thread, &attr, reap, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

/* Under the lock. */
static bool watch(struct ticket *t, pid_t pid)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = t->serial };

	if (pid <= 0)
		return false;
	t->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (t->pidfd < 0)
		return false;
	if (!epoll_ctl(reaper, EPOLL_CTL_ADD, t->pidfd, &ev))
		return true;
	close(t->pidfd);
	t->pidfd = -1;
	return false;
}

long ticket_bind(const uint64_t id[2], pid_t pid)
{
	struct ticket *t, *dead = NULL;
	long r = 0;

	pthread_mutex_lock(&lock);
	t = find_ticket(id);
	if (!t || (t->pid && pid != 0))
		goto out; /* taken already, or no longer ours to say */
	if (pid == VOS_TICKET_ANYBODY) {
		set_adrift(t);
	} else if (watch(t, pid)) {
		aging -= ages(t);
		t->pid = pid;
	} else {
		/* There is no such process, or no more of it. */
		unlist(t);
		dead = t;
		r = -ESRCH;
	}
out:
	pthread_mutex_unlock(&lock);
	if (dead)
		ticket_free(dead);
	return r;
}

/* By the control thread, once a second while there is something to look at. */
void ticket_reap(void)
{
	struct list dead;
	uint64_t now;

	list_init(&dead);
	pthread_mutex_lock(&lock);
	now = now_ns(); /* not before: nothing in the list is younger */
	list_for_each_safe(p, next, &tickets) {
		struct ticket *t = list_entry(p, struct ticket, list);

		if (!ages(t) || now - t->since <= UNBOUND_NS)
			continue;
		unlist(t);
		list_add_tail(p, &dead);
	}
	pthread_mutex_unlock(&lock);
	list_for_each_safe(p, next, &dead)
		ticket_free(list_entry(p, struct ticket, list));
}

bool ticket_any(void)
{
	bool any;

	pthread_mutex_lock(&lock);
	any = aging;
	pthread_mutex_unlock(&lock);
	return any;
}
