/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * Epoll descriptors over exec: members that stay and that are closed, edges and one-shot, numbers
 * that are duplicates, sets in sets, and what can be done with all of them afterwards.
 */
#include "net.h"
#include <spawn.h>
#include <sys/epoll.h>

extern char **environ;

enum { EP, COPY, OUTER, PIPE, UDP, EDGE, ONCE, FIFO, FEED, NFDS };

static void add(int ep, int fd, uint32_t events, const char *name)
{
	struct epoll_event ev = { .events = events };

	/* Something that a service could not guess. */
	memcpy(&ev.data, name, strnlen(name, sizeof(ev.data)));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
}

static int by_name(const void *a, const void *b)
{
	return memcmp(&((const struct epoll_event *)a)->data,
		      &((const struct epoll_event *)b)->data, 8);
}

static void look(const char *label, int ep)
{
	struct epoll_event ev[16];
	int n = epoll_wait(ep, ev, 16, 50);

	printf("%s:", label);
	if (n > 0)
		qsort(ev, (size_t)n, sizeof(ev[0]), by_name);
	/* A set that is ready in more than one domain is named as often. */
	for (int i = 0; i < n; i++)
		if (!i || by_name(&ev[i], &ev[i - 1]))
			printf(" %.8s %x", (const char *)&ev[i].data, ev[i].events);
	printf("\n");
}

static int image(const int fd[NFDS])
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 0x64656573 };
	char buf[16];
	int late[2];

	setvbuf(stdout, NULL, _IOLBF, 4096);
	look("told before", fd[EP]);
	SHOW(send(fd[FEED], "more", 4, 0));
	SHOW(write(fd[FIFO], "x", 1));
	net_await(fd[UDP]);
	look("arrived", fd[EP]);
	look("outer", fd[OUTER]);
	look("copy", fd[COPY]);
	SHOW(recv(fd[UDP], buf, sizeof(buf), 0));
	SHOW(read(fd[PIPE], buf, sizeof(buf)));
	look("read", fd[EP]);
	/* The members are still the same. */
	SHOW(epoll_ctl(fd[EP], EPOLL_CTL_ADD, fd[UDP], &ev));
	SHOW(epoll_ctl(fd[EP], EPOLL_CTL_MOD, fd[UDP], &ev));
	ev.events |= EPOLLONESHOT;
	SHOW(epoll_ctl(fd[EP], EPOLL_CTL_MOD, fd[ONCE], &ev));
	look("armed again", fd[COPY]);
	SHOW(epoll_ctl(fd[EP], EPOLL_CTL_DEL, fd[EDGE], NULL));
	SHOW(epoll_ctl(fd[EP], EPOLL_CTL_DEL, fd[EDGE], NULL));
	SHOW(epoll_ctl(fd[EP], EPOLL_CTL_DEL, fd[PIPE], NULL));
	SHOW(epoll_ctl(fd[EP], EPOLL_CTL_DEL, 99, NULL));
	/* A new one. */
	net_udp_pair(late);
	add(fd[EP], late[0], EPOLLIN, "late");
	MUST(send(late[1], "x", 1, 0) == 1);
	net_await(late[0]);
	look("late", fd[EP]);
	close(fd[EP]);
	look("by its other number", fd[COPY]);
	look("from outside", fd[OUTER]);
	close(fd[COPY]);
	look("all numbers closed", fd[OUTER]);
	return t_failed;
}

static void start(const char *label, char **argv, bool spawn)
{
	pid_t pid;

	printf("-- %s\n", label);
	if (spawn) {
		MUST(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) == 0);
	} else {
		pid = fork();
		if (!pid) {
			execv("/proc/self/exe", argv);
			_exit(127);
		}
	}
	t_wait(label, pid);
}

static void fill(int fd[NFDS], int others[4])
{
	int udp[2];
	int edge[2];
	int gone[2];
	int pipefd[2];

	net_udp_pair(udp);
	net_udp_pair(edge);
	net_udp_pair(gone);
	MUST(pipe(pipefd) == 0);
	fd[EP] = epoll_create1(0);
	fd[OUTER] = epoll_create1(0);
	fd[PIPE] = pipefd[0];
	fd[UDP] = udp[0];
	fd[FEED] = udp[1];
	fd[EDGE] = edge[0];
	fd[ONCE] = dup(edge[0]);
	MUST(mkfifo(P("fifo"), 0600) == 0);
	fd[FIFO] = open(P("fifo"), O_RDWR);
	others[0] = pipefd[1];
	others[1] = edge[1];
	others[2] = gone[0];
	others[3] = gone[1];
	MUST(fcntl(gone[0], F_SETFD, FD_CLOEXEC) == 0);
	add(fd[EP], fd[PIPE], EPOLLIN, "pipe");
	add(fd[EP], fd[UDP], EPOLLIN, "udp");
	add(fd[EP], fd[EDGE], EPOLLIN | EPOLLET, "edge");
	add(fd[EP], fd[ONCE], EPOLLIN | EPOLLONESHOT, "once");
	add(fd[EP], fd[FIFO], EPOLLIN, "fifo");
	add(fd[EP], gone[0], EPOLLIN, "gone");
	add(fd[OUTER], fd[EP], EPOLLIN, "inner");
	fd[COPY] = dup(fd[EP]);
	MUST(send(edge[1], "x", 1, 0) == 1);
	net_await(fd[EDGE]);
	look("before", fd[EP]);
}

static void run(const char *label, bool spawn)
{
	char text[NFDS][16];
	char *argv[NFDS + 2] = { "image" };
	int others[4];
	int fd[NFDS];

	fill(fd, others);
	/* Nobody here keeps it open, so with exec it leaves the set. */
	MUST(write(others[0], "p", 1) == 1);
	for (int i = 0; i < NFDS; i++) {
		snprintf(text[i], sizeof(text[i]), "%d", fd[i]);
		argv[i + 1] = text[i];
	}
	start(label, argv, spawn);
	for (int i = 0; i < NFDS; i++)
		close(fd[i]);
	for (int i = 0; i < 4; i++)
		close(others[i]);
	unlink(P("fifo"));
}

/* Without a fork, so that what is close-on-exec is closed for good. */
static int replace(char **argv)
{
	int fd[NFDS];

	(void)argv;
	for (int i = 0; i < NFDS; i++)
		fd[i] = atoi(argv[i + 2]);
	return image(fd);
}

static void by_itself(void)
{
	pid_t pid;

	printf("-- exec without fork\n");
	pid = fork();
	if (!pid) {
		char text[NFDS][16];
		char *argv[NFDS + 3] = { "image", "closed" };
		int others[4];
		int fd[NFDS];

		fill(fd, others);
		MUST(write(others[0], "p", 1) == 1);
		MUST(send(others[3], "into what is closed", 19, 0) == 19);
		for (int i = 0; i < NFDS; i++) {
			snprintf(text[i], sizeof(text[i]), "%d", fd[i]);
			argv[i + 2] = text[i];
		}
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	t_wait("exec without fork", pid);
	unlink(P("fifo"));
}

int main(int argc, char **argv)
{
	int fd[NFDS];

	if (argc == NFDS + 2)
		return replace(argv);
	if (argc == NFDS + 1) {
		for (int i = 0; i < NFDS; i++)
			fd[i] = atoi(argv[i + 1]);
		return image(fd);
	}
	t_start();
	run("fork and exec", false);
	run("posix_spawn", true);
	by_itself();
	return t_end();
}
