/* SPDX-License-Identifier: MIT */
/*
 * What every behaviour program shares.
 *
 * A program exercises one topic and prints what it saw in a form that is equal wherever the calls
 * were executed: results, errno names, sizes, contents. It never prints what may differ between two
 * right runs: inode numbers, times, ports, absolute paths. The harness runs it natively, preloaded
 * with everything local, and forwarded, and compares output and exit status.
 *
 * VT_DIR is the tree under test (remote when forwarded), VT_LOCAL a directory that is local and on
 * another file system in every mode. VT_DIR/../../side is local too and holds the file "note".
 * Exit status: 0 pass, 1 fail, 77 skip (with a line "skip: REASON").
 */
#ifndef T_H
#define T_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define T_UNUSED __attribute__((unused))
/* The library may keep one descriptor of its own, out of the way: above this number. */
#define T_FD_END 512

static int t_failed;
static int t_fds_before;

static T_UNUSED const char *t_errname(int err)
{
	const char *name = err ? strerrorname_np(err) : "0";

	return name ? name : "unknown";
}

/* @name inside the directory that environment variable @var holds; valid for the next 15 calls. */
static T_UNUSED const char *t_path(const char *var, const char *name)
{
	static __thread char buf[16][PATH_MAX + 64];
	static __thread unsigned int next;
	char *p = buf[next++ % 16];
	const char *dir = getenv(var);

	if (!dir) {
		printf("%s is not set: run by test/run.sh\n", var);
		exit(1);
	}
	snprintf(p, sizeof(buf[0]), "%s%s%s", dir, *name ? "/" : "", name);
	return p;
}

#define P(name) t_path("VT_DIR", name)
#define L(name) t_path("VT_LOCAL", name)

static T_UNUSED long t_show(const char *what, long ret)
{
	int err = errno;

	if (ret == -1)
		printf("%s = -1 %s\n", what, t_errname(err));
	else
		printf("%s = %ld\n", what, ret);
	return ret;
}

static T_UNUSED int t_show_ok(const char *what, long ret)
{
	int err = errno;

	if (ret < 0)
		printf("%s = -1 %s\n", what, t_errname(err));
	else
		printf("%s ok\n", what);
	return (int)ret;
}

static T_UNUSED void t_check(const char *file, int line, const char *what, bool good)
{
	int err = errno;

	if (good)
		return;
	printf("%s:%d: not true: %s (errno %s)\n", file, line, what, t_errname(err));
	t_failed = 1;
}

/* SHOW prints the value or -1 with errno; TRY prints only whether it worked (for descriptors). */
#define SHOW(expr)  t_show(#expr, (long)(expr))
#define TRY(expr)   t_show_ok(#expr, (long)(expr))
#define CHECK(cond) t_check(__FILE_NAME__, __LINE__, #cond, (cond))
/* For set-up that the rest of the program cannot do without. */
#define MUST(cond)               \
	do {                     \
		CHECK(cond);     \
		if (t_failed)    \
			exit(1); \
	} while (0)

static T_UNUSED __attribute__((noreturn)) void t_skip(const char *reason)
{
	printf("skip: %s\n", reason);
	exit(77);
}

static T_UNUSED int t_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < T_FD_END; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Each line goes out at once, so that forked children do not repeat it. */
static T_UNUSED void t_start(void)
{
	setvbuf(stdout, NULL, _IOLBF, 4096);
	t_fds_before = t_fds();
}

/* The program's last call: main() returns its value. */
static T_UNUSED int t_end(void)
{
	int now = t_fds();

	if (now != t_fds_before) {
		printf("descriptors: %d at the start, %d at the end\n", t_fds_before, now);
		t_failed = 1;
	}
	fflush(stdout);
	return t_failed;
}

/* "exit 3", "signal SIGPIPE". */
static T_UNUSED const char *t_status(int status)
{
	static char buf[32];

	if (WIFEXITED(status))
		snprintf(buf, sizeof(buf), "exit %d", WEXITSTATUS(status));
	else
		snprintf(buf, sizeof(buf), "signal SIG%s", sigabbrev_np(WTERMSIG(status)));
	return buf;
}

static T_UNUSED void t_wait(const char *who, pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0) == pid);
	printf("%s: %s\n", who, t_status(status));
}

/* Bytes that show a shift or a swap: no period of a power of two. */
static T_UNUSED void t_fill(void *buf, size_t len, unsigned int seed)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (unsigned char)((i + seed) % 251);
}

static T_UNUSED uint64_t t_hash_more(uint64_t h, const void *buf, size_t len)
{
	const unsigned char *p = buf;

	while (len--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h;
}

static T_UNUSED uint64_t t_hash(const void *buf, size_t len)
{
	return t_hash_more(0xcbf29ce484222325ull, buf, len);
}

static T_UNUSED void t_put(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	MUST(fd >= 0);
	MUST(write(fd, data, len) == (ssize_t)len);
	MUST(close(fd) == 0);
}

static T_UNUSED void t_puts(const char *path, const char *text)
{
	t_put(path, text, strlen(text));
}

/* The size and hash of a file, and its text where that is short. */
static T_UNUSED void t_cat(const char *label, const char *path)
{
	uint64_t h = t_hash("", 0);
	char buf[4096];
	char text[80] = "";
	size_t size = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY);

	if (fd < 0) {
		printf("%s: %s\n", label, t_errname(errno));
		return;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if (!size && n < (ssize_t)sizeof(text))
			memcpy(text, buf, (size_t)n);
		h = t_hash_more(h, buf, (size_t)n);
		size += (size_t)n;
	}
	CHECK(n == 0);
	close(fd);
	if (size < sizeof(text))
		printf("%s: %zu \"%s\"\n", label, size, text);
	else
		printf("%s: %zu %016llx\n", label, size, (unsigned long long)h);
}

static T_UNUSED int64_t t_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

/* Time bounds are for what must wait and for what must not; the upper ones are wide on purpose. */
#define TOOK(since, low, high) CHECK(t_ms() - (since) >= (low) && t_ms() - (since) < (high))

static T_UNUSED void t_sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* --- until another one is blocked, so that what follows happens to a call that waits ---------- */

/* How often thread @tid has gone to sleep, if it sleeps now; -1. */
static T_UNUSED long t_asleep(pid_t tid)
{
	char name[64];
	char line[128];
	long n = -1;
	bool asleep = false;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/status", (int)tid);
	f = fopen(name, "r");
	MUST(f);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "State:\tS", 8))
			asleep = true;
		sscanf(line, "voluntary_ctxt_switches: %ld", &n);
	}
	fclose(f);
	return asleep ? n : -1;
}

/* It is the same sleep for a while: on its way a call may sleep for moments. */
static T_UNUSED void t_await_sleep(pid_t tid)
{
	int64_t start = t_ms();
	long last = -1;

	for (int same = 0; same < 4;) {
		long n = t_asleep(tid);

		same = n >= 0 && n == last ? same + 1 : 0;
		last = n;
		t_sleep_ms(1);
		MUST(t_ms() - start < 30000);
	}
}

/* A thread says that it is about to block, and another one waits until it does. */
static T_UNUSED _Atomic pid_t t_blocker;

static T_UNUSED void t_block(void)
{
	t_blocker = gettid();
}

static T_UNUSED void t_await_block(void)
{
	while (!t_blocker)
		t_sleep_ms(1);
	t_await_sleep(t_blocker);
	t_blocker = 0;
}

#endif
