/* SPDX-License-Identifier: MIT */
/* At the limit of descriptors calls fail before they have done anything. */
#include "net.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>

#define LIMIT 64

static struct rlimit before;
static int taken[LIMIT];
static int ntaken;

static void take_all(void)
{
	struct rlimit l;

	MUST(getrlimit(RLIMIT_NOFILE, &before) == 0);
	l = before;
	l.rlim_cur = LIMIT;
	MUST(setrlimit(RLIMIT_NOFILE, &l) == 0);
	for (ntaken = 0; ntaken < LIMIT && (taken[ntaken] = dup(0)) >= 0; ntaken++)
		;
	MUST(ntaken < LIMIT);
}

static void give_back(void)
{
	while (ntaken)
		close(taken[--ntaken]);
	MUST(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

static void files(void)
{
	struct flock lk = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd;
	pid_t pid;

	t_puts(P("f"), "precious");
	fd = open(P("f"), O_RDWR);
	MUST(fd >= 0);
	MUST(fcntl(fd, F_SETLK, &lk) == 0);
	take_all();
	SHOW(open(P("f"), O_WRONLY | O_TRUNC));
	SHOW(open(P("new"), O_WRONLY | O_CREAT | O_EXCL, 0644));
	SHOW(dup(fd));
	SHOW(fcntl(fd, F_DUPFD, 3));
	SHOW(fcntl(fd, F_DUPFD, LIMIT));
	SHOW(dup2(fd, LIMIT));
	give_back();
	t_cat("f", P("f"));
	SHOW(access(P("new"), F_OK));
	/* What failed has not closed anything: the process still has its lock. */
	pid = fork();
	if (!pid) {
		lk = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
		MUST(fcntl(fd, F_GETLK, &lk) == 0);
		_exit(lk.l_type == F_UNLCK);
	}
	t_wait("lock", pid);
	close(fd);
}

static void sockets(void)
{
	struct sockaddr_in sa;
	int lfd = net_listen(&sa);
	int c = net_connect(&sa);
	int s;
	char b = 0;

	net_await(lfd);
	take_all();
	SHOW(accept(lfd, NULL, NULL));
	SHOW(socket(AF_INET, SOCK_STREAM, 0));
	give_back();
	/* The connection waits for its turn. */
	net_await(lfd);
	s = accept(lfd, NULL, NULL);
	MUST(s >= 0);
	MUST(write(s, "x", 1) == 1);
	SHOW(read(c, &b, 1));
	close(s);
	close(c);
	close(lfd);
}

static int lfd;

static void *acceptor(void *arg)
{
	(void)arg;
	t_block();
	return (void *)(long)accept(lfd, NULL, NULL);
}

/* The number of a call that waits: nobody else gets it, and it is no descriptor yet. */
static void waiting(void)
{
	struct sockaddr_in sa;
	void *ret;
	pthread_t t;
	pid_t pid;
	int first;
	int next;
	int c;

	lfd = net_listen(&sa);
	first = dup(0);
	close(first);
	MUST(pthread_create(&t, NULL, acceptor, NULL) == 0);
	t_await_block();
	next = dup(0);
	printf("dup while accept waits: %d further\n", next - first);
	SHOW(fcntl(first, F_GETFD));
	SHOW(close(first));
	SHOW(dup2(0, first));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* The thread that waits is not in the child, nor its number. */
		CHECK(dup(0) == first);
		_exit(t_failed);
	}
	t_wait("child", pid);
	close(next);
	c = net_connect(&sa);
	pthread_join(t, &ret);
	printf("accept: %ld further\n", (long)ret - first);
	close((int)(long)ret);

	/* A thread that is cancelled while it waits gives it back. */
	MUST(pthread_create(&t, NULL, acceptor, NULL) == 0);
	t_await_block();
	pthread_cancel(t);
	pthread_join(t, &ret);
	CHECK(ret == PTHREAD_CANCELED);
	next = dup(0);
	printf("after cancellation: %d further\n", next - first);
	close(next);
	close(c);
	close(lfd);
}

static sigjmp_buf out;

static void leave(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

static void *alarmer(void *arg)
{
	t_await_block();
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

/* A call that is left for good has its number no longer once the next one like it needs one. */
static void left(void)
{
	struct sigaction sa = { .sa_handler = leave };
	struct sockaddr_in addr;
	pthread_t self = pthread_self();
	pthread_t t;
	int first;
	int fd;

	lfd = net_listen(&addr);
	fd = open(P("f"), O_RDONLY);
	MUST(fd >= 0);
	first = fd;
	close(fd);
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
	MUST(pthread_create(&t, NULL, alarmer, &self) == 0);
	if (!sigsetjmp(out, 1)) {
		t_block();
		accept(lfd, NULL, NULL);
	}
	pthread_join(t, NULL);
	net_nonblock(lfd);
	SHOW(accept(lfd, NULL, NULL));
	fd = open(P("f"), O_RDONLY);
	printf("after siglongjmp: %d further\n", fd - first);
	close(fd);
	close(lfd);
}

int main(void)
{
	t_start();
	files();
	sockets();
	waiting();
	left();
	return t_end();
}
