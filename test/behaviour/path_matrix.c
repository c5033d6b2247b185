/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * Every call on paths, with every shape of a path, from every place that a path can start at. Each
 * answer is one line: an errno, or which object of the trees it was about. What a call has changed
 * is told, too, and undone.
 *
 * VT_SIZE: "quick" is a sample, every call and every shape, but not with each other; "full" has more
 * places to start at.
 */
#include "path_ops.h"

/* --- the shapes -------------------------------------------------------------------------------- */

#define N255                                                                                       \
	"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" \
	"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" \
	"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

/* Below the top. */
static const char *const below_top[] = {
	"",
	".",
	"./",
	"..",
	"../",
	"../t",
	"../t/f",
	"../t/l-f",
	"f",
	"./f",
	".//./f",
	"f/",
	"f//",
	"f/.",
	"f/..",
	"f/x",
	"f/../f",
	"d",
	"d/",
	"d//",
	"d/.",
	"d/./",
	"d/..",
	"d/../",
	"d/f",
	"d//f",
	"d/./f",
	"d/../f",
	"d/../d/f",
	"d/f/",
	"d/e",
	"d/e/..",
	"d/e/../..",
	"d/e/../../f",
	"d/none",
	"d/none/",
	"d/none/..",
	"empty",
	"empty/",
	"empty/.",
	"empty/..",
	"none",
	"none/",
	"none/.",
	"none/f",
	"none/..",
	"none/../f",
	"np",
	"np/",
	"np/f",
	"np/..",
	"np/none",
	"l-f",
	"l-f/",
	"l-f/.",
	"l-f/x",
	"l-d",
	"l-d/",
	"l-d/.",
	"l-d/f",
	"l-d/..",
	"l-d/../f",
	"l-d/none",
	"l-d-slash",
	"l-d-slash/f",
	"l-none",
	"l-none/",
	"l-none/x",
	"l-loop",
	"l-loop/",
	"l-loop/x",
	"l-abs-f",
	"l-abs-f/",
	"l-abs-d",
	"l-abs-d/",
	"l-abs-d/f",
	"l-abs-d/..",
	"l-abs-d/../f",
	"l-abs-d/none",
	"l-out-f",
	"l-out-f/",
	"l-out-f/x",
	"l-out-d",
	"l-out-d/",
	"l-out-d/f",
	"l-out-d/..",
	"l-out-d/../f",
	"l-out-d/l-in-f",
	"l-out-d/none",
	"l-out-none",
	"l-out-none/",
	"l-up-out",
	"l-up-out/",
	"l-up-side",
	"l-up-side/note",
	"l-up-side/..",
	"l-twice",
	"d/l-up",
	"d/l-top",
	"d/l-top/f",
	"d/l-top/../t/f",
	"../../../side/note",
	"../../../side",
	"../../../side/none",
	"../../..",
	"fifo",
	"fifo/",
	"fifo-x",
	N255,
	N255 "n",
	"d/" N255 "n/x",
};

/* Below the local directory. */
static const char *const below_local[] = {
	"f",	     ".",	   "l-in-f",	  "l-in-f/",	   "l-in-f/x",	     "l-in-d",
	"l-in-d/",   "l-in-d/.",   "l-in-d/f",	  "l-in-d/..",	   "l-in-d/../f",    "l-in-d/none",
	"l-in-none", "l-in-none/", "l-in-d/l-up", "l-in-d/l-top",  "l-in-d/l-top/f", "d/l-in-f",
	"l-f",	     "d/..",	   "d/../l-in-f", "d/../l-in-d/f", "d/../none",	     "none",
	"d",	     "d/f",	   "l-in-d/e/..",
};

/* --- from where -------------------------------------------------------------------------------- */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Relative paths start at @dir, opened with @flags, or if that is NULL at the directory @cwd. */
struct from {
	const char *name;
	const char *before; /* goes before the shape */
	const char *cwd;
	const char *dir;
	int flags;
	int fd; /* for @dir */
};

static size_t every = 1; /* every one, or every Nth */

static void enter(struct from *from)
{
	MUST(chdir(from->cwd) == 0);
	if (!from->dir)
		return;
	if (from->fd >= 0)
		close(from->fd);
	from->fd = open(from->dir, from->flags);
	MUST(from->fd >= 0);
}

static bool beside(const char *shape)
{
	return strstr(shape, "../../..") || strstr(shape, "l-up-");
}

/* What natively and forwarded are different for a reason. */
static bool left_out(const struct op *op, const struct from *from, const char *shape)
{
	const char *path = from->before[0] ? from->before : shape;

	/* What lies beside the tree, or above it, is not ours, other tests read it; and it is
	 * another file system than the tree is, or not. */
	if (op->how & CHANGES && (beside(shape) || !strcmp(path, "/")))
		return true;
	if (op->fn == op_link_from && strstr(shape, "l-up-"))
		return true;
	if (op->fn == op_opendir && strstr(shape, ".."))
		return true;
	/* A prefix is a mount point, which the tree natively is not. */
	if (op->fn == op_open2 && op->arg & RESOLVE_NO_XDEV &&
	    (path[0] == '/' || beside(shape) || strstr(shape, "l-abs-")))
		return true;
	/* The mode of the link in /proc tells how it was opened; a placeholder's does not. */
	if (op->fn == op_access && op->arg & AT_SYMLINK_NOFOLLOW && !*shape)
		return true;
	/* It would wait for somebody who reads. */
	return op->fn == op_truncate && !from->before[0] && !strncmp(shape, "fifo", 4);
}

static void one(const struct op *op, struct from *from, const char *shape)
{
	char path[3 * PATH_MAX];

	if (left_out(op, from, shape))
		return;
	snprintf(path, sizeof(path), "%s%s", from->before, shape);
	changed = false;
	printf("%s, %s: %s: %s\n", op->name, from->name, strlen(shape) > 200 ? "(long)" : shape,
	       op->fn(from->fd, path, op->arg));
	if (!changed)
		return;
	mend();
	enter(from);
}

static void start(struct from from, const char *const *shape, size_t n)
{
	from.fd = from.dir ? -1 : AT_FDCWD;
	enter(&from);
	for (size_t i = 0; i < COUNT(ops); i++)
		for (size_t k = i % every; k < n; k += every)
			if (from.fd == AT_FDCWD || ops[i].how & AT)
				one(&ops[i], &from, shape[k]);
	if (from.dir)
		close(from.fd);
}

/* A descriptor that is no directory, or none. */
static void from_others(void)
{
	static const char *const few[] = { "", ".", "..", "f", "/", "none" };
	char dir[2 * PATH_MAX];
	static const struct {
		const char *name;
		const char *object;
		int flags;
	} objects[] = {
		{ "file", "f", O_RDONLY },
		{ "path of a file", "f", O_PATH },
		{ "path of a link", "l-f", O_PATH | O_NOFOLLOW },
		{ "path of a fifo", "fifo", O_PATH },
		{ "directory", "d", O_RDONLY },
		{ "closed directory", "np", O_PATH },
	};
	struct from bad = { .name = "bad", .before = "", .cwd = "/", .fd = 400 };

	for (size_t o = 0; o < COUNT(objects); o++) {
		snprintf(dir, sizeof(dir), "%s/%s", top, objects[o].object);
		start((struct from){ .name = objects[o].name,
				     .before = "",
				     .cwd = "/",
				     .dir = dir,
				     .flags = objects[o].flags },
		      few, COUNT(few));
	}
	for (size_t i = 0; i < COUNT(ops); i++)
		for (size_t k = 0; k < COUNT(few); k++)
			if (ops[i].how & AT)
				one(&ops[i], &bad, few[k]);
}

/* By way of /proc. */
static void from_proc(void)
{
	static const char *const few[] = { "",	      "/",    "/.",	  "/f",	   "/..",
					   "/../t/f", "/l-f", "/l-out-f", "/none", "/l-abs-d/f" };
	char name[64];
	int fd = open(top, O_RDONLY | O_DIRECTORY);

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	start((struct from){ "/proc/self/fd/N", name, .cwd = "/" }, few, COUNT(few));
	close(fd);
	start((struct from){ "/proc/self/cwd", "/proc/self/cwd", .cwd = top }, few, COUNT(few));
	start((struct from){ "/proc/thread-self/cwd", "/proc/thread-self/cwd", .cwd = top }, few,
	      COUNT(few));
}

static void lengths(void)
{
	static char path[PATH_MAX + 64];
	size_t n = (size_t)snprintf(path, sizeof(path), "%s", top);

	printf("-- lengths\n");
	while (n + 2 < PATH_MAX - 2)
		n += (size_t)snprintf(path + n, sizeof(path) - n, "/.");
	while (n < PATH_MAX - 1)
		path[n++] = '/';
	for (int i = 0; i < 2; i++) {
		struct from from = { i ? "PATH_MAX" : "PATH_MAX - 1", "", "/", .fd = AT_FDCWD };

		path[n] = 0;
		for (size_t k = 0; k < COUNT(ops); k++)
			if (ops[k].fn != op_rename_from)
				one(&ops[k], &from, path);
		path[n++] = '/';
	}
}

/* A working directory that moves, and one that goes. */
static void moving(void)
{
	char path[2 * PATH_MAX];
	char to[2 * PATH_MAX];
	char cwd[PATH_MAX];

	printf("-- moving\n");
	snprintf(path, sizeof(path), "%s/d/e", top);
	snprintf(to, sizeof(to), "%s/moved", top);
	MUST(chdir(path) == 0);
	SHOW(rename(path, to));
	printf("%s\n", getcwd(cwd, sizeof(cwd)) ? cwd + strlen(top) : t_errname(errno));
	TRY(close(open("in-e", O_RDONLY)));
	TRY(close(open("../f", O_RDONLY)));
	SHOW(unlink("in-e"));
	SHOW(rmdir(to));
	printf("%s\n", getcwd(cwd, sizeof(cwd)) ? cwd : t_errname(errno));
	SHOW(access(".", F_OK));
	SHOW(access("..", F_OK));
	SHOW(access("x", F_OK));
	SHOW(mkdir("x", 0755));
	SHOW(open("x", O_CREAT | O_RDWR, 0600));
	SHOW(rmdir("."));
	SHOW(chdir("."));
	SHOW(chdir(".."));
	printf("%s\n", getcwd(cwd, sizeof(cwd)) ? cwd + strlen(top) : t_errname(errno));
}

static void from_everywhere(const char *size)
{
	char dir[PATH_MAX + 4];

	snprintf(dir, sizeof(dir), "%s/", top);
	start((struct from){ "absolute", dir, .cwd = "/" }, below_top, COUNT(below_top));
	start((struct from){ "cwd", "", .cwd = top }, below_top, COUNT(below_top));
	start((struct from){ "local, cwd", "", .cwd = local }, below_local, COUNT(below_local));
	if (strcmp(size, "full") != 0)
		return;
	start((struct from){ "dirfd", "", "/", top, .flags = O_PATH }, below_top, COUNT(below_top));
	snprintf(dir, sizeof(dir), "%s/d", top);
	start((struct from){ "up from d", "../", .cwd = dir }, below_top, COUNT(below_top));
	snprintf(dir, sizeof(dir), "%s/", local);
	start((struct from){ "local, absolute", dir, .cwd = "/" }, below_local, COUNT(below_local));
	start((struct from){ "local, dirfd", "", "/", local, .flags = O_PATH }, below_local,
	      COUNT(below_local));
}

int main(void)
{
	const char *size = getenv("VT_SIZE") ? getenv("VT_SIZE") : "normal";

	t_start();
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	build();
	every = strcmp(size, "quick") != 0 ? 1 : 7;
	from_everywhere(size);
	every = 1;
	from_others();
	from_proc();
	lengths();
	mend();
	moving();
	close(at_top);
	return t_end();
}
