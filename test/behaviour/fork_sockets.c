/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* fork() with sockets: a server with a process per connection, pre-forked acceptors, last close. */
#include "net.h"

static void serve(int fd)
{
	char buf[256];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		MUST(write(fd, buf, (size_t)n) == n);
	close(fd);
}

static void ask(const struct sockaddr_in *sa, int i)
{
	char text[32];
	char back[32] = "";
	int fd = net_connect(sa);

	snprintf(text, sizeof(text), "question %d", i);
	MUST(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	MUST(shutdown(fd, SHUT_WR) == 0);
	MUST(recv(fd, back, strlen(text), MSG_WAITALL) == (ssize_t)strlen(text));
	CHECK(!strcmp(text, back));
	CHECK(read(fd, back, 1) == 0);
	close(fd);
}

static void process_per_connection(void)
{
	struct sockaddr_in sa;
	int lfd = net_listen(&sa);
	pid_t server = fork();

	if (!server) {
		for (int i = 0; i < 10; i++) {
			int fd = accept(lfd, NULL, NULL);
			pid_t pid;

			MUST(fd >= 0);
			pid = fork();
			if (!pid) {
				close(lfd);
				serve(fd);
				_exit(t_failed);
			}
			close(fd);
		}
		while (wait(NULL) > 0)
			;
		_exit(t_failed);
	}
	close(lfd);
	for (int i = 0; i < 10; i++)
		ask(&sa, i);
	t_wait("process per connection", server);
}

static void acceptors(void)
{
	struct sockaddr_in sa;
	int lfd = net_listen(&sa);
	pid_t pid[4];
	int total = 0;
	int status;

	for (int i = 0; i < 4; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		for (int served = 0;; served++) {
			char c = 0;
			int fd = accept(lfd, NULL, NULL);

			MUST(fd >= 0);
			MUST(recv(fd, &c, 1, MSG_PEEK) == 1);
			if (c == 'Q')
				_exit(served);
			serve(fd);
		}
	}
	for (int i = 0; i < 40; i++)
		ask(&sa, i);
	for (int i = 0; i < 4; i++) {
		int fd = net_connect(&sa);
		char c;

		MUST(write(fd, "Q", 1) == 1);
		/* Ends with the process that took it. */
		CHECK(read(fd, &c, 1) <= 0);
		close(fd);
	}
	for (int i = 0; i < 4; i++) {
		MUST(waitpid(pid[i], &status, 0) == pid[i]);
		total += WEXITSTATUS(status);
	}
	printf("four acceptors served %d\n", total);
	close(lfd);
}

/* The peer sees the end only when the last holder has closed. */
static void last_close(void)
{
	int hold[2];
	int sv[2];
	char c;
	pid_t pid;

	net_tcp_pair(sv);
	MUST(pipe(hold) == 0);
	pid = fork();
	if (!pid) {
		close(hold[1]);
		close(sv[0]);
		_exit(read(hold[0], &c, 1) ? 1 : 0);
	}
	close(hold[0]);
	close(sv[1]);
	net_nonblock(sv[0]);
	SHOW(read(sv[0], &c, 1));
	close(hold[1]);
	t_wait("holder", pid);
	net_await(sv[0]);
	SHOW(read(sv[0], &c, 1));
	close(sv[0]);
}

static void both_ways(void)
{
	char buf[16] = "";
	int sv[2];
	pid_t pid;

	net_tcp_pair(sv);
	pid = fork();
	if (!pid) {
		close(sv[0]);
		MUST(read(sv[1], buf, sizeof(buf)) == 4);
		MUST(write(sv[1], "pong", 4) == 4);
		_exit(t_failed);
	}
	close(sv[1]);
	MUST(write(sv[0], "ping", 4) == 4);
	SHOW(read(sv[0], buf, sizeof(buf)));
	printf("%s\n", buf);
	SHOW(read(sv[0], buf, sizeof(buf)));
	close(sv[0]);
	t_wait("child", pid);
}

int main(void)
{
	t_start();
	process_per_connection();
	acceptors();
	last_close();
	both_ways();
	return t_end();
}
