/* SPDX-License-Identifier: MIT */
/* For tests that have a svcd of their own, and talk to it on the rings alone, by one lane. */
#ifndef OWN_SVCD_H
#define OWN_SVCD_H

#include "ring/chan.h"
#include "test/unit/ring_check.h"

#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct vos_chan chan;
static struct vos_lane *lane;
static char dir[] = "/tmp/virtuos-test.XXXXXX";
static pid_t svcd;
static uint32_t lanes = 4; /* of channels */

static void clean_up(void)
{
	char path[64];

	if (svcd > 0)
		kill(svcd, SIGKILL);
	snprintf(path, sizeof(path), "%s/sock", dir);
	unlink(path);
	rmdir(dir);
}

/* @option with @value, or NULL. */
static void start_svcd(const char *option, const char *value)
{
	char self[PATH_MAX] = "", program[PATH_MAX + 32], listen[64], line[100];
	int p[2];

	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	snprintf(program, sizeof(program), "%s/../../svcd/svcd", dirname(self));
	CHECK(mkdtemp(dir) && !pipe(p));
	snprintf(listen, sizeof(listen), "unix:%s/sock", dir);
	atexit(clean_up);
	svcd = fork();
	if (!svcd) {
		dup2(p[1], 1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(program, program, "--domain", "test", "--listen", listen, option, value,
		      NULL);
		_exit(127);
	}
	close(p[1]);
	CHECK(read(p[0], line, sizeof(line)) > 0); /* it is ready */
}

static int attach_with(const uint64_t ticket[2])
{
	struct vos_hello h = { .magic = VOS_MAGIC,
			       .version = VOS_VERSION,
			       .kind = VOS_HELLO_ATTACH,
			       .ticket = { ticket[0], ticket[1] } };
	struct vos_welcome w;
	char path[64];
	int fd, r;

	chan.transport = &vos_transport_unix;
	fd = vos_chan_create(&chan, lanes, 1 << 20);
	snprintf(path, sizeof(path), "%s/sock", dir);
	CHECK(fd >= 0);
	r = vos_unix_attach(&chan, fd, path, NULL, &h, &w);
	close(fd);
	if (!r)
		lane = vos_chan_lane(&chan, gettid(), getpid());
	return r;
}

static inline void attach(void)
{
	static const uint64_t none[2];

	CHECK(!attach_with(none));
}

/* A slot of ours with the request in it, not yet posted. */
static int claim_slot(enum vos_op op, const uint64_t a[6], bool *skipped)
{
	struct vos_entry *e;
	int s = vos_lane_claim(lane, skipped);

	CHECK(s >= 0);
	e = &lane->slot[s];
	e->op = (uint16_t)op;
	e->cpu = vos_cpu();
	e->result = (int64_t)VOS_REF_NULL;
	for (int i = 0; i < 6; i++)
		e->arg[i] = a[i];
	return s;
}

static int64_t collect(int s)
{
	int64_t result;

	CHECK(!vos_chan_wait(&chan, lane, s, VOS_WAIT_ALWAYS));
	result = lane->slot[s].result;
	vos_lane_release(lane, s);
	return result;
}

static int64_t request(enum vos_op op, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	const uint64_t a[6] = { a0, a1, a2, a3, 0, 0 };
	bool skipped;
	int s = claim_slot(op, a, &skipped);

	if (vos_lane_post(lane, s, skipped) == VOS_POSTED_KICK)
		chan.transport->ring(&chan);
	return collect(s);
}

#endif
