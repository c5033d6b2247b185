/* SPDX-License-Identifier: MIT */
/*
 * The descriptor table: one word for each number, in a mapping as long as the hard limit asks for,
 * of which only the touched pages exist. How numbers are taken for what is about to be opened is in
 * reserve.c.
 */
#define _GNU_SOURCE
#include "preload/vos.h"
#include "ring/fsize.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NUMBERS_MIN (1ul << 12)
#define NUMBERS_STD (1ul << 20) /* the kernel's own default ceiling */
#define NUMBERS_MAX (1ul << 30)

struct vos_fdtab vos_fdtab = { .placeholder = -1 };

int vos_fdtab_init(void)
{
	struct rlimit lim = { 0, 0 };
	unsigned long n;

	vos_raw4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&lim);
	n = lim.rlim_max > NUMBERS_STD ? lim.rlim_max : NUMBERS_STD;
	for (n = n < NUMBERS_MAX ? n : NUMBERS_MAX; n >= NUMBERS_MIN; n /= 2) {
		long p = vos_raw6(SYS_mmap, 0, (long)(n * sizeof(uint64_t)), PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p > 0 || p < -4095) {
			vos_fdtab.word = (_Atomic uint64_t *)p;
			vos_fdtab.n = n;
			return 0;
		}
	}
	return -ENOMEM;
}

/*
 * Beyond the last position nothing can be read or written: a program that reaches the file without
 * us gets EINVAL for either, not the end of the file, which it might believe.
 */
long vos_fd_seal(long fd)
{
	long r = vos_raw3(SYS_fcntl, fd, F_ADD_SEALS, VOS_PLACEHOLDER_SEALS);

	if (!r)
		vos_raw3(SYS_lseek, fd, INT64_MAX, SEEK_SET);
	return r;
}

static const char placeholder_text[8] = "virtuos";

int vos_fd_placeholder(void)
{
	int fd = vos_fdtab.placeholder;
	struct vos_fsize room;

	if (likely(fd >= 0))
		return fd;
	fd = (int)vos_raw2(SYS_memfd_create, (long)"virtuos-placeholder",
			   MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return fd;
	if (!vos_fsize_begin(&room, sizeof(placeholder_text))) {
		vos_raw4(SYS_pwrite64, fd, (long)placeholder_text, sizeof(placeholder_text), 0);
		vos_fsize_end(&room);
	}
	vos_fd_seal(fd);
	vos_fdtab.placeholder = vos_fd_hide(fd);
	return vos_fdtab.placeholder;
}

bool vos_fd_is_placeholder(long fd)
{
	char text[sizeof(placeholder_text) + 1];

	return vos_raw2(SYS_fcntl, fd, F_GET_SEALS) == VOS_PLACEHOLDER_SEALS &&
	       vos_raw4(SYS_pread64, fd, (long)text, sizeof(text), 0) == sizeof(text) - 1 &&
	       !memcmp(text, placeholder_text, sizeof(placeholder_text));
}

long vos_fd_put(long fd, bool cloexec)
{
	long r = vos_fd_placeholder();

	return r < 0 ? r : vos_raw3(SYS_dup3, r, fd, cloexec ? O_CLOEXEC : 0);
}

static bool remote(uint64_t word)
{
	return word && VOS_WORD_KIND(word) != VOS_FD_OURS;
}

static void grow(long fd)
{
	unsigned long end = atomic_load_explicit(&vos_fdtab.end, memory_order_relaxed);

	/* Relaxed: who looks for words of other threads finds those that he knows of. */
	while (unlikely((unsigned long)fd >= end))
		if (atomic_compare_exchange_weak_explicit(
			    &vos_fdtab.end, &end, (unsigned long)fd + 1, memory_order_relaxed,
			    memory_order_relaxed))
			break;
}

uint64_t vos_fd_set(long fd, uint64_t word)
{
	uint64_t old;

	if ((unsigned long)fd >= vos_fdtab.n)
		return 0;
	/* Release: pairs with vos_fd(). */
	old = atomic_exchange_explicit(&vos_fdtab.word[fd], word, memory_order_acq_rel);
	if (word)
		grow(fd);
	if (remote(word) && !remote(old))
		atomic_fetch_add_explicit(&vos_fdtab.nremote, 1, memory_order_relaxed);
	else if (remote(old) && !remote(word))
		atomic_fetch_sub_explicit(&vos_fdtab.nremote, 1, memory_order_relaxed);
	return old;
}

bool vos_fd_internal(long fd)
{
	return VOS_WORD_KIND(vos_fd(fd)) == VOS_FD_OURS;
}

void vos_fd_ours(int fd)
{
	vos_fd_set(fd, VOS_WORD(0, 0, VOS_FD_OURS, 0));
}

/*
 * From the top down, as many as it takes: a thread may have one in each domain. What the kernel
 * keeps of numbers is as long as the highest, and copied by each fork, so there is a limit to how
 * far out of the way they go.
 */
#define HIDE_BELOW (1ul << 14)

int vos_fd_hide(int fd)
{
	struct rlimit lim = { 1024, 1024 };
	unsigned long top;
	long to = -1;

	vos_raw4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&lim);
	top = lim.rlim_cur < vos_fdtab.n ? lim.rlim_cur : vos_fdtab.n;
	if (top > HIDE_BELOW)
		top = HIDE_BELOW;
	for (unsigned long n = top < 128 ? top / 4 : 32; n && n <= top / 2 && to < 0; n *= 2)
		to = vos_raw3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, (long)(top - n));
	if (to >= 0) {
		vos_raw1(SYS_close, fd);
		fd = (int)to;
	}
	vos_fd_ours(fd);
	return fd;
}
