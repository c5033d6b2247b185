/* SPDX-License-Identifier: MIT */
/*
 * A handler that runs at any instruction on the way into a system call ends it, if it is one that
 * should (ring/interrupt.h). The processor stops after each instruction (trap flag), and the signal
 * comes after the one that is its turn.
 */
#define _GNU_SOURCE
#include "preload/signal.h"
#include "test/unit/ring_check.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#if !defined(__x86_64__)
int main(void)
{
	printf("skip: handlers are not counted here\n");
	return 77;
}
#else

#define TRAP_FLAG 0x100
#define STEPS_MAX 200

#define CALL_LEN 2

static volatile sig_atomic_t caught, steps, chosen;
static volatile bool at_call; /* the signal came before the very system call */
static const uint8_t call[] = { 0x0f, 0x05 };

static void on_signal(int sig)
{
	(void)sig;
	caught++;
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	if (++steps < chosen)
		return;
	uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	if (steps > chosen)
		return;
	at_call = !memcmp((void *)uc->uc_mcontext.gregs[REG_RIP], call, sizeof(call));
	raise(SIGUSR1); /* blocked here: it comes when this handler returns */
}

/* Past us: this one must not count. */
static void catch_traps(void)
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	int (*libc)(int, const struct sigaction *, struct sigaction *);

	*(void **)&libc = dlsym(RTLD_NEXT, "sigaction");
	sigaddset(&sa.sa_mask, SIGUSR1);
	CHECK(libc && !libc(SIGTRAP, &sa, NULL));
}

static void handler(int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags }, now;

	CHECK(!sigaction(SIGUSR1, &sa, NULL));
	CHECK(!sigaction(SIGALRM, &sa, NULL));
	CHECK(!sigaction(SIGUSR1, NULL, &now));
	CHECK(now.sa_handler == on_signal && !((now.sa_flags ^ flags) & SA_RESTART));
}

/* futex_wait or futex_waitv on a word that nobody changes; the kernel restarts only the second. */
static long wait_for(const volatile uint32_t *count, uint32_t since, long ms, bool step)
{
	static uint32_t word;
	struct {
		uint64_t val, uaddr;
		uint32_t flags, reserved;
	} v = { 0, (uintptr_t)&word, 2, 0 };
	struct timespec until;
	long r;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ms * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	if (step)
		__asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
	r = vos_interruptible((long)&v, 1, 0, (long)&until, CLOCK_MONOTONIC, 0, SYS_futex_waitv,
			      count, since);
	__asm__ volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
	return r;
}

/* The signal at each instruction up to the system call. @ends: is it to end the call? */
static void at_each_instruction(int flags, const volatile uint32_t *count, bool ends)
{
	handler(flags);
	at_call = false;
	for (chosen = 1; chosen < STEPS_MAX && !at_call; chosen++) {
		uint32_t since = *count;
		long r;

		caught = steps = 0;
		r = wait_for(count, since, 3, true);
		CHECK(caught == 1);
		CHECK(r == (ends ? -EINTR : -ETIMEDOUT));
	}
	CHECK(at_call);
}

static void after_ms(long ms)
{
	struct itimerval it = { .it_value = { 0, ms * 1000 } };

	CHECK(!setitimer(ITIMER_REAL, &it, NULL));
}

/* While it sleeps. */
static void asleep(int flags, const volatile uint32_t *count, bool ends)
{
	uint32_t since = *count;
	long r;

	handler(flags);
	caught = 0;
	after_ms(20);
	r = wait_for(count, since, 100, false);
	CHECK(caught == 1);
	CHECK(r == (ends ? -EINTR : -ETIMEDOUT));
}

/* --- registers, and what unwinds ------------------------------------------------------------- */

static bool seen_main, seen_here;
static void interrupted(void);
int main(void);

static _Unwind_Reason_Code frame(struct _Unwind_Context *c, void *arg)
{
	const void *start = _Unwind_FindEnclosingFunction((void *)_Unwind_GetIP(c));

	(void)arg;
	seen_main |= start == (void *)main;
	seen_here |= start == (void *)interrupted;
	return _URC_NO_REASON;
}

static void on_signal_unwind(int sig)
{
	(void)sig;
	_Unwind_Backtrace(frame, NULL);
	caught++;
}

/* All registers hold what they held. */
static __attribute__((noinline)) void interrupted(void)
{
	long pid = getpid(), tid = gettid(), good;

	__asm__ volatile("mov $1, %%rbx\n\tmov $2, %%r12\n\tmov $3, %%r13\n\tmov $4, %%r14\n\t"
			 "mov $5, %%r15\n\tmov $6, %%r8\n\tmov $7, %%r9\n\tmov $8, %%r10\n\t"
			 "mov $234, %%eax\n\tsyscall\n\t" /* tgkill: the signal comes at once */
			 "add %%rbx, %%rax\n\tadd %%r12, %%rax\n\tadd %%r13, %%rax\n\t"
			 "add %%r14, %%rax\n\tadd %%r15, %%rax\n\tadd %%r8, %%rax\n\t"
			 "add %%r9, %%rax\n\tadd %%r10, %%rax\n\tadd %%rdx, %%rax"
			 : "=&a"(good)
			 : "D"(pid), "S"(tid), "d"((long)SIGUSR1)
			 : "rbx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rcx", "cc",
			   "memory");
	CHECK(good == 36 + SIGUSR1);
}

static void unwinding(void)
{
	struct sigaction sa = { .sa_handler = on_signal_unwind };

	for (int i = 0; i < 2; i++) {
		sa.sa_flags = i ? SA_RESTART : 0;
		CHECK(!sigaction(SIGUSR1, &sa, NULL));
		seen_main = seen_here = false;
		interrupted();
		CHECK(seen_here && seen_main);
	}
}

static void on_signal_exit(int sig)
{
	(void)sig;
	pthread_exit((void *)&caught);
}

static void cleanup(void *arg)
{
	*(bool *)arg = true;
}

static void *wait_to_exit(void *arg)
{
	pthread_cleanup_push(cleanup, arg);
	raise(SIGUSR1);
	pthread_cleanup_pop(0);
	return NULL;
}

static void thread_ends_in_handler(void)
{
	struct sigaction sa = { .sa_handler = on_signal_exit };
	bool cleaned = false;
	pthread_t t;
	void *r;

	CHECK(!sigaction(SIGUSR1, &sa, NULL));
	CHECK(!pthread_create(&t, NULL, wait_to_exit, &cleaned));
	CHECK(!pthread_join(t, &r));
	CHECK(r == (void *)&caught && cleaned);
}

/* --- libc's functions ----------------------------------------------------------------------- */

static void other_functions(void)
{
	struct sigaction sa;
	struct vos_handled before = vos_handled;
	sigset_t mask;

	CHECK(signal(SIGUSR2, on_signal) == SIG_DFL);
	CHECK(!raise(SIGUSR2));
	CHECK(vos_handled.any == before.any + 1 && vos_handled.hard == before.hard);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	CHECK(!siginterrupt(SIGUSR2, 1));
	CHECK(!raise(SIGUSR2));
	CHECK(vos_handled.any == before.any + 2 && vos_handled.hard == before.hard + 1);
	CHECK(signal(SIGUSR2, on_signal) == on_signal);
	CHECK(!sigaction(SIGUSR2, NULL, &sa) && !(sa.sa_flags & SA_RESTART));
	CHECK(sigismember(&sa.sa_mask, SIGUSR2));
	CHECK(!siginterrupt(SIGUSR2, 0));
	CHECK(!sigaction(SIGUSR2, NULL, &sa) && sa.sa_flags & SA_RESTART);
	CHECK(sigset(SIGUSR2, SIG_HOLD) == on_signal);
	CHECK(sigset(SIGUSR2, SIG_HOLD) == SIG_HOLD);
	CHECK(!sigprocmask(SIG_BLOCK, NULL, &mask) && sigismember(&mask, SIGUSR2));
	CHECK(sigset(SIGUSR2, on_signal) == SIG_HOLD);
	CHECK(!sigprocmask(SIG_BLOCK, NULL, &mask) && !sigismember(&mask, SIGUSR2));
	CHECK(!raise(SIGUSR2));
	CHECK(vos_handled.any == before.any + 3 && vos_handled.hard == before.hard + 2);
#pragma GCC diagnostic pop
	CHECK(sysv_signal(SIGUSR2, on_signal) == on_signal);
	CHECK(!raise(SIGUSR2));
	CHECK(!sigaction(SIGUSR2, NULL, &sa) && sa.sa_handler == SIG_DFL);
	errno = 0;
	CHECK(signal(0, on_signal) == SIG_ERR && errno == EINVAL);
	errno = 0;
	CHECK(signal(SIGKILL, on_signal) == SIG_ERR && errno == EINVAL);
	errno = 0;
	CHECK(signal(SIGUSR2, SIG_ERR) == SIG_ERR && errno == EINVAL);
	errno = 0;
	CHECK(sigaction(33, NULL, &sa) == -1 && errno == EINVAL);
	CHECK(sigaction(65, NULL, NULL) == -1 && errno == EINVAL);
	/* libc has put it back its own way, as system() does. */
	CHECK(signal(SIGUSR2, on_signal) == SIG_DFL);
	vos_signal_again(SIGUSR2);
	CHECK(!sigaction(SIGUSR2, NULL, &sa) && sa.sa_handler == on_signal);
	vos_signal_again(SIGHUP);
	CHECK(signal(SIGHUP, SIG_IGN) == SIG_DFL);
}

int main(void)
{
	catch_traps();
	at_each_instruction(0, &vos_handled.any, true);
	at_each_instruction(0, &vos_handled.hard, true);
	at_each_instruction(SA_RESTART, &vos_handled.any, true);
	at_each_instruction(SA_RESTART, &vos_handled.hard, false);
	asleep(0, &vos_handled.any, true);
	asleep(0, &vos_handled.hard, true);
	asleep(SA_RESTART, &vos_handled.any, true);
	asleep(SA_RESTART, &vos_handled.hard, false);
	unwinding();
	thread_ends_in_handler();
	other_functions();
	printf("handlers: all instructions, asleep, unwinding\n");
	return 0;
}
#endif
