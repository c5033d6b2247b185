/* SPDX-License-Identifier: MIT */
/*
 * How threads of a program sleep when the service is on the same machine and wakes each of them by
 * itself.
 *
 * The sleep is futex_waitv() on two words: the entry, and the guard that the kernel changes when
 * the service dies. Its restart rule is just that of a blocking read: a handler with SA_RESTART
 * does not end it. Calls that no handler may restart sleep in ppoll() on the lane's wake descriptor
 * instead, and on the connection, whose hang-up is the service's death.
 *
 * A service that has scribbled over the guard dies unnoticed by those who sleep on it. So now and
 * then a sleeper looks whether the connection has been hung up, which no service can hide.
 */
#define _GNU_SOURCE
#include "ring/chan.h"
#include "ring/futex.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#define DOUBT_S 30

/*
 * In a confined program nobody hangs the connection up when the channel ends for another reason
 * than the service's death: those that sleep on it look by themselves, so often.
 */
#define CONFINED_MS 1000
#define SLICE_MS    10 /* not even one descriptor can be polled */

static void look_at_bell(struct vos_chan *c)
{
	const struct timespec none = { 0, 0 };
	struct pollfd p = { c->bell, 0, 0 };
	struct timespec now;

	if (vos_raw5(SYS_ppoll, (long)&p, 1, (long)&none, 0, 8) > 0)
		vos_chan_kill(c);
	vos_raw2(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now);
	atomic_store_explicit(&c->doubt, now.tv_sec + DOUBT_S, memory_order_relaxed);
}

static long sleep_futex(struct vos_chan *c, struct vos_entry *e, uint32_t announced,
			struct vos_waits w)
{
	struct vos_futex_wait v[2] = {
		{ announced, (uintptr_t)&e->state, VOS_FUTEX_32, 0 },
		{ c->guard, (uintptr_t)c->live, VOS_FUTEX_32, 0 },
	};
	struct timespec until = { atomic_load_explicit(&c->doubt, memory_order_relaxed), 0 };
	const long both[6] = { (long)v, 2, 0, (long)&until, CLOCK_MONOTONIC };
	long r = vos_chan_confined ? -ENOSYS : vos_sleep_call(w, SYS_futex_waitv, both);

	if (r == -ETIMEDOUT)
		look_at_bell(c);
	if (r == -ENOSYS) { /* before Linux 5.16, or a filter: look at the guard now and then */
		struct timespec t = { 0, 50000000 };
		const long one[6] = { (long)&e->state, FUTEX_WAIT, announced, (long)&t };

		r = vos_sleep_call(w, SYS_futex, one);
	}
	return r;
}

int64_t vos_unix_poll(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
		      struct pollfd p[2])
{
	(void)e;
	p[0] = (struct pollfd){ l->wake_fd, POLLIN, 0 };
	p[1] = (struct pollfd){ c->bell, 0, 0 };
	return -1;
}

unsigned vos_unix_polled(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
			 struct pollfd p[2])
{
	unsigned ready = 0;
	uint64_t n;

	(void)e;
	if (p[0].revents) {
		vos_raw3(SYS_read, l->wake_fd, (long)&n, sizeof(n));
		ready++;
	}
	if (p[1].revents) {
		vos_chan_kill(c);
		ready++;
	}
	return ready;
}

static long sleep_poll(struct pollfd *p, long n, int ms, struct vos_waits w)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000l };
	const long poll[6] = { (long)p, n, ms },
		   ppoll[6] = { (long)p, n, ms < 0 ? 0 : (long)&t, 0, 8 };

	return vos_chan_confined ? vos_sleep_call(w, SYS_poll, poll)
				 : vos_sleep_call(w, SYS_ppoll, ppoll);
}

static long sleep_fd(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e,
		     struct vos_waits w)
{
	struct pollfd p[2];
	long r;

	vos_unix_poll(c, l, e, p);
	r = sleep_poll(p, 2, vos_chan_confined ? CONFINED_MS : -1, w);
	/* The limit of descriptors is that of a set to poll, too. The service's death ends both. */
	if (r == -EINVAL)
		r = sleep_poll(p, 1, CONFINED_MS, w);
	if (r == -EINVAL)
		r = sleep_poll(p, 0, SLICE_MS, w);
	if (r > 0)
		vos_unix_polled(c, l, e, p);
	return r;
}

long vos_unix_sleep(struct vos_chan *c, struct vos_lane *l, struct vos_entry *e, uint32_t announced,
		    struct vos_waits w)
{
	/* Announced for another kind of sleep before (a cancelled call): both are woken. */
	return announced & VOS_WAIT_FUTEX ? sleep_futex(c, e, announced, w) : sleep_fd(c, l, e, w);
}

void vos_unix_wake_all(struct vos_chan *c)
{
	/* Whoever looks whether we are dead, and then sleeps on this word, does not. */
	atomic_fetch_or(c->live, FUTEX_OWNER_DIED);
	vos_raw6(SYS_futex, (long)c->live, FUTEX_WAKE, INT_MAX, 0, 0, 0);
	if (c->bell >= 0 && !vos_chan_confined)
		vos_raw2(SYS_shutdown, c->bell, SHUT_RDWR);
}
