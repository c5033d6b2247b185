/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * Lengths that no memory has: which error they are, and which part of a vector decides. Where the
 * kernel's versions differ (a vector of a single such part) nothing is asked.
 */
#include "net.h"
#include <sys/uio.h>

#define HUGE_LEN ((size_t)SSIZE_MAX)

enum { ROOM = 16 };
static char store[ROOM];
static char *volatile buf = store; /* so that the compiler does not check what we want checked */

static void vectors(const char *what, int fd, bool out, bool at)
{
	static const size_t len[][3] = {
		{ 4, 4, HUGE_LEN },	   /* beyond what there is of addresses */
		{ HUGE_LEN, 4, 0 },	   /* which comes first makes no difference */
		{ HUGE_LEN, HUGE_LEN, 0 }, /* more than a number can be in all */
		{ 4, SIZE_MAX, 0 },	   /* below 0 */
		{ HUGE_LEN, SIZE_MAX, 4 }, /* which counts more than the former */
		{ SIZE_MAX, 4, HUGE_LEN }, { 4, (size_t)1 << 63, 0 }, { 4, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		struct iovec v[3];
		char name[80];

		for (int k = 0; k < 3; k++)
			v[k] = (struct iovec){ buf, len[i][k] };
		snprintf(name, sizeof(name), "%s, vector %d", what, (int)i);
		if (at)
			t_show(name, out ? pwritev(fd, v, 3, 0) : preadv(fd, v, 3, 0));
		else
			t_show(name, out ? writev(fd, v, 3) : readv(fd, v, 3));
	}
}

static void plain(int fd, bool seekable)
{
	static const size_t len[] = { HUGE_LEN, SIZE_MAX, (size_t)1 << 63, (size_t)1 << 62 };

	for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		volatile size_t n = len[i]; /* unknown to the compiler's warnings */

		printf("length %d\n", (int)i);
		t_show("read", read(fd, buf, n));
		t_show("write", write(fd, buf, n));
		if (!seekable)
			continue;
		t_show("pread", pread(fd, buf, n, 0));
		t_show("pwrite", pwrite(fd, buf, n, 0));
	}
}

static void messages(int fd)
{
	struct iovec v[2] = { { buf, 4 }, { buf, HUGE_LEN } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };

	t_show("sendmsg", sendmsg(fd, &m, MSG_DONTWAIT));
	t_show("recvmsg", recvmsg(fd, &m, MSG_DONTWAIT));
	v[1].iov_len = SIZE_MAX;
	t_show("sendmsg below 0", sendmsg(fd, &m, MSG_DONTWAIT));
	t_show("recvmsg below 0", recvmsg(fd, &m, MSG_DONTWAIT));
	t_show("bind", bind(fd, (struct sockaddr *)buf, (socklen_t)-1));
	t_show("connect", connect(fd, (struct sockaddr *)buf, (socklen_t)-1));
	t_show("sendto", sendto(fd, buf, 1, 0, (struct sockaddr *)buf, (socklen_t)-1));
	m.msg_iovlen = 1025;
	t_show("sendmsg of many", sendmsg(fd, &m, MSG_DONTWAIT));
	t_show("recvmsg of many", recvmsg(fd, &m, MSG_DONTWAIT));
}

int main(void)
{
	struct stat st;
	int fd, sv[2];

	t_start();
	fd = open(P("lengths"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	MUST(fd >= 0 && write(fd, "0123456789", 10) == 10 && lseek(fd, 0, SEEK_SET) == 0);
	plain(fd, true);
	vectors("readv", fd, false, false);
	vectors("preadv", fd, false, true);
	vectors("writev", fd, true, false);
	vectors("pwritev", fd, true, true);
	MUST(fstat(fd, &st) == 0);
	printf("size %d, position %d\n", (int)st.st_size, (int)lseek(fd, 0, SEEK_CUR));
	close(fd);
	unlink(P("lengths"));

	net_udp_pair(sv);
	net_nonblock(sv[0]);
	net_nonblock(sv[1]);
	plain(sv[0], false);
	vectors("socket, readv", sv[0], false, false);
	vectors("socket, writev", sv[0], true, false);
	messages(sv[0]);
	t_show("what has arrived", recv(sv[1], buf, ROOM, 0));
	t_show("what else", recv(sv[1], buf, ROOM, 0));
	close(sv[0]);
	close(sv[1]);
	return t_end();
}
