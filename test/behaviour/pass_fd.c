/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * Descriptors of the tree and of the network sent over a local Unix socket: to another process, out
 * of one that has ended, to oneself, onwards; what sender and receiver share.
 */
#include "pass.h"
#include <sys/epoll.h>
#include <sys/file.h>

static void child(int sock)
{
	char buf[16] = "";
	int file = TRY(pass_receive_one(sock));
	int conn;

	SHOW(read(file, buf, 4));
	printf("%s\n", buf);
	conn = TRY(pass_receive_one(sock));
	SHOW(write(conn, "from the child", 14));
	close(conn);
	close(file);
}

static void to_a_child(void)
{
	char buf[32] = "";
	int pair[2];
	int sv[2];
	int fd;
	pid_t pid;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	fd = open(P("f"), O_RDONLY);
	SHOW(read(fd, buf, 2));
	pid = fork();
	if (!pid) {
		close(fd);
		close(pair[0]);
		child(pair[1]);
		_exit(t_failed);
	}
	close(pair[1]);
	MUST(pass_send_one(pair[0], fd) == 0);
	net_tcp_pair(sv);
	MUST(pass_send_one(pair[0], sv[0]) == 0);
	close(sv[0]);
	t_wait("child", pid);
	/* One description: the child's read moved the offset, its close ended the connection. */
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(recv(sv[1], buf, 14, MSG_WAITALL));
	printf("%s\n", buf);
	SHOW(read(sv[1], buf, 1));
	close(fd);
	close(sv[1]);
	close(pair[0]);
}

/* The sender is gone before anybody looks. */
static void from_the_dead(void)
{
	char buf[8] = "";
	int pair[2];
	int sv[2];
	int fds[3];
	pid_t pid;

	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	net_tcp_pair(sv);
	pid = fork();
	if (!pid) {
		int out[3] = { open(P("f"), O_RDWR), sv[0],
			       open(P("new"), O_RDWR | O_CREAT, 0600) };

		MUST(flock(out[0], LOCK_EX) == 0);
		MUST(write(out[2], "mine", 4) == 4);
		MUST(pass_send(pair[1], out, 3, 0) == 1);
		_exit(t_failed);
	}
	close(sv[0]);
	t_wait("sender", pid);
	/* Nobody has the connection open, and it is. */
	SHOW(recv(sv[1], buf, 1, MSG_DONTWAIT));
	SHOW(pass_receive(pair[0], fds, 3, 0, NULL));
	SHOW(pread(fds[0], buf, 3, 1));
	SHOW(pread(fds[2], buf + 3, 4, 0));
	printf("%s\n", buf);
	fds[2] = (close(fds[2]), open(P("f"), O_RDONLY));
	SHOW(flock(fds[2], LOCK_SH | LOCK_NB));
	close(fds[0]);
	SHOW(flock(fds[2], LOCK_SH | LOCK_NB));
	SHOW(send(fds[1], "hello", 5, 0));
	SHOW(recv(sv[1], buf, 5, MSG_WAITALL));
	close(fds[1]);
	SHOW(recv(sv[1], buf, 1, 0));
	close(fds[2]);
	close(sv[1]);
	close(pair[0]);
	close(pair[1]);
}

/* A message that nobody receives: what was in it is closed. */
static void never_received(void)
{
	struct sockaddr_in sa;
	int pair[2];
	int listener = net_listen(&sa);
	int again = socket(AF_INET, SOCK_STREAM, 0);
	int64_t start;
	int r;

	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	MUST(pass_send_one(pair[0], listener) == 0);
	close(listener);
	SHOW(bind(again, (struct sockaddr *)&sa, sizeof(sa)));
	r = connect(again, (struct sockaddr *)&sa, sizeof(sa));
	SHOW(r);
	close(again);
	close(pair[0]);
	close(pair[1]);
	start = t_ms();
	do {
		again = socket(AF_INET, SOCK_STREAM, 0);
		r = connect(again, (struct sockaddr *)&sa, sizeof(sa));
		if (r == -1 && errno == ECONNREFUSED)
			break;
		close(again);
		t_sleep_ms(20);
	} while (t_ms() - start < 10000);
	SHOW(r);
	close(again);
}

static void description(void)
{
	char buf[16] = "";
	int pair[2];
	int fd = TRY(open(P("shared"), O_RDWR | O_CREAT, 0600));
	int got;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	MUST(write(fd, "0123456789", 10) == 10);
	MUST(pass_send_one(pair[0], fd) == 0);
	got = TRY(pass_receive_one(pair[1]));
	SHOW(lseek(got, 0, SEEK_CUR));
	SHOW(lseek(got, 3, SEEK_SET));
	SHOW(read(fd, buf, 3));
	printf("%s\n", buf);
	SHOW(fcntl(got, F_SETFL, O_APPEND));
	printf("append %d\n", (fcntl(fd, F_GETFL) & O_APPEND) != 0);
	SHOW(write(fd, "end", 3));
	SHOW(lseek(got, 0, SEEK_CUR));
	SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
	printf("nonblock %d\n", (fcntl(got, F_GETFL) & O_NONBLOCK) != 0);
	/* Both are one for flock(). */
	SHOW(flock(fd, LOCK_EX));
	SHOW(flock(got, LOCK_EX | LOCK_NB));
	close(fd);
	SHOW(ftruncate(got, 5));
	t_cat("shared", P("shared"));
	close(got);
	close(pair[0]);
	close(pair[1]);
}

/* Two numbers in one process, both members of an epoll descriptor. */
static void to_oneself(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 1 };
	struct epoll_event out[4];
	int ep = epoll_create1(0);
	int pair[2];
	int sv[2];
	int got;
	char c;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	net_udp_pair(sv);
	MUST(pass_send_one(pair[0], sv[0]) == 0);
	got = TRY(pass_receive_one(pair[1]));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &ev));
	ev.data.u32 = 2;
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, got, &ev));
	SHOW(epoll_wait(ep, out, 4, 0));
	MUST(send(sv[1], "x", 1, 0) == 1);
	net_await(got);
	SHOW(epoll_wait(ep, out, 4, 1000));
	SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, sv[0], NULL));
	SHOW(epoll_wait(ep, out, 4, 1000));
	printf("%u\n", out[0].data.u32);
	close(sv[0]);
	SHOW(recv(got, &c, 1, 0));
	SHOW(send(got, "y", 1, 0));
	SHOW(recv(sv[1], &c, 1, 0));
	close(got);
	close(sv[1]);
	close(ep);
	close(pair[0]);
	close(pair[1]);
}

/* From hand to hand: each receives it, and sends on what it has received. */
static void onwards(void)
{
	enum { HOPS = 4 };
	int pair[HOPS][2];
	struct sockaddr_in sa;
	int listener = net_listen(&sa);
	int client;
	int conn;
	char buf[8] = "";
	pid_t pid[HOPS - 1];

	for (int i = 0; i < HOPS; i++)
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]) == 0);
	MUST(pass_send_one(pair[0][0], listener) == 0);
	close(listener);
	for (int i = 0; i < HOPS - 1; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			int fd = pass_receive_one(pair[i][1]);

			_exit(fd < 0 || pass_send_one(pair[i + 1][0], fd));
		}
	}
	for (int i = 0; i < HOPS - 1; i++)
		t_wait("hop", pid[i]);
	listener = TRY(pass_receive_one(pair[HOPS - 1][1]));
	client = net_connect(&sa);
	conn = TRY(accept(listener, NULL, NULL));
	SHOW(write(client, "through", 7));
	SHOW(recv(conn, buf, 7, MSG_WAITALL));
	printf("%s\n", buf);
	close(client);
	close(conn);
	close(listener);
	for (int i = 0; i < HOPS; i++) {
		close(pair[i][0]);
		close(pair[i][1]);
	}
}

/* A directory in a process that has come by it in no other way. */
static void directory(void)
{
	char buf[8] = "";
	int pair[2];
	int dir;
	pid_t pid;

	MUST(mkdir(P("d"), 0755) == 0);
	t_puts(P("d/in"), "inside");
	MUST(symlink("in", P("d/link")) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	pid = fork();
	if (!pid) {
		int in;

		dir = TRY(pass_receive_one(pair[1]));
		in = TRY(openat(dir, "link", O_RDONLY));
		SHOW(read(in, buf, 6));
		printf("%s\n", buf);
		close(in);
		SHOW(faccessat(dir, "../f", R_OK, 0));
		SHOW(faccessat(dir, "../d/in", R_OK, 0));
		SHOW(faccessat(dir, "../../../side/note", R_OK, 0));
		SHOW(fchdir(dir));
		SHOW(access("in", R_OK));
		SHOW(access("../f", R_OK));
		_exit(t_failed);
	}
	dir = open(P("d"), O_RDONLY | O_DIRECTORY);
	MUST(pass_send_one(pair[0], dir) == 0);
	t_wait("directory", pid);
	close(dir);
	close(pair[0]);
	close(pair[1]);
}

static int image(int fd)
{
	char buf[8] = "";

	setvbuf(stdout, NULL, _IOLBF, 4096);
	SHOW(read(fd, buf, 3));
	printf("%s\n", buf);
	return t_failed;
}

/* What has been received is inherited like everything else. */
static void by_exec(void)
{
	char number[16];
	char *argv[] = { "image", number, NULL };
	int pair[2];
	int fd = open(P("f"), O_RDONLY);
	int got;
	pid_t pid;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	MUST(pass_send_one(pair[0], fd) == 0);
	close(fd);
	got = TRY(pass_receive_one(pair[1]));
	SHOW(lseek(got, 4, SEEK_SET));
	snprintf(number, sizeof(number), "%d", got);
	pid = fork();
	if (!pid) {
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	t_wait("image", pid);
	SHOW(lseek(got, 0, SEEK_CUR));
	close(got);
	close(pair[0]);
	close(pair[1]);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return image(atoi(argv[1]));
	t_start();
	t_puts(P("f"), "0123456789");
	to_a_child();
	from_the_dead();
	never_received();
	description();
	to_oneself();
	onwards();
	directory();
	by_exec();
	return t_end();
}
