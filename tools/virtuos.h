/* SPDX-License-Identifier: MIT */
/* What the subcommands of virtuos(1) share. */
#ifndef VIRTUOS_H
#define VIRTUOS_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "preload/config.h"

/* Exit codes of "run" and "explain", those of env(1); the program's own otherwise. */
enum { EXIT_OWN = 125, EXIT_NOT_RUNNABLE = 126, EXIT_NOT_FOUND = 127 };

/* Exit code of "check" and of a wrong command line outside of "run". */
enum { EXIT_USAGE = 2 };

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define CLEANUP(f) __attribute__((cleanup(cleanup_##f)))

int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_explain(int argc, char **argv);

/* main.c: "virtuos: ..." on stderr. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* --- conf.c --- */

/*
 * The configuration that a program would get: @option (may be NULL), $VIRTUOS_CONFIG or the
 * default, made absolute in @file. Returns 0, or -1 after having said why.
 */
int conf_find(const char *option, char file[PATH_MAX]);
/* The same after go_inside(), which has found it: it may lie below one of its own prefixes. */
int conf_inside(char file[PATH_MAX]);

/*
 * Load @file for a program, and the environment's overrides if @env. Returns 0, or -1 after having
 * printed "FILE:LINE: what is wrong".
 */
int conf_load(struct vos_config *cfg, const char *file, const char *base, const char *path,
	      bool env);

/* The domains of @file, and what any program sends to them. Returns likewise. */
int conf_all(struct vos_config *cfg, const char *file, vos_config_use *use, void *arg);

/* The section that @line of @file is in, with its brackets; "" when that cannot be told. */
void conf_section(const char *file, int line, char *section, size_t size);

/* --- probe.c --- */

struct probe;

/*
 * Attach to a domain as a program would. Returns 0 or -errno; @text has what the service says of
 * itself, or why not, or "".
 */
int probe_attach(struct probe **p, const struct vos_domain_config *d, char text[128]);
/* The way there, where there are several (struct vos_transport); or NULL. */
const char *probe_by(const struct probe *p);
/* Is @path a directory there that we may use as a root? Returns 0 or -errno. */
int probe_root(struct probe *p, const char *path);
void probe_end(struct probe *p);

/* --- target.c --- */

struct target {
	char path[PATH_MAX];  /* as found by name */
	char image[PATH_MAX]; /* what the kernel loads at last: the interpreter of a script */
	bool script;	      /* path and image differ for that reason */
	bool preloadable;     /* libvirtuos.so will see its calls */
	char why[256];	      /* the reason, for both */
	char sanitizer[64];   /* soname of the runtime that insists on being loaded first, or "" */
};

/* Find @command as execvp(3) does. Returns 0 or -errno; t->path is set. */
int target_find(struct target *t, const char *command);

/* Fill the rest of @t, following scripts to their interpreters. Returns 0 or -errno. */
int target_examine(struct target *t);
/* Say that one of the two has failed with @error, and of what. Returns the exit code. */
int say_target(const struct target *t, const char *command, int error);

/* --- inside.c --- */

/*
 * The library of the build tree that this command is in, or the installed one. The build tree comes
 * first, so that a build is never tried with an older library by mistake. 0, or -1 after having said
 * why.
 */
int find_library(char library[PATH_MAX]);

/* LD_PRELOAD: a sanitizer's runtime ("": none), our library, what was there. 0 or -1, likewise. */
int set_preload(const char *sanitizer, const char *library);

/*
 * Start this command again with the library, if the configuration @option (as for conf_find()) has
 * prefixes: then it does not return. @name: the subcommand, @argv[1]: what
 * follows. 0: it is not needed; -1
 * after having said why.
 */
int go_inside(const char *option, char *name, char **argv);

/* elf.c: judge the image alone. */
void target_examine_elf(struct target *t, const unsigned char *data, size_t size);

#endif
