/* SPDX-License-Identifier: MIT */
/*
 * svcd's filter of system calls: what it must end, what it must refuse and what it must let
 * through. Each call is tried in a child of its own, first without the filter where it must have
 * worked there, so that a call which fails anyway proves nothing.
 */
#define _GNU_SOURCE
#include "ring/calls_table.h"
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed;

/* Exit status of a child that makes the call: 0, its errno; or 1000 + the signal that ended it. */
static int outcome(bool filter, long (*call)(long), long arg)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || (filter && filter_install(NULL, 0)))
			_exit(200);
		_exit(call(arg) < 0 ? errno : 0);
	}
	if (waitpid(pid, &status, 0) != pid)
		exit(1);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void expect(const char *what, long arg, int want, int got)
{
	if (want == got)
		return;
	printf("%s %ld: %d, not %d\n", what, arg, got, want);
	failed = 1;
}

/* With arguments that do no harm: 0 is a descriptor, and may be a device. */
static long bare(long nr)
{
	return syscall(nr, -1, -1, -1, -1, -1, -1);
}

#define KILLED (1000 + SIGSYS)

static void ended(void)
{
	static const int calls[] = {
		SYS_execve,
		SYS_execveat,
		SYS_ptrace,
		SYS_process_vm_readv,
		SYS_mount,
		SYS_umount2,
		SYS_pivot_root,
		SYS_chroot,
		SYS_setns,
		SYS_move_mount,
		SYS_open_tree,
		SYS_open_by_handle_at,
		SYS_bpf,
		SYS_init_module,
		SYS_finit_module,
		SYS_kexec_load,
		SYS_keyctl,
		SYS_reboot,
		SYS_io_uring_setup,
		SYS_perf_event_open,
		SYS_fork,
		SYS_vfork,
		SYS_process_vm_writev,
		SYS_userfaultfd,
		SYS_sethostname,
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		expect("must end it: system call", calls[i], KILLED, outcome(true, bare, calls[i]));
}

static long new_name_space(long flags)
{
	return syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static long unshare_it(long flags)
{
	return unshare((int)flags);
}

static long map(long prot)
{
	void *p = mmap(NULL, 4096, (int)prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -1 : 0;
}

static long protect(long prot)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, (int)prot);
}

static long open_socket(long family)
{
	return socket((int)family, SOCK_DGRAM, 0);
}

static long open_netlink(long protocol)
{
	return socket(AF_NETLINK, SOCK_RAW, (int)protocol);
}

static long control(long request)
{
	int n;

	return ioctl(socket(AF_INET, SOCK_STREAM, 0), (unsigned long)request, &n);
}

static long command(long cmd)
{
	return fcntl(0, (int)cmd, 0);
}

static long option(long level_name)
{
	int value = 1;

	return setsockopt(socket(AF_INET, SOCK_DGRAM, 0), (int)(level_name >> 16),
			  (int)(level_name & 0xffff), &value, sizeof(value));
}

static long control_me(long option)
{
	return prctl((int)option, 0, 0, 0, 0);
}

static long signal_other(long pid)
{
	return syscall(SYS_tgkill, pid, pid, 0);
}

static long real_ids(long id)
{
	return syscall(SYS_setresuid, id, -1, -1);
}

static long effective_ids(long id)
{
	return syscall(SYS_setresuid, -1, id, -1);
}

static long limit(long n)
{
	struct rlimit l = { (rlim_t)n, (rlim_t)n };

	return setrlimit(RLIMIT_CORE, &l);
}

static void refused(const char *what, long (*call)(long), long arg)
{
	expect(what, arg, 0, outcome(false, call, arg));
	expect(what, arg, ENOSYS, outcome(true, call, arg));
}

static void passes(const char *what, long (*call)(long), long arg)
{
	expect(what, arg, 0, outcome(true, call, arg));
}

static void arguments(void)
{
	refused("clone", new_name_space, 0);
	if (geteuid() == 0)
		refused("clone", new_name_space, CLONE_NEWNET);
	refused("unshare", unshare_it, CLONE_FILES);
	passes("unshare", unshare_it, CLONE_FS);
	refused("mmap", map, PROT_READ | PROT_EXEC);
	passes("mmap", map, PROT_READ | PROT_WRITE);
	refused("mprotect", protect, PROT_EXEC);
	passes("mprotect", protect, PROT_WRITE);
	refused("socket", open_socket, AF_UNIX);
	passes("socket", open_socket, AF_INET);
	refused("netlink", open_netlink, NETLINK_KOBJECT_UEVENT);
	passes("netlink", open_netlink, NETLINK_ROUTE);
	refused("ioctl", control, FIOCLEX);
	passes("ioctl", control, FIONREAD);
	refused("fcntl", command, F_GETOWN);
	passes("fcntl", command, F_GETFL);
	/* IP6T_SO_SET_REPLACE and the like; 2 is SO_REUSEADDR, and IP_TTL. */
	expect("setsockopt", 64, ENOSYS, outcome(true, option, (long)SOL_IP << 16 | 64));
	expect("setsockopt", 132, ENOSYS, outcome(true, option, 132l << 16));
	passes("setsockopt", option, (long)SOL_SOCKET << 16 | SO_REUSEADDR);
	passes("setsockopt", option, (long)SOL_IP << 16 | IP_TTL);
	passes("setsockopt", option, (long)SOL_IP << 16 | IP_FREEBIND);
	refused("prctl", control_me, PR_GET_DUMPABLE);
	refused("tgkill", signal_other, getpid());
	refused("setresuid", real_ids, getuid());
	passes("setresuid", effective_ids, getuid());
	refused("setrlimit", limit, 0);
	refused("a call that nobody needs", bare, SYS_getppid);
	expect("clone3", 0, ENOSYS, outcome(true, bare, SYS_clone3));
	expect("a call that does not exist", 0, ENOSYS, outcome(true, bare, 2000));
}

/* With bad arguments all of them fail, but none as if it did not exist. */
static void rows(void)
{
	for (int op = 0; op < VOS_NOPS; op++) {
		int nr = vos_ops[op].nr;
		int got = nr < 0 ? 0 : outcome(true, bare, nr);

		if (got == ENOSYS || got >= 200) {
			printf("%s: %d\n", vos_ops[op].name, got);
			failed = 1;
		}
	}
}

static void *thread(void *arg)
{
	/* In a thread that comes later, too. */
	*(int *)arg = syscall(SYS_getppid) < 0 ? errno : 0;
	return NULL;
}

static long start_thread(long arg)
{
	pthread_t t;
	int got = 0;

	(void)arg;
	errno = pthread_create(&t, NULL, thread, &got);
	if (errno || pthread_join(t, NULL))
		return -1;
	errno = got;
	return -1;
}

int main(void)
{
#ifdef SVCD_SANITIZED
	puts("skip: a sanitizer is in the way");
	return 77;
#endif
	if (prctl(PR_GET_SECCOMP) < 0) {
		puts("skip: this kernel has no seccomp");
		return 77;
	}
	ended();
	arguments();
	rows();
	expect("a thread", 0, ENOSYS, outcome(true, start_thread, 0));
	return failed;
}
