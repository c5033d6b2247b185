/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* dup(), dup2(), dup3(): one offset, any mixture of kinds, refused numbers. */
#include "net.h"

static void shared_offset(void)
{
	char buf[8] = "";
	int fd = TRY(open(P("f"), O_RDWR));
	int copy = dup(fd);
	int third;

	SHOW(read(fd, buf, 3));
	SHOW(read(copy, buf + 3, 2));
	printf("%s\n", buf);
	SHOW(lseek(copy, 1, SEEK_SET));
	SHOW(lseek(fd, 0, SEEK_CUR));
	third = SHOW(dup2(fd, 77));
	SHOW(write(third, "XX", 2));
	SHOW(lseek(fd, 0, SEEK_CUR));
	close(fd);
	SHOW(read(fd, buf, 1));
	SHOW(read(copy, buf, 1));
	close(copy);
	SHOW(read(third, buf, 1));
	close(third);
	SHOW(read(third, buf, 1));
	t_cat("file", P("f"));
}

static void numbers(void)
{
	int fd = TRY(open(P("f"), O_RDONLY));

	SHOW(dup2(fd, fd) == fd);
	SHOW(dup3(fd, fd, 0));
	SHOW(dup2(fd, -1));
	SHOW(dup2(-1, 77));
	SHOW(dup2(499, fd));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(dup2(fd, 1 << 30));
	SHOW(dup3(fd, 77, O_CLOEXEC));
	SHOW(fcntl(77, F_GETFD));
	SHOW(dup2(77, 78));
	SHOW(fcntl(78, F_GETFD));
	SHOW(dup3(fd, 79, O_APPEND));
	close(77);
	close(78);
	close(fd);
	SHOW(dup2(fd, fd));
	SHOW(dup(fd));
}

static void show(const char *label, int fd)
{
	char buf[16] = "";
	ssize_t n = read(fd, buf, 4);

	printf("%s: %zd %s\n", label, n, n < 0 ? t_errname(errno) : buf);
}

/* A number changes its kind again and again. */
static void kinds(void)
{
	struct sockaddr_in sa;
	int local = TRY(open(L("f"), O_RDONLY));
	int tree = TRY(open(P("f"), O_RDONLY));
	int sock = net_bound(SOCK_DGRAM, &sa);
	int p[2];

	MUST(pipe(p) == 0);
	MUST(write(p[1], "pipe", 4) == 4);
	net_nonblock(sock);
	SHOW(dup2(tree, 88));
	show("tree", 88);
	SHOW(dup2(local, 88));
	show("local", 88);
	SHOW(dup2(p[0], 88));
	show("pipe", 88);
	SHOW(dup2(sock, 88));
	show("socket", 88);
	SHOW(dup2(tree, 88));
	show("tree, further on", 88);
	/* The other way round: what is replaced closes, here the writing end of a pipe. */
	SHOW(dup2(tree, p[1]) == p[1]);
	show("pipe without a writer", p[0]);
	SHOW(dup2(local, tree) == tree);
	show("was the tree's, now local", tree);
	SHOW(dup2(sock, local) == local);
	show("was local, now a socket", local);
	close(88);
	close(local);
	close(tree);
	close(sock);
	close(p[0]);
	close(p[1]);
}

/* Standard streams are moved aside and back, as shells do it. */
static void standard(void)
{
	int saved = dup(1);
	int fd = open(P("out"), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	fflush(stdout);
	MUST(dup2(fd, 1) == 1);
	close(fd);
	printf("into the tree\n");
	fflush(stdout);
	MUST(write(1, "twice\n", 6) == 6);
	MUST(dup2(saved, 1) == 1);
	close(saved);
	t_cat("captured", P("out"));
}

int main(void)
{
	t_start();
	t_puts(P("f"), "0123456789");
	t_puts(L("f"), "local text");
	shared_offset();
	numbers();
	kinds();
	standard();
	return t_end();
}
