/* SPDX-License-Identifier: MIT */
/* posix_spawn as it is done here, for those who build on it. */
#ifndef VOS_SPAWN_H
#define VOS_SPAWN_H

#include "preload/process.h"

#include <sched.h>
#include <sys/types.h>

/*
 * A file action, as libc keeps it behind posix_spawn_file_actions_t. The layout is libc's private
 * matter, but has only grown at the end since there is one (glibc 2.1 to 2.42); spawn_test
 * compares.
 */
enum vos_spawn_tag {
	VOS_SPAWN_CLOSE,
	VOS_SPAWN_DUP2,
	VOS_SPAWN_OPEN,
	VOS_SPAWN_CHDIR,
	VOS_SPAWN_FCHDIR,
	VOS_SPAWN_CLOSEFROM,
	VOS_SPAWN_TCSETPGRP,
};

struct vos_spawn_action {
	int tag;
	union {
		int fd; /* of all but CHDIR */
		struct {
			int fd, to;
		} dup2;
		struct {
			int fd;
			char *path;
			int flags;
			mode_t mode;
		} open;
		char *dir;
	};
};

/* What is to be spawned. Masks are the kernel's: bit 0 is signal 1. */
struct vos_spawn {
	const char *file;
	bool along_path; /* look for it in PATH */
	char *const *argv, *const *envp;
	const struct vos_spawn_action *action;
	int nactions;
	int flags; /* POSIX_SPAWN_* */
	uint64_t set_default, mask;
	pid_t group;
	int policy;
	struct sched_param sched;
	int cgroup;
	bool want_pidfd;
};

/* 0 and the process (or its pidfd) in *@pid, or the errno: what it could not do before exec, too.
 */
int vos_spawn(const struct vos_spawn *s, int *pid) HIDDEN;

void vos_system_init(void) HIDDEN;

#endif
