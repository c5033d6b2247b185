/* SPDX-License-Identifier: MIT */
/* Finding the program that a command runs, through PATH, scripts and env(1). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "tools/virtuos.h"

#define SCRIPTS_MAX 8	/* of one inside the other; the kernel follows about five */
#define SCRIPT_HEAD 256 /* bytes of the first line that the kernel looks at */

static int executable(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || access(path, X_OK))
		return -EACCES;
	return 0;
}

int target_find(struct target *t, const char *command)
{
	const char *path = getenv("PATH");
	int ret = -ENOENT, found;
	size_t len;

	memset(t, 0, sizeof(*t));
	if (strchr(command, '/') || !*command) {
		if (snprintf(t->path, sizeof(t->path), "%s", command) >= (int)sizeof(t->path))
			return -ENAMETOOLONG;
		return executable(t->path);
	}
	if (!path)
		path = "/bin:/usr/bin";
	for (;; path += len + 1) {
		len = strcspn(path, ":");
		if (snprintf(t->path, sizeof(t->path), "%.*s%s%s", (int)len, path, len ? "/" : "./",
			     command) < (int)sizeof(t->path)) {
			found = executable(t->path);
			if (!found)
				return 0;
			/* Like execvp(3): one that may not be run is only worth telling at the end.
			 */
			if (found == -EACCES)
				ret = found;
		}
		if (!path[len])
			return ret;
	}
}

/* Would running @path change credentials, so that the loader ignores LD_PRELOAD? */
static const char *secure_exec(const char *path, const struct stat *st)
{
	struct statvfs fs;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return NULL;
	if (!statvfs(path, &fs) && (fs.f_flag & ST_NOSUID))
		return NULL;
	if ((st->st_mode & S_ISUID) && st->st_uid != getuid())
		return "set-user-ID";
	if ((st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st->st_gid != getgid())
		return "set-group-ID";
	if (getuid() && getxattr(path, "security.capability", NULL, 0) > 0)
		return "has file capabilities";
	return NULL;
}

/* The program in "env [-S] [-OPTION...] [NAME=VALUE...] PROGRAM", or NULL. */
static char *env_program(char *args)
{
	char *save = NULL;

	for (char *word = strtok_r(args, " \t", &save); word; word = strtok_r(NULL, " \t", &save)) {
		if (!strncmp(word, "-S", 2) && word[2])
			return word + 2;
		if (*word != '-' && !strchr(word, '='))
			return word;
	}
	return NULL;
}

/* "#!INTERPRETER [ARG]" in @line; the next program to look at into @t->image. */
static int follow_script(struct target *t, char *line)
{
	struct target env;
	char *interp, *args, *name;

	line[strcspn(line, "\n")] = '\0';
	interp = line + 2 + strspn(line + 2, " \t");
	args = interp + strcspn(interp, " \t");
	if (*args)
		*args++ = '\0';
	if (!*interp)
		interp = "/bin/sh";
	snprintf(t->image, sizeof(t->image), "%s", interp);
	name = strrchr(interp, '/');
	if (!name || strcmp(name, "/env"))
		return executable(t->image);
	/* env makes no calls that matter: what it runs does, when that can be told. */
	name = env_program(args);
	if (!name || target_find(&env, name))
		return executable(t->image);
	memcpy(t->image, env.path, sizeof(t->image));
	return 0;
}

/* Look at one file. Returns 1 when it was a script that led to another, 0 at the end, or -errno. */
static int examine_file(struct target *t)
{
	CLEANUP(close) int fd = open(t->image, O_RDONLY | O_CLOEXEC);
	char head[SCRIPT_HEAD + 1] = "";
	const char *secure;
	struct stat st;
	void *data;

	if (fd < 0 || fstat(fd, &st)) {
		snprintf(t->why, sizeof(t->why), "cannot be read: %s", strerror(errno));
		return 0;
	}
	if (pread(fd, head, SCRIPT_HEAD, 0) < 4 || memcmp(head, "\177ELF", 4)) {
		t->script = true;
		/* What is neither ELF nor names an interpreter, execvp(3) gives to the shell. */
		if (strncmp(head, "#!", 2))
			strcpy(head, "#!/bin/sh");
		return follow_script(t, head) ?: 1;
	}
	data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	target_examine_elf(t, data, st.st_size);
	munmap(data, st.st_size);
	secure = secure_exec(t->image, &st);
	if (secure) {
		t->preloadable = false;
		snprintf(t->why, sizeof(t->why), "%s: the loader ignores LD_PRELOAD", secure);
	}
	return 0;
}

int say_target(const struct target *t, const char *command, int error)
{
	if (t->script)
		say("%s: its interpreter %s: %s", command, t->image, strerror(-error));
	else
		say("%s: %s", command, strerror(-error));
	return error == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
}

int target_examine(struct target *t)
{
	CLEANUP(free) char *real = NULL;
	int ret;

	memcpy(t->image, t->path, sizeof(t->image));
	for (int depth = 0; depth < SCRIPTS_MAX; depth++) {
		free(real);
		real = realpath(t->image, NULL);
		if (!real)
			return -errno;
		snprintf(t->image, sizeof(t->image), "%s", real);
		ret = examine_file(t);
		if (ret <= 0)
			return ret;
	}
	return -ELOOP;
}
