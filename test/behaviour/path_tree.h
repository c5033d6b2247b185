/* SPDX-License-Identifier: MIT */
/*
 * Two trees with symlinks into each other, for calls on paths: VT_DIR/t and VT_LOCAL/t. Each object
 * is known again by its inode number, whatever way led to it. After a call that may have changed
 * something, mend() says what is different from before, and undoes it.
 */
#ifndef PATH_TREE_H
#define PATH_TREE_H

#include "t.h"
#include <dirent.h>
#include <ftw.h>

static char top[PATH_MAX];   /* VT_DIR/t */
static char local[PATH_MAX]; /* VT_LOCAL/t */
static int at_top = -1;

/* Parents come before what is in them. */
static struct node {
	const char *tree;
	const char *path;
	mode_t mode;
	int size;	    /* of a regular file: no two have the same */
	const char *into;   /* symlinks lead there... */
	const char *target; /* ... and on */
	dev_t dev;
	ino_t ino;
	bool seen; /* by mend_names() */
} nodes[] = {
	{ top, "", .mode = S_IFDIR | 0755 },
	{ top, "f", .mode = S_IFREG | 0644, .size = 1 },
	{ top, "fifo", .mode = S_IFIFO | 0644 },
	{ top, "fifo-x", .mode = S_IFIFO | 0755 },
	{ top, "l-f", .mode = S_IFLNK, .target = "f" },
	{ top, "l-d", .mode = S_IFLNK, .target = "d" },
	{ top, "l-d-slash", .mode = S_IFLNK, .target = "d/" },
	{ top, "l-none", .mode = S_IFLNK, .target = "none" },
	{ top, "l-loop", .mode = S_IFLNK, .target = "l-loop" },
	{ top, "l-abs-f", .mode = S_IFLNK, .into = top, .target = "/f" },
	{ top, "l-abs-d", .mode = S_IFLNK, .into = top, .target = "/d" },
	{ top, "l-out-f", .mode = S_IFLNK, .into = local, .target = "/f" },
	{ top, "l-out-d", .mode = S_IFLNK, .into = local, .target = "/d" },
	{ top, "l-out-none", .mode = S_IFLNK, .into = local, .target = "/none" },
	{ top, "l-up-out", .mode = S_IFLNK, .target = "../../../side/note" },
	{ top, "l-up-side", .mode = S_IFLNK, .target = "../../../side" },
	{ top, "l-twice", .mode = S_IFLNK, .target = "l-out-d/l-in-f" },
	{ top, "d", .mode = S_IFDIR | 0755 },
	{ top, "d/f", .mode = S_IFREG | 0644, .size = 2 },
	{ top, "d/l-up", .mode = S_IFLNK, .target = "../f" },
	{ top, "d/l-top", .mode = S_IFLNK, .target = ".." },
	{ top, "d/e", .mode = S_IFDIR | 0755 },
	{ top, "d/e/in-e", .mode = S_IFREG | 0644, .size = 4 },
	{ top, "empty", .mode = S_IFDIR | 0755 },
	{ top, "np", .mode = S_IFDIR },
	{ top, "np/f", .mode = S_IFREG | 0644, .size = 3 },
	{ local, "", .mode = S_IFDIR | 0755 },
	{ local, "f", .mode = S_IFREG | 0644, .size = 5 },
	{ local, "l-in-f", .mode = S_IFLNK, .into = top, .target = "/f" },
	{ local, "l-in-d", .mode = S_IFLNK, .into = top, .target = "/d" },
	{ local, "l-in-none", .mode = S_IFLNK, .into = top, .target = "/none" },
	{ local, "l-f", .mode = S_IFLNK, .target = "f" },
	{ local, "d", .mode = S_IFDIR | 0755 },
	{ local, "d/f", .mode = S_IFREG | 0644, .size = 6 },
	{ local, "d/l-in-f", .mode = S_IFLNK, .into = top, .target = "/f" },
};

#define NODES (sizeof(nodes) / sizeof(nodes[0]))

static const char *node_path(const struct node *n)
{
	static char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", n->tree, n->path);
	return path;
}

static const char *node_name(const struct node *n)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s/%s", n->tree == top ? "t" : "local", n->path);
	return name;
}

static const struct node *node_of(const struct stat *st)
{
	for (size_t i = 0; i < NODES; i++)
		if (nodes[i].ino == st->st_ino && nodes[i].dev == st->st_dev)
			return &nodes[i];
	return NULL;
}

static bool is_in(const struct node *n, const struct node *dir)
{
	const char *slash = strrchr(n->path, '/');
	size_t len = slash ? (size_t)(slash - n->path) : 0;

	return n != dir && n->tree == dir->tree && len == strlen(dir->path) &&
	       !memcmp(n->path, dir->path, len);
}

static struct node *node_in(const struct node *dir, const char *name)
{
	for (size_t i = 0; i < NODES; i++) {
		const char *slash = strrchr(nodes[i].path, '/');

		if (is_in(&nodes[i], dir) && !strcmp(slash ? slash + 1 : nodes[i].path, name))
			return &nodes[i];
	}
	return NULL;
}

/* --- making, removing ------------------------------------------------------------------------- */

static void put_node(struct node *n)
{
	const char *path = node_path(n);
	char text[64] = "";
	char target[2 * PATH_MAX];
	struct stat st;

	switch (n->mode & S_IFMT) {
	case S_IFDIR:
		n->ino = 0; /* a new one, which has nothing in it yet */
		MUST(mkdir(path, 0755) == 0);
		return;
	case S_IFREG:
		t_put(path, text, (size_t)n->size);
		break;
	case S_IFIFO:
		MUST(mkfifo(path, n->mode & 0777) == 0);
		break;
	default:
		snprintf(target, sizeof(target), "%s%s", n->into ? n->into : "", n->target);
		MUST(symlink(target, path) == 0);
	}
	MUST(lstat(path, &st) == 0);
	n->dev = st.st_dev;
	n->ino = st.st_ino;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *w)
{
	(void)st;
	(void)w;
	if (type == FTW_DNR) { /* wherever the closed directory has been moved */
		chmod(path, 0700);
		return nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	}
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

static void discard(const char *path)
{
	if (unlink(path) && errno != ENOENT)
		nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- as it was --------------------------------------------------------------------------------- */

/* It has the right name: is it the right object? Symlinks never change places here. */
static bool intact(const struct node *n, int type)
{
	struct stat st;

	if (type != (int)IFTODT(n->mode))
		return false;
	if (S_ISDIR(n->mode) || S_ISLNK(n->mode))
		return true;
	MUST(lstat(node_path(n), &st) == 0);
	return st.st_mode == n->mode && st.st_size == n->size && st.st_ino == n->ino;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct dirent64 *const *)a)->d_name,
		      (*(struct dirent64 *const *)b)->d_name);
}

/* What a directory holds, in an order that all file systems have. */
static size_t names(int fd, char *list, size_t size, struct dirent64 **e, size_t max)
{
	ssize_t end = getdents64(fd, list, size);
	size_t n = 0;

	MUST(end > 0);
	for (ssize_t at = 0; at < end; at += e[n++]->d_reclen) {
		MUST(n < max);
		e[n] = (struct dirent64 *)(list + at);
	}
	qsort(e, n, sizeof(*e), by_name);
	return n;
}

static void mend_names(struct node *dir, int fd, bool tell)
{
	char path[3 * PATH_MAX];
	char list[4096];
	struct dirent64 *e[64];
	size_t count = names(fd, list, sizeof(list), e, 64);

	for (size_t i = 0; i < NODES; i++)
		if (is_in(&nodes[i], dir))
			nodes[i].seen = false;
	for (size_t i = 0; i < count; i++) {
		struct node *n = node_in(dir, e[i]->d_name);

		if (!strcmp(e[i]->d_name, ".") || !strcmp(e[i]->d_name, ".."))
			continue;
		if (n && intact(n, e[i]->d_type)) {
			n->seen = true;
			continue;
		}
		if (tell)
			printf("  not as before: %.32s in %s\n", e[i]->d_name, node_name(dir));
		snprintf(path, sizeof(path), "%s/%s", node_path(dir), e[i]->d_name);
		discard(path);
	}
	for (size_t i = 0; i < NODES; i++) {
		if (!is_in(&nodes[i], dir) || nodes[i].seen)
			continue;
		if (tell)
			printf("  made again: %s\n", node_name(&nodes[i]));
		put_node(&nodes[i]);
	}
}

static void mend_dir(struct node *dir, bool tell)
{
	int fd = open(node_path(dir), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	struct stat st;

	if (fd < 0) { /* closed to others, and to us */
		MUST(errno == EACCES && !(dir->mode & 0777));
		return;
	}
	MUST(fstat(fd, &st) == 0);
	tell = tell && dir->ino;
	if (tell && dir->ino != st.st_ino)
		printf("  another one: %s\n", node_name(dir));
	dir->dev = st.st_dev;
	dir->ino = st.st_ino;
	mend_names(dir, fd, tell);
	close(fd);
	if (st.st_mode == dir->mode)
		return;
	if (tell)
		printf("  had another mode: %s\n", node_name(dir));
	MUST(chmod(node_path(dir), dir->mode & 0777) == 0);
}

static void mend_as(bool tell)
{
	for (size_t i = 0; i < NODES; i++)
		if (S_ISDIR(nodes[i].mode))
			mend_dir(&nodes[i], tell);
}

static void mend(void)
{
	mend_as(true);
}

static void build(void)
{
	snprintf(top, sizeof(top), "%s", P("t"));
	snprintf(local, sizeof(local), "%s", L("t"));
	for (size_t i = 0; i < NODES; i++)
		if (!nodes[i].path[0])
			put_node(&nodes[i]);
	mend_as(false);
	at_top = open(top, O_PATH | O_DIRECTORY);
	MUST(at_top >= 0);
}

#endif
