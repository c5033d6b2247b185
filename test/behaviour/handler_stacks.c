/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * Handlers that make calls on another stack than that of the call which they interrupt: it goes on
 * when they return. And calls on other stacks that handlers leave for good: they take no data.
 */
#include "net.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

#define STACK (256ul << 10)

static int tcp[2];
static volatile sig_atomic_t handled;
static volatile sig_atomic_t good;

/* Several calls, the last of which gives the interrupted one what it waits for. */
static void work(void)
{
	struct stat st;
	char c;
	int fd;

	for (int i = 0; i < 3; i++) {
		fd = open(P("f"), O_RDONLY);
		good += fd >= 0 && fstat(fd, &st) == 0 && st.st_size == 1;
		good += read(fd, &c, 1) == 1 && c == 'f';
		close(fd);
	}
	good += recv(tcp[1], &c, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN;
	good += write(tcp[1], "x", 1) == 1;
}

#define GOOD (3 * 2 + 2)

static void on_signal(int sig)
{
	int saved = errno;

	(void)sig;
	work();
	handled++;
	errno = saved;
}

static void handler(void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
}

static void *interrupt(void *arg)
{
	t_await_block();
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

/* A read that is interrupted by the handler, which makes it end with a byte. */
static void interrupted_read(const char *what)
{
	pthread_t self = pthread_self(), t;
	char c = 0;
	ssize_t r;

	handled = good = 0;
	MUST(pthread_create(&t, NULL, interrupt, &self) == 0);
	t_block();
	r = read(tcp[0], &c, 1);
	pthread_join(t, NULL);
	printf("%s: read %ld %c, handlers %d, good %d\n", what, (long)r, c, (int)handled,
	       good == GOOD);
}

/* --- the handlers' stack ---------------------------------------------------------------------- */

static __attribute__((noinline)) void deeper(const char *what)
{
	volatile char room[4096];

	room[0] = 0;
	interrupted_read(what);
	(void)room[0];
}

static void alternative(const char *what, unsigned int flags)
{
	char stack[STACK]; /* the frames of what is interrupted lie below */
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack), .ss_flags = (int)flags };
	stack_t none = { .ss_flags = SS_DISABLE };

	handler(on_signal, SA_RESTART | SA_ONSTACK);
	MUST(sigaltstack(&ss, NULL) == 0);
	deeper(what);
	MUST(sigaltstack(&none, NULL) == 0);
}

static void *in_thread(void *arg)
{
	(void)arg;
	alternative("SS_AUTODISARM", SS_AUTODISARM);
	return NULL;
}

/* --- coroutines ------------------------------------------------------------------------------- */

static ucontext_t thread, routine;
static char *stacks; /* of the coroutine, the thread, the coroutine; with guards in between */

#define AT(n) (stacks + (n)*2 * STACK)

static void on_signal_to_routine(int sig)
{
	(void)sig;
	swapcontext(&thread, &routine);
	handled++;
}

static void on_signal_to_thread(int sig)
{
	(void)sig;
	swapcontext(&routine, &thread);
	handled++;
}

static void routine_works(void)
{
	work();
	swapcontext(&routine, &thread);
}

static void routine_reads(void)
{
	interrupted_read("coroutine");
}

static void map_stacks(void)
{
	stacks = mmap(NULL, 5 * STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(stacks != MAP_FAILED);
	for (int i = 0; i < 3; i++)
		MUST(mprotect(AT(i), STACK, PROT_READ | PROT_WRITE) == 0);
}

static void make_routine(int at, void (*fn)(void))
{
	MUST(getcontext(&routine) == 0);
	routine.uc_stack.ss_sp = AT(at);
	routine.uc_stack.ss_size = STACK;
	routine.uc_link = &thread;
	makecontext(&routine, fn, 0);
}

static void *swaps(void *arg)
{
	(void)arg;
	for (int at = 0; at <= 2; at += 2) {
		handler(on_signal_to_routine, SA_RESTART);
		make_routine(at, routine_works);
		interrupted_read(at ? "to a coroutine above" : "to a coroutine below");
		handler(on_signal_to_thread, SA_RESTART);
		make_routine(at, routine_reads);
		swapcontext(&thread, &routine); /* it reads; its handler comes back here */
		work();
		swapcontext(&thread, &routine);
	}
	return NULL;
}

static void coroutines(void)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	MUST(pthread_attr_setstack(&attr, AT(1), STACK) == 0);
	MUST(pthread_create(&t, &attr, swaps, NULL) == 0);
	pthread_join(t, NULL);
	pthread_attr_destroy(&attr);
}

/* --- left for good ---------------------------------------------------------------------------- */

static sigjmp_buf jump;

static void on_signal_leave(int sig)
{
	(void)sig;
	handled++;
	siglongjmp(jump, 1);
}

static void leaves(void)
{
	struct itimerval once = { .it_value.tv_usec = 3000 };
	char c = 0;

	handled = 0;
	for (volatile int i = 0; i < 20; i++) {
		if (sigsetjmp(jump, 1))
			continue;
		MUST(setitimer(ITIMER_REAL, &once, NULL) == 0);
		if (read(tcp[0], &c, 1) >= 0)
			printf("read what nobody sent\n");
	}
	MUST(write(tcp[1], "y", 1) == 1);
	printf("%d jumps, then read %ld ", (int)handled, (long)read(tcp[0], &c, 1));
	printf("%c\n", c);
}

static void *leave_all(void *arg)
{
	(void)arg;
	signal(SIGALRM, on_signal_leave);
	leaves();
	make_routine(0, leaves);
	swapcontext(&thread, &routine);
	return NULL;
}

int main(void)
{
	pthread_t t;

	t_start();
	t_puts(P("f"), "f");
	net_tcp_pair(tcp);
	map_stacks();
	alternative("sigaltstack", 0);
	leave_all(NULL);
	coroutines();
	MUST(pthread_create(&t, NULL, in_thread, NULL) == 0);
	pthread_join(t, NULL);
	in_thread(NULL); /* this thread may go by nothing else from here on */
	leave_all(NULL);
	close(tcp[0]);
	close(tcp[1]);
	munmap(stacks, 5 * STACK);
	return t_end();
}
