/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* 64 MiB through a connection between two threads, in odd pieces, and through a file; checksums. */
#include "net.h"

enum { MIB = 1 << 20 };

static size_t total = 64 * MIB;

static void *sender(void *arg)
{
	static char buf[3 * MIB];
	uint64_t h = t_hash("", 0);
	size_t left = total;
	unsigned int seed = 1;
	int fd = *(int *)arg;

	while (left) {
		size_t len = 1 + (seed = seed * 1103515245 + 12345) % sizeof(buf);
		size_t done = 0;

		len = len < left ? len : left;
		t_fill(buf, len, seed >> 8);
		h = t_hash_more(h, buf, len);
		while (done < len) {
			ssize_t n = write(fd, buf + done, len - done);

			MUST(n > 0);
			done += (size_t)n;
		}
		left -= len;
	}
	MUST(shutdown(fd, SHUT_WR) == 0);
	*(uint64_t *)arg = h;
	return NULL;
}

int main(void)
{
	static char buf[MIB + 17];
	uint64_t received = t_hash("", 0);
	union {
		int fd;
		uint64_t hash;
	} out;
	size_t size = 0;
	ssize_t n;
	pthread_t t;
	int sv[2];
	int file;

	t_start();
	if (!strcmp(getenv("VT_SIZE"), "quick"))
		total = 8 * MIB;
	net_tcp_pair(sv);
	out.fd = sv[0];
	file = open(P("copy"), O_RDWR | O_CREAT, 0644);
	MUST(pthread_create(&t, NULL, sender, &out) == 0);
	while ((n = read(sv[1], buf, sizeof(buf))) > 0) {
		received = t_hash_more(received, buf, (size_t)n);
		MUST(write(file, buf, (size_t)n) == n);
		size += (size_t)n;
	}
	pthread_join(t, NULL);
	printf("received %zu %s\n", size, received == out.hash ? "equal" : "DIFFERENT");
	close(sv[0]);
	close(sv[1]);
	MUST(lseek(file, 0, SEEK_SET) == 0);
	received = t_hash("", 0);
	while ((n = read(file, buf, sizeof(buf))) > 0)
		received = t_hash_more(received, buf, (size_t)n);
	printf("file %s\n", received == out.hash ? "equal" : "DIFFERENT");
	close(file);
	return t_end();
}
