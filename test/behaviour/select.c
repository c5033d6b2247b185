/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* select() and pselect(): the three sets, mixtures, timeouts, wrong numbers, high numbers. */
#include "net.h"
#include <sys/select.h>

static void show(const char *label, int ret, const fd_set *r, const fd_set *w, const fd_set *e,
		 const int *fd, int n)
{
	int err = errno;

	printf("%s: %d %s", label, ret, ret < 0 ? t_errname(err) : "");
	for (int i = 0; i < n; i++)
		printf(" %c%c%c", r && FD_ISSET(fd[i], r) ? 'r' : '-',
		       w && FD_ISSET(fd[i], w) ? 'w' : '-', e && FD_ISSET(fd[i], e) ? 'e' : '-');
	printf("\n");
}

static void look(const char *label, const int *fd, int n, long ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
	fd_set r;
	fd_set w;
	fd_set e;
	int max = 0;

	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&e);
	for (int i = 0; i < n; i++) {
		FD_SET(fd[i], &r);
		FD_SET(fd[i], &w);
		FD_SET(fd[i], &e);
		max = fd[i] > max ? fd[i] : max;
	}
	show(label, select(max + 1, &r, &w, &e, &tv), &r, &w, &e, fd, n);
}

static void mixture(void)
{
	int tcp[2];
	int udp[2];
	int pi[2];
	int fd[5];
	char c;

	net_tcp_pair(tcp);
	net_udp_pair(udp);
	MUST(pipe(pi) == 0);
	fd[0] = tcp[0];
	fd[1] = pi[0];
	fd[2] = udp[0];
	fd[3] = open(P("f"), O_RDWR | O_CREAT, 0644);
	fd[4] = pi[1];
	look("quiet", fd, 5, 1000);
	MUST(send(tcp[1], "!", 1, MSG_OOB) == 1);
	MUST(write(pi[1], "x", 1) == 1);
	MUST(write(udp[1], "x", 1) == 1);
	net_await_event(tcp[0], POLLPRI);
	net_await(udp[0]);
	look("all", fd, 5, 1000);
	MUST(recv(tcp[0], &c, 1, MSG_OOB) == 1);
	MUST(read(pi[0], &c, 1) == 1);
	look("one left", fd, 3, 1000);
	close(tcp[1]);
	net_await(tcp[0]);
	look("end of stream", fd, 1, 1000);
	close(tcp[0]);
	close(udp[0]);
	close(udp[1]);
	close(pi[0]);
	close(pi[1]);
	close(fd[3]);
}

static void waiting(void)
{
	struct timeval tv = { 0, 60000 };
	struct timespec ts = { 0, 60000000 };
	fd_set r;
	int64_t start;
	int sv[2];
	int pi[2];

	net_udp_pair(sv);
	MUST(pipe(pi) == 0);
	FD_ZERO(&r);
	FD_SET(sv[0], &r);
	FD_SET(pi[0], &r);
	start = t_ms();
	SHOW(select(pi[0] + 1, &r, NULL, NULL, &tv));
	TOOK(start, 50, 2000);
	/* Linux leaves the time that was not slept. */
	printf("left %ld\n", (long)(tv.tv_sec * 1000000 + tv.tv_usec));
	SHOW(FD_ISSET(sv[0], &r) || FD_ISSET(pi[0], &r));
	FD_SET(sv[0], &r);
	start = t_ms();
	SHOW(pselect(sv[0] + 1, &r, NULL, NULL, &ts, NULL));
	TOOK(start, 50, 2000);
	CHECK(ts.tv_nsec == 60000000);
	tv = (struct timeval){ 0, 50000 };
	SHOW(select(0, NULL, NULL, NULL, &tv));
	FD_SET(sv[0], &r);
	MUST(write(sv[1], "x", 1) == 1);
	SHOW(select(sv[0] + 1, &r, NULL, NULL, NULL));
	SHOW(FD_ISSET(sv[0], &r) != 0);
	close(sv[0]);
	close(sv[1]);
	close(pi[0]);
	close(pi[1]);
}

static void wrong(void)
{
	struct timeval bad = { -1, 0 };
	struct timeval tv = { 0, 0 };
	fd_set r;
	int udp[2];

	net_udp_pair(udp);
	FD_ZERO(&r);
	/* Small: numbers beyond the process's table are not looked at by the kernel. */
	FD_SET(40, &r);
	SHOW(select(41, &r, NULL, NULL, &tv));
	FD_SET(udp[0], &r);
	SHOW(select(41, &r, NULL, NULL, &tv));
	/* Beyond the first argument nothing is looked at. */
	SHOW(select(udp[0] + 1, &r, NULL, NULL, &tv));
	SHOW(select(-1, &r, NULL, NULL, &tv));
	SHOW(select(1, NULL, NULL, NULL, &bad));
	MUST(dup2(udp[0], 1000) == 1000);
	MUST(write(udp[1], "x", 1) == 1);
	net_await(udp[0]);
	FD_ZERO(&r);
	FD_SET(1000, &r);
	SHOW(select(1001, &r, NULL, NULL, NULL));
	SHOW(FD_ISSET(1000, &r) != 0);
	close(1000);
	close(udp[0]);
	close(udp[1]);
}

int main(void)
{
	t_start();
	mixture();
	waiting();
	wrong();
	return t_end();
}
