/* SPDX-License-Identifier: MIT */
/*
 * The file of the configuration, a line at a time, for inih.
 *
 * inih has habits that would make a wrong file look right: it cuts a long line in two, a section's
 * name at 49 bytes and everything at a NUL, takes an indented line for more of the value above,
 * takes ':' for '=', and is silent on what follows a section's ']'. Each line is therefore looked
 * at here before inih gets it. The file is read with raw system calls, so that nothing of it passes
 * through the library that is just being set up.
 */
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "preload/config_internal.h"
#include "ring/raw.h"

#define LINE_MAX_WANTED 1024 /* two prefixes, a domain's name and a comment */
#define SECTION_MAX	(VOS_PREFIX_MAX + 8)

/*
 * Debian builds inih with this limit as a variable (200 by default), others build it in; inih
 * tells the reader which holds. Linked statically the variable is our own. Linked as a shared
 * library the program might use it too, so it is put back after each pass.
 */
extern int ini_max_line __attribute__((weak));

/* Next byte of the file, or -1 at its end or on an error (then p->ret). */
static int next_byte(struct vos_parse *p)
{
	long n;

	if (p->pos < p->len)
		return (unsigned char)p->buf[p->pos++];
	if (p->eof)
		return -1;
	do
		n = vos_raw3(SYS_read, p->fd, p->buf, sizeof(p->buf));
	while (n == -EINTR);
	if (n < 0) {
		vos_fail(p, 0, "cannot read the file");
		p->ret = n;
	}
	p->eof = n <= 0;
	p->pos = 0;
	p->len = p->eof ? 0 : n;
	return p->eof ? -1 : (unsigned char)p->buf[p->pos++];
}

/* Read a line without its end into @line of @size bytes. Returns false at the end or on an error.
 */
static bool read_line(struct vos_parse *p, char *line, int size)
{
	int n = 0, c = next_byte(p);

	if (c < 0)
		return false;
	p->line++;
	for (; c >= 0 && c != '\n'; c = next_byte(p)) {
		if (c == '\r' && p->pos < p->len && p->buf[p->pos] == '\n')
			continue;
		if ((c < ' ' && c != '\t') || c == 0x7f) {
			vos_fail(p, p->line,
				 "control character %d in the line: only tabs are allowed", c);
			return false;
		}
		if (n == size - 1) {
			vos_fail(p, p->line, "line is too long: at most %d bytes", size - 1);
			return false;
		}
		line[n++] = c;
	}
	line[n] = '\0';
	return !p->ret;
}

/* Move what follows a byte order mark and blanks to the front: nothing continues a line above. */
static void strip(struct vos_parse *p, char *line)
{
	char *s = line;

	if (p->line == 1 && !strncmp(s, "\xef\xbb\xbf", 3))
		s += 3;
	s += strspn(s, " \t");
	memmove(line, s, strlen(s) + 1);
}

/* The end of what counts in @s: its length, or where " ;" begins a comment. */
static size_t before_comment(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++)
		if (s[n] == ';' && n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
			break;
	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	return n;
}

/*
 * "[name]": the name goes to the parser from here, whole. It may contain brackets (of a glob), so
 * the last one of the line ends it; inih is content with the first.
 */
static void section_line(struct vos_parse *p, const char *line)
{
	char name[SECTION_MAX];
	const char *start;
	size_t len = before_comment(line);

	if (len < 2 || line[len - 1] != ']') {
		vos_fail(p, p->line,
			 "section without its ']' at the end: [default], [domain NAME] or "
			 "[app PATTERN]");
		vos_hint_comment(p, line);
		return;
	}
	if (len - 2 >= sizeof(name)) {
		vos_fail(p, p->line, "section name is too long: at most %d bytes",
			 (int)sizeof(name) - 1);
		return;
	}
	/* Blanks inside the brackets would otherwise make a pattern that matches nothing. */
	start = line + 1 + strspn(line + 1, " \t");
	len = line + len - 1 - start;
	while (len && (start[len - 1] == ' ' || start[len - 1] == '\t'))
		len--;
	memcpy(name, start, len);
	name[len] = '\0';
	vos_parse_section(p, name);
}

/* "key = value": see VOS_HIDDEN_COLON. */
static void setting_line(struct vos_parse *p, char *line)
{
	char *equals = strchr(line, '=');

	if (!equals || equals == line) {
		vos_fail(p, p->line,
			 "'%s' is neither [section] nor KEY = VALUE nor a comment (; or # first)",
			 line);
		return;
	}
	for (char *s = line; s < equals; s++)
		if (*s == ':')
			*s = VOS_HIDDEN_COLON;
}

/* inih's ini_reader: a line into @str of @num bytes, or NULL to end. */
static char *next_line(char *str, int num, void *stream)
{
	struct vos_parse *p = stream;

	if (p->ret || !read_line(p, str, num))
		return NULL;
	strip(p, str);
	if (*str == '[')
		section_line(p, str);
	else if (*str && *str != ';' && *str != '#')
		setting_line(p, str);
	return p->ret ? NULL : str;
}

/* inih's ini_handler. Its section is not ours, see section_line(). */
static int setting(void *user, const char *section, const char *key, const char *value)
{
	struct vos_parse *p = user;
	char name[LINE_MAX_WANTED];
	size_t len = strnlen(key, sizeof(name) - 1);

	(void)section;
	if (!value)
		value = "";
	for (size_t i = 0; i < len; i++)
		name[i] = key[i] == VOS_HIDDEN_COLON ? ':' : key[i];
	name[len] = '\0';
	if (vos_parse_setting(p, name, value))
		vos_hint_comment(p, value);
	return !p->ret;
}

int vos_source_run(struct vos_parse *p)
{
	int limit = 0, bad;

	p->line = p->pos = p->len = 0;
	p->eof = false;
	p->ret = vos_raw3(SYS_lseek, p->fd, 0, SEEK_SET);
	if (p->ret)
		return p->ret;
	if (&ini_max_line) {
		limit = ini_max_line;
		ini_max_line = LINE_MAX_WANTED;
	}
	/* Older builds pass a fifth argument to the handler, which the x86-64 ABI lets us ignore.
	 */
	bad = ini_parse_stream(next_line, p, (ini_handler)setting, p);
	if (&ini_max_line)
		ini_max_line = limit;
	/* Whatever inih did not like and the checks above let through. */
	if (bad)
		vos_fail(p, bad > 0 ? bad : 0,
			 "neither [section] nor KEY = VALUE nor a comment (; or # first)");
	return p->ret;
}

int vos_source_open(struct vos_parse *p, const char *file)
{
	struct stat st;
	long ret;

	p->fd = vos_raw4(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
			 0);
	if (p->fd < 0) {
		ret = p->fd;
		vos_fail(p, 0, "cannot open the file");
		return p->ret = ret;
	}
	ret = vos_raw2(SYS_fstat, p->fd, &st);
	if (!ret && !S_ISREG(st.st_mode))
		ret = vos_fail(p, 0, "not a regular file");
	if (ret < 0) {
		vos_source_close(p);
		p->ret = ret;
	}
	return p->ret;
}

void vos_source_close(struct vos_parse *p)
{
	vos_raw1(SYS_close, p->fd);
}
