/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * poll() with more members than a service looks at by itself: ready at once, later, never; members
 * that are there twice, closed meanwhile; several threads at a time; a call that a signal ends.
 */
#include "net.h"
#include <pthread.h>
#include <signal.h>

#define MANY	600
#define THREADS 4

static struct sockaddr_in sa[MANY];
static int fd[MANY];

static void poke(int i)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	MUST(sendto(s, "x", 1, 0, (struct sockaddr *)&sa[i], sizeof(sa[i])) == 1);
	close(s);
}

static void drain(int i)
{
	char c;

	MUST(recv(fd[i], &c, 1, MSG_DONTWAIT) == 1);
}

static void fill(struct pollfd *p)
{
	for (int i = 0; i < MANY; i++)
		p[i] = (struct pollfd){ fd[i], POLLIN, 0 };
}

static void show(const char *label, int r, const struct pollfd *p)
{
	printf("%s: %d", label, r);
	for (int i = 0; i < MANY; i++)
		if (p[i].revents)
			printf(" %d:%x", i, (unsigned)p[i].revents);
	printf("\n");
}

struct later {
	int i;
	struct pollfd *p;
};

static void *poke_later(void *arg)
{
	t_await_block();
	poke((int)(intptr_t)arg);
	return NULL;
}

static void later(struct pollfd *p, int i, const char *label)
{
	pthread_t t;

	pthread_create(&t, NULL, poke_later, (void *)(intptr_t)i);
	t_block();
	show(label, poll(p, MANY, 20000), p);
	pthread_join(t, NULL);
	drain(i);
}

static void *wait_for_one(void *arg)
{
	struct later *l = arg;

	t_block();
	return (void *)(intptr_t)poll(l->p, MANY, 20000);
}

/* Each waits for a socket of its own among many others that stay quiet. */
static void threads(void)
{
	struct pollfd *p[THREADS];
	struct later l[THREADS];
	pthread_t t[THREADS];
	void *r;

	for (int i = 0; i < THREADS; i++) {
		p[i] = malloc(MANY * sizeof(*p[i]));
		fill(p[i]);
		for (int k = 0; k < THREADS; k++)
			if (k != i)
				p[i][k].fd = -1;
		l[i] = (struct later){ i, p[i] };
		pthread_create(&t[i], NULL, wait_for_one, &l[i]);
		t_await_block();
	}
	for (int i = THREADS - 1; i >= 0; i--) {
		poke(i);
		pthread_join(t[i], &r);
		printf("thread %d:", i);
		show("", (int)(intptr_t)r, p[i]);
		drain(i);
		free(p[i]);
	}
}

static void nothing(int sig)
{
	(void)sig;
}

static void *kill_later(void *arg)
{
	(void)arg;
	t_await_block();
	MUST(kill(getpid(), SIGALRM) == 0);
	return NULL;
}

static void interrupted(struct pollfd *p)
{
	struct sigaction action = { .sa_handler = nothing };
	sigset_t set;
	pthread_t t;

	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_create(&t, NULL, kill_later, NULL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	t_block();
	t_show("interrupted", poll(p, MANY, 20000));
	pthread_join(t, NULL);
}

int main(void)
{
	static struct pollfd p[MANY];
	int64_t start;

	t_start();
	for (int i = 0; i < MANY; i++)
		fd[i] = net_bound(SOCK_DGRAM, &sa[i]);
	fill(p);
	show("nothing", poll(p, MANY, 0), p);
	start = t_ms();
	show("nothing for 60 ms", poll(p, MANY, 60), p);
	TOOK(start, 50, 5000);
	poke(0);
	poke(299);
	poke(MANY - 1);
	net_await(fd[0]);
	net_await(fd[299]);
	net_await(fd[MANY - 1]);
	show("three", poll(p, MANY, 0), p);
	show("three, waiting", poll(p, MANY, 5000), p);
	drain(0);
	drain(299);
	drain(MANY - 1);
	later(p, 0, "the first");
	later(p, MANY - 1, "the last");

	/* Writable all the time, but that is asked of none. */
	p[1].fd = fd[0];
	p[1].events = POLLPRI;
	p[2].fd = fd[0];
	later(p, 0, "thrice there");
	p[1].events = POLLOUT;
	show("and writable", poll(p, MANY, 20000), p);
	fill(p);

	close(fd[300]);
	show("closed", poll(p, MANY, 20000), p);
	p[300].fd = fd[300] = -1;
	later(p, 301, "its neighbour");
	threads();

	interrupted(p);
	for (int i = 0; i < MANY; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	return t_end();
}
