/* SPDX-License-Identifier: MIT */
/* libc's forms of exec. */
#define _GNU_SOURCE
#include "preload/process.h"
#include "preload/wrap.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	return (int)vos_result(vos_sys_execve((long)path, (long)argv, (long)envp, 0, 0, 0));
}

EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	vos_need_init();
	return (int)vos_result(vos_exec_path(file, argv, envp, true));
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

EXPORT int execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
	return (int)vos_result(
		vos_sys_execveat(dirfd, (long)path, (long)argv, (long)envp, flags, 0));
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	if (fd < 0) {
		errno = EINVAL;
		return -1;
	}
	return execveat(fd, "", argv, envp, AT_EMPTY_PATH);
}

/* --- arguments one by one ------------------------------------------------------------------- */

static size_t count(va_list ap)
{
	va_list all;
	size_t n = 1;

	va_copy(all, ap);
	while (va_arg(all, char *))
		n++;
	va_end(all);
	return n;
}

/* @argv has room for @n and the NULL. */
static void gather(char **argv, const char *first, size_t n, va_list *ap)
{
	argv[0] = (char *)first;
	for (size_t i = 1; i <= n; i++)
		argv[i] = va_arg(*ap, char *);
}

EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	{
		size_t n = count(ap);
		char *argv[n + 1];

		gather(argv, arg, n, &ap);
		va_end(ap);
		return execve(path, argv, environ);
	}
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	{
		size_t n = count(ap);
		char *argv[n + 1];

		gather(argv, arg, n, &ap);
		va_end(ap);
		return execvpe(file, argv, environ);
	}
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	va_list ap;

	va_start(ap, arg);
	{
		size_t n = count(ap);
		char *argv[n + 1];
		char **envp;

		gather(argv, arg, n, &ap);
		envp = va_arg(ap, char **);
		va_end(ap);
		return execve(path, argv, envp);
	}
}
