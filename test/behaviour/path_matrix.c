/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* timeout: 240 */
/*
 * Every call on paths, with every shape of a path, from every place that a path can start at. Each
 * answer is one line: an errno, or which object of the trees it was about.
 *
 * VT_DIR/t is rebuilt after each call that has changed it, and so is VT_LOCAL/t.
 */
#include "t.h"
#include <dirent.h>
#include <ftw.h>
#include <linux/openat2.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#ifndef RENAME_EXCHANGE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE	 2
#endif

/* --- the trees ------------------------------------------------------------------------------- */

static char top[PATH_MAX];   /* VT_DIR/t */
static char local[PATH_MAX]; /* VT_LOCAL/t */

/* Regular files are told by their size, directories by a file in them that is named after them. */
static void file_at(const char *dir, const char *name, size_t size)
{
	char path[2 * PATH_MAX];
	char data[64] = "";

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	t_put(path, data, size);
}

static void dir_at(const char *dir, const char *name, const char *tag)
{
	char path[3 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	MUST(mkdir(path, 0755) == 0);
	snprintf(path, sizeof(path), "%s/%s/%s", dir, name, tag);
	t_put(path, "", 0);
}

static void link_at(const char *dir, const char *name, const char *to, const char *rest)
{
	char path[2 * PATH_MAX];
	char target[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(target, sizeof(target), "%s%s", to, rest);
	MUST(symlink(target, path) == 0);
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

static void build(void)
{
	char path[2 * PATH_MAX];

	MUST(chdir("/") == 0);
	nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	nftw(local, remove_one, 8, FTW_DEPTH | FTW_PHYS);

	MUST(mkdir(top, 0755) == 0 && mkdir(local, 0755) == 0);
	file_at(top, "is-top", 0);
	file_at(top, "f", 1);
	dir_at(top, "d", "is-d");
	file_at(top, "d/f", 2);
	dir_at(top, "d/e", "is-e");
	snprintf(path, sizeof(path), "%s/empty", top);
	MUST(mkdir(path, 0755) == 0);
	dir_at(top, "np", "is-np");
	file_at(top, "np/f", 3);
	link_at(top, "l-f", "f", "");
	link_at(top, "l-d", "d", "");
	link_at(top, "l-d-slash", "d/", "");
	link_at(top, "l-none", "none", "");
	link_at(top, "l-loop", "l-loop", "");
	link_at(top, "l-abs-f", top, "/f");
	link_at(top, "l-abs-d", top, "/d");
	link_at(top, "l-out-f", local, "/f");
	link_at(top, "l-out-d", local, "/d");
	link_at(top, "l-out-none", local, "/none");
	link_at(top, "l-up-out", "../../../side/note", "");
	link_at(top, "l-up-side", "../../../side", "");
	link_at(top, "l-twice", "l-out-d/l-in-f", "");
	link_at(top, "d/l-up", "../f", "");
	link_at(top, "d/l-top", "..", "");
	snprintf(path, sizeof(path), "%s/fifo", top);
	MUST(mkfifo(path, 0644) == 0);

	file_at(local, "is-local", 0);
	file_at(local, "f", 5);
	dir_at(local, "d", "is-local-d");
	file_at(local, "d/f", 6);
	link_at(local, "l-in-f", top, "/f");
	link_at(local, "l-in-d", top, "/d");
	link_at(local, "l-in-none", top, "/none");
	link_at(local, "l-f", "f", "");
	link_at(local, "d/l-in-f", top, "/f");

	snprintf(path, sizeof(path), "%s/np", top);
	MUST(chmod(path, 0) == 0);
}

static bool has(int dir, const char *name)
{
	struct stat st;

	return !fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW);
}

/* What a descriptor is about. */
static const char *what_is(int fd)
{
	static const char *const tags[] = { "is-top",	"is-d",	      "is-e", "is-np",
					    "is-local", "is-local-d", "note", "side" };
	static char text[64];
	struct stat st;

	if (fstat(fd, &st))
		return t_errname(errno);
	if (!S_ISDIR(st.st_mode)) {
		snprintf(text, sizeof(text), "%s %ld",
			 S_ISREG(st.st_mode)	? "file"
			 : S_ISLNK(st.st_mode)	? "link"
			 : S_ISFIFO(st.st_mode) ? "fifo"
						: "other",
			 S_ISLNK(st.st_mode) ? 0L : (long)st.st_size);
		return text;
	}
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (has(fd, tags[i]))
			return tags[i];
	return "dir";
}

static const char *what_stat(const struct stat *st)
{
	static char text[64];

	if (S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode))
		snprintf(text, sizeof(text), "%s", S_ISDIR(st->st_mode) ? "dir" : "link");
	else
		snprintf(text, sizeof(text), "%o %ld links %ld", st->st_mode, (long)st->st_size,
			 (long)st->st_nlink);
	return text;
}

/* --- the calls: what they answer, and whether they have changed anything ---------------------- */

static bool changed;

static const char *answer(long r)
{
	static char text[32];

	if (r < 0)
		return t_errname(errno);
	snprintf(text, sizeof(text), "%ld", r);
	return text;
}

static const char *change(long r)
{
	changed |= r >= 0;
	return answer(r);
}

static const char *opened(int fd)
{
	static char text[80];

	if (fd < 0)
		return t_errname(errno);
	snprintf(text, sizeof(text), "%s", what_is(fd));
	close(fd);
	return text;
}

static const char *op_stat(int dir, const char *p, long flags)
{
	struct stat st;

	return fstatat(dir, p, &st, (int)flags) ? t_errname(errno) : what_stat(&st);
}

static const char *op_statx(int dir, const char *p, long flags)
{
	struct statx st;
	static char text[64];

	if (statx(dir, p, (int)flags, STATX_BASIC_STATS, &st))
		return t_errname(errno);
	snprintf(text, sizeof(text), "%o", S_ISLNK(st.stx_mode) ? S_IFLNK : st.stx_mode);
	return text;
}

static const char *op_access(int dir, const char *p, long flags)
{
	return answer(faccessat(dir, p, W_OK, (int)flags));
}

static const char *op_readlink(int dir, const char *p, long arg)
{
	static char text[2 * PATH_MAX];
	char buf[2 * PATH_MAX];
	ssize_t n = readlinkat(dir, p, buf, sizeof(buf) - 1);

	(void)arg;
	if (n < 0)
		return t_errname(errno);
	buf[n] = 0;
	snprintf(text, sizeof(text), "%s", buf[0] == '/' ? "absolute" : buf);
	return text;
}

static const char *op_open(int dir, const char *p, long flags)
{
	int fd = openat(dir, p, (int)flags | O_NONBLOCK, 0600);

	changed |= fd >= 0 && flags & (O_CREAT | O_TRUNC);
	return opened(fd);
}

static const char *op_open2(int dir, const char *p, long resolve)
{
	struct open_how how = { .flags = O_PATH, .resolve = (uint64_t)resolve };

	return opened((int)syscall(SYS_openat2, dir, p, &how, sizeof(how)));
}

static const char *op_open2_create(int dir, const char *p, long resolve)
{
	struct open_how how = { .flags = O_RDWR | O_CREAT | O_NONBLOCK,
				.mode = 0600,
				.resolve = (uint64_t)resolve };
	int fd = (int)syscall(SYS_openat2, dir, p, &how, sizeof(how));

	changed |= fd >= 0;
	return opened(fd);
}

static const char *op_mkdir(int dir, const char *p, long arg)
{
	(void)arg;
	return change(mkdirat(dir, p, 0755));
}

static const char *op_mknod(int dir, const char *p, long arg)
{
	return change(mknodat(dir, p, (mode_t)arg, 0));
}

static const char *op_unlink(int dir, const char *p, long flags)
{
	return change(unlinkat(dir, p, (int)flags));
}

static const char *op_symlink(int dir, const char *p, long arg)
{
	(void)arg;
	return change(symlinkat("f", dir, p));
}

static int fixed; /* where the other path of a call starts: the top */

static const char *op_link_from(int dir, const char *p, long flags)
{
	return change(linkat(dir, p, fixed, "new", (int)flags));
}

static const char *op_link_to(int dir, const char *p, long flags)
{
	return change(linkat(fixed, "f", dir, p, (int)flags));
}

static const char *op_rename_from(int dir, const char *p, long flags)
{
	return change(renameat2(dir, p, fixed, flags & RENAME_EXCHANGE ? "f" : "new",
				(unsigned int)flags));
}

static const char *op_rename_to(int dir, const char *p, long flags)
{
	return change(renameat2(fixed, "f", dir, p, (unsigned int)flags));
}

static const char *op_rename_dir_to(int dir, const char *p, long flags)
{
	return change(renameat2(fixed, "d", dir, p, (unsigned int)flags));
}

static const char *op_chmod(int dir, const char *p, long arg)
{
	(void)arg;
	return change(fchmodat(dir, p, 0700, 0));
}

static const char *op_chown(int dir, const char *p, long flags)
{
	return answer(fchownat(dir, p, getuid(), (gid_t)-1, (int)flags));
}

static const char *op_utimes(int dir, const char *p, long flags)
{
	const struct timespec t[2] = { { 1, 0 }, { 2, 0 } };

	return answer(utimensat(dir, p, t, (int)flags));
}

/* --- those that know no directory ------------------------------------------------------------- */

static const char *op_truncate(int dir, const char *p, long arg)
{
	(void)dir;
	return change(truncate(p, arg));
}

static const char *op_statfs(int dir, const char *p, long arg)
{
	struct statfs s;

	(void)dir;
	(void)arg;
	return answer(statfs(p, &s));
}

static const char *op_listxattr(int dir, const char *p, long arg)
{
	(void)dir;
	return answer(arg ? llistxattr(p, NULL, 0) : listxattr(p, NULL, 0));
}

static const char *op_getxattr(int dir, const char *p, long arg)
{
	char buf[16];

	(void)dir;
	return answer(arg ? lgetxattr(p, "user.none", buf, 16) : getxattr(p, "user.none", buf, 16));
}

/* In and back again. */
static const char *op_chdir(int dir, const char *p, long arg)
{
	static char text[PATH_MAX + 64];
	char cwd[PATH_MAX] = "";
	int here = open(".", O_PATH | O_CLOEXEC);
	int fd;

	(void)dir;
	(void)arg;
	if (here < 0 || chdir(p)) {
		close(here);
		return t_errname(errno);
	}
	fd = open(".", O_PATH | O_CLOEXEC);
	if (!getcwd(cwd, sizeof(cwd)))
		snprintf(cwd, sizeof(cwd), "%s", t_errname(errno));
	snprintf(text, sizeof(text), "%s %s", opened(fd),
		 !strncmp(cwd, top, strlen(top))       ? cwd + strlen(top)
		 : !strncmp(cwd, local, strlen(local)) ? "local"
		 : cwd[0] == '/'		       ? "elsewhere"
						       : cwd);
	MUST(fchdir(here) == 0);
	close(here);
	return text;
}

static const char *op_opendir(int dir, const char *p, long arg)
{
	static char text[32];
	struct dirent *e;
	int n = 0;
	DIR *d;

	(void)dir;
	(void)arg;
	d = opendir(p);
	if (!d)
		return t_errname(errno);
	while ((e = readdir(d)))
		n++;
	closedir(d);
	snprintf(text, sizeof(text), "%d names", n);
	return text;
}

static const char *op_realpath(int dir, const char *p, long arg)
{
	static char text[PATH_MAX];
	char *r;

	(void)dir;
	(void)arg;
	r = realpath(p, NULL);
	if (!r)
		return t_errname(errno);
	snprintf(text, sizeof(text), "%s",
		 !strncmp(r, top, strlen(top))	     ? r + strlen(top)
		 : !strncmp(r, local, strlen(local)) ? "local"
						     : "elsewhere");
	free(r);
	return text;
}

static const char *op_exec(int dir, const char *p, long arg)
{
	(void)dir;
	(void)arg;
	execl(p, p, NULL);
	return t_errname(errno);
}

#define AT	1 /* takes a directory */
#define CHANGES 2

static const struct op {
	const char *name;
	const char *(*fn)(int dir, const char *path, long arg);
	long arg;
	int how;
} ops[] = {
	{ "stat", op_stat, 0, AT },
	{ "lstat", op_stat, AT_SYMLINK_NOFOLLOW, AT },
	{ "stat empty", op_stat, AT_EMPTY_PATH, AT },
	{ "lstat empty", op_stat, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, AT },
	{ "stat bad flag", op_stat, 0x10, AT },
	{ "statx", op_statx, 0, AT },
	{ "statx nofollow", op_statx, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, AT },
	{ "statx empty", op_statx, AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, AT },
	{ "access", op_access, 0, AT },
	{ "access effective", op_access, AT_EACCESS, AT },
	{ "access nofollow", op_access, AT_SYMLINK_NOFOLLOW, AT },
	{ "access empty", op_access, AT_EMPTY_PATH, AT },
	{ "readlink", op_readlink, 0, AT },
	{ "open", op_open, O_RDONLY, AT },
	{ "open write", op_open, O_WRONLY, AT | CHANGES },
	{ "open nofollow", op_open, O_RDONLY | O_NOFOLLOW, AT },
	{ "open directory", op_open, O_RDONLY | O_DIRECTORY, AT },
	{ "open directory nofollow", op_open, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, AT },
	{ "open path", op_open, O_PATH, AT },
	{ "open path nofollow", op_open, O_PATH | O_NOFOLLOW, AT },
	{ "open path directory", op_open, O_PATH | O_DIRECTORY, AT },
	{ "open path directory nofollow", op_open, O_PATH | O_DIRECTORY | O_NOFOLLOW, AT },
	{ "open create", op_open, O_RDWR | O_CREAT, AT | CHANGES },
	{ "open create exclusive", op_open, O_RDWR | O_CREAT | O_EXCL, AT | CHANGES },
	{ "open create nofollow", op_open, O_RDWR | O_CREAT | O_NOFOLLOW, AT | CHANGES },
	{ "open create directory", op_open, O_RDONLY | O_CREAT | O_DIRECTORY, AT | CHANGES },
	{ "open truncate", op_open, O_WRONLY | O_TRUNC, AT | CHANGES },
	{ "open tmpfile", op_open, O_RDWR | O_TMPFILE, AT | CHANGES },
	{ "openat2", op_open2, 0, AT },
	{ "openat2 no symlinks", op_open2, RESOLVE_NO_SYMLINKS, AT },
	{ "openat2 no magic links", op_open2, RESOLVE_NO_MAGICLINKS, AT },
	{ "openat2 beneath", op_open2, RESOLVE_BENEATH, AT },
	{ "openat2 beneath no symlinks", op_open2, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, AT },
	{ "openat2 in root", op_open2, RESOLVE_IN_ROOT, AT },
	{ "openat2 in root no symlinks", op_open2, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS, AT },
	{ "openat2 beneath in root", op_open2, RESOLVE_BENEATH | RESOLVE_IN_ROOT, AT },
	{ "openat2 no xdev", op_open2, RESOLVE_NO_XDEV, AT },
	{ "openat2 no xdev beneath", op_open2, RESOLVE_NO_XDEV | RESOLVE_BENEATH, AT },
	{ "openat2 beneath create", op_open2_create, RESOLVE_BENEATH, AT | CHANGES },
	{ "openat2 in root create", op_open2_create, RESOLVE_IN_ROOT, AT | CHANGES },
	{ "mkdir", op_mkdir, 0, AT | CHANGES },
	{ "mknod", op_mknod, S_IFREG | 0600, AT | CHANGES },
	{ "mknod bad", op_mknod, S_IFDIR | 0600, AT | CHANGES },
	{ "unlink", op_unlink, 0, AT | CHANGES },
	{ "rmdir", op_unlink, AT_REMOVEDIR, AT | CHANGES },
	{ "unlink bad flag", op_unlink, AT_SYMLINK_NOFOLLOW, AT | CHANGES },
	{ "symlink", op_symlink, 0, AT | CHANGES },
	{ "link from", op_link_from, 0, AT | CHANGES },
	{ "link from follow", op_link_from, AT_SYMLINK_FOLLOW, AT | CHANGES },
	{ "link from empty", op_link_from, AT_EMPTY_PATH, AT | CHANGES },
	{ "link from bad flag", op_link_from, AT_SYMLINK_NOFOLLOW, AT | CHANGES },
	{ "link to", op_link_to, 0, AT | CHANGES },
	{ "rename from", op_rename_from, 0, AT | CHANGES },
	{ "rename from exchange", op_rename_from, RENAME_EXCHANGE, AT | CHANGES },
	{ "rename to", op_rename_to, 0, AT | CHANGES },
	{ "rename to noreplace", op_rename_to, RENAME_NOREPLACE, AT | CHANGES },
	{ "rename to exchange", op_rename_to, RENAME_EXCHANGE, AT | CHANGES },
	{ "rename to bad flags", op_rename_to, RENAME_EXCHANGE | RENAME_NOREPLACE, AT | CHANGES },
	{ "rename directory to", op_rename_dir_to, 0, AT | CHANGES },
	{ "chmod", op_chmod, 0, AT | CHANGES },
	{ "chown", op_chown, 0, AT | CHANGES },
	{ "chown nofollow", op_chown, AT_SYMLINK_NOFOLLOW, AT | CHANGES },
	{ "chown empty", op_chown, AT_EMPTY_PATH, AT | CHANGES },
	{ "utimens", op_utimes, 0, AT | CHANGES },
	{ "utimens nofollow", op_utimes, AT_SYMLINK_NOFOLLOW, AT | CHANGES },
	{ "truncate", op_truncate, 9, CHANGES },
	{ "truncate negative", op_truncate, -1, CHANGES },
	{ "statfs", op_statfs, 0, 0 },
	{ "listxattr", op_listxattr, 0, 0 },
	{ "llistxattr", op_listxattr, 1, 0 },
	{ "getxattr", op_getxattr, 0, 0 },
	{ "lgetxattr", op_getxattr, 1, 0 },
	{ "chdir", op_chdir, 0, 0 },
	{ "opendir", op_opendir, 0, 0 },
	{ "realpath", op_realpath, 0, 0 },
	{ "exec", op_exec, 0, 0 },
};

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

struct from {
	const char *name;
	char before[PATH_MAX]; /* goes before the shape */
	int dir;
	const char *cwd;
};

static char long_path[PATH_MAX + 64];

static void one(const struct op *op, const struct from *from, const char *shape)
{
	char path[3 * PATH_MAX];
	const char *r;

	/* What lies beside the tree, or above it, is not rebuilt, other tests read it; and it is
	 * another file system than the tree is, or not. */
	if (op->how & CHANGES && (strstr(shape, "../../..") || strstr(shape, "l-up-") ||
				  !strcmp(from->before[0] ? from->before : shape, "/")))
		return;
	if (op->fn == op_link_from && strstr(shape, "l-up-"))
		return;
	if (op->fn == op_opendir && strstr(shape, ".."))
		return;
	/* A prefix is a mount point, which the tree natively is not. */
	if (op->fn == op_open2 && op->arg & RESOLVE_NO_XDEV &&
	    (from->before[0] == '/' || shape[0] == '/' || strstr(shape, "../../..") ||
	     strstr(shape, "l-up-") || strstr(shape, "l-abs-")))
		return;
	/* The mode of the link in /proc tells how it was opened; a placeholder's does not. */
	if (op->fn == op_access && op->arg & AT_SYMLINK_NOFOLLOW && !*shape)
		return;
	snprintf(path, sizeof(path), "%s%s", from->before, shape);
	if (op->fn == op_truncate && !strcmp(path, "fifo"))
		return;
	changed = false;
	MUST(chdir(from->cwd) == 0);
	fixed = open(top, O_PATH | O_DIRECTORY);
	r = op->fn(from->dir, path, op->arg);
	printf("%s, %s: %s: %s\n", op->name, from->name, strlen(shape) > 200 ? "(long)" : shape, r);
	close(fixed);
}

static void from_here(struct from *from, const char *const *shape, size_t n, const char *dir)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (from->dir != AT_FDCWD && !(ops[i].how & AT))
			continue;
		for (size_t k = 0; k < n; k++) {
			if (dir) {
				from->dir = open(dir, O_PATH | O_DIRECTORY);
				MUST(from->dir >= 0);
			}
			one(&ops[i], from, shape[k]);
			if (dir)
				close(from->dir);
			if (changed)
				build();
		}
	}
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void start_at(const char *name, const char *before, const char *cwd, const char *dir,
		     const char *const *shape, size_t n)
{
	struct from from = { .name = name, .dir = dir ? 0 : AT_FDCWD, .cwd = cwd };

	snprintf(from.before, sizeof(from.before), "%s", before);
	from_here(&from, shape, n, dir);
}

/* A descriptor that is no directory, or none. */
static void from_others(void)
{
	static const char *const few[] = { "", ".", "..", "f", "/", "none" };
	char path[2 * PATH_MAX];
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
		{ "bad", NULL, 0 },
	};

	for (size_t o = 0; o < COUNT(objects); o++) {
		for (size_t i = 0; i < COUNT(ops); i++) {
			if (!(ops[i].how & AT))
				continue;
			for (size_t k = 0; k < COUNT(few); k++) {
				struct from from = { .name = objects[o].name,
						     .dir = 400,
						     .cwd = "/" };

				if (objects[o].object) {
					snprintf(path, sizeof(path), "%s/%s", top,
						 objects[o].object);
					from.dir = open(path, objects[o].flags);
					MUST(from.dir >= 0);
				}
				one(&ops[i], &from, few[k]);
				if (objects[o].object)
					close(from.dir);
				if (changed)
					build();
			}
		}
	}
}

/* By way of /proc. */
static void from_proc(void)
{
	static const char *const few[] = { "",	      "/",    "/.",	  "/f",	   "/..",
					   "/../t/f", "/l-f", "/l-out-f", "/none", "/l-abs-d/f" };
	char name[64];
	int fd = open(top, O_RDONLY | O_DIRECTORY);

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	start_at("/proc/self/fd/N", name, "/", NULL, few, COUNT(few));
	close(fd);
	start_at("/proc/self/cwd", "/proc/self/cwd", top, NULL, few, COUNT(few));
	start_at("/proc/thread-self/cwd", "/proc/thread-self/cwd", top, NULL, few, COUNT(few));
}

static void lengths(void)
{
	size_t n = (size_t)snprintf(long_path, sizeof(long_path), "%s", top);

	printf("-- lengths\n");
	while (n + 2 < PATH_MAX - 2)
		n += (size_t)snprintf(long_path + n, sizeof(long_path) - n, "/.");
	while (n < PATH_MAX - 1)
		long_path[n++] = '/';
	for (int i = 0; i < 2; i++) {
		long_path[n] = 0;
		for (size_t k = 0; k < COUNT(ops); k++) {
			struct from from = { .name = i ? "PATH_MAX" : "PATH_MAX - 1",
					     .dir = AT_FDCWD,
					     .cwd = "/" };

			if (ops[k].fn == op_rename_from)
				continue;
			one(&ops[k], &from, long_path);
			if (changed)
				build();
		}
		long_path[n++] = '/';
	}
}

/* A working directory that moves, and one that goes. */
static void moving(void)
{
	char path[2 * PATH_MAX];
	char to[2 * PATH_MAX];
	char cwd[PATH_MAX];

	printf("-- moving\n");
	build();
	snprintf(path, sizeof(path), "%s/d/e", top);
	snprintf(to, sizeof(to), "%s/moved", top);
	MUST(chdir(path) == 0);
	SHOW(rename(path, to));
	printf("%s\n", getcwd(cwd, sizeof(cwd)) ? cwd + strlen(top) : t_errname(errno));
	TRY(open("is-e", O_RDONLY) < 0 ? -1 : close(3));
	TRY(open("../f", O_RDONLY) < 0 ? -1 : close(3));
	SHOW(unlink("is-e"));
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

static void from_everywhere(bool quick)
{
	char dir[PATH_MAX + 4];

	snprintf(dir, sizeof(dir), "%s/", top);
	start_at("absolute", dir, "/", NULL, below_top, COUNT(below_top));
	start_at("cwd", "", top, NULL, below_top, COUNT(below_top));
	start_at("local, cwd", "", local, NULL, below_local, COUNT(below_local));
	if (quick)
		return;
	start_at("dirfd", "", "/", top, below_top, COUNT(below_top));
	snprintf(dir, sizeof(dir), "%s/d", top);
	start_at("up from d", "../", dir, NULL, below_top, COUNT(below_top));
	snprintf(dir, sizeof(dir), "%s/", local);
	start_at("local, absolute", dir, "/", NULL, below_local, COUNT(below_local));
	start_at("local, dirfd", "", "/", local, below_local, COUNT(below_local));
}

int main(void)
{
	t_start();
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	snprintf(top, sizeof(top), "%s", P("t"));
	snprintf(local, sizeof(local), "%s", L("t"));
	build();
	from_everywhere(!getenv("VT_SIZE") || strcmp(getenv("VT_SIZE"), "full") != 0);
	from_others();
	from_proc();
	lengths();
	moving();
	build();
	return t_end();
}
