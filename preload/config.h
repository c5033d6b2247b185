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
#define VOS_MAX_DOMAINS	    8
#define VOS_MAX_PREFIXES    32
#define VOS_DOMAIN_NAME_MAX 32
#define VOS_ADDRESS_MAX	    160 /* "unix:" + sockaddr_un.sun_path, "vchan:NAME" */
#define VOS_PREFIX_MAX	    256

/* Classes that are switched as a whole; files are switched by prefix instead. */
enum vos_class { VOS_CLASS_INET, VOS_CLASS_DNS, VOS_CLASS_AIO, VOS_CLASS_HOSTNAME, VOS_NCLASSES };

/* Where a class or a prefix goes: the index of a domain, or one of these. */
enum { VOS_TO_LOCAL = -1, VOS_TO_DENY = -2 };

enum vos_libc_patch { VOS_PATCH_AUTO, VOS_PATCH_OFF, VOS_PATCH_REQUIRE };

/* Who decided a setting, where it is not a line (1-based) of the file. */
enum { VOS_LINE_BUILTIN = 0, VOS_LINE_ENV = -1 };

struct vos_domain_config {
	char name[VOS_DOMAIN_NAME_MAX];
	char address[VOS_ADDRESS_MAX];
	int line;     /* of the address */
	bool recover; /* on_failure = recover */
};

/* "file PATH = DOMAIN:ROOT": PATH/x here is ROOT/x there. */
struct vos_prefix_config {
	char path[VOS_PREFIX_MAX]; /* absolute, normalised, no trailing slash except for "/" */
	char root[VOS_PREFIX_MAX]; /* likewise; unused for VOS_TO_LOCAL and VOS_TO_DENY */
	int to;
	int line; /* that set it last */
};

struct vos_config {
	struct vos_domain_config domain[VOS_MAX_DOMAINS];
	int ndomains;
	int class_to[VOS_NCLASSES];
	int class_line[VOS_NCLASSES];
	struct vos_prefix_config prefix[VOS_MAX_PREFIXES]; /* longest path first */
	int nprefixes;
	bool unavailable_local; /* unavailable = local: skip a domain that cannot be reached */
	int unavailable_line;
	enum vos_libc_patch libc_patch;
	int libc_patch_line;
};

struct vos_config_error {
	int line;	/* 1-based; 0 when the error is not about one line */
	char text[240]; /* what is wrong and what is allowed, without file and line */
};

/* The key of each class in the file, by enum vos_class. */
extern const char vos_class_name[VOS_NCLASSES][12];

/*
 * vos_config_load() - read @file for the program @base (its base name) run from @path (absolute).
 *
 * [default] applies to every program, then each matching [app PATTERN] section in the order of the
 * file; a PATTERN without a slash matches @base or the last component of @path, one with a slash
 * matches @path. Every section is checked, whether it matches or not. Returns 0, or -EINVAL with
 * @err filled for a wrong file, or the -errno of opening or reading it (@err then says so with line
 * 0). *@cfg is complete on success and unspecified otherwise. The file is read more than once, so
 * it must be a regular one. Uses about 6 KiB of stack, no heap, no stdio, and leaves errno alone.
 */
int vos_config_load(struct vos_config *cfg, const char *file, const char *base, const char *path,
		    struct vos_config_error *err);

/* A line that sends something to a domain: a class, whose name is @path, or a prefix. */
typedef void vos_config_use(void *arg, const struct vos_prefix_config *use);

/*
 * vos_config_all() - the domains of @file, and what the sections for all programs send to them.
 *
 * Calls @use for each such line, in the order of the file but for [default], which comes first.
 * Returns as vos_config_load(); @use may have been called before an error is found.
 */
int vos_config_all(struct vos_config *cfg, const char *file, vos_config_use *use, void *arg,
		   struct vos_config_error *err);

/*
 * vos_config_env() - apply VIRTUOS_UNAVAILABLE and VIRTUOS_LIBC_PATCH over what the file said.
 *
 * Not to be called under AT_SECURE. An empty variable counts as unset. Returns 0, or -EINVAL with
 * @err filled (line 0, the text names the variable).
 */
int vos_config_env(struct vos_config *cfg, struct vos_config_error *err);

#endif
