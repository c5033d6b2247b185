/* SPDX-License-Identifier: MIT */
/*
 * posix_spawn. libc's own makes a child on our memory, which changes descriptors below our
 * wrappers: right as long as none of them is remote. Otherwise it is done here: a child with memory
 * of its own, whose parent is suspended until it has become another program (CLONE_VFORK without
 * CLONE_VM), replays attributes and actions through our own handlers, so that opening a remote path
 * or moving a remote descriptor does what it says. The child is libc's neither by its thread
 * descriptor nor by atfork handlers, so it calls none of libc's functions that have state.
 */
#define _GNU_SOURCE
#include "preload/signal.h"
#include "preload/spawn.h"
#include "preload/wrap.h"

#include <alloca.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAILED	     127 /* exit status of a child that did not get to exec */
#define SETCGROUP    0x100
#define NSIGNALS     64
#define ENV_ON_STACK (16u << 10)

typedef int spawn_fn(pid_t *, const char *, const posix_spawn_file_actions_t *,
		     const posix_spawnattr_t *, char *const[], char *const[]);
static spawn_fn *real_spawn, *real_spawnp;

/* --- the child ------------------------------------------------------------------------------ */

static void default_signals(uint64_t set, bool all)
{
	struct kernel_sigaction none = { 0 }, now;

	for (int sig = 1; sig <= NSIGNALS; sig++) {
		if (!(set >> (sig - 1) & 1)) {
			if (!all || vos_raw4(SYS_rt_sigaction, sig, 0, &now, sizeof(now.mask)) ||
			    now.handler == SIG_DFL || now.handler == SIG_IGN)
				continue;
		}
		vos_raw4(SYS_rt_sigaction, sig, &none, 0, sizeof(none.mask));
	}
}

static long set_attributes(const struct vos_spawn *s)
{
	long r = 0;

	if (s->flags & POSIX_SPAWN_SETSCHEDULER)
		r = vos_raw3(SYS_sched_setscheduler, 0, s->policy, &s->sched);
	else if (s->flags & POSIX_SPAWN_SETSCHEDPARAM)
		r = vos_raw2(SYS_sched_setparam, 0, &s->sched);
	if (!r && s->flags & POSIX_SPAWN_SETSID)
		r = vos_raw0(SYS_setsid);
	if (r >= 0 && s->flags & POSIX_SPAWN_SETPGROUP)
		r = vos_raw2(SYS_setpgid, 0, s->group);
	if (r >= 0 && s->flags & POSIX_SPAWN_RESETIDS) {
		r = vos_raw3(SYS_setresuid, -1, vos_raw0(SYS_getuid), -1);
		if (!r)
			r = vos_raw3(SYS_setresgid, -1, vos_raw0(SYS_getgid), -1);
		vos_ident_changed();
	}
	return r < 0 ? r : 0;
}

/* Only a number that cannot be a descriptor is an error. */
static long close_one(int fd)
{
	struct rlimit lim = { 0, 0 };
	long r = vos_sys_close(fd, 0, 0, 0, 0, 0);

	if (!r)
		return 0;
	vos_raw4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, &lim);
	return fd < 0 || (rlim_t)fd >= lim.rlim_cur ? r : 0;
}

static long open_one(const struct vos_spawn_action *a)
{
	long fd, r;

	vos_sys_close(a->open.fd, 0, 0, 0, 0, 0);
	fd = vos_sys_openat(AT_FDCWD, (long)a->open.path, a->open.flags, a->open.mode, 0, 0);
	if (fd < 0 || fd == a->open.fd)
		return fd < 0 ? fd : 0;
	r = vos_sys_dup2(fd, a->open.fd, 0, 0, 0, 0);
	vos_sys_close(fd, 0, 0, 0, 0, 0);
	return r < 0 ? r : 0;
}

static long dup_one(int fd, int to)
{
	long r;

	if (fd != to) {
		r = vos_sys_dup2(fd, to, 0, 0, 0, 0);
		return r < 0 ? r : 0;
	}
	r = vos_raw2(SYS_fcntl, fd, F_GETFD);
	return r < 0 ? r : vos_raw3(SYS_fcntl, fd, F_SETFD, r & ~(long)FD_CLOEXEC);
}

static long give_terminal(const struct vos_spawn *s, int fd)
{
	pid_t group = s->flags & POSIX_SPAWN_SETPGROUP ? s->group : 0;

	if (!group)
		group = (pid_t)vos_raw1(SYS_getpgid, 0);
	return vos_raw3(SYS_ioctl, fd, TIOCSPGRP, &group);
}

static long act(const struct vos_spawn *s, const struct vos_spawn_action *a)
{
	switch (a->tag) {
	case VOS_SPAWN_CLOSE:
		return close_one(a->fd);
	case VOS_SPAWN_DUP2:
		return dup_one(a->dup2.fd, a->dup2.to);
	case VOS_SPAWN_OPEN:
		return open_one(a);
	case VOS_SPAWN_CHDIR:
		return vos_sys_chdir((long)a->dir, 0, 0, 0, 0, 0);
	case VOS_SPAWN_FCHDIR:
		return vos_sys_fchdir(a->fd, 0, 0, 0, 0, 0);
	case VOS_SPAWN_CLOSEFROM:
		return vos_sys_close_range(a->fd, ~0u, 0, 0, 0, 0);
	case VOS_SPAWN_TCSETPGRP:
		return give_terminal(s, a->fd);
	default:
		return -ENOSYS;
	}
}

/* Up to exec; returns what failed. */
static long become(const struct vos_spawn *s, bool clear_signals, const uint64_t *mask)
{
	long r;

	if (clear_signals || s->flags & POSIX_SPAWN_SETSIGDEF)
		default_signals(s->flags & POSIX_SPAWN_SETSIGDEF ? s->set_default : 0,
				clear_signals);
	r = set_attributes(s);
	for (int i = 0; i < s->nactions && !r; i++)
		r = act(s, &s->action[i]);
	if (r)
		return r;
	if (s->flags & POSIX_SPAWN_SETSIGMASK)
		mask = &s->mask;
	vos_raw4(SYS_rt_sigprocmask, SIG_SETMASK, mask, 0, sizeof(*mask));
	if (s->along_path)
		return vos_exec_path(s->file, s->argv, s->envp, false);
	return vos_exec(AT_FDCWD, s->file, s->argv, s->envp, 0);
}

/* --- the parent ----------------------------------------------------------------------------- */

/* 0 in the child. *@clear: the kernel did not reset the signals. */
static long make_child(const struct vos_spawn *s, int *pidfd, bool *clear)
{
	struct clone_args c = {
		.flags = CLONE_VFORK | CLONE_CLEAR_SIGHAND | (s->want_pidfd ? CLONE_PIDFD : 0) |
			 (s->flags & SETCGROUP ? CLONE_INTO_CGROUP : 0),
		.exit_signal = SIGCHLD,
		.pidfd = s->want_pidfd ? (uintptr_t)pidfd : 0,
		.cgroup = s->flags & SETCGROUP ? (uint64_t)s->cgroup : 0,
	};
	long r;

	*clear = false;
	r = vos_raw2(SYS_clone3, &c, sizeof(c));
	if (r != -ENOSYS && r != -EINVAL && r != -EPERM)
		return r;
	if (s->flags & SETCGROUP)
		return r == -ENOSYS ? -ENOTSUP : r;
	/* An old kernel, or a filter that does not look into clone3. */
	*clear = true;
	return vos_raw5(SYS_clone, CLONE_VFORK | SIGCHLD | (s->want_pidfd ? CLONE_PIDFD : 0), 0,
			pidfd, 0, 0);
}

static long wait_for(long pid)
{
	long r;

	do
		r = vos_raw4(SYS_wait4, pid, 0, 0, 0);
	while (r == -EINTR);
	return r;
}

static long spawn(const struct vos_spawn *s, int *pid, _Atomic int *error, const uint64_t *mask)
{
	struct vos_fork f;
	int pidfd = -1;
	bool clear;
	long r;

	vos_fork_begin(&f);
	r = make_child(s, &pidfd, &clear);
	if (!r) {
		vos_fork_child(&f, false);
		r = become(s, clear, mask);
		atomic_store(error, (int)-r);
		for (;;)
			vos_raw1(SYS_exit_group, FAILED);
	}
	/* It has become another program, or is gone. */
	vos_fork_parent(&f, r);
	if (r < 0)
		return -r;
	if (!atomic_load(error)) {
		*pid = s->want_pidfd ? pidfd : (int)r;
		return 0;
	}
	wait_for(r);
	if (pidfd >= 0)
		vos_raw1(SYS_close, pidfd);
	return atomic_load(error);
}

int vos_spawn(const struct vos_spawn *s, int *pid)
{
	const uint64_t all = ~0ull;
	uint64_t mask;
	int unwanted;
	/* The child's memory is not ours; this word is. */
	long p = vos_raw6(SYS_mmap, 0, VOS_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);
	long r;

	if (p < 0 && p > -4096)
		return (int)-p;
	/* No handler of the program may run in the child. */
	vos_raw4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, sizeof(all));
	r = spawn(s, pid ? pid : &unwanted, (_Atomic int *)p, &mask);
	vos_raw4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, sizeof(mask));
	vos_raw2(SYS_munmap, p, VOS_PAGE);
	return (int)r;
}

/* --- libc's arguments ----------------------------------------------------------------------- */

static uint64_t kernel_mask(const sigset_t *set)
{
	uint64_t m;

	memcpy(&m, set, sizeof(m));
	return m;
}

static void take_attributes(struct vos_spawn *s, const posix_spawnattr_t *attr)
{
	if (!attr)
		return;
	s->flags = attr->__flags;
	s->group = attr->__pgrp;
	s->set_default = kernel_mask(&attr->__sd);
	s->mask = kernel_mask(&attr->__ss);
	s->sched = attr->__sp;
	s->policy = attr->__policy;
	/* Where newer versions of libc have their member of that name. */
	memcpy(&s->cgroup, (const char *)&attr->__policy + sizeof(int), sizeof(int));
}

static bool opens_paths(const struct vos_spawn *s)
{
	for (int i = 0; i < s->nactions; i++)
		switch (s->action[i].tag) {
		case VOS_SPAWN_OPEN:
		case VOS_SPAWN_CHDIR:
		case VOS_SPAWN_FCHDIR:
			return true;
		default:
			break;
		}
	return false;
}

/* Does the path lead into a domain by its text? What links do is seen when libc does not find it.
 */
static bool looks_remote(const char *path)
{
	char buf[VOS_PATH_MAX];
	struct vos_route r = { .buf = buf };

	return vos_files_remote && (vos_route(&r, AT_FDCWD, path, 0) || r.dom != VOS_TO_LOCAL);
}

static bool ours_to_do(const struct vos_spawn *s)
{
	if (!vos_fdtab.n)
		return false;
	return vos_has_remote() || (vos_files_remote && opens_paths(s)) ||
	       (!s->along_path && looks_remote(s->file));
}

static bool not_found(int r)
{
	return r == ENOENT || r == EACCES || r == ENOTDIR;
}

static int call_libc(spawn_fn *real, const struct vos_spawn *s, pid_t *pid,
		     const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *attr)
{
	struct vos_env e;
	size_t size;
	char **envp;
	long p;
	int r;

	vos_env_look(&e, s->envp);
	if (vos_env_fine(&e))
		return real(pid, s->file, fa, attr, s->argv, s->envp);
	size = (e.n + VOS_ENV_MORE) * sizeof(char *) + e.preload_size;
	p = size <= ENV_ON_STACK ? (long)alloca(size)
				 : vos_raw6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p < 0 && p > -4096)
		return (int)-p;
	envp = (char **)p;
	vos_env_fill(&e, envp, (char *)(envp + e.n + VOS_ENV_MORE));
	r = real(pid, s->file, fa, attr, s->argv, envp);
	if (size > ENV_ON_STACK)
		vos_raw2(SYS_munmap, p, size);
	return r;
}

static int do_spawn(spawn_fn *real, struct vos_spawn *s, int *pid,
		    const posix_spawn_file_actions_t *fa, const posix_spawnattr_t *attr)
{
	int r;

	vos_need_init();
	if (fa) {
		s->action = (const struct vos_spawn_action *)fa->__actions;
		s->nactions = fa->__used;
	}
	if (real && !ours_to_do(s)) {
		r = call_libc(real, s, pid, fa, attr);
		if (!vos_files_remote || !not_found(r))
			return r;
	}
	take_attributes(s, attr);
	return vos_spawn(s, pid);
}

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *fa,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	struct vos_spawn s = { .file = path, .argv = argv, .envp = envp };

	return do_spawn(real_spawn, &s, pid, fa, attr);
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *fa,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	struct vos_spawn s = { .file = file, .along_path = true, .argv = argv, .envp = envp };

	return do_spawn(real_spawnp, &s, pid, fa, attr);
}

#if __GLIBC_PREREQ(2, 39)
static spawn_fn *real_pidfd_spawn, *real_pidfd_spawnp;

EXPORT int pidfd_spawn(int *pidfd, const char *path, const posix_spawn_file_actions_t *fa,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	struct vos_spawn s = { .file = path, .argv = argv, .envp = envp, .want_pidfd = true };

	return do_spawn(real_pidfd_spawn, &s, pidfd, fa, attr);
}

EXPORT int pidfd_spawnp(int *pidfd, const char *file, const posix_spawn_file_actions_t *fa,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	struct vos_spawn s = {
		.file = file, .along_path = true, .argv = argv, .envp = envp, .want_pidfd = true
	};

	return do_spawn(real_pidfd_spawnp, &s, pidfd, fa, attr);
}
#endif

void vos_spawn_init(void)
{
	real_spawn = (spawn_fn *)dlsym(RTLD_NEXT, "posix_spawn");
	real_spawnp = (spawn_fn *)dlsym(RTLD_NEXT, "posix_spawnp");
#if __GLIBC_PREREQ(2, 39)
	real_pidfd_spawn = (spawn_fn *)dlsym(RTLD_NEXT, "pidfd_spawn");
	real_pidfd_spawnp = (spawn_fn *)dlsym(RTLD_NEXT, "pidfd_spawnp");
#endif
	vos_system_init();
}
