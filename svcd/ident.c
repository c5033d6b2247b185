/* SPDX-License-Identifier: MIT */
/*
 * Whose rights a call has. The kernel names the peer of a connection (SO_PEERCRED, SO_PEERGROUPS);
 * each thread that runs calls takes on that identity for itself alone: ids, groups, capabilities
 * and umask are attributes of a thread (umask once it has left CLONE_FS), as long as the system
 * calls are made directly: libc's wrappers would change all threads.
 *
 * The effective ids are the caller's, not only those for files: the kernel asks for them where
 * files are not really files (whoever is root may write what is below /proc/sys) and for some
 * sockets. The real and the saved ones remain ours, so that callers cannot send us signals.
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
_Thread_local bool ident_privileged;

struct ident *ident_get(struct ident *id)
{
	atomic_fetch_add_explicit(&id->refs, 1, memory_order_relaxed);
	return id;
}

void ident_put(struct ident *id)
{
	if (!id || atomic_fetch_sub_explicit(&id->refs, 1, memory_order_acq_rel) != 1)
		return;
	user_put(id->user);
	free(id);
}

struct ident *ident_new(uid_t uid, int ngroups)
{
	struct ident *id = calloc(1, sizeof(*id) + (size_t)ngroups * sizeof(gid_t));

	if (!id)
		return NULL;
	id->refs = 1;
	id->uid = id->ruid = uid;
	id->ngroups = ngroups;
	id->user = user_get(uid);
	if (id->user)
		return id;
	free(id);
	return NULL;
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
	id = ident_new(cred.uid, (int)(glen / sizeof(gid_t))); /* the real one is not told */
	if (!id)
		return NULL;
	if (glen && getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, id->groups, &glen)) {
		ident_put(id);
		return NULL;
	}
	id->gid = id->rgid = cred.gid;
	id->caps = id->uid == 0 ? peer_caps(sock, cred.pid) : 0;
	*pid = cred.pid;
	return id;
}

/* Ourselves, as long as we cannot act for others. */
static struct ident *ours;

int ident_init(void)
{
	int n = getgroups(0, NULL);

	ours = n < 0 ? NULL : ident_new(geteuid(), n + 1);
	if (!ours)
		return -ENOMEM;
	ours->gid = getegid();
	ours->ngroups = getgroups(n, ours->groups);
	if (ours->ngroups < 0)
		return -errno;
	ours->groups[ours->ngroups++] = ours->gid;
	return 0;
}

static bool in_group(const struct ident *id, gid_t gid)
{
	bool in = id->gid == gid;

	for (int i = 0; i < id->ngroups && !in; i++)
		in = id->groups[i] == gid;
	return in;
}

/* Without the capabilities for it we act as ourselves: nobody must get a right from us thereby. */
bool ident_may_attach(const struct ident *id)
{
	bool may = caps.any_user || id->uid == ours->uid;

	for (int i = 0; i < ours->ngroups && !caps.any_user; i++)
		may = may && in_group(id, ours->groups[i]);
	return may;
}

void ident_thread_init(void)
{
	caps_effective(0); /* whoever has started us may have been acting for root */
	unshare(CLONE_FS); /* a umask and a working directory of our own */
}

void ident_thread_exit(void)
{
	ident_put(current);
	current = NULL;
}

static bool same(const struct ident *a, const struct ident *b)
{
	return a == b || (a && a->uid == b->uid && a->gid == b->gid && a->caps == b->caps &&
			  a->ngroups == b->ngroups &&
			  !memcmp(a->groups, b->groups, (size_t)a->ngroups * sizeof(gid_t)));
}

static int have_effective(const struct ident *id, uint64_t set)
{
	uint64_t effective = id->uid == 0 ? id->caps & set : 0;

	ident_privileged = effective;
	return caps_effective(effective);
}

static int change_ids(const struct ident *id)
{
	int r = caps_effective(caps.identity);

	if (r)
		return r;
	if (syscall(SYS_setgroups, id->ngroups, id->groups) ||
	    syscall(SYS_setresgid, -1, id->gid, -1) || syscall(SYS_setresuid, -1, id->uid, -1))
		return -errno;
	return 0;
}

static int become(const struct ident *id)
{
	int r = 0;

	if (caps.any_user)
		r = change_ids(id);
	else if (!ident_may_attach(id))
		r = -EPERM;
	if (!r)
		return have_effective(id, caps.caller);
	caps_effective(0);
	ident_privileged = false;
	return r;
}

void ident_xattr(bool begin)
{
	if (current && current->uid == 0 && current->caps & caps.xattr)
		have_effective(current, begin ? caps.caller | caps.xattr : caps.caller);
}

void ident_override(bool begin)
{
	uint64_t own = current && current->uid == 0 ? current->caps & caps.caller : 0;

	caps_effective(begin ? own | (caps.caller & 1ull << CAP_DAC_OVERRIDE) : own);
}

struct user *ident_user(void)
{
	return (current ? current : ours)->user;
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
	int r;

	if (!current || (current->ruid == current->uid && current->rgid == current->gid))
		return 0;
	id = ident_new(current->ruid, current->ngroups);
	if (!id)
		return -ENOMEM;
	id->gid = id->rgid = current->rgid;
	id->caps = current->caps;
	memcpy(id->groups, current->groups, (size_t)id->ngroups * sizeof(gid_t));
	r = ident_assume(id, mask);
	ident_put(id);
	return r;
}
