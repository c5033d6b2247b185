/* SPDX-License-Identifier: MIT */
/*
 * libc's own system calls. stdio, opendir, getaddrinfo or posix_spawn never cross the PLT, so at
 * start the system call sites inside libc.so.6 are turned into jumps to us (patch.c).
 */
#ifndef VOS_PATCH_H
#define VOS_PATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VOS_PATCH_NRS	512 /* system call numbers that a bitmap covers */
#define VOS_PATCH_WORDS (VOS_PATCH_NRS / (8 * sizeof(unsigned long)))

/*
 * glibc 2.40 and older hold two copies of each call that is a cancellation point. The second, the
 * only one that a program with threads runs, makes its call with asynchronous cancellation on.
 * With this flag these copies are patched as well, and the hook is run with cancellation deferred.
 * Without it libc's own read(), write(), poll(), connect() .. are not seen once there are threads:
 * stdio goes to the kernel, and getaddrinfo() gets its socket from the hook but connects it behind
 * the hook's back. From glibc 2.41 on there is one way only, which is patched in any case.
 */
#define VOS_PATCH_ASYNC 1U

/*
 * vos_libc_patch() - make libc's own sites call vos_hook_wants() and vos_syscall_hook().
 * @want: bitmap of VOS_PATCH_NRS system call numbers; those that libc or the process cannot do
 *	without (threads, memory, signals) are left out whatever it says.
 *
 * To be called once, from a constructor. All or nothing: returns the number of sites (> 0), or
 * -ENOENT	no libc.so.6, or one in which calls of @want that matter were not found
 * -EBUSY	the process has more than one thread
 * -EACCES	this process may not change its text (SELinux, memory-deny-write-execute)
 * -ENOMEM	no room for code within 2 GiB of libc
 * -ENOSYS	not on this architecture
 */
int vos_libc_patch(const unsigned long *want);
int vos_libc_patch_flags(const unsigned long *want, unsigned int flags);

/*
 * What the sites call; provided by whoever decides. Both take the kernel's arguments.
 *
 * vos_hook_wants() - 0 to have the kernel make the call, from the very instruction that would have
 * made it. Runs with the caller's vector registers live, so it and all that it calls must be built
 * with general-regs-only; at a copy under asynchronous cancellation it can be unwound at any
 * instruction, so it must not take or allocate anything.
 *
 * vos_syscall_hook() - make the call; the result or -errno, like the kernel. All registers are
 * saved around it.
 */
int vos_hook_wants(long nr, const long args[6]);
long vos_syscall_hook(long nr, const long args[6]);

/* The rest is for patch.c, patch_entry.S and their test. */

enum vos_site_kind {
	VOS_SITE_NONE,
	VOS_SITE_MOV,	/* mov $nr, %eax; syscall */
	VOS_SITE_STACK, /* mov disp(%rsp), %rax; syscall: glibc 2.41's __internal_syscall_cancel */
	VOS_SITE_CMP,	/* syscall; cmp $-4096, %rax */
	VOS_SITE_CALL,	/* call __syscall_cancel_arch, in the same function */
};

#define VOS_SITE_NR_RUNTIME (-1)

struct vos_site {
	uint8_t *at;	/* first byte that is overwritten */
	uint64_t jump;	/* what is to be there, from @at on */
	uint64_t saved; /* what was there */
	int16_t nr;	/* system call number, or VOS_SITE_NR_RUNTIME */
	uint8_t kind;	/* enum vos_site_kind */
	bool async;	/* a copy for asynchronous cancellation */
};

#define VOS_MOV_LEN 5 /* bytes of both forms of mov; of jmp and call with a 4-byte displacement */
#define VOS_CMP_LEN 8 /* syscall; cmp $-4096, %rax */

struct vos_text {
	uint8_t *start, *end;
	/* __syscall_cancel_arch() and its mask of CANCELED; NULL unless it has a VOS_SITE_CALL */
	uint8_t *cancel_arch;
	uint8_t canceled_mask;
};

static inline bool vos_patch_has(const unsigned long *set, long nr)
{
	const unsigned long bits = 8 * sizeof(*set);

	return (unsigned long)nr < VOS_PATCH_NRS && set[nr / bits] >> (nr % bits) & 1;
}

/* @set becomes @want without the calls that are never patched; is anything left? */
bool vos_patch_wanted(unsigned long *set, const unsigned long *want);

/* Find the sites in @text; returns how many, or -ENOSPC when there are more than @max. */
int vos_patch_scan(struct vos_text *text, const unsigned long *want, unsigned int flags,
		   struct vos_site *site, int max);

#endif
