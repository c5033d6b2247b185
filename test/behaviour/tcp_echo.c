/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* TCP between two threads: order, sizes, short reads, end of the stream, several at once. */
#include "net.h"

static void *echo(void *arg)
{
	int lfd = *(int *)arg;
	char buf[5000];
	ssize_t n;
	int fd = accept(lfd, NULL, NULL);

	MUST(fd >= 0);
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		ssize_t done = 0;

		while (done < n) {
			ssize_t m = send(fd, buf + done, (size_t)(n - done), 0);

			MUST(m > 0);
			done += m;
		}
	}
	CHECK(n == 0);
	CHECK(close(fd) == 0);
	return NULL;
}

static void exchange(int fd, size_t size)
{
	static __thread char out[100000];
	static __thread char in[100000];
	size_t have = 0;

	t_fill(out, size, (unsigned int)size);
	MUST(send(fd, out, size, 0) == (ssize_t)size);
	while (have < size) {
		ssize_t n = recv(fd, in + have, size - have, 0);

		MUST(n > 0);
		have += (size_t)n;
	}
	printf("%zu bytes %s\n", size, memcmp(in, out, size) ? "DIFFERENT" : "equal");
}

static void one(void)
{
	struct sockaddr_in sa;
	int lfd = net_listen(&sa);
	pthread_t t;
	char c;
	int fd;

	MUST(pthread_create(&t, NULL, echo, &lfd) == 0);
	fd = net_connect(&sa);
	exchange(fd, 1);
	exchange(fd, 2);
	exchange(fd, 1000);
	exchange(fd, 4096);
	exchange(fd, 4097);
	exchange(fd, 65536);
	exchange(fd, 100000);
	SHOW(send(fd, "", 0, 0));
	SHOW(recv(fd, &c, 0, MSG_DONTWAIT));
	SHOW(shutdown(fd, SHUT_WR));
	SHOW(recv(fd, &c, 1, 0));
	close(fd);
	pthread_join(t, NULL);
	close(lfd);
}

static void several(void)
{
	struct sockaddr_in sa;
	int lfd = net_listen(&sa);
	pthread_t t[8];
	char c = 0;
	int fd[8];

	for (int i = 0; i < 8; i++)
		MUST(pthread_create(&t[i], NULL, echo, &lfd) == 0);
	for (int i = 0; i < 8; i++)
		fd[i] = net_connect(&sa);
	for (int i = 7; i >= 0; i--)
		MUST(write(fd[i], &(char){ (char)('a' + i) }, 1) == 1);
	for (int i = 0; i < 8; i++) {
		MUST(read(fd[i], &c, 1) == 1);
		printf("%c", c);
		close(fd[i]);
	}
	printf("\n");
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	close(lfd);
}

int main(void)
{
	t_start();
	one();
	several();
	return t_end();
}
