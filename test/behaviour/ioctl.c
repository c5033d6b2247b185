/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* ioctl(): the requests that have a meaning for sockets and files, and refused ones. */
#include "net.h"
#include <linux/fs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

static void counts(void)
{
	int sv[2];
	int n = -1;
	char buf[64];

	net_tcp_pair(sv);
	SHOW(ioctl(sv[1], FIONREAD, &n));
	SHOW(n);
	MUST(send(sv[0], "0123456789", 10, 0) == 10);
	net_await(sv[1]);
	SHOW(ioctl(sv[1], FIONREAD, &n));
	SHOW(n);
	MUST(read(sv[1], buf, 4) == 4);
	SHOW(ioctl(sv[1], FIONREAD, &n));
	SHOW(n);
	MUST(send(sv[0], "!", 1, MSG_OOB) == 1);
	net_await_event(sv[1], POLLPRI);
	MUST(recv(sv[1], buf, 6, MSG_WAITALL) == 6);
	SHOW(ioctl(sv[1], SIOCATMARK, &n));
	SHOW(n);
	SHOW(ioctl(sv[0], SIOCOUTQ, &n));
	close(sv[0]);
	close(sv[1]);
	net_udp_pair(sv);
	MUST(send(sv[0], "first", 5, 0) == 5 && send(sv[0], "2nd", 3, 0) == 3);
	net_await(sv[1]);
	SHOW(ioctl(sv[1], FIONREAD, &n));
	SHOW(n);
	close(sv[0]);
	close(sv[1]);
}

static void modes(void)
{
	struct sockaddr_in sa;
	int fd = net_bound(SOCK_DGRAM, &sa);
	int on = 1;
	int off = 0;
	char c;

	SHOW(ioctl(fd, FIONBIO, &on));
	SHOW(recv(fd, &c, 1, 0));
	SHOW(!!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	SHOW(ioctl(fd, FIONBIO, &off));
	SHOW(!!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	SHOW(ioctl(fd, FIOCLEX));
	SHOW(fcntl(fd, F_GETFD));
	SHOW(ioctl(fd, FIONCLEX));
	SHOW(fcntl(fd, F_GETFD));
	close(fd);
	SHOW(ioctl(fd, FIONBIO, &on));
}

static void on_files(void)
{
	int fd = TRY(open(P("f"), O_RDWR));
	struct winsize ws;
	int n = -1;

	SHOW(ioctl(fd, FIONREAD, &n));
	SHOW(n);
	SHOW(lseek(fd, 3, SEEK_SET));
	SHOW(ioctl(fd, FIONREAD, &n));
	SHOW(n);
	SHOW(ioctl(fd, FIOCLEX));
	SHOW(fcntl(fd, F_GETFD));
	SHOW(ioctl(fd, TIOCGWINSZ, &ws));
	SHOW(ioctl(fd, 0xdead, &n));
	SHOW(isatty(fd));
	close(fd);
}

/* Their numbers say long, but the kernel has always read and written an int. */
static void flags_of_files(void)
{
	int fd = TRY(open(P("f"), O_RDWR));
	struct {
		int value, guard;
	} v = { 0, 0x5afe };
	int before;

	SHOW(ioctl(fd, FS_IOC_GETFLAGS, &v));
	SHOW(v.guard);
	before = v.value;
	v.value |= FS_NOATIME_FL;
	SHOW(ioctl(fd, FS_IOC_SETFLAGS, &v));
	SHOW(ioctl(fd, FS_IOC_GETFLAGS, &v));
	SHOW(v.value == (before | FS_NOATIME_FL));
	SHOW(v.guard);
	TRY(ioctl(fd, FS_IOC_GETVERSION, &v) < 0 ? -1 : 0);
	SHOW(v.guard);
	close(fd);
}

static void interfaces(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	struct sockaddr_in *sin = (struct sockaddr_in *)&ifr.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	SHOW(ioctl(fd, SIOCGIFADDR, &ifr));
	printf("%s\n", inet_ntoa(sin->sin_addr));
	SHOW(ioctl(fd, SIOCGIFNETMASK, &ifr));
	printf("%s\n", inet_ntoa(sin->sin_addr));
	SHOW(ioctl(fd, SIOCGIFFLAGS, &ifr));
	printf("%s\n", ifr.ifr_flags & IFF_UP ? "up" : "down");
	SHOW(ioctl(fd, SIOCGIFMTU, &ifr));
	SHOW(ifr.ifr_mtu);
	SHOW(ioctl(fd, SIOCGIFINDEX, &ifr));
	SHOW(ifr.ifr_ifindex);
	strcpy(ifr.ifr_name, "none0");
	SHOW(ioctl(fd, SIOCGIFADDR, &ifr));
	SHOW(ioctl(fd, 0xdead, &ifr));
	SHOW(ioctl(fd, TIOCGWINSZ, &ifr));
	close(fd);
}

int main(void)
{
	t_start();
	t_puts(P("f"), "0123456789");
	counts();
	modes();
	on_files();
	flags_of_files();
	interfaces();
	return t_end();
}
