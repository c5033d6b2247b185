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
	pipes();
	refused();
	return t_end();
}
