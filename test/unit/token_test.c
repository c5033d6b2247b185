/* SPDX-License-Identifier: MIT */
/*
 * Tokens of a svcd of its own, on the rings alone: how often one can be claimed, and for how long,
 * with the file that travels and without (as on a transport that cannot show it).
 */
#define _GNU_SOURCE
#include "test/unit/own_svcd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_HANDLES 8 /* of one client; and tokens of one user */

/* --- the ops ---------------------------------------------------------------------------------- */

static uint64_t new_socket(void)
{
	int64_t h = request(VOS_OP_socket, AF_INET, SOCK_DGRAM, 0, 0);

	CHECK(h > 0);
	return (uint64_t)h;
}

static void close_handle(int64_t h)
{
	CHECK(h > 0 && !request(VOS_OP_close, (uint64_t)h, 0, 0, 0));
}

static int64_t token(uint64_t handle, uint32_t key, uint64_t id[2])
{
	uint32_t in = (uint32_t)VOS_SERVICE_DATA(chan.nlanes) + lane->index * VOS_SMALL;
	int64_t r = request(VOS_OP_token, handle, VOS_REF(in, 16), key, 0);

	memcpy(id, chan.service + in, 16);
	return r;
}

static int64_t claim(const uint64_t id[2], bool last)
{
	return request(VOS_OP_claim, id[0], id[1], VOS_ROOT_NONE, last);
}

static void claim_works(const uint64_t id[2], bool last)
{
	close_handle(claim(id, last));
}

static void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* Within @seconds. */
static bool expires(const uint64_t id[2], int seconds)
{
	for (int i = 0; i < seconds * 20; i++) {
		int64_t h = claim(id, false);

		if (h < 0)
			return h == -ESTALE;
		close_handle(h);
		sleep_ms(50);
	}
	return false;
}

static int locked_file(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0 && !flock(fd, LOCK_SH));
	return fd;
}

static void show(int fd, uint32_t key)
{
	CHECK(!chan.transport->token_file(&chan, lane, fd, key));
}

/* --- what is looked at ------------------------------------------------------------------------ */

/* Without a file: until whoever takes it says so. */
static void unmarked(uint64_t h, uint32_t key)
{
	uint64_t id[2], zero[2] = { 0, 0 };

	CHECK(token(h, key, id) == VOS_ROOT_NONE);
	claim_works(id, false);
	claim_works(id, false);
	claim_works(id, true);
	CHECK(claim(id, false) == -ESTALE);
	CHECK(claim(zero, false) == -ESTALE);
}

static void not_files(uint64_t h)
{
	int p[2], null = open("/dev/null", O_RDWR), mem = locked_file();

	CHECK(!pipe(p));
	show(p[0], 1);
	unmarked(h, 1);
	show(null, 2);
	unmarked(h, 2);
	show(mem, 3);
	unmarked(h, 4); /* another one's */
	show(mem, 5);
	show(mem, 6); /* takes its place */
	unmarked(h, 5);
	close(p[0]);
	close(p[1]);
	close(null);
	close(mem);
}

/* As long as the file, however often it is claimed. */
static void marked(void)
{
	uint64_t h = new_socket(), id[2];
	int fd = locked_file(), other;
	int64_t mine;

	show(fd, 10);
	CHECK(token(h, 10, id) == VOS_ROOT_NONE);
	claim_works(id, true);
	other = dup(fd);
	close(fd);
	sleep_ms(2500);
	claim_works(id, true);
	/* At once, when another descriptor of what was sent is closed. */
	mine = claim(id, true);
	close(other);
	close_handle(mine);
	CHECK(claim(id, true) == -ESTALE);
	close_handle((int64_t)h);
}

static int open_in_svcd(void)
{
	char path[64];
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)svcd);
	d = opendir(path);
	CHECK(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Nobody closes anything: found once a second. */
static void nobody_looks(void)
{
	int before = open_in_svcd(), fd = locked_file();
	uint64_t h = new_socket(), id[2];

	show(fd, 20);
	CHECK(token(h, 20, id) == VOS_ROOT_NONE);
	close_handle((int64_t)h);
	CHECK(open_in_svcd() > before);
	close(fd);
	for (int i = 0; i < 200 && open_in_svcd() > before; i++)
		sleep_ms(50);
	CHECK(open_in_svcd() == before);
	CHECK(claim(id, false) == -ESTALE);
}

static void too_many(uint64_t h)
{
	uint64_t id[MAX_HANDLES + 1][2];
	int fd = locked_file();

	for (unsigned i = 0; i < MAX_HANDLES; i++)
		CHECK(token(h, 0, id[i]) == VOS_ROOT_NONE);
	CHECK(token(h, 0, id[MAX_HANDLES]) == -ETOOMANYREFS);
	claim_works(id[0], true);
	show(fd, 30);
	CHECK(token(h, 30, id[0]) == VOS_ROOT_NONE);
	CHECK(token(h, 0, id[MAX_HANDLES]) == -ETOOMANYREFS);
	for (unsigned i = 1; i < MAX_HANDLES; i++)
		claim_works(id[i], true);
	close(fd);
	CHECK(expires(id[0], 5));
}

/* Nobody ever claims it. */
static void forgotten(uint64_t h)
{
	uint64_t id[2];

	CHECK(token(h, 0, id) == VOS_ROOT_NONE);
	sleep_ms(50000);
	claim_works(id, false);
	CHECK(expires(id, 15));
}

int main(void)
{
	const char *size = getenv("VT_SIZE");
	char handles[16];
	uint64_t h;

	snprintf(handles, sizeof(handles), "%d", MAX_HANDLES);
	start_svcd("--max-handles", handles);
	attach();
	h = new_socket();
	unmarked(h, 0);
	not_files(h);
	marked();
	nobody_looks();
	too_many(h);
	if (size && !strcmp(size, "full"))
		forgotten(h);
	return 0;
}
