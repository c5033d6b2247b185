/* SPDX-License-Identifier: MIT */
/*
 * Shell globs for [app PATTERN]. Not fnmatch(3), which in a multibyte locale converts both strings
 * with memory from the heap and answers differently once the program has called setlocale().
 */
#include <string.h>

#include "preload/config_internal.h"

/*
 * Match @c against the bracket expression after '['. Returns what follows its ']' and sets *@hit,
 * or NULL when there is no ']': then the '[' stands for itself.
 */
static const char *bracket(const char *p, unsigned char c, int *hit)
{
	int negate = *p == '!' || *p == '^', found = 0;
	const char *first = p += negate;

	for (; *p && (*p != ']' || p == first); p++) {
		unsigned char low = *p, high;

		if (low == '\\' && p[1])
			low = *++p;
		high = low;
		if (p[1] == '-' && p[2] && p[2] != ']') {
			p += 2;
			if (*p == '\\' && p[1])
				p++;
			high = *p;
		}
		found |= low <= c && c <= high;
	}
	*hit = found != negate;
	return *p ? p + 1 : NULL;
}

/* Match one character of @text; returns the pattern behind what matched it, or NULL. */
static const char *one(const char *pattern, char c)
{
	const char *rest;
	int hit;

	switch (*pattern) {
	case '?':
		return c != '/' ? pattern + 1 : NULL;
	case '[':
		rest = bracket(pattern + 1, c, &hit);
		if (rest)
			return hit && c != '/' ? rest : NULL;
		break;
	case '\\':
		if (pattern[1])
			pattern++;
		break;
	}
	return *pattern == c ? pattern + 1 : NULL;
}

int vos_glob(const char *pattern, const char *text)
{
	/* After a mismatch only the last star is tried longer: an earlier one can gain nothing. */
	const char *star = NULL, *star_text = NULL, *next;

	while (*text || *pattern == '*') {
		if (*pattern == '*') {
			star = ++pattern;
			star_text = text;
			continue;
		}
		next = one(pattern, *text);
		if (next) {
			pattern = next;
			text++;
			continue;
		}
		if (!star || !*star_text || *star_text == '/')
			return 0;
		pattern = star;
		text = ++star_text;
	}
	return !*pattern;
}
