/* SPDX-License-Identifier: MIT */
/* The configuration parser: what it accepts, and the line and text of each error. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload/config.h"
#include "preload/config_internal.h"
#include "test/unit/check.h"

static char file[] = "/tmp/virtuos-config-XXXXXX";
/* The parser must not use the heap: it runs before the program's own allocator may be ready. */
#ifndef __SANITIZE_ADDRESS__
static unsigned long allocations;
void *__libc_malloc(size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

void *realloc(void *old, size_t size)
{
	allocations++;
	return __libc_realloc(old, size);
}
#else
static const unsigned long allocations;
#endif

static void write_file(const char *text, size_t len)
{
	FILE *f = fopen(file, "w");

	if (!f || fwrite(text, 1, len, f) != len || fclose(f)) {
		perror(file);
		exit(1);
	}
}

static int load(struct vos_config *cfg, const char *text, const char *base, const char *path,
		struct vos_config_error *err)
{
	unsigned long before;
	int ret;

	write_file(text, strlen(text));
	before = allocations;
	errno = 4242;
	ret = vos_config_load(cfg, file, base, path, err);
	CHECK(allocations == before);
	CHECK(errno == 4242);
	return ret;
}

#define DOMAINS                                        \
	"[domain net]\naddress = unix:/run/net.sock\n" \
	"[domain disk]\naddress = vchan:disk-1\n"
#define D   4 /* lines of DOMAINS */
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
	const char *text;
	int line;
	const char *says;
} errors[] = {
	/* lines */
	{ "[default]\nrubbish\n", 2, "neither [section] nor KEY = VALUE" },
	{ "[default]\n= local\n", 2, "neither [section] nor KEY = VALUE" },
	{ "[default]\ninet ; = local\n", 2, "neither [section] nor KEY = VALUE" },
	{ "[default]\ninet: local\n", 2, "neither [section] nor KEY = VALUE" },
	{ "[default]\ninet = local\n  dns\n", 3, "neither [section]" },
	{ "[default]\ninet = lo\001cal\n", 2, "control character 1" },
	{ "[default]\r\ninet = lo\rcal\r\n", 2, "control character 13" },
	{ "inet = local\n", 1, "in no section" },
	/* sections */
	{ "\n[network]\n", 2,
	  "unknown section [network]: [default], [domain NAME] or [app PATTERN]" },
	{ "[default", 1, "without its ']'" },
	{ "[default] inet = local\n", 1, "without its ']'" },
	{ "[default x]\n", 1, "unknown section [default x]" },
	{ "[defaults]\n", 1, "unknown section [defaults]" },
	{ "[]\n", 1, "unknown section []" },
	{ "[  ]\n", 1, "unknown section []" },
	{ "[app]\n", 1, "[app] needs a program" },
	{ "[app bin/x]\n", 1, "neither a name without '/' nor an absolute path" },
	{ "[app /" X50 X50 X50 X50 X50 X50 "]\n", 1, "section name is too long: at most 263" },
	/* domains */
	{ "[domain]\n", 1, "needs a name" },
	{ "[domain a b]\n", 1, "bad domain name 'a b'" },
	{ "[domain local]\n", 1, "cannot be named 'local'" },
	{ "[domain deny]\n", 1, "cannot be named 'deny'" },
	{ "[domain " X50 "]\n", 1, "too long: at most 31 bytes" },
	{ DOMAINS "[domain net]\n", D + 1, "domain 'net' is defined twice" },
	{ "\n[domain a]\n\n", 2, "domain 'a' has no address" },
	{ "\n[domain a]\n\n[default]\n", 2, "domain 'a' has no address" },
	{ "[domain a]\naddress = /run/a\n", 2, "bad address '/run/a': unix:/PATH, vchan:DOMID" },
	{ "[domain a]\naddress = unix:run/a\n", 2, "not absolute" },
	{ "[domain a]\naddress = unix:/" X50 X50 "1234567\n", 2, "at most 107 bytes" },
	{ "[domain a]\naddress = vchan:\n", 2, "bad vchan address" },
	{ "[domain a]\naddress = vchan:a/b\n", 2, "bad vchan address 'a/b'" },
	{ "[domain a]\naddress = vchan:32752\n", 2, "at most 32751" },
	{ "[domain a]\naddress = vchan:99999999999999999999\n", 2, "at most 32751" },
	{ "[domain a]\naddress = vchan:1\naddress = vchan:2\n", 3, "'address' is set twice" },
	{ "[domain a]\naddress = vchan:1\non_failure = panic\n", 3,
	  "bad value 'panic' of 'on_failure': error or recover" },
	{ "[domain a]\non_failure = error\non_failure = error\n", 3, "set twice" },
	{ "[domain a]\nadress = vchan:1\n", 2, "unknown key 'adress' in [domain]: address or" },
	{ "[domain a]\ninet = local\n", 2, "unknown key 'inet' in [domain]" },
	{ "[domain 1]\naddress=vchan:1\n[domain 2]\naddress=vchan:2\n[domain 3]\naddress=vchan:3\n"
	  "[domain 4]\naddress=vchan:4\n[domain 5]\naddress=vchan:5\n[domain 6]\naddress=vchan:6\n"
	  "[domain 7]\naddress=vchan:7\n[domain 8]\naddress=vchan:8\n[domain 9]\naddress=vchan:9\n",
	  17, "too many domains: at most 8" },
	/* classes and policies */
	{ DOMAINS "[default]\ninet = nett\n", D + 2,
	  "unknown domain 'nett' for 'inet': net, disk, local or deny" },
	{ DOMAINS "[app x]\n\ninet = nett\n", D + 3, "unknown domain 'nett'" },
	{ "[default]\ninet = net\n", 2,
	  "unknown domain 'net' for 'inet': local or deny; or a section [domain net] defines it" },
	{ "[default]\ninet =\n", 2, "'inet' has no value" },
	{ "[default]\ninet = ; nothing\n", 2, "'inet' has no value" },
	{ "[default]\ninet = local # no comment\n", 2, "unknown domain 'local # no comment'" },
	{ "[default]\ninet = local # no comment\n", 2,
	  "local or deny (after a value not # but a blank and ; begin a comment)" },
	{ "[default]\nunavailable = fail;no comment\n", 2,
	  "fail or local (a ; begins a comment only after a blank)" },
	{ "[default] # no comment\n", 1, "not # but a blank and ; begin a comment" },
	{ "[default]\nINET = local\n", 2, "unknown key 'INET': inet, dns, aio, hostname, file" },
	{ "[app x]\naddress = vchan:1\n", 2, "unknown key 'address'" },
	{ "[default]\nfiles /x = local\n", 2, "unknown key 'files /x'" },
	{ "[default]\ninet = local\ninet = deny\n", 3,
	  "'inet' is set twice in the section of line 1" },
	{ "[app x]\nunavailable = local\nunavailable = local\n", 3, "'unavailable' is set twice" },
	{ "[app x]\nlibc_patch = off\nlibc_patch = off\n", 3, "'libc_patch' is set twice" },
	{ "[default]\nunavailable = wait\n", 2,
	  "bad value 'wait' of 'unavailable': fail or local" },
	{ "[app x]\nlibc_patch = yes\n", 2,
	  "bad value 'yes' of 'libc_patch': auto, off or require" },
	/* prefixes */
	{ "[default]\nfile srv = local\n", 2, "prefix 'srv' is not an absolute path" },
	{ "[default]\nfile = local\n", 2, "prefix '' is not an absolute path" },
	{ "[default]\nfile /a//b = local\n", 2, "prefix '/a//b' has an empty, '.' or '..'" },
	{ "[default]\nfile // = local\n", 2, "has an empty" },
	{ "[default]\n\nfile /srv/* = local\n", 3,
	  "prefix '/srv/*' has a wildcard, which means nothing there: name a directory" },
	{ "[default]\nfile /srv/?/x = local\n", 2, "has a wildcard" },
	{ "[default]\nfile /a/../b = local\n", 2, "'..' component" },
	{ "[default]\nfile /a/.. = local\n", 2, "'..' component" },
	{ "[default]\nfile /a/. = local\n", 2, "'..' component" },
	{ "[default]\nfile /./a = local\n", 2, "'..' component" },
	{ "[default]\nfile /" X50 X50 X50 X50 X50 X50 " = local\n", 2, "at most 255 bytes" },
	{ DOMAINS "[default]\nfile /a = disk:/" X50 X50 X50 X50 X50 X50 "\n", D + 2,
	  "too long: at most 255 bytes" },
	{ DOMAINS "[default]\nfile /a = disk\n", D + 2,
	  "bad value 'disk' of 'file': DOMAIN:/ROOT" },
	{ DOMAINS "[default]\nfile /a = disk:\n", D + 2, "root '' is not an absolute path" },
	{ DOMAINS "[default]\nfile /a = disk:b\n", D + 2, "root 'b' is not an absolute path" },
	{ DOMAINS "[default]\nfile /a = disk:/b/../c\n", D + 2, "root '/b/../c' has an empty" },
	{ DOMAINS "[default]\nfile /a = dsk:/b\n", D + 2, "unknown domain 'dsk' for 'file'" },
	{ DOMAINS "[default]\nfile /a = " X50 ":/b\n", D + 2, "DOMAIN:/ROOT, local or deny" },
	{ "[default]\nfile /a = local:/b\n", 2, "'local' takes no root" },
	{ "[default]\nfile /a = deny:/b\n", 2, "'deny' takes no root" },
	{ "[default]\nfile /a = :/b\n", 2, "'file' has no value" },
	{ "[default]\nfile /a = local\nfile /a/ = deny\n", 3, "'file /a' is set twice" },
	{ "[app other]\nfile /a = local\nfile /a = deny\n", 3, "'file /a' is set twice" },
};

static void test_errors(void)
{
	struct vos_config_error err;
	struct vos_config cfg;

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		int ret = load(&cfg, errors[i].text, "prog", "/bin/prog", &err);

		if (ret == -EINVAL && err.line == errors[i].line &&
		    strstr(err.text, errors[i].says))
			continue;
		fprintf(stderr, "---\n%s---\nexpected line %d: %s\n     got line %d: %s (%d)\n",
			errors[i].text, errors[i].line, errors[i].says, err.line, err.text, ret);
		failures++;
	}
}

/* The longest line passes, one byte more is an error that names the line and the limit. */
static void test_long_line(void)
{
	struct vos_config_error err;
	struct vos_config cfg;
	char text[4096], *at;

	for (int extra = 0; extra <= 2500; extra += extra ? 2499 : 1) {
		at = stpcpy(text, "[default]\ninet = deny ; ");
		memset(at, 'c', 1023 - strlen("inet = deny ; ") + extra);
		strcpy(at + 1023 - strlen("inet = deny ; ") + extra, "\ndns = deny\n");
		if (!extra) {
			CHECK(!load(&cfg, text, "prog", "/bin/prog", &err));
			CHECK(cfg.class_to[VOS_CLASS_INET] == VOS_TO_DENY);
			CHECK(cfg.class_line[VOS_CLASS_DNS] == 3);
			continue;
		}
		CHECK(load(&cfg, text, "prog", "/bin/prog", &err) == -EINVAL);
		CHECK(err.line == 2 && strstr(err.text, "too long: at most 1023 bytes"));
	}
}

static void test_nul(void)
{
	static const char text[] = "[default]\ninet = deny\0x\n";
	struct vos_config_error err;
	struct vos_config cfg;

	write_file(text, sizeof(text) - 1);
	CHECK(vos_config_load(&cfg, file, "x", "/x", &err) == -EINVAL);
	CHECK(err.line == 2 && strstr(err.text, "control character 0"));
}

static void test_unreadable(void)
{
	struct vos_config_error err;
	struct vos_config cfg;

	CHECK(vos_config_load(&cfg, "/nonexistent/x", "x", "/x", &err) == -ENOENT);
	CHECK(err.line == 0 && strstr(err.text, "cannot open"));
	CHECK(vos_config_load(&cfg, "/tmp", "x", "/x", &err) == -EINVAL);
	CHECK(err.line == 0 && strstr(err.text, "not a regular file"));
	CHECK(vos_config_load(&cfg, "/dev/null", "x", "/x", &err) == -EINVAL);
	/* Nobody writes to it, and nobody is waited for. */
	unlink(file);
	CHECK(!mkfifo(file, 0600));
	CHECK(vos_config_load(&cfg, file, "x", "/x", &err) == -EINVAL);
	unlink(file);
}

static void test_empty(void)
{
	struct vos_config_error err;
	struct vos_config cfg;

	CHECK(!load(&cfg, "", "x", "/x", &err));
	CHECK(!load(&cfg, "\xef\xbb\xbf[default]\n ; a\n# b\n\n\t\n", "x", "/x", &err));
	for (int i = 0; i < VOS_NCLASSES; i++)
		CHECK(cfg.class_to[i] == VOS_TO_LOCAL && cfg.class_line[i] == VOS_LINE_BUILTIN);
	CHECK(!cfg.ndomains && !cfg.nprefixes && !cfg.unavailable_local);
	CHECK(cfg.libc_patch == VOS_PATCH_AUTO);
}

/* Domains after their use, comments, blanks, CR LF, a last line without its end. */
static void test_good(void)
{
	static const char text[] =
		"\t[default]  ; comment = x\r\n"
		"\tdns = disk \t; comment\r\n"
		"hostname = deny\n"
		"file /srv/a:b  c/ = disk:/x:y/\n"
		"file\t/.a/..b = local\n"
		"unavailable = local\n"
		"libc_patch = require\n"
		"[ domain  net\t]\naddress = vchan:32751\n"
		"[domain disk]\naddress = unix:/run/a b ;c\non_failure = recover";
	struct vos_config_error err;
	struct vos_config cfg;

	CHECK(!load(&cfg, text, "x", "/x", &err));
	CHECK(cfg.ndomains == 2);
	CHECK(!strcmp(cfg.domain[0].name, "net") && !cfg.domain[0].recover);
	CHECK(!strcmp(cfg.domain[0].address, "vchan:32751") && cfg.domain[0].line == 9);
	CHECK(!strcmp(cfg.domain[1].address, "unix:/run/a b") && cfg.domain[1].recover);
	CHECK(cfg.class_to[VOS_CLASS_DNS] == 1 && cfg.class_line[VOS_CLASS_DNS] == 2);
	CHECK(cfg.class_to[VOS_CLASS_HOSTNAME] == VOS_TO_DENY);
	CHECK(cfg.class_to[VOS_CLASS_INET] == VOS_TO_LOCAL);
	CHECK(cfg.nprefixes == 2 && !strcmp(cfg.prefix[0].path, "/srv/a:b  c"));
	CHECK(!strcmp(cfg.prefix[0].root, "/x:y") && cfg.prefix[0].to == 1);
	CHECK(!strcmp(cfg.prefix[1].path, "/.a/..b") && cfg.prefix[1].to == VOS_TO_LOCAL);
	CHECK(cfg.prefix[1].line == 5);
	CHECK(cfg.unavailable_local && cfg.unavailable_line == 6);
	CHECK(cfg.libc_patch == VOS_PATCH_REQUIRE && cfg.libc_patch_line == 7);
}

/* [default] first wherever it stands, then each matching section in the order of the file. */
static void test_overrides(void)
{
	static const char text[] = "[app m*]\n"
				   "inet = local\n"	 /* 2 */
				   "dns = local\n"	 /* 3 */
				   "file /a/b = local\n" /* 4 */
				   "[default]\n"
				   "inet = net\n"	    /* 6 */
				   "dns = net\n"	    /* 7 */
				   "hostname = net\n"	    /* 8 */
				   "file /a = disk:/\n"	    /* 9 */
				   "file /a/b = disk:/q/\n" /* 10 */
				   "libc_patch = off\n"	    /* 11 */
				   "[app /usr/bin/*]\n"
				   "dns = deny\n" /* 13 */
				   "file /a/b/c = disk:/z\n"
				   "[app other]\n"
				   "inet = deny\n" DOMAINS "[app mysqld]\n"
				   "unavailable = local\n"; /* 22 */
	struct vos_config_error err;
	struct vos_config cfg;

	CHECK(!load(&cfg, text, "mysqld", "/usr/bin/mysqld", &err));
	CHECK(cfg.class_to[VOS_CLASS_INET] == VOS_TO_LOCAL && cfg.class_line[VOS_CLASS_INET] == 2);
	CHECK(cfg.class_to[VOS_CLASS_DNS] == VOS_TO_DENY && cfg.class_line[VOS_CLASS_DNS] == 13);
	CHECK(cfg.class_to[VOS_CLASS_HOSTNAME] == 0 && cfg.class_line[VOS_CLASS_HOSTNAME] == 8);
	CHECK(cfg.nprefixes == 3);
	CHECK(!strcmp(cfg.prefix[0].path, "/a/b/c") && cfg.prefix[0].line == 14);
	CHECK(!strcmp(cfg.prefix[1].path, "/a/b") && cfg.prefix[1].line == 4);
	CHECK(cfg.prefix[1].to == VOS_TO_LOCAL && !*cfg.prefix[1].root);
	CHECK(!strcmp(cfg.prefix[2].path, "/a") && !strcmp(cfg.prefix[2].root, "/"));
	CHECK(cfg.unavailable_local && cfg.unavailable_line == 22);
	CHECK(cfg.libc_patch == VOS_PATCH_OFF && cfg.libc_patch_line == 11);

	CHECK(!load(&cfg, text, "cat", "/bin/cat", &err));
	CHECK(cfg.class_to[VOS_CLASS_INET] == 0 && cfg.nprefixes == 2 && !cfg.unavailable_local);
	CHECK(!strcmp(cfg.prefix[0].root, "/q"));
	/* By the name that the file has, when started by another. */
	CHECK(!load(&cfg, text, "cat", "/opt/mysqld", &err) && cfg.unavailable_local);

	CHECK(!load(&cfg, "[default]\nfile / = deny\n", "x", "/x", &err) && cfg.nprefixes == 1);
	CHECK(!strcmp(cfg.prefix[0].path, "/") && cfg.prefix[0].to == VOS_TO_DENY);
}

/* A program's prefixes are limited, those of sections that are for another do not count. */
static void test_prefix_limit(void)
{
	struct vos_config_error err;
	struct vos_config cfg;
	char text[8192], *at = stpcpy(text, "[default]\n");

	for (int i = 0; i < VOS_MAX_PREFIXES; i++)
		at += sprintf(at, "file /%.*s%d = local\n", i * 5 % 7, "xxxxxxx", i);
	strcpy(at, "[app a]\nfile /0 = deny\n");
	CHECK(!load(&cfg, text, "a", "/a", &err) && cfg.nprefixes == VOS_MAX_PREFIXES);
	for (int i = 1; i < cfg.nprefixes; i++)
		CHECK(strlen(cfg.prefix[i - 1].path) >= strlen(cfg.prefix[i].path));
	strcpy(at, "[app a]\nfile /more = deny\n");
	CHECK(load(&cfg, text, "a", "/a", &err) == -EINVAL && err.line == VOS_MAX_PREFIXES + 3);
	CHECK(strstr(err.text, "at most 32"));
	CHECK(load(&cfg, text, "b", "/b", &err) == -EINVAL && err.line == VOS_MAX_PREFIXES + 3);
}

static void test_glob(void)
{
	static const struct {
		const char *pattern, *text;
		int match;
	} cases[] = {
		{ "a", "a", 1 },
		{ "a", "ab", 0 },
		{ "", "", 1 },
		{ "*", "", 1 },
		{ "a*", "a", 1 },
		{ "*a", "bca", 1 },
		{ "a*b*c", "axxbyybzc", 1 },
		{ "a*b*c", "axxbyybz", 0 },
		{ "?", "a", 1 },
		{ "?", "", 0 },
		{ "a?c", "abc", 1 },
		{ "[abc]", "b", 1 },
		{ "[a-c]x", "bx", 1 },
		{ "[a-c]", "d", 0 },
		{ "[!a-c]", "d", 1 },
		{ "[^a-c]", "a", 0 },
		{ "[]a]", "]", 1 },
		{ "[a-]", "-", 1 },
		{ "[a", "[a", 1 },
		{ "\\*", "*", 1 },
		{ "\\*", "x", 0 },
		{ "[\\]]", "]", 1 },
		{ "python3.[0-9]*", "python3.11", 1 },
		{ "/usr/*/x", "/usr/bin/x", 1 },
		{ "/usr/*/x", "/usr/a/b/x", 0 },
		{ "/usr?bin", "/usr/bin", 0 },
		{ "/a[/]b", "/a/b", 0 },
		{ "*/*x", "a/bx", 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (vos_glob(cases[i].pattern, cases[i].text) == cases[i].match)
			continue;
		fprintf(stderr, "glob '%s' on '%s'\n", cases[i].pattern, cases[i].text);
		failures++;
	}
}

/* Brackets of a glob, and names longer than inih's own 49 bytes, in a section's name. */
static void test_section_names(void)
{
	struct vos_config_error err;
	struct vos_config cfg;

	CHECK(!load(&cfg, "[app python3.[0-9][0-9]] ; x\ninet = deny\n", "python3.11", "/p", &err));
	CHECK(cfg.class_to[VOS_CLASS_INET] == VOS_TO_DENY);
	CHECK(!load(&cfg, "[app /" X50 "/a]\ninet = deny\n", "a", "/" X50 "/a", &err));
	CHECK(cfg.class_to[VOS_CLASS_INET] == VOS_TO_DENY);
	CHECK(!load(&cfg, "[app /" X50 "/a]\ninet = deny\n", "b", "/" X50 "/b", &err));
	CHECK(cfg.class_to[VOS_CLASS_INET] == VOS_TO_LOCAL);
}

static void test_env(void)
{
	struct vos_config_error err;
	struct vos_config cfg;

	CHECK(!load(&cfg, "[default]\nlibc_patch = require\n", "x", "/x", &err));
	setenv("VIRTUOS_UNAVAILABLE", "", 1);
	CHECK(!vos_config_env(&cfg, &err));
	CHECK(!cfg.unavailable_local && cfg.libc_patch == VOS_PATCH_REQUIRE);
	setenv("VIRTUOS_UNAVAILABLE", "local", 1);
	setenv("VIRTUOS_LIBC_PATCH", "off", 1);
	CHECK(!vos_config_env(&cfg, &err));
	CHECK(cfg.unavailable_local && cfg.unavailable_line == VOS_LINE_ENV);
	CHECK(cfg.libc_patch == VOS_PATCH_OFF && cfg.libc_patch_line == VOS_LINE_ENV);
	setenv("VIRTUOS_LIBC_PATCH", "on", 1);
	CHECK(vos_config_env(&cfg, &err) == -EINVAL && err.line == 0);
	CHECK(!strcmp(err.text, "bad value 'on' of 'VIRTUOS_LIBC_PATCH': auto, off or require"));
	setenv("VIRTUOS_UNAVAILABLE", "no", 1);
	CHECK(vos_config_env(&cfg, &err) == -EINVAL && strstr(err.text, "VIRTUOS_UNAVAILABLE"));
}

int main(void)
{
	int fd = mkstemp(file);

	if (fd < 0) {
		perror(file);
		return 77;
	}
	close(fd);
	test_errors();
	test_long_line();
	test_nul();
	test_unreadable();
	test_empty();
	test_good();
	test_overrides();
	test_prefix_limit();
	test_glob();
	test_section_names();
	test_env();
	unlink(file);
	return failures ? 1 : 0;
}
