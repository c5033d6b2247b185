/* SPDX-License-Identifier: MIT */
/*
 * The life of a process: what fork, exec and posix_spawn do so that remote descriptors and the
 * remote working directory go on as local ones do.
 *
 * Handles belong to one client of a service, and a client is one process image. So whoever is about
 * to become two, or another image, asks each service for a ticket first: a copy of the client's
 * table, for whoever attaches with it (svcd/ticket.c). A child keeps it in vos_domain[].ticket and
 * attaches when it makes its first remote call (process.c); the next image gets it, with what its
 * numbers mean, in a sealed memfd (state.c, inherit.c).
 */
#ifndef VOS_PROCESS_H
#define VOS_PROCESS_H

#include "preload/vos.h"

#include <stddef.h>

/* Another exported name of a function of the same file. */
#define VOS_SAME_AS(name, target)      \
	extern __typeof__(target) name \
		__attribute__((alias(#target), copy(target), visibility("default")));

/*
 * Is there anything that a child or the next image would have to be given, or that only we know: where
 * a working directory is that is no more than a name?
 */
static inline bool vos_has_remote(void)
{
	return vos_fdtab.nremote > 0 || vos_cwd != VOS_CWD_LOCAL;
}

/* --- process.c ------------------------------------------------------------------------------ */

/*
 * vos_ticket_make() - leave a ticket with the service of @dom; its number into @id.
 * @flags: VOS_TICKET_*. @keep: the @n handles that go into it, or NULL for all.
 * 1, 0 when the service cannot know how long to keep it (then it is to be taken at once), -errno.
 */
long vos_ticket_make(unsigned dom, unsigned flags, const uint64_t *keep, size_t n,
		     uint64_t id[2]) HIDDEN;
/* The ticket is for process @pid; 0: for nobody any more. */
void vos_ticket_bind(unsigned dom, const uint64_t id[2], long pid) HIDDEN;
static inline bool vos_ticket_pending(unsigned dom)
{
	return vos_domain[dom].ticket[0] | vos_domain[dom].ticket[1];
}
/* Take all tickets that were left for us; for those who are about to lose the way to the services.
 */
void vos_tickets_take(void) HIDDEN;

/* One fork from begin to end; safe in a signal handler and in a process with threads. */
struct vos_fork {
	uint8_t made; /* bit per domain: there is a ticket */
	uint8_t soon; /* bit per domain: to be taken at once */
	bool stopped; /* changes wait, and signals are blocked */
	uint64_t mask;
	uint64_t ticket[VOS_MAX_DOMAINS][2];
};
void vos_fork_begin(struct vos_fork *f) HIDDEN;
/* In the child. @at_once: the parent cannot say who we are, so attach now. */
void vos_fork_child(struct vos_fork *f, bool at_once) HIDDEN;
/* In the parent: @pid of the child, or what fork failed with. */
void vos_fork_parent(struct vos_fork *f, long pid) HIDDEN;

/*
 * Nonzero in the process that made it, zero in a child of it: the only way to learn of a fork that
 * nobody told us of.
 */
extern const uint32_t *vos_same_process HIDDEN;
void vos_forked_unseen(void) HIDDEN;
/* Were we forked without knowing? Then remote descriptors are dead from here on. */
static inline bool vos_forked_behind_our_back(void)
{
	if (likely(*vos_same_process))
		return false;
	vos_forked_unseen();
	return true;
}
/* Do we run on another process's memory, as a child of vfork() does? Costs a system call. */
bool vos_on_borrowed_memory(void) HIDDEN;

/* --- system.c ------------------------------------------------------------------------------- */

/* In a fork child: another thread of our parent may have been in popen() or system(). */
void vos_system_forked(void) HIDDEN;

/* --- exec_env.c ----------------------------------------------------------------------------- */

/* What the environment of a new image lacks: the library itself, its configuration. */
struct vos_env {
	char *const *from;
	size_t n;	     /* entries of from */
	size_t preload_size; /* bytes that the new LD_PRELOAD needs, with its NUL; 0: it is fine */
	const char *preload; /* what LD_PRELOAD is now, or NULL */
	unsigned missing;    /* bit per variable of ours */
	bool stale;	     /* there is a VIRTUOS_STATE, which is not ours to pass on */
};

#define VOS_ENV_MORE  7	 /* entries that vos_env_fill() may add, with the NULL */
#define VOS_ENV_STATE 32 /* bytes of VIRTUOS_STATE=number */

void vos_env_init(void) HIDDEN;
/* There is no configuration. Should the user hear of it? Once, in all that is started from here. */
bool vos_env_unconfigured(void) HIDDEN;
void vos_env_look(struct vos_env *e, char *const *envp) HIDDEN;
static inline bool vos_env_fine(const struct vos_env *e)
{
	return !e->preload_size && !e->missing && !e->stale;
}
/*
 * Fill @to (e->n + VOS_ENV_MORE entries) and @preload (e->preload_size bytes). The answer is the
 * place of the terminating NULL; the one behind it is free for one more.
 */
char **vos_env_fill(const struct vos_env *e, char **to, char *preload) HIDDEN;
void vos_env_state(char buf[VOS_ENV_STATE], int fd) HIDDEN;
/* Read a number after the '='; -1 when there is none. Takes the variable away. */
int vos_env_take_state(void) HIDDEN;

/* --- state.c, inherit.c --------------------------------------------------------------------- */

/* What was made for the next image, to be undone if there will be none. */
struct vos_state {
	int fd; /* of the memfd, or -1: nothing to hand over */
	uint8_t made;
	uint64_t ticket[VOS_MAX_DOMAINS][2];
};
long vos_state_save(struct vos_state *s) HIDDEN;
void vos_state_drop(struct vos_state *s) HIDDEN;

void vos_inherit(void) HIDDEN;

/* --- exec.c, exec_remote.c, spawn.c --------------------------------------------------------- */

/* execveat() in all but name: only returns to fail. @envp is completed. */
long vos_exec(long dirfd, const char *path, char *const *argv, char *const *envp,
	      long flags) HIDDEN;
/* The same along PATH, if @file has no slash. @script: a file that is no executable is one for sh.
 */
long vos_exec_path(const char *file, char *const *argv, char *const *envp, bool script) HIDDEN;

/*
 * A remote file made executable here: a copy (memfd), or for a script what its #! line says: the
 * interpreter, its argument if there is one, and the path of the script, which the interpreter
 * opens by itself.
 */
struct vos_image {
	int memfd;	    /* the caller closes it; -1: a script */
	const char *arg[3]; /* to be put in place of argv[0]; NULL: none */
	char line[256];	    /* what they point into */
};
/* Make the remote file @path at @dirfd (or, with AT_EMPTY_PATH, @dirfd itself) executable here. */
long vos_image_load(struct vos_image *im, long dirfd, const char *path, long flags) HIDDEN;

/* --- start ---------------------------------------------------------------------------------- */

void vos_process_init(void) HIDDEN;
void vos_spawn_init(void) HIDDEN;
void vos_ident_init(void) HIDDEN;
/* The process has a new user, group or list of groups. */
void vos_ident_changed(void) HIDDEN;

#endif
