/* SPDX-License-Identifier: MIT */
/*
 * system, popen, daemon: libc makes them of its own posix_spawn, fork and dup2, past our wrappers.
 * While anything is remote they are made of ours instead; otherwise libc's are called.
 */
#define _GNU_SOURCE
#include "preload/signal.h"
#include "preload/spawn.h"
#include "preload/wrap.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <paths.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHELL	    "/bin/sh"
#define STREAMS_MAX 256

static int (*real_system)(const char *);
static FILE *(*real_popen)(const char *, const char *);
static int (*real_pclose)(FILE *);
static int (*real_daemon)(int, int);

static bool libc_will_do(void)
{
	struct vos_env e;

	vos_need_init();
	vos_env_look(&e, environ);
	return !vos_has_remote() && vos_env_fine(&e);
}

/* --- system --------------------------------------------------------------------------------- */

/* While any thread is in system(), SIGINT and SIGQUIT are the child's alone. */
static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static int users;
static struct sigaction old_int, old_quit;

static void enter_system(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	pthread_mutex_lock(&users_lock);
	if (!users++) {
		vos_sigaction(SIGINT, &ignore, &old_int);
		vos_sigaction(SIGQUIT, &ignore, &old_quit);
	}
	pthread_mutex_unlock(&users_lock);
}

static void leave_system(void)
{
	pthread_mutex_lock(&users_lock);
	if (!--users) {
		vos_sigaction(SIGINT, &old_int, NULL);
		vos_sigaction(SIGQUIT, &old_quit, NULL);
	}
	pthread_mutex_unlock(&users_lock);
}

static void wait_for(pid_t pid, int *status)
{
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR) {
			*status = -1;
			return;
		}
}

struct running {
	pid_t pid;
	uint64_t mask;
};

/* The thread was cancelled. */
static void end_system(void *arg)
{
	const struct running *run = arg;
	int state, status;

	kill(run->pid, SIGKILL);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	wait_for(run->pid, &status);
	pthread_setcancelstate(state, &state);
	leave_system();
	vos_raw4(SYS_rt_sigprocmask, SIG_SETMASK, &run->mask, 0, sizeof(run->mask));
}

static int run_shell(const char *line, struct running *run)
{
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)"--", (char *)line, NULL };
	struct vos_spawn s = { .file = SHELL,
			       .argv = argv,
			       .envp = environ,
			       .flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK,
			       .mask = run->mask };

	if (old_int.sa_handler != SIG_IGN)
		s.set_default |= vos_signal_bit(SIGINT);
	if (old_quit.sa_handler != SIG_IGN)
		s.set_default |= vos_signal_bit(SIGQUIT);
	return vos_spawn(&s, &run->pid);
}

static int system_of_libc(const char *line)
{
	int r = real_system(line), err = errno;

	vos_signal_again(SIGINT);
	vos_signal_again(SIGQUIT);
	errno = err;
	return r;
}

EXPORT int system(const char *line)
{
	const uint64_t chld = vos_signal_bit(SIGCHLD);
	struct running run;
	int status = 0, r;

	if (libc_will_do())
		return real_system ? system_of_libc(line) : -1;
	if (!line)
		return system("exit 0") == 0;
	enter_system();
	vos_raw4(SYS_rt_sigprocmask, SIG_BLOCK, &chld, &run.mask, sizeof(chld));
	r = run_shell(line, &run);
	if (!r) {
		pthread_cleanup_push(end_system, &run);
		wait_for(run.pid, &status);
		pthread_cleanup_pop(0);
	} else {
		/* No child is an error of ours, no shell is one of the command. */
		status = r == EAGAIN || r == ENOMEM ? -1 : W_EXITCODE(127, 0);
	}
	leave_system();
	vos_raw4(SYS_rt_sigprocmask, SIG_SETMASK, &run.mask, 0, sizeof(run.mask));
	if (r)
		errno = r;
	return status;
}

/* --- popen ---------------------------------------------------------------------------------- */

/* The streams of ours, so that pclose() knows them, and a child closes those before it. */
static struct stream {
	FILE *file; /* NULL: free */
	int fd;
	pid_t pid;
} stream[STREAMS_MAX];
static pthread_mutex_t streams_lock = PTHREAD_MUTEX_INITIALIZER;

/* Who held them is not in the child: neither a thread nor its spawn that was under way. */
void vos_system_forked(void)
{
	const pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER;

	users_lock = unlocked;
	streams_lock = unlocked;
}

static int parse_mode(const char *mode, bool *reads, bool *cloexec)
{
	bool r = false, w = false;

	*cloexec = false;
	for (; *mode; mode++) {
		r |= *mode == 'r';
		w |= *mode == 'w';
		*cloexec |= *mode == 'e';
		if (!strchr("rwe", *mode))
			return EINVAL;
	}
	*reads = r;
	return r == w ? EINVAL : 0;
}

static struct stream *free_stream(void)
{
	for (int i = 0; i < STREAMS_MAX; i++)
		if (!stream[i].file)
			return &stream[i];
	return NULL;
}

/* Under the lock. */
static int spawn_piped(const char *command, int end, int as, pid_t *pid)
{
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)"--", (char *)command, NULL };
	struct vos_spawn_action action[STREAMS_MAX + 1];
	struct vos_spawn s = { .file = SHELL, .argv = argv, .envp = environ, .action = action };

	action[s.nactions++] = (struct vos_spawn_action){ VOS_SPAWN_DUP2, .dup2 = { end, as } };
	for (int i = 0; i < STREAMS_MAX; i++)
		if (stream[i].file && stream[i].fd != as)
			action[s.nactions++] =
				(struct vos_spawn_action){ VOS_SPAWN_CLOSE, .fd = stream[i].fd };
	return vos_spawn(&s, pid);
}

static int start_stream(struct stream *st, const char *command, bool reads, bool cloexec)
{
	FILE *file;
	int p[2], r;

	r = (int)-vos_raw2(SYS_pipe2, p, O_CLOEXEC);
	if (r)
		return r;
	st->fd = p[!reads];
	file = fdopen(st->fd, reads ? "r" : "w");
	if (!file) {
		r = errno;
		vos_raw1(SYS_close, st->fd);
	} else {
		/* In the child close-on-exec closes our end. */
		r = spawn_piped(command, p[reads], reads ? 1 : 0, &st->pid);
		if (r)
			fclose(file);
		else
			st->file = file;
	}
	vos_raw1(SYS_close, p[reads]);
	if (!r && !cloexec)
		vos_raw3(SYS_fcntl, st->fd, F_SETFD, 0);
	return r;
}

EXPORT FILE *popen(const char *command, const char *mode)
{
	bool reads, cloexec;
	struct stream *st;
	FILE *file = NULL;
	int r;

	if (libc_will_do())
		return real_popen ? real_popen(command, mode) : NULL;
	r = parse_mode(mode, &reads, &cloexec);
	if (r) {
		errno = r;
		return NULL;
	}
	pthread_mutex_lock(&streams_lock);
	st = free_stream();
	r = st ? start_stream(st, command, reads, cloexec) : EMFILE;
	if (!r)
		file = st->file;
	pthread_mutex_unlock(&streams_lock);
	if (r)
		errno = r;
	return file;
}

EXPORT int pclose(FILE *file)
{
	int status = -1, state;
	pid_t pid = 0;

	pthread_mutex_lock(&streams_lock);
	for (int i = 0; i < STREAMS_MAX && !pid; i++)
		if (stream[i].file == file) {
			pid = stream[i].pid;
			stream[i].file = NULL;
		}
	pthread_mutex_unlock(&streams_lock);
	if (!pid)
		return real_pclose ? real_pclose(file) : -1;
	fclose(file);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	wait_for(pid, &status);
	pthread_setcancelstate(state, &state);
	return status;
}

/* --- daemon --------------------------------------------------------------------------------- */

static long null_descriptors(void)
{
	long fd = vos_sys_openat(AT_FDCWD, (long)_PATH_DEVNULL, O_RDWR, 0, 0, 0), r;
	struct stat st;

	if (fd < 0)
		return fd;
	r = vos_sys_fstat(fd, (long)&st, 0, 0, 0, 0);
	if (!r && (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)))
		r = -ENODEV;
	for (int i = 0; i < 3 && r >= 0; i++)
		r = vos_sys_dup2(fd, i, 0, 0, 0, 0);
	if (fd > 2)
		vos_sys_close(fd, 0, 0, 0, 0, 0);
	return r < 0 ? r : 0;
}

static long become_daemon(int nochdir, int noclose)
{
	long r = vos_raw0(SYS_setsid);

	if (r >= 0 && !nochdir)
		r = vos_sys_chdir((long)"/", 0, 0, 0, 0, 0);
	if (r >= 0 && !noclose)
		r = null_descriptors();
	return r < 0 ? r : 0;
}

EXPORT int daemon(int nochdir, int noclose)
{
	pid_t pid;

	vos_need_init();
	if (!vos_fdtab.n && real_daemon)
		return real_daemon(nochdir, noclose);
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid)
		vos_die(0);
	return (int)vos_result(become_daemon(nochdir, noclose));
}

void vos_system_init(void)
{
	real_system = (int (*)(const char *))dlsym(RTLD_NEXT, "system");
	real_popen = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "popen");
	real_pclose = (int (*)(FILE *))dlsym(RTLD_NEXT, "pclose");
	real_daemon = (int (*)(int, int))dlsym(RTLD_NEXT, "daemon");
}
