/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the configuration parser share. Life of a load:
 *
 *   vos_config_load() opens the file and reads it three times: once to check every line and collect
 *   the domains (so that a domain may be defined after its first use), once to apply [default],
 *   once to apply the matching [app ...] sections over it. Each time the source feeds inih one line
 *   at a time, telling the parser of section headers itself, because inih cuts their names at 49
 *   bytes and says nothing of a section without keys. The first error ends everything.
 */
#ifndef VOS_CONFIG_INTERNAL_H
#define VOS_CONFIG_INTERNAL_H

#include <stdarg.h>

#include "preload/config.h"

/*
 * What a ':' of a key is turned into before inih sees the line, which takes the first of '=' and
 * ':' for the separator. Cannot be in a file: control characters are refused.
 */
#define VOS_HIDDEN_COLON '\x1f'

enum vos_section { VOS_IN_NONE, VOS_IN_DOMAIN, VOS_IN_DEFAULT, VOS_IN_APP };

enum vos_pass { VOS_PASS_DOMAINS, VOS_PASS_DEFAULT, VOS_PASS_APPS };

struct vos_parse {
	struct vos_config *cfg;
	struct vos_config_error *err;
	const char *base;
	const char *path;
	vos_config_use *use; /* or NULL */
	void *use_arg;
	enum vos_pass pass;
	int ret;  /* 0, or the -errno that ended the load */
	int line; /* 1-based, that inih has now */

	/* The section that the line is in. */
	enum vos_section section;
	int section_line;
	unsigned seen; /* bit per key that may be there once, see config.c */
	int domain;    /* its index, in VOS_IN_DOMAIN */
	bool applies;  /* its settings are for this program and this pass */
	bool checked;  /* this pass looks at its keys at all */
	int others;    /* prefixes of a section that does not apply, not counted in cfg */
	int nhashes;
	unsigned long hash[VOS_MAX_PREFIXES]; /* of the prefixes of this section */

	/* The file: what was read and not yet handed to inih. */
	int fd;
	int pos;
	int len;
	bool eof;
	char buf[1024];
};

/* config_source.c */
int vos_source_open(struct vos_parse *p, const char *file);
void vos_source_close(struct vos_parse *p);
int vos_source_run(struct vos_parse *p); /* one pass; returns p->ret */

/* config.c, for the source */
void vos_parse_section(struct vos_parse *p, const char *name);
int vos_parse_setting(struct vos_parse *p, const char *key, const char *value);

/*
 * config_value.c: checks of one value each. vos_fail() understands %s and %d, shortens what would
 * not fit, keeps the first error only, and returns -EINVAL.
 */
int vos_fail(struct vos_parse *p, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int vos_value_name(struct vos_parse *p, const char *name);
int vos_value_address(struct vos_parse *p, const char *value);
int vos_value_path(struct vos_parse *p, const char *what, const char *value,
		   char out[VOS_PREFIX_MAX]);
int vos_value_choice(struct vos_parse *p, const char *key, const char *value, const char *first,
		     const char *second, const char *third);
int vos_value_target(struct vos_parse *p, const char *key, const char *name, int *to);

/* Add to the error what begins a comment, if @text looks as if it had one. */
void vos_hint_comment(struct vos_parse *p, const char *text);

/* config_match.c: 1 when @text matches the glob @pattern (* ? [] \), wholly; * stops at a slash. */
int vos_glob(const char *pattern, const char *text);

#endif
