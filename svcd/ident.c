/* SPDX-License-Identifier: MIT */
/*
 * Whose rights a call has. The kernel names the peer of a connection (SO_PEERCRED, SO_PEERGROUPS);
 * each thread that runs calls takes on that identity for itself alone: file system ids, groups,
 * capabilities and umask are attributes of a thread (umask once it has left CLONE_FS), as long as
 * the system calls are made directly: libc's wrappers would change all threads.
 *
 * A thread remembers whose identity it has, so that serving one user costs nothing.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local struct ident *current;
static _Thread_local mode_t current_umask = (mode_t)-1;
static _Thread_local struct __user_cap_data_struct all_caps[2];

struct ident *ident_get(struct ident *id)
{
	atomic_fetch_add_explicit(&id->refs, 1, memory_order_relaxed);
	return id;
}

void ident_put(struct ident *id)
{
	if (id && atomic_fetch_sub_explicit(&id->refs, 1, memory_order_acq_rel) == 1)
		free(id);
}

struct ident *ident_of_peer(int sock, pid_t *pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred), glen = 0;
	struct ident *id;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return NULL;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, NULL, &glen) && errno != ERANGE)
		return NULL;
	if (glen > SVCD_GROUPS_MAX * sizeof(gid_t))
		return NULL;
	id = calloc(1, sizeof(*id) + glen);
	if (!id)
		return NULL;
	if (glen && getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, id->groups, &glen)) {
		free(id);
		return NULL;
	}
	id->refs = 1;
	id->uid = id->ruid = cred.uid; /* the real one is not told */
	id->gid = id->rgid = cred.gid;
	id->ngroups = (int)(glen / sizeof(gid_t));
	*pid = cred.pid;
	return id;
}

/* Without root's capabilities we can only act for ourselves. */
bool ident_may_attach(const struct ident *id)
{
	return geteuid() == 0 || id->uid == geteuid();
}

static int set_effective(bool full)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	for (int i = 0; i < 2; i++) {
		d[i] = all_caps[i];
		d[i].effective = full ? all_caps[i].permitted : 0;
	}
	return syscall(SYS_capset, &h, d) ? -errno : 0;
}

void ident_thread_init(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };

	syscall(SYS_capget, &h, all_caps);
	unshare(CLONE_FS); /* a umask and a working directory of our own */
}

void ident_thread_exit(void)
{
	ident_put(current);
	current = NULL;
}

static bool same(const struct ident *a, const struct ident *b)
{
	return a == b || (a && a->uid == b->uid && a->gid == b->gid && a->ngroups == b->ngroups &&
			  !memcmp(a->groups, b->groups, (size_t)a->ngroups * sizeof(gid_t)));
}

static int become(const struct ident *id)
{
	int r;

	if (geteuid() != 0)
		return id->uid == geteuid() ? 0 : -EPERM;
	r = set_effective(true);
	if (r)
		return r;
	if (syscall(SYS_setgroups, id->ngroups, id->groups))
		return -errno;
	syscall(SYS_setfsgid, id->gid);
	syscall(SYS_setfsuid, id->uid);
	/* Neither reports failure: ask. */
	if ((gid_t)syscall(SYS_setfsgid, -1) != id->gid ||
	    (uid_t)syscall(SYS_setfsuid, -1) != id->uid)
		return -EPERM;
	return set_effective(id->uid == 0);
}

int ident_assume(struct ident *id, mode_t mask)
{
	if (current != id) {
		if (!same(current, id)) {
			int r = become(id);

			if (r) {
				ident_put(current);
				current = NULL;
				return r;
			}
		}
		ident_put(current);
		current = ident_get(id);
	}
	if (mask != current_umask) {
		umask(mask);
		current_umask = mask;
	}
	return 0;
}

int ident_assume_real(mode_t mask)
{
	struct ident *id;
	size_t size;
	int r;

	if (!current || (current->ruid == current->uid && current->rgid == current->gid))
		return 0;
	size = sizeof(*id) + (size_t)current->ngroups * sizeof(gid_t);
	id = malloc(size);
	if (!id)
		return -ENOMEM;
	memcpy(id, current, size);
	id->refs = 1;
	id->uid = id->ruid;
	id->gid = id->rgid;
	r = ident_assume(id, mask);
	ident_put(id);
	return r;
}
