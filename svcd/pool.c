/* SPDX-License-Identifier: MIT */
/*
 * Threads for calls that block in the kernel. They come when there is work and nobody idle, up to
 * the limit, and go after a second without work. No user gets all of them: calls that wait for ever
 * must not keep those of other users from running.
 *
 * Also here, since it is the same for a driver that is stuck in a call and has lost its engine: how
 * such a call is made to return. A signal that comes just before the thread blocks is lost, so it
 * is sent again, with each tick of the watchdog, until the call has left the list of running ones.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define IDLE_SECONDS 1

/*
 * Of a call:	state		parked or not: the driver alone; queued, taken: under the lock
 *		tid		who runs it, 0: nobody; under the lock
 *		cancelled	set by the driver, under the lock; read without: who misses it has
 *				been sent a signal, and is sent more
 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct list queue = { &queue, &queue };
static struct list running = { &running, &running };
static int queued, threads, idle, max_threads;

static struct call *next_job(void)
{
	struct call *c = NULL;
	struct timespec t;

	pthread_mutex_lock(&lock);
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += IDLE_SECONDS;
	while (list_empty(&queue)) {
		int r;

		idle++;
		r = pthread_cond_timedwait(&work, &lock, &t);
		idle--;
		if (r == ETIMEDOUT && list_empty(&queue)) {
			threads--;
			goto out;
		}
	}
	c = list_entry(queue.next, struct call, job);
	queued--;
	list_del(&c->job);
	list_add_tail(&c->job, &running);
	atomic_store(&c->tid, (int)gettid());
	atomic_store(&c->state, CALL_IN_POOL);
out:
	pthread_mutex_unlock(&lock);
	return c;
}

/* With the lock: no signals for this call any more. */
static void leave(struct call *c)
{
	list_del(&c->job);
	atomic_store(&c->tid, 0);
}

void pool_left(struct call *c)
{
	pthread_mutex_lock(&lock);
	leave(c);
	pthread_mutex_unlock(&lock);
}

void pool_forget(struct call *c)
{
	pthread_mutex_lock(&lock);
	leave(c);
	c->lane->call[c->slot] = NULL;
	pthread_mutex_unlock(&lock);
}

static void done(struct call *c)
{
	struct user *u = c->ident->user;

	pthread_mutex_lock(&lock);
	leave(c);
	u->calls--;
	if (!list_empty(&u->backlog)) {
		struct list *next = u->backlog.next;

		list_del(next);
		list_add_tail(next, &queue);
		queued++;
		u->calls++;
	}
	pthread_mutex_unlock(&lock);
}

static void run_job(struct call *c)
{
	long r = atomic_load(&c->client->broken) ? -EIO : ident_assume(c->ident, c->umask);

	if (!r)
		r = atomic_load(&c->cancelled) ? -EINTR : call_run(c);
	done(c);
	call_settle_elsewhere(c, r);
}

static void *worker(void *arg)
{
	struct call *c;

	(void)arg;
	ident_thread_init();
	while ((c = next_job()))
		run_job(c);
	ident_thread_exit();
	return NULL;
}

static void start_thread(void)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 << 10);
	if (pthread_create(&t, &attr, worker, NULL)) {
		log_line(3, "pool: cannot start a thread");
		pthread_mutex_lock(&lock);
		threads--;
		pthread_mutex_unlock(&lock);
	}
	pthread_attr_destroy(&attr);
}

/* By the driver. */
void pool_add(struct call *c)
{
	struct user *u;
	bool start = false;

	if (!c->ident) {
		c->ident = ident_get(c->client->ident);
		c->umask = c->client->umask;
	}
	u = c->ident->user;
	c->in_pool = true;
	atomic_store(&c->state, CALL_QUEUED);
	pthread_mutex_lock(&lock);
	if (u->calls >= max_threads - max_threads / 4) {
		list_add_tail(&c->job, &u->backlog);
	} else {
		u->calls++;
		list_add_tail(&c->job, &queue);
		/* An idle thread may have been called already, for the one before us. */
		start = ++queued > idle && threads < max_threads;
		threads += start;
		if (!start)
			pthread_cond_signal(&work);
	}
	pthread_mutex_unlock(&lock);
	if (start)
		start_thread();
}

void pool_adopt(struct call *c, int tid)
{
	pthread_mutex_lock(&lock);
	atomic_store(&c->tid, tid);
	list_add_tail(&c->job, &running);
	pthread_mutex_unlock(&lock);
}

static void interrupt(struct call *c)
{
	int tid = atomic_load(&c->tid);

	if (tid)
		syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
}

/* By the driver: make a call that another thread has return. A parked call is nobody's: itself. */
struct call *pool_interrupt(struct lane *l, uint32_t slot)
{
	struct call *c, *parked = NULL;

	pthread_mutex_lock(&lock);
	c = l->call[slot];
	if (c && atomic_load(&c->state) == CALL_IS_PARKED) {
		parked = c;
	} else if (c) {
		atomic_store(&c->cancelled, true);
		interrupt(c);
	}
	pthread_mutex_unlock(&lock);
	return parked;
}

bool pool_interrupt_again(void)
{
	bool any = false;

	pthread_mutex_lock(&lock);
	list_for_each(p, &running) {
		struct call *c = list_entry(p, struct call, job);

		if (!atomic_load(&c->cancelled))
			continue;
		interrupt(c);
		any = true;
	}
	pthread_mutex_unlock(&lock);
	return any;
}

static void nothing(int sig)
{
	(void)sig;
}

int pool_init(int max)
{
	struct sigaction sa = { .sa_handler =
					nothing }; /* no SA_RESTART: it ends a blocking call */

	max_threads = max;
	return sigaction(SIGUSR1, &sa, NULL) ? -errno : 0;
}

/* Wait until no call is queued or running, at most @ms. True if so. */
bool pool_drain(int ms)
{
	const struct timespec tick = { 0, 1000000 };
	bool busy = true;

	while (busy && ms-- > 0) {
		pthread_mutex_lock(&lock);
		busy = !list_empty(&queue) || !list_empty(&running);
		pthread_mutex_unlock(&lock);
		if (busy)
			nanosleep(&tick, NULL);
	}
	return !busy;
}
