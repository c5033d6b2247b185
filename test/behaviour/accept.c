/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* accept() and accept4(): flags, addresses, refused descriptors, waking by shutdown. */
#include "net.h"

static void show(int fd, const struct sockaddr_in *peer, socklen_t len)
{
	printf("length %u family %d loopback %d cloexec %d nonblock %d\n", len, peer->sin_family,
	       peer->sin_addr.s_addr == htonl(INADDR_LOOPBACK), fcntl(fd, F_GETFD),
	       !!(fcntl(fd, F_GETFL) & O_NONBLOCK));
}

static void flags(int lfd, const struct sockaddr_in *sa)
{
	static const int all[] = { 0, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_CLOEXEC | SOCK_NONBLOCK };
	struct sockaddr_in peer;
	struct sockaddr_in own;
	socklen_t len;

	for (size_t i = 0; i < 4; i++) {
		int fd = net_connect(sa);
		int got;

		len = sizeof(peer);
		memset(&peer, 0, sizeof(peer));
		got = TRY(accept4(lfd, (struct sockaddr *)&peer, &len, all[i]));
		show(got, &peer, len);
		len = sizeof(own);
		MUST(getsockname(fd, (struct sockaddr *)&own, &len) == 0);
		CHECK(own.sin_port == peer.sin_port);
		close(fd);
		close(got);
	}
	SHOW(accept4(lfd, NULL, NULL, 1));
}

static void lengths(int lfd, const struct sockaddr_in *sa)
{
	unsigned char raw[64];
	socklen_t len = 4;
	int fd = net_connect(sa);
	int got;

	memset(raw, 0xee, sizeof(raw));
	got = TRY(accept(lfd, (struct sockaddr *)raw, &len));
	printf("cut to 4: length %u family %d then %x\n", len, raw[0], raw[4]);
	close(got);
	close(fd);
	fd = net_connect(sa);
	len = sizeof(raw);
	got = TRY(accept(lfd, (struct sockaddr *)raw, &len));
	printf("of 64: length %u then %x\n", len, raw[16]);
	close(got);
	close(fd);
}

static void refused(void)
{
	struct sockaddr_in sa;
	int sv[2];
	int file = open(P("f"), O_RDWR | O_CREAT, 0644);
	int fd = net_bound(SOCK_STREAM, &sa);

	TRY(accept(fd, NULL, NULL));
	close(fd);
	fd = net_bound(SOCK_DGRAM, &sa);
	TRY(accept(fd, NULL, NULL));
	SHOW(listen(fd, 5));
	close(fd);
	net_tcp_pair(sv);
	TRY(accept(sv[0], NULL, NULL));
	SHOW(listen(sv[0], 5));
	close(sv[0]);
	close(sv[1]);
	TRY(accept(file, NULL, NULL));
	SHOW(listen(file, 5));
	close(file);
	TRY(accept(file, NULL, NULL));
	TRY(accept(-1, NULL, NULL));
}

static void *shut_later(void *arg)
{
	t_await_sleep(getpid());
	shutdown(*(int *)arg, SHUT_RDWR);
	return NULL;
}

static void woken(void)
{
	struct sockaddr_in sa;
	int lfd = net_listen(&sa);
	int64_t start = t_ms();
	pthread_t t;

	MUST(pthread_create(&t, NULL, shut_later, &lfd) == 0);
	TRY(accept(lfd, NULL, NULL));
	TOOK(start, 0, 5000);
	pthread_join(t, NULL);
	close(lfd);
}

int main(void)
{
	struct sockaddr_in sa;
	int lfd;

	t_start();
	lfd = net_listen(&sa);
	flags(lfd, &sa);
	lengths(lfd, &sa);
	close(lfd);
	refused();
	woken();
	return t_end();
}
