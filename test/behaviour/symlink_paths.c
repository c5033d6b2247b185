/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Symbolic links over the border of the tree, both ways, absolute and relative, and loops. */
#include "t.h"

static void chain(int length)
{
	char target[32];
	char name[32];

	for (int i = 0; i < length; i++) {
		snprintf(name, sizeof(name), "chain%d-%d", length, i);
		if (i + 1 < length)
			snprintf(target, sizeof(target), "chain%d-%d", length, i + 1);
		else
			snprintf(target, sizeof(target), "f");
		MUST(symlink(target, P(name)) == 0);
	}
	snprintf(name, sizeof(name), "chain%d-0", length);
	t_cat(name, P(name));
}

static void across(void)
{
	MUST(mkdir(L("d"), 0755) == 0);
	t_puts(L("d/f"), "local file");
	MUST(symlink(L("d/f"), P("to-local")) == 0);
	MUST(symlink(L("d"), P("to-local-dir")) == 0);
	MUST(symlink(P("d/f"), P("to-tree")) == 0);
	MUST(symlink(P("d/f"), L("to-tree")) == 0);
	MUST(symlink(P("d"), L("to-tree-dir")) == 0);
	MUST(symlink(L("to-tree-dir"), P("there-and-back")) == 0);
	MUST(symlink("../../side", P("to-side")) == 0);
	t_cat("absolute link in the tree to the tree", P("to-tree"));
	t_cat("absolute link in the tree to a local file", P("to-local"));
	t_cat("through a local directory", P("to-local-dir/f"));
	t_cat("local link into the tree", L("to-tree"));
	t_cat("local directory link into the tree", L("to-tree-dir/f"));
	t_cat("there and back", P("there-and-back/f"));
	t_cat("relative link out of the tree", P("to-side/note"));
	t_cat("missing behind the border", P("to-local-dir/none"));
	t_cat("missing behind the border, back", L("to-tree-dir/none"));
}

static void change_across(void)
{
	struct stat st;
	char buf[PATH_MAX];

	SHOW(mkdir(P("to-local-dir/new"), 0755));
	SHOW(stat(L("d/new"), &st));
	t_puts(P("to-local-dir/made"), "made through the link");
	t_cat("made", L("d/made"));
	t_puts(L("to-tree-dir/made"), "made through the local link");
	t_cat("made", P("d/made"));
	SHOW(rename(L("to-tree-dir/made"), P("d/renamed")));
	SHOW(rename(P("d/renamed"), P("to-local-dir/renamed")));
	SHOW(unlink(P("to-local-dir/made")));
	SHOW(stat(L("d/made"), &st));
	SHOW(lstat(P("to-local"), &st));
	printf("%s\n", S_ISLNK(st.st_mode) ? "a link" : "not a link");
	SHOW(readlink(P("to-local"), buf, sizeof(buf)) == (ssize_t)strlen(L("d/f")));
	SHOW(unlink(P("to-local")));
	SHOW(stat(L("d/f"), &st));
	SHOW(chdir(P("to-local-dir")));
	t_cat("cwd behind the border", "f");
	SHOW(chdir(L("to-tree-dir")));
	t_cat("cwd behind the border, back", "f");
	t_cat("its physical parent", "../f");
	SHOW(chdir("/"));
}

int main(void)
{
	t_start();
	t_puts(P("f"), "end of the chain");
	MUST(mkdir(P("d"), 0755) == 0);
	t_puts(P("d/f"), "tree file");
	MUST(symlink("loop", P("loop")) == 0);
	MUST(symlink("pong", P("ping")) == 0);
	MUST(symlink("ping", P("pong")) == 0);
	t_cat("loop", P("loop"));
	t_cat("ping pong", P("ping"));
	t_cat("below a loop", P("loop/x"));
	chain(40);
	chain(41);
	across();
	change_across();
	return t_end();
}
