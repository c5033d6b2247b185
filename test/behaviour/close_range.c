/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* close_range(), closefrom() and loops that close everything: the tree stays reachable after. */
#include "net.h"
#include <linux/close_range.h>
#include <sys/resource.h>

static void open_some(int *fd)
{
	fd[0] = open(P("f"), O_RDONLY);
	fd[1] = open(L("f"), O_RDONLY);
	fd[2] = socket(AF_INET, SOCK_STREAM, 0);
	fd[3] = open(P("f"), O_RDONLY);
	for (int i = 0; i < 4; i++)
		MUST(fd[i] == 3 + i);
}

static void state(const char *label)
{
	char text[8] = "";

	for (int i = 0; i < 4; i++) {
		int fl = fcntl(3 + i, F_GETFD);

		text[i] = fl < 0 ? '-' : fl ? 'c' : 'o';
	}
	printf("%s: %s\n", label, text);
	t_cat("file", P("f"));
}

/* What is above the limit of numbers now may have been opened under a higher one. */
static void lowered(void)
{
	struct rlimit rl;
	struct rlimit low;
	char c = 0;
	int fd[4];
	int high;

	open_some(fd);
	high = fcntl(fd[0], F_DUPFD, 100);
	MUST(high == 100);
	MUST(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	low = rl;
	low.rlim_cur = 32;
	MUST(setrlimit(RLIMIT_NOFILE, &low) == 0);
	SHOW(close_range(7, ~0u, 0));
	MUST(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	SHOW(fcntl(high, F_GETFD));
	/* The number is free, and nothing of what it was is left. */
	SHOW(dup2(fd[1], high));
	SHOW(read(high, &c, 1));
	printf("reads %c\n", c);
	close(high);
	state("lowered");
	SHOW(close_range(3, 6, 64));
	SHOW(close_range(3, 3, CLOSE_RANGE_CLOEXEC | 8));
	state("refused");
	SHOW(close_range(3, 6, 0));
}

int main(void)
{
	struct rlimit rl;
	int fd[4];

	t_start();
	t_puts(P("f"), "text");
	t_puts(L("f"), "local");
	open_some(fd);
	SHOW(close_range(4, 5, 0));
	state("middle");
	SHOW(close_range(3, ~0u, 0));
	state("all");
	open_some(fd);
	SHOW(close_range(3, 5, CLOSE_RANGE_CLOEXEC));
	state("cloexec");
	SHOW(close_range(3, ~0u, CLOSE_RANGE_UNSHARE));
	state("unshare");
	SHOW(close_range(5, 4, 0));
	SHOW(close_range(5, 6, 64));
	SHOW(close_range(400, 500, 0));
	open_some(fd);
	closefrom(4);
	state("closefrom");
	closefrom(3);
	lowered();
	open_some(fd);
	MUST(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	for (rlim_t i = 3; i < rl.rlim_cur; i++)
		close((int)i);
	state("a loop up to the limit");
	CHECK(socket(AF_INET, SOCK_STREAM, 0) == 3);
	close(3);
	return t_end();
}
