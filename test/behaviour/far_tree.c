/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* A second tree (VT_FAR), below a path of which not even the parent exists locally. */
#include "t.h"
#include <dirent.h>

#define F(name) t_path("VT_FAR", name)

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
	SHOW(chdir("/"));
	return t_end();
}
