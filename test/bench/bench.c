/* SPDX-License-Identifier: MIT */
/*
 * What a forwarded call costs. Runs under the library, in a program with one thread, pinned beside
 * the service; test/bench/run.sh starts it.
 *
 * Each figure is measured in four ways: forwarded, natively by libc's own function (N: what the
 * program pays without the library), natively by a system call instruction in place, and through a
 * polling io_uring. Machines change their mind about speed within seconds, so batches of these
 * alternate, and what counts is the median over the rounds of the ratios inside each round. The
 * unit of goals for calls that do nothing is L, the round trip of one cache line, which is measured
 * in every round, too.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "ring/chan.h"
#include "ring/raw.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 101
#define FAR_NS	   150	  /* a line's round trip beyond this: not the same cache complex */
#define REST_NS	   500000 /* longer than the service spins */

void die(const char *what, long err)
{
	fprintf(stderr, "bench: %s: %s\n", what, err < 0 ? strerror((int)-err) : "wrong answer");
	_exit(1);
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

void nap(long ns)
{
	const struct timespec t = { 0, ns };

	vos_raw2(SYS_nanosleep, &t, 0);
}

void pin(int cpu)
{
	cpu_set_t set;
	long r;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	r = vos_raw3(SYS_sched_setaffinity, 0, sizeof(set), &set);
	if (r < 0)
		die("sched_setaffinity", r);
}

static void expect(const char *what, long r, long should)
{
	if (__builtin_expect(r != should, 0))
		die(what, r == -1 ? -errno : r);
}

/* --- the calls: @n of them each -------------------------------------------------------------- */

static struct {
	int file, raw_file;	  /* the same file: forwarded, local */
	int zero;		  /* a local device */
	int sock[2], raw_sock[2]; /* connected to each other */
	struct vos_chan chan;	  /* our own, without the library */
	struct vos_lane *lane;
	char buf[BENCH_DATA] __attribute__((aligned(4096)));
} io;

static struct {
	ssize_t (*read)(int, void *, size_t);
	ssize_t (*write)(int, const void *, size_t);
	ssize_t (*pread)(int, void *, size_t, off_t);
	int (*fcntl)(int, int, ...);
} libc;

/* On the ring itself: no call of libc has nothing to do over there. */
static void ring_nop(size_t size, int n)
{
	(void)size;
	while (n--) {
		bool skipped;
		int s = vos_lane_claim(io.lane, &skipped);
		struct vos_entry *e = &io.lane->slot[s];

		e->op = VOS_OP_nop;
		e->cpu = vos_cpu();
		if (vos_lane_post(io.lane, s, skipped) == VOS_POSTED_KICK)
			io.chan.transport->ring(&io.chan);
		expect("nop", vos_chan_wait(&io.chan, io.lane, s, VOS_WAIT_RESTART), 0);
		expect("nop", e->result, 0);
		vos_lane_release(io.lane, s);
	}
}

static void raw_getppid(size_t size, int n)
{
	(void)size;
	while (n--)
		vos_raw0(SYS_getppid);
}

static void get_flags(size_t size, int n)
{
	(void)size;
	while (n--)
		expect("fcntl", fcntl(io.file, F_GETFL) & O_ACCMODE, O_RDONLY);
}

static void raw_get_flags(size_t size, int n)
{
	(void)size;
	while (n--)
		expect("fcntl", vos_raw2(SYS_fcntl, io.raw_file, F_GETFL) & O_ACCMODE, O_RDONLY);
}

static void read_file(size_t size, int n)
{
	while (n--)
		expect("pread", pread(io.file, io.buf, size, 0), (long)size);
}

static void raw_read_file(size_t size, int n)
{
	while (n--)
		expect("pread", vos_raw4(SYS_pread64, io.raw_file, io.buf, size, 0), (long)size);
}

static void ping_pong(size_t size, int n)
{
	while (n--) {
		for (int i = 0; i < 2; i++) {
			expect("write", write(io.sock[i], io.buf, size), (long)size);
			expect("read", read(io.sock[!i], io.buf, size), (long)size);
		}
	}
}

static void raw_ping_pong(size_t size, int n)
{
	while (n--) {
		for (int i = 0; i < 2; i++) {
			long r = vos_raw3(SYS_write, io.raw_sock[i], io.buf, size);

			expect("write", r, (long)size);
			r = vos_raw3(SYS_read, io.raw_sock[!i], io.buf, size);
			expect("read", r, (long)size);
		}
	}
}

static void read_local(size_t size, int n)
{
	while (n--)
		expect("read", read(io.zero, io.buf, size), (long)size);
}

static void raw_read_local(size_t size, int n)
{
	while (n--)
		expect("read", vos_raw3(SYS_read, io.zero, io.buf, size), (long)size);
}

/* libc's own function, as a program without the library has it. */
static void libc_getppid(size_t size, int n)
{
	(void)size;
	while (n--)
		getppid();
}

static void libc_get_flags(size_t size, int n)
{
	(void)size;
	while (n--)
		expect("fcntl", libc.fcntl(io.raw_file, F_GETFL) & O_ACCMODE, O_RDONLY);
}

static void libc_read_file(size_t size, int n)
{
	while (n--)
		expect("pread", libc.pread(io.raw_file, io.buf, size, 0), (long)size);
}

static void libc_ping_pong(size_t size, int n)
{
	while (n--) {
		for (int i = 0; i < 2; i++) {
			expect("write", libc.write(io.raw_sock[i], io.buf, size), (long)size);
			expect("read", libc.read(io.raw_sock[!i], io.buf, size), (long)size);
		}
	}
}

static void libc_read_local(size_t size, int n)
{
	while (n--)
		expect("read", libc.read(io.zero, io.buf, size), (long)size);
}

/* --- figures --------------------------------------------------------------------------------- */

enum how { NATIVE, BARE, OURS, SQPOLL, FLOOR, HOWS };
/* The goal: at most so many times native, so many times a line's round trip, or so much more. */
enum goal { NONE, TIMES_NATIVE, TIMES_LINE, ADDED };

static struct figure {
	const char *name;
	size_t size;
	int calls;  /* in a batch */
	bool floor; /* measure line_read(), too */
	void (*run[HOWS])(size_t size, int n);
	enum goal goal;
	double limit;
	double ns[HOWS][ROUNDS_MAX];
	double line[ROUNDS_MAX]; /* L in that round */
} figures[] = {
	{ .name = "null call",
	  .calls = 4000,
	  .goal = TIMES_LINE,
	  .limit = 3,
	  .run = { libc_getppid, raw_getppid, ring_nop, sqpoll_nop } },
	{ .name = "fcntl F_GETFL",
	  .calls = 2000,
	  .run = { libc_get_flags, raw_get_flags, get_flags } },
	{ .name = "pread 1 B",
	  .size = 1,
	  .calls = 2000,
	  .floor = true,
	  .goal = TIMES_NATIVE,
	  .limit = 1.5,
	  .run = { libc_read_file, raw_read_file, read_file, sqpoll_read } },
	{ .name = "pread 4 K",
	  .size = 4096,
	  .calls = 2000,
	  .floor = true,
	  .goal = TIMES_NATIVE,
	  .limit = 1.6,
	  .run = { libc_read_file, raw_read_file, read_file, sqpoll_read } },
	{ .name = "pread 64 K",
	  .size = 65536,
	  .calls = 400,
	  .floor = true,
	  .goal = TIMES_NATIVE,
	  .limit = 1.7,
	  .run = { libc_read_file, raw_read_file, read_file, sqpoll_read } },
	{ .name = "TCP ping-pong 1 B",
	  .size = 1,
	  .calls = 200,
	  .run = { libc_ping_pong, raw_ping_pong, ping_pong } },
	{ .name = "local read 1 B",
	  .size = 1,
	  .calls = 4000,
	  .goal = ADDED,
	  .limit = 6,
	  .run = { libc_read_local, raw_read_local, read_local } },
};
#define FIGURES (sizeof(figures) / sizeof(*figures))

static int rounds = 31;
static bool have_sqpoll;

/* @how was asleep until now: wake it first. */
static double batch(const struct figure *f, enum how how)
{
	double t;

	f->run[how](f->size, 50);
	t = now();
	f->run[how](f->size, f->calls);
	return (now() - t) / f->calls;
}

static void measure(struct figure *f, int round)
{
	double before[2];

	/* Whoever uses the other CPU is asleep when the next one's turn comes. */
	f->line[round] = line_trip(4000);
	before[NATIVE] = batch(f, NATIVE);
	before[BARE] = batch(f, BARE);
	f->ns[OURS][round] = batch(f, OURS);
	nap(REST_NS);
	if (have_sqpoll && f->run[SQPOLL]) {
		f->ns[SQPOLL][round] = batch(f, SQPOLL);
		sqpoll_rest();
	}
	if (f->floor)
		f->ns[FLOOR][round] = line_read(f->size, f->calls);
	f->ns[NATIVE][round] = (before[NATIVE] + batch(f, NATIVE)) / 2;
	f->ns[BARE][round] = (before[BARE] + batch(f, BARE)) / 2;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of the rounds; @eighths 4: the median. */
static double quantile(const double *v, int eighths)
{
	double s[ROUNDS_MAX];

	memcpy(s, v, (size_t)rounds * sizeof(*v));
	qsort(s, (size_t)rounds, sizeof(*s), by_size);
	return s[(rounds - 1) * eighths / 8];
}

static double median(const double *v)
{
	return quantile(v, 4);
}

/* Ratios, or differences, round by round. */
static double compared(const struct figure *f, const double *to, bool difference, int eighths)
{
	double v[ROUNDS_MAX];

	for (int r = 0; r < rounds; r++)
		v[r] = difference ? f->ns[OURS][r] - to[r] : to[r] > 0 ? f->ns[OURS][r] / to[r] : 0;
	return quantile(v, eighths);
}

static double result(const struct figure *f)
{
	switch (f->goal) {
	case TIMES_LINE:
		return compared(f, f->line, false, 4);
	case ADDED:
		return compared(f, f->ns[NATIVE], true, 4);
	default:
		return compared(f, f->ns[NATIVE], false, 4);
	}
}

static const char *placement(void)
{
	int far = 0;

	for (size_t i = 0; i < FIGURES; i++)
		for (int r = 0; r < rounds; r++)
			far += figures[i].line[r] > FAR_NS;
	if (!far)
		return "near";
	return far == (int)FIGURES * rounds ? "far" : "mixed";
}

static void put_verdict(FILE *to, const struct figure *f)
{
	static const char *const unit[] = { "", " N", " L", " ns more" };
	char goal[32];

	if (f->goal == NONE) {
		fprintf(to, "  %-24s\n", "-");
		return;
	}
	snprintf(goal, sizeof(goal), "<= %g%s", f->limit, unit[f->goal]);
	fprintf(to, "  %-14s %6.2f %s\n", goal, result(f),
		result(f) <= f->limit ? "met" : "MISSED");
}

/* Of a way that not every figure has: the time, or how often it goes into ours. */
static void put_optional(const struct figure *f, enum how how, int decimals, bool ratio)
{
	if (!(f->ns[how][0] > 0))
		printf(" %8s", "-");
	else
		printf(" %8.*f", decimals,
		       ratio ? compared(f, f->ns[how], false, 4) : median(f->ns[how]));
}

static void print_table(void)
{
	printf("%-24s %9s %9s %9s %8s %8s  %-17s %6s %8s %8s  %-14s %6s\n", "ns per call",
	       "forwarded", "N: libc", "bare", "SQPOLL", "floor", "x N (25-75%)", "x bare",
	       "x SQPOLL", "x floor", "goal", "is");
	for (size_t i = 0; i < FIGURES; i++) {
		const struct figure *f = &figures[i];

		printf("%-24s %9.1f %9.1f %9.1f", f->name, median(f->ns[OURS]),
		       median(f->ns[NATIVE]), median(f->ns[BARE]));
		put_optional(f, SQPOLL, 1, false);
		put_optional(f, FLOOR, 1, false);
		printf("  %4.2f (%4.2f-%4.2f)  ", compared(f, f->ns[NATIVE], false, 4),
		       compared(f, f->ns[NATIVE], false, 2), compared(f, f->ns[NATIVE], false, 6));
		printf("%6.2f", compared(f, f->ns[BARE], false, 4));
		put_optional(f, SQPOLL, 2, true);
		put_optional(f, FLOOR, 2, true);
		put_verdict(stdout, f);
	}
}

static void save_table(const char *path)
{
	static const char *const goal[] = { "none", "times_native", "times_line", "ns_added" };
	static const enum how order[HOWS] = { OURS, NATIVE, BARE, SQPOLL, FLOOR };
	FILE *to = fopen(path, "w");

	if (!to)
		die(path, -errno);
	fprintf(to,
		"figure\tforwarded_ns\tnative_ns\tbare_ns\tsqpoll_ns\tfloor_ns\tline_ns\t"
		"ratio_native\tratio_bare\tratio_sqpoll\tratio_floor\tgoal\tlimit\tresult\tmet\tplacement\n");
	for (size_t i = 0; i < FIGURES; i++) {
		const struct figure *f = &figures[i];
		const char *met = result(f) <= f->limit ? "yes" : "no";

		fprintf(to, "%s\t", f->name);
		for (int how = 0; how < HOWS; how++)
			fprintf(to, "%.1f\t", median(f->ns[order[how]]));
		fprintf(to, "%.1f\t", median(f->line));
		for (int how = 1; how < HOWS; how++)
			fprintf(to, "%.3f\t", compared(f, f->ns[order[how]], false, 4));
		fprintf(to, "%s\t%g\t%.3f\t%s\t%s\n", goal[f->goal], f->limit, result(f),
			f->goal == NONE ? "-" : met, placement());
	}
	if (fclose(to))
		die(path, -errno);
}

/* --- what the calls work on ------------------------------------------------------------------ */

typedef long (*call_fn)(long nr, long a, long b, long c);

static long by_libc(long nr, long a, long b, long c)
{
	long r = syscall(nr, a, b, c);

	return r < 0 ? -errno : r;
}

static long by_instruction(long nr, long a, long b, long c)
{
	return vos_raw3(nr, a, b, c);
}

static long check(const char *what, long r)
{
	if (r < 0)
		die(what, r);
	return r;
}

/* Two sockets connected over the loopback interface. */
static void connect_pair(call_fn call, int sock[2])
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	long l = check("socket", call(SYS_socket, AF_INET, SOCK_STREAM, 0));

	check("bind", call(SYS_bind, l, (long)&sin, len));
	check("listen", call(SYS_listen, l, 1, 0));
	check("getsockname", call(SYS_getsockname, l, (long)&sin, (long)&len));
	sock[0] = (int)check("socket", call(SYS_socket, AF_INET, SOCK_STREAM, 0));
	check("connect", call(SYS_connect, sock[0], (long)&sin, len));
	sock[1] = (int)check("accept", call(SYS_accept, l, 0, 0));
	call(SYS_close, l, 0, 0);
}

static void attach_ring(const char *path)
{
	struct vos_hello h = {
		.magic = VOS_MAGIC, .version = VOS_VERSION, .kind = VOS_HELLO_ATTACH, .umask = 022
	};
	struct vos_welcome w;
	long memory = check("channel", vos_chan_create(&io.chan, 1, 1u << 20));

	io.chan.transport = &vos_transport_unix;
	check(path, vos_unix_attach(&io.chan, (int)memory, path, NULL, &h, &w));
	vos_raw1(SYS_close, memory);
	io.lane = vos_chan_lane(&io.chan, (int)vos_raw0(SYS_gettid), (int)vos_raw0(SYS_getpid));
}

/* Past the library: libc's own, by its handle. */
static void find_libc(void)
{
	void *h = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

	if (!h)
		die("libc.so.6", -ENOENT);
	*(void **)&libc.read = dlsym(h, "read");
	*(void **)&libc.write = dlsym(h, "write");
	*(void **)&libc.pread = dlsym(h, "pread64");
	*(void **)&libc.fcntl = dlsym(h, "fcntl64");
	if (!libc.read || !libc.write || !libc.pread || !libc.fcntl)
		die("functions of libc", -ENOENT);
}

static void open_all(const char *file, const char *socket)
{
	io.file = open(file, O_RDONLY);
	io.zero = (int)check("/dev/zero", by_instruction(SYS_open, (long)"/dev/zero", O_RDONLY, 0));
	if (io.file < 0)
		die(file, -errno);
	connect_pair(by_libc, io.sock);
	connect_pair(by_instruction, io.raw_sock);
	attach_ring(socket);
	find_libc();
}

/* All ways see the same data, and what should be forwarded is: its descriptor is no file here. */
static void check_all(void)
{
	static char seen[BENCH_DATA];
	char stat[256];

	read_file(BENCH_DATA, 1);
	memcpy(seen, io.buf, BENCH_DATA);
	raw_read_file(BENCH_DATA, 1);
	if (memcmp(seen, io.buf, BENCH_DATA))
		die("pread: other data", 0);
	if (vos_raw4(SYS_pread64, io.file, io.buf, BENCH_DATA, 0) == BENCH_DATA)
		die("the file is not forwarded", 0);
	if (vos_raw2(SYS_fstat, io.sock[0], stat) == 0 &&
	    vos_raw3(SYS_getpeername, io.sock[0], io.buf, stat) == 0)
		die("the socket is not forwarded", 0);
}

/* --- start ----------------------------------------------------------------------------------- */

static const char usage[] =
	"usage: bench [--quick] [--rounds N] [--cpus OURS,THEIRS] [--tsv FILE]\n"
	"             FORWARDED-FILE SAME-FILE-LOCALLY SERVICE-SOCKET\n";

static const char *options(int argc, char **argv, struct cpus *cpus)
{
	static const struct option all[] = { { "quick", no_argument, NULL, 'q' },
					     { "rounds", required_argument, NULL, 'r' },
					     { "cpus", required_argument, NULL, 'c' },
					     { "tsv", required_argument, NULL, 't' },
					     { 0 } };
	const char *tsv = NULL;
	bool good = true;
	int o;

	while ((o = getopt_long(argc, argv, "", all, NULL)) != -1) {
		if (o == 'q')
			rounds = 3;
		else if (o == 'r')
			good &= (rounds = atoi(optarg)) > 0 && rounds <= ROUNDS_MAX;
		else if (o == 'c')
			good &= sscanf(optarg, "%d,%d", &cpus->ours, &cpus->theirs) == 2;
		else if (o == 't')
			tsv = optarg;
		else
			good = false;
	}
	if (!good || argc - optind != 3) {
		fputs(usage, stderr);
		exit(2);
	}
	return tsv;
}

int main(int argc, char **argv)
{
	struct cpus cpus = { 0, 1 };
	const char *tsv = options(argc, argv, &cpus);
	double first;

	io.raw_file = (int)check(argv[optind + 1],
				 by_instruction(SYS_open, (long)argv[optind + 1], O_RDONLY, 0));
	line_start(cpus, io.raw_file);
	pin(cpus.ours);
	open_all(argv[optind], argv[optind + 2]);
	check_all();
	have_sqpoll = sqpoll_start(cpus, io.raw_file);
	if (have_sqpoll)
		sqpoll_rest();
	nap(REST_NS);
	first = line_trip(100000);
	for (int r = 0; r < rounds; r++)
		for (size_t i = 0; i < FIGURES; i++)
			measure(&figures[i], r);
	printf("L, a cache line's round trip: %.1f ns at the start, %.1f at the end; CPUs are %s\n",
	       first, line_trip(100000), placement());
	print_table();
	if (tsv)
		save_table(tsv);
	return 0;
}
