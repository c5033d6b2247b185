/* SPDX-License-Identifier: MIT */
/*
 * A client of svcd that breaks no rule, but asks for what would harm others if svcd were not on its
 * guard. Each kind is a function; what is checked is said above it.
 *
 *	svcd_selfish SOCKET UID KIND
 */
#define _GNU_SOURCE
#include "ring/chan.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINGER_S 1000
#define MANY	 150 /* more than svcd may have threads for one user */

static const char *socket_path;
static struct vos_chan chan;
static struct vos_lane *lane;
static uint32_t out, in; /* blocks of the pools */

#define LANES	  32
#define ROOM	  (64u << 10)
#define ARGS(...) ((const uint64_t[6]){ __VA_ARGS__ })

static void fail(const char *what, long r)
{
	printf("%s: %s (%ld)\n", what, r < 0 ? strerror((int)-r) : "wrong", r);
	_exit(1);
}

static uint64_t must(const char *what, long r)
{
	if (r < 0)
		fail(what, r);
	return (uint64_t)r;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int attach(struct vos_chan *c)
{
	struct vos_hello h = { .magic = VOS_MAGIC,
			       .version = VOS_VERSION,
			       .kind = VOS_HELLO_ATTACH };
	struct vos_welcome w;
	int fd = vos_chan_create(c, LANES, 1 << 20), r;

	c->transport = &vos_transport_unix;
	r = vos_unix_attach(c, fd, socket_path, NULL, &h, &w);
	close(fd);
	return r;
}

static void begin(void)
{
	must("attach", attach(&chan));
	lane = vos_chan_lane(&chan, gettid(), getpid());
	out = VOS_PROGRAM_DATA + (uint32_t)VOS_ALIGN(LANES * VOS_SMALL);
	in = (uint32_t)(VOS_SERVICE_DATA(LANES) + VOS_ALIGN(LANES * VOS_SMALL));
}

static char *out_ptr(void)
{
	return (char *)chan.program + out;
}

static char *in_ptr(void)
{
	return (char *)chan.service + in;
}

static int post(enum vos_op op, const uint64_t a[6])
{
	bool skipped;
	int s = vos_lane_claim(lane, &skipped);
	struct vos_entry *e = &lane->slot[s];

	e->op = (uint16_t)op;
	e->cpu = vos_cpu();
	e->result = (int64_t)VOS_REF_NULL;
	memcpy(e->arg, a, 6 * sizeof(*a));
	if (vos_lane_post(lane, s, skipped) == VOS_POSTED_KICK)
		chan.transport->ring(&chan);
	return s;
}

static long request(enum vos_op op, const uint64_t a[6])
{
	int s = post(op, a);
	int r = vos_chan_wait(&chan, lane, s, VOS_WAIT_RESTART);
	long result;

	if (r)
		return r;
	result = lane->slot[s].result;
	vos_lane_release(lane, s);
	return result;
}

/* --- sockets of the domain -------------------------------------------------------------------- */

static void option(uint64_t h, int name, const void *value, uint32_t n)
{
	memcpy(out_ptr(), value, n);
	must("setsockopt",
	     request(VOS_OP_setsockopt, ARGS(h, SOL_SOCKET, (uint64_t)name, VOS_REF(out, n), n)));
}

static uint64_t stream(void)
{
	const int small = 4096;
	uint64_t h = must("socket", request(VOS_OP_socket, ARGS(AF_INET, SOCK_STREAM)));

	option(h, SO_SNDBUF, &small, sizeof(small));
	option(h, SO_RCVBUF, &small, sizeof(small));
	return h;
}

static uint64_t listener(struct sockaddr_in *sa)
{
	uint64_t h = stream();

	*sa = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	memcpy(out_ptr(), sa, sizeof(*sa));
	must("bind", request(VOS_OP_bind, ARGS(h, VOS_REF(out, sizeof(*sa)), sizeof(*sa))));
	must("listen", request(VOS_OP_listen, ARGS(h, 4096)));
	must("getsockname", request(VOS_OP_getsockname, ARGS(h, VOS_REF(in, 64), 64)));
	memcpy(sa, in_ptr() + sizeof(uint32_t), sizeof(*sa));
	return h;
}

static uint64_t connected(const struct sockaddr_in *sa)
{
	uint64_t h = stream();

	memcpy(out_ptr(), sa, sizeof(*sa));
	must("connect", request(VOS_OP_connect, ARGS(h, VOS_REF(out, sizeof(*sa)), sizeof(*sa))));
	return h;
}

/*
 * A message of which nothing but some data comes before the time is up: address and ancillary data
 * are none, not what happens to be in the memory of svcd.
 */
static void leftovers(void)
{
	const struct timeval soon = { 0, 50000 };
	struct sockaddr_in sa;
	struct vos_msg m;
	uint64_t l = listener(&sa), c = connected(&sa);
	uint64_t a = must("accept", request(VOS_OP_accept, ARGS(l, VOS_REF_NULL, 0, 0)));
	long r;

	option(a, SO_RCVTIMEO, &soon, sizeof(soon));
	out_ptr()[0] = 'x';
	must("send", request(VOS_OP_send, ARGS(c, VOS_REF(out, 1), 1, 0, VOS_REF_NULL, 0)));
	r = request(VOS_OP_recvmsg,
		    ARGS(a, VOS_REF(in, sizeof(m) + 128 + 4096 + 64), 0, MSG_WAITALL, 128, 4096));
	if (r != 1)
		fail("recvmsg", r);
	memcpy(&m, in_ptr(), sizeof(m));
	if (m.name || m.control || m.data != 1 || m.full) {
		printf("name %u, control %u, full %u, data %u; begins with", m.name, m.control,
		       m.full, m.data);
		for (int i = 0; i < 16; i++)
			printf(" %lx", ((uint64_t *)(in_ptr() + sizeof(m) + 128))[i]);
		printf("\n");
		_exit(1);
	}
}

/* --- svcd from outside ------------------------------------------------------------------------ */

static unsigned threads(void)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);
	char path[64];
	unsigned count = 0;
	DIR *d;

	getsockopt(chan.bell, SOL_SOCKET, SO_PEERCRED, &cred, &n);
	snprintf(path, sizeof(path), "/proc/%d/task", (int)cred.pid);
	d = opendir(path);
	if (!d)
		fail(path, -errno);
	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

/* Another program is attached and served in good time. */
static void others_are_served(void)
{
	uint64_t start = now_ms(), took;
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(20);
		begin();
		for (int i = 0; i < 100; i++)
			must("nop", request(VOS_OP_nop, ARGS(0)));
		_exit(0);
	}
	waitpid(pid, &status, 0);
	took = now_ms() - start;
	if (status || took > 3000) {
		printf("another program: status %x after %lu ms\n", (unsigned)status, took);
		_exit(1);
	}
}

static void few_threads(unsigned before)
{
	unsigned after = threads();

	if (after > before + 80) {
		printf("%u threads, there were %u\n", after, before);
		_exit(1);
	}
}

/* Sockets that take long to close: svcd may wait, but not with one thread for each. */
static void lingerers(void)
{
	const struct linger l = { 1, LINGER_S };
	struct sockaddr_in sa;
	unsigned before = threads();
	static uint64_t h[MANY];
	long r;

	listener(&sa);
	for (int i = 0; i < MANY; i++) {
		h[i] = connected(&sa);
		option(h[i], SO_LINGER, &l, sizeof(l));
		do
			r = request(VOS_OP_send, ARGS(h[i], VOS_REF(out, ROOM), 0, MSG_DONTWAIT,
						      VOS_REF_NULL, 0));
		while (r > 0);
	}
	for (int i = 0; i < MANY; i++) {
		int tid = gettid();

		if (i % VOS_SLOTS == 0) /* its calls do not come back for long */
			lane = vos_chan_lane(&chan, tid * 1000 + i, getpid());
		if (!lane)
			break;
		post(VOS_OP_close, ARGS(h[i]));
	}
	others_are_served();
	few_threads(before);
}

/* --- descriptors that are handed over --------------------------------------------------------- */

static int lingering(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const struct linger l = { 1, LINGER_S };
	static int server = -1;
	socklen_t n = sizeof(sa);
	static char data[ROOM];
	int fd;

	if (server < 0) {
		server = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(server, (struct sockaddr *)&sa, n) || listen(server, 4096))
			fail("listen", -errno);
	}
	getsockname(server, (struct sockaddr *)&sa, &n);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&sa, n))
		fail("connect", -errno);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	return fd;
}

static void *close_it(void *fd)
{
	close((int)(intptr_t)fd);
	return NULL;
}

/* Whoever of the two closes it last waits: half of them are meant to be svcd's. */
static void hand_over(int sock, const void *data, size_t len, int fd)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .h = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { (void *)data, len };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control.space) };

	pthread_t t;

	memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
	if (sendmsg(sock, &m, MSG_NOSIGNAL) < 0 && errno != EPIPE) /* refused already */
		fail("sendmsg", -errno);
	pthread_create(&t, NULL, close_it, (void *)(intptr_t)fd);
}

static int dial(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strncpy(sun.sun_path, socket_path, sizeof(sun.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)))
		fail("connect", -errno);
	return fd;
}

/* A hello whose memory is a socket that takes long to close. */
static void lingering_hello(void)
{
	struct vos_hello h = { .magic = VOS_MAGIC,
			       .version = VOS_VERSION,
			       .kind = VOS_HELLO_ATTACH };

	for (int i = 0; i < 20; i++)
		hand_over(dial(), &h, sizeof(h), lingering());
	others_are_served();
}

/* The same behind a hello, when nobody has read it. */
static void lingering_rest(void)
{
	for (int i = 0; i < 20; i++) {
		int fd[2] = { lingering(), lingering() }, sock = dial();

		hand_over(sock, "hello", 5, fd[0]);
		hand_over(sock, "", (size_t)(i % 2), fd[1]);
		close(sock);
	}
	others_are_served();
}

/* The same with rings of the doorbell. */
static void lingering_bells(void)
{
	const struct vos_bell_fd m = { .tag = VOS_TAG_BELL };
	unsigned before;

	begin();
	before = threads();
	for (int i = 0; i < MANY; i++)
		hand_over(chan.bell, &m, sizeof(m), lingering());
	others_are_served();
	few_threads(before);
}

/* A wake descriptor is a Unix socket: writing to others may wait for whoever has them locked. */
static void other_wake_fd(void)
{
	const struct vos_bell_fd m = { .tag = VOS_TAG_WAKE };
	struct pollfd p;

	begin();
	p = (struct pollfd){ chan.bell, 0, 0 };
	hand_over(chan.bell, &m, sizeof(m), lingering());
	if (poll(&p, 1, 3000) != 1 || !(p.revents & POLLHUP))
		fail("a wake descriptor that is no Unix socket is refused", 0);
}

/* Copies of the table hold descriptors: there is an end to them, and others find some. */
static void tickets(void)
{
	uint64_t n = 0;
	long r = 0;

	strcpy(out_ptr(), "/");
	for (int i = 0; i < 60; i++)
		must("root", request(VOS_OP_root, ARGS(VOS_REF(out, 8))));
	for (; r >= 0 && n < 25000; n++)
		r = request(VOS_OP_ticket, ARGS(VOS_REF(in, 16), 1, VOS_REF_NULL, 0, 0));
	if (r != -ENFILE)
		fail("there is an end to tickets", r);
	printf("%lu tickets\n", n);
	if (setresuid(-1, 0, -1) || setresgid(1, 1, 1) || setresuid(1, 1, 1))
		fail("setuid", -errno);
	others_are_served();
}

/* What programs have besides files: one user's do not take what others need. Until the input ends. */
static void clients(void)
{
	int n, roots, pair[2];
	long r = 0;

	for (n = 0; !r && n < 1000; n++) {
		memset(&chan, 0, sizeof(chan));
		r = attach(&chan);
		if (r)
			break;
		lane = vos_chan_lane(&chan, gettid(), getpid());
		out = VOS_PROGRAM_DATA + (uint32_t)VOS_ALIGN(LANES * VOS_SMALL);
		strcpy(out_ptr(), "/");
		for (roots = 0; r >= 0 && roots < 10; roots++)
			r = request(VOS_OP_root, ARGS(VOS_REF(out, 8)));
		for (uint32_t l = 0; r >= 0 && l < 8; l++) {
			const struct vos_bell_fd m = { .tag = VOS_TAG_WAKE, .lane = l };

			if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
				fail("socketpair", -errno);
			hand_over(chan.bell, &m, sizeof(m), pair[0]);
			r = request(VOS_OP_nop, ARGS(0));
		}
		r = r < 0 ? r : 0;
	}
	printf("%d clients, then: %s\n", n, strerror((int)-r));
	if (!r)
		fail("there is an end to clients", r);
	getchar();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
		bool attached;
	} kinds[] = {
		{ "leftovers", leftovers, true },
		{ "lingerers", lingerers, true },
		{ "lingering-hello", lingering_hello, false },
		{ "lingering-rest", lingering_rest, false },
		{ "lingering-bells", lingering_bells, false },
		{ "other-wake-fd", other_wake_fd, false },
		{ "tickets", tickets, true },
		{ "clients", clients, false },
	};
	uid_t uid;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 4)
		return 2;
	socket_path = argv[1];
	uid = (uid_t)atoi(argv[2]);
	if (setresgid(uid, uid, uid) || setresuid(uid, uid, 0))
		fail("setuid", -errno);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(argv[3], kinds[i].name)) {
			alarm(120);
			if (kinds[i].attached)
				begin();
			kinds[i].run();
			_exit(0); /* some of our threads wait for svcd */
		}
	return 2;
}
