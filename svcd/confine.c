/* SPDX-License-Identifier: MIT */
/*
 * What svcd gives up before it meets its first program.
 *
 * It starts with whatever root has and keeps the capabilities below. The rest goes, from every set,
 * and cannot come back: nothing is ever executed in here (filter.c), and if something were, it
 * would get none, by the bounding set, by the securebits and by no_new_privs.
 *
 * What is kept is permitted, not in effect. A thread has in effect
 *
 *	while it takes on an identity		the two that this needs
 *	while it acts for root			of those for callers, what that caller has (peer.c)
 *	  in its calls on extended attributes	those besides
 *	while it acts for anybody else		none, but CAP_DAC_OVERRIDE while it opens a
 *						file for record locks that the caller has open
 *
 * Without the two svcd serves the user only that it runs as.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SVCD_SANITIZED /* the leak checker stops threads that have other ids */
#define SANITIZER (1ull << CAP_SYS_PTRACE)
#else
#define SANITIZER 0
#endif

static const struct {
	cap_value_t cap;
	enum { IDENTITY, CALLER, XATTR } use;
} kept[] = {
	{ CAP_SETUID, IDENTITY }, /* to be the caller: its user, for files and for all else */
	{ CAP_SETGID, IDENTITY }, /* ... its group and its supplementary groups */
	/* For files. */
	{ CAP_CHOWN, CALLER },		 /* chown() */
	{ CAP_DAC_OVERRIDE, CALLER },	 /* what permissions forbid */
	{ CAP_DAC_READ_SEARCH, CALLER }, /* likewise, for a caller that has just this one */
	{ CAP_FOWNER, CALLER },		 /* chmod(), utimes(), O_NOATIME, sticky directories */
	{ CAP_FSETID, CALLER },		 /* set-user-ID bits outlive a write or chown() */
	{ CAP_MKNOD, CALLER },		 /* device nodes: archives hold some */
	{ CAP_LINUX_IMMUTABLE, CALLER }, /* chattr +i, +a */
	{ CAP_SYS_ADMIN, XATTR },	 /* attributes trusted.* and security.*, nothing else */
	{ CAP_SETFCAP, XATTR },		 /* security.capability */
	/* For sockets. */
	{ CAP_NET_BIND_SERVICE, CALLER }, /* ports below 1024 */
	{ CAP_NET_RAW, CALLER },	  /* raw sockets, SO_BINDTODEVICE */
	{ CAP_NET_ADMIN, CALLER },	  /* SO_MARK, IP_TRANSPARENT; addresses and routes */
};
#define NKEPT (sizeof(kept) / sizeof(kept[0]))

struct caps caps;

static uint64_t of_thread(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { 0 };

	syscall(SYS_capget, &h, d);
	return d[0].permitted | (uint64_t)d[1].permitted << 32;
}

int caps_effective(uint64_t set)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { 0 };

	set |= caps.permitted & SANITIZER;
	d[0].permitted = (uint32_t)caps.permitted;
	d[1].permitted = (uint32_t)(caps.permitted >> 32);
	d[0].effective = (uint32_t)set;
	d[1].effective = (uint32_t)(set >> 32);
	return syscall(SYS_capset, &h, d) ? -errno : 0;
}

/* What is missing of what callers that are root could use: said once, since it may be on purpose.
 */
static void report(uint64_t have)
{
	char names[NKEPT * 24] = "";
	size_t n = 0;

	if (!caps.any_user) {
		log_line(5, "cannot act for others (no %s): serves programs of user %u only%s",
			 "CAP_SETUID and CAP_SETGID", geteuid(),
			 geteuid() ? ", and can do for them what that user can" : "");
		return;
	}
	for (size_t i = 0; i < NKEPT; i++)
		if (!(have & 1ull << kept[i].cap)) {
			char *name = cap_to_name(kept[i].cap);

			n += (size_t)snprintf(names + n, sizeof(names) - n, " %s", name);
			cap_free(name);
		}
	if (n)
		log_line(6, "programs that run as root have to do without%s", names);
}

/* Once the bounding set is empty not even root could get anything by executing a file. */
static bool seal(void)
{
	bool sealed = true;

	for (cap_value_t c = 0; !cap_get_bound(c) || cap_get_bound(c) == 1; c++)
		sealed = !cap_drop_bound(c) && sealed;
	cap_reset_ambient();
	return !prctl(PR_SET_SECUREBITS,
		      SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
			      SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
			      SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED) &&
	       sealed;
}

/* By the control thread, while it is the only one: what it has the others get. 0 or -errno. */
int confine(void)
{
	const uint64_t ids = 1ull << CAP_SETUID | 1ull << CAP_SETGID;
	uint64_t have = of_thread();

	for (size_t i = 0; i < NKEPT; i++) {
		uint64_t bit = have & 1ull << kept[i].cap;

		caps.permitted |= bit;
		if (kept[i].use == CALLER)
			caps.caller |= bit;
		else if (kept[i].use == XATTR)
			caps.xattr |= bit;
		else
			caps.identity |= bit;
	}
	caps.permitted |= have & SANITIZER;
	caps.any_user = caps.identity == ids;
	report(have);
	if (have && !seal())
		log_line(5,
			 "the bounding set and the securebits stay as they are (no CAP_SETPCAP)");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	/* Nobody's debugger, no core dump: the data of all programs comes by here. */
	prctl(PR_SET_DUMPABLE, 0);
	return caps_effective(0);
}
