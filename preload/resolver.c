/* SPDX-License-Identifier: MIT */
/*
 * The resolver. Its sockets are of class dns, whatever class inet is: each of libc's functions that
 * asks name servers is wrapped only to say so (inside) while libc's own function runs. A signal
 * handler may leave it for good, so longjmp() is wrapped to say that, too; or make sockets of its own on
 * a stack of its own, so the frame is noted, and counts only for what lies on top of it.
 * Those that list interfaces ask the kernel through netlink: they are to see those of class inet.
 *
 * libc makes these sockets by system calls of its own, which reach us where libc is patched.
 */
#define _GNU_SOURCE
#include "preload/calls/socket.h"
#include "preload/wrap.h"

#include <arpa/nameser.h>
#include <dlfcn.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <resolv.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

void vos_resolver_init(void) HIDDEN;

static __thread struct inside {
	const void *frame;
	enum vos_caller as;
} inside __attribute__((tls_model("initial-exec")));

/* Is it a caller's frame? What is on another stack is not. */
static bool below_us(const void *frame)
{
	stack_t alt = { .ss_flags = SS_DISABLE };
	const char *lo;

	if (!vos_chan_confined)
		vos_raw2(SYS_sigaltstack, 0, (long)&alt);
	lo = alt.ss_sp;
	if (!(alt.ss_flags & SS_DISABLE)) {
		bool theirs = (const char *)frame >= lo && (const char *)frame < lo + alt.ss_size;

		if (theirs != !!(alt.ss_flags & SS_ONSTACK))
			return false;
	}
	return (const char *)frame > (const char *)__builtin_frame_address(0);
}

static struct inside present(void)
{
	static const struct inside none;

	return inside.as != VOS_FROM_PROGRAM && below_us(inside.frame) ? inside : none;
}

enum vos_caller vos_caller(void)
{
	return present().as;
}

#pragma GCC diagnostic ignored "-Wredundant-decls"

/* The real functions. Names before glibc 2.34 had two underscores more and a library of their own.
 */
#define REAL(name) static __typeof__(name) *real_##name;
/* clang-format off */
#define ALL(X) \
	X(getaddrinfo) \
	X(getnameinfo) \
	X(gethostbyname) \
	X(gethostbyname2) \
	X(gethostbyname_r) \
	X(gethostbyname2_r) \
	X(gethostbyaddr) \
	X(gethostbyaddr_r) \
	X(res_query) \
	X(res_search) \
	X(res_querydomain) \
	X(res_send) \
	X(res_nquery) \
	X(res_nsearch) \
	X(res_nquerydomain) \
	X(res_nsend) \
	X(getifaddrs) \
	X(if_nameindex) \
	X(if_nametoindex) \
	X(if_indextoname)
/* clang-format on */
ALL(REAL)

#define JUMPS(X) X(longjmp) X(_longjmp) X(siglongjmp) X(__longjmp_chk)
#define REAL_JUMP(name)                                                 \
	EXPORT void name(void *env, int val) __attribute__((noreturn)); \
	REAL(name)
JUMPS(REAL_JUMP)

static void *find(const char *name)
{
	char old[32] = "__";
	void *p = dlsym(RTLD_NEXT, name);

	return p ? p : dlsym(RTLD_NEXT, strcat(old, name));
}

void vos_resolver_init(void)
{
#define FIND(name) real_##name = (__typeof__(name) *)find(#name);
	ALL(FIND)
	JUMPS(FIND)
}

/* Called before our constructor ran, or what it is in was loaded later. */
#define NEED(name)                                                     \
	do {                                                           \
		if (unlikely(!real_##name))                            \
			real_##name = (__typeof__(name) *)find(#name); \
	} while (0)

#define INSIDE(as, name, ...)                                                          \
	({                                                                             \
		struct inside was = present();                                         \
		__typeof__(real_##name(__VA_ARGS__)) result;                           \
                                                                                       \
		NEED(name);                                                            \
		inside = (struct inside){ __builtin_frame_address(0), VOS_FROM_##as }; \
		result = real_##name(__VA_ARGS__);                                     \
		inside = was;                                                          \
		result;                                                                \
	})

/* libc's own functions do not jump: it is a handler that leaves them, by whatever name. */
#define JUMP(name)                            \
	EXPORT void name(void *env, int val)  \
	{                                     \
		NEED(name);                   \
		inside.as = VOS_FROM_PROGRAM; \
		real_##name(env, val);        \
		__builtin_unreachable();      \
	}
JUMPS(JUMP)

EXPORT int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		       struct addrinfo **res)
{
	return INSIDE(RESOLVER, getaddrinfo, node, service, hints, res);
}

EXPORT int getnameinfo(const struct sockaddr *sa, socklen_t salen, char *host, socklen_t hostlen,
		       char *serv, socklen_t servlen, int flags)
{
	return INSIDE(RESOLVER, getnameinfo, sa, salen, host, hostlen, serv, servlen, flags);
}

/* Their names before glibc 2.34. */
#define ALIAS(name, target)            \
	extern __typeof__(target) name \
		__attribute__((alias(#target), copy(target), visibility("default")));

EXPORT struct hostent *gethostbyname(const char *name)
{
	return INSIDE(RESOLVER, gethostbyname, name);
}

EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
	return INSIDE(RESOLVER, gethostbyname2, name, family);
}

EXPORT int gethostbyname_r(const char *name, struct hostent *h, char *buf, size_t len,
			   struct hostent **res, int *err)
{
	return INSIDE(RESOLVER, gethostbyname_r, name, h, buf, len, res, err);
}

EXPORT int gethostbyname2_r(const char *name, int family, struct hostent *h, char *buf, size_t len,
			    struct hostent **res, int *err)
{
	return INSIDE(RESOLVER, gethostbyname2_r, name, family, h, buf, len, res, err);
}

EXPORT struct hostent *gethostbyaddr(const void *addr, socklen_t len, int family)
{
	return INSIDE(RESOLVER, gethostbyaddr, addr, len, family);
}

EXPORT int gethostbyaddr_r(const void *addr, socklen_t alen, int family, struct hostent *h,
			   char *buf, size_t len, struct hostent **res, int *err)
{
	return INSIDE(RESOLVER, gethostbyaddr_r, addr, alen, family, h, buf, len, res, err);
}

EXPORT int res_query(const char *name, int class, int type, unsigned char *answer, int len)
{
	return INSIDE(RESOLVER, res_query, name, class, type, answer, len);
}
ALIAS(__res_query, res_query)

EXPORT int res_search(const char *name, int class, int type, unsigned char *answer, int len)
{
	return INSIDE(RESOLVER, res_search, name, class, type, answer, len);
}
ALIAS(__res_search, res_search)

EXPORT int res_querydomain(const char *name, const char *domain, int class, int type,
			   unsigned char *answer, int len)
{
	return INSIDE(RESOLVER, res_querydomain, name, domain, class, type, answer, len);
}
ALIAS(__res_querydomain, res_querydomain)

EXPORT int res_send(const unsigned char *msg, int msglen, unsigned char *answer, int len)
{
	return INSIDE(RESOLVER, res_send, msg, msglen, answer, len);
}
ALIAS(__res_send, res_send)

EXPORT int res_nquery(res_state st, const char *name, int class, int type, unsigned char *answer,
		      int len)
{
	return INSIDE(RESOLVER, res_nquery, st, name, class, type, answer, len);
}
ALIAS(__res_nquery, res_nquery)

EXPORT int res_nsearch(res_state st, const char *name, int class, int type, unsigned char *answer,
		       int len)
{
	return INSIDE(RESOLVER, res_nsearch, st, name, class, type, answer, len);
}
ALIAS(__res_nsearch, res_nsearch)

EXPORT int res_nquerydomain(res_state st, const char *name, const char *domain, int class, int type,
			    unsigned char *answer, int len)
{
	return INSIDE(RESOLVER, res_nquerydomain, st, name, domain, class, type, answer, len);
}
ALIAS(__res_nquerydomain, res_nquerydomain)

EXPORT int res_nsend(res_state st, const unsigned char *msg, int msglen, unsigned char *answer,
		     int len)
{
	return INSIDE(RESOLVER, res_nsend, st, msg, msglen, answer, len);
}
ALIAS(__res_nsend, res_nsend)

/* --- interfaces ----------------------------------------------------------------------------- */

EXPORT int getifaddrs(struct ifaddrs **res)
{
	return INSIDE(INTERFACES, getifaddrs, res);
}

EXPORT struct if_nameindex *if_nameindex(void)
{
	return INSIDE(INTERFACES, if_nameindex);
}

static bool interfaces_remote(void)
{
	return vos_stage == VOS_STAGE_READY && vos_config.class_to[VOS_CLASS_INET] != VOS_TO_LOCAL;
}

/* libc asks a socket of whatever family; it has to be one of class inet. */
static long ask(unsigned long nr, struct ifreq *req)
{
	long fd = vos_sys_socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0, 0, 0), r;

	if (fd < 0)
		return fd;
	r = vos_sys_ioctl(fd, (long)nr, (long)req, 0, 0, 0);
	vos_sys_close(fd, 0, 0, 0, 0, 0);
	return r;
}

EXPORT unsigned if_nametoindex(const char *name)
{
	struct ifreq req = { 0 };
	size_t n = strlen(name);
	long r = -ENODEV;

	NEED(if_nametoindex);
	if (!interfaces_remote())
		return real_if_nametoindex(name);
	if (n < sizeof(req.ifr_name)) {
		memcpy(req.ifr_name, name, n);
		r = ask(SIOCGIFINDEX, &req);
	}
	return vos_result(r) ? 0 : (unsigned)req.ifr_ifindex;
}

EXPORT char *if_indextoname(unsigned index, char name[IF_NAMESIZE])
{
	struct ifreq req = { .ifr_ifindex = (int)index };
	long r;

	NEED(if_indextoname);
	if (!interfaces_remote())
		return real_if_indextoname(index, name);
	r = ask(SIOCGIFNAME, &req);
	if (vos_result(r == -ENODEV ? -ENXIO : r))
		return NULL;
	return memcpy(name, req.ifr_name, IF_NAMESIZE);
}
