/* SPDX-License-Identifier: MIT */
/* A fork while other threads open and close: a child has what its numbers say, and nothing else. */
#include "net.h"

#define ROUNDS 60

static _Atomic int go;
static _Atomic bool stop;
static int closing;

static void *closer(void *arg)
{
	while (!go)
		;
	for (volatile long i = 0; i < (long)arg * 200; i++)
		;
	close(closing);
	return NULL;
}

/* Says whether it has the number, and if so by the connection itself; goes on until @until ends. */
static void child(int fd, int say, int until)
{
	char has = fcntl(fd, F_GETFD) >= 0;
	char c;

	if (has)
		CHECK(write(fd, "c", 1) == 1);
	MUST(write(say, &has, 1) == 1);
	CHECK(read(until, &c, 1) == 0);
	_exit(t_failed);
}

static void round_of(const struct sockaddr_in *sa, int lfd, long delay)
{
	int say[2];
	int until[2];
	int s;
	char has = 0;
	char c = 0;
	int status;
	pthread_t t;
	pid_t pid;

	closing = net_connect(sa);
	s = accept(lfd, NULL, NULL);
	MUST(s >= 0 && pipe(say) == 0 && pipe(until) == 0);
	go = 0;
	MUST(pthread_create(&t, NULL, closer, (void *)delay) == 0);
	go = 1;
	pid = fork();
	if (!pid) {
		close(until[1]);
		close(s);
		child(closing, say[1], until[0]);
	}
	pthread_join(t, NULL);
	MUST(read(say[0], &has, 1) == 1);
	if (has)
		CHECK(read(s, &c, 1) == 1 && c == 'c');
	else
		CHECK(read(s, &c, 1) == 0); /* while the child lives */
	close(until[1]);
	if (has)
		CHECK(read(s, &c, 1) == 0);
	MUST(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0);
	close(until[0]);
	close(say[0]);
	close(say[1]);
	close(s);
}

static void *opener(void *arg)
{
	while (!stop) {
		int fd = open(arg, O_RDONLY);
		int d = dup(fd);

		CHECK(fd >= 0 && d >= 0);
		CHECK(dup2(0, fd) == fd);
		CHECK(dup2(d, fd) == fd);
		close(fd);
		close(d);
	}
	return NULL;
}

/* Each number that is there in a child stands for something. */
static void complete(void)
{
	pthread_t t[3];
	const char *path = P("f");

	for (int i = 0; i < 3; i++)
		MUST(pthread_create(&t[i], NULL, opener, (void *)path) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct stat st;
		int status;
		pid_t pid = fork();

		MUST(pid >= 0);
		if (!pid) {
			for (int fd = 0; fd < 64; fd++)
				if (fcntl(fd, F_GETFD) >= 0)
					CHECK(fstat(fd, &st) == 0 && !(st.st_nlink == 0));
			_exit(t_failed);
		}
		MUST(waitpid(pid, &status, 0) == pid);
		CHECK(status == 0);
	}
	stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	printf("complete\n");
}

int main(void)
{
	struct sockaddr_in sa;
	int lfd;

	t_start();
	t_puts(P("f"), "f");
	lfd = net_listen(&sa);
	for (long i = 0; i < ROUNDS; i++)
		round_of(&sa, lfd, i);
	printf("closed\n");
	close(lfd);
	complete();
	return t_end();
}
