/* SPDX-License-Identifier: MIT */
/*
 * How many record locks the programs of one user may have in a svcd of its own: there is an end to
 * those of one file, and to all, of both kinds together; it comes no sooner than the kernel has as
 * many; and what is unlocked or closed may be locked again.
 */
#define _GNU_SOURCE
#include "test/unit/own_svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MANY  4096  /* of one file: SHARE_MAX in svcd/locks.c */
#define ALL   32768 /* LOCKS_MAX */
#define FILES (ALL / MANY)

static char path[FILES + 1][64];

static uint32_t out_block(const void *p, size_t n)
{
	uint32_t out = VOS_PROGRAM_DATA + lane->index * VOS_SMALL;

	memcpy(chan.program + out, p, n);
	return out;
}

static uint64_t open_file(int i)
{
	int64_t h = request(VOS_OP_openat, VOS_BASE_ROOT(0),
			    VOS_REF(out_block(path[i], sizeof(path[i])), sizeof(path[i])), O_RDWR,
			    0);

	CHECK(h > 0);
	return (uint64_t)h;
}

static int64_t set(uint64_t file, int cmd, short type, off_t start, off_t len)
{
	const struct flock fl = { .l_type = type, .l_start = start, .l_len = len };

	return request(VOS_OP_fcntl_lock, file, (uint64_t)cmd,
		       VOS_REF(out_block(&fl, sizeof(fl)), sizeof(fl)), VOS_REF_NULL);
}

static void all_the_rest(uint64_t file, int cmd, off_t from, int n)
{
	for (int i = 0; i < n; i++)
		CHECK(!set(file, cmd, F_WRLCK, from + 2 * i, 1));
	CHECK(set(file, cmd, F_WRLCK, from + 2 * n, 1) == -ENOLCK);
	CHECK(set(file, cmd, F_RDLCK, from, 1) == -ENOLCK);
}

static void none(uint64_t file, int cmd)
{
	CHECK(!set(file, cmd, F_UNLCK, 0, 0));
}

static void remove_files(void)
{
	for (int i = 0; svcd > 0 && i <= FILES; i++)
		unlink(path[i]);
}

int main(void)
{
	uint64_t a, b, h;

	start_svcd("--spin", "1000");
	for (int i = 0; i <= FILES; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/file%d", dir, i);
		CHECK(close(open(path[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600)) == 0);
	}
	atexit(remove_files);
	attach();
	CHECK(!request(VOS_OP_root, VOS_REF(out_block("/", 2), 8), 0, 0, 0));
	a = open_file(0);
	b = open_file(0);

	all_the_rest(a, F_SETLK, 0, MANY);
	/* Unlocking works, also in the middle, which makes two of one. */
	CHECK(!set(a, F_SETLK, F_UNLCK, 2, 1));
	CHECK(!set(a, F_SETLK, F_WRLCK, 4, 4));
	CHECK(!set(a, F_SETLK, F_UNLCK, 5, 1));
	none(a, F_SETLK);
	/* Neighbours are one. */
	for (int i = 0; i < MANY + 100; i++)
		CHECK(!set(a, F_SETLK, F_RDLCK, i, 1));
	CHECK(!set(b, F_OFD_SETLK, F_RDLCK, 7, 1));
	none(a, F_SETLK);
	none(b, F_OFD_SETLK);

	/* Those of a description; both kinds together; they end with it. */
	all_the_rest(b, F_OFD_SETLK, 1 << 20, MANY);
	CHECK(set(a, F_SETLK, F_WRLCK, 0, 1) == -ENOLCK);
	CHECK(!request(VOS_OP_close, b, 0, 0, 0)); /* with which those of the process end, too */
	all_the_rest(a, F_SETLK, 0, MANY);

	/* Of many files. */
	for (int i = 1; i < FILES; i++)
		all_the_rest(open_file(i), F_SETLK, 0, MANY);
	h = open_file(FILES);
	CHECK(set(h, F_SETLK, F_RDLCK, 0, 1) == -ENOLCK);
	CHECK(set(h, F_OFD_SETLK, F_RDLCK, 0, 1) == -ENOLCK);
	CHECK(!set(a, F_SETLK, F_UNLCK, 0, 1));
	CHECK(!set(h, F_SETLK, F_RDLCK, 0, 1));
	return 0;
}
