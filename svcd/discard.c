/* SPDX-License-Identifier: MIT */
/*
 * Closing what a program has handed over. It may be anything, and to close it may take as long as
 * the program likes: a socket that lingers, a file whose file system is one of the program's own
 * processes, a connection in whose queue such things wait unread. So neither the control thread nor
 * a driver does it, but a few threads that are there for nothing else.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX  16
#define IDLE_SECONDS 1
#define STACK	     (128 << 10)

struct item {
	struct list list;
	int fd;
	bool drain; /* nobody else reads it: what is in its queue can be taken out */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct list queue = { &queue, &queue };
static int queued, idle, threads;

static struct item *next_item(void)
{
	struct item *i = NULL;
	struct timespec t;
	int r = 0;

	pthread_mutex_lock(&lock);
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += IDLE_SECONDS;
	while (list_empty(&queue) && r != ETIMEDOUT) {
		idle++;
		r = pthread_cond_timedwait(&work, &lock, &t);
		idle--;
	}
	if (list_empty(&queue)) {
		threads--;
	} else {
		i = list_entry(queue.next, struct item, list);
		list_del(&i->list);
		queued--;
	}
	pthread_mutex_unlock(&lock);
	return i;
}

/* The descriptors of one message. False: no more. */
static bool drain_one(int fd)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int) * 253)];
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };

	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return false;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		int *p = (int *)CMSG_DATA(h);

		if (h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t k = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int); k; k--)
			discard(p[k - 1]);
	}
	/* A message without a byte may have some, too; at the end there is neither. */
	return n > 0 || m.msg_controllen;
}

static void dispose(struct item *i)
{
	const struct linger none = { 0, 0 };

	/* Not by what it asks for: what is sent has to be sent without us. */
	setsockopt(i->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	if (i->drain) {
		shutdown(i->fd, SHUT_RDWR); /* nothing comes after what is there */
		while (drain_one(i->fd))
			;
	}
	close(i->fd);
	free(i);
}

static void *worker(void *arg)
{
	struct item *i;

	ident_thread_init();
	while ((i = next_item()))
		dispose(i);
	ident_thread_exit();
	return arg;
}

static void start_thread(void)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	if (pthread_create(&t, &attr, worker, NULL)) {
		pthread_mutex_lock(&lock);
		threads--; /* the next one tries again */
		pthread_mutex_unlock(&lock);
	}
	pthread_attr_destroy(&attr);
}

static void put(int fd, bool drain)
{
	struct item *i = malloc(sizeof(*i));
	bool start;

	if (!i) {
		close(fd);
		return;
	}
	*i = (struct item){ .fd = fd, .drain = drain };
	pthread_mutex_lock(&lock);
	list_add_tail(&i->list, &queue);
	start = ++queued > idle && threads < THREADS_MAX;
	threads += start;
	if (!start)
		pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
	if (start)
		start_thread();
}

void discard(int fd)
{
	put(fd, false);
}

void discard_connection(int fd)
{
	put(fd, true);
}
