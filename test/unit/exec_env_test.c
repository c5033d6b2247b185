/* SPDX-License-Identifier: MIT */
/* What a new image finds in its environment: preload/exec_env.c, with this program as the library.
 */
#define _GNU_SOURCE
#include "preload/process.h"
#include "test/unit/check.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *out[32];
static char preload[PATH_MAX];

/* The new environment as one string, entries separated by a line feed. */
static const char *after(char *const *envp)
{
	static char all[4 * PATH_MAX];
	struct vos_env e;
	char **end;

	vos_env_look(&e, envp);
	if (vos_env_fine(&e))
		return "fine";
	CHECK(e.preload_size <= sizeof(preload));
	end = vos_env_fill(&e, out, preload);
	CHECK(!*end && end - out < 32);
	all[0] = 0;
	for (char **p = out; *p; p++) {
		strcat(all, *p);
		strcat(all, "\n");
	}
	return all;
}

#define ENV(...) ((char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

static void test_fill(void)
{
	CHECK(!strcmp(after(ENV("LD_PRELOAD=/l/exec_env_test", "VIRTUOS_CONFIG=/x")), "fine"));
	CHECK(!strcmp(after(ENV("LD_PRELOAD=a:/other/exec_env_test", "VIRTUOS_CONFIG=/x")),
		      "fine"));
	CHECK(!strcmp(after(ENV("A=1")),
		      "A=1\nLD_PRELOAD=/l/exec_env_test\nVIRTUOS_CONFIG=/c.conf\n"));
	CHECK(!strcmp(after(NULL), "LD_PRELOAD=/l/exec_env_test\nVIRTUOS_CONFIG=/c.conf\n"));
	/* The others stay, in their order and before us. */
	CHECK(!strcmp(after(ENV("LD_PRELOAD=b.so a.so", "VIRTUOS_CONFIG=/x")),
		      "VIRTUOS_CONFIG=/x\nLD_PRELOAD=b.so a.so:/l/exec_env_test\n"));
	CHECK(!strcmp(after(ENV("LD_PRELOAD=", "VIRTUOS_CONFIG=/x")),
		      "VIRTUOS_CONFIG=/x\nLD_PRELOAD=/l/exec_env_test\n"));
	/* A state that was not ours to pass on goes. */
	CHECK(!strcmp(
		after(ENV("LD_PRELOAD=exec_env_test", "VIRTUOS_STATE=3", "VIRTUOS_CONFIG=/x")),
		"LD_PRELOAD=exec_env_test\nVIRTUOS_CONFIG=/x\n"));
}

static void test_state(void)
{
	char buf[VOS_ENV_STATE];

	vos_env_state(buf, 1048575);
	CHECK(!strcmp(buf, "VIRTUOS_STATE=1048575"));
	putenv(buf);
	CHECK(vos_env_take_state() == 1048575);
	CHECK(!getenv("VIRTUOS_STATE"));
	CHECK(vos_env_take_state() == -1);
	putenv((char *)"VIRTUOS_STATE=12x");
	CHECK(vos_env_take_state() == -1);
	CHECK(!getenv("VIRTUOS_STATE"));
	putenv((char *)"VIRTUOS_STATE=");
	CHECK(vos_env_take_state() == -1);
	putenv((char *)"VIRTUOS_STATE=99999999999999999999");
	CHECK(vos_env_take_state() == -1);
}

/* Last: once set, the variable stays. */
static void test_quiet(void)
{
	CHECK(vos_env_unconfigured());
	CHECK(!vos_env_unconfigured());
	CHECK(!strcmp(after(ENV("LD_PRELOAD=exec_env_test", "VIRTUOS_CONFIG=/x")),
		      "LD_PRELOAD=exec_env_test\nVIRTUOS_CONFIG=/x\nVIRTUOS_QUIET=1\n"));
}

/* What is relative is made absolute where the program and its children find it. */
static void test_relative(void)
{
	CHECK(!chdir("/usr"));
	setenv("LD_PRELOAD", "a.so lib/exec_env_test:b.so", 1);
	setenv("VIRTUOS_CONFIG", "c.conf", 1);
	vos_env_init();
	CHECK(!strcmp(getenv("LD_PRELOAD"), "a.so /usr/lib/exec_env_test:b.so"));
	CHECK(!strcmp(getenv("VIRTUOS_CONFIG"), "/usr/c.conf"));
}

int main(void)
{
	setenv("LD_PRELOAD", "/l/first.so:/l/exec_env_test", 1);
	setenv("VIRTUOS_CONFIG", "/c.conf", 1);
	unsetenv("VIRTUOS_UNAVAILABLE");
	unsetenv("VIRTUOS_LIBC_PATCH");
	unsetenv("VIRTUOS_QUIET");
	vos_env_init();
	test_fill();
	test_state();
	test_relative();
	test_quiet();
	return failures ? 1 : 0;
}
