/* SPDX-License-Identifier: MIT */
/*
 * The umask. It is the kernel's, and each service has a copy for the calls that it makes for us. One
 * that is being attached to may have been told the former one: so changes are counted, and whoever
 * attaches looks again when the channel is there for umask() to be seen.
 */
#define _GNU_SOURCE
#include "preload/vos.h"

#include <fcntl.h>
#include <sys/syscall.h>

static _Atomic uint32_t changes;

/* Sequentially consistent, as in umask(): it sees the channel, or we the change. */
uint32_t vos_umasks(void)
{
	return atomic_load(&changes);
}

/* Kept by the kernel alone: read it without changing what other threads see for long. */
uint32_t vos_umask(void)
{
	char buf[1024];
	long fd =
		vos_raw4(SYS_openat, AT_FDCWD, (long)"/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
	long n = fd < 0 ? 0 : vos_raw3(SYS_read, fd, (long)buf, sizeof(buf) - 1);
	uint32_t mask = 0;

	if (fd >= 0)
		vos_raw1(SYS_close, fd);
	for (long i = 0; i + 8 < n; i++) {
		static const char key[] = "Umask:\t";
		long k = 0;

		while (k < 7 && buf[i + k] == key[k])
			k++;
		if (k < 7)
			continue;
		for (i += 7; i < n && buf[i] >= '0' && buf[i] <= '7'; i++)
			mask = mask * 8 + (uint32_t)(buf[i] - '0');
		return mask;
	}
	mask = (uint32_t)vos_raw1(SYS_umask, 022);
	vos_raw1(SYS_umask, mask);
	return mask;
}

void vos_umask_tell(unsigned dom)
{
	uint32_t n;

	do {
		n = vos_umasks();
		vos_req_simple(dom, VOS_OP_umask, vos_umask());
	} while (vos_umasks() != n);
}

long vos_sys_umask(long mask, long a1, long a2, long a3, long a4, long a5)
{
	long old = vos_raw1(SYS_umask, mask);

	(void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
	atomic_fetch_add(&changes, 1);
	for (int i = 0; i < vos_config.ndomains; i++)
		if (atomic_load(&vos_domain[i].chan))
			vos_req_simple((unsigned)i, VOS_OP_umask, (uint64_t)mask);
	return old;
}
