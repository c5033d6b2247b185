/* SPDX-License-Identifier: MIT */
/* The pool, the ready queue and the channel as a program sees it. Lanes: ring_lane_test.c. */
#define _GNU_SOURCE
#include "ring/chan.h"
#include "ring/ready.h"
#include "test/unit/ring_check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint32_t class_size[VOS_CLASSES] = VOS_CLASS_SIZES;

/* --- pool ----------------------------------------------------------------------------------- */

static unsigned blocks_of(const struct vos_pool *p)
{
	unsigned n = 0;

	for (int c = 0; c < VOS_CLASSES; c++) {
		CHECK(p->n[c] <= VOS_POOL_BLOCKS);
		n += p->n[c];
	}
	return n;
}

static unsigned take_all(struct vos_pool *p, uint32_t want, uint32_t min, struct vos_block *b)
{
	unsigned n = 0;

	while (!vos_pool_get(p, want, min, &b[n]))
		n++;
	return n;
}

/* No two blocks overlap, all lie inside the pool, and are of whole pages. */
static void apart(const struct vos_block *b, unsigned n, uint32_t off, uint32_t size)
{
	for (unsigned i = 0; i < n; i++) {
		CHECK(b[i].off >= off && b[i].off + b[i].size <= off + size);
		CHECK(b[i].off % VOS_PAGE == 0 && b[i].size % VOS_PAGE == 0);
		for (unsigned k = 0; k < i; k++)
			CHECK(b[i].off + b[i].size <= b[k].off || b[k].off + b[k].size <= b[i].off);
	}
}

static void pool_of(uint32_t size)
{
	static struct vos_block b[VOS_CLASSES * VOS_POOL_BLOCKS + 1];
	static struct vos_pool p;
	unsigned n, again;

	vos_pool_init(&p, VOS_PAGE, size);
	n = take_all(&p, 1, 1, b);
	CHECK(n == blocks_of(&p));
	apart(b, n, VOS_PAGE, size);
	CHECK(vos_pool_get(&p, 1, 1, &b[n]) == -EAGAIN);
	for (unsigned i = 0; i < n; i++)
		vos_pool_put(&p, &b[i]);
	again = take_all(&p, VOS_IO_MAX, 1, b);
	CHECK(again == n);
}

static void pool_classes(void)
{
	static struct vos_block many[VOS_POOL_BLOCKS + 1];
	struct vos_pool p;
	struct vos_block b, c;
	unsigned n;

	vos_pool_init(&p, 0, VOS_POOL_MAX);
	for (int i = 0; i < VOS_CLASSES; i++) {
		CHECK(!vos_pool_get(&p, class_size[i], class_size[i], &b));
		CHECK(b.size == class_size[i]);
		vos_pool_put(&p, &b);
		CHECK(!vos_pool_get(&p, class_size[i], 1, &c)); /* the hot one */
		CHECK(c.off == b.off && c.nr == b.nr);
		vos_pool_put(&p, &c);
	}
	CHECK(!vos_pool_get(&p, class_size[0] + 1, 1, &b) && b.size == class_size[1]);
	vos_pool_put(&p, &b);
	/* More than the largest: what there is, if it is enough. */
	CHECK(!vos_pool_get(&p, 2 * VOS_IO_MAX, 1, &b) && b.size == class_size[VOS_CLASSES - 1]);
	vos_pool_put(&p, &b);
	CHECK(vos_pool_get(&p, 2 * VOS_IO_MAX, VOS_IO_MAX + 1, &b) == -EAGAIN);
	/* The largest are gone: smaller ones, but none below the minimum. */
	n = take_all(&p, VOS_IO_MAX, VOS_IO_MAX, many);
	CHECK(n == p.n[VOS_CLASSES - 1]);
	CHECK(!vos_pool_get(&p, VOS_IO_MAX, 100, &b) && b.size == class_size[1]);
	CHECK(vos_pool_get(&p, VOS_IO_MAX, class_size[1] + 1, &c) == -EAGAIN);
	vos_pool_put(&p, &b);
	/* The smallest are gone: larger ones. */
	while (!vos_pool_get(&p, 1, 1, &b) && b.size == class_size[0])
		;
	CHECK(b.size == class_size[1]);
}

/* Whatever the trials find: taken one at a time, a block is always free, and none is lost. */
static void pool_trials(void)
{
	static bool seen[VOS_POOL_BLOCKS];
	struct vos_pool p;
	struct vos_block b;
	unsigned used = 0, n;

	vos_pool_init(&p, 0, VOS_POOL_MAX);
	for (unsigned i = 0; i < 40000; i++) {
		CHECK(!vos_pool_get(&p, class_size[1], class_size[1], &b));
		CHECK(b.size == class_size[1]);
		n = (unsigned)b.nr % VOS_POOL_BLOCKS;
		CHECK(i >= 512 || !n); /* who moves little touches one block */
		used += !seen[n];
		seen[n] = true;
		vos_pool_put(&p, &b);
	}
	CHECK(used == p.n[1]);
	CHECK(p.free[1] == ~0ull);
}

/* --- ready queue ---------------------------------------------------------------------------- */

static void ready_from(uint32_t cursor, uint32_t items)
{
	static struct vos_ready q;
	_Atomic uint32_t tail = cursor;
	_Atomic uint32_t head = cursor;
	uint32_t put = 0, got = 0;

	memset(&q, 0, sizeof(q));
	CHECK(vos_ready_pop(&q, &head) == -1);
	/* In bursts of all lengths, up to a full queue. */
	for (uint32_t burst = 1; got < items; burst = burst % VOS_READY_SLOTS + 1) {
		for (uint32_t i = 0; i < burst; i++, put++)
			vos_ready_push(&q, &tail, put % VOS_LANES_MAX);
		for (uint32_t i = 0; i < burst; i++, got++)
			CHECK(vos_ready_pop(&q, &head) == (int)(got % VOS_LANES_MAX));
		CHECK(vos_ready_pop(&q, &head) == -1);
	}
	CHECK(head == tail);
}

/* A taker that is more than a lap late finds that out, and goes on with what is there. */
static void ready_late(uint32_t cursor, uint32_t laps)
{
	static struct vos_ready q;
	_Atomic uint32_t tail = cursor;
	_Atomic uint32_t head = cursor;
	uint32_t n = laps * VOS_READY_SLOTS + 3;

	memset(&q, 0, sizeof(q));
	for (uint32_t i = 0; i < n; i++)
		vos_ready_push(&q, &tail, i % VOS_LANES_MAX);
	CHECK(vos_ready_pop(&q, &head) == VOS_READY_LOST);
	CHECK(vos_ready_pop(&q, &head) == (int)((n - 2) % VOS_LANES_MAX));
	CHECK(vos_ready_pop(&q, &head) == (int)((n - 1) % VOS_LANES_MAX));
	CHECK(vos_ready_pop(&q, &head) == VOS_READY_EMPTY);
	CHECK(head == tail);
}

/* Only the cursors matter, so a lap can be skipped by making its last item. */
static void ready_laps(void)
{
	static struct vos_ready q;

	for (uint64_t lap = 0; lap < 3 * 65536; lap++) {
		uint32_t cursor = (uint32_t)(lap * VOS_READY_SLOTS);
		_Atomic uint32_t tail = cursor;
		_Atomic uint32_t head = cursor;

		CHECK(vos_ready_pop(&q, &head) == -1);
		vos_ready_push(&q, &tail, 7);
		CHECK(vos_ready_pop(&q, &head) == 7);
		CHECK(head == cursor + 1);
		/* Not once more, a lap later. */
		head = cursor + VOS_READY_SLOTS;
		CHECK(vos_ready_pop(&q, &head) == -1);
	}
}

static void ready(void)
{
	ready_from(0, 10 * VOS_READY_SLOTS);
	ready_from(65535u * VOS_READY_SLOTS - 3, 3 * VOS_READY_SLOTS); /* laps wrap */
	ready_from(0u - VOS_READY_SLOTS - 5, 3 * VOS_READY_SLOTS);     /* cursors wrap */
	ready_laps();
	ready_late(5, 1);
	ready_late(65534u * VOS_READY_SLOTS - 3, 3);
}

/* --- channel -------------------------------------------------------------------------------- */

/* It makes a channel of its own: two writers on one would be none. */
static void check_child_has_none(void *at)
{
	unsigned char vec;
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(mincore(at, VOS_PAGE, &vec) == -1 && errno == ENOMEM ? 0 : 1);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void layout(uint32_t lanes, uint32_t pool)
{
	static struct vos_chan c;
	uint8_t *last;
	struct stat st;
	int fd = vos_chan_create(&c, lanes, pool);

	CHECK(fd >= 0);
	CHECK(!fstat(fd, &st));
	CHECK((size_t)st.st_size == VOS_PROGRAM_SIZE(lanes, pool) + VOS_SERVICE_SIZE(lanes, pool));
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK(fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK);
	CHECK(ftruncate(fd, 0) && errno == EPERM);
	CHECK(c.service == c.program + VOS_PROGRAM_SIZE(lanes, pool));
	CHECK((uintptr_t)c.service % VOS_PAGE == 0);
	CHECK(c.ph->magic == VOS_MAGIC && c.ph->version == VOS_VERSION);
	CHECK(c.ph->lanes == lanes && c.ph->pool == pool);
	CHECK((uint8_t *)&c.ph->kick[VOS_LANES_MAX] <= c.program + VOS_PROGRAM_DATA);
	CHECK((uint8_t *)(c.sh + 1) <= c.service + VOS_SERVICE_LANES);
	for (uint32_t i = 0; i < lanes; i++) {
		CHECK((uintptr_t)c.lane[i].slot % VOS_LINE == 0);
		CHECK(c.lane[i].index == i && c.lane[i].wake_fd == -1 && !c.lane[i].owner);
		CHECK((uint8_t *)(c.lane[i].slot + VOS_SLOTS) <=
		      c.service + VOS_SERVICE_DATA(lanes));
	}
	last = c.service + VOS_SERVICE_SIZE(lanes, pool) - 1;
	*last = 1;
	check_child_has_none(c.program);
	close(fd);
	vos_chan_destroy(&c);
}

static void lanes_of_threads(void)
{
	static struct vos_chan c;
	struct vos_lane *a, *b, *d;
	int pid = getpid(), fd = vos_chan_create(&c, 2, VOS_PAGE);

	CHECK(fd >= 0);
	a = vos_chan_lane(&c, pid, pid);
	CHECK(a && a->owner == pid);
	CHECK(vos_chan_lane(&c, pid, pid) == a);
	/* A thread that does not exist. (Ids end at 2^22.) */
	b = vos_chan_lane(&c, 1 << 29, pid);
	CHECK(b && b != a);
	/* In use: none is free, and what it has is not given away while a call is on its way. */
	b->claimed = 1;
	CHECK(!vos_chan_lane(&c, 1 << 28, pid));
	b->claimed = 0;
	b->depth = 3;
	b->nested = true;
	d = vos_chan_lane(&c, 1 << 28, pid);
	CHECK(d == b && d->owner == 1 << 28);
	CHECK(d->depth == 0 && !d->nested && d->resync);
	/* Our lane is ours while we live. */
	CHECK(vos_chan_lane(&c, 1 << 27, pid) == d && a->owner == pid);
	close(fd);
	vos_chan_destroy(&c);
}

/* --- death ---------------------------------------------------------------------------------- */

static int give_wake_fd(struct vos_chan *c, struct vos_lane *l)
{
	int pair[2];

	(void)c;
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
	l->wake_fd = pair[0];
	return 0;
}

static int give_no_wake_fd(struct vos_chan *c, struct vos_lane *l)
{
	(void)c, (void)l;
	return -EMFILE;
}

struct sleeper {
	struct vos_chan *c;
	struct vos_lane *l;
	enum vos_wait how;
	int s, result;
	pthread_t thread;
	_Atomic pid_t tid;
};

static void *sleeper(void *arg)
{
	struct sleeper *w = arg;

	w->tid = gettid();
	w->result = vos_chan_wait(w->c, w->l, w->s, w->how);
	return NULL;
}

static void start_sleeper(struct sleeper *w, uint32_t how)
{
	bool skipped;

	w->s = vos_lane_claim(w->l, &skipped);
	CHECK(w->s >= 0);
	w->l->slot[w->s].op = VOS_OP_nop;
	vos_lane_post(w->l, w->s, skipped);
	CHECK(!pthread_create(&w->thread, NULL, sleeper, w));
	while (!(w->l->slot[w->s].state & how))
		usleep(1000);
	await_sleep(w->tid); /* which it has announced */
}

static void wake_all(bool completed)
{
	static struct vos_chan c;
	static const struct vos_transport with_fd = { .wake_fd = give_wake_fd,
						      .sleep = vos_unix_sleep,
						      .wake_all = vos_unix_wake_all },
					  without = { .wake_fd = give_no_wake_fd,
						      .sleep = vos_unix_sleep,
						      .wake_all = vos_unix_wake_all };
	struct sleeper w[3];
	int bell[2], fd = vos_chan_create(&c, 3, VOS_PAGE);

	CHECK(fd >= 0 && !socketpair(AF_UNIX, SOCK_SEQPACKET, 0, bell));
	c.bell = bell[0];
	c.guard = 1234 | FUTEX_WAITERS;
	c.sh->guard = c.guard;
	c.sh->cpu = 254; /* not where we are */
	for (int i = 0; i < 3; i++) {
		c.transport = i == 2 ? &without : &with_fd;
		w[i] = (struct sleeper){ .c = &c,
					 .l = &c.lane[i],
					 .how = i == 0 ? VOS_WAIT_RESTART : VOS_WAIT_ONCE };
		start_sleeper(&w[i], i == 1 ? VOS_WAIT_FD : VOS_WAIT_FUTEX);
	}
	CHECK(vos_chan_alive(&c));
	if (completed)
		for (int i = 0; i < 3; i++)
			vos_entry_complete(&w[i].l->slot[w[i].s], 0);
	vos_chan_kill(&c);
	vos_chan_kill(&c);
	for (int i = 0; i < 3; i++) {
		CHECK(!pthread_join(w[i].thread, NULL));
		CHECK(w[i].result == (completed ? 0 : -ENOLINK));
	}
	CHECK(!vos_chan_alive(&c));
	/* And nobody goes to sleep any more. */
	CHECK(completed || vos_chan_wait(&c, w[0].l, w[0].s, VOS_WAIT_ALWAYS) == -ENOLINK);
	close(fd);
	close(bell[0]);
	close(bell[1]);
	vos_chan_destroy(&c);
}

static void death_is_noticed(void)
{
	static struct vos_chan c;
	int fd = vos_chan_create(&c, 1, VOS_PAGE);

	CHECK(fd >= 0);
	c.guard = 1234 | FUTEX_WAITERS;
	c.sh->guard = c.guard;
	CHECK(vos_chan_alive(&c));
	atomic_fetch_or(&c.sh->guard, FUTEX_OWNER_DIED); /* as the kernel does */
	CHECK(!vos_chan_alive(&c));
	close(fd);
	vos_chan_destroy(&c);
}

int main(void)
{
	alarm(60);
	pool_classes();
	pool_trials();
	pool_of(VOS_POOL_MAX);
	pool_of(1 << 20);
	pool_of(688 << 10);
	pool_of(400 << 10);
	pool_of(VOS_IO_MAX);
	pool_of(VOS_PAGE); /* too small for any block */
	ready();
	layout(1, VOS_PAGE);
	layout(7, 3 * VOS_PAGE);
	layout(VOS_LANES_MAX, VOS_POOL_MAX);
	lanes_of_threads();
	wake_all(false);
	wake_all(true);
	death_is_noticed();
	return 0;
}
