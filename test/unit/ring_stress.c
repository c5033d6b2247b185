/* SPDX-License-Identifier: MIT */
/*
 * The rings under load, all on one mapping in one process, so that a thread sanitizer sees both
 * sides: a program's thread with signal handlers on top of it, waiting as ring/wait.c does; a
 * driver and a pool thread that do with lane.h what svcd/engine.c and svcd/call.c do; the pool
 * of blocks and the ready queue with four threads.
 *
 * Prints how often each path was taken, and fails if one never was.
 *
 *	ring_stress [--calls N] [--seconds N] [--seed N] [--rare N]
 *
 * Until so many calls have been made, or so many seconds are over; without either, 8 seconds.
 * --rare: disturbances are so many times as rare as usual, and calls as much faster.
 */
#define _GNU_SOURCE
#include "ring/chan.h"
#include "ring/raw.h"
#include "ring/ready.h"
#include "test/unit/ring_check.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PART \
	8 /* words of data of a call, in the lane's small blocks; the first and last are used */

static uint64_t calls = UINT64_MAX, seed = 1;
static double seconds = 0; /* for the lanes; 0: as long as it takes */
static uint64_t made;
static uint64_t rare = 1; /* how much seldomer than usual something disturbs the fast path */
static _Atomic bool stop;
static _Atomic bool resting; /* the driver has nothing to do; for await_driver() */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* xorshift: each thread has its own state. */
static uint64_t random_next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static bool one_in(uint64_t *s, uint64_t n)
{
	return random_next(s) % n == 0;
}

/* Likewise, by 21 of the bits of a number that has been drawn for more than one thing. */
static bool among(uint64_t drawn, int shift, uint64_t n)
{
	return (drawn >> shift) % (1u << 21) % n == 0;
}

/* --- counters: how often each path was taken ------------------------------------------------ */

enum path {
	POST_FAST,
	POST_KICK,
	GIVEN_BACK,
	ALL_IN_USE,
	IN_HANDLER,
	WAIT_INTERRUPTED,
	DONE_AWAKE,
	DONE_FUTEX,
	DONE_FD,
	SCAN,
	REST_IDLE,
	REST_IN_USE,
	REST_REFUSED,
	DRIVER_SLEPT,
	PARKED,
	POOLED,
	POSTED_EARLY,
	PATHS
};

static const char *const path_name[PATHS] = {
	[POST_FAST] = "posted without a kick",
	[POST_KICK] = "posted with a kick",
	[GIVEN_BACK] = "claims given back",
	[ALL_IN_USE] = "no slot free (may be none)",
	[IN_HANDLER] = "calls in a handler",
	[WAIT_INTERRUPTED] = "waits interrupted",
	[DONE_AWAKE] = "answered, thread awake",
	[DONE_FUTEX] = "answered, thread on the futex",
	[DONE_FD] = "answered, thread on its descriptor",
	[SCAN] = "lane scanned",
	[REST_IDLE] = "lane put to rest",
	[REST_IN_USE] = "lane put to rest at a slot in use (may be none)",
	[REST_REFUSED] = "rest refused, just posted (may be none)",
	[DRIVER_SLEPT] = "driver slept",
	[PARKED] = "calls parked",
	[POOLED] = "calls of the pool",
	[POSTED_EARLY] = "posted again before forgotten (may be none)",
};

/* Each for itself, or the counters would be what the two sides compete for most. */
enum side { PROGRAM, DRIVER, POOL, SIDES };
static _Alignas(256) _Atomic uint64_t counts[SIDES][256 / sizeof(uint64_t)];

static void took(enum side side, enum path p)
{
	atomic_fetch_add_explicit(&counts[side][p], 1, memory_order_relaxed);
}

static uint64_t count(enum path p)
{
	return counts[PROGRAM][p] + counts[DRIVER][p] + counts[POOL][p];
}

/* --- the program ---------------------------------------------------------------------------- */

static struct vos_chan chan;
static struct vos_lane *lane;
static int bell[2], wake[2], mail;
static uint64_t client_seed;
static int level;

static void ring(struct vos_chan *c)
{
	const uint8_t one = 1;

	(void)c;
	send(bell[0], &one, 1, MSG_DONTWAIT);
}

static int wake_fd(struct vos_chan *c, struct vos_lane *l)
{
	(void)c;
	l->wake_fd = wake[0];
	return 0;
}

static const struct vos_transport transport = {
	.ring = ring, .wake_fd = wake_fd, .sleep = vos_unix_sleep, .wake_all = vos_unix_wake_all
};

static uint64_t *out_part(int s)
{
	return (uint64_t *)(chan.program + VOS_PROGRAM_DATA) + s * PART;
}

static uint64_t *in_part(int s)
{
	return (uint64_t *)(chan.service + VOS_SERVICE_DATA(chan.nlanes)) + s * PART;
}

/* Until the driver sleeps; or for a while, since it may have calls that wait for it to look. */
static void await_driver(void)
{
	for (int i = 0; i < 100 && !atomic_load(&resting); i++)
		usleep(20);
}

/* Now and then the thread is late, or a handler runs just here. */
static void dawdle(uint64_t drawn)
{
	if (!among(drawn, 0, 100 * rare))
		return;
	switch (random_next(&client_seed) % 41) {
	case 0:
		await_driver();
		break;
	case 1 ... 8:
		sched_yield();
		break;
	default:
		if (level < 4)
			raise(SIGUSR1);
	}
}

static void call(void)
{
	uint64_t value = random_next(&client_seed);
	enum vos_wait how = (enum vos_wait)(value >> 42) % 3;
	struct vos_entry *e;
	bool skipped;
	int s = vos_lane_claim(lane, &skipped);

	if (s < 0) {
		took(PROGRAM, ALL_IN_USE);
		return;
	}
	dawdle(value);
	e = &lane->slot[s];
	e->op = VOS_OP_nop;
	e->arg[0] = value;
	out_part(s)[0] = out_part(s)[PART - 1] = value;
	if (among(value, 21, 512 * rare)) {
		took(PROGRAM, GIVEN_BACK);
		vos_lane_unclaim(lane, s);
		return;
	}
	if (vos_lane_post(lane, s, skipped) == VOS_POSTED_KICK) {
		took(PROGRAM, POST_KICK);
		dawdle(random_next(&client_seed));
		ring(&chan);
	} else {
		took(PROGRAM, POST_FAST);
	}
	while (vos_chan_wait(&chan, lane, s, how))
		took(PROGRAM, WAIT_INTERRUPTED);
	CHECK(e->result == (int64_t)~value);
	CHECK(in_part(s)[0] == ~value && in_part(s)[PART - 1] == ~value);
	vos_lane_release(lane, s);
}

static void handler(int sig)
{
	int err = errno;

	(void)sig;
	level++;
	for (uint64_t n = random_next(&client_seed) % 12; n; n--) {
		took(PROGRAM, IN_HANDLER);
		call();
	}
	level--;
	errno = err;
}

static void *program(void *arg)
{
	double start = now();
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	while (made < calls && (made % 1024 || !seconds || now() < start + seconds)) {
		call();
		made++;
	}
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	atomic_store(&stop, true);
	ring(&chan);
	return NULL;
}

/* Signals that come anywhere. */
static void *signaller(void *arg)
{
	pthread_t *to = arg;
	uint64_t s = seed * 77 + 1;

	while (!atomic_load(&stop)) {
		pthread_kill(*to, SIGUSR1);
		usleep((useconds_t)(random_next(&s) % (2000 * rare)));
	}
	return NULL;
}

/* --- the service ---------------------------------------------------------------------------- */

static struct {
	uint32_t next;
	_Atomic uint32_t busy;
	uint16_t kick;
	bool polled, used, scan;
	uint32_t parked;
	uint64_t seed;
} service;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static uint32_t pooled; /* under lock */

static void complete(enum side side, int s)
{
	struct vos_entry *e = &lane->slot[s];
	uint64_t value = e->arg[0];
	const uint8_t one = 1;
	uint32_t how;

	CHECK(out_part(s)[0] == value && out_part(s)[PART - 1] == value);
	in_part(s)[0] = in_part(s)[PART - 1] = ~value;
	how = vos_entry_complete(e, (int64_t)~value);
	took(side, how & VOS_WAIT_FD ? DONE_FD : how ? DONE_FUTEX : DONE_AWAKE);
	if (how & VOS_WAIT_FUTEX)
		vos_raw6(SYS_futex, &e->state, FUTEX_WAKE, 1, 0, 0, 0);
	if (how & VOS_WAIT_FD)
		send(wake[1], &one, 1, MSG_DONTWAIT);
}

static void *pool_thread(void *arg)
{
	uint64_t s = seed * 99 + 1;

	(void)arg;
	pthread_mutex_lock(&lock);
	for (;;) {
		const uint64_t one = 1;
		int slot;

		while (!pooled && !atomic_load(&stop))
			pthread_cond_wait(&work, &lock);
		if (!pooled)
			break;
		slot = __builtin_ctz(pooled);
		pooled &= ~(1u << slot);
		pthread_mutex_unlock(&lock);
		complete(POOL, slot);
		if (one_in(&s, 16))
			sched_yield();
		atomic_fetch_and(&service.busy, ~(1u << slot));
		if (atomic_load(&lane->slot[slot].state) & VOS_POSTED) {
			took(POOL, POSTED_EARLY);
			CHECK(write(mail, &one, sizeof(one)) == sizeof(one));
		}
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static bool posted(uint32_t s, uint32_t *state)
{
	if (atomic_load_explicit(&service.busy, memory_order_acquire) & 1u << s)
		return false;
	*state = vos_entry_state(&lane->slot[s]);
	return *state & VOS_POSTED;
}

static bool take(uint32_t s)
{
	uint32_t state;

	if (!posted(s, &state))
		return false;
	vos_lane_taken(state, &service.next);
	switch (random_next(&service.seed) % (256 * rare)) {
	case 0 ... 3:
		took(DRIVER, PARKED);
		atomic_fetch_or_explicit(&service.busy, 1u << s, memory_order_relaxed);
		service.parked |= 1u << s;
		break;
	case 4 ... 7:
		took(DRIVER, POOLED);
		atomic_fetch_or_explicit(&service.busy, 1u << s, memory_order_relaxed);
		pthread_mutex_lock(&lock);
		pooled |= 1u << s;
		pthread_cond_signal(&work);
		pthread_mutex_unlock(&lock);
		break;
	default:
		complete(DRIVER, (int)s);
	}
	return true;
}

static bool poll_lane(void)
{
	if (!service.scan)
		return take(service.next % VOS_SLOTS);
	for (uint32_t s = 0; s < VOS_SLOTS; s++)
		if (take(s))
			return true;
	service.scan = false;
	return false;
}

static void unpark(void)
{
	int s = __builtin_ctz(service.parked);

	service.parked &= ~(1u << s);
	complete(DRIVER, s);
	atomic_fetch_and_explicit(&service.busy, ~(1u << s), memory_order_relaxed);
}

static void look(int timeout)
{
	struct pollfd p[2] = { { bell[1], POLLIN, 0 }, { mail, POLLIN, 0 } };
	uint64_t n;
	uint16_t kick;
	char buf[256];

	if (poll(p, 2, timeout) <= 0)
		return;
	if (p[1].revents && read(mail, &n, sizeof(n)) == sizeof(n))
		service.polled = service.scan = true;
	if (!p[0].revents)
		return;
	while (recv(bell[1], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	kick = atomic_load_explicit(lane->kick, memory_order_acquire);
	if (kick == service.kick)
		return;
	took(DRIVER, SCAN);
	service.kick = kick;
	service.polled = service.scan = true;
	if (!service.used)
		vos_lane_wake(lane->slot);
	service.used = true;
}

static void rest(void)
{
	uint32_t state;

	if (vos_entry_sleep(&lane->slot[service.next % VOS_SLOTS])) {
		took(DRIVER, REST_IDLE);
	} else if (posted(service.next % VOS_SLOTS, &state)) {
		took(DRIVER, REST_REFUSED);
		return;
	} else {
		took(DRIVER, REST_IN_USE);
	}
	service.polled = false;
}

static void *driver(void *arg)
{
	uint64_t quiet = 0, worked = 0, patience = 100;

	(void)arg;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		if (service.polled && poll_lane()) {
			quiet = 0;
			if (++worked % 64 == 0)
				look(0);
			continue;
		}
		if (service.parked && random_next(&service.seed) % 8 == 0)
			unpark();
		if (++quiet < patience) {
			__builtin_ia32_pause();
			continue;
		}
		quiet = 0;
		patience = random_next(&service.seed) % (one_in(&service.seed, 8) ? 30 : 3000);
		if (service.polled && !service.scan)
			rest();
		if (!service.polled) {
			if (!service.parked)
				took(DRIVER, DRIVER_SLEPT);
			atomic_store(&resting, true);
			look(service.parked ? 0 : -1);
			atomic_store(&resting, false);
		} else {
			look(0);
		}
	}
	pthread_mutex_lock(&lock);
	pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* Each side on a CPU of its own, or both spin where the other one should run. */
static void part(pthread_t a, pthread_t b)
{
	pthread_t t[2] = { a, b };
	cpu_set_t all, one;
	int n = 0;

	sched_getaffinity(0, sizeof(all), &all);
	for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pthread_setaffinity_np(t[n++], sizeof(one), &one);
	}
}

static void lanes(void)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART | SA_NODEFER };
	pthread_t t[4];
	double start;
	int fd = vos_chan_create(&chan, 1, VOS_PAGE);

	CHECK(fd >= 0);
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, bell));
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, wake));
	mail = eventfd(0, EFD_NONBLOCK);
	chan.transport = &transport;
	chan.guard = chan.sh->guard = 1;
	chan.sh->cpu = 254;
	lane = vos_chan_lane(&chan, getpid(), getpid());
	service.seed = seed * 31 + 7;
	client_seed = seed * 17 + 3;
	sigaction(SIGUSR1, &sa, NULL);
	start = now();
	CHECK(!pthread_create(&t[0], NULL, driver, NULL));
	CHECK(!pthread_create(&t[1], NULL, pool_thread, NULL));
	CHECK(!pthread_create(&t[2], NULL, program, NULL));
	CHECK(!pthread_create(&t[3], NULL, signaller, &t[2]));
	if (rare > 1)
		part(t[2], t[0]);
	pthread_join(t[2], NULL);
	for (int i = 0; i < 4; i++)
		if (i != 2)
			pthread_join(t[i], NULL);
	printf("note: %lu calls in %.0f s\n", made, now() - start);
	for (int i = 0; i < PATHS; i++) {
		printf("  %12lu %s\n", count(i), path_name[i]);
		CHECK(count(i) || rare > 1 || strstr(path_name[i], "may be none"));
	}
	CHECK(count(DONE_AWAKE) + count(DONE_FUTEX) + count(DONE_FD) ==
	      count(POST_FAST) + count(POST_KICK));
}

/* --- pool and ready queue ------------------------------------------------------------------- */

/* As many as there were calls, up to 10^8 operations on the pool. */
static uint64_t rounds(void)
{
	return made < 20000000 ? made : 20000000;
}

static struct vos_pool pool;
static _Atomic int owner[VOS_CLASSES * VOS_POOL_BLOCKS];

static void *taker(void *arg)
{
	int me = (int)(intptr_t)arg;
	uint64_t s = seed * 13 + (uint64_t)me;
	struct vos_block b[8];
	uint64_t empty = 0;

	for (uint64_t i = 0; i < rounds() / 8; i++) {
		int n = 0, wanted = 1 + (int)(random_next(&s) % 8);

		while (n < wanted &&
		       !vos_pool_get(&pool, (uint32_t)(random_next(&s) % VOS_IO_MAX), 1, &b[n])) {
			int none = 0;

			CHECK(atomic_compare_exchange_strong(&owner[b[n].nr], &none, me));
			n++;
		}
		empty += n < wanted;
		while (n--) {
			CHECK(atomic_exchange(&owner[b[n].nr], 0) == me);
			vos_pool_put(&pool, &b[n]);
		}
	}
	return (void *)(uintptr_t)empty;
}

static struct vos_ready queue;
static _Atomic uint32_t queue_tail;
static _Atomic bool queued[VOS_LANES_MAX];

static void *pusher(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg;

	for (uint64_t i = 0; i < rounds() / 4; i++) {
		uint32_t l = (uint32_t)(i % (VOS_LANES_MAX / 4)) * 4 + me;

		while (atomic_exchange(&queued[l], true))
			sched_yield();
		vos_ready_push(&queue, &queue_tail, l);
	}
	return NULL;
}

static void four(const char *name, void *(*fn)(void *), int from)
{
	double start = now();
	uint64_t sum = 0;
	pthread_t t[4];
	void *r;
	int n = from ? 4 : 3;

	for (int i = 0; i < n; i++)
		CHECK(!pthread_create(&t[i], NULL, fn, (void *)(intptr_t)(i + from)));
	if (!from) { /* we are the fourth, the one that takes */
		_Atomic uint32_t head = 0;

		for (uint64_t got = 0; got < rounds() / 4 * 3;) {
			int l = vos_ready_pop(&queue, &head);

			if (l < 0) {
				sched_yield();
				continue;
			}
			got++;
			CHECK(l < (int)VOS_LANES_MAX && atomic_exchange(&queued[l], false));
		}
		CHECK(vos_ready_pop(&queue, &head) == -1);
	}
	for (int i = 0; i < n; i++) {
		pthread_join(t[i], &r);
		sum += (uintptr_t)r;
	}
	printf("%s: %.1f s", name, now() - start);
	if (from) {
		printf(", %lu times empty", sum);
		CHECK(sum); /* or it has not been tried hard enough */
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	sigset_t set;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--calls") && i + 1 < argc)
			calls = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
			seconds = atof(argv[++i]);
		else if (!strcmp(argv[i], "--rare") && i + 1 < argc)
			rare = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10);
		else
			return 2;
	}
	if (calls == UINT64_MAX && !seconds)
		seconds = 8;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	lanes();
	vos_pool_init(&pool, 0, 1 << 18);
	four("pool", taker, 1);
	four("ready queue", pusher, 0);
	return 0;
}
