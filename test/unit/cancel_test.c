/* SPDX-License-Identifier: MIT */
/*
 * Calls that wait for ever and are taken back, by a svcd of its own, on the rings alone: svcd may
 * come to the request to take one back before it has come to the call itself.
 */
#define _GNU_SOURCE
#include "test/unit/own_svcd.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define ROUNDS	  64 /* three claims each: the two come at all places of the lane */
#define LIMIT_S	  20 /* for all that is to end at once */
#define MISSED_MS 20 /* svcd was asleep before we posted, it seems, and will not look by itself */

static uint64_t sock;
static int overtook; /* rounds in which svcd has come to the request by itself */

/* Nothing is ever sent to it. */
static void open_socket(void)
{
	int64_t h = request(VOS_OP_socket, AF_INET, SOCK_DGRAM, 0, 0);

	CHECK(h > 0);
	sock = (uint64_t)h;
}

static int receive(bool *skipped)
{
	const uint64_t a[6] = { sock, VOS_REF_NULL, 8 };

	return claim_slot(VOS_OP_recv, a, skipped);
}

static int take_back(int s, bool *skipped)
{
	const uint64_t a[6] = { (uint64_t)s };

	return claim_slot(VOS_OP_cancel, a, skipped);
}

static void posted_together(void)
{
	const struct timespec t = { 0, 100000 };
	bool skipped;
	int s, c;

	request(VOS_OP_nop, 0, 0, 0, 0);
	while (atomic_load(&lane->slot[lane->tail % VOS_SLOTS].state) != VOS_ASLEEP)
		nanosleep(&t, NULL);
	s = receive(&skipped);
	CHECK(vos_lane_post(lane, s, skipped) == VOS_POSTED_KICK);
	/* The doorbell has not been rung yet. */
	c = take_back(s, &skipped);
	CHECK(vos_lane_post(lane, c, skipped) == VOS_POSTED_KICK);
	chan.transport->ring(&chan);
	CHECK(collect(c) == 0);
	CHECK(collect(s) == -EINTR);
}

/*
 * A handler's call was posted before one that had been begun earlier, and that one is taken back:
 * svcd expects the request for that next, and not the call.
 */
static void overtaken(void)
{
	const struct timespec t = { 0, MISSED_MS * 1000000 };
	bool first, skipped;
	int s = receive(&first), c;

	request(VOS_OP_nop, 0, 0, 0, 0);
	CHECK(vos_lane_post(lane, s, first) == VOS_POSTED_KICK);
	c = take_back(s, &skipped);
	CHECK(vos_lane_post(lane, c, skipped) == VOS_POSTED_KICK);
	for (int i = 0; i < 1000 && !vos_entry_done(&lane->slot[c]); i++)
		sched_yield();
	if (!vos_entry_done(&lane->slot[c]))
		nanosleep(&t, NULL);
	overtook += vos_entry_done(&lane->slot[c]);
	chan.transport->ring(&chan);
	CHECK(collect(c) == 0);
	CHECK(collect(s) == -EINTR);
}

/* One that waits already. */
static void parked(void)
{
	bool skipped;
	int s = receive(&skipped), c;

	if (vos_lane_post(lane, s, skipped) == VOS_POSTED_KICK)
		chan.transport->ring(&chan);
	request(VOS_OP_nop, 0, 0, 0, 0);
	c = take_back(s, &skipped);
	CHECK(vos_lane_post(lane, c, skipped) == VOS_POSTED_KICK);
	chan.transport->ring(&chan);
	CHECK(collect(c) == 0);
	CHECK(collect(s) == -EINTR);
}

/* There is no such call: an answer, and nothing else. */
static void none(void)
{
	bool skipped;
	int c = take_back((int)(lane->tail % VOS_SLOTS), &skipped); /* itself */

	vos_lane_post(lane, c, skipped);
	chan.transport->ring(&chan);
	CHECK(collect(c) == 0);
	CHECK(request(VOS_OP_cancel, lane->tail % VOS_SLOTS + 1, 0, 0, 0) == 0);
	CHECK(request(VOS_OP_cancel, VOS_SLOTS, 0, 0, 0) == 0);
	CHECK(request(VOS_OP_cancel, ~0ull, 0, 0, 0) == 0);
}

int main(void)
{
	start_svcd(NULL, NULL);
	attach();
	open_socket();
	alarm(LIMIT_S);
	for (int i = 0; i < ROUNDS; i++) {
		parked();
		posted_together();
		overtaken();
		none();
	}
	CHECK(overtook);
	return 0;
}
