/* SPDX-License-Identifier: MIT */
/*
 * Every op of the table, with every argument at every limit and the others in order: what a random
 * choice may take long to come upon. A request that no honest library sends must not be answered as
 * if it were one.
 */
#define _GNU_SOURCE
#include "test/fuzz/hostile.h"
#include "ring/calls_table.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LANES	  8u
#define POOL	  (64 * VOS_PAGE)
#define RESULT	  6 /* "argument" number of the block for what does not fit */
#define WAIT_US	  1000
#define HONEST_US 5000000
#define NO_ANSWER INT64_MIN

#define PROGRAM_END VOS_PROGRAM_SIZE(LANES, POOL)
#define SERVICE_END VOS_SERVICE_SIZE(LANES, POOL)

static struct session session;
static unsigned lane;
static uint64_t udp; /* a socket with datagrams in it */
static unsigned long posted, sessions, broken;

static const uint64_t limits[] = {
	0,
	1,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	1ull << 32,
	INT64_MAX,
	1ull << 63,
	VOS_REF_NULL,
	VOS_REF_NULL - 1,
	/* handles and bases */
	VOS_HANDLE(0, 0),
	VOS_HANDLE(0, 2),
	VOS_HANDLE(0xffffff, 1),
	VOS_HANDLE(0, 1) | 1ull << 48,
	VOS_BASE_ROOT(0),
	VOS_BASE_ROOT(1),
	VOS_BASE_ROOT(0xffffffff),
	VOS_BASE_CWD,
	VOS_BASE_SELF,
	VOS_BASE_SELF | VOS_HANDLE(0, 1),
	VOS_BASE_ROOT(0) | VOS_BASE_CWD | VOS_BASE_SELF,
	/* rooms of names and of ancillary data */
	sizeof(struct sockaddr_storage),
	sizeof(struct sockaddr_storage) + 1,
	4096,
	4097,
	VOS_IO_MAX,
	VOS_IO_MAX + 1,
};

/* Blocks at the edges of the data parts of both areas, and of what one request may carry. */
static const uint64_t blocks[] = {
	VOS_REF(VOS_PROGRAM_DATA, 0),
	VOS_REF(VOS_PROGRAM_DATA - 8, 64),
	VOS_REF(VOS_PROGRAM_DATA + 1, 64),
	VOS_REF(VOS_PROGRAM_DATA, VOS_IO_MAX),
	VOS_REF(VOS_PROGRAM_DATA, VOS_IO_MAX + 1),
	VOS_REF(PROGRAM_END - 8, 1),
	VOS_REF(PROGRAM_END - 8, 8),
	VOS_REF(PROGRAM_END - 8, 9),
	VOS_REF(PROGRAM_END, 0),
	VOS_REF(PROGRAM_END, 1),
	VOS_REF(PROGRAM_END + 8, 0),
	VOS_REF(VOS_SERVICE_DATA(LANES), 0),
	VOS_REF(VOS_SERVICE_DATA(LANES), VOS_IO_MAX),
	VOS_REF(VOS_SERVICE_DATA(LANES) - 8, 64),
	VOS_REF(VOS_SERVICE_DATA(LANES) + 4, 64),
	VOS_REF(SERVICE_END - 8, 1),
	VOS_REF(SERVICE_END - 8, 8),
	VOS_REF(SERVICE_END - 8, 9),
	VOS_REF(SERVICE_END, 1),
	VOS_REF(0, 64),
	VOS_REF(0, 0xffffffff),
	VOS_REF(0xffffffff, 0xffffffff),
	VOS_REF(VOS_PROGRAM_DATA, 0xffffffff),
};

/* --- what must not pass ----------------------------------------------------------------------- */

static bool outside(uint64_t ref, size_t start, size_t end)
{
	uint64_t off = VOS_REF_OFF(ref), len = VOS_REF_LEN(ref);

	return off < start || off + len > end || off % VOS_ALIGNMENT || len > VOS_IO_MAX;
}

/* Is @value no block that a library may name as argument @i of @op? */
static bool is_bad_block(uint16_t op, int i, uint64_t value)
{
	enum vos_kind kind;

	kind = VOS_ARG_KIND(vos_ops[op].arg[i]);
	switch (kind) {
	case VOS_K_P:
	case VOS_K_S:
	case VOS_K_I:
	case VOS_K_IF:
		if (value == VOS_REF_NULL)
			return kind == VOS_K_P || kind == VOS_K_S;
		return outside(value, VOS_PROGRAM_DATA, PROGRAM_END);
	case VOS_K_O:
	case VOS_K_OE:
	case VOS_K_OF:
		return value != VOS_REF_NULL &&
		       outside(value, VOS_SERVICE_DATA(LANES), SERVICE_END);
	default:
		return false;
	}
}

/* The parts that the program wants must fit the block. */
static bool is_bad_recvmsg(const uint64_t arg[6])
{
	const uint64_t head = sizeof(struct vos_msg);

	return arg[4] > sizeof(struct sockaddr_storage) || arg[5] > VOS_IO_MAX ||
	       head + VOS_MSG_PART(arg[4]) + VOS_MSG_PART(arg[5]) > VOS_REF_LEN(arg[1]) ||
	       arg[1] == VOS_REF_NULL;
}

static bool is_bad(const struct vos_entry *e)
{
	if (e->op >= VOS_NOPS)
		return true;
	for (int i = 0; i < 6; i++)
		if (is_bad_block(e->op, i, e->arg[i]))
			return true;
	return e->op == VOS_OP_recvmsg && e->arg[0] == udp && is_bad_recvmsg(e->arg);
}

/* --- one request ------------------------------------------------------------------------------ */

struct request {
	struct vos_lane *l;
	struct vos_entry *e;
	int s;
	bool skipped;
};

/* A slot of some lane; false: all have calls that go on. */
static bool claim(struct request *q)
{
	for (; lane < LANES; lane++) {
		q->l = &session.c.lane[lane];
		q->s = vos_lane_claim(q->l, &q->skipped);
		if (q->s < 0)
			continue;
		q->e = &q->l->slot[q->s];
		return true;
	}
	return false;
}

static int64_t post(struct request *q, int limit_us)
{
	int64_t result;

	posted++;
	if (vos_lane_post(q->l, q->s, q->skipped) == VOS_POSTED_KICK)
		session.c.transport->ring(&session.c);
	for (int us = 0; us < limit_us && !vos_entry_done(q->e); us += 20) {
		if (!vos_chan_alive(&session.c))
			return NO_ANSWER;
		usleep(20);
	}
	/* What goes on for longer keeps its slot. */
	if (!vos_entry_done(q->e))
		return NO_ANSWER;
	result = q->e->result;
	vos_lane_release(q->l, q->s);
	return result;
}

static void __attribute__((noreturn)) fail(uint16_t op, const char *what, int64_t r)
{
	const char *name = op < VOS_NOPS ? vos_ops[op].name : "a number beyond the ops";

	printf("%s: %s: %s\n", name, what, r < 0 ? strerror((int)-r) : "no error");
	fflush(stdout);
	_exit(1);
}

/* --- a session -------------------------------------------------------------------------------- */

#define DATA	  VOS_REF_NULL /* the block with @data */
#define ROOM	  VOS_REF(VOS_SERVICE_DATA(LANES), 64)
#define NO_OFFSET (1ull << 63)
#define ARGS(...) ((const uint64_t[6]){ __VA_ARGS__ })
#define TEXT(s)	  s, sizeof(s)

/* A request in order, of which more than an error is expected. */
static uint64_t make(uint16_t op, const void *data, size_t len, const uint64_t a[6])
{
	struct request q;
	uint32_t off;
	int64_t r;

	if (!claim(&q))
		fail(op, "no slot", 0);
	off = VOS_PROGRAM_DATA + q.l->index * VOS_SMALL;
	memcpy(session.c.program + off, data, len);
	q.e->op = op;
	q.e->result = (int64_t)VOS_REF_NULL;
	for (int i = 0; i < 6; i++)
		q.e->arg[i] = a[i] == DATA ? VOS_REF(off, len) : a[i];
	r = post(&q, HONEST_US);
	if (r < 0)
		fail(op, "an honest request", r);
	return (uint64_t)r;
}

static uint64_t open_file(uint64_t root, const char *name, uint64_t flags)
{
	return make(VOS_OP_openat, name, strlen(name) + 1, ARGS(root, DATA, flags));
}

static uint64_t socket_with_data(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	uint64_t h = make(VOS_OP_socket, TEXT(""), ARGS(AF_INET, SOCK_DGRAM));

	make(VOS_OP_bind, &sa, sizeof(sa), ARGS(h, DATA, sizeof(sa)));
	make(VOS_OP_getsockname, TEXT(""), ARGS(h, ROOM, 64));
	memcpy(&sa, session.c.service + VOS_REF_OFF(ROOM) + sizeof(uint32_t), sizeof(sa));
	make(VOS_OP_connect, &sa, sizeof(sa), ARGS(h, DATA, sizeof(sa)));
	make(VOS_OP_write, TEXT("hostile"), ARGS(h, DATA, 8, NO_OFFSET));
	return h;
}

/* Handles of all kinds, to be confused with each other. */
static void begin_session(void)
{
	uint64_t root, kind[6];

	if (session.c.program) {
		close(session.c.bell);
		vos_chan_destroy(&session.c);
	}
	lane = 0;
	sessions++;
	if (session_attach(&session, LANES, POOL))
		_exit(EXIT_REFUSED);
	root = VOS_BASE_ROOT(make(VOS_OP_root, TEXT("/hostile"), ARGS(DATA)));
	kind[0] = open_file(root, "f0", O_RDWR);
	kind[1] = open_file(root, "d", O_RDONLY | O_DIRECTORY);
	kind[2] = open_file(root, "fifo", O_RDWR | O_NONBLOCK);
	kind[3] = make(VOS_OP_socket, TEXT(""), ARGS(AF_INET, SOCK_STREAM));
	kind[4] = udp = socket_with_data();
	kind[5] = make(VOS_OP_epoll_create, TEXT(""), ARGS(0));
	for (unsigned i = 0; i < HANDLES; i++)
		session.handle[i] = kind[i % 6];
}

/* A request for @op with all in order, to be spoilt. */
static void begin(struct request *q, uint16_t op)
{
	if (!vos_chan_alive(&session.c))
		begin_session();
	if (!claim(q)) {
		begin_session();
		claim(q);
	}
	request_for(&session, q->l, q->e, op);
	if (op == VOS_OP_recvmsg) {
		q->e->arg[0] = udp;
		q->e->arg[4] = 16;
		q->e->arg[5] = 64;
	}
}

/* @bad: svcd must have noticed. */
static void check(struct request *q, uint16_t op, bool bad)
{
	int64_t r = post(q, bad ? HONEST_US : WAIT_US);

	if (!bad)
		return;
	broken++;
	if (r != NO_ANSWER && r != -EPROTO)
		fail(op, "a bad request was taken", r);
	for (int us = 0; us < HONEST_US && vos_chan_alive(&session.c); us += 20)
		usleep(20);
	if (vos_chan_alive(&session.c))
		fail(op, "not thrown out for a bad request", 0);
}

/* --- the table -------------------------------------------------------------------------------- */

static void try(uint16_t op, int i, uint64_t value)
{
	struct request q;

	begin(&q, op);
	if (i == RESULT)
		q.e->result = (int64_t)value;
	else
		q.e->arg[i] = value;
	check(&q, op, is_bad(q.e));
	if (op == VOS_OP_close) /* handles are missing from now on */
		lane = LANES;
}

/* --- what lies in blocks: the lengths of a message's parts, and strings ----------------------- */

static uint64_t large_block(uint8_t **p)
{
	*p = session.c.program + VOS_PROGRAM_DATA;
	return VOS_REF(VOS_PROGRAM_DATA, VOS_IO_MAX);
}

static void try_message(uint32_t name, uint32_t control, uint32_t data)
{
	uint64_t need = sizeof(struct vos_msg) + VOS_MSG_PART((uint64_t)name) +
			VOS_MSG_PART((uint64_t)control) + data;
	struct request q;
	uint64_t ref;
	uint8_t *p;

	begin(&q, VOS_OP_sendmsg);
	ref = large_block(&p);
	memset(p, 0, VOS_IO_MAX);
	*(struct vos_msg *)p = (struct vos_msg){ name, control, data, 0, 0, 0 };
	memcpy(q.e->arg, ARGS(udp, ref, VOS_IO_MAX, MSG_DONTWAIT, 0, 0), sizeof(q.e->arg));
	check(&q, VOS_OP_sendmsg, name > sizeof(struct sockaddr_storage) || need > VOS_IO_MAX);
}

static void try_messages(void)
{
	static const uint32_t name[] = { 0, 1, 16, 128, 129, 256, VOS_IO_MAX, 0xfffffff9 };
	static const uint32_t control[] = {
		0, 1, 16, 4096, 4097, VOS_IO_MAX / 2, VOS_IO_MAX - 24, VOS_IO_MAX + 1, 0xfffffff9,
	};
	static const uint32_t data[] = { 0, 1, 1000, VOS_IO_MAX - 24, VOS_IO_MAX - 23, 0xffffffff };

	for (unsigned i = 0; i < sizeof(name) / sizeof(name[0]); i++)
		for (unsigned j = 0; j < sizeof(control) / sizeof(control[0]); j++)
			for (unsigned k = 0; k < sizeof(data) / sizeof(data[0]); k++)
				try_message(name[i], control[j], data[k]);
}

/* Strings as long as a block, and a little shorter than the longest path and a little longer. */
static void try_strings(uint16_t op, int i)
{
	static const uint32_t length[] = { VOS_PATH_MAX - 1, VOS_PATH_MAX, VOS_PATH_MAX + 1,
					   VOS_IO_MAX - 1, VOS_IO_MAX };

	for (unsigned k = 0; k < sizeof(length) / sizeof(length[0]); k++) {
		struct request q;
		uint64_t ref;
		uint8_t *p;

		begin(&q, op);
		ref = large_block(&p);
		memset(p, 'a', VOS_IO_MAX);
		if (length[k] < VOS_IO_MAX)
			p[length[k]] = 0;
		q.e->arg[i] = ref;
		check(&q, op, length[k] == VOS_IO_MAX);
	}
}

/* --- waking whom one must not wait for -------------------------------------------------------- */

#define SLEEPS 50 /* announced in time; most calls are answered before */

/* Descriptor @fd takes no more: waking this lane must hold nobody up. */
static void try_wake_fd(int fd)
{
	struct vos_bell_fd m = { VOS_TAG_WAKE, 0, 0, 0 };
	struct request q;

	begin_session();
	send_fds(session.c.bell, &m, sizeof(m), &fd, 1);
	for (int slept = 0, i = 0; slept < SLEEPS && i < 100000; i++) {
		claim(&q);
		q.e->op = VOS_OP_nop;
		if (vos_lane_post(q.l, q.s, q.skipped) == VOS_POSTED_KICK)
			session.c.transport->ring(&session.c);
		slept += vos_entry_announce(q.e, VOS_WAIT_FD);
		for (int us = 0; us < HONEST_US && !vos_entry_done(q.e); us += 20)
			usleep(20);
		if (!vos_entry_done(q.e))
			fail(VOS_OP_nop, "svcd waits for us", 0);
		vos_lane_release(q.l, q.s);
		posted++;
	}
}

/* Only a Unix stream can be one. */
static void refused_wake_fd(int fd)
{
	struct vos_bell_fd m = { VOS_TAG_WAKE, 0, 0, 0 };
	struct pollfd p;

	begin_session();
	send_fds(session.c.bell, &m, sizeof(m), &fd, 1);
	p = (struct pollfd){ session.c.bell, 0, 0 };
	if (poll(&p, 1, HONEST_US / 1000) != 1 || !(p.revents & POLLHUP))
		fail(VOS_OP_nop, "svcd takes a pipe to wake us by", 0);
	broken++;
}

static void try_wake_fds(void)
{
	char data[4096] = { 0 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))
		fail(VOS_OP_nop, "socketpair", -errno);
	while (write(pair[0], data, sizeof(data)) > 0)
		;
	fcntl(pair[0], F_SETFL, 0);
	try_wake_fd(pair[0]);
	if (pipe2(pair, O_NONBLOCK))
		fail(VOS_OP_nop, "pipe", -errno);
	while (write(pair[1], data, sizeof(data)) > 0)
		;
	refused_wake_fd(pair[1]);
}

void run_table(uint64_t seed)
{
	random_seed(seed);
	try_wake_fds();
	begin_session();
	for (uint16_t op = 0; op <= VOS_NOPS; op++)
		for (int i = 0; i <= RESULT; i++) {
			for (unsigned k = 0; k < sizeof(limits) / sizeof(limits[0]); k++)
				try(op, i, limits[k]);
			for (unsigned k = 0; k < sizeof(blocks) / sizeof(blocks[0]); k++)
				try(op, i, blocks[k]);
			if (op < VOS_NOPS && i < RESULT &&
			    (VOS_ARG_KIND(vos_ops[op].arg[i]) == VOS_K_P ||
			     VOS_ARG_KIND(vos_ops[op].arg[i]) == VOS_K_S))
				try_strings(op, i);
		}
	try_messages();
	printf("%d ops, %lu requests in %lu sessions, %lu refused\n", VOS_NOPS, posted, sessions,
	       broken);
	fflush(stdout);
	_exit(0);
}
