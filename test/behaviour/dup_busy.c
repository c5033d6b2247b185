/* SPDX-License-Identifier: MIT */
/* dup2() onto a number that another thread uses all the time: each of its calls finds a file. */
#include "net.h"

#include <sched.h>

#define ROUNDS 400

static int target;
static _Atomic bool stop;
static _Atomic long calls;

static void *writer(void *arg)
{
	(void)arg;
	while (!stop) {
		CHECK(write(target, "x", 1) == 1);
		CHECK(fcntl(target, F_GETFL) >= 0);
		CHECK(lseek(target, 0, SEEK_CUR) >= 0);
		calls++;
		if (t_failed)
			break;
	}
	return NULL;
}

/* Each round goes on when the other thread has made a call since. */
static void turns(const char *what, const char *a, const char *b)
{
	int one = open(a, O_CREAT | O_WRONLY | O_APPEND, 0644);
	int two = open(b, O_CREAT | O_WRONLY | O_APPEND, 0644);
	struct stat st[2];
	pthread_t t;
	long now;

	MUST(one >= 0 && two >= 0);
	target = dup(one);
	MUST(target >= 0);
	stop = false;
	calls = 0;
	MUST(pthread_create(&t, NULL, writer, NULL) == 0);
	for (int i = 0; i < ROUNDS && !t_failed; i++) {
		CHECK(dup2(i & 1 ? one : two, target) == target);
		now = calls;
		while (i % 4 == 0 && calls == now && !t_failed)
			sched_yield();
	}
	stop = true;
	pthread_join(t, NULL);
	/* Every byte has come to one of the two. */
	CHECK(fstat(one, &st[0]) == 0 && fstat(two, &st[1]) == 0);
	printf("%s: %s\n", what, st[0].st_size + st[1].st_size == calls ? "all" : "lost");
	close(one);
	close(two);
	close(target);
}

int main(void)
{
	t_start();
	turns("there and there", P("a"), P("b"));
	turns("there and here", P("c"), L("dup_busy"));
	CHECK(unlink(L("dup_busy")) == 0);
	return t_end();
}
