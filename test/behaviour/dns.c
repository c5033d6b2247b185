/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* The resolver against a name server of our own on loopback: UDP, fallback to TCP, no such name. */
#include "net.h"
#include <arpa/nameser.h>
#include <netdb.h>
#include <nss.h>
#include <resolv.h>

static int udp = -1;
static int tcp = -1;
static int questions[2];

/* One answer to the question in @msg; "big" is cut short over UDP, so that TCP is asked. */
static size_t answer(unsigned char *msg, size_t len, bool stream)
{
	static const unsigned char a[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7 };
	static const unsigned char ptr[] = { 0xc0, 12, 0,   12,	 0, 1,	 0,   0,   0,	60, 0,
					     9,	   2,  'v', 't', 4, 't', 'e', 's', 't', 0 };
	bool big = len > 16 && !memcmp(msg + 13, "big", 3);
	bool none = len > 17 && !memcmp(msg + 13, "none", 4);
	int type = msg[len - 3];
	size_t end = 12;

	while (end < len && msg[end])
		end += msg[end] + 1u;
	end += 5;
	/* Leave out what comes after the question (EDNS). */
	type = msg[end - 3];
	msg[2] = 0x85;
	msg[3] = none ? 0x83 : 0x80;
	memset(msg + 6, 0, 6);
	__atomic_add_fetch(&questions[stream], 1, __ATOMIC_SEQ_CST);
	if (big && !stream) {
		msg[2] |= 2;
		return end;
	}
	if (none)
		return end;
	if (type == 1) {
		for (int i = 0; i < (big ? 40 : 1); i++) {
			memcpy(msg + end, a, sizeof(a));
			msg[end + 15] = (unsigned char)(7 + i);
			end += sizeof(a);
			msg[7]++;
		}
	} else if (type == 12) {
		memcpy(msg + end, ptr, sizeof(ptr));
		end += sizeof(ptr);
		msg[7] = 1;
	}
	return end;
}

static void *serve(void *arg)
{
	struct pollfd p[2] = { { udp, POLLIN, 0 }, { tcp, POLLIN, 0 } };
	unsigned char msg[4096];

	while (poll(p, 2, -1) > 0) {
		struct sockaddr_in from;
		socklen_t flen = sizeof(from);
		ssize_t n;

		if (p[0].revents) {
			n = recvfrom(udp, msg, 512, 0, (struct sockaddr *)&from, &flen);
			if (n <= 12)
				break;
			n = (ssize_t)answer(msg, (size_t)n, false);
			sendto(udp, msg, (size_t)n, 0, (struct sockaddr *)&from, flen);
		}
		if (p[1].revents) {
			int fd = accept(tcp, NULL, NULL);

			while (recv(fd, msg, 2, MSG_WAITALL) == 2) {
				n = recv(fd, msg + 2, (size_t)msg[0] << 8 | msg[1], MSG_WAITALL);
				n = (ssize_t)answer(msg + 2, (size_t)n, true);
				msg[0] = (unsigned char)(n >> 8);
				msg[1] = (unsigned char)n;
				if (write(fd, msg, (size_t)n + 2) != n + 2)
					break;
			}
			close(fd);
		}
	}
	return arg;
}

static void server(struct sockaddr_in *sa)
{
	do {
		if (udp >= 0)
			close(udp);
		if (tcp >= 0)
			close(tcp);
		udp = net_bound(SOCK_DGRAM, sa);
		tcp = socket(AF_INET, SOCK_STREAM, 0);
	} while (bind(tcp, (struct sockaddr *)sa, sizeof(*sa)));
	MUST(listen(tcp, 5) == 0);
}

static void lookup(const char *name, int family)
{
	struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	int n = 0;
	int err = getaddrinfo(name, "80", &hints, &list);

	if (err) {
		printf("%s: %s\n", name, gai_strerror(err));
		return;
	}
	for (struct addrinfo *ai = list; ai; ai = ai->ai_next)
		n++;
	printf("%s: %d addresses, first %s\n", name, n,
	       inet_ntoa(((struct sockaddr_in *)list->ai_addr)->sin_addr));
	freeaddrinfo(list);
}

int main(void)
{
	struct sockaddr_in sa;
	char host[64] = "";
	struct hostent *h;
	pthread_t t;
	int err;

	t_start();
	server(&sa);
	MUST(pthread_create(&t, NULL, serve, NULL) == 0);
	MUST(__nss_configure_lookup("hosts", "dns") == 0);
	MUST(res_init() == 0);
	_res.nscount = 1;
	_res.nsaddr_list[0] = sa;
	_res.retrans = 2;
	_res.retry = 2;
	_res.options &= ~(unsigned long)(RES_DNSRCH | RES_DEFNAMES);
	lookup("vt.test", AF_INET);
	lookup("vt.test", AF_UNSPEC);
	lookup("none.test", AF_INET);
	lookup("big.test", AF_INET);
	h = gethostbyname("vt.test");
	printf("gethostbyname: %s\n", h ? inet_ntoa(*(struct in_addr *)h->h_addr) : "nothing");
	sa.sin_addr.s_addr = inet_addr("192.0.2.7");
	err = getnameinfo((struct sockaddr *)&sa, sizeof(sa), host, sizeof(host), NULL, 0,
			  NI_NAMEREQD);
	printf("getnameinfo: %s\n", err ? gai_strerror(err) : host);
	printf("asked over UDP %d, over TCP %d\n", questions[0] > 0, questions[1] > 0);
	lookup("127.0.0.1", AF_INET);
	/* Ends the server: too short for a question. */
	sa = net_addr();
	MUST(getsockname(udp, (struct sockaddr *)&sa, &(socklen_t){ sizeof(sa) }) == 0);
	MUST(sendto(udp, "end", 3, 0, (struct sockaddr *)&sa, sizeof(sa)) == 3);
	pthread_join(t, NULL);
	res_nclose(&_res);
	close(udp);
	close(tcp);
	return t_end();
}
