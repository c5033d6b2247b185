/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* timeout: 120 */
/* 10,000 tree files and sockets open at once, all of them usable, all of them closed. */
#include "net.h"
#include <sys/resource.h>

enum { FILES = 9000, SOCKETS = 1000 };

static int fd[FILES + SOCKETS];

int main(void)
{
	struct rlimit rl;
	char text[16];
	char back[16];
	int wrong = 0;
	int n = 0;

	t_start();
	MUST(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	if (rl.rlim_max < FILES + SOCKETS + 100)
		t_skip("the limit of open files is too low");
	rl.rlim_cur = FILES + SOCKETS + 100;
	MUST(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	MUST(mkdir(P("d"), 0755) == 0);
	for (n = 0; n < FILES; n++) {
		snprintf(text, sizeof(text), "d/f%d", n % 500);
		fd[n] = open(P(text), O_RDWR | O_CREAT, 0644);
		MUST(fd[n] >= 0);
		snprintf(text, sizeof(text), "%08d", n);
		MUST(pwrite(fd[n], text, 8, n / 500 * 8) == 8);
	}
	for (; n < FILES + SOCKETS; n++) {
		struct sockaddr_in sa;

		fd[n] = net_bound(SOCK_DGRAM, &sa);
		MUST(connect(fd[n], (struct sockaddr *)&sa, sizeof(sa)) == 0);
	}
	printf("%d open, numbers without a gap %d\n", n, fd[n - 1] - fd[0] == n - 1);
	for (int i = 0; i < FILES; i++) {
		snprintf(text, sizeof(text), "%08d", i);
		wrong += pread(fd[i], back, 8, i / 500 * 8) != 8 || memcmp(text, back, 8) != 0;
	}
	for (int i = FILES; i < n; i++) {
		wrong += write(fd[i], &i, sizeof(i)) != sizeof(i);
		wrong += recv(fd[i], back, sizeof(back), 0) != sizeof(i) ||
			 memcmp(back, &i, sizeof(i)) != 0;
	}
	printf("%d wrong\n", wrong);
	for (int i = 0; i < n; i++)
		MUST(close(fd[(i * 7919) % n]) == 0);
	return t_end();
}
