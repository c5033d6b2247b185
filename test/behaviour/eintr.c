/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* A signal while a call blocks: EINTR or restarted, as SA_RESTART and the call demand. */
#include "net.h"
#include <signal.h>

static volatile sig_atomic_t caught;
static int feeder = -1;
static pthread_t main_thread;

static void on_signal(int sig)
{
	(void)sig;
	caught++;
}

/* Interrupts the main thread when it sleeps, and gives it what it waits for when it does again. */
static void *disturb(void *arg)
{
	struct sockaddr_in *sa = arg;

	t_await_sleep(getpid());
	pthread_kill(main_thread, SIGUSR1);
	while (!caught)
		t_sleep_ms(1);
	t_await_sleep(getpid());
	if (feeder >= 0)
		MUST(write(feeder, "x", 1) == 1);
	if (sa)
		close(net_connect(sa));
	return NULL;
}

static void handler(int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };

	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);
}

#define DISTURBED(expr)                                             \
	do {                                                        \
		pthread_t t;                                        \
		long ret;                                           \
		int err;                                            \
		caught = 0;                                         \
		MUST(pthread_create(&t, NULL, disturb, peer) == 0); \
		ret = (expr);                                       \
		err = errno;                                        \
		pthread_join(t, NULL);                              \
		printf("%s: %s caught %d\n", #expr,                 \
		       ret < 0 ? t_errname(err)                     \
		       : ret   ? "data"                             \
			       : "0",                                 \
		       (int)caught);                                \
		drain();                                            \
	} while (0)

static int tcp[2];
static int udp[2];

static void drain(void)
{
	char buf[16];

	t_sleep_ms(5);
	while (recv(tcp[0], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	while (recv(udp[0], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static void reading(int flags)
{
	struct sockaddr_in *peer = NULL;
	struct timeval tv = { 2, 0 };
	struct iovec iov = { &tv, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	char buf[16];
	int dupped;
	int p[2];

	printf("-- flags %s\n", flags ? "SA_RESTART" : "0");
	handler(flags);
	feeder = tcp[1];
	DISTURBED(read(tcp[0], buf, 1));
	DISTURBED(recv(tcp[0], buf, 1, 0));
	DISTURBED(recvmsg(tcp[0], &m, 0));
	feeder = udp[1];
	DISTURBED(recv(udp[0], buf, 1, 0));
	/* With a timeout of its own it is never restarted. */
	tv.tv_sec = 2;
	MUST(setsockopt(udp[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	DISTURBED(recv(udp[0], buf, 1, 0));
	DISTURBED(read(udp[0], buf, 1));
	dupped = dup(udp[0]);
	DISTURBED(read(dupped, buf, 1));
	close(dupped);
	tv.tv_sec = 0;
	MUST(setsockopt(udp[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	MUST(pipe(p) == 0);
	feeder = p[1];
	DISTURBED(read(p[0], buf, 1));
	close(p[0]);
	close(p[1]);
}

static void others(int flags)
{
	struct sockaddr_in sa;
	struct sockaddr_in *peer = &sa;
	int lfd = net_listen(&sa);
	int fd = -1;

	handler(flags);
	feeder = -1;
	DISTURBED(fd = accept(lfd, NULL, NULL));
	if (fd >= 0)
		close(fd);
	close(lfd);
}

/* What a call has done before the signal counts. */
static void partial(void)
{
	struct sockaddr_in *peer = NULL;
	static char big[16 << 20];
	char buf[8];
	struct iovec iov = { buf, 8 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;
	int sv[2];

	handler(0);
	feeder = -1;
	MUST(write(tcp[1], "abc", 3) == 3);
	net_await(tcp[0]);
	DISTURBED(recv(tcp[0], buf, 8, MSG_WAITALL));
	MUST(write(tcp[1], "abc", 3) == 3);
	net_await(tcp[0]);
	DISTURBED(n = recvmsg(tcp[0], &m, MSG_WAITALL));
	printf("%zd of 8\n", n);
	net_tcp_pair(sv);
	DISTURBED(write(sv[0], big, sizeof(big)));
	close(sv[0]);
	close(sv[1]);
}

/* File calls are not interrupted. */
static void files(void)
{
	int fd = open(P("f"), O_RDWR | O_CREAT, 0644);
	static char big[1 << 20];
	int good = 0;

	handler(0);
	for (int i = 0; i < 50; i++) {
		raise(SIGUSR1);
		good += pwrite(fd, big, sizeof(big), 0) == sizeof(big);
		good += pread(fd, big, sizeof(big), 0) == sizeof(big);
	}
	close(fd);
	printf("%d whole calls\n", good);
}

int main(void)
{
	t_start();
	main_thread = pthread_self();
	net_tcp_pair(tcp);
	net_udp_pair(udp);
	reading(0);
	reading(SA_RESTART);
	others(0);
	others(SA_RESTART);
	partial();
	files();
	close(tcp[0]);
	close(tcp[1]);
	close(udp[0]);
	close(udp[1]);
	return t_end();
}
