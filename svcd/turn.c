/* SPDX-License-Identifier: MIT */
/*
 * Whose turn it is to drive an engine. Calls that seldom block are run by the driver itself, since
 * handing them over would cost more than they do. Should one block all the same, the watchdog sees
 * the same odd turn number twice and takes the engine away: a new thread drives on, and the stuck
 * one completes its call when it comes back, then ends.
 *
 *	turns		driver			watchdog
 *	even -> odd	enters a call
 *	odd -> even	leaves it, or		takes the engine away
 *			(whose exchange succeeds)
 *
 * The new driver sees all that the stuck one did to the engine before it entered the call. First of
 * all it takes references to what that call needs; the stuck one waits for that when it finds that
 * it has lost, and touches nothing of the engine afterwards.
 *
 * The watchdog sleeps while all engines do. See test/model/turn.pml.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 5000000

_Thread_local struct engine *driving;
static _Thread_local uint64_t entered; /* the turn that this thread is in */
static _Atomic uint32_t watching;      /* futex: 1 while the watchdog ticks */

/* Before an engine that has slept does anything. */
void turn_engine_awake(struct engine *e)
{
	/* Sequentially consistent, as in watchdog(): either it sees that we are awake, or we see
	 * that it has stopped watching. */
	atomic_store(&e->awake, true);
	if (!atomic_load(&watching) && !atomic_exchange(&watching, 1))
		syscall(SYS_futex, &watching, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void turn_enter(struct engine *e)
{
	entered = atomic_load_explicit(&e->turns, memory_order_relaxed) + 1;
	/* Release: what we did to the engine comes before. Pairs with take_away(). */
	atomic_store_explicit(&e->turns, entered, memory_order_release);
}

bool turn_leave(struct engine *e)
{
	uint64_t old = entered;

	/* Pairs with take_away(): one of the two wins. If we lost, another thread owns the engine.
	 */
	if (atomic_compare_exchange_strong_explicit(&e->turns, &old, entered + 1,
						    memory_order_acq_rel, memory_order_relaxed))
		return true;
	driving = NULL;
	return false;
}

static void *drive(void *arg)
{
	struct engine *e = arg;

	ident_thread_init();
	engine_pin(e, pthread_self());
	if (e->in_call)
		call_adopt(e->in_call, e->tid);
	engine_drive(e);
	ident_thread_exit();
	return NULL;
}

static void take_away(struct engine *e, uint64_t seen)
{
	pthread_attr_t attr;
	pthread_t t;

	/* Acquire: for the new driver, what the stuck one did. Pairs with turn_enter(). */
	if (!atomic_compare_exchange_strong_explicit(&e->turns, &seen, seen + 1,
						     memory_order_acq_rel, memory_order_relaxed))
		return;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	while (pthread_create(&t, &attr, drive, e))
		usleep(1000);
	pthread_attr_destroy(&attr);
}

static bool tick(void)
{
	bool awake = pool_interrupt_again();

	for (int i = 0; i < opt.engines; i++) {
		struct engine *e = &engines[i];
		uint64_t turns = atomic_load(&e->turns);

		if (atomic_load(&e->awake))
			awake = true;
		if (turns & 1 && turns == e->turns_seen)
			take_away(e, turns);
		e->turns_seen = turns;
	}
	return awake;
}

static void *watchdog(void *arg)
{
	const struct timespec t = { 0, TICK_NS };

	(void)arg;
	for (;;) {
		nanosleep(&t, NULL);
		if (tick())
			continue;
		atomic_store(&watching, 0);
		/* An engine that wakes up after this look sees 0 and wakes us. */
		if (tick()) {
			atomic_store(&watching, 1);
			continue;
		}
		while (!atomic_load(&watching))
			syscall(SYS_futex, &watching, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	}
	return NULL;
}

int turn_start_watchdog(void)
{
	pthread_t t;

	return -pthread_create(&t, NULL, watchdog, NULL);
}
