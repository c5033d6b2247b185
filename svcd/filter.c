/* SPDX-License-Identifier: MIT */
/*
 * The system calls that svcd can make, from here on, in all its threads.
 *
 *   allowed	those of the rows of ring/calls.def, what the functions in calls/ make for the rows
 *		without one, and what the daemon and libc need for themselves. Arguments are looked
 *		at where they make the difference.
 *   end svcd	those that only somebody makes who has taken it over: to execute, to trace, to
 *		mount, to load code into the kernel, to get at other processes. The domain dies at
 *		once, which its programs survive, and the kernel logs why.
 *   ENOSYS	all others. A libc that tries something newer then does what it does on older
 *		kernels, so that one that is updated under svcd costs no more than that.
 *
 * What passes is checked a second time here, not in the first place: see call.c and allowed.h.
 */
#define _GNU_SOURCE
#include "ring/calls_table.h"
#include "svcd/allowed.h"
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define SYS(name) SCMP_SYS(name)
#define LOW	  0xffffffffu /* of arguments that the kernel takes as int */

/* Made by svcd/calls/ and walk.c for ops whose row has no system call. */
static const int for_ops[] = {
	/* descriptors and paths */
	SYS(openat), SYS(openat2), SYS(close), SYS(dup3), SYS(fchdir),
	/* data */
	SYS(read), SYS(write), SYS(pread64), SYS(pwrite64), SYS(preadv2), SYS(pwritev2),
	SYS(copy_file_range), SYS(sendfile), SYS(io_setup), SYS(io_submit), SYS(io_getevents),
	SYS(eventfd2),
	/* sockets */
	SYS(connect), SYS(accept4), SYS(sendto), SYS(recvfrom), SYS(sendmsg), SYS(recvmsg),
	SYS(getsockname), SYS(getpeername),
	/* waiting */
	SYS(poll), SYS(epoll_create1), SYS(epoll_ctl), SYS(epoll_wait), SYS(epoll_pwait),
	SYS(epoll_pwait2)
};

static const int for_us[] = {
	/* identity; those of whole ids are below */
	SYS(capset), SYS(setgroups), SYS(umask), SYS(pidfd_open), SYS(getpid), SYS(gettid),
	SYS(getuid), SYS(geteuid), SYS(getgid), SYS(getegid),
	/* threads, and time */
	SYS(futex), SYS(set_robust_list), SYS(rseq), SYS(sched_yield), SYS(sched_setaffinity),
	SYS(sched_getaffinity), SYS(getcpu), SYS(exit), SYS(exit_group), SYS(nanosleep),
	SYS(clock_nanosleep), SYS(clock_gettime), SYS(gettimeofday), SYS(time), SYS(pause),
	SYS(restart_syscall),
	/* signals */
	SYS(rt_sigaction), SYS(rt_sigprocmask), SYS(rt_sigreturn),
	/* memory */
	SYS(brk), SYS(munmap), SYS(mremap), SYS(madvise), SYS(getrandom),
	/* the log */
	SYS(writev)
};

static const int never[] = {
	/* to run something else */
	SYS(execve), SYS(execveat), SYS(fork), SYS(vfork), SYS(personality), SYS(modify_ldt),
	/* to get at other processes */
	SYS(ptrace), SYS(process_vm_readv), SYS(process_vm_writev), SYS(process_madvise),
	SYS(pidfd_getfd), SYS(kcmp), SYS(kill), SYS(perf_event_open), SYS(userfaultfd),
	/* to get out of here */
	SYS(chroot), SYS(pivot_root), SYS(setns), SYS(mount), SYS(umount2), SYS(move_mount),
	SYS(open_tree), SYS(fsopen), SYS(fsconfig), SYS(fsmount), SYS(fspick), SYS(mount_setattr),
	SYS(open_by_handle_at), SYS(name_to_handle_at),
	/* into the kernel */
	SYS(bpf), SYS(init_module), SYS(finit_module), SYS(delete_module), SYS(kexec_load),
	SYS(kexec_file_load), SYS(io_uring_setup), SYS(io_uring_enter), SYS(io_uring_register),
	SYS(iopl), SYS(ioperm), SYS(keyctl), SYS(add_key), SYS(request_key),
	/* the machine */
	SYS(reboot), SYS(swapon), SYS(swapoff), SYS(acct), SYS(quotactl), SYS(settimeofday),
	SYS(clock_settime), SYS(clock_adjtime), SYS(adjtimex), SYS(sethostname), SYS(setdomainname),
	SYS(syslog)
};

/* Not those that have signals sent (F_SETOWN, F_SETSIG, F_NOTIFY, F_SETLEASE). */
static const int fcntl_commands[] = { F_GETFL,	    F_SETFL,	 F_DUPFD_CLOEXEC, F_GETPIPE_SZ,
				      F_SETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS,	  F_GETLEASE,
				      F_OFD_GETLK,  F_OFD_SETLK, F_OFD_SETLKW,	  F_GET_RW_HINT,
				      F_SET_RW_HINT };

#ifdef SVCD_SANITIZED
/* Reports, symbols, and at the end a tracer of all threads that looks for leaks. */
static const int for_sanitizers[] = {
	SYS(ptrace),  SYS(clone),    SYS(prctl),     SYS(sigaltstack),	    SYS(wait4),
	SYS(kill),    SYS(open),     SYS(readlink),  SYS(getppid),	    SYS(sched_getparam),
	SYS(sysinfo), SYS(mincore),  SYS(pipe2),     SYS(process_vm_readv), SYS(getrusage),
	SYS(ioctl),   SYS(tgkill),   SYS(mmap),	     SYS(mprotect),	    SYS(access),
	SYS(stat),    SYS(getdents), SYS(prlimit64), SYS(getrlimit),	    SYS(arch_prctl)
};
#endif

#define EQ(n, value)	     SCMP_CMP64(n, SCMP_CMP_EQ, value)
#define EQ32(n, value)	     SCMP_CMP64(n, SCMP_CMP_MASKED_EQ, LOW, (uint32_t)(value))
#define MASK(n, mask, value) SCMP_CMP64(n, SCMP_CMP_MASKED_EQ, mask, value)
#define ALLOW(name, ...)                                                                      \
	do {                                                                                  \
		if (!r)                                                                       \
			r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SYS(name),                    \
					     COUNT(((struct scmp_arg_cmp[]){ __VA_ARGS__ })), \
					     __VA_ARGS__);                                    \
	} while (0)

static int add(scmp_filter_ctx f, uint32_t action, const int *list, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = seccomp_rule_add(f, action, list[i], 0);
	return r;
}

static int add_rows(scmp_filter_ctx f)
{
	int r = 0;

	for (int op = 0; op < VOS_NOPS && !r; op++)
		if (vos_ops[op].nr >= 0)
			r = seccomp_rule_add(f, SCMP_ACT_ALLOW, vos_ops[op].nr, 0);
	return r;
}

/*
 * Threads like ours, with our descriptors and memory; nothing to be executed, nor written there.
 * The arguments of clone3() cannot be seen from here: libc takes clone() where there is none.
 */
static int add_process(scmp_filter_ctx f)
{
	const uint64_t ours = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND | CLONE_FILES | CLONE_FS;
	const uint64_t other = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
			       CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE |
			       CLONE_VFORK;
	int r = 0;

	ALLOW(clone, MASK(0, ours | other, ours));
	ALLOW(unshare, EQ32(0, CLONE_FS));
	ALLOW(tgkill, EQ32(0, getpid()));
	ALLOW(mmap, MASK(2, PROT_EXEC, 0));
	ALLOW(mprotect, MASK(2, PROT_EXEC, 0));
	ALLOW(prlimit64, EQ32(0, 0), EQ(2, 0)); /* to ask only */
	/* The effective ids alone. */
	ALLOW(setresuid, EQ32(0, -1), EQ32(2, -1));
	ALLOW(setresgid, EQ32(0, -1), EQ32(2, -1));
	return r;
}

static int add_options(scmp_filter_ctx f, int nr)
{
	int r = 0;

	for (size_t i = 0; i < COUNT(allowed_levels) && !r; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, nr, 1, EQ32(1, allowed_levels[i]));
	return r;
}

static int add_name(scmp_filter_ctx f, int nr, int level, struct scmp_arg_cmp name)
{
	const struct scmp_arg_cmp cmp[] = { EQ32(1, level), name };

	return seccomp_rule_add_array(f, SCMP_ACT_ALLOW, nr, 2, cmp);
}

/* As allowed_name(). */
static int add_ip_options(scmp_filter_ctx f, int nr)
{
	int r = add_name(f, nr, SOL_IP, SCMP_A2_32(SCMP_CMP_LT, ALLOWED_NAMES));

	if (!r)
		r = add_name(f, nr, SOL_IPV6, SCMP_A2_32(SCMP_CMP_LT, ALLOWED_NAMES));
	if (!r)
		r = add_name(f, nr, SOL_IPV6, SCMP_A2_32(SCMP_CMP_GE, ALLOWED_IPV6_NAMES));
	for (size_t i = 0; i < COUNT(allowed_ip_names) && !r; i++)
		r = add_name(f, nr, SOL_IP, EQ32(2, allowed_ip_names[i]));
	for (size_t i = 0; i < COUNT(allowed_ipv6_names) && !r; i++)
		r = add_name(f, nr, SOL_IPV6, EQ32(2, allowed_ipv6_names[i]));
	return r;
}

static int add_requests(scmp_filter_ctx f)
{
	int r = 0;

	ALLOW(socket, EQ32(0, AF_INET));
	ALLOW(socket, EQ32(0, AF_INET6));
	ALLOW(socket, EQ32(0, AF_NETLINK), EQ32(2, NETLINK_ROUTE));
	for (size_t i = 0; i < COUNT(allowed_ioctls); i++)
		ALLOW(ioctl, EQ32(1, allowed_ioctls[i]));
	for (size_t i = 0; i < COUNT(fcntl_commands); i++)
		ALLOW(fcntl, EQ32(1, fcntl_commands[i]));
	for (int i = 0; i < 2 && !r; i++) {
		int nr = i ? SYS(setsockopt) : SYS(getsockopt);

		r = add_options(f, nr);
		if (!r)
			r = add_ip_options(f, nr);
	}
	return r;
}

/* Of transports. They may be named more than once. */
static int add_ioctls(scmp_filter_ctx f, const unsigned long *nr)
{
	int r = 0;

	for (; nr && *nr && !r; nr++) {
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SYS(ioctl), 1, EQ32(1, *nr));
		if (r == -EEXIST)
			r = 0;
	}
	return r;
}

static int fill(scmp_filter_ctx f)
{
	int r = add_rows(f);

	if (!r)
		r = add(f, SCMP_ACT_ALLOW, for_ops, COUNT(for_ops));
	if (!r)
		r = add(f, SCMP_ACT_ALLOW, for_us, COUNT(for_us));
#ifdef SVCD_SANITIZED
	if (!r)
		r = add(f, SCMP_ACT_ALLOW, for_sanitizers, COUNT(for_sanitizers));
	for (size_t i = 0; i < COUNT(never) && !r; i++) {
		r = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, never[i], 0);
		if (r == -EEXIST)
			r = 0;
	}
#else
	if (!r)
		r = add(f, SCMP_ACT_KILL_PROCESS, never, COUNT(never));
#endif
	if (!r)
		r = add_process(f);
	if (!r)
		r = add_requests(f);
	return r;
}

/* Needs no_new_privs. @ioctls: lists of requests, up to 0, that are allowed besides. 0 or -errno.
 */
int filter_install(const unsigned long *const ioctls[], int n)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r;

	if (!f)
		return -ENOMEM;
	seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	/* All of the code in here is ours: no need to have the CPU speculate less. */
	seccomp_attr_set(f, SCMP_FLTATR_CTL_SSB, 1);
	seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r = fill(f);
	for (int i = 0; i < n && !r; i++)
		r = add_ioctls(f, ioctls[i]);
	if (!r)
		r = seccomp_load(f);
	seccomp_release(f);
	return r;
}
