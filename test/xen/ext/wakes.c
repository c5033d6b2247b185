/* SPDX-License-Identifier: MIT */
/*
 * wakes ROUNDS: threads of a program sleep in remote calls; how often do they wake up for what is not
 * theirs? Each waits for datagrams on a socket of its own, and is sent one at a time, when all sleep.
 * Whoever sleeps again gives up its processor once ("voluntary" context switches): so once for each
 * datagram is right, and not at all for those of others. Fails if it is more.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS 8

static struct sleeper {
	pthread_t thread;
	int sock;
	_Atomic int tid;
	_Atomic unsigned got;
	struct sockaddr_in at;
	long before;
} sleepers[THREADS];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void *receive(void *arg)
{
	struct sleeper *s = arg;
	char byte;

	s->tid = gettid();
	for (;;) {
		if (recv(s->sock, &byte, 1, 0) != 1)
			fail("recv");
		s->got++;
	}
	return NULL;
}

static FILE *open_task(const struct sleeper *s, const char *file)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", s->tid, file);
	f = fopen(path, "r");
	if (!f)
		fail(path);
	return f;
}

static void await_sleep(const struct sleeper *s)
{
	char state = 0;

	while (state != 'S') {
		FILE *f = open_task(s, "stat");

		if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			fail("stat");
		fclose(f);
		if (state != 'S')
			usleep(1000);
	}
}

static long switches(const struct sleeper *s)
{
	FILE *f = open_task(s, "status");
	char line[128];
	long n = -1;

	while (fgets(line, sizeof(line), f) &&
	       sscanf(line, "voluntary_ctxt_switches: %ld", &n) != 1)
		;
	fclose(f);
	return n;
}

/* Asleep, and for good: it has been so, with nothing in between, for a while. */
static void await_rest(const struct sleeper *s)
{
	long n = -1, now;

	while (await_sleep(s), now = switches(s), now != n) {
		n = now;
		usleep(20000);
	}
}

static void start(struct sleeper *s)
{
	socklen_t len = sizeof(s->at);

	s->at = (struct sockaddr_in){ .sin_family = AF_INET };
	s->at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->sock = socket(AF_INET, SOCK_DGRAM, 0);
	if (s->sock < 0 || bind(s->sock, (struct sockaddr *)&s->at, len) ||
	    getsockname(s->sock, (struct sockaddr *)&s->at, &len))
		fail("socket");
	pthread_create(&s->thread, NULL, receive, s);
	while (!s->tid)
		usleep(1000);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 20;
	int sock = socket(AF_INET, SOCK_DGRAM, 0);
	long own = 0, others = 0;

	for (int i = 0; i < THREADS; i++)
		start(&sleepers[i]);
	for (unsigned r = 0; r < rounds; r++) {
		struct sleeper *due = &sleepers[r % THREADS];
		unsigned got = due->got;

		for (int i = 0; i < THREADS; i++) {
			await_rest(&sleepers[i]);
			sleepers[i].before = switches(&sleepers[i]);
		}
		if (sendto(sock, "", 1, 0, (struct sockaddr *)&due->at, sizeof(due->at)) != 1)
			fail("sendto");
		while (due->got == got)
			usleep(1000);
		for (int i = 0; i < THREADS; i++) {
			await_rest(&sleepers[i]);
			*(&sleepers[i] == due ? &own : &others) +=
				switches(&sleepers[i]) - sleepers[i].before;
		}
	}
	printf("%u datagrams, %d threads: those that they were for slept %ld times, the others %ld\n",
	       rounds, THREADS, own, others);
	return own != (long)rounds || others;
}
