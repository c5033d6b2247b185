/* SPDX-License-Identifier: MIT */
/*
 * Turns are those of clients, not of lanes: a client with many lanes that all have a request, each of
 * which takes a while, does not keep one waiting that has a single lane. Requests of the many append
 * to a file, that of the one asks how large it is: so the order in which svcd comes to them is what
 * is seen, whoever gets a CPU when. And a poll() of all that a request can name is none of the
 * driver's.
 */
#define _GNU_SOURCE
#include "test/unit/own_svcd.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define LANES  32
#define ROUNDS 300
#define BYTES  (64u << 10)
#define FAIR   8 /* done before the one in most rounds; without turns nearly all of them are */

static struct vos_chan many;
static struct vos_lane *many_lane[LANES];
static char path[64];

static uint32_t out_string(const char *s)
{
	uint32_t out = VOS_PROGRAM_DATA + lane->index * VOS_SMALL;

	strcpy((char *)chan.program + out, s);
	return out;
}

static uint64_t open_file(void)
{
	int64_t h;

	CHECK(!request(VOS_OP_root, VOS_REF(out_string("/"), 8), 0, 0, 0));
	h = request(VOS_OP_openat, VOS_BASE_ROOT(0), VOS_REF(out_string(path), sizeof(path)),
		    O_RDWR | O_APPEND, 0);
	CHECK(h > 0);
	return (uint64_t)h;
}

static int post_write(struct vos_lane *l, uint64_t file)
{
	uint32_t out = VOS_PROGRAM_DATA + (uint32_t)VOS_ALIGN(LANES * VOS_SMALL);
	const uint64_t a[6] = { file, VOS_REF(out, BYTES), BYTES, (uint64_t)-1, 0, 0 };
	bool skipped;
	int s;

	lane = l;
	s = claim_slot(VOS_OP_write, a, &skipped);
	if (vos_lane_post(l, s, skipped) == VOS_POSTED_KICK)
		many.transport->ring(&many);
	return s;
}

static int size_by(struct vos_lane *one, uint64_t file)
{
	uint32_t in = (uint32_t)VOS_SERVICE_DATA(chan.nlanes) + one->index * VOS_SMALL;
	struct stat st;

	lane = one;
	CHECK(!request(VOS_OP_fstat, file, VOS_REF(in, sizeof(st)), 0, 0));
	memcpy(&st, chan.service + in, sizeof(st));
	return (int)(st.st_size / BYTES);
}

/* --- large polls ------------------------------------------------------------------------------- */

#define MEMBERS (VOS_IO_MAX / sizeof(struct vos_pollfd))

static uint64_t quiet_socket(void)
{
	int64_t h = request(VOS_OP_socket, AF_INET, SOCK_DGRAM, 0, 0);

	CHECK(h > 0);
	return (uint64_t)h;
}

static int post_poll(struct vos_lane *l, size_t n, uint64_t socket)
{
	uint32_t out = VOS_PROGRAM_DATA + (uint32_t)VOS_ALIGN(LANES * VOS_SMALL);
	uint32_t in = (uint32_t)(VOS_SERVICE_DATA(LANES) + VOS_ALIGN(LANES * VOS_SMALL));
	uint32_t bytes = (uint32_t)(n * sizeof(struct vos_pollfd));
	const uint64_t a[6] = { VOS_REF(out, bytes), VOS_REF(in, bytes), bytes };
	struct vos_pollfd *p = (void *)(many.program + out);
	bool skipped;
	int s;

	for (size_t i = 0; i < n; i++)
		p[i] = (struct vos_pollfd){ .handle = socket, .events = 1 /* POLLIN */ };
	lane = l;
	s = claim_slot(VOS_OP_poll, a, &skipped);
	if (vos_lane_post(l, s, skipped) == VOS_POSTED_KICK)
		many.transport->ring(&many);
	return s;
}

static int threads(void)
{
	char path[64];
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", svcd);
	d = opendir(path);
	CHECK(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void poll_of(size_t n, uint64_t socket)
{
	int s = post_poll(many_lane[0], n, socket);

	CHECK(!vos_chan_wait(&many, many_lane[0], s, VOS_WAIT_ALWAYS));
	CHECK(!many_lane[0]->slot[s].result);
	vos_lane_release(many_lane[0], s);
}

/* What would keep the driver from others for milliseconds is done by a thread of the pool. */
static void large_polls(uint64_t socket)
{
	int before = threads();

	poll_of(16, socket);
	CHECK(threads() == before);
	poll_of(MEMBERS, socket);
	CHECK(threads() > before); /* it stays for a second */
}

static int by_size(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int main(void)
{
	static int before[ROUNDS];
	struct vos_lane *one;
	uint64_t file, same_file, socket;
	int fd;

	start_svcd("--spin", "1000000"); /* it never sleeps: nobody rings */
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	lanes = LANES;
	attach();
	file = open_file();
	socket = quiet_socket();
	many = chan;
	for (int i = 0; i < LANES; i++)
		many_lane[i] = vos_chan_lane(&many, i ? gettid() * 100 + i : gettid(), getpid());
	chan = (struct vos_chan){ .bell = -1 };
	attach();
	one = lane;
	same_file = open_file();
	unlink(path);

	for (int r = 0; r < ROUNDS; r++) {
		int slot[LANES];

		for (int i = 0; i < LANES; i++)
			slot[i] = post_write(many_lane[i], file);
		before[r] = size_by(one, same_file);
		for (int i = 0; i < LANES; i++) {
			CHECK(!vos_chan_wait(&many, many_lane[i], slot[i], VOS_WAIT_ALWAYS));
			CHECK(many_lane[i]->slot[slot[i]].result == BYTES);
			vos_lane_release(many_lane[i], slot[i]);
		}
		CHECK(!ftruncate(fd, 0));
	}
	qsort(before, ROUNDS, sizeof(before[0]), by_size);
	printf("done before the one: %d to %d of %d, half of the time %d or less\n", before[0],
	       before[ROUNDS - 1], LANES, before[ROUNDS / 2]);
	CHECK(before[ROUNDS / 2] <= FAIR);
	large_polls(socket);
	return 0;
}
