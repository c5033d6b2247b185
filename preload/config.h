/* SPDX-License-Identifier: MIT */
/*
 * The configuration as the library and the virtuos command see it: domains, and for one program
 * where each class of calls goes. Nothing here allocates; the caller provides the storage.
 */
#ifndef VOS_CONFIG_H
#define VOS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#define VOS_CONFIG_DEFAULT  "/etc/virtuos/virtuos.conf"
#define VOS_MAX_DOMAINS     8
#define VOS_MAX_PREFIXES    32
#define VOS_DOMAIN_NAME_MAX 32
#define VOS_ADDRESS_MAX     160 /* "unix:" + sockaddr_un.sun_path, "vchan:NAME" */
#define VOS_PREFIX_MAX      256

/* Classes that are switched as a whole; files are switched by prefix instead. */
enum vos_class { VOS_CLASS_INET, VOS_CLASS_DNS, VOS_CLASS_AIO, VOS_CLASS_HOSTNAME, VOS_NCLASSES };

/* Where a class or a prefix goes: the index of a domain, or one of these. */
enum { VOS_TO_LOCAL = -1, VOS_TO_DENY = -2 };

enum vos_libc_patch { VOS_PATCH_AUTO, VOS_PATCH_OFF, VOS_PATCH_REQUIRE };

struct vos_domain_config {
	char name[VOS_DOMAIN_NAME_MAX];
	char address[VOS_ADDRESS_MAX];
	bool recover; /* on_failure = recover */
};

/* "file PATH = DOMAIN:ROOT": PATH/x here is ROOT/x there. */
struct vos_prefix_config {
	char path[VOS_PREFIX_MAX]; /* absolute, normalised, no trailing slash except for "/" */
	char root[VOS_PREFIX_MAX]; /* likewise; unused for VOS_TO_LOCAL and VOS_TO_DENY */
	int to;
};

struct vos_config {
	struct vos_domain_config domain[VOS_MAX_DOMAINS];
	int ndomains;
	int class_to[VOS_NCLASSES];
	struct vos_prefix_config prefix[VOS_MAX_PREFIXES]; /* longest path first */
	int nprefixes;
	bool unavailable_local; /* unavailable = local: a domain that cannot be reached is skipped */
	enum vos_libc_patch libc_patch;
};

struct vos_config_error {
	int line;	/* 1-based; 0 when the error is not about one line */
	char text[240]; /* what is wrong and what is allowed, without file and line */
};

/*
 * vos_config_load() - read @file for the program @base (its base name) run from @path (absolute).
 *
 * [default] applies to every program, then each matching [app PATTERN] section in the order of the
 * file. Returns 0, or -EINVAL with @err filled for a wrong file, or the -errno of opening or
 * reading it. *@cfg is complete on success and unspecified otherwise.
 */
int vos_config_load(struct vos_config *cfg, const char *file, const char *base, const char *path,
		    struct vos_config_error *err);

#endif
