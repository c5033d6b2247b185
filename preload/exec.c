/* SPDX-License-Identifier: MIT */
/*
 * exec: complete the environment, hand over what is remote, and let the kernel do it. All forms
 * come here. Nothing allocates: this may be the child of a process with threads.
 *
 * A child of vfork() or of libc's own posix_spawn runs on its parent's memory and, in the latter
 * case, on a small stack: there only the environment is completed, if need be.
 */
#define _GNU_SOURCE
#include "preload/process.h"

#include <alloca.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ON_STACK   (16u << 10) /* bytes of an array at most */
#define INTERP_MAX 5	       /* scripts that interpret scripts, as in the kernel */
#define SHELL	   "/bin/sh"

/* The environment of the new image, with a place behind its end. */
struct environment {
	char **envp;
	char **end;
};

static long kernel_exec(long dirfd, const char *path, char *const *argv, char *const *envp,
			long flags)
{
	if ((int)dirfd == AT_FDCWD && !flags)
		return vos_raw3(SYS_execve, path, argv, envp);
	return vos_raw5(SYS_execveat, dirfd, path, argv, envp, flags);
}

/* --- an image of ours ----------------------------------------------------------------------- */

static bool something_to_hand_over(void)
{
	if (vos_has_remote())
		return true;
	for (unsigned i = 0; i < VOS_MAX_DOMAINS; i++)
		if (vos_ticket_pending(i))
			return true;
	return false;
}

/* Would the kernel say so at once? Then spare the services the work, above all along PATH. */
static long cannot_be(long dirfd, const char *path, long flags)
{
	long r = vos_raw4(SYS_faccessat2, dirfd, path, X_OK, flags | AT_EACCESS);

	switch (r) {
	case -ENOENT:
	case -EACCES:
	case -ENOTDIR:
	case -ELOOP:
	case -ENAMETOOLONG:
		return r;
	default:
		return 0;
	}
}

static long exec_here(long dirfd, const char *path, char *const *argv, struct environment *env,
		      long flags)
{
	char variable[VOS_ENV_STATE];
	struct vos_state s;
	long r;

	if (!something_to_hand_over())
		return kernel_exec(dirfd, path, argv, env->envp, flags);
	r = cannot_be(dirfd, path, flags);
	if (!r)
		r = vos_state_save(&s);
	if (r)
		return r;
	if (s.fd >= 0) {
		vos_env_state(variable, s.fd);
		env->end[0] = variable;
		env->end[1] = NULL;
	}
	r = kernel_exec(dirfd, path, argv, env->envp, flags);
	env->end[0] = NULL;
	vos_state_drop(&s);
	return r;
}

/* --- a remote one --------------------------------------------------------------------------- */

static long exec_routed(long dirfd, const char *path, char *const *argv, struct environment *env,
			long flags, int depth);

static size_t count(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

/* The interpreter of @im with the script's arguments. */
static long exec_script(const struct vos_image *im, char *const *argv, struct environment *env,
			int depth)
{
	size_t n = count(argv), k = 0;
	size_t size = (n + 4) * sizeof(char *);
	char **args;
	long r;

	if (depth == INTERP_MAX)
		return -ELOOP;
	r = size <= ON_STACK ? (long)alloca(size)
			     : vos_raw6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r < 0 && r > -4096)
		return r;
	args = (char **)r;
	for (int i = 0; i < 3; i++)
		if (im->arg[i])
			args[k++] = (char *)im->arg[i];
	for (size_t i = 1; i < n; i++)
		args[k++] = argv[i];
	args[k] = NULL;
	r = exec_routed(AT_FDCWD, im->arg[0], args, env, 0, depth + 1);
	if (size > ON_STACK)
		vos_raw2(SYS_munmap, args, size);
	return r;
}

static long exec_remote(long dirfd, const char *path, char *const *argv, struct environment *env,
			long flags, int depth)
{
	struct vos_image im;
	long r = vos_image_load(&im, dirfd, path, flags);

	if (r)
		return r;
	if (im.arg[0])
		return exec_script(&im, argv, env, depth);
	r = exec_here(im.memfd, "", argv, env, AT_EMPTY_PATH);
	vos_raw1(SYS_close, im.memfd);
	return r;
}

/* --- which of the two ----------------------------------------------------------------------- */

static long exec_routed(long dirfd, const char *path, char *const *argv, struct environment *env,
			long flags, int depth)
{
	int how = (flags & AT_SYMLINK_NOFOLLOW ? VOS_ROUTE_NOFOLLOW : 0) |
		  (flags & AT_EMPTY_PATH ? VOS_ROUTE_EMPTY : 0);
	char buf[VOS_PATH_MAX];
	struct vos_route r = { .buf = buf };
	long res;

	if (!path)
		return -EFAULT;
	if (!*path && !(flags & AT_EMPTY_PATH))
		return -ENOENT;
	res = vos_route(&r, dirfd, path, how);
	if (res)
		return res;
	if (r.dom == VOS_TO_DENY)
		return -EACCES;
	if (r.dom == VOS_TO_LOCAL) {
		res = exec_here(r.dirfd, r.path, argv, env, flags);
		if (!vos_route_again(&r, res, how))
			return res;
	}
	/* Not a copy of what only a symlink in the domain leads to. */
	res = vos_settle(&r, how);
	if (res)
		return res;
	if (r.dom == VOS_TO_LOCAL)
		return exec_here(r.dirfd, r.path, argv, env, flags);
	return r.dom == VOS_TO_DENY ? -EACCES : exec_remote(dirfd, path, argv, env, flags, depth);
}

static long exec_with(long dirfd, const char *path, char *const *argv, const struct vos_env *e,
		      long flags, char **space)
{
	char **end = vos_env_fill(e, space, (char *)(space + e->n + VOS_ENV_MORE));
	struct environment env = { space, end };

	if (!vos_fdtab.n || vos_on_borrowed_memory())
		return kernel_exec(dirfd, path, argv, space, flags);
	return exec_routed(dirfd, path, argv, &env, flags, 0);
}

long vos_exec(long dirfd, const char *path, char *const *argv, char *const *envp, long flags)
{
	struct vos_env e;
	size_t size;
	long p, r;

	vos_env_look(&e, envp);
	if (vos_env_fine(&e) && (!vos_fdtab.n || vos_on_borrowed_memory()))
		return kernel_exec(dirfd, path, argv, envp, flags);
	size = (e.n + VOS_ENV_MORE) * sizeof(char *) + e.preload_size;
	if (size <= ON_STACK)
		return exec_with(dirfd, path, argv, &e, flags, alloca(size));
	p = vos_raw6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p < 0 && p > -4096)
		return p;
	r = exec_with(dirfd, path, argv, &e, flags, (char **)p);
	vos_raw2(SYS_munmap, p, size);
	return r;
}

/* --- along PATH ----------------------------------------------------------------------------- */

/* A file that the kernel cannot execute is a script for the shell. */
static long exec_shell(const char *path, char *const *argv, char *const *envp)
{
	size_t n = count(argv), size = (n + 3) * sizeof(char *);
	char **args;

	if (size > ON_STACK)
		return -E2BIG;
	args = alloca(size);
	args[0] = (char *)SHELL;
	args[1] = (char *)path;
	args[2] = NULL;
	if (n > 1)
		memcpy(args + 2, argv + 1, n * sizeof(*args));
	return vos_exec(AT_FDCWD, SHELL, args, envp, 0);
}

static long exec_or_shell(const char *path, char *const *argv, char *const *envp, bool script)
{
	long r = vos_exec(AT_FDCWD, path, argv, envp, 0);

	return r == -ENOEXEC && script ? exec_shell(path, argv, envp) : r;
}

/* Is it worth looking into the next directory? */
static bool go_on(long r)
{
	switch (r) {
	case -EACCES:
	case -ENOENT:
	case -ESTALE:
	case -ENOTDIR:
	case -ENODEV:
	case -ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

long vos_exec_path(const char *file, char *const *argv, char *const *envp, bool script)
{
	const char *path = getenv("PATH");
	size_t nfile = strlen(file);
	bool denied = false;
	char name[VOS_PATH_MAX];

	if (!nfile)
		return -ENOENT;
	if (strchr(file, '/'))
		return exec_or_shell(file, argv, envp, script);
	if (!path)
		path = "/bin:/usr/bin";
	for (;; path++) {
		size_t n = strcspn(path, ":");

		if (n + nfile + 2 <= sizeof(name)) {
			long r;

			memcpy(name, path, n);
			name[n] = '/';
			memcpy(name + n + (n > 0), file, nfile + 1);
			r = exec_or_shell(name, argv, envp, script);
			if (!go_on(r))
				return r;
			denied |= r == -EACCES;
		}
		path += n;
		if (!*path)
			return denied ? -EACCES : -ENOENT;
	}
}

/* --- system calls --------------------------------------------------------------------------- */

long vos_sys_execve(long path, long argv, long envp, long a3, long a4, long a5)
{
	(void)a3, (void)a4, (void)a5;
	vos_need_init();
	return vos_exec(AT_FDCWD, (const char *)path, (char *const *)argv, (char *const *)envp, 0);
}

long vos_sys_execveat(long dirfd, long path, long argv, long envp, long flags, long a5)
{
	(void)a5;
	vos_need_init();
	return vos_exec(dirfd, (const char *)path, (char *const *)argv, (char *const *)envp, flags);
}
