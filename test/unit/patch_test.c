/* SPDX-License-Identifier: MIT */
/*
 * Patching libc's system call sites: the search on made-up code, then the real libc patched in
 * child processes, once per kind of bitmap and flags, with real work done on top of it.
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

#define DEADLINE 60 /* seconds that any child may take */

static int failures;

#define CHECK(cond)                                                                \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			failures++;                                                \
		}                                                                  \
	} while (0)

/* --- the hook: counts, spoils what it may spoil, and has the kernel do it ----------------------
 */

static unsigned long asked[VOS_PATCH_NRS], hooked[VOS_PATCH_NRS];
static int want_hook;	      /* what vos_hook_wants() says */
static void (*in_hook)(void); /* called within the hook, when set */

__attribute__((target("general-regs-only"))) int vos_hook_wants(long nr, const long args[6])
{
	(void)args;
	__atomic_add_fetch(&asked[nr], 1, __ATOMIC_RELAXED);
	return want_hook;
}

static void spoil_vectors(void)
{
	static const float zero[16];

	__asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm15, %%xmm15" ::: "xmm0", "xmm15");
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vzeroall" ::: "memory");
	if (__builtin_cpu_supports("avx512f"))
		__asm__ volatile(
			"vmovups %0, %%zmm17; vmovups %0, %%zmm31; kxnorw %%k1, %%k1, %%k1" ::"m"(
				zero));
}

long vos_syscall_hook(long nr, const long args[6])
{
	__atomic_add_fetch(&hooked[nr], 1, __ATOMIC_RELAXED);
	if (in_hook)
		in_hook();
	spoil_vectors();
	return vos_raw(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}

static unsigned long times(long nr)
{
	return __atomic_load_n(&asked[nr], __ATOMIC_RELAXED);
}

/* --- the search --------------------------------------------------------------------------------
 */

#define AT	     300 /* where a case's code is put; enable_asynccancel() and others have fixed places */
#define ENABLE_ASYNC 100
#define CODE(s)	     s, sizeof(s) - 1
#define SYSCALL	     "\x0f\x05"
#define CMP	     "\x48\x3d\x00\xf0\xff\xff"

static const struct {
	const char *name, *code;
	size_t len;
	int kind, nr, at; /* at: from the start of the code on */
} cases[] = {
	{ "mov", CODE("\xb8\x01\x00\x00\x00" SYSCALL), VOS_SITE_MOV, 1, 0 },
	{ "mov, cmp", CODE("\xb8\x01\x01\x00\x00" SYSCALL CMP), VOS_SITE_MOV, 257, 0 },
	{ "mov of a number like a jmp", CODE("\xb8\xeb\x00\x00\x00" SYSCALL), VOS_SITE_MOV, 235,
	  0 },
	{ "not wanted", CODE("\xb8\x27\x00\x00\x00" SYSCALL CMP), 0, 0, 0 },
	{ "never: futex", CODE("\xb8\xca\x00\x00\x00" SYSCALL CMP), 0, 0, 0 },
	{ "no such number", CODE("\xb8\x00\x04\x00\x00" SYSCALL), 0, 0, 0 },
	{ "mov to r8d", CODE("\x41\xb8\x01\x00\x00\x00" SYSCALL), 0, 0, 0 },
	{ "mov to r8d, cmp", CODE("\x41\xb8\x01\x00\x00\x00" SYSCALL CMP), VOS_SITE_CMP, -1, 6 },
	{ "movl to -72(%rbp)", CODE("\xc7\x45\xb8\x01\x00\x00\x00" SYSCALL), 0, 0, 0 },
	{ "movl to -72(%rsp)", CODE("\xc7\x44\x24\xb8\x01\x00\x00\x00" SYSCALL), 0, 0, 0 },
	{ "xor, cmp", CODE("\x31\xc0" SYSCALL CMP), VOS_SITE_CMP, 0, 2 },
	{ "cmp, unknown", CODE("\x48\x89\xfe" SYSCALL CMP), VOS_SITE_CMP, -1, 3 },
	{ "cmp, xor of r8d", CODE("\x45\x31\xc0" SYSCALL CMP), VOS_SITE_CMP, -1, 3 },
	{ "cmp, mov before", CODE("\xb8\x01\x00\x00\x00\x48\x89\xfe" SYSCALL CMP), VOS_SITE_CMP, 1,
	  8 },
	{ "cmp, behind ret", CODE("\xb8\x27\x00\x00\x00\xc3\x90" SYSCALL CMP), VOS_SITE_CMP, -1,
	  7 },
	{ "cmp, futex by r8d", CODE("\x41\xb8\xca\x00\x00\x00\x44\x89\xc0" SYSCALL CMP), 0, 0, 0 },
	{ "cmp, read by ebp", CODE("\xbd\x00\x00\x00\x00\x89\xe8" SYSCALL CMP), VOS_SITE_CMP, 0,
	  7 },
	{ "another cmp", CODE("\x48\x89\xfe" SYSCALL "\x48\x3d\x01\xf0\xff\xff"), 0, 0, 0 },
	{ "stack", CODE("\x48\x8b\x44\x24\x10" SYSCALL "\x5b\xc3"), VOS_SITE_STACK, -1, 0 },
	{ "cancel_arch alone", CODE("\x4c\x89\x5c\x24\x08" SYSCALL "\xc3"), 0, 0, 0 },
	/* branches: to the first byte, to syscall behind a mov, and into what is replaced */
	{ "jmp to mov", CODE("\xeb\x00\xb8\x01\x00\x00\x00" SYSCALL), VOS_SITE_MOV, 1, 2 },
	{ "jmp to syscall", CODE("\xeb\x05\xb8\x01\x00\x00\x00" SYSCALL), VOS_SITE_MOV, 1, 2 },
	{ "jmp into mov", CODE("\xeb\x01\xb8\x01\x00\x00\x00" SYSCALL), 0, 0, 0 },
	{ "jcc back into mov", CODE("\xb8\x01\x00\x00\x00" SYSCALL "\x75\xfb"), 0, 0, 0 },
	{ "loop into mov", CODE("\xe2\x04\xb8\x01\x00\x00\x00" SYSCALL), 0, 0, 0 },
	{ "call into mov", CODE("\xe8\x01\x00\x00\x00\xb8\x01\x00\x00\x00" SYSCALL), 0, 0, 0 },
	{ "near jcc into mov", CODE("\x0f\x84\x02\x00\x00\x00\xb8\x01\x00\x00\x00" SYSCALL), 0, 0,
	  0 },
	{ "jmp to syscall, cmp", CODE("\xeb\x02\x31\xc0" SYSCALL CMP), VOS_SITE_CMP, 0, 4 },
	{ "jmp to cmp", CODE("\xeb\x04\x31\xc0" SYSCALL CMP), 0, 0, 0 },
	{ "jcc back to cmp", CODE("\x31\xc0" SYSCALL CMP "\x74\xf8"), 0, 0, 0 },
	{ "jmp behind cmp", CODE("\xeb\x0a\x31\xc0" SYSCALL CMP), VOS_SITE_CMP, 0, 4 },
	/* call of enable_asynccancel() at ENABLE_ASYNC */
	{ "async", CODE("\xe8\x33\xff\xff\xff\x41\x89\xc0\xb8\x01\x00\x00\x00" SYSCALL CMP),
	  VOS_SITE_MOV | 0x100, 1, 8 },
	{ "async, cmp", CODE("\xe8\x33\xff\xff\xff\x41\x89\xc0\x31\xc0" SYSCALL CMP),
	  VOS_SITE_CMP | 0x100, 0, 10 },
	{ "call of another", CODE("\xe8\x34\xff\xff\xff\xb8\x01\x00\x00\x00" SYSCALL CMP),
	  VOS_SITE_MOV, 1, 5 },
};

/* As glibc 2.36 and 2.31 have it; the second as a build for CET starts. */
static const char enable_async[] = "\x64\x48\x8b\x0c\x25\x10\x00\x00\x00\x8b\x91\x08\x03\x00\x00"
				   "\x48\x8d\xb9\x08\x03\x00\x00\x89\xd6\x83\xce\x02\x39\xd6\x74"
				   "\x21\x89\xd0\xf0\x0f\xb1\x37\xc3";
static const char enable_async_old[] = "\xf3\x0f\x1e\xfa\x64\x8b\x04\x25\x08\x03\x00\x00\x41\x89"
				       "\xc3\x41\x83\xcb\x02\x41\x39\xc3\x74\x17\xf0\x64\x44\x0f"
				       "\xb1\x1c\x25\x08\x03\x00\x00\xc3";

static uint8_t code[1024];
static struct vos_site site[VOS_PATCH_NRS];

static int scan(const unsigned long *want, unsigned int flags, struct vos_text *text, int max)
{
	text->start = code;
	text->end = code + sizeof(code);
	return vos_patch_scan(text, want, flags, site, max);
}

static void check_case(size_t i, const unsigned long *want, const char *enable, size_t len)
{
	struct vos_text text;
	bool async = cases[i].kind & 0x100;
	int n;

	memset(code, 0x90, sizeof(code));
	memcpy(code + ENABLE_ASYNC, enable, len);
	memcpy(code + AT, cases[i].code, cases[i].len);
	n = scan(want, 0, &text, 8);
	if (async) {
		CHECK(n == 0);
		n = scan(want, VOS_PATCH_ASYNC, &text, 8);
	}
	if (n == (cases[i].kind != 0) &&
	    (n == 0 || (site[0].kind == (cases[i].kind & 0xff) && site[0].nr == cases[i].nr &&
			site[0].async == async && site[0].at == code + AT + cases[i].at)))
		return;
	fprintf(stderr, "%s: %d sites, the first: kind %d, number %d, at %td\n", cases[i].name, n,
		site[0].kind, site[0].nr, site[0].at - (code + AT));
	failures++;
}

/* glibc 2.41's two functions; the call is in front of the VOS_SITE_STACK, and must be patched. */
static void check_cancel_arch(const unsigned long *want)
{
	static const char arch[] = "\x8b\x07\xf6\x07\x08\x0f\x85\xd5\x4b\xff\xff\x49\x89\xfb\x48"
				   "\x89\xf0\x4c\x8b\x4c\x24\x10\x4c\x89\x5c\x24\x08\x0f\x05\xc3";
	static const char caller[] = "\xe8\xc3\x00\x00\x00\x59\x5e\xc3\x48\x8b\x44\x24\x20\x0f\x05";
	struct vos_text text;

	memset(code, 0x90, sizeof(code));
	memcpy(code + AT, caller, sizeof(caller) - 1);
	memcpy(code + AT + 200, arch, sizeof(arch) - 1);
	CHECK(scan(want, 0, &text, 8) == 2);
	CHECK(site[0].kind == VOS_SITE_STACK && site[0].at == code + AT + 8);
	CHECK(site[1].kind == VOS_SITE_CALL && site[1].at == code + AT);
	CHECK(text.cancel_arch == code + AT + 200 && text.canceled_mask == 8);
	CHECK(scan(want, 0, &text, 1) == -ENOSPC);

	code[AT]++; /* nobody calls it */
	CHECK(scan(want, 0, &text, 8) == 1 && !text.cancel_arch);
}

static void check_search(void)
{
	unsigned long want[VOS_PATCH_WORDS] = { 0 };
	const int wanted[] = { SYS_read, SYS_write, SYS_openat, SYS_utimes, SYS_futex };

	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		want[wanted[i] / 64] |= 1UL << wanted[i] % 64;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		check_case(i, want, enable_async, sizeof(enable_async) - 1);
		check_case(i, want, enable_async_old, sizeof(enable_async_old) - 1);
	}
	check_cancel_arch(want);
}

/* --- registers ---------------------------------------------------------------------------------
 */

struct regs {
	uint64_t general[8];  /* rdi rsi rdx r10 r8 r9 rbx flags */
	uint64_t red_zone[8]; /* every other word of it */
	uint8_t vector[32][64];
};

/*
 * A site as its stub sees it. test_site() loads all of @regs, goes to test_entry as a stub does,
 * and stores all again. test_vectors: 0 xmm, 1 ymm, 2 zmm.
 */
void vos_patch_entry(void);
void vos_patch_entry_async(void);
long test_site(struct regs *regs, long nr);
extern const char test_back[];
void (*test_entry)(void);
const void *test_caller;
int test_vectors;

#define ALL16		 "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
#define ALL32		 ALL16 ",16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
#define EACH(list, insn) ".irp i," list "\n" insn "\n.endr\n"

__asm__(".text\n"
	"test_site:\n"
	"	push %rbx; push %r12; push %r13; push %r14\n"
	"	mov %rdi, %r12; mov %rsi, %r13; lea 128(%rdi), %rbx\n"
	"	cmpl $1, test_vectors(%rip); je 2f; ja 3f\n" EACH(ALL16, "movups \\i*64(%rbx), %xmm\\i") "	jmp 4f\n2:" EACH(
		ALL16,
		"vmovups \\i*64(%rbx), %ymm\\i") "	jmp 4f\n3:" EACH(ALL32,
									  "vmovups \\i*64(%rbx), %zmm\\i") "4:	push 56(%r12); popf\n" EACH("0,1,2,3,4,5,6,7", "mov 64+8*\\i(%r12), %rax; mov %rax, -128+16*\\i(%rsp)") "	mov (%r12), %rdi; mov 8(%r12), %rsi; mov 16(%r12), %rdx; mov 24(%r12), %r10\n"
																											   "	mov 32(%r12), %r8; mov 40(%r12), %r9; mov 48(%r12), %rbx\n"
																											   "	mov %r13, %rax; lea test_back(%rip), %r11; mov test_caller(%rip), %rcx\n"
																											   "	jmp *test_entry(%rip)\n"
																											   "test_back: syscall\n"
																											   "	mov %rax, %r14\n"
																											   "	mov %rdi, (%r12); mov %rsi, 8(%r12); mov %rdx, 16(%r12); mov %r10, 24(%r12)\n"
																											   "	mov %r8, 32(%r12); mov %r9, 40(%r12); mov %rbx, 48(%r12)\n" EACH("0,1,2,3,4,5,6,7", "mov -128+16*\\i(%rsp), %rax; mov %rax, 64+8*\\i(%r12)") "	pushf; pop 56(%r12); lea 128(%r12), %rbx\n"
																																														"	cmpl $1, test_vectors(%rip); je 2f; ja 3f\n" EACH(
																																															ALL16,
																																															"movups %xmm\\i, \\i*64(%rbx)") "	jmp 4f\n2:" EACH(ALL16, "vmovups %ymm\\i, \\i*64(%rbx)") "	jmp 4f\n3:" EACH(ALL32,
																																																														  "vmovups %zmm\\i, \\i*64(%rbx)") "4:	mov %r14, %rax; pop %r14; pop %r13; pop %r12; pop %rbx\n"
																																																																		   "	ret\n");

static void check_registers(void)
{
	static const uint64_t flags[] = { 0x202, 0xad7, 0xa93, 0x246 }; /* IF and status flags */
	struct regs regs, want;

	test_vectors = __builtin_cpu_supports("avx512f") ? 2
		       : __builtin_cpu_supports("avx")	 ? 1
							 : 0;
	for (int i = 0; i < 64; i++) {
		for (size_t j = 0; j < sizeof(regs); j++)
			((uint8_t *)&regs)[j] = (uint8_t)rand();
		regs.general[7] = flags[i & 3];
		want = regs;
		test_entry = i & 8 ? vos_patch_entry_async : vos_patch_entry;
		test_caller = i & 16 ? test_back + 8 : test_back;
		CHECK(test_site(&regs, SYS_lseek) == -EBADF);
		CHECK(!memcmp(&regs, &want, sizeof(regs)));
	}
}

/* --- the real libc -----------------------------------------------------------------------------
 */

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

/* --- signals -----------------------------------------------------------------------------------
 */

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
}

/* --- threads and unwinding ---------------------------------------------------------------------
 */

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
}

static void *copy_file(void *arg)
{
	char text[64] = "";
	FILE *f = fopen(arg, "r");

	CHECK(f && fgets(text, sizeof(text), f) && !strcmp(text, "some text\n") && !fclose(f));
	return NULL;
}

static void check_threads(void)
{
	unsigned long reads = times(SYS_read);
	pthread_t thread[8];

	for (int i = 0; i < 8; i++)
		CHECK(!pthread_create(&thread[i], NULL, copy_file, (void *)file("stdio")));
	for (int i = 0; i < 8; i++)
		CHECK(!pthread_join(thread[i], NULL));
	CHECK(times(SYS_read) >= reads + 8 * sees_threads());
}

static int frames;

static _Unwind_Reason_Code is_caller(struct _Unwind_Context *context, void *start)
{
	uintptr_t ip = _Unwind_GetIP(context);

	frames += ip >= (uintptr_t)start && ip < (uintptr_t)start + 256;
	return _URC_NO_REASON;
}

static __attribute__((noinline)) void call_libc(void)
{
	char c;

	frames = 0;
	CHECK(lseek(-1, 0, SEEK_SET) == -1 && frames == 1);
	CHECK(read(-1, &c, 1) == -1 && frames == 2);
}

static void unwind(void)
{
	_Unwind_Backtrace(is_caller, (void *)call_libc);
}

static void check_unwind(void)
{
	in_hook = unwind;
	call_libc();
	in_hook = NULL;
}

/* --- one child per mode ------------------------------------------------------------------------
 */

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
	CHECK(n > 40);
	CHECK(vos_libc_patch_flags(want, mode.flags) == -ENOENT);
	want_hook = mode.hook;

	CHECK(!pipe2(pipe_fd, O_CLOEXEC));
	check_registers();
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
	copy_file((void *)file("stdio"));
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

/* --- figures -----------------------------------------------------------------------------------
 */

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
	double plain = per_call(), start;
	int n;

	make_want(want);
	start = now_ns();
	n = vos_libc_patch(want);
	start = now_ns() - start;
	printf("%d sites in %.0f us; a failing lseek(): %.1f ns plain", n, start / 1e3, plain);
	printf(", %.1f patched", per_call());
	want_hook = 1;
	printf(", %.1f by way of a hook\n", per_call());
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
		print_times();
		return 0;
	}
	check_search();
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
