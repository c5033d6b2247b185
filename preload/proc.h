/* SPDX-License-Identifier: MIT */
#ifndef VOS_PROC_H
#define VOS_PROC_H

#include "preload/vos.h"

/* Does @path name a remote descriptor or working directory of ours? 1: *@r is set; 0 or -errno. */
long vos_proc_route(struct vos_route *r, long dirfd, const char *path, int how) HIDDEN;
/* readlink of such a name: true if it is one, *@result is the answer. */
bool vos_proc_readlink(long dirfd, const char *path, char *buf, size_t size, long *result) HIDDEN;
/* "/proc/self/fd/@fd" */
#define VOS_PROC_NAME 40
void vos_proc_name(long fd, char name[VOS_PROC_NAME]) HIDDEN;
/* What the kernel's link for local @fd, or for AT_FDCWD, says: its length, -errno. */
long vos_proc_link(long fd, char *buf, size_t size) HIDDEN;
/*
 * Path of what @base of @dom is, in the program's name space: its length without the NUL, -ERANGE,
 * or what the service says.
 */
long vos_path_of(unsigned dom, uint64_t base, char *buf, size_t size) HIDDEN;

#endif
