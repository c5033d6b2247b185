/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* pthread_cancel() of threads that wait in calls; threads that end with calls on the way. */
#include "net.h"
#include <sys/epoll.h>

static int fds[2];
static int cleaned;

static void clean(void *arg)
{
	(void)arg;
	cleaned++;
}

static void *reader(void *arg)
{
	char c;

	pthread_cleanup_push(clean, NULL);
	t_block();
	if (arg)
		recv(fds[0], &c, 1, 0);
	else
		CHECK(read(fds[0], &c, 1) != 1);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *poller(void *arg)
{
	struct pollfd p = { .fd = fds[0], .events = POLLIN };

	pthread_cleanup_push(clean, NULL);
	t_block();
	poll(&p, 1, -1);
	pthread_cleanup_pop(0);
	return arg;
}

static void *not_now(void *arg)
{
	char c = 0;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	t_block();
	CHECK(read(fds[0], &c, 1) == 1);
	return c == 'x' ? arg : NULL;
}

static void cancelled(const char *label, void *(*body)(void *), void *arg)
{
	int64_t start = t_ms();
	void *ret;
	pthread_t t;

	cleaned = 0;
	MUST(pthread_create(&t, NULL, body, arg) == 0);
	t_await_block();
	MUST(pthread_cancel(t) == 0);
	if (body == not_now)
		MUST(write(fds[1], "x", 1) == 1);
	MUST(pthread_join(t, &ret) == 0);
	TOOK(start, 0, 3000);
	printf("%s: %s cleaned %d\n", label,
	       ret == PTHREAD_CANCELED ? "cancelled"
	       : ret		       ? "finished"
				       : "ended",
	       cleaned);
}

static void *short_life(void *arg)
{
	int fd = open(P("f"), O_RDONLY);
	char c = 0;

	CHECK(fd >= 0 && read(fd, &c, 1) == 1 && c == 'f');
	close(fd);
	return arg;
}

int main(void)
{
	char c;
	pthread_t t;

	t_start();
	t_puts(P("f"), "f");
	net_tcp_pair(fds);
	cancelled("read", reader, NULL);
	cancelled("recv", reader, &c);
	cancelled("poll", poller, NULL);
	cancelled("disabled", not_now, &c);
	/* Nothing was eaten by the cancelled ones. */
	MUST(write(fds[1], "z", 1) == 1);
	SHOW(read(fds[0], &c, 1));
	for (int i = 0; i < 500; i++) {
		MUST(pthread_create(&t, NULL, short_life, NULL) == 0);
		MUST(pthread_join(t, NULL) == 0);
	}
	printf("500 threads came and went\n");
	close(fds[0]);
	close(fds[1]);
	return t_end();
}
