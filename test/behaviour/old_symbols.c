/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* The names that programs built before glibc 2.33 call for stat() and mknod(). */
#include "t.h"

/* Bound the way an old binary is: to the version that libc keeps for it. */
#define OLD(type, name, ...)                                       \
	__asm__(".symver old_" #name ", __" #name "@GLIBC_2.2.5"); \
	extern type old_##name(__VA_ARGS__)

__asm__(".symver old_fxstatat, __fxstatat@GLIBC_2.4");
__asm__(".symver old_fxstatat64, __fxstatat64@GLIBC_2.4");
__asm__(".symver old_xmknodat, __xmknodat@GLIBC_2.4");
extern int old_fxstatat(int, int, const char *, struct stat *, int);
extern int old_fxstatat64(int, int, const char *, struct stat *, int);
extern int old_xmknodat(int, int, const char *, mode_t, dev_t *);
OLD(int, xstat, int, const char *, struct stat *);
OLD(int, lxstat, int, const char *, struct stat *);
OLD(int, fxstat, int, int, struct stat *);
OLD(int, xstat64, int, const char *, struct stat *);
OLD(int, lxstat64, int, const char *, struct stat *);
OLD(int, fxstat64, int, int, struct stat *);
OLD(int, xmknod, int, const char *, mode_t, dev_t *);

enum { STAT_VERSION = 1, MKNOD_VERSION = 0 };

static void show(const char *label, int ret, const struct stat *st)
{
	if (ret)
		printf("%s: %s\n", label, t_errname(errno));
	else
		printf("%s: mode %o size %ld\n", label, st->st_mode, (long)st->st_size);
}

int main(void)
{
	struct stat st;
	dev_t dev = 0;
	int fd;

	t_start();
	t_puts(P("f"), "text");
	MUST(symlink("f", P("l")) == 0);
	fd = open(P("f"), O_RDONLY);
	show("xstat", old_xstat(STAT_VERSION, P("l"), &st), &st);
	show("lxstat", old_lxstat(STAT_VERSION, P("l"), &st), &st);
	show("fxstat", old_fxstat(STAT_VERSION, fd, &st), &st);
	show("fxstatat", old_fxstatat(STAT_VERSION, AT_FDCWD, P("f"), &st, 0), &st);
	show("xstat64", old_xstat64(STAT_VERSION, P("l"), &st), &st);
	show("lxstat64", old_lxstat64(STAT_VERSION, P("l"), &st), &st);
	show("fxstat64", old_fxstat64(STAT_VERSION, fd, &st), &st);
	show("fxstatat64", old_fxstatat64(STAT_VERSION, AT_FDCWD, P("f"), &st, 0), &st);
	show("missing", old_xstat(STAT_VERSION, P("none"), &st), &st);
	show("local", old_xstat(STAT_VERSION, "/dev/null", &st), &st);
	SHOW(old_xmknod(MKNOD_VERSION, P("fifo"), S_IFIFO | 0600, &dev));
	SHOW(old_xmknodat(MKNOD_VERSION, AT_FDCWD, P("node"), S_IFREG | 0600, &dev));
	show("made", lstat(P("fifo"), &st), &st);
	close(fd);
	return t_end();
}
