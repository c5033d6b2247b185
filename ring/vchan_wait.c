/* SPDX-License-Identifier: MIT */
/*
 * How threads of a program sleep when the service is in another Xen domain.
 *
 * Nobody there can wake a thread here. All that comes is an event, on one descriptor, after the
 * service has put the lanes whose calls are done into the ready queue. So of all threads that sleep
 * one is the *reader*: it polls the descriptor, takes what is in the queue, and wakes exactly those
 * threads. The others sleep until they are woken, by a word of their lane (nudge) or, if they poll
 * other things as well, by a descriptor of their lane. When the reader's own call is done it passes
 * the role on.
 *
 *	reader that goes			who goes to sleep
 *	gives the role back			says that it sleeps (asleep)
 *	looks who sleeps, wakes one		looks whether the role is free, or its call is done
 *
 *	whoever completes a call		who goes to sleep
 *	queue, event; the reader:		says that it sleeps
 *	  counts up nudge, looks whether it	reads nudge, then looks whether its call is done;
 *	  sleeps and if so wakes it		  sleeps only if nudge is still what it was
 *
 * Each of these pairs is of sequentially consistent operations, so that at least one of the two
 * sees the other. Being woken means nothing but "look again". See test/model/reader.pml.
 *
 * A thread can be kept from being the reader that it says it is: it runs a signal handler, which
 * may last, or never comes back; a debugger has stopped it. So whoever waits for a reader looks now
 * and then whether its call is done all the same, ever more seldom; if it is, the role is taken
 * away from the one that did not see it.
 */
#define _GNU_SOURCE
#include "ring/chan.h"
#include "ring/futex.h"
#include "ring/ready.h"
#include "ring/vchan.h"
#include "ring/xen.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>

#define PATIENCE_MIN 16000000ll /* ns until the first look, doubled after each */
#define PATIENCE_MAX 2048000000ll
#define CONFINED_NS  1000000000ll /* confined, nobody wakes the reader when the channel ends */
#define NS_PER_S     1000000000ll

/* --- who sleeps ------------------------------------------------------------------------------- */

static _Atomic uint64_t *word_of(struct vos_chan *c, unsigned lane)
{
	return &c->asleep[lane / 64];
}

static bool sleeps(struct vos_chan *c, unsigned lane)
{
	return atomic_load(word_of(c, lane)) & 1ull << lane % 64;
}

static void wake(struct vos_chan *c, struct vos_lane *l)
{
	const uint64_t one = 1;

	atomic_fetch_add(&l->nudge, 1);
	if (!sleeps(c, l->index))
		return;
	vos_raw6(SYS_futex, (long)&l->nudge, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, 0, 0, 0);
	if (l->wake_fd >= 0)
		vos_raw3(SYS_write, l->wake_fd, (long)&one, sizeof(one));
}

/* Of all who sleep but @but: one, or everybody. */
static void wake_some(struct vos_chan *c, const struct vos_lane *but, bool all)
{
	for (unsigned i = 0; i < c->nlanes; i++) {
		if (i % 64 == 0 && !atomic_load(word_of(c, i))) {
			i += 63;
			continue;
		}
		if (&c->lane[i] == but || !sleeps(c, i))
			continue;
		wake(c, &c->lane[i]);
		if (!all)
			return;
	}
}

/* --- the role --------------------------------------------------------------------------------- */

static uint32_t me(const struct vos_lane *l)
{
	return l->index + 1u;
}

static bool is_reader(struct vos_chan *c, const struct vos_lane *l)
{
	uint32_t nobody = 0;

	return atomic_load(&c->reader) == me(l) ||
	       atomic_compare_exchange_strong(&c->reader, &nobody, me(l));
}

/* Wake those whose calls are done, as the queue says. */
static void take_ready(struct vos_chan *c, const struct vos_lane *l)
{
	for (unsigned n = 0; n < VOS_READY_SLOTS; n++) {
		int lane = vos_ready_pop(&c->sh->ready, &c->ready_head);

		if (lane == VOS_READY_EMPTY)
			return;
		if (lane == VOS_READY_LOST)
			wake_some(c, l, true);
		else if ((uint32_t)lane < c->nlanes && &c->lane[lane] != l)
			wake(c, &c->lane[lane]);
	}
}

/*
 * The service's domain can be gone without a word. What is in the store of it says whether it is.
 *
 * One thread at a time: a reader that has been deposed may be at it still, or have taken what the new
 * one was told of. Of two that have a part of a message each, both would wait for the rest.
 */
static void look_at_watch(struct vos_chan *c, const struct vos_lane *l)
{
	char value[64];
	int watch = c->watch;
	struct pollfd p = { watch, POLLIN, 0 };
	uint32_t nobody = 0;
	long r = 0;

	/* Acquire and release: what is read is one stream. A handler on top of us is us. */
	if (!atomic_compare_exchange_strong(&c->watcher, &nobody, me(l)) && nobody != me(l))
		return;
	if (vos_raw3(SYS_poll, (long)&p, 1, 0) > 0) {
		r = vos_xs_event(watch);
		if (!r)
			r = vos_xs_read(watch, c->watched, value, sizeof(value));
	}
	if (r == -ENOENT || r == -EACCES) {
		vos_chan_kill(c);
	} else if (r < 0) {
		c->watch = -1; /* something is wrong with it: without, then */
		vos_chan_close_fd(watch);
	}
	atomic_store(&c->watcher, 0);
}

static void take_events(struct vos_chan *c, const struct vos_lane *l)
{
	long r = vos_event_take(c->bell);

	if (r < 0)
		atomic_store(&c->vchan->cli_live, 0); /* it can as well be */
	if (!vos_chan_alive(c)) {
		vos_chan_kill(c);
		return;
	}
	take_ready(c, l);
}

/* Our call is done, and whoever should have told us has not. */
static void depose_reader(struct vos_chan *c, const struct vos_lane *l)
{
	uint32_t who = atomic_load(&c->reader);

	if (!who || who == me(l) || !atomic_compare_exchange_strong(&c->reader, &who, 0))
		return;
	/* It may have taken what was meant for others. */
	wake_some(c, l, true);
}

/* --- sleeping --------------------------------------------------------------------------------- */

static bool must_look(struct vos_chan *c, struct vos_entry *e)
{
	return vos_entry_done(e) || !vos_chan_alive(c);
}

/* Say that we sleep. What nudge was before the caller looks at anything. */
static uint32_t lie_down(struct vos_chan *c, struct vos_lane *l)
{
	atomic_fetch_or(word_of(c, l->index), 1ull << l->index % 64);
	return atomic_load(&l->nudge);
}

static int64_t patience(struct vos_lane *l)
{
	int64_t ns = l->patience ? l->patience : PATIENCE_MIN;

	l->patience = ns < PATIENCE_MAX ? ns * 2 : ns;
	return ns;
}

/*
 * A handler that makes calls of its own on top of us leaves us not asleep, and perhaps not the
 * reader, that we were. So any handler ends the system call (and the caller decides what of it),
 * also one that has run since @now, which was before we lay down.
 */
static struct vos_waits watchful(struct vos_waits w, struct vos_handled now)
{
	if (w.how == VOS_WAIT_ONCE || (w.how == VOS_WAIT_RESTART && w.since.hard != now.hard))
		return w;
	return (struct vos_waits){ VOS_WAIT_ONCE, now };
}

static long poll_for(struct pollfd *p, long n, int64_t ns, struct vos_waits w)
{
	struct timespec t = { ns / NS_PER_S, ns % NS_PER_S };

	if (vos_chan_confined)
		return vos_sleep_call(w, SYS_poll,
				      (const long[6]){ (long)p, n, ns < 0 ? -1 : ns / 1000000 });
	return vos_sleep_call(w, SYS_ppoll,
			      (const long[6]){ (long)p, n, ns < 0 ? 0 : (long)&t, 0, 8 });
}

static long sleep_as_reader(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
			    struct vos_waits w)
{
	struct pollfd p[2] = { { c->bell, POLLIN, 0 }, { c->watch, POLLIN, 0 } };
	long r;

	vos_event_arm(c->bell, c->port);
	/* What came while nobody was the reader. */
	take_ready(c, l);
	if (must_look(c, e))
		return 0;
	r = poll_for(p, 2, vos_chan_confined ? CONFINED_NS : -1, w);
	/* The limit of descriptors is that of a set to poll, too. */
	if (r == -EINVAL)
		r = poll_for(p, 1, CONFINED_NS, w);
	if (r == -EINVAL)
		r = poll_for(p, 0, PATIENCE_MIN, w);
	if (r > 0)
		vos_vchan_polled(c, l, e, p);
	return r;
}

static long sleep_by_fd(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
			struct vos_waits w)
{
	struct pollfd p[2] = { { l->wake_fd, POLLIN, 0 }, { -1, 0, 0 } };
	long r = poll_for(p, 1, patience(l), w);

	if (r == -EINVAL)
		r = poll_for(p, 0, PATIENCE_MIN, w);
	if (r >= 0)
		vos_vchan_polled(c, l, e, p);
	return r;
}

static long sleep_by_word(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
			  uint32_t nudge, struct vos_waits w)
{
	struct vos_futex_wait v = { nudge, (uintptr_t)&l->nudge, VOS_FUTEX_32 | VOS_FUTEX_PRIVATE,
				    0 };
	int64_t ns = patience(l);
	struct timespec t;
	long r = -ENOSYS;

	if (!vos_chan_confined) {
		vos_raw2(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&t);
		t.tv_sec += (t.tv_nsec + ns) / NS_PER_S;
		t.tv_nsec = (t.tv_nsec + ns) % NS_PER_S;
		r = vos_sleep_call(w, SYS_futex_waitv,
				   (const long[6]){ (long)&v, 1, 0, (long)&t, CLOCK_MONOTONIC });
	}
	if (r == -ENOSYS) { /* before Linux 5.16, or a filter */
		t = (struct timespec){ ns / NS_PER_S, ns % NS_PER_S };
		r = vos_sleep_call(w, SYS_futex,
				   (const long[6]){ (long)&l->nudge,
						    FUTEX_WAIT | FUTEX_PRIVATE_FLAG, nudge,
						    (long)&t });
	}
	if (r == -ETIMEDOUT && vos_entry_done(e))
		depose_reader(c, l);
	return r;
}

long vos_vchan_sleep(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
		     uint32_t announced, struct vos_waits w)
{
	struct vos_waits careful = watchful(w, vos_handled);
	uint32_t nudge = lie_down(c, l);

	if (must_look(c, e))
		return 0;
	if (is_reader(c, l))
		return sleep_as_reader(c, l, e, careful);
	if (announced & VOS_WAIT_FD && l->wake_fd >= 0)
		return sleep_by_fd(c, l, e, careful);
	return sleep_by_word(c, l, e, nudge, careful);
}

/* --- threads that poll other things as well --------------------------------------------------- */

/* Lanes are given out in order, and for good. */
static bool alone(struct vos_chan *c, const struct vos_lane *l)
{
	return l->index == 0 &&
	       (c->nlanes == 1 || !atomic_load_explicit(&c->lane[1].owner, memory_order_relaxed));
}

/* The reader does without. Whoever may find another one to be it has a descriptor of its own. */
int vos_vchan_wake_fd(struct vos_chan *c, struct vos_lane *l)
{
	long fd;

	if (l->wake_fd >= 0 || alone(c, l))
		return 0;
	fd = vos_raw2(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return (int)fd;
	l->wake_fd = vos_chan_hide_fd((int)fd);
	return 0;
}

int64_t vos_vchan_poll(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
		       struct pollfd p[2])
{
	lie_down(c, l);
	p[0] = p[1] = (struct pollfd){ -1, 0, 0 };
	if (must_look(c, e))
		return 0;
	if (!is_reader(c, l)) {
		p[0] = (struct pollfd){ l->wake_fd, POLLIN, 0 };
		return l->wake_fd < 0 ? PATIENCE_MIN : patience(l);
	}
	vos_event_arm(c->bell, c->port);
	take_ready(c, l);
	if (must_look(c, e))
		return 0;
	p[0] = (struct pollfd){ c->bell, POLLIN, 0 };
	p[1] = (struct pollfd){ c->watch, POLLIN, 0 };
	return -1;
}

unsigned vos_vchan_polled(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
			  struct pollfd p[2])
{
	bool reader = p[0].fd != l->wake_fd;
	uint64_t n;

	if (!reader && p[0].revents)
		vos_raw3(SYS_read, l->wake_fd, (long)&n, sizeof(n));
	else if (!reader && vos_entry_done(e))
		depose_reader(c, l);
	else if (p[0].revents)
		take_events(c, l);
	if (p[1].revents)
		look_at_watch(c, l);
	return (p[0].revents != 0) + (p[1].revents != 0);
}

/* Not by what has come on the watch, which is the reader's to read. */
bool vos_vchan_deserted(struct vos_chan *c)
{
	const struct timespec now = { 0, 0 };
	struct pollfd p = { c->watch, POLLIN, 0 };
	char value[64];
	long xs, r;

	if (p.fd < 0 || vos_chan_confined ||
	    vos_raw5(SYS_ppoll, (long)&p, 1, (long)&now, 0, 8) != 1)
		return false;
	xs = vos_xs_open();
	if (xs < 0)
		return false;
	r = vos_xs_read(xs, c->watched, value, sizeof(value));
	vos_raw1(SYS_close, xs);
	if (r != -ENOENT && r != -EACCES)
		return false;
	vos_chan_kill(c);
	return true;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Pages of zeros, all at once, for those who still look where the memory was. */
static void give_back(void *at, size_t size)
{
	vos_raw6(SYS_mmap, (long)at, (long)size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

/*
 * Other channels want the memory of a dead one: a domain has only so much to share. A child of
 * fork() has never had it.
 */
void vos_vchan_close(struct vos_chan *c)
{
	int bell = c->bell, watch = c->watch;

	c->bell = c->watch = -1;
	if (bell >= 0)
		vos_chan_close_fd(bell);
	if (watch >= 0)
		vos_chan_close_fd(watch);
	if (!atomic_load(&c->dead))
		return;
	give_back(c->program, c->program_size);
	give_back(c->service, c->service_size);
	give_back(c->vchan, VOS_PAGE);
}

void vos_vchan_awake(struct vos_chan *c, struct vos_lane *l, bool cut)
{
	uint32_t reader;

	l->patience = 0;
	/* If a call below us sleeps by its word (watchful() is not for all machines): look again.
	 */
	if (l->depth > 1)
		atomic_fetch_add(&l->nudge, 1);
	atomic_fetch_and(word_of(c, l->index), ~(1ull << l->index % 64));
	reader = me(l);
	if (atomic_compare_exchange_strong(&c->reader, &reader, 0))
		reader = 0;
	/* Also for one that was woken to be the reader, and had no need to sleep any more. */
	if (!reader || cut)
		wake_some(c, l, cut);
}

void vos_vchan_wake_all(struct vos_chan *c)
{
	if (!atomic_load(&c->vchan->cli_live) &&
	    atomic_load(&c->sh->answered) == VOS_VCHAN_ANSWERED)
		vos_vchan_gone(c->announced);
	wake_some(c, NULL, true);
	/* The reader polls the channel's own descriptor. */
	if (atomic_load(&c->reader) && !vos_chan_confined)
		vos_event_self(c->bell, &c->loop);
}
