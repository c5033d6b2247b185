/* SPDX-License-Identifier: MIT */
/* libc keeps file actions and attributes of posix_spawn as preload/spawn.c reads them. */
#define _GNU_SOURCE
#include "preload/spawn.h"
#include "test/unit/check.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>

static void test_actions(void)
{
	posix_spawn_file_actions_t fa;
	const struct vos_spawn_action *a;

	CHECK(!posix_spawn_file_actions_init(&fa));
	CHECK(fa.__used == 0);
	CHECK(!posix_spawn_file_actions_addclose(&fa, 3));
	CHECK(!posix_spawn_file_actions_adddup2(&fa, 4, 5));
	CHECK(!posix_spawn_file_actions_addopen(&fa, 6, "/a/b", O_RDWR | O_CREAT, 0640));
	CHECK(!posix_spawn_file_actions_addchdir_np(&fa, "/c"));
	CHECK(!posix_spawn_file_actions_addfchdir_np(&fa, 7));
	CHECK(fa.__used == 5);
	a = (const struct vos_spawn_action *)fa.__actions;
	CHECK(a[0].tag == VOS_SPAWN_CLOSE && a[0].fd == 3);
	CHECK(a[1].tag == VOS_SPAWN_DUP2 && a[1].dup2.fd == 4 && a[1].dup2.to == 5);
	CHECK(a[2].tag == VOS_SPAWN_OPEN && a[2].open.fd == 6 && !strcmp(a[2].open.path, "/a/b"));
	CHECK(a[2].open.flags == (O_RDWR | O_CREAT) && a[2].open.mode == 0640);
	CHECK(a[3].tag == VOS_SPAWN_CHDIR && !strcmp(a[3].dir, "/c"));
	CHECK(a[4].tag == VOS_SPAWN_FCHDIR && a[4].fd == 7);
#if __GLIBC_PREREQ(2, 35)
	CHECK(!posix_spawn_file_actions_addclosefrom_np(&fa, 8));
	CHECK(!posix_spawn_file_actions_addtcsetpgrp_np(&fa, 9));
	a = (const struct vos_spawn_action *)fa.__actions;
	CHECK(a[5].tag == VOS_SPAWN_CLOSEFROM && a[5].fd == 8);
	CHECK(a[6].tag == VOS_SPAWN_TCSETPGRP && a[6].fd == 9);
#endif
	posix_spawn_file_actions_destroy(&fa);
}

static void test_attributes(void)
{
	posix_spawnattr_t attr;
	sigset_t set;
	uint64_t mask;
	int cgroup;

	posix_spawnattr_init(&attr);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	posix_spawnattr_setsigmask(&attr, &set);
	memcpy(&mask, &attr.__ss, sizeof(mask));
	CHECK(mask == 1ull << (SIGUSR1 - 1));
	posix_spawnattr_setpgroup(&attr, 11);
	CHECK(attr.__pgrp == 11);
	/* From glibc 2.39 on the member behind the policy is the control group. */
	memcpy(&cgroup, (const char *)&attr.__policy + sizeof(int), sizeof(cgroup));
	CHECK(cgroup == 0);
#ifdef POSIX_SPAWN_SETCGROUP
	posix_spawnattr_setcgroup_np(&attr, 12);
	memcpy(&cgroup, (const char *)&attr.__policy + sizeof(int), sizeof(cgroup));
	CHECK(cgroup == 12);
#endif
}

int main(void)
{
	test_actions();
	test_attributes();
	return failures ? 1 : 0;
}
