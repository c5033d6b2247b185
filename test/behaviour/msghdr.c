/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* sendmsg(), recvmsg(), sendmmsg(), recvmmsg(): vectors, names, flags, counts, timeouts. */
#include "net.h"
#include <sys/uio.h>

static void vectors(void)
{
	char a[4] = "";
	char b[16] = "";
	struct iovec out[] = { { "gather ", 7 }, { "", 0 }, { "these", 5 } };
	struct iovec in[] = { { a, 3 }, { b, sizeof(b) } };
	struct sockaddr_in from;
	struct msghdr s = { .msg_iov = out, .msg_iovlen = 3 };
	struct msghdr r = { .msg_iov = in, .msg_iovlen = 2, .msg_name = &from };
	int sv[2];

	net_udp_pair(sv);
	SHOW(sendmsg(sv[0], &s, 0));
	r.msg_namelen = sizeof(from);
	SHOW(recvmsg(sv[1], &r, 0));
	printf("%s|%s namelen %u flags %x\n", a, b, r.msg_namelen, (unsigned int)r.msg_flags);
	MUST(sendmsg(sv[0], &s, 0) == 12);
	r.msg_iovlen = 1;
	SHOW(recvmsg(sv[1], &r, 0));
	printf("cut: flags %x\n", (unsigned int)r.msg_flags & MSG_TRUNC);
	MUST(sendmsg(sv[0], &s, 0) == 12);
	SHOW(recvmsg(sv[1], &r, MSG_TRUNC));
	printf("real size wanted: flags %x\n", (unsigned int)r.msg_flags & MSG_TRUNC);
	r.msg_iovlen = 0;
	MUST(sendmsg(sv[0], &s, 0) == 12);
	SHOW(recvmsg(sv[1], &r, 0));
	s.msg_iovlen = 5000;
	SHOW(sendmsg(sv[0], &s, 0));
	s.msg_iovlen = 0;
	SHOW(sendmsg(sv[0], &s, 0));
	SHOW(recvmsg(sv[1], &r, 0));
	SHOW(recvmsg(sv[1], &r, MSG_DONTWAIT));
	s.msg_iovlen = 1;
	s.msg_name = &from;
	s.msg_namelen = 3;
	SHOW(sendmsg(sv[0], &s, 0));
	close(sv[0]);
	close(sv[1]);
}

static void streams(void)
{
	char a[5] = "";
	char b[5] = "";
	struct iovec out[] = { { "12345", 5 }, { "67890", 5 } };
	struct iovec in[] = { { a, 4 }, { b, 4 } };
	struct sockaddr_in from;
	struct msghdr s = { .msg_iov = out, .msg_iovlen = 2 };
	struct msghdr r = { .msg_iov = in, .msg_iovlen = 2 };
	int sv[2];

	net_tcp_pair(sv);
	SHOW(sendmsg(sv[0], &s, 0));
	net_await(sv[1]);
	r.msg_name = &from;
	r.msg_namelen = sizeof(from);
	SHOW(recvmsg(sv[1], &r, MSG_WAITALL));
	printf("%s %s namelen %u flags %x\n", a, b, r.msg_namelen, (unsigned int)r.msg_flags);
	SHOW(recvmsg(sv[1], &r, 0));
	printf("%.2s\n", a);
	close(sv[0]);
	SHOW(recvmsg(sv[1], &r, 0));
	SHOW(recvmsg(sv[0], &r, 0));
	close(sv[1]);
}

static void many(void)
{
	struct mmsghdr m[20];
	struct iovec iov[20];
	char text[20][16];
	struct timespec ts = { 0, 100000000 };
	int64_t start;
	int sv[2];
	int n;

	net_udp_pair(sv);
	memset(m, 0, sizeof(m));
	for (int i = 0; i < 20; i++) {
		snprintf(text[i], sizeof(text[i]), "message %d", i);
		iov[i] = (struct iovec){ text[i], strlen(text[i]) };
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	SHOW(sendmmsg(sv[0], m, 20, 0));
	printf("lengths %u %u\n", m[0].msg_len, m[19].msg_len);
	memset(text, 0, sizeof(text));
	for (int i = 0; i < 20; i++)
		iov[i].iov_len = sizeof(text[i]) - 1;
	SHOW(recvmmsg(sv[1], m, 8, 0, NULL));
	printf("%s .. %s length %u\n", text[0], text[7], m[7].msg_len);
	SHOW(recvmmsg(sv[1], m, 20, MSG_DONTWAIT, NULL));
	printf("%s .. %s\n", text[0], text[11]);
	SHOW(recvmmsg(sv[1], m, 20, MSG_DONTWAIT, NULL));
	SHOW(send(sv[0], "alone", 5, 0));
	SHOW(recvmmsg(sv[1], m, 20, MSG_WAITFORONE, NULL));
	printf("%.5s\n", text[0]);
	/* The timeout is looked at after each datagram. */
	MUST(send(sv[0], "a", 1, 0) == 1);
	start = t_ms();
	n = recvmmsg(sv[1], m, 1, 0, &ts);
	printf("with a timeout: %d\n", n);
	TOOK(start, 0, 1000);
	SHOW(sendmmsg(sv[0], m, 0, 0));
	SHOW(recvmmsg(-1, m, 1, 0, NULL));
	SHOW(sendmmsg(-1, m, 1, 0));
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	int fd;
	struct msghdr m = { 0 };

	t_start();
	vectors();
	streams();
	many();
	fd = open(P("f"), O_RDWR | O_CREAT, 0644);
	SHOW(sendmsg(fd, &m, 0));
	SHOW(recvmsg(fd, &m, 0));
	close(fd);
	return t_end();
}
