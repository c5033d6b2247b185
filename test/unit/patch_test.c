/* SPDX-License-Identifier: MIT */
/*
 * Patching libc's system call sites: libc is patched in a child process per kind of bitmap and
 * flags, and real work is done on top of it.
 *
 * patch_test --time prints what patching and a patched call cost.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "preload/patch.h"

#if defined(__x86_64__) && !defined(__ILP32__) && defined(__GLIBC__)

#include <dirent.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>
#include "ring/raw.h"
#include "test/unit/check.h"

#define DEADLINE 60 /* seconds that any child may take */

/* --- the hook: counts, and has the kernel do it ---------------------------------------------- */

static unsigned long asked[VOS_PATCH_NRS], hooked[VOS_PATCH_NRS];
static int inside;	      /* hooks entered and not left */
static int want_hook;	      /* what vos_hook_wants() says */
static void (*in_hook)(void); /* called within the hook, when set */

__attribute__((target("general-regs-only"))) int vos_hook_wants(long nr, const long args[6])
{
	(void)args;
	__atomic_add_fetch(&asked[nr], 1, __ATOMIC_RELAXED);
	return want_hook;
}

long vos_syscall_hook(long nr, const long args[6])
{
	long ret;

	__atomic_add_fetch(&hooked[nr], 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&inside, 1, __ATOMIC_RELAXED);
	if (in_hook)
		in_hook();
	ret = vos_raw(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	__atomic_sub_fetch(&inside, 1, __ATOMIC_RELAXED);
	return ret;
}

static unsigned long times(long nr)
{
	return __atomic_load_n(&asked[nr], __ATOMIC_RELAXED);
}

/* --- the real libc --------------------------------------------------------------------------- */

static const short wanted[] = {
	SYS_open,    SYS_openat,  SYS_read,	SYS_write,	SYS_close,
	SYS_fcntl,   SYS_lseek,	  SYS_fstat,	SYS_newfstatat, SYS_getdents64,
	SYS_socket,  SYS_connect, SYS_sendto,	SYS_recvfrom,	SYS_poll,
	SYS_sendmsg, SYS_recvmsg, SYS_bind,	SYS_pread64,	SYS_pwrite64,
	SYS_dup,     SYS_dup2,	  SYS_sendmmsg, SYS_ioctl,	SYS_getsockname,
};

static struct mode {
	const char *name;
	unsigned int flags;
	bool hook, all;
} mode;

/* Sites that run under asynchronous cancellation are seen: always from glibc 2.41 on. */
static bool sees_threads(void)
{
	return mode.flags & VOS_PATCH_ASYNC || strverscmp(gnu_get_libc_version(), "2.41") >= 0;
}

static void make_want(unsigned long *want)
{
	memset(want, mode.all ? 0xff : 0, VOS_PATCH_NRS / 8);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		want[wanted[i] / 64] |= 1UL << wanted[i] % 64;
}

static char dir[] = "/tmp/virtuos-patch-XXXXXX";

static const char *file(const char *name)
{
	static char path[2][64];
	static int next;

	next = !next;
	snprintf(path[next], sizeof(path[next]), "%s/%s", dir, name);
	return path[next];
}

static void check_stdio(void)
{
	unsigned long opens = times(SYS_openat) + times(SYS_open), writes = times(SYS_write);
	unsigned long reads = times(SYS_read), closes = times(SYS_close);
	char text[64] = "";
	FILE *f = fopen(file("stdio"), "w+");

	CHECK(f && fwrite("some text\n", 1, 10, f) == 10);
	CHECK(!fflush(f) && !fseek(f, 5, SEEK_SET));
	CHECK(fread(text, 1, sizeof(text), f) == 5 && !strcmp(text, "text\n"));
	CHECK(!fclose(f));
	CHECK(times(SYS_openat) + times(SYS_open) == opens + 1);
	CHECK(times(SYS_write) == writes + 1 && times(SYS_read) > reads);
	CHECK(times(SYS_close) == closes + 1);
}

static void check_dir(void)
{
	unsigned long opens = times(SYS_openat), lists = times(SYS_getdents64);
	DIR *d = opendir(dir);
	int n = 0;

	while (d && readdir(d))
		n++;
	CHECK(d && !closedir(d) && n >= 3);
	CHECK(times(SYS_openat) == opens + 1 && times(SYS_getdents64) >= lists + 2);
}

static void check_resolver(void)
{
	unsigned long sockets = times(SYS_socket);
	struct addrinfo *list = NULL;

	CHECK(!getaddrinfo("127.0.0.1", "80", NULL, &list));
	CHECK(list && list->ai_family == AF_INET);
	freeaddrinfo(list);
	CHECK(times(SYS_socket) > sockets);
}

static void check_spawn(void)
{
	unsigned long opens = times(SYS_openat) + times(SYS_open), dups = times(SYS_dup2);
	char *argv[] = { "sh", "-c", "read x; echo \"<$x>\" >&3", NULL }, *envp[] = { NULL };
	posix_spawn_file_actions_t fa;
	char text[64] = "";
	int status;
	pid_t pid;
	FILE *f;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, file("stdio"), O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 9, file("out"), O_WRONLY | O_CREAT, 0600);
	posix_spawn_file_actions_adddup2(&fa, 9, 3);
	CHECK(!posix_spawn(&pid, "/bin/sh", &fa, NULL, argv, envp));
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	posix_spawn_file_actions_destroy(&fa);
	CHECK(times(SYS_openat) + times(SYS_open) >= opens + 2 && times(SYS_dup2) > dups);
	f = fopen(file("out"), "r");
	CHECK(f && fgets(text, sizeof(text), f) && !strcmp(text, "<some text>\n"));
	if (f)
		fclose(f);
}

static void check_errno(void)
{
	errno = 4242;
	CHECK(lseek(-1, 0, SEEK_SET) == -1 && errno == EBADF);
	CHECK(read(-1, &errno, 1) == -1 && errno == EBADF);
	CHECK(open("/nowhere/x", O_RDONLY) == -1 && errno == ENOENT);
	errno = 4242;
	CHECK(dup2(1, 1) == 1 && !close(dup(0)) && errno == 4242);
}

/* --- signals --------------------------------------------------------------------------------- */

static int pipe_fd[2];
static volatile sig_atomic_t signals;
static sigjmp_buf out;

static void on_signal(int sig)
{
	char text[8] = "";
	int fd = open(file("stdio"), O_RDONLY | O_CLOEXEC);

	(void)sig;
	CHECK(fd >= 0 && read(fd, text, 4) == 4 && !strcmp(text, "some") && !close(fd));
	signals++;
}

static void on_signal_write(int sig)
{
	(void)sig;
	CHECK(write(pipe_fd[1], "x", 1) == 1);
	signals++;
}

static void on_signal_jump(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

static void set_timer(void (*handler)(int), int flags, long first_us, long every_us)
{
	struct itimerval t = { { 0, every_us }, { 0, first_us } };
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}

static void check_signals(void)
{
	char buf[16], c = 0;
	int fd = open(file("signals"), O_RDWR | O_CREAT, 0600);

	set_timer(on_signal, SA_RESTART, 100, 100);
	for (unsigned int i = 0; signals < 200; i++) {
		memset(buf, (char)i, sizeof(buf));
		CHECK(pwrite(fd, buf, sizeof(buf), 16 * (i % 64)) == 16);
		CHECK(pread(fd, buf, sizeof(buf), 16 * (i % 64)) == 16 && buf[7] == (char)i);
		CHECK(lseek(fd, i, SEEK_SET) == (off_t)i);
	}
	set_timer(SIG_DFL, 0, 0, 0);
	close(fd);

	set_timer(on_signal, 0, 2000, 2000);
	CHECK(read(pipe_fd[0], &c, 1) == -1 && errno == EINTR);
	set_timer(on_signal_write, SA_RESTART, 2000, 0);
	CHECK(read(pipe_fd[0], &c, 1) == 1 && c == 'x');

	for (volatile int i = 0; i < 50; i++) {
		set_timer(on_signal_jump, 0, 500, 500);
		if (!sigsetjmp(out, 1))
			CHECK(!read(pipe_fd[0], &c, 1));
	}
	set_timer(SIG_DFL, 0, 0, 0);
	alarm(DEADLINE); /* it shares the timer */
}

/* --- threads and unwinding ------------------------------------------------------------------- */

static volatile pid_t reader;
static volatile int cleaned;

static void cleanup(void *arg)
{
	(void)arg;
	cleaned++;
}

static void *read_for_ever(void *arg)
{
	char c;

	(void)arg;
	pthread_cleanup_push(cleanup, NULL);
	reader = (pid_t)vos_raw0(SYS_gettid);
	while (read(pipe_fd[0], &c, 1) == 1)
		;
	pthread_cleanup_pop(0);
	return NULL;
}

/* Until @tid sleeps in a system call; by raw calls, for the counts. */
static void wait_asleep(pid_t tid)
{
	char path[64], stat[128] = "";
	long fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	do {
		fd = vos_raw3(SYS_openat, AT_FDCWD, path, O_RDONLY);
		vos_raw3(SYS_read, fd, stat, sizeof(stat) - 1);
		vos_raw1(SYS_close, fd);
	} while (!strstr(stat, ") S "));
}

static void check_cancel(void)
{
	unsigned long reads = times(SYS_read);
	int was_inside = __atomic_load_n(&inside, __ATOMIC_RELAXED);
	pthread_t thread;
	void *ret;

	cleaned = reader = 0;
	CHECK(!pthread_create(&thread, NULL, read_for_ever, NULL));
	while (!reader)
		sched_yield();
	wait_asleep(reader);
	CHECK(times(SYS_read) == reads + sees_threads());
	CHECK(!pthread_cancel(thread));
	if (mode.hook) /* which is not torn away from; the one after this is not made */
		CHECK(vos_raw3(SYS_write, pipe_fd[1], "x", 1) == 1);
	CHECK(!pthread_join(thread, &ret) && ret == PTHREAD_CANCELED && cleaned == 1);
	CHECK(__atomic_load_n(&inside, __ATOMIC_RELAXED) == was_inside);
}

static void *read_file(void *arg)
{
	char text[64] = "";
	FILE *f = fopen(arg, "r");

	CHECK(f && fgets(text, sizeof(text), f) && !strcmp(text, "some text\n") && !fclose(f));
	return NULL;
}

static void check_threads(void)
{
	const char *path = file("stdio");
	unsigned long reads = times(SYS_read);
	pthread_t thread[8];

	for (int i = 0; i < 8; i++)
		CHECK(!pthread_create(&thread[i], NULL, read_file, (void *)path));
	for (int i = 0; i < 8; i++)
		CHECK(!pthread_join(thread[i], NULL));
	CHECK(times(SYS_read) >= reads + 8 * sees_threads());
}

static volatile int frames; /* lseek() is a leaf function to the compiler, which it is not here */

extern const char __start_caller[], __stop_caller[];

static _Unwind_Reason_Code is_caller(struct _Unwind_Context *context, void *unused)
{
	const char *ip = (const char *)_Unwind_GetIP(context);

	(void)unused;
	frames += ip > __start_caller && ip <= __stop_caller;
	return _URC_NO_REASON;
}

static __attribute__((noinline, section("caller"))) void call_libc(void)
{
	char c;

	frames = 0;
	CHECK(lseek(-1, 0, SEEK_SET) == -1 && frames == 1);
	CHECK(read(-1, &c, 1) == -1 && frames == 2);
}

static void unwind(void)
{
	_Unwind_Backtrace(is_caller, NULL);
}

static void check_unwind(void)
{
	in_hook = unwind;
	call_libc();
	in_hook = NULL;
}

/* --- one child per mode ---------------------------------------------------------------------- */

static void check_libc(void)
{
	static const short never[] = { SYS_futex, SYS_mmap, SYS_clone, SYS_exit_group,
				       SYS_rt_sigprocmask };
	unsigned long want[VOS_PATCH_WORDS];
	int n;

	make_want(want);
	n = vos_libc_patch_flags(want, mode.flags);
	if (n == -EACCES)
		_exit(77);
	CHECK(n > 20);
	CHECK(vos_libc_patch_flags(want, mode.flags) == -ENOENT);
	want_hook = mode.hook;

	CHECK(!pipe2(pipe_fd, O_CLOEXEC));
	check_stdio();
	check_dir();
	check_resolver();
	check_spawn();
	check_errno();
	check_signals();
	if (mode.hook)
		check_unwind();
	check_threads();
	check_cancel();
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
		CHECK(!times(never[i]));
	CHECK(!mode.hook == !hooked[SYS_read]);
}

static void *sleep_for_ever(void *arg)
{
	pause();
	return arg;
}

static void check_refusals(void)
{
	unsigned long want[VOS_PATCH_WORDS] = { 0 };
	pthread_t thread;

	CHECK(vos_libc_patch(want) == -ENOENT);
	want[SYS_futex / 64] |= 1UL << SYS_futex % 64;
	CHECK(vos_libc_patch(want) == -ENOENT);
	make_want(want);
	CHECK(!pthread_create(&thread, NULL, sleep_for_ever, NULL));
	CHECK(vos_libc_patch(want) == -EBUSY);
}

/* mprotect() to executable fails for more than @len bytes, as a security policy would have it. */
static void refuse_exec(unsigned int len)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, len, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
	};
	struct sock_fprog prog = { sizeof(filter) / sizeof(*filter), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(77);
}

/* Refused for the stubs already, or, worse, when libc's text is to be executable again. */
static void check_no_exec(void)
{
	unsigned long want[VOS_PATCH_WORDS];
	uint8_t before[2][64];

	make_want(want);
	memcpy(before[0], (void *)lseek, 64);
	memcpy(before[1], (void *)read, 64);
	refuse_exec(mode.all ? 0 : 65536);
	CHECK(vos_libc_patch(want) == -EACCES);
	CHECK(!memcmp(before[0], (void *)lseek, 64) && !memcmp(before[1], (void *)read, 64));
	want_hook = 1;
	read_file((void *)file("stdio"));
	CHECK(!times(SYS_openat));
}

static bool run(struct mode m, void (*check)(void))
{
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		mode = m;
		failures = 0;
		alarm(DEADLINE);
		check();
		fflush(NULL);
		_exit(failures != 0);
	}
	if (waitpid(pid, &status, 0) != pid || (status && WEXITSTATUS(status) != 77)) {
		fprintf(stderr, "%s: status %x\n", m.name, status);
		failures++;
	}
	return !status;
}

/* --- figures --------------------------------------------------------------------------------- */

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static double per_call(void)
{
	double best = 1e9;

	for (int i = 0; i < 20; i++) {
		double start = now_ns();

		for (int j = 0; j < 10000; j++)
			lseek(-1, 0, SEEK_SET);
		start = (now_ns() - start) / 10000;
		best = start < best ? start : best;
	}
	return best;
}

static void print_times(void)
{
	unsigned long want[VOS_PATCH_WORDS];
	double start;
	int n;

	make_want(want);
	start = now_ns();
	n = vos_libc_patch(want);
	start = now_ns() - start;
	printf("%d sites in %.0f us; a failing lseek(): %.1f ns patched", n, start / 1e3,
	       per_call());
	want_hook = 1;
	printf(", %.1f by way of a hook\n", per_call());
}

static void print_plain(void)
{
	printf("a failing lseek(): %.1f ns\n", per_call());
}

static void remove_files(void)
{
	unlink(file("stdio"));
	unlink(file("signals"));
	unlink(file("out"));
	rmdir(dir);
}

int main(int argc, char **argv)
{
	static const struct mode modes[] = {
		{ "kernel", 0, false, false },
		{ "hook", 0, true, false },
		{ "kernel, async", VOS_PATCH_ASYNC, false, false },
		{ "hook, async", VOS_PATCH_ASYNC, true, false },
		{ "hook, async, all calls", VOS_PATCH_ASYNC, true, true },
	};
	bool able = true;
	FILE *f;

	if (argc > 1 && !strcmp(argv[1], "--time")) {
		run(modes[0], print_times);
		run(modes[0], print_plain);
		return failures != 0;
	}
	if (!mkdtemp(dir) || !(f = fopen(file("stdio"), "w")) || fputs("some text\n", f) < 0 ||
	    fclose(f)) {
		perror(dir);
		return 1;
	}
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		able = run(modes[i], check_libc) && able;
	run(modes[0], check_refusals);
	run((struct mode){ .name = "no exec for text" }, check_no_exec);
	run((struct mode){ .name = "no exec at all", .all = true }, check_no_exec);
	remove_files();
	return failures ? 1 : able ? 0 : 77;
}

#else

int vos_hook_wants(long nr, const long args[6])
{
	return (void)nr, (void)args, 0;
}

long vos_syscall_hook(long nr, const long args[6])
{
	return (void)nr, (void)args, -ENOSYS;
}

int main(void)
{
	unsigned long want[VOS_PATCH_WORDS] = { 0 };

	if (vos_libc_patch(want) != -ENOSYS)
		return 1;
	puts("skip: patching is for x86-64 glibc");
	return 77;
}

#endif
