/* SPDX-License-Identifier: MIT */
/*
 * What programs may ask for, where an op alone does not say it. Checked twice: for each request
 * where it is run, so that the answer is what the kernel's would be; and by the kernel itself
 * (filter.c), should somebody have got past the first.
 */
#ifndef SVCD_ALLOWED_H
#define SVCD_ALLOWED_H

#include <linux/fs.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/*
 * Families of sockets. Others would let a client into what is not its domain: our own kernel's Unix
 * sockets, raw frames.
 */
static inline bool allowed_family(int family, int protocol)
{
	return family == AF_INET || family == AF_INET6 ||
	       (family == AF_NETLINK && protocol == NETLINK_ROUTE);
}

/* Requests of ioctl() without pointers in their data, which would be looked up here, but for one. */
static const uint32_t allowed_ioctls[] = {
	FIONREAD, TIOCOUTQ, SIOCATMARK, SIOCOUTQNSD, SIOCGSTAMP, SIOCGSTAMPNS, FIOQSIZE, FIGETBSZ,
	FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, FS_IOC_GETVERSION,
	BLKGETSIZE64, BLKSSZGET, BLKBSZGET, SIOCGIFCONF, /* its pointer is our own */
	/* interfaces: those with a struct ifreq by value */
	SIOCGIFNAME, SIOCGIFINDEX, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFBRDADDR,
	SIOCGIFNETMASK, SIOCGIFMETRIC, SIOCGIFMTU, SIOCGIFHWADDR, SIOCGIFTXQLEN, SIOCSIFFLAGS,
	SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFMTU, SIOCGARP
};

static inline bool allowed_ioctl(uint64_t nr)
{
	for (size_t i = 0; i < sizeof(allowed_ioctls) / sizeof(allowed_ioctls[0]); i++)
		if (nr == allowed_ioctls[i])
			return true;
	return false;
}

/*
 * Levels of socket options: those that our sockets have. In those of IP the names from 64 on are
 * netfilter's, whose tables are no business of a program's, except for a few that are not.
 */
static const int allowed_levels[] = {
	SOL_SOCKET,  IPPROTO_TCP,   IPPROTO_UDP, IPPROTO_ICMPV6, SOL_RAW, IPPROTO_UDPLITE,
	SOL_NETLINK, 282 /* TLS */, 284 /* MPTCP */
};
#define ALLOWED_NAMES	   64 /* of IP and IPv6: those below, and */
#define ALLOWED_IPV6_NAMES 70 /* from here on, and */
static const int allowed_ip_names[] = { 80 /* SO_ORIGINAL_DST */ };
static const int allowed_ipv6_names[] = { IPV6_RECVTCLASS, IPV6_TCLASS };

static inline bool allowed_level(int level)
{
	for (size_t i = 0; i < sizeof(allowed_levels) / sizeof(allowed_levels[0]); i++)
		if (level == allowed_levels[i])
			return true;
	return level == SOL_IP || level == SOL_IPV6;
}

static inline bool allowed_name(int level, int name)
{
	if (level == SOL_IP)
		return (unsigned)name < ALLOWED_NAMES || name == allowed_ip_names[0];
	if (level == SOL_IPV6)
		return (unsigned)name < ALLOWED_NAMES || (unsigned)name >= ALLOWED_IPV6_NAMES ||
		       name == allowed_ipv6_names[0] || name == allowed_ipv6_names[1];
	return true;
}

#endif
