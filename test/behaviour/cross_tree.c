/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Two-path calls between the tree and a local file system: EXDEV, like between two disks. */
#include "t.h"

int main(void)
{
	int local;
	int tree;

	t_start();
	t_puts(P("f"), "tree");
	t_puts(L("f"), "local");
	MUST(mkdir(P("d"), 0755) == 0);
	MUST(mkdir(L("d"), 0755) == 0);
	tree = TRY(open(P("."), O_RDONLY | O_DIRECTORY));
	local = TRY(open(L("."), O_RDONLY | O_DIRECTORY));

	SHOW(rename(P("f"), L("g")));
	SHOW(rename(L("f"), P("g")));
	SHOW(rename(P("f"), L("f")));
	SHOW(rename(P("d"), L("e")));
	SHOW(rename(P("none"), L("g")));
	SHOW(renameat(tree, "f", local, "g"));
	SHOW(renameat(local, "f", tree, "g"));
	SHOW(renameat2(tree, "f", local, "f", RENAME_EXCHANGE));
	SHOW(link(P("f"), L("g")));
	SHOW(link(L("f"), P("g")));
	SHOW(linkat(tree, "f", local, "g", 0));
	SHOW(linkat(local, "f", tree, "g", 0));
	SHOW(symlink(L("f"), P("s")));
	t_cat("a symbolic link may cross", P("s"));

	/* Absolute paths make the descriptors irrelevant. */
	SHOW(renameat(local, P("f"), local, P("g")));
	SHOW(renameat(tree, L("f"), tree, L("g")));
	t_cat("tree g", P("g"));
	t_cat("local g", L("g"));
	t_cat("tree f", P("f"));
	close(tree);
	close(local);
	return t_end();
}
