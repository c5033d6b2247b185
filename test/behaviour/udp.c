/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* UDP: datagram borders, senders' addresses, connected and not, sizes, refused ones. */
#include "net.h"

static void addressed(void)
{
	struct sockaddr_in a;
	struct sockaddr_in b;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char buf[32] = "";
	int fda = net_bound(SOCK_DGRAM, &a);
	int fdb = net_bound(SOCK_DGRAM, &b);

	SHOW(sendto(fda, "one", 3, 0, (struct sockaddr *)&b, sizeof(b)));
	SHOW(sendto(fda, "", 0, 0, (struct sockaddr *)&b, sizeof(b)));
	SHOW(sendto(fda, "three", 5, 0, (struct sockaddr *)&b, sizeof(b)));
	SHOW(recvfrom(fdb, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len));
	printf("%.3s from the sender %d length %u\n", buf, from.sin_port == a.sin_port, len);
	SHOW(recvfrom(fdb, buf, sizeof(buf), 0, NULL, NULL));
	SHOW(recv(fdb, buf, 2, 0));
	printf("%.2s, the rest is lost\n", buf);
	SHOW(recv(fdb, buf, sizeof(buf), MSG_DONTWAIT));
	SHOW(send(fda, "x", 1, 0));
	SHOW(write(fda, "x", 1));
	SHOW(sendto(fda, "x", 1, 0, (struct sockaddr *)&b, 3));
	b.sin_port = 0;
	SHOW(sendto(fda, "x", 1, 0, (struct sockaddr *)&b, sizeof(b)));
	len = 2;
	MUST(sendto(fdb, "short", 5, 0, (struct sockaddr *)&a, sizeof(a)) == 5);
	SHOW(recvfrom(fda, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len));
	printf("length %u\n", len);
	close(fda);
	close(fdb);
}

static void connected(void)
{
	struct sockaddr unspec = { .sa_family = AF_UNSPEC };
	struct sockaddr_in c;
	char buf[32] = "";
	int sv[2];
	int other = net_bound(SOCK_DGRAM, &c);

	net_udp_pair(sv);
	SHOW(send(sv[0], "hello", 5, 0));
	SHOW(read(sv[1], buf, sizeof(buf)));
	/* A stranger is not heard. */
	MUST(getsockname(sv[1], (struct sockaddr *)&c, &(socklen_t){ sizeof(c) }) == 0);
	SHOW(sendto(other, "stranger", 8, 0, (struct sockaddr *)&c, sizeof(c)));
	MUST(write(sv[0], "friend", 6) == 6);
	net_await(sv[1]);
	SHOW(read(sv[1], buf, sizeof(buf)));
	printf("%.6s\n", buf);
	SHOW(recv(sv[1], buf, 1, MSG_DONTWAIT));
	/* The peer goes away: the next calls say so. */
	close(sv[1]);
	SHOW(send(sv[0], "x", 1, 0));
	net_await_event(sv[0], 0);
	SHOW(recv(sv[0], buf, 1, MSG_DONTWAIT));
	SHOW(recv(sv[0], buf, 1, MSG_DONTWAIT));
	SHOW(connect(sv[0], &unspec, sizeof(unspec)));
	SHOW(send(sv[0], "x", 1, 0));
	close(sv[0]);
	close(other);
}

static void sizes(void)
{
	static const size_t all[] = { 0, 1, 1472, 1473, 4096, 9000, 60000, 65507 };
	char *out = malloc(70000);
	char *in = malloc(70000);
	int sv[2];

	net_udp_pair(sv);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		t_fill(out, all[i], (unsigned int)i);
		SHOW(send(sv[0], out, all[i], 0));
		SHOW(recv(sv[1], in, 70000, 0));
		CHECK(!memcmp(in, out, all[i]));
	}
	SHOW(send(sv[0], out, 65508, 0));
	SHOW(send(sv[0], out, 70000, 0));
	close(sv[0]);
	close(sv[1]);
	free(out);
	free(in);
}

/* Datagrams stay whole and in order when many are on the way. */
static void burst(void)
{
	int got = 0;
	int sv[2];
	char buf[100];

	net_udp_pair(sv);
	for (int i = 0; i < 100; i++) {
		snprintf(buf, sizeof(buf), "datagram %d", i);
		MUST(send(sv[0], buf, strlen(buf) + 1, 0) > 0);
	}
	for (int i = 0; i < 100; i++) {
		int n = -1;

		MUST(recv(sv[1], buf, sizeof(buf), 0) > 0);
		got += sscanf(buf, "datagram %d", &n) == 1 && n == i;
	}
	printf("%d in order\n", got);
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	t_start();
	addressed();
	connected();
	sizes();
	burst();
	return t_end();
}
