/* SPDX-License-Identifier: MIT */
/*
 * Who the program is. A service acts with the rights of its client, so it must learn of every
 * change before the next remote call. libc's functions change all threads of the process, so they
 * are called as they are, and then each attached service is told:
 *
 *	by a request, if it takes us for root, who may become anybody: that works even where the
 *	services can no longer be reached by path, as after chroot()
 *	else by a new connection, whose credentials the kernel vouches for; or by what the kernel
 *	has noted in the channel (vouch() of its transport), which such a request points to
 *
 * After a move to another user name space always by a connection: our ids say nothing outside of it.
 *
 * A service that cannot be told must not go on with the rights that we had: its channel ends. Only
 * if we have become root it may: it does with fewer rights than it could have.
 *
 * The identity is that of the process: a program that changes single threads by system calls of its
 * own changes it for all of them.
 */
#define _GNU_SOURCE
#include "preload/process.h"
#include "preload/wrap.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GROUPS_MAX 65536

/* --- telling the services ------------------------------------------------------------------- */

/* Ids and groups to @to, which has room for @room groups; how many words, or -errno. */
static long my_ident(uint32_t *to, long room)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { 0 };
	long n;

	/* Whose rights file accesses have; -1 changes nothing. They follow the effective ids. */
	to[0] = (uint32_t)vos_raw1(SYS_setfsuid, -1);
	to[1] = (uint32_t)vos_raw1(SYS_setfsgid, -1);
	to[2] = (uint32_t)vos_raw0(SYS_getuid);
	to[3] = (uint32_t)vos_raw0(SYS_getgid);
	vos_raw2(SYS_capget, (long)&h, (long)d);
	to[4] = d[0].effective;
	to[5] = d[1].effective;
	n = vos_raw2(SYS_getgroups, room, to + VOS_IDENT_WORDS);
	return n < 0 ? n : n + VOS_IDENT_WORDS;
}

static long tell(unsigned dom)
{
	struct vos_req q;
	long n = vos_raw2(SYS_getgroups, 0, 0);
	long r = vos_req_begin(&q, dom, VOS_OP_ident);

	if (r)
		return r;
	if (n >= 0 && n <= GROUPS_MAX - VOS_IDENT_WORDS)
		r = vos_req_out(&q, (size_t)(n + VOS_IDENT_WORDS) * 4,
				(size_t)(n + VOS_IDENT_WORDS) * 4);
	else
		r = -EINVAL;
	if (!r) {
		n = my_ident((uint32_t *)vos_req_out_ptr(&q), n);
		r = n < 0 ? n : 0;
	}
	if (!r) {
		q.e->arg[0] = VOS_REF(q.out.off, n * 4);
		q.e->arg[1] = (uint64_t)n * 4;
		r = vos_req_run(&q, VOS_WAIT_ALWAYS);
	}
	vos_req_end(&q);
	return r;
}

/* The kernel's word, where the channel has it; if not, the service finds that nothing has changed. */
static long tell_vouched(unsigned dom, struct vos_chan *c)
{
	if (c->transport->vouch)
		c->transport->vouch(c);
	return tell(dom);
}

static long prove(unsigned dom, struct vos_chan *c)
{
	const struct vos_domain_config *d = &vos_config.domain[dom];
	struct vos_hello h = { .magic = VOS_MAGIC,
			       .version = VOS_VERSION,
			       .kind = VOS_HELLO_IDENT,
			       .session = { c->session[0], c->session[1] } };
	struct vos_welcome w = { 0 };

	if (c->transport->vouch)
		return c->transport->vouch(c) ? -EPERM : tell(dom);
	if (!c->transport->prove)
		return -EPERM;
	return c->transport->prove(d->address + strlen(c->transport->scheme), d->name, &h, &w);
}

static struct vos_chan *attached(unsigned dom)
{
	/* Acquire: pairs with attach() in domain.c. */
	return atomic_load_explicit(&vos_domain[dom].chan, memory_order_acquire);
}

void vos_ident_changed(void)
{
	for (unsigned i = 0; i < VOS_MAX_DOMAINS; i++) {
		struct vos_chan *c = attached(i);
		long r;

		if (!c)
			continue;
		r = tell_vouched(i, c);
		if (r && r != -ENOLINK)
			r = prove(i, c);
		if (r && r != -ENOLINK && vos_raw1(SYS_setfsuid, -1) != 0)
			vos_domain_lost(i, c);
	}
}

/*
 * Our ids are now those of another user name space, and our capabilities count only there. What that
 * makes of us elsewhere the kernel alone can say.
 */
static void moved(void)
{
	for (unsigned i = 0; i < VOS_MAX_DOMAINS; i++) {
		struct vos_chan *c = attached(i);
		long r = c ? prove(i, c) : 0;

		if (r && r != -ENOLINK)
			vos_domain_lost(i, c);
	}
}

/* --- libc's functions ----------------------------------------------------------------------- */

/* The answer of a function that may have changed something. */
static int changed(int r)
{
	if (!r)
		vos_ident_changed();
	return r;
}

static int missing(void)
{
	errno = ENOSYS;
	return -1;
}

#define FUNCTIONS(X)                                           \
	X(setuid, (uid_t u), (u))                              \
	X(setgid, (gid_t g), (g))                              \
	X(seteuid, (uid_t u), (u))                             \
	X(setegid, (gid_t g), (g))                             \
	X(setreuid, (uid_t r, uid_t e), (r, e))                \
	X(setregid, (gid_t r, gid_t e), (r, e))                \
	X(setresuid, (uid_t r, uid_t e, uid_t s), (r, e, s))   \
	X(setresgid, (gid_t r, gid_t e, gid_t s), (r, e, s))   \
	X(setgroups, (size_t n, const gid_t *list), (n, list)) \
	X(initgroups, (const char *user, gid_t g), (user, g))

#define DEFINE(name, params, args)                                          \
	static int(*real_##name) params;                                    \
	EXPORT int name params                                              \
	{                                                                   \
		vos_need_init();                                            \
		return real_##name ? changed(real_##name args) : missing(); \
	}
FUNCTIONS(DEFINE)

/* These answer with the former id, and never with an error. */
EXPORT int setfsuid(uid_t u)
{
	return (int)vos_sys_setfsuid((long)u, 0, 0, 0, 0, 0);
}

EXPORT int setfsgid(gid_t g)
{
	return (int)vos_sys_setfsgid((long)g, 0, 0, 0, 0, 0);
}

void vos_ident_init(void)
{
#define BIND(name, params, args) *(void **)&real_##name = dlsym(RTLD_NEXT, #name);
	FUNCTIONS(BIND)
}

/* --- system calls by number: of one thread, for the kernel ---------------------------------- */

#define SYSCALL(name)                                                             \
	long vos_sys_##name(long a0, long a1, long a2, long a3, long a4, long a5) \
	{                                                                         \
		long r = vos_raw(SYS_##name, a0, a1, a2, a3, a4, a5);             \
                                                                                  \
		if (!r)                                                           \
			vos_ident_changed();                                      \
		return r;                                                         \
	}
SYSCALL(setuid)
SYSCALL(setgid)
SYSCALL(setreuid)
SYSCALL(setregid)
SYSCALL(setresuid)
SYSCALL(setresgid)
SYSCALL(setgroups)

/* Root has in a domain what it has here; for others capabilities do not count there. */
long vos_sys_capset(long h, long d, long a2, long a3, long a4, long a5)
{
	long r = vos_raw2(SYS_capset, h, d);

	(void)a2, (void)a3, (void)a4, (void)a5;
	if (!r && !vos_raw1(SYS_setfsuid, -1))
		vos_ident_changed();
	return r;
}

static long set_fs(long nr, long id)
{
	long old = vos_raw1(nr, id);

	if (old != id && vos_raw1(nr, -1) != old)
		vos_ident_changed();
	return old;
}

long vos_sys_setfsuid(long u, long a1, long a2, long a3, long a4, long a5)
{
	(void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
	return set_fs(SYS_setfsuid, u);
}

long vos_sys_setfsgid(long g, long a1, long a2, long a3, long a4, long a5)
{
	(void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
	return set_fs(SYS_setfsgid, g);
}

/* --- user name spaces ----------------------------------------------------------------------- */

/* Which one we are in; 0 where /proc does not say. */
static uint64_t user_ns(void)
{
	struct stat st;

	return vos_raw4(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/ns/user", (long)&st, 0)
		       ? 0
		       : st.st_ino;
}

long vos_sys_unshare(long flags, long a1, long a2, long a3, long a4, long a5)
{
	long r = vos_raw1(SYS_unshare, flags);

	(void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
	if (!r && flags & CLONE_NEWUSER)
		moved();
	return r;
}

/* Without a type it may be any; of those that a pidfd names it can be one of several. */
long vos_sys_setns(long fd, long type, long a2, long a3, long a4, long a5)
{
	uint64_t before = user_ns();
	long r = vos_raw2(SYS_setns, fd, type);

	(void)a2, (void)a3, (void)a4, (void)a5;
	if (!r && (type & CLONE_NEWUSER || (!type && (!before || user_ns() != before))))
		moved();
	return r;
}
