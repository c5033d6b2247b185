/* SPDX-License-Identifier: MIT */
/*
 * ioctl by a typed list: which requests may go to a domain, and what data goes with them in which
 * direction. A request that is not on it gets ENOTTY, as from a device that does not know it.
 */
#define _GNU_SOURCE
#include "preload/vos.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>

struct type {
	unsigned long nr;
	uint16_t in, out;
};

#define GET(nr, type)               \
	{                           \
		nr, 0, sizeof(type) \
	}
#define SET(nr, type)               \
	{                           \
		nr, sizeof(type), 0 \
	}
#define BOTH(nr, type)                         \
	{                                      \
		nr, sizeof(type), sizeof(type) \
	}

static const struct type types[] = {
	GET(FIONREAD, int),
	GET(TIOCOUTQ, int),
	GET(SIOCATMARK, int),
	SET(FIONBIO, int),
	GET(FIOQSIZE, loff_t),
	GET(SIOCGSTAMP, struct timeval),
	GET(SIOCGSTAMPNS, struct timespec),
	GET(SIOCOUTQNSD, int),
	/* files */
	GET(FS_IOC_GETFLAGS, int),
	SET(FS_IOC_SETFLAGS, int),
	GET(FS_IOC_GETVERSION, int),
	GET(FIGETBSZ, int),
	GET(FS_IOC_FSGETXATTR, struct fsxattr),
	SET(FS_IOC_FSSETXATTR, struct fsxattr),
	GET(BLKGETSIZE64, uint64_t),
	GET(BLKSSZGET, int),
	GET(BLKBSZGET, int),
	/* interfaces; SIOCGIFCONF holds a pointer: list_interfaces() */
	BOTH(SIOCGIFNAME, struct ifreq),
	BOTH(SIOCGIFINDEX, struct ifreq),
	BOTH(SIOCGIFFLAGS, struct ifreq),
	BOTH(SIOCGIFADDR, struct ifreq),
	BOTH(SIOCGIFDSTADDR, struct ifreq),
	BOTH(SIOCGIFBRDADDR, struct ifreq),
	BOTH(SIOCGIFNETMASK, struct ifreq),
	BOTH(SIOCGIFMTU, struct ifreq),
	BOTH(SIOCGIFHWADDR, struct ifreq),
	BOTH(SIOCGIFMETRIC, struct ifreq),
	BOTH(SIOCGIFTXQLEN, struct ifreq),
	BOTH(SIOCSIFFLAGS, struct ifreq),
	BOTH(SIOCSIFADDR, struct ifreq),
	BOTH(SIOCSIFNETMASK, struct ifreq),
	BOTH(SIOCSIFMTU, struct ifreq),
	BOTH(SIOCGARP, struct arpreq),
};

static const struct type *find(unsigned long nr)
{
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].nr == nr)
			return &types[i];
	return NULL;
}

static long forward(uint64_t w, unsigned long nr, long arg)
{
	const struct type *t = find(nr);
	uint64_t a[6] = { w, nr, 0, 0, 0, 0 };
	long r;

	if (!t)
		return -ENOTTY;
	if (!arg)
		return -EFAULT;
	/* Lengths of the two blocks are arguments 4 and 5 (see the row of the table). */
	if (t->in) {
		a[2] = (uint64_t)arg;
		a[5] = t->in;
	}
	if (t->out) {
		a[3] = (uint64_t)arg;
		a[4] = t->out;
	}
	r = vos_forward(VOS_OP_ioctl, VOS_WORD_DOMAIN(w), a, NULL);
	if (r >= 0)
		return 0;
	return r == -ENOLINK ? vos_dead(w, false) : r;
}

/* Room for the list travels by itself; without any the answer is how much it takes. */
static long list_interfaces(uint64_t w, struct ifconf *c)
{
	bool room = c->ifc_len >= (int)sizeof(struct ifreq);
	const uint64_t a[6] = { w, SIOCGIFCONF, 0, room ? (uint64_t)c->ifc_buf : 0,
				room ? (uint64_t)c->ifc_len : 0 };
	long r = vos_forward(VOS_OP_ioctl, VOS_WORD_DOMAIN(w), a, NULL);

	if (r < 0)
		return r == -ENOLINK ? vos_dead(w, false) : r;
	c->ifc_len = room || !c->ifc_buf ? (int)r : 0;
	return 0;
}

/* Nothing signals what happens in another kernel: so that is off, and stays off. */
static long no_signals(const int *on)
{
	if (!on)
		return -EFAULT;
	return *on ? -EOPNOTSUPP : 0;
}

long vos_sys_ioctl(long fd, long nr, long arg, long a3, long a4, long a5)
{
	uint64_t w = vos_fd(fd);

	(void)a3, (void)a4, (void)a5;
	if (likely(!w) || VOS_WORD_KIND(w) == VOS_FD_EPOLL)
		return vos_raw3(SYS_ioctl, fd, nr, arg);
	if (!vos_current(w) || VOS_WORD_KIND(w) == VOS_FD_OURS)
		return vos_dead(w, false);
	switch ((unsigned)nr) {
	case FIOCLEX:
	case FIONCLEX:
		return vos_raw3(SYS_ioctl, fd, nr, arg);
	case FICLONE:
	case FICLONERANGE:
	case FIDEDUPERANGE:
		return -EOPNOTSUPP;
	case FIOASYNC:
		return no_signals((const int *)arg);
	case SIOCGIFCONF:
		return arg ? list_interfaces(w, (struct ifconf *)arg) : -EFAULT;
	default:
		return forward(w, (unsigned)nr, arg);
	}
}
