#!/bin/bash
# SPDX-License-Identifier: MIT
# Somebody swaps the end of a path for a symlink while calls are on their way: svcd follows none in its
# own name space, where other files have that name. Usage: swap.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: swap.sh BUILD}"
command -v cc >/dev/null || { echo "skip: no compiler" && exit 77; }

# What the links lead to is there for svcd, below its root, but not for the program.
mkdir -p "$work/root/swap" "$work/root/secret-dir"
printf 1234567 >"$work/root/secret"
chmod 600 "$work/root/secret"
chmod 711 "$work/root/secret-dir"
touch -d @1000 "$work/root/secret"
printf x >"$work/root/swap/file"
mkdir "$work/root/swap/dir"
ln -s /secret "$work/root/swap/to-file"
ln -s /secret-dir "$work/root/swap/to-dir"
setfattr -n user.mark -v secret "$work/root/secret" 2>/dev/null || true

cc -O1 -D_GNU_SOURCE -o "$work/bin/swapper" -x c - <<'END'
#include <stdio.h>
#include <unistd.h>
#include <signal.h>
#include <sys/prctl.h>
int main(int argc, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc != 2 || chdir(argv[1]))
		return 1;
	for (;;) {
		if (renameat2(-100, "file", -100, "to-file", 2) ||
		    renameat2(-100, "dir", -100, "to-dir", 2))
			return 1;
	}
}
END

cc -O1 -D_GNU_SOURCE -o "$work/bin/caller" -x c - <<'END'
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 20 /* on a machine that has something else to do */
#define F "file"
#define D "dir"
static int failed;

static void wrong(const char *what)
{
	if (!(failed++))
		printf("%s: what the link leads to\n", what);
}

static void look(const char *what, int r, const struct stat *st)
{
	if (!r && (st->st_size == 7 || (st->st_mode & 07777) == 0711 || S_ISLNK(st->st_mode)))
		wrong(what);
}

int main(int argc, char **argv)
{
	const struct timespec t[2] = { { 5, 0 }, { 5, 0 } };
	struct statx x;
	struct stat st;
	char buf[16];
	int n, fd, links = 0, files = 0;
	time_t end = time(NULL) + SECONDS;

	if (argc != 2 || chdir(argv[1]))
		return 2;
	for (n = 0; n < 5000 && time(NULL) < end; n++) {
		int r = stat(F, &st);

		links += r < 0 && errno == ENOENT;
		files += !r;
		look("stat", r, &st);
		look("stat of a directory", stat(D "/", &st), &st);
		if (!statx(AT_FDCWD, F, 0, STATX_BASIC_STATS, &x) &&
		    (x.stx_size == 7 || S_ISLNK(x.stx_mode)))
			wrong("statx");
		fd = open(F, O_RDWR);
		if (fd >= 0) {
			look("open", fstat(fd, &st), &st);
			close(fd);
		}
		fd = open(D "/..//" F, O_RDWR);
		if (fd >= 0) {
			look("open after a walk", fstat(fd, &st), &st);
			close(fd);
		}
		fd = open(D "/../" D "/", O_RDONLY);
		if (fd >= 0) {
			look("open of a directory", fstat(fd, &st), &st);
			close(fd);
		}
		chmod(F, 0644);
		chmod(D "/", 0755);
		chown(F, 1, 1);
		truncate(F, 1);
		utimensat(AT_FDCWD, F, t, 0);
		if (getxattr(F, "user.mark", buf, sizeof(buf)) > 0)
			wrong("getxattr");
		setxattr(F, "user.other", "x", 1, 0);
		setxattr(D "/", "user.other", "x", 1, 0);
		if (!linkat(AT_FDCWD, F, AT_FDCWD, "new", AT_SYMLINK_FOLLOW)) {
			/* A link that it has been made to is as good as none. */
			if (!lstat("new", &st) && S_ISREG(st.st_mode))
				look("linkat", 0, &st);
			unlink("new");
		}
		if (!chdir(D)) {
			look("chdir", stat(".", &st), &st);
			chdir(argv[1]);
		}
	}
	if (!links || !files) {
		printf("nobody swaps: %d links, %d files\n", links, files);
		return 77;
	}
	return failed != 0;
}
END

bad=0
"$work/bin/swapper" "$work/root/swap" &
swapper=$!
env LD_PRELOAD="$work/bin/libvirtuos.so" VIRTUOS_CONFIG="$work/forwarded.conf" \
	timeout -k 2 100 "$work/bin/caller" "$work/fwd/data/swap" || bad=$?
kill "$swapper" || bad=1
wait "$swapper" 2>/dev/null || true
after=$(stat -c '%s %a %u %Y' "$work/root/secret"; stat -c '%a %u' "$work/root/secret-dir")
[ "$after" = $'7 600 0 1000\n711 0' ] || { echo "changed: $after" && bad=1; }
for at in secret secret-dir; do
	! getfattr -n user.other "$work/root/$at" 2>/dev/null || bad=1
done
exit $bad
