/* SPDX-License-Identifier: MIT */
/*
 * Sessions: threads post requests that make sense, some sense or none, while another changes what
 * both sides can write, rings, and sends descriptors. They end in every way there is.
 */
#define _GNU_SOURCE
#include "test/fuzz/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct session session;
static uint64_t session_seed;
static _Atomic bool over;
static _Atomic unsigned current; /* slot that is about to be posted */

int session_attach(struct session *s, uint32_t lanes, uint32_t pool)
{
	struct vos_hello h = { .magic = VOS_MAGIC,
			       .version = VOS_VERSION,
			       .kind = VOS_HELLO_ATTACH };
	struct vos_welcome w;
	int fd = vos_chan_create(&s->c, lanes, pool), r;

	if (fd < 0)
		return fd;
	s->c.transport = &vos_transport_unix;
	r = vos_unix_attach(&s->c, fd, socket_path, NULL, &h, &w);
	if (!r && !below(4)) /* pages that are not there until somebody touches them */
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, VOS_PAGE, VOS_PAGE);
	close(fd);
	return r;
}

/* --- descriptors: for lanes that exist, have one, or do not exist ----------------------------- */

static void send_bell_fds(unsigned lane, uint8_t tag)
{
	struct vos_bell_fd m[2] = { { tag, 0, (uint16_t)lane, (uint32_t)below(4) } };
	unsigned n = below(8) ? 1 : 1 + (unsigned)below(8);
	int fds[8];

	if (!below(64))
		m->lane = (uint16_t)random_bits();
	if (!below(16))
		m->tag = (uint8_t)random_bits();
	for (unsigned i = 0; i < n; i++)
		fds[i] = below(8) ? random_fd() : dup(session.c.bell);
	send_fds(session.c.bell, m, below(16) ? sizeof(m[0]) : below(sizeof(m)), fds, n);
	for (unsigned i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void send_any_fds(void)
{
	send_bell_fds((unsigned)below(session.c.nlanes + 4),
		      below(2) ? VOS_TAG_WAKE : VOS_TAG_TOKEN);
}

/* --- scribbling ------------------------------------------------------------------------------- */

static size_t channel_size(void)
{
	return VOS_PROGRAM_SIZE(session.c.nlanes, session.c.pool) +
	       VOS_SERVICE_SIZE(session.c.nlanes, session.c.pool);
}

static void scribble_entry(void)
{
	static const uint32_t states[] = {
		0, 1, 2, 3, 4, 6, 8, 10, 18, 26, 31, 0xffffffff, 0x102, 0x80000002,
	};
	struct vos_entry *e = &session.c.lane[below(session.c.nlanes)].slot[below(VOS_SLOTS)];

	switch (below(4)) {
	case 0:
		e->state = below(4) ? PICK(states) : (uint32_t)random_bits();
		break;
	case 1:
		((uint64_t *)e)[1 + below(7)] = random_bits();
		break;
	case 2:
		((uint8_t *)e)[4 + below(60)] = (uint8_t)random_bits();
		break;
	default:
		e->op = (uint16_t)below(VOS_NOPS);
		e->state = VOS_POSTED | (uint32_t)below(1 << 24) << VOS_NUMBER_SHIFT;
	}
}

static void scribble(void)
{
	struct vos_chan *c = &session.c;

	switch (below(16)) {
	case 0 ... 7:
		scribble_entry();
		break;
	case 8 ... 9:
		c->ph->kick[below(VOS_LANES_MAX)] = (uint16_t)random_bits();
		break;
	case 10 ... 11:
		c->program[below(channel_size())] = (uint8_t)random_bits();
		break;
	case 12: /* data of requests that are being decoded */
		memset(c->program + VOS_PROGRAM_DATA + below(c->nlanes) * VOS_SMALL,
		       (int)below(256), VOS_SMALL);
		break;
	default:
		c->transport->ring(c);
	}
}

/* Only what the present requests refer to. */
static void scribble_data(void)
{
	uint64_t lane = below(session.c.nlanes);

	session.c.program[VOS_PROGRAM_DATA + lane * VOS_SMALL + below(VOS_SMALL)] =
		(uint8_t)random_bits();
}

/* Both areas as a whole: headers, kick words, guard, ready queue, entries, data. */
static void scribble_all(void)
{
	uint64_t *p = (uint64_t *)session.c.program;

	for (size_t i = 0; i < channel_size() / sizeof(*p); i++)
		p[i] = random_bits();
}

static void *racer(void *arg)
{
	bool gentle = arg;

	random_seed(session_seed + 1);
	while (!over) {
		if (!below(gentle ? 1 << 20 : 4096))
			send_any_fds();
		if (gentle)
			scribble_data();
		else
			scribble();
		if (!below(256))
			usleep(100);
	}
	return NULL;
}

static void *scribbler(void *arg)
{
	random_seed(session_seed + 1);
	while (!over) {
		scribble_all();
		send_any_fds();
		session.c.transport->ring(&session.c);
	}
	return arg;
}

/*
 * What is read twice need not be the same: one word of what is posted, or of the data that belongs
 * to it, goes back and forth between what was there and nonsense.
 */
#define FLIP(word, nonsense, hold)                             \
	do {                                                   \
		volatile __typeof__(word) *p = &(word);        \
		__typeof__(word) was = *p;                     \
                                                               \
		*p = (__typeof__(word))(nonsense);             \
		for (volatile unsigned i = 0; i < (hold); i++) \
			;                                      \
		*p = was;                                      \
	} while (0)

static void *flipper(void *arg)
{
	static const unsigned holds[] = { 0, 0, 10, 100 };
	uint64_t nonsense, field;
	unsigned hold;

	random_seed(session_seed + 1);
	nonsense = below(2) ? random_bits() : below(2) ? UINT64_MAX : below(1 << 16);
	hold = PICK(holds);
	field = below(12); /* of the entry's words, and of the first ones of its data */
	while (!over) {
		struct vos_entry *e = &session.c.lane[0].slot[current];
		uint64_t *data = (uint64_t *)(session.c.program + VOS_PROGRAM_DATA +
					      below(4) * (VOS_SMALL / 4));

		if (field == 0)
			FLIP(e->op, nonsense, hold);
		else if (field < 8)
			FLIP(((uint64_t *)e)[field], nonsense, hold);
		else
			FLIP(data[field - 8], nonsense, hold);
	}
	return arg;
}

/* --- posting ---------------------------------------------------------------------------------- */

static void collect(struct vos_lane *l)
{
	for (int s = 0; s < (int)VOS_SLOTS; s++)
		if (l->claimed & 1u << s && vos_entry_done(&l->slot[s])) {
			note_answer(&session, &l->slot[s]);
			vos_lane_release(l, s);
		}
}

static void *poster(void *arg)
{
	uintptr_t number = (uintptr_t)arg;

	random_seed(session_seed + 2 + number);
	while (!over) {
		struct vos_lane *l = &session.c.lane[below(session.c.nlanes) & ~3u];
		bool skipped;
		int s;

		/* Posters have lanes of their own, four of which they use. */
		l += number < session.c.nlanes - l->index ? number : 0;
		collect(l);
		s = vos_lane_claim(l, &skipped);
		if (s < 0) {
			usleep(50);
			continue;
		}
		random_request(&session, l, &l->slot[s]);
		current = (unsigned)s;
		if (vos_lane_post(l, s, skipped) == VOS_POSTED_KICK || !below(64))
			session.c.transport->ring(&session.c);
		if (!below(4))
			vos_entry_announce(&l->slot[s], below(2) ? VOS_WAIT_FUTEX : VOS_WAIT_FD);
		for (int i = 0; i < 200 && !vos_entry_done(&l->slot[s]); i++)
			if (i > 100)
				usleep(20);
	}
	return NULL;
}

/* --- a session -------------------------------------------------------------------------------- */

static void begin(uint64_t seed, uint32_t lanes)
{
	random_seed(seed);
	session_seed = random_bits();
	if (session_attach(&session, lanes, VOS_PAGE * (1 + (uint32_t)below(64))))
		_exit(EXIT_REFUSED);
	for (unsigned i = 0; i < HANDLES; i++)
		session.handle[i] = VOS_HANDLE(below(16), 1 + below(3));
	/* Whoever answers a call writes to what we have sent for its lane. */
	if (below(2))
		for (unsigned l = 0; l < session.c.nlanes && l < 64; l++)
			send_bell_fds(l, VOS_TAG_WAKE);
}

static void __attribute__((noreturn)) end(pthread_t *threads, int n)
{
	switch (below(4)) {
	case 0:
		kill(getpid(), SIGKILL);
		break;
	case 1:
		close(session.c.bell);
		usleep((useconds_t)below(20000));
		break;
	case 2:
		over = true;
		while (n)
			pthread_join(threads[--n], NULL);
		break;
	}
	_exit(0);
}

static uint32_t random_lanes(uint64_t seed)
{
	random_seed(seed + 1);
	return 1 + (uint32_t)below(below(4) ? 8 : VOS_LANES_MAX);
}

/* Posts, and after a while something is done to it at the same time. */
static void __attribute__((noreturn)) run_pair(void *(*other)(void *))
{
	pthread_t t[2];

	pthread_create(&t[0], NULL, poster, NULL);
	usleep((useconds_t)below(5000));
	pthread_create(&t[1], NULL, other, NULL);
	usleep((useconds_t)below(30000));
	end(t, 2);
}

void run_session(uint64_t seed)
{
	static const uint32_t wildness[] = { 0, 0, 0, 1000, 1000, 200, 50, 5 };
	pthread_t t[4];
	int n = 0;

	begin(seed, random_lanes(seed));
	session.wildness = PICK(wildness);
	if (!session.wildness && below(2))
		pthread_create(&t[n++], NULL, racer, (void *)1);
	else if (session.wildness && session.wildness < 500)
		pthread_create(&t[n++], NULL, racer, NULL);
	for (uintptr_t i = 0, posters = 1 + below(3); i < posters; i++)
		pthread_create(&t[n++], NULL, poster, (void *)i);
	usleep((useconds_t)below(below(4) ? 300000 : 1500000));
	end(t, n);
}

void run_scribbler(uint64_t seed)
{
	begin(seed, random_lanes(seed));
	run_pair(scribbler);
}

void run_flipper(uint64_t seed)
{
	begin(seed, 1);
	run_pair(flipper);
}
