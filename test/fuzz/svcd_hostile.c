/* SPDX-License-Identifier: MIT */
/*
 * A hostile client of svcd. For as long as it is told it attaches, rightly and wrongly, and then
 * posts requests that make sense, some sense or none; meanwhile another thread changes everything
 * that both sides can write, rings, sends descriptors. Sessions end in every way there is.
 *
 *	svcd_hostile SOCKET SECONDS SEED [UID]
 *
 * It fails only if it cannot attach any more.
 */
#define _GNU_SOURCE
#include "test/fuzz/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *socket_path;

static _Thread_local uint64_t random_state = 1;
static struct session session;
static volatile bool over;
static uint64_t session_seed;

void random_seed(uint64_t seed)
{
	random_state = seed * 0x9e3779b97f4a7c15u + 1;
}

uint64_t random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1du;
}

/* --- descriptors: for lanes that exist, have one, or do not exist --------------------------- */

static void send_bell_fds(void)
{
	struct vos_bell_fd m[2] = {
		{ VOS_TAG_WAKE, 0, (uint16_t)below(session.c.nlanes + 4), 0 },
	};
	int fds[8], pair[2] = { -1, -1 }, pipes[2] = { -1, -1 };
	int memory = memfd_create("travels", MFD_ALLOW_SEALING);
	struct linger linger = { 1, 1000 };
	unsigned n = 1 + (unsigned)below(8);

	if (!below(8))
		m->lane = (uint16_t)random_bits();
	if (below(2)) {
		m->tag = VOS_TAG_TOKEN;
		m->key = (uint32_t)below(4);
		flock(memory, LOCK_SH);
	}
	if (!below(8))
		m->tag = (uint8_t)random_bits();
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || pipe(pipes))
		goto out;
	setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	for (unsigned i = 0; i < n; i++) {
		const int some[] = { pair[0], pair[0],	      pipes[1], memory,
				     memory,  session.c.bell, pipes[0] };

		fds[i] = PICK(some);
	}
	send_fds(session.c.bell, m, below(8) ? sizeof(m[0]) : below(sizeof(m)), fds,
		 below(4) ? 1 : n);
out:
	close(memory);
	for (int i = 0; i < 2; i++) {
		if (pair[i] >= 0)
			close(pair[i]);
		if (pipes[i] >= 0)
			close(pipes[i]);
	}
}

/* --- scribbling ----------------------------------------------------------------------------- */

static void scribble_entry(void)
{
	static const uint32_t states[] = { 0,  1,  2,  3,  4,	       6,     8,
					   10, 18, 26, 31, 0xffffffff, 0x102, 0x80000002 };
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
	size_t psize = VOS_PROGRAM_SIZE(c->nlanes, c->pool),
	       ssize = VOS_SERVICE_SIZE(c->nlanes, c->pool);

	switch (below(16)) {
	case 0 ... 7:
		scribble_entry();
		break;
	case 8 ... 9:
		c->ph->kick[below(VOS_LANES_MAX)] = (uint16_t)random_bits();
		break;
	case 10:
		c->program[below(psize)] = (uint8_t)random_bits();
		break;
	case 11:
		c->service[below(ssize)] = (uint8_t)random_bits();
		break;
	case 12: /* data of requests that are being decoded */
		memset(c->program + VOS_PROGRAM_DATA + below(c->nlanes) * VOS_SMALL,
		       (int)below(256), VOS_SMALL);
		break;
	default:
		c->transport->ring(c);
	}
}

static void *racer(void *arg)
{
	bool gentle = arg;

	random_seed(session_seed + 1);
	while (!over) {
		if (!below(gentle ? 1 << 20 : 4096))
			send_bell_fds();
		if (gentle) { /* only what the present requests refer to */
			uint32_t lane = (uint32_t)below(session.c.nlanes);

			session.c.program[VOS_PROGRAM_DATA + lane * VOS_SMALL + below(VOS_SMALL)] =
				(uint8_t)random_bits();
		} else {
			scribble();
		}
		if (!below(256))
			usleep(100);
	}
	return NULL;
}

/* --- requests ------------------------------------------------------------------------------- */

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
		if (vos_lane_post(l, s, skipped) == VOS_POSTED_KICK || !below(64))
			session.c.transport->ring(&session.c);
		for (int i = 0; i < 200 && !vos_entry_done(&l->slot[s]); i++)
			if (i > 100)
				usleep(20);
		if (!below(32))
			vos_entry_announce(&l->slot[s], below(2) ? VOS_WAIT_FUTEX : VOS_WAIT_FD);
	}
	return NULL;
}

static int attach(void)
{
	struct vos_hello h = { .magic = VOS_MAGIC,
			       .version = VOS_VERSION,
			       .kind = VOS_HELLO_ATTACH };
	struct vos_welcome w;
	int fd = vos_chan_create(&session.c, 1 + (uint32_t)below(below(4) ? 8 : VOS_LANES_MAX),
				 VOS_PAGE * (1 + (uint32_t)below(64)));
	int r;

	if (fd < 0)
		return fd;
	session.c.transport = &vos_transport_unix;
	r = vos_unix_attach(&session.c, fd, socket_path, &h, &w);
	if (!r && !below(4)) /* pages that are not there until somebody touches them */
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, VOS_PAGE, VOS_PAGE);
	close(fd);
	return r;
}

static void run_session(uint64_t seed)
{
	static const uint32_t wildness[] = { 0, 0, 0, 1000, 1000, 200, 50, 5 };
	pthread_t t[4];
	int n = 0;

	random_seed(seed);
	session_seed = random_bits();
	session.wildness = PICK(wildness);
	if (attach())
		_exit(10);
	for (int i = 0; i < 64; i++)
		session.handle[i] = VOS_HANDLE(below(16), 1 + below(3));
	if (!session.wildness && below(2))
		pthread_create(&t[n++], NULL, racer, (void *)1);
	else if (session.wildness && session.wildness < 500)
		pthread_create(&t[n++], NULL, racer, NULL);
	for (uintptr_t i = 0, posters = 1 + below(3); i < posters; i++)
		pthread_create(&t[n++], NULL, poster, (void *)i);
	usleep((useconds_t)below(below(4) ? 300000 : 1500000));
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
			pthread_join(t[--n], NULL);
		break;
	}
	_exit(0);
}

/* Each in a process of its own: svcd knows clients by their process. */
static int in_child(uint64_t seed, bool hello)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		alarm(20);
		random_seed(seed);
		if (!hello)
			run_session(seed);
		for (uint64_t i = below(200); i; i--)
			bad_hello();
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 10 ? -ECONNREFUSED : 0;
}

int main(int argc, char **argv)
{
	time_t until;
	uint64_t seed, n = 0, refused = 0;

	if (argc < 4)
		return 2;
	socket_path = argv[1];
	until = time(NULL) + atoi(argv[2]);
	seed = strtoull(argv[3], NULL, 10);
	if (argc > 4 && (setgid((gid_t)atoi(argv[4])) || setuid((uid_t)atoi(argv[4])))) {
		perror("setuid");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	printf("seed %lu\n", seed);
	fflush(stdout);
	for (; time(NULL) < until; n++)
		refused += in_child(seed + n, n % 8 == 7) != 0;
	printf("%lu sessions, %lu not accepted\n", n, refused);
	return refused == n;
}
