/* SPDX-License-Identifier: MIT */
/*
 * The working directory. The kernel's own is the program's as long as that is local. One in a domain
 * is kept by the service, once chdir() has led there.
 *
 * A program may be started in a local directory that lies below a prefix, where the path of its
 * directory says that it is in the domain. Then it is as if it had come there by chdir(): but the
 * call is made only when a relative path is used, so that a program that uses none need not meet the
 * domain. Until then, and while the call fails, the working directory is no more than a name.
 */
#define _GNU_SOURCE
#include "preload/proc.h"
#include "preload/process.h"
#include "preload/walk.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

_Atomic int vos_cwd = VOS_CWD_LOCAL;

#define UNUSED(...)         \
	(void)(long[])      \
	{                   \
		__VA_ARGS__ \
	}

/* Go to @path; where that is, as vos_cwd has it. */
static long change(const char *path, int *cwd)
{
	struct vos_redirect_buf rd;
	char buf[VOS_PATH_MAX];
	struct vos_route r = { .buf = buf };
	int hops = 0;
	long res = vos_route(&r, AT_FDCWD, path, 0);

	while (!res) {
		if (r.dom == VOS_TO_DENY)
			return -EACCES;
		*cwd = VOS_CWD_LOCAL;
		if (r.dom == VOS_TO_LOCAL) {
			res = vos_raw1(SYS_chdir, (long)r.path);
			if (!res || !vos_route_again(&r, res, 0) || ++hops > VOS_HOPS_MAX)
				return res;
			res = 0;
			continue;
		}
		res = vos_forward(VOS_OP_chdir, (unsigned)r.dom,
				  (const uint64_t[6]){ r.base, (uint64_t)r.path }, &rd);
		*cwd = VOS_CWD_IN(r.dom, VOS_BASE_INC(r.base));
		if (res != VOS_REDIRECT)
			return res == -ENOLINK ? -EIO : res;
		res = vos_reroute(&r, &rd.r, &hops, 0);
	}
	return res;
}

long vos_sys_chdir(long path, long a1, long a2, long a3, long a4, long a5)
{
	int cwd;
	long r;

	UNUSED(a1, a2, a3, a4, a5);
	vos_need_init();
	r = change((const char *)path, &cwd);
	if (!r)
		vos_cwd = cwd;
	return r;
}

/* --- one that is a name --------------------------------------------------------------------- */

void vos_cwd_look(void)
{
	char path[VOS_PATH_MAX];
	const char *rest;
	int p = -1;

	if (vos_files_remote && vos_raw2(SYS_getcwd, (long)path, sizeof(path)) > 0 &&
	    path[0] == '/')
		p = vos_find_prefix(path, &rest);
	vos_cwd = p >= 0 && vos_config.prefix[p].to != VOS_TO_LOCAL ? VOS_CWD_NAMED : VOS_CWD_LOCAL;
}

/* Once is enough. */
static void warn(const char *path)
{
	static _Atomic bool warned;

	if (!atomic_exchange(&warned, true))
		vos_say("the working directory, ", path,
			", is not there in its domain: relative paths lead nowhere", NULL);
}

long vos_cwd_enter(void)
{
	int cwd, named = VOS_CWD_NAMED;
	char path[VOS_PATH_MAX];
	long r = vos_raw2(SYS_getcwd, (long)path, sizeof(path));

	if (r < 0)
		return r;
	r = change(path, &cwd);
	if (r == -ENOENT || r == -ENOTDIR)
		warn(path);
	if (r)
		return r;
	/* Unless another thread has gone elsewhere. */
	atomic_compare_exchange_strong(&vos_cwd, &named, cwd);
	return 0;
}

/* --- other calls ---------------------------------------------------------------------------- */

long vos_sys_fchdir(long fd, long a1, long a2, long a3, long a4, long a5)
{
	uint64_t w = vos_fd(fd);
	long r;

	UNUSED(a1, a2, a3, a4, a5);
	if (likely(!w)) {
		r = vos_raw1(SYS_fchdir, fd);
		if (!r)
			vos_cwd_look();
		return r;
	}
	r = vos_forward_fd(VOS_OP_fchdir, w, (const long[6]){ fd });
	if (!r)
		vos_cwd = VOS_CWD_IN(VOS_WORD_DOMAIN(w), VOS_WORD_INC(w));
	return r;
}

long vos_sys_getcwd(long buf, long size, long a2, long a3, long a4, long a5)
{
	const int cwd = vos_cwd;
	long r;

	UNUSED(a2, a3, a4, a5);
	if (likely(cwd < 0))
		return vos_raw2(SYS_getcwd, buf, size);
	r = vos_path_of(VOS_CWD_DOMAIN(cwd), VOS_CWD_BASE(cwd), (char *)buf, (size_t)size);
	return r < 0 ? r : r + 1;
}

/* Where a path leads, and what is there: numbers of files are those of one domain. */
static bool find(const char *path, int *dom, struct stat *st)
{
	char buf[VOS_PATH_MAX];
	struct vos_route r = { .buf = buf };

	if (vos_route(&r, AT_FDCWD, path, 0) || vos_settle(&r, 0))
		return false;
	*dom = r.dom;
	return !vos_sys_newfstatat(AT_FDCWD, (long)path, (long)st, 0, 0, 0);
}

bool vos_cwd_is(const char *path)
{
	struct stat here, there;
	int dom_here, dom_there;

	return find(".", &dom_here, &here) && find(path, &dom_there, &there) &&
	       dom_here == dom_there && here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}
