/* SPDX-License-Identifier: MIT */
/* extprogram DOMID [TEST...]: tests the kernel extension; see ext.h. */
#define _GNU_SOURCE
#include "ext.h"
#include "kernel-ext/virtuos.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint32_t domid;

static _Noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("FAIL ", stdout);
	vprintf(fmt, ap);
	printf(" (%s)\n", strerror(errno));
	fflush(stdout);
	_exit(1);
}

/* A call's error, or 0. */
#define error_of(call) ((call) < 0 ? errno : 0)
#define expect(call, error)                                                                \
	do {                                                                               \
		int e_ = error_of(call);                                                   \
		if (e_ != (error))                                                         \
			fail("line %d: %s: %d instead of %d", __LINE__, #call, e_, error); \
	} while (0)
#define check(what)                                           \
	do {                                                  \
		if (!(what))                                  \
			fail("line %d: %s", __LINE__, #what); \
	} while (0)

struct channel {
	int fd;
	struct command *command;
	struct answer *answer;
	_Atomic uint32_t *word; /* of each lane */
};

static const struct virtuos_make usual = { 0,	  PROGRAM_ORDER, SERVICE_ORDER,
					   LANES, READY_OFF,	 READY_SLOTS };

static int open_device(void)
{
	int fd = open("/dev/virtuos", O_RDWR | O_CLOEXEC);

	check(fd >= 0);
	return fd;
}

static int wait_word(int fd, uint32_t lane, uint32_t flags, uint32_t off, uint32_t value)
{
	struct virtuos_wait w = { lane, flags, off, value };

	return ioctl(fd, VIRTUOS_WAIT, &w);
}

/* Until the lane's word is not @value any more. */
static int wait_lane(const struct channel *c, uint32_t lane, uint32_t flags, uint32_t value)
{
	return wait_word(c->fd, lane, flags, WORDS_OFF + lane * 4, value);
}

static int ring(int fd)
{
	return write(fd, "", 1) == 1 ? 0 : -1;
}

static int make(int fd, struct virtuos_make m)
{
	m.domid = domid;
	return ioctl(fd, VIRTUOS_MAKE, &m);
}

static int offer(int fd, const char *name)
{
	struct virtuos_offer o = { 0 };

	memcpy(o.name, name, strnlen(name, sizeof(o.name)));
	return ioctl(fd, VIRTUOS_OFFER, &o);
}

/* Whether a command is done, or the service gone: then the error. */
static int finished(const struct channel *c)
{
	uint32_t wanted = atomic_load(&c->command->number), done;

	while ((done = atomic_load(&c->answer->number)) != wanted)
		if (wait_word(c->fd, LANES, 0, offsetof(struct answer, number), done) &&
		    errno != EINTR)
			return errno;
	return 0;
}

static int try_tell(struct channel *c, uint32_t what, uint32_t arg)
{
	c->command->what = what;
	c->command->arg = arg;
	atomic_fetch_add(&c->command->number, 1);
	if (ring(c->fd))
		return errno;
	return finished(c);
}

static void tell(struct channel *c, uint32_t what, uint32_t arg)
{
	int e = try_tell(c, what, arg);

	if (e)
		fail("command %u: %s", what, strerror(e));
}

static struct channel connect_peer(void)
{
	struct channel c = { .fd = open_device() };
	char *p;

	expect(make(c.fd, usual), 0);
	p = mmap(NULL, (1 << PROGRAM_ORDER) + (1 << SERVICE_ORDER), PROT_READ | PROT_WRITE,
		 MAP_SHARED, c.fd, 0);
	check(p != MAP_FAILED);
	c.command = (struct command *)p;
	c.answer = (struct answer *)(p + (1 << PROGRAM_ORDER));
	c.word = (_Atomic uint32_t *)((char *)c.answer + WORDS_OFF);
	expect(offer(c.fd, NAME), 0);
	tell(&c, 0, 0);
	return c;
}

static void disconnect(struct channel *c)
{
	munmap(c->command, (1 << PROGRAM_ORDER) + (1 << SERVICE_ORDER));
	close(c->fd);
}

/* --- threads that wait for a lane, for ever --- */

struct waiter {
	pthread_t thread;
	struct channel *c;
	uint32_t lane, flags, value;
	_Atomic int result; /* -1: none yet */
	_Atomic int tid;
};

static void *wait_thread(void *arg)
{
	struct waiter *w = arg;

	w->tid = gettid();
	w->result = error_of(wait_lane(w->c, w->lane, w->flags, w->value));
	return NULL;
}

/* Returns when it sleeps in the kernel. */
static void start(struct waiter *w, struct channel *c, uint32_t lane, uint32_t flags)
{
	char path[64], state = 0;
	FILE *f;

	w->c = c;
	w->lane = lane;
	w->flags = flags;
	w->value = atomic_load(&c->word[lane]);
	w->result = -1;
	w->tid = 0;
	check(!pthread_create(&w->thread, NULL, wait_thread, w));
	while (!w->tid)
		sched_yield();
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", w->tid);
	while (state != 'S') {
		sched_yield();
		f = fopen(path, "r");
		if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			break;
		fclose(f);
	}
}

static int end(struct waiter *w)
{
	pthread_join(w->thread, NULL);
	return w->result;
}

/* --- tests --- */

static void test_arguments(void)
{
	const long first = (1 << PROGRAM_ORDER) + (1 << SERVICE_ORDER);
	int fd = open_device(), event = eventfd(0, 0);
	struct virtuos_make m;
	uint8_t *p;

	expect(wait_word(fd, 0, 0, 0, 0), ENOTCONN);
	expect(ring(fd), ENOTCONN);
	expect(ioctl(fd, VIRTUOS_CREDS), ENOTCONN);
	expect(offer(fd, NAME), ENOTCONN);
	check(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENOTCONN);
#define BAD(field, value)                    \
	do {                                 \
		m = usual;                   \
		m.field = (value);           \
		expect(make(fd, m), EINVAL); \
	} while (0)
	BAD(program_order, 11);
	BAD(program_order, 21);
	BAD(service_order, 11);
	BAD(service_order, 32);
	BAD(service_order, 0xffffffff);
	BAD(lanes, 0);
	BAD(lanes, VIRTUOS_LANES_MAX + 1);
	BAD(ready_off, 2);
	BAD(ready_off, 1 << SERVICE_ORDER);
	BAD(ready_off, 0xfffffffc);
	BAD(ready_slots, 0);
	BAD(ready_slots, 3);
	BAD(ready_slots, 4096);
	BAD(ready_slots, 0x80000000);
	m = usual;
	m.domid = 0x7ff0; /* ourselves */
	expect(ioctl(fd, VIRTUOS_MAKE, &m), EINVAL);
	expect(ioctl(fd, VIRTUOS_MAKE, NULL), EFAULT);
	expect(make(fd, usual), 0);
	expect(make(fd, usual), EBUSY);
	expect(ioctl(fd, _IO('V', 0x8f)), ENOTTY);
	expect(wait_word(fd, LANES + 1, 0, 0, 0), EINVAL);
	expect(wait_word(fd, 0, 2, 0, 0), EINVAL);
	expect(wait_word(fd, 0, 0, 2, 0), EINVAL);
	expect(wait_word(fd, 0, 0, 1 << SERVICE_ORDER, 0), EINVAL);
	expect(wait_word(fd, 0, 0, 0xfffffffc, 0), EINVAL);
	expect(wait_word(fd, 0, 0, 0, 1), 0);
	expect(ioctl(fd, VIRTUOS_CREDS), ENOTCONN);
	expect(offer(fd, ""), EINVAL);
	expect(offer(fd, "../x"), EINVAL);
	expect(offer(fd, "0123456789012345678901234567890123456789"), EINVAL);
	expect(ioctl(fd, VIRTUOS_LANE_FD, &(struct virtuos_lane_fd){ 0, fd }), EINVAL);
	expect(ioctl(fd, VIRTUOS_LANE_FD, &(struct virtuos_lane_fd){ 0, 1000 }), EBADF);
	expect(ioctl(fd, VIRTUOS_LANE_FD, &(struct virtuos_lane_fd){ 0, -2 }), EINVAL);
	expect(ioctl(fd, VIRTUOS_LANE_FD, &(struct virtuos_lane_fd){ LANES + 1, event }), EINVAL);
	expect(ioctl(fd, VIRTUOS_LANE_FD, &(struct virtuos_lane_fd){ 0, event }), 0);
	check(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EINVAL);
	check(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096) == MAP_FAILED && errno == EINVAL);
	check(mmap(NULL, 7 << 12, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENXIO);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, first);
	check(p != MAP_FAILED && p[23] == 0 && p[21] == 1); /* srv_notify, srv_live */
	check(mprotect(p, 4096, PROT_READ | PROT_WRITE) && errno == EACCES);
	munmap(p, 4096);
	check(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, first) == MAP_FAILED && errno == EPERM);
	check(mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, first) == MAP_FAILED && errno == ENXIO);
	close(event);
	close(fd);
}

static struct virtuos_find find(const char *domain, const char *name, int error)
{
	struct virtuos_find f = { 0 };
	int fd = open_device();

	snprintf(f.domain, sizeof(f.domain), "%s", domain);
	snprintf(f.name, sizeof(f.name), "%s", name);
	expect(ioctl(fd, VIRTUOS_FIND, &f), error);
	close(fd);
	return f;
}

static void test_find(void)
{
	struct virtuos_find f;
	char number[16];

	snprintf(number, sizeof(number), "%u", domid);
	f = find(number, "storage", 0);
	check(f.domid == domid && atoi(f.announced) > 0);
	f = find("storage", "storage", 0);
	check(f.domid == domid && atoi(f.announced) > 0);
	find(number, "nowhere", ECONNREFUSED);
	find("65535", "storage", ENXIO);
	find("nowhere", "storage", ENXIO);
	find("", "storage", EINVAL);
	find("storage/x", "storage", EINVAL);
	find("storage", "../x", EINVAL);
}

static void test_no_service(void)
{
	int fd = open_device();
	struct pollfd p = { fd, POLLIN, 0 };

	expect(make(fd, usual), 0);
	check(poll(&p, 1, 0) == 0);
	expect(offer(fd, "nowhere"), ENOENT);
	expect(offer(fd, "nobody"), 0);
	expect(offer(fd, "nobody"), EALREADY);
	expect(wait_word(fd, 0, 0, 0, 0), ENOLINK);
	check(poll(&p, 1, 0) == 1 && p.revents == (POLLHUP | POLLERR));
	close(fd);
}

static void test_wake(void)
{
	struct channel c = connect_peer();
	struct waiter w;

	check(!c.answer->writable);
	start(&w, &c, 3, 0);
	tell(&c, PUSH, 4);
	tell(&c, PUSH_FOR_NOTHING, 3);
	check(w.result == -1);
	tell(&c, PUSH, 3);
	check(end(&w) == 0);
	expect(wait_lane(&c, 4, 0, 0), 0); /* had been taken before */
	disconnect(&c);
}

static void test_everybody(void)
{
	struct channel c = connect_peer();
	struct waiter w[LANES];
	uint32_t i, round;

	for (round = 0; round < 10; round++) { /* some laps of the queue */
		for (i = 0; i < LANES; i++)
			start(&w[i], &c, i, 0);
		tell(&c, PUSH_ALL, 0);
		for (i = 0; i < LANES; i++)
			check(end(&w[i]) == 0);
	}
	disconnect(&c);
}

static void test_eventfd(void)
{
	struct channel c = connect_peer();
	int event = eventfd(0, EFD_NONBLOCK);
	struct pollfd p[] = { { event, POLLIN, 0 }, { c.fd, POLLIN, 0 } };
	uint64_t n;

	expect(ioctl(c.fd, VIRTUOS_LANE_FD, &(struct virtuos_lane_fd){ 5, event }), 0);
	tell(&c, PUSH, 6);
	check(poll(p, 2, 0) == 0);
	tell(&c, PUSH, 5);
	check(poll(p, 2, -1) == 1 && p[0].revents == POLLIN);
	check(read(event, &n, sizeof(n)) == sizeof(n) && n == 1);
	expect(ioctl(c.fd, VIRTUOS_LANE_FD, &(struct virtuos_lane_fd){ 5, -1 }), 0);
	tell(&c, PUSH, 5);
	check(poll(p, 2, 0) == 0);
	close(event);
	disconnect(&c);
}

static _Atomic int handled;

static void on_signal(int sig)
{
	(void)sig;
	handled++;
}

static void interrupt(struct waiter *w, int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };
	int before = handled;

	sigaction(SIGUSR1, &sa, NULL);
	pthread_kill(w->thread, SIGUSR1);
	while (handled == before)
		sched_yield();
}

static void test_signals(void)
{
	struct channel c = connect_peer();
	struct waiter w;

	start(&w, &c, 0, 0);
	interrupt(&w, SA_RESTART);
	check(end(&w) == EINTR);
	start(&w, &c, 0, VIRTUOS_WAIT_RESTART);
	interrupt(&w, 0);
	check(end(&w) == EINTR);
	start(&w, &c, 0, VIRTUOS_WAIT_RESTART);
	interrupt(&w, SA_RESTART);
	interrupt(&w, SA_RESTART);
	check(w.result == -1);
	tell(&c, PUSH, 0);
	check(end(&w) == 0);
	disconnect(&c);
}

static int child_status(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void test_fork(void)
{
	struct channel c = connect_peer();
	pid_t pid = fork();

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		close(c.fd);
		c.answer->number++; /* is not there */
		_exit(0);
	}
	check(child_status(pid) == 128 + SIGSEGV);
	tell(&c, PUSH, 1);
	expect(wait_lane(&c, 1, 0, 0), 0);
	/* Its end is everybody's who shares it. */
	pid = fork();
	if (!pid)
		_exit(error_of(wait_lane(&c, 2, 0, 0)));
	disconnect(&c);
	check(child_status(pid) == ENOLINK);
}

static void test_mapped(void)
{
	struct channel c = connect_peer();

	close(c.fd);
	check(atomic_load(&c.answer->number) == 1); /* the memory is there until it is unmapped */
	munmap(c.command, (1 << PROGRAM_ORDER) + (1 << SERVICE_ORDER));
}

static void test_creds(void)
{
	struct channel c = connect_peer();
	gid_t groups[] = { 4711, 4712, 100 };
	char expected[256];

	tell(&c, CREDS, 0);
	snprintf(expected, sizeof(expected), "vouched=1\nuid=0\ngid=0\nruid=0\nrgid=0\n");
	check(!strncmp(c.answer->text, expected, strlen(expected)));
	check(!setgroups(3, groups) && !setresgid(33, 34, 34) && !setresuid(65534, 1234, 65534));
	expect(ioctl(c.fd, VIRTUOS_CREDS), 0);
	tell(&c, CREDS, 0);
	snprintf(expected, sizeof(expected),
		 "vouched=1\nuid=1234\ngid=34\nruid=65534\nrgid=33\ncaps=000000000\npid=%d\n"
		 "groups= 100 4711 4712",
		 getpid());
	if (strcmp(c.answer->text, expected))
		fail("credentials: %s", c.answer->text);
	disconnect(&c);
}

static void test_lost(void)
{
	struct channel c = connect_peer();
	struct waiter w;

	start(&w, &c, 9, 0);
	tell(&c, PUSH_LAPS, 10); /* whose turn it was has been overwritten: so everybody's */
	check(end(&w) == 0);
	disconnect(&c);
}

static void test_bad_lane(void)
{
	static const uint32_t bad[] = { LANES + 1, 0xffff };

	for (int i = 0; i < 2; i++) {
		struct channel c = connect_peer();
		struct pollfd p = { c.fd, POLLIN, 0 };
		struct waiter w;

		start(&w, &c, 0, 0);
		check(try_tell(&c, PUSH_RAW, 1u << 16 | bad[i]) == EPROTO);
		check(end(&w) == EPROTO);
		check(poll(&p, 1, 0) == 1 && p.revents & POLLHUP);
		expect(wait_lane(&c, 1, 0, 0), EPROTO);
		disconnect(&c);
	}
}

static void test_noise(void)
{
	for (int i = 0; i < 10; i++) {
		struct channel c = connect_peer();
		int e = 0;

		for (int k = 0; k < 5 && !e; k++)
			e = try_tell(&c, SCRIBBLE, 0);
		check(!e || e == EPROTO);
		disconnect(&c);
	}
}

static void test_storm(void)
{
	struct channel c = connect_peer();

	tell(&c, STORM, 5000);
	tell(&c, PUSH, 0);
	expect(wait_lane(&c, 0, 0, 0), 0);
	disconnect(&c);
}

static void test_service_ends(void)
{
	struct channel c = connect_peer();
	struct pollfd p = { c.fd, POLLIN, 0 };
	struct waiter w;

	start(&w, &c, 0, VIRTUOS_WAIT_RESTART);
	check(try_tell(&c, LEAVE, 0) == ENOLINK);
	check(end(&w) == ENOLINK);
	check(poll(&p, 1, 0) == 1 && p.revents & POLLHUP);
	expect(ring(c.fd), ENOLINK);
	disconnect(&c);
}

/* It is over for whoever waits, and for the service, because the program says so. */
static void test_end(void)
{
	struct channel c = connect_peer();
	struct pollfd p = { c.fd, POLLIN, 0 };
	struct waiter w;

	start(&w, &c, 0, VIRTUOS_WAIT_RESTART);
	expect(ioctl(c.fd, VIRTUOS_END), 0);
	check(end(&w) == ENOLINK);
	check(poll(&p, 1, 0) == 1 && p.revents & POLLHUP);
	expect(ring(c.fd), ENOLINK);
	disconnect(&c);
}

/* More channels than a domain may have watches in xenstore (128). */
static void test_many(void)
{
	static int fd[150];

	for (int i = 0; i < 150; i++) {
		fd[i] = open_device();
		expect(make(fd[i], usual), 0);
		expect(offer(fd[i], "nobody"), 0);
	}
	for (int i = 0; i < 150; i++) {
		expect(wait_word(fd[i], 0, 0, 0, 0), ENOLINK);
		close(fd[i]);
	}
}

static void test_killed(void)
{
	for (int i = 0; i < 10; i++) {
		int ready[2];
		char byte;
		pid_t pid;

		check(!pipe(ready));
		pid = fork();
		if (!pid) {
			struct channel c = connect_peer();
			struct waiter w;

			start(&w, &c, 0, 0);
			check(write(ready[1], "", 1) == 1);
			wait_lane(&c, 1, 0, 0);
			_exit(1);
		}
		close(ready[1]);
		check(read(ready[0], &byte, 1) == 1);
		kill(pid, SIGKILL);
		check(child_status(pid) == 128 + SIGKILL);
		close(ready[0]);
	}
}

/* Not among the others: says when it waits, and waits for the end of the service's domain. */
static void test_domain_ends(void)
{
	struct channel c = connect_peer();
	struct pollfd p = { c.fd, 0, 0 };
	struct waiter w;

	start(&w, &c, 0, VIRTUOS_WAIT_RESTART);
	puts("waiting");
	fflush(stdout);
	check(end(&w) == ENOLINK);
	check(poll(&p, 1, -1) == 1 && p.revents & POLLHUP);
	expect(ring(c.fd), ENOLINK);
	disconnect(&c);
}

/* Likewise: holds a channel until its input ends. */
static void test_hold(void)
{
	struct channel c = connect_peer();
	char byte;

	puts("holding");
	fflush(stdout);
	check(read(0, &byte, 1) == 0);
	disconnect(&c);
}

static const struct {
	const char *name;
	void (*fn)(void);
	bool alone;
} tests[] = {
	{ "arguments", test_arguments, false },
	{ "find", test_find, false },
	{ "no_service", test_no_service, false },
	{ "wake", test_wake, false },
	{ "everybody", test_everybody, false },
	{ "eventfd", test_eventfd, false },
	{ "signals", test_signals, false },
	{ "fork", test_fork, false },
	{ "mapped", test_mapped, false },
	{ "creds", test_creds, false },
	{ "lost", test_lost, false },
	{ "bad_lane", test_bad_lane, false },
	{ "noise", test_noise, false },
	{ "storm", test_storm, false },
	{ "service_ends", test_service_ends, false },
	{ "end", test_end, false },
	{ "many", test_many, false },
	{ "killed", test_killed, false },
	{ "domain_ends", test_domain_ends, true },
	{ "hold", test_hold, true },
};

static bool named(const char *name, char **names)
{
	for (; *names; names++)
		if (!strcmp(name, *names))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc < 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	domid = (uint32_t)atoi(argv[1]);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
		pid_t pid;

		if (argc > 2 ? !named(tests[i].name, argv + 2) : tests[i].alone)
			continue;
		pid = fork();
		if (!pid) {
			tests[i].fn();
			_exit(0);
		}
		if (child_status(pid)) {
			printf("%s: FAILED\n", tests[i].name);
			failed = 1;
		} else {
			printf("%s: ok\n", tests[i].name);
		}
	}
	return failed;
}
