/* SPDX-License-Identifier: MIT */
/*
 * From a system call's number to its handler: for syscall(), and for libc's own call sites, which
 * ask vos_hook_wants() first. That one is built with general-regs-only and must be quick: it only
 * says whether the call could be ours.
 */
#define _GNU_SOURCE
#include "preload/patch.h"
#include "preload/process.h"

#include <poll.h>
#include <pthread.h>
#include <sys/single_threaded.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define NRS 512

static const vos_handler handler[NRS] = {
#define VOS_FD(name)  [SYS_##name] = vos_sys_##name,
#define VOS_AT(name)  [SYS_##name] = vos_sys_##name,
#define VOS_SYS(name) [SYS_##name] = vos_sys_##name,
#include "ring/calls.def"
};

enum vos_stage vos_stage;

/* What libc does around its own: cancellation may strike while the thread is blocked. */
static __attribute__((noinline)) long local_threaded(long nr, long a0, long a1, long a2, long a3,
						     long a4, long a5)
{
	int old;
	long r;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	r = vos_raw(nr, a0, a1, a2, a3, a4, a5);
	vos_refill_returns();
	pthread_setcanceltype(old, &old);
	return r;
}

long vos_local(long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
	long r;

	if (unlikely(!__libc_single_threaded))
		return local_threaded(nr, a0, a1, a2, a3, a4, a5);
	r = vos_raw(nr, a0, a1, a2, a3, a4, a5);
	vos_refill_returns();
	return r;
}

long vos_dispatch(long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
	if ((unsigned long)nr < NRS && handler[nr] && vos_stage == VOS_STAGE_READY)
		return handler[nr](a0, a1, a2, a3, a4, a5);
	return vos_raw(nr, a0, a1, a2, a3, a4, a5);
}

/* What a child that libc itself spawns does before it becomes another program. */
static bool by_spawned_child(long nr)
{
	switch (nr) {
	case SYS_open:
	case SYS_openat:
	case SYS_close:
	case SYS_close_range:
	case SYS_dup2:
	case SYS_dup3:
	case SYS_fcntl:
	case SYS_ioctl:
	case SYS_chdir:
	case SYS_fchdir:
	case SYS_umask:
		return vos_on_borrowed_memory();
	default:
		return false;
	}
}

/*
 * The numbers of such a child are its own, but our table in its memory is its parent's: whatever it
 * does with them is between it and the kernel. (What programs spawn is made of our own calls where
 * anything is remote; this is about wordexp().)
 */
long vos_syscall_hook(long nr, const long a[6])
{
	if (unlikely(by_spawned_child(nr)))
		return vos_raw(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	return vos_dispatch(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Which calls are looked at, and which argument is a descriptor. */
enum want { NEVER, BY_FD, BY_PATH, BY_TWO_FDS, BY_POLLFDS, BY_FAMILY, ALWAYS };

static const uint8_t wanted[NRS] = {
#define VOS_FD(name) [SYS_##name] = BY_FD,
#define VOS_AT(name) [SYS_##name] = BY_PATH,
#include "ring/calls.def"
	[SYS_open] = BY_PATH,
	[SYS_openat] = BY_PATH,
	[SYS_openat2] = BY_PATH,
	[SYS_creat] = BY_PATH,
	[SYS_close] = BY_FD,
	[SYS_close_range] = ALWAYS,
	[SYS_dup] = BY_FD,
	[SYS_dup2] = BY_TWO_FDS,
	[SYS_dup3] = BY_TWO_FDS,
	[SYS_fcntl] = BY_FD,
	[SYS_ioctl] = BY_FD,
	[SYS_read] = BY_FD,
	[SYS_write] = BY_FD,
	[SYS_pread64] = BY_FD,
	[SYS_pwrite64] = BY_FD,
	[SYS_readv] = BY_FD,
	[SYS_writev] = BY_FD,
	[SYS_preadv] = BY_FD,
	[SYS_pwritev] = BY_FD,
	[SYS_preadv2] = BY_FD,
	[SYS_pwritev2] = BY_FD,
	[SYS_sendfile] = BY_TWO_FDS,
	[SYS_splice] = BY_TWO_FDS,
	[SYS_copy_file_range] = BY_TWO_FDS,
	[SYS_stat] = BY_PATH,
	[SYS_lstat] = BY_PATH,
	[SYS_access] = BY_PATH,
	[SYS_faccessat] = BY_PATH,
	[SYS_readlink] = BY_PATH,
	[SYS_unlink] = BY_PATH,
	[SYS_rmdir] = BY_PATH,
	[SYS_mkdir] = BY_PATH,
	[SYS_mknod] = BY_PATH,
	[SYS_chmod] = BY_PATH,
	[SYS_chown] = BY_PATH,
	[SYS_lchown] = BY_PATH,
	[SYS_utime] = BY_PATH,
	[SYS_utimes] = BY_PATH,
	[SYS_futimesat] = BY_PATH,
	[SYS_symlink] = BY_PATH,
	[SYS_link] = BY_PATH,
	[SYS_rename] = BY_PATH,
	[SYS_renameat] = BY_PATH,
	[SYS_truncate] = BY_PATH,
	[SYS_statfs] = BY_PATH,
	[SYS_setxattr] = BY_PATH,
	[SYS_lsetxattr] = BY_PATH,
	[SYS_getxattr] = BY_PATH,
	[SYS_lgetxattr] = BY_PATH,
	[SYS_listxattr] = BY_PATH,
	[SYS_llistxattr] = BY_PATH,
	[SYS_removexattr] = BY_PATH,
	[SYS_lremovexattr] = BY_PATH,
	[SYS_getdents] = BY_FD,
	[SYS_chdir] = BY_PATH,
	[SYS_fchdir] = BY_PATH,
	[SYS_getcwd] = BY_PATH,
	[SYS_umask] = ALWAYS,
	[SYS_socket] = BY_FAMILY,
	[SYS_accept] = BY_FD,
	[SYS_accept4] = BY_FD,
	[SYS_sendto] = BY_FD,
	[SYS_recvfrom] = BY_FD,
	[SYS_sendmsg] = BY_FD,
	[SYS_recvmsg] = BY_FD,
	[SYS_sendmmsg] = BY_FD,
	[SYS_recvmmsg] = BY_FD,
	[SYS_getsockopt] = BY_FD,
	[SYS_getsockname] = BY_FD,
	[SYS_setsockopt] = BY_FD,
	[SYS_getpeername] = BY_FD,
	[SYS_poll] = BY_POLLFDS,
	[SYS_ppoll] = BY_POLLFDS,
};

int vos_hook_wants(long nr, const long a[6])
{
	const struct pollfd *p = (const struct pollfd *)a[0];

	if (vos_stage != VOS_STAGE_READY || (unsigned long)nr >= NRS)
		return 0;
	switch (wanted[nr]) {
	case BY_FD:
		return vos_fd(a[0]) != 0;
	case BY_TWO_FDS:
		return vos_fd(a[0]) || vos_fd(a[1]) || vos_fd(a[2]);
	case BY_PATH:
		return vos_files_remote ||
		       atomic_load_explicit(&vos_fdtab.nremote, memory_order_relaxed);
	case BY_POLLFDS:
		for (unsigned long i = 0; i < (unsigned long)a[1]; i++)
			if (vos_fd(p[i].fd))
				return 1;
		return 0;
	case BY_FAMILY:
		return a[0] == AF_INET || a[0] == AF_INET6 || a[0] == AF_NETLINK;
	case ALWAYS:
		return 1;
	default:
		return 0;
	}
}

void vos_dispatch_wanted(unsigned long *bitmap)
{
	for (unsigned i = 0; i < NRS; i++)
		if (wanted[i] != NEVER)
			bitmap[i / 64] |= 1ul << i % 64;
}

/* --- the generic rows ----------------------------------------------------------------------- */

#define VOS_FD(name)                                                                             \
	long vos_sys_##name(long a0, long a1, long a2, long a3, long a4, long a5)                \
	{                                                                                        \
		uint64_t w = vos_fd(a0);                                                         \
		long r;                                                                          \
                                                                                                 \
		if (likely(!w))                                                                  \
			return vos_raw(SYS_##name, a0, a1, a2, a3, a4, a5);                      \
		r = vos_forward_fd(VOS_OP_##name, w, (const long[6]){ a0, a1, a2, a3, a4, a5 }); \
		return likely(!vos_fd_moved(a0, w, r)) ? r                                       \
						       : vos_sys_##name(a0, a1, a2, a3, a4, a5); \
	}
#define VOS_AT(name)                                                                             \
	long vos_sys_##name(long a0, long a1, long a2, long a3, long a4, long a5)                \
	{                                                                                        \
		vos_need_init();                                                                 \
		return vos_forward_at(VOS_OP_##name, (const long[6]){ a0, a1, a2, a3, a4, a5 }); \
	}
#include "ring/calls.def"
