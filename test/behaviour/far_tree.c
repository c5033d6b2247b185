/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* A second tree (VT_FAR), below a path of which not even the parent exists locally. */
#include "t.h"
#include <dirent.h>

#define F(name) t_path("VT_FAR", name)

/* What /proc calls a descriptor is right in whichever of the trees it is. */
static void name_of(const char *path, const char *tree, int flags)
{
	size_t n = strlen(tree);
	char buf[PATH_MAX], link[40];
	int fd = open(path, flags);
	ssize_t len;

	MUST(fd >= 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, buf, sizeof(buf) - 1);
	MUST(len > 0);
	buf[len] = 0;
	CHECK(!strncmp(buf, tree, n));
	printf("descriptor: %s\n", !strncmp(buf, tree, n) ? buf + n : buf);
	close(fd);
}

static void names(void)
{
	int dir = open(F("d"), O_RDONLY | O_DIRECTORY), fd;
	char buf[PATH_MAX];

	/* Both trees have it. */
	MUST(mkdir(P("d"), 0755) == 0);
	t_puts(P("d/g"), "near");
	name_of(P("d/g"), P(""), O_RDONLY);
	name_of(F("d/g"), F(""), O_RDONLY);
	name_of(F("d"), F(""), O_RDONLY);
	name_of(F("d/g"), F(""), O_PATH);
	name_of(P("d"), P(""), O_PATH);
	name_of(F("near"), P(""), O_RDONLY);
	/* Found by a descriptor, and by the working directory. */
	fd = openat(dir, "g", O_RDONLY);
	MUST(fd >= 0 && fchdir(dir) == 0);
	close(dir);
	dir = dup(fd);
	close(fd);
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", dir);
	name_of(buf, F(""), O_RDONLY);
	name_of("g", F(""), O_RDONLY);
	name_of(".", F(""), O_RDONLY);
	CHECK(getcwd(buf, sizeof(buf)) && !strcmp(buf, F("d")));
	close(dir);
}

int main(void)
{
	char buf[PATH_MAX];
	struct stat st;
	char *r;
	DIR *d;

	t_start();
	t_puts(F("f"), "far away");
	t_cat("f", F("f"));
	SHOW(mkdir(F("d"), 0755));
	SHOW(rename(F("f"), F("d/g")));
	t_cat("d/g", F("d/g"));
	SHOW(stat(F(""), &st));
	SHOW(chdir(F("d")));
	CHECK(getcwd(buf, sizeof(buf)) && !strcmp(buf, F("d")));
	t_cat("g", "g");
	t_cat("../d/g", "../d/g");
	d = opendir(F("d"));
	MUST(d);
	SHOW(closedir(d));
	SHOW(symlink(P("x"), F("near")));
	t_puts(P("x"), "near");
	t_cat("near", F("near"));
	r = realpath(F("d/../d/g"), NULL);
	CHECK(r && !strcmp(r, F("d/g")));
	free(r);
	/* The trees may be one file system; a file moves or is refused, but is never lost. */
	if (rename(P("x"), F("x")) == 0)
		MUST(rename(F("x"), P("x")) == 0);
	else
		CHECK(errno == EXDEV);
	t_cat("x", P("x"));
	names();
	SHOW(chdir("/"));
	return t_end();
}
