/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * What it takes a capability to do: root can, others cannot, and root without the capability cannot
 * either, whether it has given it up before its first remote call or after it.
 */
#include "net.h"
#include <linux/capability.h>
#include <linux/fs.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static void sockets(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(81) };
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int raw;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	SHOW(bind(fd, (struct sockaddr *)&sa, sizeof(sa)));
	SHOW(set(fd, SOL_SOCKET, SO_MARK, 7));
	SHOW(set(fd, SOL_SOCKET, SO_PRIORITY, 7));
	SHOW(set(fd, SOL_IP, IP_TRANSPARENT, 1));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	SHOW(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
	SHOW(ioctl(fd, SIOCGIFMTU, &ifr));
	SHOW(ioctl(fd, SIOCSIFMTU, &ifr));
	close(fd);
	raw = TRY(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	if (raw >= 0)
		close(raw);
	raw = TRY(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	if (raw >= 0)
		close(raw);
}

static void attributes(void)
{
	/* cap_net_raw=ep, revision 2 */
	const uint32_t cap[] = { 0x02000001, 1 << 13, 0, 0, 0 };
	char buf[256];
	ssize_t n;
	int seen = 0;

	SHOW(setxattr(P("f"), "trusted.x", "x", 1, 0));
	SHOW(getxattr(P("f"), "trusted.x", buf, sizeof(buf)));
	n = listxattr(P("f"), buf, sizeof(buf));
	for (char *p = buf; p < buf + n; p += strlen(p) + 1)
		seen += !strcmp(p, "trusted.x");
	SHOW(seen);
	SHOW(removexattr(P("f"), "trusted.x"));
	SHOW(setxattr(P("f"), "security.x", "x", 1, 0));
	SHOW(removexattr(P("f"), "security.x"));
	SHOW(setxattr(P("f"), "security.capability", cap, sizeof(cap), 0));
	SHOW(removexattr(P("f"), "security.capability"));
}

/* Those that fd alone allows are done by a thread that may have acted for somebody else before. */
static void files(void)
{
	int flags = 0;
	char c;
	int fd;

	SHOW(chown(P("f"), 1, 1));
	SHOW(chmod(P("f"), 0600));
	SHOW(chown(P("own"), -1, 1));
	fd = TRY(open(P("f"), O_RDWR | O_NOATIME));
	if (fd >= 0) {
		SHOW(read(fd, &c, 1));
		MUST(ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0);
		flags |= FS_IMMUTABLE_FL;
		SHOW(ioctl(fd, FS_IOC_SETFLAGS, &flags));
		TRY(open(P("f"), O_WRONLY) < 0 ? -1 : close(fd + 1));
		flags &= ~FS_IMMUTABLE_FL;
		SHOW(ioctl(fd, FS_IOC_SETFLAGS, &flags));
		close(fd);
	}
	SHOW(mknod(P("null"), S_IFCHR | 0600, makedev(1, 3)));
	SHOW(mknod(P("pipe"), S_IFIFO | 0600, 0));
	SHOW(chown(P("f"), geteuid(), getegid()));
	unlink(P("null"));
	unlink(P("pipe"));
}

static void all(const char *label)
{
	printf("-- %s\n", label);
	sockets();
	attributes();
	files();
}

static struct __user_cap_data_struct had[2];

/* Have those in effect that the process had at first, or none. By one way or the other. */
static void have(bool any, bool by_number)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { had[0], had[1] };
	extern int capset(void *, const void *);

	if (!any)
		d[0].effective = d[1].effective = 0;
	MUST((by_number ? (int)syscall(SYS_capset, &h, d) : capset(&h, d)) == 0);
}

static void child(const char *label)
{
	pid_t pid = fork();

	if (!pid) {
		have(false, true);
		all(label);
		_exit(t_failed);
	}
	t_wait("child", pid);
}

int main(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };

	t_start();
	MUST(syscall(SYS_capget, &h, had) == 0);
	t_puts(P("f"), "text");
	t_puts(P("own"), "text");
	all("as it is");
	child("a child without, from the start");
	have(false, false);
	all("without");
	have(true, true);
	all("with again");
	return t_end();
}
