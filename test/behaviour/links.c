/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Hard and symbolic links: counts, contents, truncation of readlink(), errors. */
#include "t.h"

static void show_link(const char *name, size_t size)
{
	char buf[PATH_MAX];
	ssize_t n;

	memset(buf, '#', sizeof(buf));
	n = readlink(P(name), buf, size);
	if (n < 0)
		printf("readlink %s: %s\n", name, t_errname(errno));
	else
		printf("readlink %s: %zd %.*s%c\n", name, n, (int)n, buf, buf[n]);
}

static void hard(int dir)
{
	struct stat st;

	SHOW(link(P("f"), P("h1")));
	SHOW(linkat(dir, "f", dir, "h2", 0));
	SHOW(link(P("f"), P("h1")));
	MUST(stat(P("f"), &st) == 0);
	printf("links %lu\n", (unsigned long)st.st_nlink);
	t_puts(P("h1"), "through h1");
	t_cat("h2", P("h2"));
	SHOW(unlink(P("f")));
	MUST(stat(P("h1"), &st) == 0);
	printf("links %lu\n", (unsigned long)st.st_nlink);
	SHOW(link(P("missing"), P("x")));
	SHOW(link(P("d"), P("x")));
	SHOW(link(P("h1"), P("none/x")));
	SHOW(linkat(dir, "h1", dir, "x", 0x10000));
	/* link() does not follow; linkat() does when asked. */
	SHOW(link(P("s"), P("s2")));
	show_link("s2", PATH_MAX);
	SHOW(linkat(dir, "s", dir, "h3", AT_SYMLINK_FOLLOW));
	show_link("h3", PATH_MAX);
	t_cat("h3", P("h3"));
}

static void symbolic(int dir)
{
	char longest[PATH_MAX + 1];
	char buf[64];
	struct stat st;

	show_link("s", PATH_MAX - 1);
	show_link("s", 2);
	show_link("s", 1);
	SHOW(readlink(P("s"), buf, 0));
	show_link("d", 10);
	show_link("missing", 10);
	SHOW(symlinkat("h2", dir, "at"));
	SHOW(readlinkat(dir, "at", buf, sizeof(buf)));
	SHOW(readlinkat(-1, "at", buf, sizeof(buf)));
	SHOW(symlink("x", P("s")));
	SHOW(symlink("", P("empty")));
	SHOW(symlink("x", P("none/x")));
	memset(longest, 'a', sizeof(longest));
	longest[PATH_MAX] = 0;
	SHOW(symlink(longest, P("long")));
	longest[PATH_MAX - 1] = 0;
	SHOW(symlink(longest, P("long")));
	SHOW(lstat(P("long"), &st));
	printf("size %ld\n", (long)st.st_size);
	SHOW(readlink(P("long"), longest, sizeof(longest)));
	SHOW(unlink(P("s")));
	t_cat("target stays", P("h1"));
}

int main(void)
{
	int dir;

	t_start();
	t_puts(P("f"), "text");
	MUST(mkdir(P("d"), 0755) == 0);
	MUST(symlink("h1", P("s")) == 0);
	dir = TRY(open(P("."), O_RDONLY | O_DIRECTORY));
	hard(dir);
	symbolic(dir);
	close(dir);
	return t_end();
}
