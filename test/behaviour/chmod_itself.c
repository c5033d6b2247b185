/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* fchmodat(AT_SYMLINK_NOFOLLOW) and lchmod() never follow a symlink, whoever puts one there when. */
#include "t.h"
#include <pthread.h>

enum { ROUNDS = 3000 };

static _Atomic bool done;

static void mode_of(const char *name)
{
	struct stat st;

	MUST(lstat(P(name), &st) == 0);
	printf("%s: %o\n", name, st.st_mode);
}

/* The name is a file and a symlink in turn, and always there. */
static void *swap(void *arg)
{
	(void)arg;
	while (!done)
		MUST(renameat2(AT_FDCWD, P("name"), AT_FDCWD, P("other"), RENAME_EXCHANGE) == 0);
	return NULL;
}

static void race(void)
{
	int changed = 0, refused = 0, other = 0;
	struct stat st;
	pthread_t t;

	MUST(chmod(P("victim"), 0600) == 0);
	t_puts(P("name"), "n");
	MUST(symlink("victim", P("other")) == 0);
	MUST(pthread_create(&t, NULL, swap, NULL) == 0);
	/* Until both have been met often. */
	while (changed < ROUNDS || refused < ROUNDS) {
		if (fchmodat(AT_FDCWD, P("name"), 0666, AT_SYMLINK_NOFOLLOW) == 0)
			changed++;
		else if (errno == EOPNOTSUPP)
			refused++;
		else
			other++;
		MUST(stat(P("victim"), &st) == 0 && (st.st_mode & 07777) == 0600);
	}
	done = true;
	pthread_join(t, NULL);
	CHECK(other == 0);
}

int main(void)
{
	int dir, fd;

	t_start();
	t_puts(P("victim"), "v");
	MUST(chmod(P("victim"), 0600) == 0);
	MUST(mkdir(P("d"), 0755) == 0);
	MUST(mkfifo(P("fifo"), 0644) == 0);
	MUST(symlink("victim", P("link")) == 0);
	MUST(symlink("d", P("way")) == 0);
	t_puts(P("d/f"), "f");
	dir = open(P(""), O_RDONLY | O_DIRECTORY);
	MUST(dir >= 0);
	SHOW(fchmodat(AT_FDCWD, P("link"), 0666, AT_SYMLINK_NOFOLLOW));
	SHOW(fchmodat(dir, "link", 0666, AT_SYMLINK_NOFOLLOW));
	SHOW(lchmod(P("link"), 0666));
	mode_of("victim");
	SHOW(fchmodat(dir, "victim", 04640, AT_SYMLINK_NOFOLLOW));
	mode_of("victim");
	SHOW(lchmod(P("victim"), 0604));
	mode_of("victim");
	SHOW(fchmodat(dir, "d", 0700, AT_SYMLINK_NOFOLLOW));
	mode_of("d");
	SHOW(fchmodat(dir, "fifo", 0600, AT_SYMLINK_NOFOLLOW));
	mode_of("fifo");
	/* Those on the way are followed. */
	SHOW(fchmodat(dir, "way/f", 0600, AT_SYMLINK_NOFOLLOW));
	mode_of("d/f");
	SHOW(fchmodat(dir, "way/", 0711, AT_SYMLINK_NOFOLLOW));
	mode_of("d");
	SHOW(fchmodat(dir, "none", 0600, AT_SYMLINK_NOFOLLOW));
	SHOW(fchmodat(dir, "victim/x", 0600, AT_SYMLINK_NOFOLLOW));
	SHOW(fchmodat(-1, "victim", 0600, AT_SYMLINK_NOFOLLOW));
	SHOW(fchmodat(AT_FDCWD, "/etc/passwd/x", 0600, AT_SYMLINK_NOFOLLOW));
	/* Nobody needs to be able to open it. */
	MUST(chmod(P("victim"), 0) == 0);
	SHOW(fchmodat(dir, "victim", 0400, AT_SYMLINK_NOFOLLOW));
	mode_of("victim");
	t_puts(L("f"), "local");
	SHOW(symlink("f", L("link")));
	SHOW(lchmod(L("link"), 0600));
	SHOW(lchmod(L("f"), 0600));
	fd = open(P("victim"), O_RDONLY);
	MUST(fd >= 0 && close(fd) == 0);
	race();
	close(dir);
	return t_end();
}
