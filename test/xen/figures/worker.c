/* SPDX-License-Identifier: MIT */
/*
 * labworker DIRECTORY PEER-ADDRESS: makes calls of one kind as often as it is told, an ordinary
 * program that knows nothing of where its files and sockets are. Each line that it reads is
 * "NAME COUNT"; the answer is "NAME NANOSECONDS", of the whole batch. What a kind of calls works on
 * is opened by its first batch; one of 0 calls just does that.
 */
#define _GNU_SOURCE
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FILE_SIZE (8u << 20)
#define LARGE	  (256u << 10) /* bytes of one large transfer */
#define MANY	  16	       /* connections, or threads */
#define REST_US	  8000	       /* between two wake-ups: longer than anybody spins */

static const char *directory;
static struct sockaddr_in peer = { .sin_family = AF_INET };
static char buf[LARGE] __attribute__((aligned(4096)));

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "labworker: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static void expect(const char *what, long r, long should)
{
	if (r == should)
		return;
	if (r >= 0)
		errno = EMSGSIZE;
	fail(what);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- files ------------------------------------------------------------------------------------ */

static int make_file(void)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/labworker.data", directory);
	fd = open(path, O_RDWR | O_CREAT, 0644);
	if (fd < 0)
		fail(path);
	for (off_t at = 0; at < FILE_SIZE; at += LARGE)
		expect("write", pwrite(fd, buf, LARGE, at), LARGE);
	expect("fsync", fsync(fd), 0);
	return fd;
}

static int file(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = make_file();
	return fd;
}

static int direct_file(void)
{
	static int fd = -1;
	char path[256];

	if (fd >= 0)
		return fd;
	file();
	snprintf(path, sizeof(path), "%s/labworker.data", directory);
	fd = open(path, O_RDWR | O_DIRECT);
	if (fd < 0)
		fail(path);
	return fd;
}

/* Jumps about, the same way each time. */
static off_t place(long i, size_t size)
{
	return (off_t)((unsigned long)i * 7919 * size % FILE_SIZE);
}

static void read_at(int fd, long n, size_t size)
{
	for (long i = 0; i < n; i++)
		expect("pread", pread(fd, buf, size, place(i, size)), (long)size);
}

static void write_at(int fd, long n, size_t size)
{
	for (long i = 0; i < n; i++)
		expect("pwrite", pwrite(fd, buf, size, place(i, size)), (long)size);
}

static void read_1(long n)
{
	read_at(file(), n, 1);
}

static void read_4k(long n)
{
	read_at(file(), n, 4096);
}

static void read_64k(long n)
{
	read_at(file(), n, 65536);
}

static void write_4k(long n)
{
	write_at(file(), n, 4096);
}

static void write_64k(long n)
{
	write_at(file(), n, 65536);
}

static void stat_file(long n)
{
	struct stat st;

	for (int fd = file(); n--;)
		expect("fstat", fstat(fd, &st), 0);
}

static void sync_4k(long n)
{
	for (long i = 0; i < n; i++) {
		expect("pwrite", pwrite(file(), buf, 4096, place(i, 4096)), 4096);
		expect("fdatasync", fdatasync(file()), 0);
	}
}

static void direct_read_4k(long n)
{
	read_at(direct_file(), n, 4096);
}

static void direct_write_4k(long n)
{
	write_at(direct_file(), n, 4096);
}

static void direct_read_256k(long n)
{
	read_at(direct_file(), n, LARGE);
}

static void direct_write_256k(long n)
{
	write_at(direct_file(), n, LARGE);
}

/* --- the network ------------------------------------------------------------------------------ */

static int connection(int i)
{
	static int fd[MANY];
	const int one = 1;

	if (fd[i])
		return fd[i];
	fd[i] = socket(AF_INET, SOCK_STREAM, 0);
	if (fd[i] < 0 || connect(fd[i], (void *)&peer, sizeof(peer)))
		fail("connect");
	expect("setsockopt", setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	return fd[i];
}

static void order(int fd, enum peer_kind kind, uint64_t count)
{
	const struct peer_order o = { kind, REST_US, count };

	expect("write", write(fd, &o, sizeof(o)), sizeof(o));
}

static void take(int fd, size_t n)
{
	while (n) {
		ssize_t r = read(fd, buf, n < PEER_BLOCK ? n : PEER_BLOCK);

		if (r <= 0)
			fail("read");
		n -= (size_t)r;
	}
}

static void bulk_out(long n)
{
	int fd = connection(0);

	order(fd, PEER_TAKE, (uint64_t)n * PEER_BLOCK);
	while (n--)
		expect("write", write(fd, buf, PEER_BLOCK), PEER_BLOCK);
	take(fd, 1);
}

static void bulk_in(long n)
{
	int fd = connection(0);

	order(fd, PEER_GIVE, (uint64_t)n * PEER_BLOCK);
	take(fd, (size_t)n * PEER_BLOCK);
}

static void ask(long n)
{
	int fd = connection(0);

	order(fd, PEER_ECHO, (uint64_t)n);
	while (n--) {
		expect("write", write(fd, buf, PEER_SMALL), PEER_SMALL);
		take(fd, PEER_SMALL);
	}
}

/* One request under way on each of many connections. */
static void ask_many(long n)
{
	long left[MANY];
	int set = epoll_create1(0), open = MANY;

	for (int i = 0; i < MANY; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = (uint32_t)i };
		int fd = connection(i);

		left[i] = n / MANY + 1;
		order(fd, PEER_ECHO, (uint64_t)left[i]);
		expect("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, fd, &e), 0);
		expect("write", write(fd, buf, PEER_SMALL), PEER_SMALL);
	}
	while (open) {
		struct epoll_event e[MANY];
		int came = epoll_wait(set, e, MANY, -1);

		for (int k = 0; k < came; k++) {
			int i = (int)e[k].data.u32;

			take(connection(i), PEER_SMALL);
			if (--left[i])
				expect("write", write(connection(i), buf, PEER_SMALL), PEER_SMALL);
			else
				open--;
		}
	}
	close(set);
}

/* --- waking: all but one of some threads wait for ever ---------------------------------------- */

static void *wait_for_ever(void *fd)
{
	char c;

	(void)!read((int)(intptr_t)fd, &c, 1);
	fail("a thread that should not have been woken");
}

/* @n wake-ups of this thread, each of which it answers. */
static void woken(long n)
{
	int fd = connection(0);
	char c;

	order(fd, PEER_WAKE, (uint64_t)n);
	while (n--) {
		expect("read", read(fd, &c, 1), 1);
		expect("write", write(fd, &c, 1), 1);
	}
}

static void woken_beside_others(long n)
{
	static bool started;

	for (int i = 1; i < MANY && !started; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, wait_for_ever, (void *)(intptr_t)connection(i)))
			fail("pthread_create");
	}
	started = true;
	woken(n);
}

/* --- nothing of ours, to compare with --------------------------------------------------------- */

static void system_calls(long n)
{
	while (n--)
		syscall(SYS_getppid);
}

/* @n milliseconds without a system call: the clock is read without one. */
static void nothing(long n)
{
	uint64_t end = now() + (uint64_t)n * 1000000u;

	while (now() < end)
		__builtin_ia32_pause();
}

static const struct kind {
	const char *name;
	void (*run)(long n);
} kinds[] = {
	{ "stat", stat_file },
	{ "read_1", read_1 },
	{ "read_4k", read_4k },
	{ "read_64k", read_64k },
	{ "write_4k", write_4k },
	{ "write_64k", write_64k },
	{ "sync_4k", sync_4k },
	{ "direct_read_4k", direct_read_4k },
	{ "direct_write_4k", direct_write_4k },
	{ "direct_read_256k", direct_read_256k },
	{ "direct_write_256k", direct_write_256k },
	{ "bulk_out", bulk_out },
	{ "bulk_in", bulk_in },
	{ "ask", ask },
	{ "ask_many", ask_many },
	{ "woken", woken },
	{ "woken_beside_others", woken_beside_others },
	{ "system_calls", system_calls },
	{ "nothing", nothing },
};

static const struct kind *find(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

int main(int argc, char **argv)
{
	char name[32];
	long n;

	peer.sin_port = htons(PEER_PORT);
	if (argc != 3 || !inet_aton(argv[2], &peer.sin_addr)) {
		fputs("usage: labworker DIRECTORY PEER-ADDRESS\n", stderr);
		return 2;
	}
	directory = argv[1];
	while (scanf("%31s %ld", name, &n) == 2) {
		const struct kind *k = find(name);
		uint64_t t = now();

		if (!k || n < 0) {
			fprintf(stderr, "labworker: %s: what is that?\n", name);
			return 2;
		}
		k->run(n);
		printf("%s %llu\n", name, (unsigned long long)(now() - t));
		fflush(stdout);
	}
	return 0;
}
