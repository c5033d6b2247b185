/* SPDX-License-Identifier: MIT */
/*
 * Calls on paths, in a form that all have in common: what they answer is an errno, or which object
 * they were about.
 */
#ifndef PATH_OPS_H
#define PATH_OPS_H

#include "path_tree.h"
#include <linux/openat2.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#ifndef RENAME_EXCHANGE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE	 2
#endif

static bool changed; /* something in the trees, perhaps */

/* --- answers ----------------------------------------------------------------------------------- */

static const char *what_stat(const struct stat *st)
{
	static char text[128];
	const struct node *n = node_of(st);
	const char *name = n ? node_name(n) : "other";

	if (S_ISREG(st->st_mode))
		snprintf(text, sizeof(text), "%s %o %ld links %ld", name, st->st_mode,
			 (long)st->st_size, (long)st->st_nlink);
	else
		snprintf(text, sizeof(text), "%s %o", name,
			 S_ISLNK(st->st_mode) || !n ? st->st_mode & S_IFMT : st->st_mode);
	return text;
}

/* @flags: those it was opened with. */
static const char *opened(int fd, long flags)
{
	struct stat st = { 0 };
	const char *r;

	if (fd < 0)
		return t_errname(errno);
	r = fstat(fd, &st) ? t_errname(errno) : what_stat(&st);
	close(fd);
	changed |= flags & O_TRUNC || (flags & O_CREAT && !node_of(&st));
	return r;
}

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

/* --- the calls --------------------------------------------------------------------------------- */

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
	return opened(openat(dir, p, (int)flags | O_NONBLOCK, 0600), flags);
}

static const char *op_open2(int dir, const char *p, long resolve)
{
	struct open_how how = { .flags = O_PATH, .resolve = (uint64_t)resolve };

	return opened((int)syscall(SYS_openat2, dir, p, &how, sizeof(how)), 0);
}

static const char *op_open2_create(int dir, const char *p, long resolve)
{
	struct open_how how = { .flags = O_RDWR | O_CREAT | O_NONBLOCK,
				.mode = 0600,
				.resolve = (uint64_t)resolve };

	return opened((int)syscall(SYS_openat2, dir, p, &how, sizeof(how)), O_CREAT);
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

/* The other path of a call starts at the top. */
static const char *op_link_from(int dir, const char *p, long flags)
{
	return change(linkat(dir, p, at_top, "new", (int)flags));
}

static const char *op_link_to(int dir, const char *p, long flags)
{
	return change(linkat(at_top, "f", dir, p, (int)flags));
}

static const char *op_rename_from(int dir, const char *p, long flags)
{
	return change(renameat2(dir, p, at_top, flags & RENAME_EXCHANGE ? "f" : "new",
				(unsigned int)flags));
}

static const char *op_rename_to(int dir, const char *p, long flags)
{
	return change(renameat2(at_top, "f", dir, p, (unsigned int)flags));
}

static const char *op_rename_dir_to(int dir, const char *p, long flags)
{
	return change(renameat2(at_top, "d", dir, p, (unsigned int)flags));
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
	snprintf(text, sizeof(text), "%s %s", opened(fd, 0),
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

/* --- all of them ------------------------------------------------------------------------------- */

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

#endif
