/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Ancillary data: packet info, TTL, TOS, timestamps, short control buffers, local descriptors. */
#include "net.h"
#include <sys/un.h>

static ssize_t receive(int fd, struct msghdr *m, void *control, size_t len)
{
	static char data[64];
	static struct iovec iov = { data, sizeof(data) };

	memset(m, 0, sizeof(*m));
	m->msg_iov = &iov;
	m->msg_iovlen = 1;
	m->msg_control = control;
	m->msg_controllen = len;
	return recvmsg(fd, m, 0);
}

static void show(struct msghdr *m)
{
	printf("flags %x\n", (unsigned int)m->msg_flags);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		const unsigned char *d = CMSG_DATA(c);

		printf("level %d type %d length %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo pi;

			memcpy(&pi, d, sizeof(pi));
			printf(" to %s interface %d", inet_ntoa(pi.ipi_addr), pi.ipi_ifindex);
		} else if (c->cmsg_level == IPPROTO_IP) {
			printf(" value %d", d[0]);
		}
		printf("\n");
	}
}

static void turn_on(int fd, int level, int name)
{
	int on = 1;

	MUST(setsockopt(fd, level, name, &on, sizeof(on)) == 0);
}

static void incoming(void)
{
	char control[256];
	struct msghdr m;
	int ttl = 33;
	int sv[2];

	net_udp_pair(sv);
	turn_on(sv[1], IPPROTO_IP, IP_PKTINFO);
	turn_on(sv[1], IPPROTO_IP, IP_RECVTTL);
	turn_on(sv[1], IPPROTO_IP, IP_RECVTOS);
	MUST(setsockopt(sv[0], IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)) == 0);
	MUST(write(sv[0], "x", 1) == 1);
	SHOW(receive(sv[1], &m, control, sizeof(control)));
	show(&m);
	/* Too little room: what fits, and a flag. */
	MUST(write(sv[0], "x", 1) == 1);
	SHOW(receive(sv[1], &m, control, CMSG_SPACE(sizeof(struct in_pktinfo))));
	show(&m);
	MUST(write(sv[0], "x", 1) == 1);
	SHOW(receive(sv[1], &m, control, 4));
	printf("flags %x\n", (unsigned int)m.msg_flags);
	MUST(write(sv[0], "x", 1) == 1);
	SHOW(receive(sv[1], &m, NULL, 0));
	printf("flags %x controllen %zu\n", (unsigned int)m.msg_flags, m.msg_controllen);
	turn_on(sv[0], SOL_SOCKET, SO_TIMESTAMP);
	MUST(write(sv[1], "x", 1) == 1);
	SHOW(receive(sv[0], &m, control, sizeof(control)));
	show(&m);
	close(sv[0]);
	close(sv[1]);
}

static void outgoing(void)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} out = { .align = { CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TTL } };
	char control[256];
	struct iovec iov = { "y", 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &out, .msg_controllen = sizeof(out)
	};
	int ttl = 44;
	int sv[2];

	net_udp_pair(sv);
	turn_on(sv[1], IPPROTO_IP, IP_RECVTTL);
	memcpy(CMSG_DATA(&out.align), &ttl, sizeof(ttl));
	SHOW(sendmsg(sv[0], &m, 0));
	out.align.cmsg_type = 999;
	SHOW(sendmsg(sv[0], &m, 0));
	out.align.cmsg_len = 1000;
	SHOW(sendmsg(sv[0], &m, 0));
	SHOW(receive(sv[1], &m, control, sizeof(control)));
	show(&m);
	close(sv[0]);
	close(sv[1]);
}

/* Unix sockets stay local and carry local descriptors as ever. */
static void local_rights(void)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} out = { .align = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { "z", 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &out, .msg_controllen = sizeof(out)
	};
	char control[64];
	char buf[8] = "";
	int got;
	int p[2];
	int sv[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0 && pipe(p) == 0);
	memcpy(CMSG_DATA(&out.align), &p[1], sizeof(int));
	SHOW(sendmsg(sv[0], &m, 0));
	SHOW(receive(sv[1], &m, control, sizeof(control)));
	show(&m);
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	SHOW(write(got, "passed", 6));
	SHOW(read(p[0], buf, 6));
	close(got);
	close(p[0]);
	close(p[1]);
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	t_start();
	incoming();
	outgoing();
	local_rights();
	return t_end();
}
