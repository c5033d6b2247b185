/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Non-blocking TCP: connecting, accepting, reading nothing, filling up, draining. */
#include "net.h"

static void connecting(void)
{
	struct sockaddr_in sa;
	struct pollfd p = { .events = POLLOUT };
	socklen_t len = sizeof(int);
	int lfd = net_listen(&sa);
	int err = -1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int ret = connect(fd, (struct sockaddr *)&sa, sizeof(sa));

	CHECK(ret == 0 || errno == EINPROGRESS);
	p.fd = fd;
	SHOW(poll(&p, 1, 5000));
	printf("revents %x\n", (unsigned int)p.revents);
	SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	SHOW(err);
	ret = connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	CHECK(ret == 0 || errno == EISCONN);
	SHOW(connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	close(fd);

	/* Nobody listens: the error arrives later. */
	close(lfd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ret = connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	CHECK(ret == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
	if (errno == EINPROGRESS) {
		p.fd = fd;
		MUST(poll(&p, 1, 5000) == 1);
		CHECK(p.revents & POLLERR);
		MUST(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0);
		errno = err;
	}
	printf("refused: %s\n", t_errname(errno));
	SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	SHOW(err);
	close(fd);
}

static void accepting(void)
{
	struct sockaddr_in sa;
	int lfd = net_listen(&sa);
	int fd;
	int got;

	net_nonblock(lfd);
	TRY(accept(lfd, NULL, NULL));
	fd = net_connect(&sa);
	net_await(lfd);
	got = TRY(accept(lfd, NULL, NULL));
	/* Linux does not inherit the flag. */
	SHOW(!!(fcntl(got, F_GETFL) & O_NONBLOCK));
	TRY(accept(lfd, NULL, NULL));
	close(got);
	close(fd);
	close(lfd);
}

static void filling(void)
{
	static char chunk[65536];
	struct pollfd p = { .events = POLLOUT };
	size_t sent = 0;
	size_t received = 0;
	ssize_t n;
	int sv[2];

	net_tcp_pair(sv);
	net_nonblock(sv[0]);
	net_nonblock(sv[1]);
	SHOW(read(sv[1], chunk, 1));
	SHOW(recv(sv[1], chunk, 1, MSG_PEEK));
	p.fd = sv[0];
	/* The peer's buffer may still grow: full is when nothing fits for a while. */
	do {
		while ((n = send(sv[0], chunk, sizeof(chunk), 0)) > 0)
			sent += (size_t)n;
	} while (errno == EAGAIN && poll(&p, 1, 100) == 1);
	printf("full: %s, something was sent %d\n", t_errname(errno), sent > sizeof(chunk));
	while (received < sent) {
		n = read(sv[1], chunk, sizeof(chunk));
		if (n < 0) {
			MUST(errno == EAGAIN);
			net_await(sv[1]);
			continue;
		}
		received += (size_t)n;
	}
	CHECK(received == sent);
	SHOW(read(sv[1], chunk, 1));
	SHOW(poll(&p, 1, 5000));
	SHOW(p.revents);
	close(sv[0]);
	close(sv[1]);
}

/* A blocking sender goes on when the reader does. */
static void *slow_reader(void *arg)
{
	static char buf[100000];
	int fd = *(int *)arg;
	size_t total = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		total += (size_t)n;
	return (void *)total;
}

static void blocking_send(void)
{
	const size_t size = 20 << 20;
	char *data = malloc(size);
	void *total;
	int sv[2];
	pthread_t t;

	t_fill(data, size, 1);
	net_tcp_pair(sv);
	MUST(pthread_create(&t, NULL, slow_reader, &sv[1]) == 0);
	SHOW(send(sv[0], data, size, 0));
	close(sv[0]);
	pthread_join(t, &total);
	SHOW(total);
	close(sv[1]);
	free(data);
}

int main(void)
{
	t_start();
	connecting();
	accepting();
	filling();
	blocking_send();
	return t_end();
}
