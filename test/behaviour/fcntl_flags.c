/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* fcntl(): status flags belong to the description, descriptor flags to the number; F_DUPFD. */
#include "net.h"
#include <sys/resource.h>

#define SHOWN_FLAGS (O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECTORY | O_PATH | O_NOATIME)

static void flags_of(const char *label, int fd)
{
	int fl = fcntl(fd, F_GETFL);

	if (fl < 0)
		printf("%s: %s\n", label, t_errname(errno));
	else
		printf("%s: %o\n", label, fl & SHOWN_FLAGS);
}

static void status(void)
{
	int fd = TRY(open(P("f"), O_RDWR | O_APPEND));
	int copy = TRY(dup(fd));

	flags_of("open", fd);
	SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
	flags_of("set", fd);
	flags_of("seen by the copy", copy);
	SHOW(fcntl(copy, F_SETFL, O_RDONLY | O_APPEND | O_CREAT));
	flags_of("set by the copy", fd);
	SHOW(fcntl(fd, F_SETFL, 0));
	flags_of("cleared", copy);
	close(copy);
	close(fd);
	fd = open(P("f"), O_RDONLY);
	flags_of("read only", fd);
	close(fd);
	fd = open(P("f"), O_WRONLY | O_NONBLOCK);
	flags_of("write only", fd);
	close(fd);
	flags_of("closed", fd);
	SHOW(fcntl(fd, F_SETFL, 0));
}

static void sockets(void)
{
	struct sockaddr_in sa;
	int fd = net_bound(SOCK_STREAM, &sa);
	int nonblock = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	flags_of("socket", fd);
	SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
	flags_of("socket set", fd);
	flags_of("SOCK_NONBLOCK", nonblock);
	SHOW(fcntl(nonblock, F_GETFD));
	close(fd);
	close(nonblock);
}

static void descriptor_flags(void)
{
	int fd = TRY(open(P("f"), O_RDONLY | O_CLOEXEC));
	int copy;

	SHOW(fcntl(fd, F_GETFD));
	copy = dup(fd);
	SHOW(fcntl(copy, F_GETFD));
	SHOW(fcntl(copy, F_SETFD, FD_CLOEXEC));
	SHOW(fcntl(fd, F_SETFD, 0));
	SHOW(fcntl(copy, F_GETFD));
	SHOW(fcntl(fd, F_GETFD));
	close(copy);
	SHOW(fcntl(copy, F_GETFD));
	copy = SHOW(fcntl(fd, F_DUPFD, 100));
	SHOW(fcntl(copy, F_GETFD));
	close(copy);
	copy = SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 101));
	SHOW(fcntl(copy, F_GETFD));
	CHECK(fcntl(fd, F_DUPFD, 101) == 102);
	close(102);
	SHOW(read(copy, &copy, 0));
	close(101);
	SHOW(fcntl(fd, F_DUPFD, -1));
	close(fd);
	SHOW(fcntl(fd, F_DUPFD, 0));
}

static void limit(void)
{
	struct rlimit old;
	struct rlimit low = { .rlim_cur = 64 };
	int fd = open(P("f"), O_RDONLY);
	int last = -1;
	int n = 0;

	MUST(getrlimit(RLIMIT_NOFILE, &old) == 0);
	low.rlim_max = old.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &low) == 0);
	SHOW(fcntl(fd, F_DUPFD, 64));
	SHOW(dup2(fd, 64));
	SHOW(fcntl(fd, F_DUPFD, 63));
	while (n < 100) {
		int next = open(P("f"), O_RDONLY);

		if (next < 0)
			break;
		last = next;
		n++;
	}
	printf("%s after the last of %d\n", t_errname(errno), last + 1);
	TRY(socket(AF_INET, SOCK_STREAM, 0));
	TRY(dup(fd));
	MUST(setrlimit(RLIMIT_NOFILE, &old) == 0);
	SHOW(close_range((unsigned int)fd, 63, 0));
}

int main(void)
{
	t_start();
	t_puts(P("f"), "text");
	status();
	sockets();
	descriptor_flags();
	limit();
	return t_end();
}
