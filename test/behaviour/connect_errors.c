/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* connect() and bind() that fail, each with its errno; low ports need a privilege. */
#include "net.h"
#include <sys/un.h>

static int conn(int fd, const struct sockaddr_in *sa)
{
	return connect(fd, (const struct sockaddr *)sa, sizeof(*sa));
}

static int bnd(int fd, const struct sockaddr_in *sa)
{
	return bind(fd, (const struct sockaddr *)sa, sizeof(*sa));
}

static void connects(void)
{
	struct sockaddr_in sa;
	struct sockaddr_in far = net_addr();
	struct sockaddr unspec = { .sa_family = AF_UNSPEC };
	int lfd = net_listen(&sa);
	int fd = net_connect(&sa);

	SHOW(conn(fd, &sa));
	close(fd);
	close(lfd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(conn(fd, &sa));
	/* A refused socket can be used again. */
	SHOW(conn(fd, &sa));
	SHOW(connect(fd, (struct sockaddr *)&sa, 4));
	sa.sin_family = 77;
	SHOW(conn(fd, &sa));
	sa.sin_family = AF_INET6;
	SHOW(conn(fd, &sa));
	close(fd);
	SHOW(conn(fd, &sa));

	far.sin_addr.s_addr = inet_addr("192.0.2.1");
	far.sin_port = htons(9);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(conn(fd, &far));
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	SHOW(conn(fd, &far));
	far.sin_addr.s_addr = INADDR_BROADCAST;
	SHOW(conn(fd, &far));
	SHOW(connect(fd, &unspec, sizeof(unspec)));
	close(fd);
	fd = open(P("f"), O_RDWR | O_CREAT, 0644);
	SHOW(conn(fd, &far));
	close(fd);
}

static void binds(void)
{
	struct sockaddr_in sa = net_addr();
	struct sockaddr_in used;
	int lfd = net_listen(&used);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	SHOW(bnd(fd, &used));
	SHOW(bnd(fd, &sa));
	SHOW(bnd(fd, &sa));
	close(fd);
	close(lfd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	sa.sin_addr.s_addr = inet_addr("192.0.2.1");
	SHOW(bnd(fd, &sa));
	SHOW(bind(fd, (struct sockaddr *)&sa, 3));
	sa.sin_family = AF_UNIX;
	SHOW(bnd(fd, &sa));
	sa = net_addr();
	sa.sin_port = htons(80);
	/* Only as root: the caller's identity counts, not the service's. */
	SHOW(bnd(fd, &sa));
	close(fd);
	SHOW(bnd(fd, &sa));
}

static void kinds(void)
{
	TRY(socket(AF_INET, 99, 0));
	TRY(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	TRY(socket(AF_INET, SOCK_STREAM, 9999));
	TRY(socket(12345, SOCK_STREAM, 0));
	TRY(socket(AF_INET, SOCK_STREAM | 0x10000, 0));
	TRY(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 ? -1 : close(3));
	TRY(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){ 0, 0 }));
}

/* A queue that is full makes connect() wait, and SO_SNDTIMEO ends that. */
static void timeout(void)
{
	struct timeval tv = { 0, 200000 };
	struct sockaddr_in sa;
	int lfd = net_bound(SOCK_STREAM, &sa);
	int fd[8];
	int err = 0;
	int64_t start;

	MUST(listen(lfd, 0) == 0);
	for (int i = 0; i < 8; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		MUST(setsockopt(fd[i], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
		start = t_ms();
		if (conn(fd[i], &sa) && !err) {
			err = errno;
			TOOK(start, 150, 5000);
		}
	}
	printf("full queue: %s\n", t_errname(err));
	for (int i = 0; i < 8; i++)
		close(fd[i]);
	close(lfd);
}

int main(void)
{
	t_start();
	connects();
	binds();
	kinds();
	timeout();
	return t_end();
}
