/* SPDX-License-Identifier: MIT */
/*
 * Clients: one for each process image that is attached. It is made by the transport that it came by
 * (control thread), lives in one engine, and ends when the connection hangs up, its process dies or
 * it breaks the rules. Its memory goes when the last call that uses it has been completed.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

_Atomic int client_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list clients = { &clients, &clients };

struct client *client_get(struct client *cl)
{
	atomic_fetch_add_explicit(&cl->refs, 1, memory_order_relaxed);
	return cl;
}

static void free_table(struct handle_table *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->used; i++) {
		struct handle *h = &t->chunk[i / HANDLE_CHUNK][i % HANDLE_CHUNK];

		ofd_put(h->ofd);
	}
	for (uint32_t i = 0; i < HANDLE_CHUNKS && t->chunk[i]; i++)
		free(t->chunk[i]);
	pthread_mutex_destroy(&t->lock);
	munmap(t, sizeof(*t));
}

static struct handle_table *new_table(void)
{
	/* Mostly untouched: straight from the kernel. */
	struct handle_table *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (t == MAP_FAILED)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

static void client_free(struct client *cl)
{
	for (uint32_t i = 0; cl->lane && i < cl->nlanes; i++)
		if (cl->lane[i].sent_fd >= 0)
			discard(cl->lane[i].sent_fd);
	cl->transport->release(cl);
	for (uint32_t i = 0; i < cl->nroots; i++)
		close(cl->root[i].fd);
	if (cl->cwd >= 0)
		close(cl->cwd);
	if (cl->pidfd >= 0)
		close(cl->pidfd);
	if (cl->locks && !cl->gone)
		locks_leave(cl->locks);
	if (cl->locks)
		locks_free(cl->locks);
	ident_put(cl->ident);
	free_table(cl->table);
	free(cl->lane);
	if (cl->user) {
		user_release(cl->user, USER_FDS, cl->charged);
		user_release(cl->user, USER_CLIENTS, cl->counted);
		user_put(cl->user);
	}
	free(cl);
	atomic_fetch_sub(&client_count, 1);
}

void client_put(struct client *cl)
{
	if (atomic_fetch_sub_explicit(&cl->refs, 1, memory_order_acq_rel) == 1)
		client_free(cl);
}

/* Close what the client had open, at once: its ports, its locks. Calls hold what they still use. */
static void close_handles(struct client *cl)
{
	struct handle_table *t = cl->table;

	/* Only handles are left to be used by other threads; those find them gone. */
	for (uint32_t i = 0;; i++) {
		struct ofd *o = NULL;

		pthread_mutex_lock(&t->lock);
		if (i < t->used)
			o = atomic_exchange(&t->chunk[i / HANDLE_CHUNK][i % HANDLE_CHUNK].ofd,
					    NULL);
		else
			t->closed = true;
		pthread_mutex_unlock(&t->lock);
		if (t->closed)
			break;
		ofd_put(o);
	}
}

static void interrupt_calls(struct client *cl)
{
	while (!list_empty(&cl->parked)) {
		struct call *c = list_entry(cl->parked.next, struct call, of_client);

		park_remove(c);
		call_finish(c, -EIO);
	}
	for (uint32_t i = 0; i < cl->nlanes; i++)
		for (uint32_t s = 0; s < VOS_SLOTS; s++)
			if (atomic_load_explicit(&cl->lane[i].call[s], memory_order_relaxed))
				pool_interrupt(&cl->lane[i], s);
}

/* The last thing that the driver does for a mail or an event: it may lose its engine. */
void client_drop(struct client *cl)
{
	struct engine *e = cl->engine;

	if (cl->gone)
		return;
	cl->gone = true;
	cl->broken = true;
	epoll_ctl(e->epoll, EPOLL_CTL_DEL, cl->conn, NULL);
	if (cl->pidfd >= 0)
		epoll_ctl(e->epoll, EPOLL_CTL_DEL, cl->pidfd, NULL);
	cl->transport->hang_up(cl);
	for (uint32_t i = 0; i < cl->nlanes; i++)
		list_del(&cl->lane[i].active);
	list_del(&cl->turn);
	list_del(&cl->of_engine);
	pthread_mutex_lock(&lock);
	list_del(&cl->list);
	pthread_mutex_unlock(&lock);
	interrupt_calls(cl);
	ticket_maker_gone(cl);
	log_line(7, "client %s: gone", cl->label);
	/* Freed after this turn. That takes its reference, so we need one. */
	list_add_tail(&cl->of_engine, &e->dropped);
	client_get(cl);
	e->in_call = NULL;
	turn_enter(e);
	locks_image_gone(cl->locks, cl);
	close_handles(cl); /* may be many */
	turn_leave(e);
	client_put(cl);
}

static void drop_broken(struct engine *e, void *arg)
{
	struct client *cl = arg;

	(void)e;
	client_drop(cl);
	client_put(cl);
}

void client_drop_all(bool (*which)(const struct client *, const void *), const void *arg)
{
	pthread_mutex_lock(&lock);
	list_for_each(p, &clients) {
		struct client *cl = list_entry(p, struct client, list);

		if (which(cl, arg) && !atomic_exchange(&cl->broken, true) &&
		    engine_post(cl->engine, drop_broken, client_get(cl)))
			client_put(cl);
	}
	pthread_mutex_unlock(&lock);
}

/* Any thread. It dies at the next turn: its memory may be in use further up. */
void client_break(struct client *cl, const char *why)
{
	if (atomic_exchange(&cl->broken, true)) /* one says so; others only do less for it then */
		return;
	log_line(4, "client %s: broke the rules (%s), dropped", cl->label, why);
	if (engine_post(cl->engine, drop_broken, client_get(cl)))
		client_put(cl);
}

struct client *client_by_session(const uint64_t session[2])
{
	struct client *found = NULL;

	pthread_mutex_lock(&lock);
	list_for_each(p, &clients) {
		struct client *cl = list_entry(p, struct client, list);

		if (cl->session[0] == session[0] && cl->session[1] == session[1])
			found = client_get(cl);
	}
	pthread_mutex_unlock(&lock);
	return found;
}

/* --- attach --------------------------------------------------------------------------------- */

int client_geometry(const struct vos_program_head *h, const char **why)
{
	*why = "magic or version differs";
	if (h->magic != VOS_MAGIC || h->version != VOS_VERSION)
		return -EPROTONOSUPPORT;
	*why = "geometry out of range";
	if (!h->lanes || h->lanes > VOS_LANES_MAX || !h->pool || h->pool > VOS_POOL_MAX ||
	    h->pool % VOS_PAGE)
		return -EINVAL;
	return 0;
}

static int make_lanes(struct client *cl)
{
	cl->lane = calloc(cl->nlanes, sizeof(*cl->lane));
	if (!cl->lane)
		return -ENOMEM;
	for (uint32_t i = 0; i < cl->nlanes; i++) {
		struct lane *l = &cl->lane[i];

		l->client = cl;
		l->slot = (struct vos_entry *)(cl->service + VOS_SERVICE_LANES) + i * VOS_SLOTS;
		l->index = (uint16_t)i;
		l->wake_fd = l->sent_fd = -1;
		list_init(&l->active);
		/* Not polled before the first kick. */
	}
	return 0;
}

/* By the control thread. */
static struct engine *next_engine(void)
{
	static int next;

	return &engines[next++ % opt.engines];
}

struct client *client_new(const struct transport *t)
{
	struct client *cl = calloc(1, sizeof(*cl));

	if (!cl)
		return NULL;
	atomic_fetch_add(&client_count, 1);
	cl->source.type = SOURCE_CLIENT;
	cl->process.type = SOURCE_PROCESS;
	cl->refs = 1;
	cl->engine = next_engine();
	cl->transport = t;
	cl->conn = cl->pidfd = cl->cwd = -1;
	list_init(&cl->list);
	list_init(&cl->of_engine);
	list_init(&cl->active);
	list_init(&cl->turn);
	list_init(&cl->parked);
	cl->table = new_table();
	return cl;
}

static void enter_engine(struct engine *e, void *arg)
{
	struct client *cl = arg;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = &cl->source };
	struct epoll_event pe = { .events = EPOLLIN, .data.ptr = &cl->process };

	list_add_tail(&cl->of_engine, &e->clients);
	pthread_mutex_lock(&lock);
	list_add_tail(&cl->list, &clients);
	pthread_mutex_unlock(&lock);
	if (epoll_ctl(e->epoll, EPOLL_CTL_ADD, cl->conn, &ev)) {
		client_drop(cl);
		return;
	}
	/* The process may die while a child keeps the connection open. */
	if (cl->pidfd >= 0)
		epoll_ctl(e->epoll, EPOLL_CTL_ADD, cl->pidfd, &pe);
}

/* Whoever it may be by now: all of it is on the account of who has attached. */
int client_charge(struct client *cl, int n)
{
	int r = user_charge(cl->user, USER_FDS, n, opt.user_fds);

	/* Read when the client is freed: ordered by its references. */
	if (!r)
		atomic_fetch_add_explicit(&cl->charged, n, memory_order_relaxed);
	return r;
}

/* Connection, process, working directory. */
#define OWN_FDS 3

/*
 * What all transports have in common: the client's memory is mapped, its identity and process are
 * known. 0 or -errno.
 */
int client_prepare(struct client *cl, const struct vos_hello *h, const char **why)
{
	int r;

	*why = "too many clients";
	/* Made and counted by this thread; those that go may be counted a moment longer. */
	if (atomic_load(&client_count) > opt.max_clients)
		return -EUSERS;
	*why = "too many clients of this user";
	cl->user = user_ref(cl->ident->user);
	if (caps.any_user && cl->user->uid) {
		cl->counted = !user_charge(cl->user, USER_CLIENTS, 1, opt.max_user_clients);
		if (!cl->counted)
			return -EUSERS;
	}
	*why = "too many descriptors of this user";
	r = client_charge(cl, OWN_FDS);
	if (r)
		return r;
	*why = "out of memory";
	if (!cl->table)
		return -ENOMEM;
	r = make_lanes(cl);
	if (r)
		return r;
	*why = "no random numbers";
	r = random_id(cl->session);
	if (r)
		return r;
	cl->caps = h->caps;
	cl->umask = h->umask & 0777;
	*why = "no such ticket";
	if (h->ticket[0] | h->ticket[1])
		r = ticket_take(h->ticket, cl);
	if (r)
		return r;
	*why = "too many descriptors of this user";
	r = client_charge(cl, (int)cl->nroots);
	if (r)
		return r;
	*why = "out of memory";
	if (!cl->locks)
		cl->locks = locks_new();
	if (!cl->locks)
		return -ENOMEM;
	locks_image(cl->locks, cl);
	return 0;
}

void client_welcome(struct vos_welcome *w, const struct client *cl, int error, const char *why)
{
	*w = (struct vos_welcome){ .magic = VOS_MAGIC, .version = VOS_VERSION, .error = error };
	strncpy(w->domain, opt.domain, sizeof(w->domain) - 1);
	strncpy(w->text, error ? why : "svcd " VIRTUOS_VERSION, sizeof(w->text) - 1);
	if (!error && cl)
		memcpy(w->session, cl->session, sizeof(w->session));
}

/* It has its answer: serve it. Takes the reference over. 0 or -errno. */
int client_enter(struct client *cl)
{
	return engine_post(cl->engine, enter_engine, cl);
}
