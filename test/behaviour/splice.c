/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* splice(), tee() and vmsplice() between pipes and tree files, local files and sockets. */
#include "net.h"
#include <sys/uio.h>

enum { SIZE = 20000 };

static char data[SIZE];

static void pipe_holds(const char *label, int fd)
{
	static char buf[SIZE + 1];
	size_t have = 0;
	ssize_t n;

	net_nonblock(fd);
	while (have < sizeof(buf) && (n = read(fd, buf + have, sizeof(buf) - have)) > 0)
		have += (size_t)n;
	printf("%s: %zu %016llx\n", label, have, (unsigned long long)t_hash(buf, have));
	fcntl(fd, F_SETFL, 0);
}

static long all(int in, off_t *inoff, int out, off_t *outoff, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = splice(in, inoff, out, outoff, len - done, 0);

		if (n <= 0)
			return n < 0 ? n : (long)done;
		done += (size_t)n;
	}
	return (long)done;
}

static void with_file(const char *label, const char *path)
{
	off_t off = 100;
	off_t woff = 50;
	int fd = open(path, O_RDWR);
	int p[2];

	MUST(fd >= 0 && pipe(p) == 0);
	printf("%s\n", label);
	SHOW(all(fd, NULL, p[1], NULL, SIZE));
	SHOW(lseek(fd, 0, SEEK_CUR));
	pipe_holds(label, p[0]);
	SHOW(all(fd, &off, p[1], NULL, 1000));
	SHOW(off);
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(all(p[0], NULL, fd, &woff, 1000));
	SHOW(woff);
	SHOW(splice(fd, NULL, p[1], NULL, 10, 0));
	MUST(write(p[1], "tail", 4) == 4);
	SHOW(all(p[0], NULL, fd, NULL, 4));
	close(fd);
	t_cat(label, path);
	close(p[0]);
	close(p[1]);
}

static void with_socket(void)
{
	int sv[2];
	int p[2];
	int q[2];

	net_tcp_pair(sv);
	MUST(pipe(p) == 0 && pipe(q) == 0);
	MUST(write(p[1], data, 5000) == 5000);
	SHOW(all(p[0], NULL, sv[0], NULL, 5000));
	SHOW(all(sv[1], NULL, q[1], NULL, 5000));
	pipe_holds("through a socket", q[0]);
	net_nonblock(sv[1]);
	SHOW(splice(sv[1], NULL, q[1], NULL, 10, 0));
	fcntl(sv[1], F_SETFL, 0);
	shutdown(sv[0], SHUT_WR);
	SHOW(splice(sv[1], NULL, q[1], NULL, 10, 0));
	close(sv[0]);
	close(sv[1]);
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
}

static ssize_t drain(int fd, char *buf, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while (have < size && (n = read(fd, buf + have, size - have)) > 0)
		have += (size_t)n;
	return (ssize_t)have;
}

/* Far more than the sockets hold: what one splice() could not send is still in the pipe. */
static void to_full_socket(void)
{
	enum { MUCH = 8 << 20 };
	char *sent = malloc(MUCH), *got = malloc(MUCH);
	size_t put = 0, moved = 0, have = 0;
	int sv[2], p[2];
	ssize_t n;

	MUST(sent && got && pipe(p) == 0);
	net_tcp_pair(sv);
	net_nonblock(sv[0]);
	net_nonblock(p[1]);
	t_fill(sent, MUCH, 9);
	do {
		while (put < MUCH && (n = write(p[1], sent + put, MUCH - put)) > 0)
			put += (size_t)n;
		n = splice(p[0], NULL, sv[0], NULL, 50000, 0);
		moved += n > 0 ? (size_t)n : 0;
	} while (n > 0 && moved < MUCH);
	printf("to a full socket: %zd %s\n", n, n < 0 ? t_errname(errno) : "");
	shutdown(sv[0], SHUT_WR);
	have = (size_t)drain(sv[1], got, MUCH);
	SHOW(have == moved);
	close(p[1]);
	have += (size_t)drain(p[0], got + have, MUCH - have);
	SHOW(have == put);
	SHOW(!memcmp(sent, got, have));
	close(sv[0]);
	close(sv[1]);
	close(p[0]);
	free(sent);
	free(got);
}

/* A pipe without room takes nothing from the socket. */
static void to_full_pipe(void)
{
	static char buf[SIZE];
	int sv[2], p[2];

	MUST(pipe(p) == 0);
	net_tcp_pair(sv);
	MUST(write(sv[0], data, SIZE) == SIZE);
	net_await(sv[1]);
	net_nonblock(p[1]);
	while (write(p[1], data, 4096) > 0)
		;
	SHOW(splice(sv[1], NULL, p[1], NULL, SIZE, 0));
	fcntl(p[1], F_SETFL, 0);
	SHOW(splice(sv[1], NULL, p[1], NULL, SIZE, SPLICE_F_NONBLOCK));
	MUST(read(p[0], buf, 4096) == 4096);
	SHOW(splice(sv[1], NULL, p[1], NULL, 100, 0));
	shutdown(sv[0], SHUT_WR);
	SHOW(drain(sv[1], buf, SIZE));
	SHOW(!memcmp(buf, data + 100, SIZE - 100));
	signal(SIGPIPE, SIG_IGN);
	close(p[0]);
	SHOW(splice(sv[1], NULL, p[1], NULL, 1, 0));
	signal(SIGPIPE, SIG_DFL);
	close(p[1]);
	close(sv[0]);
	close(sv[1]);
}

/* An empty pipe: whose mode it goes by. */
static void from_empty_pipe(void)
{
	int sv[2], p[2];

	MUST(pipe(p) == 0);
	net_tcp_pair(sv);
	SHOW(splice(p[0], NULL, sv[0], NULL, 10, SPLICE_F_NONBLOCK));
	net_nonblock(p[0]);
	SHOW(splice(p[0], NULL, sv[0], NULL, 10, 0));
	close(p[1]);
	SHOW(splice(p[0], NULL, sv[0], NULL, 10, 0));
	close(p[0]);
	close(sv[0]);
	close(sv[1]);
}

static void pipes(void)
{
	struct iovec iov = { data, 3000 };
	int p[2];
	int q[2];

	MUST(pipe(p) == 0 && pipe(q) == 0);
	SHOW(vmsplice(p[1], &iov, 1, 0));
	SHOW(tee(p[0], q[1], 5000, 0));
	pipe_holds("tee", q[0]);
	pipe_holds("the original", p[0]);
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
}

static void refused(void)
{
	int a = open(P("tree"), O_RDONLY);
	int b = open(P("other"), O_RDWR | O_CREAT, 0644);
	off_t off = 0;
	int p[2];

	MUST(pipe(p) == 0);
	MUST(write(p[1], "x", 1) == 1);
	SHOW(splice(a, NULL, b, NULL, 10, 0));
	SHOW(splice(p[0], &off, b, NULL, 1, 0));
	SHOW(splice(p[0], NULL, a, NULL, 1, 0));
	SHOW(splice(a, NULL, p[1], NULL, 0, 0));
	SHOW(splice(-1, NULL, p[1], NULL, 1, 0));
	SHOW(splice(a, NULL, -1, NULL, 1, 0));
	SHOW(tee(a, p[1], 1, 0));
	close(a);
	close(b);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	t_start();
	t_fill(data, SIZE, 5);
	t_put(P("tree"), data, SIZE);
	t_put(L("local"), data, SIZE);
	with_file("tree", P("tree"));
	with_file("local", L("local"));
	with_socket();
	to_full_socket();
	to_full_pipe();
	from_empty_pipe();
	pipes();
	refused();
	return t_end();
}
