/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* rename() and renameat2(): replacing, refusing, exchanging, open files that move. */
#include "t.h"

static void files(void)
{
	char c;
	int fd;

	t_puts(P("a"), "a");
	t_puts(P("b"), "b");
	fd = TRY(open(P("b"), O_RDONLY));
	SHOW(rename(P("a"), P("b")));
	t_cat("a", P("a"));
	t_cat("b", P("b"));
	/* The replaced file lives on behind its descriptor. */
	SHOW(read(fd, &c, 1));
	printf("%c\n", c);
	close(fd);
	SHOW(rename(P("a"), P("c")));
	SHOW(rename(P("b"), P("none/c")));
	SHOW(rename(P("b"), P("b")));
	MUST(link(P("b"), P("same")) == 0);
	SHOW(rename(P("b"), P("same")));
	t_cat("b after a rename to its own hard link", P("b"));
	MUST(symlink("b", P("s")) == 0);
	SHOW(rename(P("s"), P("t")));
	t_cat("t", P("t"));
	SHOW(rename(P("t"), P("b")));
	t_cat("b is now a link to itself", P("b"));
}

static void directories(void)
{
	t_puts(P("f"), "f");
	MUST(mkdir(P("d1"), 0755) == 0);
	MUST(mkdir(P("d2"), 0755) == 0);
	MUST(mkdir(P("full"), 0755) == 0);
	t_puts(P("full/x"), "x");
	SHOW(rename(P("d1"), P("d2")));
	SHOW(rename(P("d2"), P("full")));
	SHOW(rename(P("full"), P("d2")));
	t_cat("d2/x", P("d2/x"));
	SHOW(rename(P("f"), P("d2")));
	SHOW(rename(P("d2"), P("f")));
	SHOW(rename(P("d2"), P("d2/inside")));
	SHOW(rename(P("d2/."), P("d3")));
	SHOW(rename(P("d2/.."), P("d3")));
	SHOW(rename(P("d2/x"), P("up")));
	t_cat("up", P("up"));
}

static void flags(int dir)
{
	t_puts(P("one"), "one");
	t_puts(P("two"), "two");
	SHOW(renameat2(dir, "one", dir, "two", RENAME_NOREPLACE));
	SHOW(renameat2(dir, "one", dir, "three", RENAME_NOREPLACE));
	SHOW(renameat2(dir, "two", dir, "three", RENAME_EXCHANGE));
	t_cat("two", P("two"));
	t_cat("three", P("three"));
	SHOW(renameat2(dir, "two", dir, "d2", RENAME_EXCHANGE));
	t_cat("d2 is a file now", P("d2"));
	SHOW(renameat2(dir, "two", dir, "none", RENAME_EXCHANGE));
	SHOW(renameat2(dir, "d2", dir, "x", RENAME_EXCHANGE | RENAME_NOREPLACE));
	SHOW(renameat2(dir, "d2", dir, "x", 0x100));
	SHOW(renameat(dir, "three", AT_FDCWD, P("four")));
	SHOW(renameat(-1, "three", dir, "four"));
	t_cat("four", P("four"));
}

int main(void)
{
	int dir;

	t_start();
	files();
	directories();
	dir = TRY(open(P("."), O_RDONLY | O_DIRECTORY));
	flags(dir);
	close(dir);
	return t_end();
}
