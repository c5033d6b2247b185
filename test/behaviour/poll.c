/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* poll() and ppoll(): ready in each position, mixtures of kinds, timeouts, special entries. */
#include "net.h"
#include <signal.h>
#include <sys/eventfd.h>

static void show(const char *label, int ret, const struct pollfd *p, int n)
{
	printf("%s: %d:", label, ret);
	for (int i = 0; i < n; i++)
		printf(" %x", (unsigned int)p[i].revents);
	printf("\n");
}

/* Sockets, a pipe, an event descriptor: each in turn becomes ready, then all. */
static void positions(void)
{
	struct pollfd p[4];
	char label[32];
	uint64_t one = 1;
	char c;
	int a[2];
	int b[2];
	int pi[2];
	int ev = eventfd(0, 0);
	int64_t start;

	net_tcp_pair(a);
	net_udp_pair(b);
	MUST(pipe(pi) == 0);
	p[0] = (struct pollfd){ a[1], POLLIN, 0 };
	p[1] = (struct pollfd){ pi[0], POLLIN, 0 };
	p[2] = (struct pollfd){ b[1], POLLIN, 0 };
	p[3] = (struct pollfd){ ev, POLLIN, 0 };
	for (int i = 0; i <= 4; i++) {
		if (i == 0 || i == 4)
			MUST(write(a[0], "x", 1) == 1);
		if (i == 1 || i == 4)
			MUST(write(pi[1], "x", 1) == 1);
		if (i == 2 || i == 4)
			MUST(write(b[0], "x", 1) == 1);
		if (i == 3 || i == 4)
			MUST(write(ev, &one, 8) == 8);
		for (int k = 0; i == 4 && k < 4; k++)
			net_await(p[k].fd);
		snprintf(label, sizeof(label), "ready %d", i);
		show(label, poll(p, 4, 5000), p, 4);
		if (i == 0 || i == 4)
			MUST(read(a[1], &c, 1) == 1);
		if (i == 1 || i == 4)
			MUST(read(pi[0], &c, 1) == 1);
		if (i == 2 || i == 4)
			MUST(read(b[1], &c, 1) == 1);
		if (i == 3 || i == 4)
			MUST(read(ev, &one, 8) == 8);
		start = t_ms();
		show("nothing", poll(p, 4, 0), p, 4);
		show("nothing for 60 ms", poll(p, 4, 60), p, 4);
		TOOK(start, 50, 2000);
	}
	close(ev);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
		close(pi[i]);
	}
}

static void events(void)
{
	struct sockaddr_in sa;
	struct pollfd p = { .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP };
	int lfd = net_listen(&sa);
	int sv[2];
	char c;

	p.fd = lfd;
	show("listening", poll(&p, 1, 0), &p, 1);
	close(net_connect(&sa));
	net_await(lfd);
	show("somebody waits", poll(&p, 1, 0), &p, 1);
	close(lfd);
	p.fd = socket(AF_INET, SOCK_STREAM, 0);
	show("fresh", poll(&p, 1, 0), &p, 1);
	close(p.fd);
	net_tcp_pair(sv);
	p.fd = sv[0];
	show("connected", poll(&p, 1, 0), &p, 1);
	MUST(send(sv[1], "!", 1, MSG_OOB) == 1);
	net_await_event(sv[0], POLLPRI);
	show("urgent", poll(&p, 1, 0), &p, 1);
	MUST(recv(sv[0], &c, 1, MSG_OOB) == 1);
	shutdown(sv[1], SHUT_WR);
	net_await_event(sv[0], POLLRDHUP);
	show("half closed", poll(&p, 1, 0), &p, 1);
	shutdown(sv[0], SHUT_WR);
	net_await_event(sv[0], 0);
	show("both", poll(&p, 1, 0), &p, 1);
	p.events = 0;
	show("nothing asked", poll(&p, 1, 0), &p, 1);
	close(sv[0]);
	close(sv[1]);
}

static void special(void)
{
	struct pollfd p[6];
	struct sockaddr_in sa;
	int udp = net_bound(SOCK_DGRAM, &sa);
	int file = open(P("f"), O_RDONLY | O_CREAT, 0644);
	int64_t start;

	p[0] = (struct pollfd){ -1, POLLIN, 77 };
	p[1] = (struct pollfd){ udp, POLLIN | POLLOUT, 0 };
	p[2] = (struct pollfd){ udp, POLLIN, 0 };
	p[3] = (struct pollfd){ file, POLLIN | POLLOUT, 0 };
	p[4] = (struct pollfd){ 400, POLLIN, 0 };
	p[5] = (struct pollfd){ udp, POLLOUT, 0 };
	show("mixed", poll(p, 6, 5000), p, 6);
	p[4].fd = -400;
	show("without the bad one", poll(p, 6, 5000), p, 6);
	show("the file alone", poll(&p[3], 1, 5000), &p[3], 1);
	p[3].fd = -1;
	p[1].events = POLLIN;
	show("twice the same, not ready", poll(p, 5, 50), p, 5);
	start = t_ms();
	show("none at all", poll(NULL, 0, 50), NULL, 0);
	TOOK(start, 40, 2000);
	close(udp);
	close(file);
	p[0].fd = udp;
	show("closed", poll(p, 1, 5000), p, 1);
}

static void *write_later(void *arg)
{
	t_await_sleep(getpid());
	MUST(write(*(int *)arg, "x", 1) == 1);
	return NULL;
}

/* Sleeping in poll() until the local or the remote member becomes ready. */
static void sleeping(void)
{
	struct pollfd p[2];
	int64_t start;
	pthread_t t;
	int pi[2];
	int sv[2];
	char c;

	net_tcp_pair(sv);
	MUST(pipe(pi) == 0);
	p[0] = (struct pollfd){ sv[1], POLLIN, 0 };
	p[1] = (struct pollfd){ pi[0], POLLIN, 0 };
	for (int i = 0; i < 2; i++) {
		start = t_ms();
		MUST(pthread_create(&t, NULL, write_later, i ? &pi[1] : &sv[0]) == 0);
		show(i ? "local one wakes" : "remote one wakes", poll(p, 2, 5000), p, 2);
		TOOK(start, 0, 3000);
		MUST(read(p[i].fd, &c, 1) == 1);
		pthread_join(t, NULL);
	}
	start = t_ms();
	MUST(pthread_create(&t, NULL, write_later, &sv[0]) == 0);
	show("for ever", poll(p, 2, -1), p, 2);
	TOOK(start, 0, 3000);
	pthread_join(t, NULL);
	for (int i = 0; i < 2; i++) {
		close(sv[i]);
		close(pi[i]);
	}
}

static struct pollfd changing;

static void *change_and_write(void *arg)
{
	t_await_sleep(getpid()); /* it has been read; else poll() waits in vain, natively too */
	changing.events = 0;
	MUST(write(*(int *)arg, "x", 1) == 1);
	return NULL;
}

/* What was asked counts, whatever another thread writes into the array meanwhile. */
static void changed(void)
{
	pthread_t t;
	int sv[2];
	char c;

	net_tcp_pair(sv);
	changing = (struct pollfd){ sv[1], POLLIN, 0 };
	MUST(pthread_create(&t, NULL, change_and_write, &sv[0]) == 0);
	show("changed while asleep", poll(&changing, 1, 5000), &changing, 1);
	pthread_join(t, NULL);
	SHOW(read(sv[1], &c, 1));
	close(sv[0]);
	close(sv[1]);
}

static void many(void)
{
	enum { N = 200 };
	static struct pollfd p[N];
	static int fd[N];
	struct sockaddr_in sa;
	int ready = 0;

	for (int i = 0; i < N; i++) {
		fd[i] = net_bound(SOCK_DGRAM, &sa);
		p[i] = (struct pollfd){ fd[i], POLLIN, 0 };
		if (i % 3 == 0)
			MUST(sendto(fd[0], "x", 1, 0, (struct sockaddr *)&sa, sizeof(sa)) == 1);
	}
	for (int i = 0; i < N; i += 3)
		net_await(fd[i]);
	SHOW(poll(p, N, 5000));
	for (int i = 0; i < N; i++) {
		CHECK((p[i].revents == POLLIN) == (i % 3 == 0));
		ready += p[i].revents == POLLIN;
		close(fd[i]);
	}
	SHOW(ready);
}

int main(void)
{
	t_start();
	positions();
	events();
	special();
	sleeping();
	changed();
	many();
	return t_end();
}
