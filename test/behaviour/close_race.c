/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* A number that is closed or replaced while another thread is blocked in a call on it. */
#include "net.h"

static int number;
static char got;

static void *reader(void *arg)
{
	(void)arg;
	t_block();
	return (void *)read(number, &got, 1);
}

static void closed(void)
{
	char c = 0;
	void *ret;
	pthread_t t;
	int sv[2];
	int below;
	int fd;

	net_tcp_pair(sv);
	/* So that sv[0] becomes the lowest free number. */
	below = dup(0);
	CHECK(below < sv[0]);
	number = sv[0];
	MUST(pthread_create(&t, NULL, reader, NULL) == 0);
	t_await_block();
	SHOW(close(sv[0]));
	/* The number is free at once and belongs to another file. */
	fd = open(P("f"), O_RDONLY);
	CHECK(fd == sv[0]);
	SHOW(read(fd, &c, 1));
	printf("new owner reads %c\n", c);
	/* The blocked call still has the connection. */
	MUST(write(sv[1], "s", 1) == 1);
	pthread_join(t, &ret);
	printf("blocked call: %ld %c\n", (long)ret, got);
	close(fd);
	close(below);
	close(sv[1]);
}

static void replaced(void)
{
	char c = 0;
	void *ret;
	pthread_t t;
	int a[2];
	int b[2];

	net_tcp_pair(a);
	net_tcp_pair(b);
	number = a[0];
	got = 0;
	MUST(pthread_create(&t, NULL, reader, NULL) == 0);
	t_await_block();
	SHOW(dup2(b[0], a[0]) == a[0]);
	MUST(write(b[1], "b", 1) == 1);
	SHOW(read(a[0], &c, 1));
	printf("new owner reads %c\n", c);
	MUST(write(a[1], "a", 1) == 1);
	pthread_join(t, &ret);
	printf("blocked call: %ld %c\n", (long)ret, got);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
}

static void *churn(void *arg)
{
	long id = (long)arg;

	for (int i = 0; i < 500; i++) {
		char c = 0;
		int fd = id % 2 ? open(P("f"), O_RDONLY) : open(P("g"), O_RDONLY);

		CHECK(fd >= 0);
		CHECK(read(fd, &c, 1) == 1);
		CHECK(c == (id % 2 ? 'f' : 'g'));
		CHECK(close(fd) == 0);
	}
	return NULL;
}

/* Numbers pass between threads all the time; nobody reads from a stranger's file. */
static void recycled(void)
{
	pthread_t t[6];

	for (long i = 0; i < 6; i++)
		MUST(pthread_create(&t[i], NULL, churn, (void *)i) == 0);
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	printf("recycled\n");
}

int main(void)
{
	t_start();
	t_puts(P("f"), "f");
	t_puts(P("g"), "g");
	closed();
	replaced();
	recycled();
	return t_end();
}
