/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Forms of messages that carry descriptors: mixed, many, peeked at, cut, refused, not received. */
#include "pass.h"
#include <sys/un.h>

static int file;
static int conn[2];
static int null;
static int pair[2];

/* What a descriptor is, and that it works. */
static void show(const char *what, int fd)
{
	struct stat st = { 0 };
	char buf[4] = "";
	ssize_t n = -2;

	CHECK(fstat(fd, &st) == 0);
	if (S_ISREG(st.st_mode))
		n = pread(fd, buf, 3, 2);
	else if (S_ISSOCK(st.st_mode))
		n = send(fd, "x", 1, 0);
	else if (S_ISCHR(st.st_mode))
		n = read(fd, buf, 1);
	printf("%s: type %o %zd %s cloexec %d\n", what, st.st_mode & S_IFMT, n, buf,
	       fcntl(fd, F_GETFD));
}

static void close_all(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

static void drain(void)
{
	char buf[64];

	while (recv(conn[1], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static void mixed(void)
{
	int out[] = { null, file, conn[0], pair[0], file, null };
	int in[8];
	int flags;
	int n;

	SHOW(pass_send(pair[0], out, 6, 0));
	n = pass_receive(pair[1], in, 8, 0, &flags);
	printf("%d flags %x\n", n, (unsigned int)flags);
	show("null", in[0]);
	show("file", in[1]);
	show("conn", in[2]);
	show("file", in[4]);
	show("null", in[5]);
	/* The same number twice is one description. */
	SHOW(lseek(in[1], 7, SEEK_SET));
	SHOW(lseek(in[4], 0, SEEK_CUR));
	close_all(in, n);
}

static void cloexec(void)
{
	int out[] = { file, null };
	int in[2];

	SHOW(pass_send(pair[0], out, 2, 0));
	SHOW(pass_receive(pair[1], in, 2, MSG_CMSG_CLOEXEC, NULL));
	show("file", in[0]);
	show("null", in[1]);
	close_all(in, 2);
}

static void peek(void)
{
	int in[4];

	SHOW(lseek(file, 0, SEEK_SET));
	SHOW(pass_send_one(pair[0], file));
	SHOW(pass_receive(pair[1], in, 1, MSG_PEEK, NULL));
	show("peeked", in[0]);
	SHOW(pass_receive(pair[1], in + 1, 1, MSG_PEEK, NULL));
	close(in[0]);
	SHOW(pass_receive(pair[1], in + 2, 1, 0, NULL));
	SHOW(lseek(in[1], 5, SEEK_SET));
	close(in[1]);
	SHOW(lseek(in[2], 0, SEEK_CUR));
	SHOW(lseek(file, 0, SEEK_CUR));
	close(in[2]);
}

/* More came than there was room for: the rest is closed. */
static void cut(void)
{
	struct sockaddr_in sa;
	int listener = net_listen(&sa);
	int out[] = { file, null, listener };
	int64_t start = t_ms();
	int in[4];
	int flags;
	int fd;

	SHOW(pass_send(pair[0], out, 3, 0));
	close(listener);
	SHOW(pass_receive(pair[1], in, 1, 0, &flags));
	printf("flags %x\n", (unsigned int)flags & (MSG_CTRUNC | MSG_TRUNC));
	show("file", in[0]);
	close(in[0]);
	do {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		errno = 0;
		if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
			break;
		close(fd);
		t_sleep_ms(20);
	} while (t_ms() - start < 10000);
	printf("%s\n", t_errname(errno));
	close(fd);
	/* No room at all, and a read() that knows nothing of descriptors. */
	SHOW(pass_send(pair[0], out, 2, 0));
	SHOW(recv(pair[1], in, 1, 0));
	SHOW(pass_send(pair[0], out, 2, 0));
	SHOW(read(pair[1], in, 1));
}

static void several(void)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} c[3];
	struct iovec iov[3];
	struct mmsghdr m[3] = { 0 };
	int out[3] = { file, conn[0], null };
	char byte[3];

	for (int i = 0; i < 3; i++) {
		c[i].align = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&c[i].align), &out[i], sizeof(int));
		iov[i] = (struct iovec){ &byte[i], 1 };
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i],
						.msg_iovlen = 1,
						.msg_control = &c[i],
						.msg_controllen = sizeof(c[i]) };
	}
	SHOW(sendmmsg(pair[0], m, 3, 0));
	memset(c, 0, sizeof(c));
	SHOW(recvmmsg(pair[1], m, 3, MSG_WAITFORONE | MSG_CMSG_CLOEXEC, NULL));
	for (int i = 0; i < 3; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(&c[i].align), sizeof(fd));
		printf("%u %zu\n", m[i].msg_len, m[i].msg_hdr.msg_controllen);
		show("several", fd);
		close(fd);
	}
}

/* Two headers in one message, with another one between them. */
static void headers(void)
{
	_Alignas(struct cmsghdr) char c[CMSG_SPACE(sizeof(int)) * 2 + CMSG_SPACE(12)] = { 0 };
	struct iovec iov = { "h", 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof(c)
	};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	const int self[3] = { getpid(), (int)getuid(), (int)getgid() };
	int in[4];
	int n;

	*h = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(h), &null, sizeof(int));
	h = CMSG_NXTHDR(&m, h);
	*h = (struct cmsghdr){ CMSG_LEN(12), SOL_SOCKET, SCM_CREDENTIALS };
	memcpy(CMSG_DATA(h), self, sizeof(self));
	h = CMSG_NXTHDR(&m, h);
	*h = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(h), &file, sizeof(int));
	SHOW(sendmsg(pair[0], &m, 0));
	n = pass_receive(pair[1], in, 4, 0, NULL);
	printf("%d\n", n);
	for (int i = 0; i < n; i++)
		show("headers", in[i]);
	close_all(in, n);
}

/* With a name, over a socket that is not connected. */
static void named(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int to = socket(AF_UNIX, SOCK_DGRAM, 0);
	int from = socket(AF_UNIX, SOCK_DGRAM, 0);
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} c = { .align = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { "n", 1 };
	struct msghdr m = { .msg_name = &sun,
			    .msg_namelen = sizeof(sun),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &c,
			    .msg_controllen = sizeof(c) };
	int in;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", L("s"));
	MUST(bind(to, (struct sockaddr *)&sun, sizeof(sun)) == 0);
	memcpy(CMSG_DATA(&c.align), &file, sizeof(file));
	SHOW(sendmsg(from, &m, 0));
	in = TRY(pass_receive_one(to));
	show("named", in);
	close(in);
	unlink(L("s"));
	SHOW(sendmsg(from, &m, 0));
	close(to);
	close(from);
}

static void refused(void)
{
	int out[PASS_MAX];
	int sv[2];
	int fd;

	for (int i = 0; i < PASS_MAX; i++)
		out[i] = i % 2 ? file : null;
	SHOW(pass_send(pair[0], out, 253, 0));
	SHOW(pass_receive(pair[1], out, PASS_MAX, 0, NULL));
	show("first", out[1]);
	show("last", out[251]);
	close_all(out, 253);
	for (int i = 0; i < PASS_MAX; i++)
		out[i] = i % 2 ? file : null;
	SHOW(pass_send(pair[0], out, 254, 0));
	out[1] = 9999;
	SHOW(pass_send(pair[0], out, 2, 0));
	out[1] = -1;
	SHOW(pass_send(pair[0], out, 2, 0));
	/* Full, then without an end: the descriptor stays here. */
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv) == 0);
	while (send(sv[0], out, 100, MSG_DONTWAIT) == 100)
		;
	SHOW(pass_send(sv[0], &file, 1, MSG_DONTWAIT));
	close(sv[1]);
	SHOW(pass_send(sv[0], &file, 1, MSG_NOSIGNAL));
	close(sv[0]);
	fd = dup(file);
	SHOW(pass_send(fd, &file, 1, 0));
	show("still", fd);
	close(fd);
}

int main(void)
{
	t_start();
	t_puts(P("f"), "0123456789");
	file = TRY(open(P("f"), O_RDWR));
	null = open("/dev/zero", O_RDONLY);
	net_udp_pair(conn);
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	mixed();
	cloexec();
	peek();
	cut();
	several();
	headers();
	named();
	refused();
	drain();
	close(file);
	close(null);
	close_all(conn, 2);
	close_all(pair, 2);
	return t_end();
}
