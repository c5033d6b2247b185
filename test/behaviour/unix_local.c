/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Unix sockets, pipes and other local kinds are as ever while the network is forwarded. */
#include "net.h"
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/un.h>

static void unix_stream(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct sockaddr_un peer;
	socklen_t len = sizeof(peer);
	struct ucred cred;
	socklen_t clen = sizeof(cred);
	char buf[8] = "";
	int lfd = socket(AF_UNIX, SOCK_STREAM, 0);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int got;

	MUST(chdir(L("")) == 0);
	strcpy(sa.sun_path, "sock");
	SHOW(bind(lfd, (struct sockaddr *)&sa, sizeof(sa)));
	SHOW(listen(lfd, 1));
	SHOW(connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	got = TRY(accept(lfd, (struct sockaddr *)&peer, &len));
	printf("length %u\n", len);
	SHOW(getsockopt(got, SOL_SOCKET, SO_PEERCRED, &cred, &clen));
	CHECK(cred.pid == getpid() && cred.uid == geteuid());
	SHOW(write(fd, "unix", 4));
	SHOW(read(got, buf, 4));
	printf("%s\n", buf);
	close(got);
	close(fd);
	close(lfd);
	SHOW(unlink("sock"));
	MUST(chdir("/") == 0);
}

static void abstract(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = "\0virtuos-test" };
	socklen_t len = sizeof(sa.sun_family) + 13;
	int lfd = socket(AF_UNIX, SOCK_DGRAM, 0);
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char buf[8];

	SHOW(bind(lfd, (struct sockaddr *)&sa, len));
	SHOW(sendto(fd, "abc", 3, 0, (struct sockaddr *)&sa, len));
	SHOW(recv(lfd, buf, 8, 0));
	close(fd);
	close(lfd);
}

static void others(void)
{
	struct itimerspec it = { .it_value = { 0, 20000000 } };
	uint64_t n = 3;
	int ev = TRY(eventfd(2, EFD_CLOEXEC));
	int timer = TRY(timerfd_create(CLOCK_MONOTONIC, 0));
	char buf[16] = "";
	int p[2];

	SHOW(write(ev, &n, 8));
	SHOW(read(ev, &n, 8));
	SHOW(n);
	SHOW(timerfd_settime(timer, 0, &it, NULL));
	SHOW(read(timer, &n, 8));
	SHOW(n);
	MUST(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0);
	SHOW(read(p[0], buf, 1));
	SHOW(write(p[1], "through", 7));
	SHOW(read(p[0], buf, sizeof(buf)));
	close(p[1]);
	SHOW(read(p[0], buf, 1));
	close(p[0]);
	close(ev);
	close(timer);
	t_cat("/dev/null", "/dev/null");
	SHOW(access("/proc/self/maps", R_OK));
	SHOW(access("/etc/passwd", R_OK));
}

int main(void)
{
	t_start();
	unix_stream();
	abstract();
	others();
	return t_end();
}
