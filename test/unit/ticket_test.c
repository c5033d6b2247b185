/* SPDX-License-Identifier: MIT */
/*
 * Tickets of a svcd of its own, on the rings alone: who can take one, and until when. A ticket is
 * there until whoever has taken it has made a call: it may not have got the answer.
 */
#define _GNU_SOURCE
#include "test/unit/own_svcd.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

static uint64_t id[2];

/* A ticket for a child; with a socket in it. */
static void make_ticket(void)
{
	uint32_t in = (uint32_t)VOS_SERVICE_DATA(chan.nlanes) + lane->index * VOS_SMALL;
	const uint64_t a[6] = { VOS_REF(in, 16), 0, VOS_REF_NULL, 0, (uint64_t)getpid(), 0 };
	bool skipped;
	int s = claim_slot(VOS_OP_ticket, a, &skipped);

	if (vos_lane_post(lane, s, skipped) == VOS_POSTED_KICK)
		chan.transport->ring(&chan);
	CHECK(collect(s) == 1);
	memcpy(id, chan.service + in, sizeof(id));
}

static void bind_ticket(int64_t pid)
{
	CHECK(!request(VOS_OP_ticket_pid, id[0], id[1], (uint64_t)pid, 0));
}

static void forget_channel(void)
{
	chan = (struct vos_chan){ .bell = -1 };
}

static int take(void)
{
	forget_channel();
	return attach_with(id);
}

static void leave(void)
{
	chan.transport->close(&chan);
}

static void make_call(void)
{
	CHECK(request(VOS_OP_umask, 022, 0, 0, 0) >= 0);
}

/* In a process of its own; @wait: it goes on when the parent has bound the ticket to it. */
static void in_child(void (*fn)(void), bool wait)
{
	int p[2], status;
	pid_t pid;
	char c;

	CHECK(!pipe(p));
	pid = fork();
	if (!pid) {
		svcd = -1;
		CHECK(!wait || read(p[0], &c, 1) == 1);
		fn();
		_exit(0);
	}
	if (wait) {
		bind_ticket(pid);
		CHECK(write(p[1], "", 1) == 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	close(p[0]);
	close(p[1]);
}

static void takes(void)
{
	CHECK(!take());
}

static void takes_and_calls(void)
{
	CHECK(!take());
	make_call();
}

static void finds_nothing(void)
{
	CHECK(take() == -ESTALE);
}

/* As if the first answer had come too late. */
static void takes_twice_and_calls(void)
{
	CHECK(!take());
	leave();
	CHECK(!take());
	make_call();
	leave();
	CHECK(take() == -ESTALE);
}

static int told[2];

static void makes_and_ends(void)
{
	forget_channel();
	attach();
	make_ticket();
	CHECK(write(told[1], id, sizeof(id)) == sizeof(id));
}

int main(void)
{
	start_svcd("--spin", "20");
	attach();
	CHECK(request(VOS_OP_socket, AF_INET, SOCK_DGRAM, 0, 0) > 0);

	make_ticket(); /* its maker does not say whose it is */
	in_child(takes, false);
	in_child(takes_and_calls, false);
	in_child(finds_nothing, false);

	make_ticket();
	in_child(takes_twice_and_calls, true);

	make_ticket(); /* for nobody */
	bind_ticket(0);
	in_child(finds_nothing, false);

	make_ticket(); /* it ends before it has come */
	in_child(forget_channel, true);
	for (int i = 0; i < 200; i++) {
		int status;
		pid_t pid = fork();

		if (!pid) {
			svcd = -1;
			_exit(take() == -ESTALE ? 0 : 1);
		}
		CHECK(waitpid(pid, &status, 0) == pid);
		if (!status)
			break;
		CHECK(i < 199);
		usleep(10000);
	}

	CHECK(!pipe(told)); /* the maker is gone without a word */
	in_child(makes_and_ends, false);
	CHECK(read(told[0], id, sizeof(id)) == sizeof(id));
	in_child(takes_and_calls, false);
	in_child(finds_nothing, false);
	return 0;
}
