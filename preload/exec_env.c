/* SPDX-License-Identifier: MIT */
/*
 * The environment of a new image. Programs clear it, or make one of their own; the library and its
 * configuration would be gone from the next program on, silently. So what brought us here is
 * remembered at start, and put back where it is missing: our own entry of LD_PRELOAD (the others
 * and their order stay as the program wants them), and the variables that configure us.
 *
 * Paths that are relative to the directory where we are started are made absolute, in the program's
 * own environment too: what it starts need not be there any more.
 *
 * Under AT_SECURE the environment was not what brought us here, and nothing is put back.
 */
#define _GNU_SOURCE
#include "preload/process.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SEPARATORS " :"

static const char preload_key[] = "LD_PRELOAD=";
static const char state_key[] = "VIRTUOS_STATE=";

/* What configures us. The order is that of the bits in vos_env.missing. */
enum { CONFIG, UNAVAILABLE, LIBC_PATCH, QUIET, KEYS };
static const char *const key[KEYS] = { "VIRTUOS_CONFIG=", "VIRTUOS_UNAVAILABLE=",
				       "VIRTUOS_LIBC_PATCH=", "VIRTUOS_QUIET=" };

static char own[VOS_PATH_MAX];		   /* our entry of LD_PRELOAD; "": there is none */
static char kept[KEYS][VOS_PATH_MAX + 32]; /* key=value at start; "": it was not set */

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static const char *base_of(const char *path, size_t n)
{
	while (n && path[n - 1] != '/')
		n--;
	return path + n;
}

/* Do two paths, @a of @n bytes, end in the same name? */
static bool same_base(const char *a, size_t n, const char *b)
{
	const char *x = base_of(a, n), *y = base_of(b, strlen(b));
	size_t k = n - (size_t)(x - a);

	return k && k == strlen(y) && !memcmp(x, y, k);
}

/* The entry of @list that names the library @name: its start, and its length in *@n. */
static const char *find_entry(const char *list, const char *name, size_t *n)
{
	while (*list) {
		list += strspn(list, SEPARATORS);
		*n = strcspn(list, SEPARATORS);
		if (same_base(list, *n, name))
			return list;
		list += *n;
	}
	return NULL;
}

/* --- at start ------------------------------------------------------------------------------- */

/* What is relative is so to where the program was started. */
static void keep_path(char *to, size_t size, const char *path, size_t n, bool relative)
{
	size_t k = 0;

	if (n && relative) {
		long r = vos_raw2(SYS_getcwd, to, size);

		if (r > 1 && to[0] == '/')
			k = (size_t)r - 1;
		if (k && to[k - 1] != '/' && k + 1 < size)
			to[k++] = '/';
	}
	if (k + n >= size) {
		to[0] = 0;
		return;
	}
	memcpy(to + k, path, n);
	to[k + n] = 0;
}

static void keep_variable(size_t i, const char *entry)
{
	const char *value = entry + strlen(key[i]);
	size_t k = strlen(key[i]);

	memcpy(kept[i], key[i], k);
	if (i == CONFIG)
		keep_path(kept[i] + k, sizeof(kept[i]) - k, value, strlen(value), *value != '/');
	else if (k + strlen(value) < sizeof(kept[i]))
		memcpy(kept[i] + k, value, strlen(value) + 1);
	if (!kept[i][k])
		kept[i][0] = 0;
}

/* @list, in which our entry, a relative path, is the @n bytes at @entry. */
static char *absolute_preload(char *list, const char *entry, size_t n)
{
	static char text[VOS_PATH_MAX + 1024];
	size_t before = (size_t)(entry - list), k = strlen(own), after = strlen(entry + n) + 1;

	if (!own[0] || before + k + after > sizeof(text))
		return list;
	memcpy(text, list, before);
	memcpy(text + before, own, k);
	memcpy(text + before + k, entry + n, after);
	return text;
}

void vos_env_init(void)
{
	Dl_info self;
	bool relative;
	size_t n;

	if (getauxval(AT_SECURE) || !dladdr(own, &self) || !self.dli_fname)
		return;
	for (char **e = environ; e && *e; e++) {
		for (size_t i = 0; i < KEYS; i++)
			if (starts(*e, key[i]))
				keep_variable(i, *e);
		if (starts(*e, key[CONFIG]) && kept[CONFIG][0])
			*e = kept[CONFIG];
		if (starts(*e, preload_key)) {
			const char *entry =
				find_entry(*e + strlen(preload_key), self.dli_fname, &n);

			if (!entry)
				continue;
			/* A name without a slash is one that the dynamic linker looks for. */
			relative = *entry != '/' && memchr(entry, '/', n);
			keep_path(own, sizeof(own), entry, n, relative);
			if (relative)
				*e = absolute_preload(*e, entry, n);
		}
	}
}

bool vos_env_unconfigured(void)
{
	if (!own[0] || kept[QUIET][0])
		return false;
	strcpy(kept[QUIET], "VIRTUOS_QUIET=1");
	return true;
}

/* --- at exec -------------------------------------------------------------------------------- */

void vos_env_look(struct vos_env *e, char *const *envp)
{
	size_t n = 0;

	*e = (struct vos_env){ .from = envp };
	for (size_t i = 0; i < KEYS; i++)
		if (kept[i][0])
			e->missing |= 1u << i;
	for (; envp && envp[n]; n++) {
		for (size_t i = 0; i < KEYS; i++)
			if (starts(envp[n], key[i]))
				e->missing &= ~(1u << i);
		if (starts(envp[n], preload_key)) /* the dynamic linker takes the last */
			e->preload = envp[n] + strlen(preload_key);
		if (starts(envp[n], state_key))
			e->stale = true;
	}
	e->n = n;
	if (!own[0] || (e->preload && find_entry(e->preload, own, &n)))
		return;
	e->preload_size = strlen(preload_key) + strlen(own) + 1;
	if (e->preload && *e->preload)
		e->preload_size += strlen(e->preload) + 1;
}

static char *append(char *to, const char *s)
{
	size_t n = strlen(s);

	memcpy(to, s, n + 1);
	return to + n;
}

/* Behind the others: what the program wants first must stay first. */
static void new_preload(const struct vos_env *e, char *to)
{
	to = append(to, preload_key);
	if (e->preload && *e->preload) {
		to = append(to, e->preload);
		*to++ = ':';
	}
	append(to, own);
}

char **vos_env_fill(const struct vos_env *e, char **to, char *preload)
{
	for (size_t i = 0; i < e->n; i++) {
		if (e->stale && starts(e->from[i], state_key))
			continue;
		if (e->preload_size && starts(e->from[i], preload_key))
			continue;
		*to++ = e->from[i];
	}
	if (e->preload_size) {
		new_preload(e, preload);
		*to++ = preload;
	}
	for (size_t i = 0; i < KEYS; i++)
		if (e->missing & 1u << i)
			*to++ = kept[i];
	*to = NULL;
	return to;
}

/* --- VIRTUOS_STATE -------------------------------------------------------------------------- */

void vos_env_state(char buf[VOS_ENV_STATE], int fd)
{
	char digits[12];
	size_t k = 0;
	char *to = append(buf, state_key);

	do
		digits[k++] = (char)('0' + fd % 10);
	while (fd /= 10);
	while (k)
		*to++ = digits[--k];
	*to = 0;
}

static int number(const char *s)
{
	long n = 0;

	if (!*s)
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		n = n * 10 + *s - '0';
		if (n > 1 << 30)
			return -1;
	}
	return (int)n;
}

int vos_env_take_state(void)
{
	char **to = environ;
	int fd = -1;

	for (char **e = environ; e && *e; e++) {
		if (starts(*e, state_key))
			fd = number(*e + strlen(state_key));
		else
			*to++ = *e;
	}
	if (to)
		*to = NULL;
	return fd;
}
