/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* libc's own walkers, none of which calls through the program: scandir, nftw, fts, glob, realpath.
 */
#define _GNU_SOURCE
#include <ftw.h>
#ifndef _FILE_OFFSET_BITS
#include <fts.h>
#endif
#include "t.h"
#include <dirent.h>
#include <glob.h>

static const char *below(const char *path)
{
	size_t len = strlen(P(""));

	return strncmp(path, P(""), len) ? path : path + len;
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	/* The order within a directory is the file system's: only what is alone in its place. */
	if (strstr(path, "/only"))
		printf("nftw %s type %d level %d\n", below(path), type, ftw->level);
	return 0;
}

static int visited;

static int tally(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)st;
	visited += 1 + 100 * ftw->level + 10000 * type;
	return 0;
}

static void scan(const char *name)
{
	struct dirent **list;
	int n = SHOW(scandir(P(name), &list, NULL, alphasort));

	for (int i = 0; i < n; i++) {
		printf("%s ", list[i]->d_name);
		free(list[i]);
	}
	printf("\n");
	if (n >= 0)
		free(list);
}

static void match(const char *pattern)
{
	glob_t g;

	SHOW(glob(P(pattern), GLOB_MARK, NULL, &g));
	for (size_t i = 0; i < g.gl_pathc; i++)
		printf("glob %s\n", below(g.gl_pathv[i]));
	globfree(&g);
}

static void resolve(const char *name)
{
	char *r = realpath(P(name), NULL);

	printf("realpath %s: %s\n", name, r ? below(r) : t_errname(errno));
	free(r);
}

#ifndef _FILE_OFFSET_BITS
static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void fts(void)
{
	char *roots[] = { (char *)P(""), NULL };
	FTS *f = fts_open(roots, FTS_PHYSICAL, by_name);
	FTSENT *e;

	MUST(f);
	while ((e = fts_read(f)))
		printf("fts %s info %d level %d\n", below(e->fts_path), e->fts_info, e->fts_level);
	SHOW(fts_close(f));
}
#endif

int main(void)
{
	t_start();
	MUST(mkdir(P("only"), 0755) == 0);
	MUST(mkdir(P("only/only"), 0755) == 0);
	t_puts(P("only/only/only"), "x");
	MUST(mkdir(P("many"), 0755) == 0);
	t_puts(P("many/b.c"), "b");
	t_puts(P("many/a.c"), "a");
	t_puts(P("many/c.h"), "c");
	MUST(symlink("../only", P("many/link")) == 0);
	MUST(symlink("nowhere", P("many/dangling")) == 0);
	MUST(symlink("../../../side", P("many/out")) == 0);

	scan("many");
	scan("none");
	SHOW(nftw(P("only"), visit, 8, FTW_PHYS));
	SHOW(nftw(P("only"), visit, 2, FTW_PHYS | FTW_DEPTH));
	SHOW(nftw(P(""), tally, 8, FTW_PHYS));
	SHOW(nftw(P("many"), tally, 8, 0));
	SHOW(nftw(P("many"), tally, 8, FTW_CHDIR | FTW_PHYS));
	SHOW(visited);
#ifndef _FILE_OFFSET_BITS
	fts();
#endif
	match("many/*.c");
	match("*/*");
	match("many/[ab].?");
	match("none*");
	resolve("many/a.c");
	resolve("many/link/only/../..");
	resolve("many/dangling");
	resolve("many/a.c/");
	resolve("none");
	resolve("many/..//./only");
	return t_end();
}
