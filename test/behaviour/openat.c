/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Directory descriptors as the base of a path: in the tree, local, AT_FDCWD, wrong ones. */
#include "t.h"

static void read_at(const char *label, int dir, const char *path)
{
	char buf[32] = "";
	int fd = openat(dir, path, O_RDONLY);

	if (fd < 0) {
		printf("%s: %s\n", label, t_errname(errno));
		return;
	}
	CHECK(read(fd, buf, sizeof(buf) - 1) >= 0);
	printf("%s: %s\n", label, buf);
	close(fd);
}

int main(void)
{
	int tree;
	int local;
	int file;

	t_start();
	MUST(mkdir(P("d"), 0755) == 0);
	MUST(mkdir(L("d"), 0755) == 0);
	t_puts(P("d/f"), "in the tree");
	t_puts(L("d/f"), "local");
	tree = TRY(open(P("d"), O_RDONLY | O_DIRECTORY));
	local = TRY(open(L("d"), O_RDONLY | O_DIRECTORY));
	file = TRY(open(P("d/f"), O_RDONLY));

	read_at("tree, relative", tree, "f");
	read_at("local, relative", local, "f");
	read_at("tree, dot", tree, "./f");
	read_at("tree, up and down", tree, "../d/f");
	read_at("local, up and down", local, "../d/f");
	read_at("tree, absolute local", tree, L("d/f"));
	read_at("local, absolute tree", local, P("d/f"));
	read_at("a file", file, "f");
	read_at("a file, absolute", file, P("d/f"));
	read_at("not open", 499, "f");
	read_at("not open, absolute", 499, P("d/f"));
	read_at("empty", tree, "");
	MUST(chdir(P("d")) == 0);
	read_at("cwd in the tree", AT_FDCWD, "f");
	MUST(chdir(L("d")) == 0);
	read_at("cwd local", AT_FDCWD, "f");
	read_at("tree while the cwd is local", tree, "f");
	MUST(chdir("/") == 0);

	/* A descriptor stays with its directory when that moves. */
	MUST(rename(P("d"), P("moved")) == 0);
	read_at("after a rename", tree, "f");
	read_at("after a rename, up", tree, "../moved/f");
	TRY(unlinkat(tree, "f", 0));
	read_at("after unlinkat", tree, "f");
	close(file);
	close(local);
	close(tree);
	return t_end();
}
