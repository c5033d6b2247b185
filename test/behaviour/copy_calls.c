/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* sendfile() and copy_file_range() between the tree, local files, pipes and sockets. */
#include "net.h"
#include <sys/sendfile.h>

enum { SIZE = 300007 };

static char data[SIZE];

struct sink {
	int fd;
	size_t size;
	uint64_t hash;
};

static void *drain(void *arg)
{
	struct sink *s = arg;
	char buf[65536];
	ssize_t n;

	s->hash = t_hash("", 0);
	while ((n = read(s->fd, buf, sizeof(buf))) > 0) {
		s->hash = t_hash_more(s->hash, buf, (size_t)n);
		s->size += (size_t)n;
	}
	return NULL;
}

/* Everything of @in from *@off (or its offset) to a stream whose other end is read by a thread. */
static void to_stream(const char *label, int in, off_t *off, int out, int other)
{
	struct sink s = { .fd = other };
	size_t left = SIZE - (size_t)(off ? *off : lseek(in, 0, SEEK_CUR));
	ssize_t n = 1;
	pthread_t t;

	MUST(pthread_create(&t, NULL, drain, &s) == 0);
	while (left && n > 0) {
		n = sendfile(out, in, off, left);
		left -= n > 0 ? (size_t)n : 0;
	}
	close(out);
	pthread_join(t, NULL);
	close(other);
	printf("%s: %zu %016llx offset %ld file %ld\n", label, s.size, (unsigned long long)s.hash,
	       off ? (long)*off : -1, (long)lseek(in, 0, SEEK_CUR));
}

static void streams(const char *from, int in)
{
	char label[64];
	off_t off = 7;
	int sv[2];

	printf("%s\n", from);
	snprintf(label, sizeof(label), "%s to a socket", from);
	net_tcp_pair(sv);
	MUST(lseek(in, 0, SEEK_SET) == 0);
	to_stream(label, in, NULL, sv[0], sv[1]);
	net_tcp_pair(sv);
	MUST(lseek(in, 3, SEEK_SET) == 3);
	to_stream(label, in, &off, sv[0], sv[1]);
	MUST(pipe(sv) == 0);
	MUST(lseek(in, 5, SEEK_SET) == 5);
	snprintf(label, sizeof(label), "%s to a pipe", from);
	to_stream(label, in, NULL, sv[1], sv[0]);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	MUST(lseek(in, 0, SEEK_SET) == 0);
	snprintf(label, sizeof(label), "%s to a local socket", from);
	to_stream(label, in, NULL, sv[0], sv[1]);
}

static void to_file(const char *label, int in, const char *path, bool range)
{
	int out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	off_t off = 0;
	size_t left = SIZE;
	ssize_t n = 1;

	MUST(out >= 0);
	while (left && n > 0) {
		if (range)
			n = copy_file_range(in, &off, out, NULL, left, 0);
		else
			n = sendfile(out, in, &off, left);
		left -= n > 0 ? (size_t)n : 0;
	}
	/* Where ranges cannot be copied between two file systems, programs fall back; so do we. */
	if (n < 0 && errno == EXDEV && range && left == SIZE) {
		off = 0;
		while (left && (n = sendfile(out, in, &off, left)) > 0)
			left -= (size_t)n;
	}
	CHECK(n >= 0 || errno == 0);
	close(out);
	t_cat(label, path);
}

static void refused(int in)
{
	int append = open(P("x"), O_WRONLY | O_CREAT | O_APPEND, 0644);
	int readonly = open(P("tree"), O_RDONLY);
	off_t off = -1;
	int p[2];

	MUST(pipe(p) == 0);
	SHOW(sendfile(append, in, NULL, 10));
	SHOW(copy_file_range(in, NULL, append, NULL, 10, 0));
	SHOW(sendfile(readonly, in, NULL, 10));
	SHOW(copy_file_range(in, NULL, readonly, NULL, 10, 0));
	SHOW(copy_file_range(in, NULL, append, NULL, 10, 1));
	SHOW(sendfile(p[1], in, &off, 10));
	SHOW(sendfile(in, p[0], NULL, 10));
	SHOW(copy_file_range(p[0], NULL, append, NULL, 10, 0));
	SHOW(sendfile(-1, in, NULL, 10));
	SHOW(sendfile(p[1], -1, NULL, 10));
	off = SIZE;
	SHOW(sendfile(p[1], in, &off, 10));
	SHOW(sendfile(p[1], in, NULL, 0));
	close(p[0]);
	close(p[1]);
	close(append);
	close(readonly);
}

int main(void)
{
	int local;
	int tree;

	t_start();
	t_fill(data, SIZE, 1);
	t_put(P("tree"), data, SIZE);
	t_fill(data, SIZE, 2);
	t_put(L("local"), data, SIZE);
	tree = TRY(open(P("tree"), O_RDONLY));
	local = TRY(open(L("local"), O_RDONLY));
	streams("tree", tree);
	streams("local", local);
	to_file("tree to tree", tree, P("a"), false);
	to_file("tree to local", tree, L("a"), false);
	to_file("local to tree", local, P("b"), false);
	to_file("tree to tree by range", tree, P("c"), true);
	to_file("tree to local by range", tree, L("c"), true);
	to_file("local to tree by range", local, P("d"), true);
	refused(tree);
	close(tree);
	close(local);
	return t_end();
}
