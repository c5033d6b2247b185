/* SPDX-License-Identifier: MIT */
/*
 * The loop of an engine: poll the lanes of each client in turn, look at readiness now and then,
 * sleep when there is nothing to do.
 *
 * A lane is polled while it is in use. One that has had no request for a while is put to sleep:
 * its next entry says so, and the thread that posts there kicks the lane and rings the doorbell.
 * When no lane is left the engine sleeps in epoll, where doorbells, readiness of parked calls,
 * timers and mail from the control thread all arrive.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY   64	      /* turns with work between two looks at epoll */
#define LOOK_PARKED  4	      /* the same when calls are parked */
#define MUTE_NS	     10000000 /* between two looks at the kicks of programs that cannot ring */
#define SHARED_TURNS 2	      /* turns without work that we wait for a client on our own CPU */
#define TIME_EVERY   32	      /* turns without work between two looks at the clock */

struct engine engines[SVCD_ENGINES_MAX];

struct mail {
	struct list list;
	void (*fn)(struct engine *, void *);
	void *arg;
};

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int engine_post(struct engine *e, void (*fn)(struct engine *, void *), void *arg)
{
	struct mail *m = malloc(sizeof(*m));
	const uint64_t one = 1;

	if (!m)
		return -ENOMEM;
	m->fn = fn;
	m->arg = arg;
	pthread_mutex_lock(&e->mail_lock);
	list_add_tail(&m->list, &e->mail);
	pthread_mutex_unlock(&e->mail_lock);
	return write(e->mail_fd, &one, sizeof(one)) < 0 ? -errno : 0;
}

static struct mail *next_mail(struct engine *e)
{
	struct mail *m = NULL;

	pthread_mutex_lock(&e->mail_lock);
	if (!list_empty(&e->mail)) {
		m = list_entry(e->mail.next, struct mail, list);
		list_del(&m->list);
	}
	pthread_mutex_unlock(&e->mail_lock);
	return m;
}

/* One by one: a call that a mail is about may cost us the engine. */
static void read_mail(struct engine *e)
{
	struct mail *m;
	uint64_t n;

	if (read(e->mail_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	while (driving && (m = next_mail(e))) {
		m->fn(e, m->arg);
		free(m);
	}
}

/* Nothing refers to these any more: no event of an earlier turn is left. */
static void bury(struct engine *e)
{
	struct list dead;

	while (!list_empty(&e->dropped)) {
		struct client *cl = list_entry(e->dropped.next, struct client, of_engine);

		list_del(&cl->of_engine);
		/* What is still in its connection may block when it is closed. */
		e->in_call = NULL;
		turn_enter(e);
		client_put(cl);
		if (!turn_leave(e))
			return;
	}
	list_init(&dead);
	pthread_mutex_lock(&e->mail_lock);
	list_splice(&e->graves, &dead);
	pthread_mutex_unlock(&e->mail_lock);
	list_for_each_safe(p, next, &dead) {
		struct watch *w = list_entry(p, struct watch, grave);

		list_del(p);
		free(w);
	}
}

void engine_poll_lane(struct engine *e, struct lane *l)
{
	l->last = e->turn;
	if (l->polled)
		return;
	l->polled = true;
	if (!l->used) {
		l->used = l->scan = true;
		vos_lane_wake(l->slot);
	}
	list_add_tail(&l->active, &l->client->active);
	if (list_empty(&l->client->turn))
		list_add_tail(&l->client->turn, &e->active);
}

/* The doorbell rang: which lanes are meant? */
static void scan_kicks(struct engine *e, struct client *cl)
{
	const struct vos_program_head *h = (const void *)cl->program;

	for (uint32_t i = 0; i < cl->nlanes; i++) {
		/* Acquire: pairs with vos_lane_kick(). */
		uint16_t kick = atomic_load_explicit(&h->kick[i], memory_order_acquire);

		if (kick == cl->lane[i].kick)
			continue;
		if (cl->ticket)
			ticket_settle(cl);
		/* Only noted: a call may cost us the engine, and the rest of this loop with it. */
		cl->lane[i].kick = kick;
		cl->lane[i].scan = true;
		engine_poll_lane(e, &cl->lane[i]);
	}
}

static void after_messages(struct engine *e, struct client *cl, bool hung_up)
{
	if (cl->gone)
		return;
	/* Sequentially consistent fence of the system call: kicks made before the ring are seen. */
	if (hung_up || cl->broken)
		client_drop(cl);
	else
		scan_kicks(e, cl);
}

static void messages_mail(struct engine *e, void *arg)
{
	after_messages(e, arg, false);
	client_put(arg);
}

void engine_hear(struct client *cl)
{
	if (!(cl->transport->heed(cl) & HEED_CAME))
		return;
	/* There may have been rings among it. */
	client_get(cl);
	while (engine_post(cl->engine, messages_mail, cl))
		usleep(1000);
}

static void client_event(struct engine *e, struct client *cl, uint32_t events)
{
	bool hung_up = events & (EPOLLHUP | EPOLLERR);

	if (cl->gone)
		return;
	client_get(cl);
	/* A descriptor that the program has sent may block us when it is closed. */
	e->in_call = NULL;
	turn_enter(e);
	if (cl->transport->heed(cl) & HEED_HUNG_UP)
		hung_up = true;
	if (turn_leave(e)) {
		after_messages(e, cl, hung_up);
		client_put(cl);
		return;
	}
	/* A hang-up is reported again, but not the rings that we have read. */
	while (engine_post(e, messages_mail, cl))
		usleep(1000);
}

static void dispatch(struct engine *e, struct epoll_event ev)
{
	struct source *s = ev.data.ptr;

	switch (s->type) {
	case SOURCE_MAILBOX:
		read_mail(e);
		break;
	case SOURCE_CLIENT:
		client_event(e, list_entry(s, struct client, source), ev.events);
		break;
	case SOURCE_PROCESS:
		client_drop(list_entry(s, struct client, process));
		break;
	case SOURCE_AIO:
		aio_event(e);
		break;
	case SOURCE_WATCH:
		park_event(list_entry(s, struct watch, source), ev.events);
		break;
	}
}

/* Also those that a driver that lost the engine has left: what is edge-triggered comes once. */
static void dispatch_all(struct engine *e)
{
	park_due(e);
	while (driving && e->event < e->nevents)
		dispatch(e, e->events[e->event++]);
	if (driving)
		park_timers(e);
	if (driving)
		bury(e);
}

/* @timeout in ns, -1: for ever. True when something happened. */
static bool look(struct engine *e, int64_t timeout)
{
	struct timespec t = { timeout / 1000000000, timeout % 1000000000 };
	int n;

	if (timeout)
		atomic_store(&e->awake, false);
	n = epoll_pwait2(e->epoll, e->events, ENGINE_EVENTS, timeout < 0 ? NULL : &t, NULL);
	if (timeout)
		turn_engine_awake(e);
	e->event = 0;
	e->nevents = n > 0 ? n : 0;
	dispatch_all(e);
	return n > 0;
}

/* To be taken? The order of the two looks matters: see call_finish(). */
static bool posted(struct lane *l, uint32_t slot, uint32_t *state)
{
	if (__builtin_expect(atomic_load_explicit(&l->busy, memory_order_acquire) & 1u << slot, 0))
		return false;
	*state = vos_entry_state(&l->slot[slot]);
	return *state & VOS_POSTED;
}

/*
 * A call that is to be taken back was posted before the request for that, and is taken before it,
 * whichever of the two we have come to first: a request that found no call would be lost on it.
 */
static uint32_t cancelled_first(struct lane *l, uint32_t slot, uint32_t *state)
{
	uint64_t which = *(volatile uint64_t *)&l->slot[slot].arg[0];
	uint32_t its;

	if (which >= VOS_SLOTS || which == slot || !posted(l, (uint32_t)which, &its))
		return slot;
	*state = its;
	return (uint32_t)which;
}

static bool take_slot(struct engine *e, struct lane *l, uint32_t slot)
{
	uint32_t state;

	if (!posted(l, slot, &state))
		return false;
	if (__builtin_expect(*(volatile uint16_t *)&l->slot[slot].op == VOS_OP_cancel, 0))
		slot = cancelled_first(l, slot, &state);
	call_take(e, l, slot, state);
	return true;
}

/* After a kick: every slot, until none is left. */
static bool scan_lane(struct engine *e, struct lane *l)
{
	for (uint32_t s = 0; s < VOS_SLOTS; s++)
		if (take_slot(e, l, s))
			return true;
	l->scan = false;
	return false;
}

static bool poll_lane(struct engine *e, struct lane *l)
{
	if (__builtin_expect(l->scan, 0))
		return scan_lane(e, l);
	return take_slot(e, l, l->next % VOS_SLOTS);
}

/* All that one client has, while nobody else has anything. */
static bool poll_lanes_of(struct engine *e, struct client *cl)
{
	bool worked = false;

	list_for_each_safe(p, next, &cl->active) {
		struct lane *l = list_entry(p, struct lane, active);

		if (!poll_lane(e, l))
			continue;
		worked = true;
		if (!driving)
			return true;
		/* The lane may be gone, and its neighbour with it: start again next time. */
		if (next->prev != p)
			break;
	}
	return worked;
}

/* One request, of the lane that has waited longest. */
static bool poll_one_of(struct engine *e, struct client *cl)
{
	list_for_each(p, &cl->active) {
		if (!poll_lane(e, list_entry(p, struct lane, active)))
			continue;
		if (driving && !list_empty(p)) {
			list_del(p);
			list_add_tail(p, &cl->active);
		}
		return true;
	}
	return false;
}

/* With several clients each has one request a turn, however many lanes it has. */
static bool poll_lanes(struct engine *e)
{
	struct list *first = e->active.next;
	bool worked = false;

	if (__builtin_expect(first != &e->active && first->next == &e->active, 1))
		return poll_lanes_of(e, list_entry(first, struct client, turn));
	list_for_each_safe(p, next, &e->active) {
		if (!poll_one_of(e, list_entry(p, struct client, turn)))
			continue;
		worked = true;
		if (!driving)
			return true;
		if (next->prev != p)
			break;
	}
	return worked;
}

static void rest_lanes_of(struct client *cl, uint64_t since)
{
	list_for_each_safe(p, next, &cl->active) {
		struct lane *l = list_entry(p, struct lane, active);
		uint32_t state;

		if (l->last >= since || l->scan)
			continue;
		if (!vos_entry_sleep(&l->slot[l->next % VOS_SLOTS]) &&
		    posted(l, l->next % VOS_SLOTS, &state))
			continue;
		l->polled = false;
		list_del(p);
	}
	if (list_empty(&cl->active))
		list_del(&cl->turn);
}

/* Stop polling lanes without a request since turn @since. True when none is left. */
static bool rest_lanes(struct engine *e, uint64_t since)
{
	list_for_each_safe(p, next, &e->active)
		rest_lanes_of(list_entry(p, struct client, turn), since);
	return list_empty(&e->active);
}

static void publish_cpu(struct engine *e)
{
	uint32_t cpu = (uint32_t)sched_getcpu() & 0xff;

	e->cpu = (uint8_t)cpu;

	list_for_each(p, &e->clients) {
		struct client *cl = list_entry(p, struct client, of_engine);
		struct vos_service_head *h = (void *)cl->service;

		if (cl->transport->far)
			continue;
		if (atomic_load_explicit(&h->cpu, memory_order_relaxed) != cpu)
			atomic_store_explicit(&h->cpu, cpu, memory_order_relaxed);
	}
}

/* Whoever calls us on our own CPU cannot post while we spin. */
static bool shares_cpu(const struct engine *e)
{
	return e->client_cpu == e->cpu;
}

/* Programs that cannot ring: have they kicked? True if there are any. */
static bool hear_mute(struct engine *e, bool look)
{
	bool any = false;

	list_for_each(p, &e->clients) {
		struct client *cl = list_entry(p, struct client, of_engine);
		const struct vos_program_head *h = (const void *)cl->program;

		if (!cl->transport->far || !atomic_load_explicit(&h->mute, memory_order_relaxed))
			continue;
		any = true;
		if (look)
			scan_kicks(e, cl);
	}
	return any;
}

/* Nothing for a while: sleep. */
static void idle(struct engine *e, uint64_t since_turn)
{
	int64_t timeout;
	bool mute;

	if (!rest_lanes(e, since_turn))
		return;
	timeout = park_next_timer(e);
	mute = hear_mute(e, false);
	if (mute && (timeout < 0 || timeout > MUTE_NS))
		timeout = MUTE_NS;
	look(e, timeout);
	if (driving && mute)
		hear_mute(e, true);
	if (driving)
		publish_cpu(e);
}

void engine_drive(struct engine *e)
{
	uint64_t idle_since = 0, idle_turn = 0, spin_ns = (uint64_t)opt.spin_us * 1000;
	uint32_t quiet = 0, worked = 0;

	driving = e;
	e->tid = (int)gettid();
	turn_engine_awake(e);
	publish_cpu(e);
	/* What the driver before us has left undone. */
	dispatch_all(e);
	if (driving)
		read_mail(e);
	while (driving) {
		e->turn++;
		if (aio_flying(e) && aio_reap(e))
			quiet = 0;
		if (poll_lanes(e)) {
			quiet = 0;
			if (driving && ++worked >= (e->nparked ? LOOK_PARKED : LOOK_EVERY)) {
				worked = 0;
				look(e, 0);
			}
			continue;
		}
		if (e->nparked && quiet % 4 == 0 && look(e, 0) && driving)
			continue;
		if (!driving)
			break;
		if (!quiet++)
			idle_turn = e->turn;
		if (shares_cpu(e)) {
			if (quiet > SHARED_TURNS) {
				idle(e, idle_turn);
				quiet = 0;
			} else {
				sched_yield();
			}
			continue;
		}
		if (quiet % TIME_EVERY == 0) {
			uint64_t now = now_ns();

			if (quiet == TIME_EVERY) {
				idle_since = now;
				publish_cpu(e);
			} else if (now - idle_since > spin_ns) {
				idle(e, idle_turn);
				quiet = 0;
			}
		}
		__builtin_ia32_pause();
	}
}

static void *engine_thread(void *arg)
{
	ident_thread_init();
	engine_drive(arg);
	ident_thread_exit();
	return NULL;
}

int engine_init(struct engine *e, int index)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &e->mailbox };

	e->index = index;
	e->client_cpu = VOS_CPU_NONE;
	e->mailbox.type = SOURCE_MAILBOX;
	list_init(&e->active);
	list_init(&e->clients);
	list_init(&e->dropped);
	list_init(&e->timers);
	list_init(&e->due);
	list_init(&e->free_calls);
	list_init(&e->mail);
	list_init(&e->graves);
	pthread_mutex_init(&e->mail_lock, NULL);
	e->epoll = epoll_create1(EPOLL_CLOEXEC);
	e->mail_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->epoll < 0 || e->mail_fd < 0 || epoll_ctl(e->epoll, EPOLL_CTL_ADD, e->mail_fd, &ev))
		return -errno;
	return 0;
}

/* --cpu. */
int engine_pin(const struct engine *e, pthread_t driver)
{
	cpu_set_t set;

	if (opt.cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET((unsigned)(opt.cpu + e->index), &set);
	return -pthread_setaffinity_np(driver, sizeof(set), &set);
}

int engine_start(struct engine *e)
{
	pthread_t t;
	int r = pthread_create(&t, NULL, engine_thread, e);

	if (r)
		return -r;
	r = engine_pin(e, t);
	pthread_detach(t); /* it ends when another one drives */
	if (r)
		log_line(3, "--cpu %d: engine %d cannot run on CPU %d", opt.cpu, e->index,
			 opt.cpu + e->index);
	return r;
}
