/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* stat() in all its forms: types, sizes, link counts; all forms agree about one file. */
#include "t.h"
#include <sys/sysmacros.h>

static void show(const char *label, int ret, const struct stat *st)
{
	if (ret) {
		printf("%s: %s\n", label, t_errname(errno));
		return;
	}
	printf("%s: mode %o links %lu size %ld blksize %ld blocks %ld\n", label, st->st_mode,
	       (unsigned long)st->st_nlink, S_ISDIR(st->st_mode) ? 0 : (long)st->st_size,
	       (long)st->st_blksize, (long)st->st_blocks);
	CHECK(st->st_uid == geteuid() && st->st_gid == getegid());
	CHECK(st->st_mtime > 1600000000);
}

static void agree(const char *name)
{
	struct statx sx;
	struct stat a;
	struct stat b;
	int fd = open(P(name), O_RDONLY | O_NONBLOCK);

	MUST(fd >= 0);
	MUST(stat(P(name), &a) == 0);
	MUST(fstat(fd, &b) == 0);
	CHECK(!memcmp(&a, &b, sizeof(a)));
	MUST(fstatat(fd, "", &b, AT_EMPTY_PATH) == 0);
	CHECK(!memcmp(&a, &b, sizeof(a)));
	MUST(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx) == 0);
	CHECK(sx.stx_ino == a.st_ino && sx.stx_size == (uint64_t)a.st_size);
	CHECK(sx.stx_mode == a.st_mode && sx.stx_nlink == a.st_nlink);
	CHECK(makedev(sx.stx_dev_major, sx.stx_dev_minor) == a.st_dev);
	CHECK(sx.stx_mtime.tv_sec == a.st_mtim.tv_sec);
	CHECK(sx.stx_mtime.tv_nsec == a.st_mtim.tv_nsec);
	CHECK((sx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	close(fd);
}

static void errors(int dir)
{
	struct statx sx;
	struct stat st;

	SHOW(stat(P("missing"), &st));
	SHOW(stat("", &st));
	SHOW(stat(P("file/x"), &st));
	SHOW(stat(P("file/"), &st));
	SHOW(stat(P("dangling"), &st));
	SHOW(lstat(P("dangling/"), &st));
	SHOW(fstat(-1, &st));
	SHOW(fstatat(dir, "", &st, 0));
	SHOW(fstatat(dir, "file", &st, 0x4000000));
	SHOW(fstatat(-1, "file", &st, 0));
	SHOW(statx(dir, "none", 0, STATX_BASIC_STATS, &sx));
	SHOW(statx(dir, "file", 0x4000000, STATX_BASIC_STATS, &sx));
	SHOW(statx(dir, "file", 0, 0x80000000u, &sx));
	SHOW(statx(dir, "file", AT_STATX_FORCE_SYNC, STATX_SIZE, &sx));
	SHOW(statx(dir, "file", AT_STATX_DONT_SYNC, STATX_SIZE, &sx));
}

int main(void)
{
	struct stat st;
	struct stat other;
	int dir;

	t_start();
	t_puts(P("file"), "0123456789");
	MUST(link(P("file"), P("hard")) == 0);
	MUST(mkdir(P("dir"), 0750) == 0);
	MUST(mkdir(P("dir/sub"), 0750) == 0);
	MUST(symlink("file", P("link")) == 0);
	MUST(symlink("nowhere", P("dangling")) == 0);
	MUST(mkfifo(P("fifo"), 0640) == 0);
	dir = TRY(open(P("."), O_RDONLY | O_DIRECTORY));

	show("stat file", stat(P("file"), &st), &st);
	show("stat dir", stat(P("dir"), &st), &st);
	show("stat fifo", stat(P("fifo"), &st), &st);
	show("stat link", stat(P("link"), &st), &st);
	show("lstat link", lstat(P("link"), &st), &st);
	show("lstat dangling", lstat(P("dangling"), &st), &st);
	show("fstatat", fstatat(dir, "link", &st, 0), &st);
	show("fstatat nofollow", fstatat(dir, "link", &st, AT_SYMLINK_NOFOLLOW), &st);
	show("fstatat empty", fstatat(dir, "", &st, AT_EMPTY_PATH), &st);
	show("fstatat absolute", fstatat(-1, P("file"), &st, 0), &st);
	MUST(stat(P("file"), &st) == 0 && stat(P("hard"), &other) == 0);
	CHECK(st.st_ino == other.st_ino && st.st_dev == other.st_dev);
	MUST(stat(P("dir"), &other) == 0);
	CHECK(st.st_ino != other.st_ino && st.st_dev == other.st_dev);
	MUST(stat(L(""), &other) == 0);
	CHECK(st.st_dev != other.st_dev);
	agree("file");
	agree("dir");
	agree("fifo");
	errors(dir);
	close(dir);
	return t_end();
}
