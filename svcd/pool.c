/* SPDX-License-Identifier: MIT */
/*
 * Threads for calls that block in the kernel. They come when there is work and nobody idle, up to
 * the limit, and go after a second without work.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define IDLE_SECONDS 1

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct list queue = { &queue, &queue };
static int threads, idle, max_threads;

long call_run(struct call *c);

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
	list_del(&c->job);
	c->tid = (int)gettid();
	atomic_store(&c->state, CALL_IN_POOL);
out:
	pthread_mutex_unlock(&lock);
	return c;
}

static void run_job(struct call *c)
{
	long r = atomic_load(&c->client->broken) ? -EIO : ident_assume(c->ident, c->umask);

	if (!r)
		r = c->cancelled ? -EINTR : call_run(c);
	pthread_mutex_lock(&lock);
	c->tid = 0; /* no signals for this call any more */
	pthread_mutex_unlock(&lock);
	call_finish(c, r);
}

static void *worker(void *arg)
{
	struct call *c;

	(void)arg;
	ident_thread_init();
	while ((c = next_job()))
		run_job(c);
	return NULL;
}

void pool_add(struct call *c)
{
	pthread_t t;
	pthread_attr_t attr;
	bool start;

	c->ident = ident_get(c->client->ident);
	c->umask = c->client->umask;
	c->in_pool = true;
	atomic_store(&c->state, CALL_QUEUED);
	pthread_mutex_lock(&lock);
	list_add_tail(&c->job, &queue);
	start = !idle && threads < max_threads;
	threads += start;
	if (!start)
		pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
	if (!start)
		return;
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

void pool_interrupt(struct call *c)
{
	pthread_mutex_lock(&lock);
	c->cancelled = true;
	if (c->tid)
		syscall(SYS_tgkill, getpid(), c->tid, SIGUSR1);
	pthread_mutex_unlock(&lock);
}

static void nothing(int sig)
{
	(void)sig;
}

int pool_init(int max)
{
	struct sigaction sa = { .sa_handler = nothing }; /* no SA_RESTART: it ends a blocking call */

	max_threads = max;
	return sigaction(SIGUSR1, &sa, NULL) ? -errno : 0;
}
