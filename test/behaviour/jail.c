/* SPDX-License-Identifier: MIT */
/* run-as: root */
/* chroot() to a local directory: what of the tree can be reached from in there, and what cannot. */
#include "t.h"

enum { NOBODY = 65534 };

static char jail[PATH_MAX]; /* holds a directory of the tree's path, with other things in it */
static char above[PATH_MAX], inside[PATH_MAX]; /* above the tree; the tree's path from there */

static void make_path(const char *path)
{
	char buf[2 * PATH_MAX];

	snprintf(buf, sizeof(buf), "%s", path);
	for (char *p = buf + strlen(jail) + 1; *p; p++)
		if (*p == '/') {
			*p = 0;
			mkdir(buf, 0755);
			*p = '/';
		}
	MUST(mkdir(buf, 0755) == 0);
}

static void in_child(void (*f)(void), const char *label)
{
	pid_t pid;

	printf("-- %s\n", label);
	pid = fork();
	if (!pid) {
		f();
		_exit(t_failed);
	}
	t_wait(label, pid);
}

static void look(void)
{
	t_cat("both have it", P("f"));
	t_cat("only outside", P("g"));
	t_cat("only inside", P("h"));
	t_cat("the other tree", t_path("VT_FAR", "f"));
	t_cat("absolute link", "/to-tree");
}

static void nothing_left(void)
{
	look();
	MUST(chroot(jail) == 0 && chdir("/") == 0);
	look();
	t_puts(P("new"), "made inside");
	t_cat("new", P("new"));
	SHOW(chdir(P("")));
	t_cat("relative", "f");
	SHOW(unlink("new"));
	in_child(look, "its child");
}

/* What is open stays so, and leads where it has led. */
static void descriptors(void)
{
	int dir = open(P(""), O_RDONLY | O_DIRECTORY), f = open(P("f"), O_RDONLY), g;
	char buf[PATH_MAX];
	ssize_t n;

	MUST(dir >= 0 && f >= 0);
	MUST(chroot(jail) == 0 && chdir("/") == 0);
	n = read(f, buf, sizeof(buf));
	printf("read: %.*s\n", (int)n, buf);
	g = openat(dir, "g", O_RDONLY);
	MUST(g >= 0);
	n = read(g, buf, sizeof(buf));
	printf("openat: %.*s\n", (int)n, buf);
	SHOW(fchdir(dir));
	t_cat("relative", "g");
	SHOW(getcwd(buf, sizeof(buf)) ? 0 : -1);
	SHOW(chdir("/"));
	t_cat("relative", "g");
	close(dir);
	close(f);
	close(g);
}

static void directory_stays(void)
{
	char buf[PATH_MAX];

	MUST(chdir(P("")) == 0);
	MUST(chroot(jail) == 0);
	t_cat("relative", "g");
	SHOW(getcwd(buf, sizeof(buf)) ? 0 : -1);
	in_child(look, "its child");
	SHOW(chdir("/"));
	t_cat("relative", "g");
}

static const char *in(const char *name)
{
	static char buf[2 * PATH_MAX];

	snprintf(buf, sizeof(buf), "%s/%s", inside, name);
	return buf;
}

static void look_from_above(void)
{
	char buf[PATH_MAX];

	t_cat("f", in("f"));
	t_cat("by its old name", P("f"));
	t_cat("local", "/side/note");
	t_cat("the tree's link", in("note"));
	t_cat("up", in("../../side/note"));
	SHOW(chdir(inside));
	t_cat("relative", "f");
	t_cat("relative, up", "../../side/note");
	CHECK(getcwd(buf, sizeof(buf)) && !strcmp(buf, inside));
	SHOW(chdir(".."));
	CHECK(getcwd(buf, sizeof(buf)) && !strncmp(buf, inside, strlen(buf)));
	SHOW(chdir("/"));
	t_puts(in("new"), "made below");
	t_cat("new", in("new"));
	SHOW(unlink(in("new")));
}

static void below_it(void)
{
	SHOW(symlink("/side/note", P("note")));
	t_cat("not from here", P("note"));
	MUST(chdir(above) == 0);
	SHOW(chroot("."));
	look_from_above();
	/* Nothing changes. */
	SHOW(chroot("/"));
	SHOW(chroot("../side/.."));
	t_cat("still", in("f"));
	/* There is no /proc. */
	MUST(chroot("/side") == 0 && chdir("/") == 0);
	t_cat("deeper", in("f"));
	t_cat("deeper, local", "/note");
}

static void refused(void)
{
	SHOW(chroot(P("f")));
	SHOW(chroot(P("none")));
	SHOW(chroot("/none"));
	SHOW(chroot(""));
	MUST(chmod(jail, 0700) == 0);
	MUST(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	SHOW(chroot("/"));
	SHOW(chroot(above));
	SHOW(chroot(jail));
	t_cat("as before", P("f"));
}

int main(void)
{
	char buf[2 * PATH_MAX];

	t_start();
	umask(022);
	MUST(chmod(P(""), 0755) == 0 && chmod(L(""), 0755) == 0);
	snprintf(jail, sizeof(jail), "%s", L("jail"));
	MUST(mkdir(jail, 0755) == 0);
	t_puts(P("f"), "outside");
	t_puts(P("g"), "outside");
	t_puts(t_path("VT_FAR", "f"), "far");
	snprintf(buf, sizeof(buf), "%s%s", jail, P(""));
	make_path(buf);
	snprintf(buf, sizeof(buf), "%s%s", jail, P("f"));
	t_puts(buf, "inside");
	snprintf(buf, sizeof(buf), "%s%s", jail, P("h"));
	t_puts(buf, "inside");
	snprintf(buf, sizeof(buf), "%s/to-tree", jail);
	MUST(symlink(P("g"), buf) == 0);
	/* The tree is DIR/data/CASE. */
	snprintf(above, sizeof(above), "%s", P(""));
	for (int i = 0; i < 2; i++)
		*strrchr(above, '/') = 0;
	snprintf(inside, sizeof(inside), "%s", P("") + strlen(above));
	in_child(nothing_left, "nothing left");
	in_child(descriptors, "descriptors");
	in_child(directory_stays, "the working directory");
	in_child(below_it, "below it");
	in_child(refused, "refused");
	return t_end();
}
