/* SPDX-License-Identifier: MIT */
/*
 * Parked calls: those that would block on a descriptor that epoll can watch.
 *
 * A watch is a descriptor's place in one engine's epoll, edge-triggered for all directions, made
 * when the first call parks there and kept until the description goes: later calls park without a
 * system call. The order try, find nothing, park cannot miss an edge, because the same thread
 * collects the edges afterwards.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct watch *watch_new(struct engine *e, int fd, struct ofd *o)
{
	struct watch *w = calloc(1, sizeof(*w));
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET,
				  .data.ptr = w };

	if (!w)
		return NULL;
	w->source.type = SOURCE_WATCH;
	w->engine = e;
	w->ofd = o;
	w->fd = fd;
	list_init(&w->parked);
	list_init(&w->grave);
	if (epoll_ctl(e->epoll, EPOLL_CTL_ADD, fd, &ev)) {
		free(w);
		return NULL;
	}
	return w;
}

static struct watch *watch_of(struct engine *e, struct ofd *o)
{
	struct watch *w;

	pthread_mutex_lock(&o->lock);
	for (w = o->watches; w && w->engine != e; w = w->next)
		;
	if (!w) {
		w = watch_new(e, o->fd, o);
		if (w) {
			w->next = o->watches;
			o->watches = w;
		}
	}
	pthread_mutex_unlock(&o->lock);
	return w;
}

/* Forget a watch whose descriptor is about to be closed. */
void watch_release(struct watch *w)
{
	struct engine *e = w->engine;

	epoll_ctl(e->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	pthread_mutex_lock(&e->mail_lock);
	list_add_tail(&w->grave, &e->graves);
	pthread_mutex_unlock(&e->mail_lock);
}

long call_park_on(struct call *c, struct ofd *o, uint32_t events)
{
	c->watch = watch_of(c->client->engine, o);
	c->events = events;
	return c->watch ? CALL_PARK : -ENOMEM;
}

long call_park_set(struct call *c, int epfd)
{
	c->own_watch = watch_new(c->client->engine, epfd, NULL);
	c->watch = c->own_watch;
	c->events = EPOLLIN;
	if (c->watch)
		return CALL_PARK;
	close(epfd);
	return -ENOMEM;
}

void call_deadline(struct call *c, int64_t ns)
{
	if (c->deadline || ns < 0)
		return;
	c->deadline = now_ns() + (uint64_t)ns;
	if (!c->deadline)
		c->deadline = 1;
}

static void timer_add(struct engine *e, struct call *c)
{
	struct list *at = &e->timers;

	/* From the end: most deadlines are later than those before. */
	while (at->prev != &e->timers &&
	       list_entry(at->prev, struct call, timer)->deadline > c->deadline)
		at = at->prev;
	list_add_tail(&c->timer, at);
}

void park_add(struct call *c)
{
	struct engine *e = c->client->engine;

	call_hold(c);
	atomic_store(&c->state, CALL_IS_PARKED);
	list_add_tail(&c->parked, &c->watch->parked);
	list_add_tail(&c->of_client, &c->client->parked);
	if (c->deadline)
		timer_add(e, c);
	e->nparked++;
}

void park_remove(struct call *c)
{
	list_del(&c->parked);
	list_del(&c->of_client);
	list_del(&c->timer);
	c->client->engine->nparked--;
	atomic_store(&c->state, CALL_RUNNING);
}

static bool concerns(const struct call *c, uint32_t events)
{
	return events & (c->events | EPOLLERR | EPOLLHUP) ||
	       (c->events & EPOLLIN && events & EPOLLRDHUP);
}

/* The list is the engine's, not ours: a call may cost us the engine. */
void park_due(struct engine *e)
{
	while (driving && !list_empty(&e->due)) {
		struct call *c = list_entry(e->due.next, struct call, parked);

		park_remove(c);
		call_retry(c);
	}
}

void park_event(struct watch *w, uint32_t events)
{
	struct engine *e = w->engine;

	list_for_each_safe(p, next, &w->parked) {
		struct call *c = list_entry(p, struct call, parked);

		if (concerns(c, events)) {
			list_del(p);
			list_add_tail(p, &e->due);
		}
	}
	park_due(e);
}

void park_timers(struct engine *e)
{
	uint64_t now;

	if (list_empty(&e->timers))
		return;
	now = now_ns();
	while (driving && !list_empty(&e->timers)) {
		struct call *c = list_entry(e->timers.next, struct call, timer);

		if (c->deadline > now)
			break;
		park_remove(c);
		c->timed_out = true;
		call_retry(c);
	}
}

int64_t park_next_timer(struct engine *e)
{
	uint64_t now, at;

	if (list_empty(&e->timers))
		return -1;
	now = now_ns();
	at = list_entry(e->timers.next, struct call, timer)->deadline;
	return at > now ? (int64_t)(at - now) : 0;
}
