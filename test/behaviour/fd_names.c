/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* The names that /proc and /dev have for descriptors, with every call that takes a path. */
#include "net.h"
#include <dirent.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

static char path[64];

static const char *name(const char *prefix, int fd)
{
	snprintf(path, sizeof(path), "%s/%d", prefix, fd);
	return path;
}

static void show_stat(const char *what, int r, const struct stat *st)
{
	if (r)
		printf("%s: %s\n", what, t_errname(errno));
	else
		printf("%s: type %o size %ld\n", what, st->st_mode & S_IFMT,
		       S_ISREG(st->st_mode) ? (long)st->st_size : 0);
}

/* What a link says, without what differs between two right runs. */
static void show_link(const char *what, ssize_t n, char *buf)
{
	if (n < 0) {
		printf("%s: %s\n", what, t_errname(errno));
		return;
	}
	buf[n] = 0;
	if (!strncmp(buf, P(""), strlen(P(""))))
		printf("%s: TREE%s\n", what, buf + strlen(P("")));
	else
		printf("%s: %.*s\n", what, (int)strcspn(buf, "0123456789"), buf);
}

static void look(const char *what, int fd)
{
	static const char *const prefix[] = { "/proc/self/fd", "/dev/fd", "/proc/thread-self/fd" };
	struct statx sx;
	struct stat st;
	struct statfs fs;
	char buf[PATH_MAX];
	char own[32];
	char *real;

	printf("-- %s\n", what);
	for (int i = 0; i < 3; i++) {
		const char *p = name(prefix[i], fd);
		int again;

		show_stat("stat", stat(p, &st), &st);
		show_stat("lstat", lstat(p, &st), &st);
		show_stat("at", fstatat(AT_FDCWD, p, &st, 0), &st);
		SHOW(statx(AT_FDCWD, p, 0, STATX_TYPE, &sx));
		SHOW(access(p, R_OK));
		SHOW(statfs(p, &fs));
		show_link("readlink", readlink(p, buf, sizeof(buf) - 1), buf);
		real = realpath(p, NULL);
		printf("realpath: %s\n", !real ? t_errname(errno)
					 : !strncmp(real, P(""), strlen(P("")))
						 ? real + strlen(P(""))
						 : "elsewhere");
		free(real);
		again = open(p, O_RDONLY | O_NONBLOCK);
		printf("open: %s\n", again < 0 ? t_errname(errno) : "ok");
		if (again >= 0) {
			printf("the same: %d\n", !fstat(again, &st));
			close(again);
		}
	}
	snprintf(own, sizeof(own), "/proc/%d/fd", (int)getpid());
	show_stat("by process", stat(name(own, fd), &st), &st);
}

static void change(int fd)
{
	struct stat st;
	const char *p = name("/proc/self/fd", fd);
	char value[8] = "";

	printf("-- change\n");
	SHOW(truncate(p, 3));
	SHOW(chmod(p, 0640));
	SHOW(fstat(fd, &st));
	printf("size %ld mode %o\n", (long)st.st_size, st.st_mode & 07777);
	SHOW(setxattr(p, "user.a", "b", 1, 0));
	SHOW(getxattr(p, "user.a", value, sizeof(value)));
	SHOW(linkat(AT_FDCWD, p, AT_FDCWD, P("linked"), AT_SYMLINK_FOLLOW));
	t_cat("linked", P("linked"));
	SHOW(unlink(p));
	SHOW(rename(p, P("renamed")));
}

/* Does the directory list exactly what is open? */
static void list(const char *dir, const int *fds, int n)
{
	int found = 0;
	int other = 0;
	struct dirent *e;
	DIR *d = opendir(dir);

	MUST(d);
	while ((e = readdir(d))) {
		int fd = atoi(e->d_name);
		bool known = fd < 3 || fd == dirfd(d);

		if (e->d_name[0] == '.' || fd >= T_FD_END)
			continue;
		for (int i = 0; i < n; i++) {
			found += fd == fds[i];
			known |= fd == fds[i];
		}
		other += !known;
	}
	printf("%s: %d found, %d others\n", dir, found, other);
	closedir(d);
}

/* As fdwalk() and its relatives do: relative to the directory. */
static void below(const int *fds, int n)
{
	int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
	char number[16];
	char buf[PATH_MAX];
	struct stat st;

	printf("-- below the directory\n");
	for (int i = 0; i < n; i++) {
		int fd;

		snprintf(number, sizeof(number), "%d", fds[i]);
		show_link("readlinkat", readlinkat(dir, number, buf, sizeof(buf) - 1), buf);
		show_stat("fstatat", fstatat(dir, number, &st, 0), &st);
		fd = openat(dir, number, O_RDONLY | O_NONBLOCK);
		printf("openat: %s\n", fd < 0 ? t_errname(errno) : "ok");
		if (fd >= 0) {
			show_stat("opened", fstat(fd, &st), &st);
			close(fd);
		}
	}
	close(dir);
}

int main(void)
{
	int fds[5];
	int sv[2];

	t_start();
	t_puts(P("f"), "content");
	MUST(mkdir(P("d"), 0755) == 0);
	MUST(mkfifo(P("fifo"), 0600) == 0);
	net_tcp_pair(sv);
	fds[0] = open(P("f"), O_RDWR);
	fds[1] = open(P("d"), O_RDONLY);
	fds[2] = open(P("fifo"), O_RDWR);
	fds[3] = sv[0];
	fds[4] = sv[1];
	look("file", fds[0]);
	look("directory", fds[1]);
	look("fifo", fds[2]);
	look("socket", fds[3]);
	change(fds[0]);
	list("/proc/self/fd", fds, 5);
	list("/dev/fd", fds, 5);
	below(fds, 4);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	list("/proc/self/fd", fds, 5);
	return t_end();
}
