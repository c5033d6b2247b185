/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Setting times in every form; times advance with writes and stay with reads of other files. */
#include "t.h"
#include <sys/time.h>
#include <utime.h>

static void show(const char *label, const char *name)
{
	struct stat st;

	MUST(lstat(P(name), &st) == 0);
	printf("%s: %lld.%09ld %lld.%09ld\n", label, (long long)st.st_atim.tv_sec,
	       st.st_atim.tv_nsec, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void set_all(int dir, int fd)
{
	struct timespec ts[2] = { { 1000, 1 }, { 2000, 2 } };
	struct timespec omit[2] = { { 0, UTIME_OMIT }, { 7000, 7 } };
	struct timeval tv[2] = { { 3000, 3 }, { 4000, 4 } };
	struct utimbuf ub = { 5000, 6000 };

	SHOW(utimensat(dir, "f", ts, 0));
	show("utimensat", "f");
	SHOW(utimes(P("f"), tv));
	show("utimes", "f");
	SHOW(utime(P("f"), &ub));
	show("utime", "f");
	SHOW(utimensat(AT_FDCWD, P("f"), omit, 0));
	show("one omitted", "f");
	SHOW(futimens(fd, ts));
	show("futimens", "f");
	SHOW(futimes(fd, tv));
	show("futimes", "f");
	SHOW(futimesat(dir, "f", tv));
	SHOW(lutimes(P("link"), tv));
	show("lutimes", "link");
	SHOW(utimensat(dir, "link", ts, AT_SYMLINK_NOFOLLOW));
	show("link", "link");
	show("its target", "f");
	SHOW(utimensat(dir, "d", ts, 0));
	show("directory", "d");
}

static void errors(int dir)
{
	struct timespec bad[2] = { { 0, 2000000000 }, { 0, 0 } };

	SHOW(utimensat(dir, "f", bad, 0));
	SHOW(utimensat(dir, "none", NULL, 0));
	SHOW(utimensat(dir, "f", NULL, 0x10000));
	SHOW(utimensat(-1, "f", NULL, 0));
	SHOW(futimens(-1, NULL));
	SHOW(utime(P("f/x"), NULL));
}

static void by_use(int fd)
{
	struct stat a;
	struct stat b;

	SHOW(utimensat(AT_FDCWD, P("f"), NULL, 0));
	MUST(fstat(fd, &a) == 0);
	CHECK(a.st_mtime > 1600000000 && a.st_atime > 1600000000);
	t_sleep_ms(20);
	MUST(pwrite(fd, "x", 1, 0) == 1);
	MUST(fstat(fd, &b) == 0);
	CHECK(b.st_mtim.tv_sec > a.st_mtim.tv_sec || b.st_mtim.tv_nsec > a.st_mtim.tv_nsec);
	CHECK(b.st_mtime <= time(NULL) + 1);
}

int main(void)
{
	int dir;
	int fd;

	t_start();
	t_puts(P("f"), "f");
	MUST(mkdir(P("d"), 0755) == 0);
	MUST(symlink("f", P("link")) == 0);
	dir = TRY(open(P("."), O_RDONLY | O_DIRECTORY));
	fd = TRY(open(P("f"), O_RDWR));
	set_all(dir, fd);
	errors(dir);
	by_use(fd);
	close(fd);
	close(dir);
	return t_end();
}
