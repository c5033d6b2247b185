/* SPDX-License-Identifier: MIT */
/* The configuration's sections and keys. How a load goes is told in config_internal.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "preload/config_internal.h"

const char vos_class_name[VOS_NCLASSES][12] = {
	[VOS_CLASS_INET] = "inet",
	[VOS_CLASS_DNS] = "dns",
	[VOS_CLASS_AIO] = "aio",
	[VOS_CLASS_HOSTNAME] = "hostname",
};

/* Bits of vos_parse.seen; the classes have theirs from 0. */
enum { SEEN_UNAVAILABLE = VOS_NCLASSES, SEEN_LIBC_PATCH, SEEN_ADDRESS, SEEN_ON_FAILURE };

/* A key that may be in a section once: the second is a mistake, whichever was meant. */
static int once(struct vos_parse *p, int bit, const char *key)
{
	if (p->seen & 1u << bit)
		return vos_fail(p, p->line, "'%s' is set twice in the section of line %d", key,
				p->section_line);
	p->seen |= 1u << bit;
	return 0;
}

/* --- [domain NAME] --- */

static int begin_domain(struct vos_parse *p, const char *name)
{
	struct vos_domain_config *dom;
	struct vos_config *cfg = p->cfg;

	p->section = VOS_IN_DOMAIN;
	p->checked = p->pass == VOS_PASS_DOMAINS;
	if (!p->checked)
		return 0;
	if (vos_value_name(p, name))
		return p->ret;
	for (int i = 0; i < cfg->ndomains; i++)
		if (!strcmp(cfg->domain[i].name, name))
			return vos_fail(p, p->line, "domain '%s' is defined twice", name);
	if (cfg->ndomains == VOS_MAX_DOMAINS)
		return vos_fail(p, p->line, "too many domains: at most %d", VOS_MAX_DOMAINS);
	p->domain = cfg->ndomains++;
	dom = &cfg->domain[p->domain];
	memcpy(dom->name, name, strlen(name) + 1);
	return 0;
}

static int domain_setting(struct vos_parse *p, const char *key, const char *value)
{
	struct vos_domain_config *dom = &p->cfg->domain[p->domain];

	if (!strcmp(key, "address")) {
		if (once(p, SEEN_ADDRESS, key) || vos_value_address(p, value))
			return p->ret;
		memcpy(dom->address, value, strlen(value) + 1);
		dom->line = p->line;
		return 0;
	}
	if (!strcmp(key, "on_failure")) {
		if (once(p, SEEN_ON_FAILURE, key))
			return p->ret;
		dom->recover = vos_value_choice(p, key, value, "error", "recover", NULL) == 1;
		return p->ret;
	}
	return vos_fail(p, p->line, "unknown key '%s' in [domain]: address or on_failure", key);
}

/* What only the end of a section shows. */
static int end_section(struct vos_parse *p)
{
	if (p->section == VOS_IN_DOMAIN && p->checked && !p->cfg->domain[p->domain].line)
		return vos_fail(p, p->section_line,
				"domain '%s' has no address: unix:/PATH, vchan:DOMID or vchan:NAME",
				p->cfg->domain[p->domain].name);
	return 0;
}

/* --- [default] and [app PATTERN] --- */

static bool app_matches(const struct vos_parse *p, const char *pattern)
{
	const char *slash = strrchr(p->path, '/');

	if (*pattern == '/')
		return vos_glob(pattern, p->path);
	return vos_glob(pattern, p->base) || (slash && vos_glob(pattern, slash + 1));
}

static int begin_app(struct vos_parse *p, const char *pattern)
{
	p->section = VOS_IN_APP;
	if (!*pattern)
		return vos_fail(p, p->line,
				"[app] needs a program: [app NAME], [app GLOB] or "
				"[app /PATH]");
	if (*pattern != '/' && strchr(pattern, '/'))
		return vos_fail(p, p->line,
				"program '%s' is neither a name without '/' nor an absolute "
				"path",
				pattern);
	p->checked = p->pass != VOS_PASS_DEFAULT;
	p->applies = p->pass == VOS_PASS_APPS && app_matches(p, pattern);
	return 0;
}

static void tell_use(const struct vos_parse *p, const struct vos_prefix_config *use)
{
	if (p->use && use->to >= 0)
		p->use(p->use_arg, use);
}

static int class_setting(struct vos_parse *p, int class, const char *value)
{
	struct vos_prefix_config use = { .line = p->line };

	if (once(p, class, vos_class_name[class]) ||
	    vos_value_target(p, vos_class_name[class], value, &use.to))
		return p->ret;
	memcpy(use.path, vos_class_name[class], sizeof(vos_class_name[class]));
	tell_use(p, &use);
	if (p->applies) {
		p->cfg->class_to[class] = use.to;
		p->cfg->class_line[class] = p->line;
	}
	return 0;
}

/*
 * Count a prefix of this section. A section that does not apply stores nothing, but must be found
 * wrong all the same, or it would fail only when its program is started: hence the hashes (FNV-1a).
 */
static int count_prefix(struct vos_parse *p, const char *path, bool known)
{
	unsigned long hash = 0xcbf29ce484222325;

	for (const char *s = path; *s; s++)
		hash = (hash ^ (unsigned char)*s) * 0x100000001b3;
	for (int i = 0; i < p->nhashes; i++)
		if (p->hash[i] == hash)
			return vos_fail(p, p->line,
					"'file %s' is set twice in the section of line %d", path,
					p->section_line);
	if (p->nhashes == VOS_MAX_PREFIXES ||
	    (!known && p->cfg->nprefixes + p->others == VOS_MAX_PREFIXES))
		return vos_fail(p, p->line, "too many file prefixes for one program: at most %d",
				VOS_MAX_PREFIXES);
	p->hash[p->nhashes++] = hash;
	p->others += !known && !p->applies;
	return 0;
}

/* Store @new, replacing what an earlier section said of the same path; the longest stay first. */
static int add_prefix(struct vos_parse *p, const struct vos_prefix_config *new)
{
	struct vos_config *cfg = p->cfg;
	struct vos_prefix_config *known = NULL;
	int at = 0;

	for (int i = 0; i < cfg->nprefixes && !known; i++)
		if (!strcmp(cfg->prefix[i].path, new->path))
			known = &cfg->prefix[i];
	if (count_prefix(p, new->path, known != NULL) || !p->applies)
		return p->ret;
	if (known) {
		*known = *new;
		return 0;
	}
	while (at < cfg->nprefixes && strlen(cfg->prefix[at].path) >= strlen(new->path))
		at++;
	memmove(&cfg->prefix[at + 1], &cfg->prefix[at],
		(cfg->nprefixes - at) * sizeof(cfg->prefix[0]));
	cfg->prefix[at] = *new;
	cfg->nprefixes++;
	return 0;
}

/* "file PATH = DOMAIN:ROOT | local | deny" */
static int file_setting(struct vos_parse *p, const char *path, const char *value)
{
	struct vos_prefix_config new = { .line = p->line };
	char name[VOS_DOMAIN_NAME_MAX];
	const char *colon = strchr(value, ':');
	size_t len = colon ? (size_t)(colon - value) : strlen(value);

	if (vos_value_path(p, "prefix", path, new.path))
		return p->ret;
	if (strpbrk(path, "*?"))
		return vos_fail(p, p->line,
				"prefix '%s' has a wildcard, which means nothing there: name a "
				"directory, all below it is meant",
				path);
	if (len >= sizeof(name))
		return vos_fail(p, p->line, "bad value '%s' of 'file': DOMAIN:/ROOT, local or deny",
				value);
	memcpy(name, value, len);
	name[len] = '\0';
	if (vos_value_target(p, "file", name, &new.to))
		return p->ret;
	/* In the first pass a domain looks like a denial: the text tells them apart. */
	if (!strcmp(name, "local") || !strcmp(name, "deny")) {
		if (colon)
			return vos_fail(p, p->line, "'%s' takes no root: write file PATH = %s",
					name, name);
	} else if (!colon) {
		return vos_fail(p, p->line, "bad value '%s' of 'file': DOMAIN:/ROOT, local or deny",
				value);
	} else if (vos_value_path(p, "root", colon + 1, new.root)) {
		return p->ret;
	}
	tell_use(p, &new);
	return add_prefix(p, &new);
}

static int policy_setting(struct vos_parse *p, const char *key, const char *value)
{
	struct vos_config *cfg = p->cfg;
	int choice;

	if (!strcmp(key, "unavailable")) {
		if (once(p, SEEN_UNAVAILABLE, key))
			return p->ret;
		choice = vos_value_choice(p, key, value, "fail", "local", NULL);
		if (choice >= 0 && p->applies) {
			cfg->unavailable_local = choice;
			cfg->unavailable_line = p->line;
		}
		return p->ret;
	}
	if (!strcmp(key, "libc_patch")) {
		if (once(p, SEEN_LIBC_PATCH, key))
			return p->ret;
		choice = vos_value_choice(p, key, value, "auto", "off", "require");
		if (choice >= 0 && p->applies) {
			cfg->libc_patch = (enum vos_libc_patch)choice;
			cfg->libc_patch_line = p->line;
		}
		return p->ret;
	}
	return vos_fail(p, p->line,
			"unknown key '%s': inet, dns, aio, hostname, file PATH, unavailable or "
			"libc_patch",
			key);
}

static int program_setting(struct vos_parse *p, const char *key, const char *value)
{
	for (int class = 0; class < VOS_NCLASSES; class ++)
		if (!strcmp(key, vos_class_name[class]))
			return class_setting(p, class, value);
	if (!strncmp(key, "file", 4) && (key[4] == ' ' || key[4] == '\t' || !key[4]))
		return file_setting(p, key + 4 + strspn(key + 4, " \t"), value);
	return policy_setting(p, key, value);
}

/* --- Lines --- */

/* What follows @word and blanks in a section's name, or NULL when it begins otherwise. */
static const char *after_word(const char *name, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(name, word, len) || (name[len] && name[len] != ' ' && name[len] != '\t'))
		return NULL;
	return name + len + strspn(name + len, " \t");
}

void vos_parse_section(struct vos_parse *p, const char *name)
{
	const char *rest;

	if (end_section(p))
		return;
	p->section_line = p->line;
	p->seen = 0;
	p->others = p->nhashes = 0;
	p->applies = p->checked = false;
	rest = after_word(name, "domain");
	if (rest) {
		begin_domain(p, rest);
		return;
	}
	rest = after_word(name, "app");
	if (rest) {
		begin_app(p, rest);
		return;
	}
	rest = after_word(name, "default");
	if (!rest || *rest) {
		vos_fail(p, p->line,
			 "unknown section [%s]: [default], [domain NAME] or [app PATTERN]", name);
		return;
	}
	p->section = VOS_IN_DEFAULT;
	p->checked = p->pass != VOS_PASS_APPS;
	p->applies = p->pass == VOS_PASS_DEFAULT;
}

int vos_parse_setting(struct vos_parse *p, const char *key, const char *value)
{
	if (p->section == VOS_IN_NONE)
		return vos_fail(p, p->line,
				"'%s' is in no section: [default], [domain NAME] or "
				"[app PATTERN] comes first",
				key);
	if (!p->checked)
		return 0;
	if (p->section == VOS_IN_DOMAIN)
		return domain_setting(p, key, value);
	return program_setting(p, key, value);
}

static int load(struct vos_parse *p, struct vos_config *cfg, const char *file,
		struct vos_config_error *err)
{
	memset(cfg, 0, sizeof(*cfg));
	memset(err, 0, sizeof(*err));
	for (int class = 0; class < VOS_NCLASSES; class ++)
		cfg->class_to[class] = VOS_TO_LOCAL;
	p->cfg = cfg;
	p->err = err;
	if (vos_source_open(p, file))
		return p->ret;
	for (p->pass = VOS_PASS_DOMAINS; p->pass <= VOS_PASS_APPS; p->pass++) {
		p->section = VOS_IN_NONE;
		if (vos_source_run(p) || end_section(p))
			break;
	}
	vos_source_close(p);
	return p->ret;
}

int vos_config_load(struct vos_config *cfg, const char *file, const char *base, const char *path,
		    struct vos_config_error *err)
{
	struct vos_parse p;

	memset(&p, 0, sizeof(p));
	p.base = base;
	p.path = path;
	return load(&p, cfg, file, err);
}

int vos_config_all(struct vos_config *cfg, const char *file, vos_config_use *use, void *arg,
		   struct vos_config_error *err)
{
	struct vos_parse p;

	memset(&p, 0, sizeof(p));
	p.base = p.path = "";
	p.use = use;
	p.use_arg = arg;
	return load(&p, cfg, file, err);
}

int vos_config_env(struct vos_config *cfg, struct vos_config_error *err)
{
	const char *unavailable = getenv("VIRTUOS_UNAVAILABLE");
	const char *libc_patch = getenv("VIRTUOS_LIBC_PATCH");
	struct vos_parse p;
	int choice;

	memset(&p, 0, sizeof(p));
	memset(err, 0, sizeof(*err));
	p.err = err;
	if (unavailable && *unavailable) {
		choice = vos_value_choice(&p, "VIRTUOS_UNAVAILABLE", unavailable, "fail", "local",
					  NULL);
		if (choice < 0)
			return choice;
		cfg->unavailable_local = choice;
		cfg->unavailable_line = VOS_LINE_ENV;
	}
	if (libc_patch && *libc_patch) {
		choice = vos_value_choice(&p, "VIRTUOS_LIBC_PATCH", libc_patch, "auto", "off",
					  "require");
		if (choice < 0)
			return choice;
		cfg->libc_patch = (enum vos_libc_patch)choice;
		cfg->libc_patch_line = VOS_LINE_ENV;
	}
	return 0;
}
