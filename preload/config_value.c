/* SPDX-License-Identifier: MIT */
/* Checks of the configuration's values, and the text of its errors. No stdio, no locale. */
#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "preload/config_internal.h"

#define QUOTE_MAX 64	/* bytes of the user's text that an error repeats */
#define DOMID_MAX 32751 /* DOMID_FIRST_RESERVED - 1 of Xen's public/xen.h */

struct text {
	char *at;
	char *end; /* where the NUL goes at the latest */
};

static void put(struct text *t, const char *s, size_t max)
{
	size_t len = strnlen(s, max), room = t->end - t->at;
	size_t n = len < room ? len : room;

	memcpy(t->at, s, n);
	t->at += n;
	*t->at = '\0';
	if (s[len] && room - n > 3)
		put(t, "...", 3);
}

static void put_number(struct text *t, int n)
{
	char digits[12], *at = digits + sizeof(digits) - 1;
	unsigned left = n < 0 ? -(unsigned)n : (unsigned)n;

	*at = '\0';
	do
		*--at = '0' + left % 10;
	while (left /= 10);
	if (n < 0)
		*--at = '-';
	put(t, at, sizeof(digits));
}

int vos_fail(struct vos_parse *p, int line, const char *fmt, ...)
{
	struct text t = { p->err->text, p->err->text + sizeof(p->err->text) - 1 };
	const char *stop;
	va_list ap;

	if (p->ret)
		return p->ret;
	p->ret = -EINVAL;
	p->err->line = line;
	*t.at = '\0';
	va_start(ap, fmt);
	for (; *fmt; fmt = stop) {
		if (fmt[0] == '%' && fmt[1] == 's') {
			put(&t, va_arg(ap, const char *), QUOTE_MAX);
			stop = fmt + 2;
		} else if (fmt[0] == '%' && fmt[1] == 'd') {
			put_number(&t, va_arg(ap, int));
			stop = fmt + 2;
		} else {
			size_t n = 1 + strcspn(fmt + 1, "%"), room = t.end - t.at;

			stop = fmt + n;
			n = n < room ? n : room;
			memcpy(t.at, fmt, n);
			t.at += n;
			*t.at = '\0';
		}
	}
	va_end(ap);
	return p->ret;
}

static bool name_chars(const char *s)
{
	return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] ==
	       '\0';
}

int vos_value_name(struct vos_parse *p, const char *name)
{
	if (!*name)
		return vos_fail(p, p->line, "a domain needs a name: [domain NAME]");
	if (strlen(name) >= VOS_DOMAIN_NAME_MAX)
		return vos_fail(p, p->line, "domain name '%s' is too long: at most %d bytes", name,
				VOS_DOMAIN_NAME_MAX - 1);
	if (!name_chars(name))
		return vos_fail(p, p->line, "bad domain name '%s': letters, digits, '_', '.', '-'",
				name);
	if (!strcmp(name, "local") || !strcmp(name, "deny"))
		return vos_fail(p, p->line, "a domain cannot be named '%s': the word has a meaning",
				name);
	return 0;
}

static int unix_address(struct vos_parse *p, const char *path)
{
	const int max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (*path != '/')
		return vos_fail(p, p->line, "unix address '%s' is not absolute: unix:/PATH", path);
	if (strlen(path) > (size_t)max)
		return vos_fail(p, p->line, "unix address '%s' is too long: at most %d bytes", path,
				max);
	return 0;
}

static int vchan_address(struct vos_parse *p, const char *peer)
{
	size_t digits = strspn(peer, "0123456789");
	int domid = 0;

	if (!*peer || !name_chars(peer) || strlen(peer) >= 64)
		return vos_fail(
			p, p->line,
			"bad vchan address '%s': vchan:DOMID, or vchan:NAME with at most 63 "
			"letters, digits, '_', '.', '-'",
			peer);
	if (peer[digits])
		return 0;
	for (; *peer && domid <= DOMID_MAX; peer++)
		domid = domid * 10 + (*peer - '0');
	if (domid > DOMID_MAX)
		return vos_fail(p, p->line, "vchan domain id is too large: at most %d", DOMID_MAX);
	return 0;
}

int vos_value_address(struct vos_parse *p, const char *value)
{
	if (!strncmp(value, "unix:", 5))
		return unix_address(p, value + 5);
	if (!strncmp(value, "vchan:", 6))
		return vchan_address(p, value + 6);
	return vos_fail(p, p->line, "bad address '%s': unix:/PATH, vchan:DOMID or vchan:NAME",
			value);
}

/* Does @path have "//", "/./", "/../", or end in "/." or "/.."? It starts with a slash. */
static bool unclean(const char *path)
{
	for (const char *s = path; (s = strchr(s, '/')); s++) {
		size_t n = strcspn(s + 1, "/");

		if (!n && s[1] == '/')
			return true;
		if ((n == 1 && s[1] == '.') || (n == 2 && s[1] == '.' && s[2] == '.'))
			return true;
	}
	return false;
}

/* Check an absolute path and copy it to @out without a trailing slash. */
int vos_value_path(struct vos_parse *p, const char *what, const char *value,
		   char out[VOS_PREFIX_MAX])
{
	size_t len = strlen(value);

	if (*value != '/')
		return vos_fail(p, p->line, "%s '%s' is not an absolute path", what, value);
	if (len >= VOS_PREFIX_MAX)
		return vos_fail(p, p->line, "%s '%s' is too long: at most %d bytes", what, value,
				VOS_PREFIX_MAX - 1);
	if (unclean(value))
		return vos_fail(p, p->line, "%s '%s' has an empty, '.' or '..' component", what,
				value);
	if (len > 1 && value[len - 1] == '/')
		len--;
	memcpy(out, value, len);
	out[len] = '\0';
	return 0;
}

/* Returns which of the two or three words @value is, from 0. */
int vos_value_choice(struct vos_parse *p, const char *key, const char *value, const char *first,
		     const char *second, const char *third)
{
	if (!strcmp(value, first))
		return 0;
	if (!strcmp(value, second))
		return 1;
	if (third && !strcmp(value, third))
		return 2;
	if (third)
		return vos_fail(p, p->line, "bad value '%s' of '%s': %s, %s or %s", value, key,
				first, second, third);
	return vos_fail(p, p->line, "bad value '%s' of '%s': %s or %s", value, key, first, second);
}

static int unknown_domain(struct vos_parse *p, const char *key, const char *name)
{
	struct text t = { p->err->text, p->err->text + sizeof(p->err->text) - 1 };
	int ret = vos_fail(p, p->line, "unknown domain '%s' for '%s': ", name, key);

	/* The list is what helps against a typing error, so it is given as far as it fits. */
	t.at += strlen(t.at);
	for (int i = 0; i < p->cfg->ndomains; i++) {
		put(&t, p->cfg->domain[i].name, VOS_DOMAIN_NAME_MAX);
		put(&t, ", ", 2);
	}
	put(&t, "local or deny", 16);
	if (name_chars(name) && strlen(name) < VOS_DOMAIN_NAME_MAX) {
		put(&t, "; or a section [domain ", 32);
		put(&t, name, QUOTE_MAX);
		put(&t, "] defines it", 16);
	}
	return ret;
}

/* After a mistake in what may have been meant as a comment: say what would be one. */
void vos_hint_comment(struct vos_parse *p, const char *text)
{
	struct text t = { p->err->text + strlen(p->err->text),
			  p->err->text + sizeof(p->err->text) - 1 };

	if (strchr(text, '#'))
		put(&t, " (after a value not # but a blank and ; begin a comment)", 80);
	else if (strchr(text, ';'))
		put(&t, " (a ; begins a comment only after a blank)", 80);
}

/* DOMAIN, local or deny. Before the domains are all known any well-formed name is taken. */
int vos_value_target(struct vos_parse *p, const char *key, const char *name, int *to)
{
	*to = VOS_TO_LOCAL;
	if (!strcmp(name, "local"))
		return 0;
	*to = VOS_TO_DENY;
	if (!strcmp(name, "deny"))
		return 0;
	if (!*name)
		return vos_fail(p, p->line, "'%s' has no value: a domain, local or deny", key);
	if (p->pass == VOS_PASS_DOMAINS)
		return 0;
	for (*to = 0; *to < p->cfg->ndomains; ++*to)
		if (!strcmp(name, p->cfg->domain[*to].name))
			return 0;
	return unknown_domain(p, key, name);
}
