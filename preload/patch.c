/* SPDX-License-Identifier: MIT */
/*
 * Patching libc's own system call sites (x86-64, glibc): patch_scan.c finds them, this file turns
 * them into jumps, and patch_entry.S is where the jumps end.
 *
 * The mov in front of a syscall instruction is replaced by a jump to a stub, and syscall stays: it
 * is what makes the call when the hook does not want it. Where no such mov is next to it, syscall
 * and the cmp behind it are replaced. A wanted call without a site that can be patched is not seen,
 * and that is all; so what many calls go through must be there (needed[]) or libc stays untouched.
 *
 * glibc 2.41 moved all cancellation points into one function, __syscall_cancel_arch(), whose range
 * of addresses tells the handler of the cancellation signal that the call has not happened yet. A
 * jump out of that range would lose a cancellation that comes in the meantime, so it is the call of
 * that function which is patched.
 *
 * The text is never writable and executable at once. While it is not executable nothing of libc may
 * run: signals are blocked, and write_sites() calls nothing but the kernel.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dl_iterate_phdr() */
#endif
#include <errno.h>
#include "preload/patch.h"

#if defined(__x86_64__) && !defined(__ILP32__)

#include <cpuid.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "ring/raw.h"

#define MAX_SITES 512
#define STUB_SIZE 64 /* a cache line */
#define PAGE	  4096UL

/* Wanted ones of these must have a site, or their alias. @cancel: or __syscall_cancel_arch(). */
static const struct {
	short nr, alias;
	bool cancel;
} needed[] = {
	{ SYS_open, SYS_openat, true },
	{ SYS_openat, SYS_open, true },
	{ SYS_read, SYS_read, true },
	{ SYS_write, SYS_write, true },
	{ SYS_close, SYS_close, true },
	{ SYS_fcntl, SYS_fcntl, true },
	{ SYS_lseek, SYS_lseek, false },
	{ SYS_newfstatat, SYS_newfstatat, false },
	{ SYS_getdents64, SYS_getdents64, false },
	{ SYS_socket, SYS_socket, false },
	{ SYS_connect, SYS_connect, true },
	{ SYS_sendto, SYS_sendto, true },
	{ SYS_recvfrom, SYS_recvfrom, true },
	{ SYS_poll, SYS_poll, true },
};

/* Where stubs go on to: the order of the pointers in front of them. */
enum { TO_ENTRY, TO_ENTRY_ANY, TO_ASYNC, TO_ASYNC_ANY, TO_CANCEL, NTARGETS };
_Static_assert(NTARGETS * sizeof(void *) <= STUB_SIZE, "the pointers take the place of one stub");

/* patch_entry.S has these, */
void vos_patch_entry(void);
void vos_patch_entry_any(void);
void vos_patch_entry_async(void);
void vos_patch_entry_async_any(void);
/* reads these, */
struct vos_patch_fpu {
	uint32_t size; /* bytes; 0: not known yet. Written last, read first. */
	uint32_t mask; /* of xsave and xrstor */
	uint32_t kind; /* 0 fxsave, 1 xsave, 2 xsavec */
} vos_patch_fpu;
unsigned long vos_patch_active[VOS_PATCH_WORDS]; /* numbers that the hook is asked about */
/* and calls these. */
void vos_patch_fpu_init(void);
long vos_patch_async_hook(long nr, const long args[6]);

static long (*cancel_arch)(void *, long, long, long, long, long, long, long);
static unsigned int canceled_mask;

/* --- while the program runs ------------------------------------------------------------------ */

/*
 * What is saved around the hook: x87, SSE, AVX and AVX-512. Not protection keys, which are the
 * program's to change in the meantime, and not AMX, which C code does not touch unasked. Done at
 * the first call that is wanted, as CPUID takes microseconds in a virtual machine.
 */
__attribute__((target("general-regs-only"))) void vos_patch_fpu_init(void)
{
	const uint32_t states = 0xe7, compact = 2432; /* bytes that those take without gaps */
	uint32_t a, b, c, d, size = 512, kind = 0, low = 0;

	__cpuid(1, a, b, c, d);
	if (c & bit_OSXSAVE) {
		__asm__("xgetbv" : "=a"(low), "=d"(d) : "c"(0));
		__cpuid_count(0xd, 1, a, b, c, d);
		kind = a & bit_XSAVEC ? 2 : 1;
		__cpuid_count(0xd, 0, a, b, c, d);
		size = kind == 2 && b > compact ? compact : b;
	}
	vos_patch_fpu.kind = kind;
	vos_patch_fpu.mask = low & states;
	/* pairs with the test of size in patch_entry.S: whoever sees it sees the other two */
	__atomic_store_n(&vos_patch_fpu.size, size, __ATOMIC_RELEASE);
}

/*
 * The hook of a site that has asynchronous cancellation on: off while the hook runs, which must not
 * be torn away from what it holds. Going back acts upon a cancellation that came meanwhile.
 */
long vos_patch_async_hook(long nr, const long args[6])
{
	int type;
	long ret;

	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
	ret = vos_syscall_hook(nr, args);
	pthread_setcanceltype(type, NULL);
	return ret;
}

/* In place of __syscall_cancel_arch(); @handling is the thread's word of cancellation flags. */
static long instead_of_cancel_arch(void *handling, long nr, long a, long b, long c, long d, long e,
				   long f)
{
	const long args[6] = { a, b, c, d, e, f };

	if (__atomic_load_n((unsigned int *)handling, __ATOMIC_RELAXED) & canceled_mask)
		goto libc; /* which ends the thread */
	if (vos_patch_has(vos_patch_active, nr) && vos_hook_wants(nr, args))
		return vos_syscall_hook(nr, args);
libc:
	return cancel_arch(handling, nr, a, b, c, d, e, f);
}

/* --- at start -------------------------------------------------------------------------------- */

struct libc {
	struct vos_text text;
	const char *path;
	size_t offset; /* of the text in the file */
};

struct stubs {
	uint8_t *base;
	size_t len;
};

static int find_text(struct dl_phdr_info *info, size_t size, void *arg)
{
	static const char name[] = "libc.so.6";
	struct libc *libc = arg;
	const char *base = info->dlpi_name;

	(void)size;
	for (const char *p = base; *p; p++)
		if (*p == '/')
			base = p + 1;
	for (size_t i = 0; i < sizeof(name); i++)
		if (base[i] != name[i])
			return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
			continue;
		libc->path = info->dlpi_name;
		libc->offset = ph->p_offset;
		libc->text.start = (uint8_t *)info->dlpi_addr + ph->p_vaddr;
		libc->text.end = libc->text.start + ph->p_filesz;
	}
	return 1;
}

/* Links of /proc/self/task: two, and one per thread. What cannot be read counts as one thread. */
static bool has_threads(void)
{
	struct stat st;
	long ret = vos_raw4(SYS_newfstatat, AT_FDCWD, "/proc/self/task", &st, 0);

	return !ret && st.st_nlink > 3;
}

static bool found(const struct vos_site *site, int n, int nr, bool cancel)
{
	for (int i = 0; i < n; i++)
		if (site[i].nr == nr || (cancel && site[i].kind == VOS_SITE_CALL))
			return true;
	return false;
}

static bool found_needed(const struct vos_site *site, int n, const unsigned long *want)
{
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		if (!vos_patch_has(want, needed[i].nr))
			continue;
		if (!found(site, n, needed[i].nr, needed[i].cancel) &&
		    !found(site, n, needed[i].alias, needed[i].cancel))
			return false;
	}
	return n > 0;
}

static uint8_t *page_of(uint8_t *p)
{
	return p - ((uintptr_t)p & (PAGE - 1));
}

/* @len bytes that a 4-byte displacement in @text reaches, or NULL. */
static uint8_t *map_near(const struct vos_text *text, size_t len)
{
	const long step = 16L << 20, limit = (2L << 30) - (64L << 20);

	for (long i = step; i < limit; i += step) {
		for (long d = -i; d <= i; d += 2 * i) {
			uint8_t *hint = page_of(text->start) + d;
			long got = vos_raw6(SYS_mmap, hint, len, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE |
						    MAP_FIXED_NOREPLACE,
					    -1, 0);

			if (got == (long)hint)
				return hint;
			if (got > 0) /* a kernel that takes the flag for nothing */
				vos_raw2(SYS_munmap, got, len);
		}
	}
	return NULL;
}

static uint8_t *put(uint8_t *p, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = ((const uint8_t *)bytes)[i];
	return p + n;
}

/* An instruction that ends in a 4-byte displacement to @to. */
static uint8_t *put_rel(uint8_t *p, const char *insn, size_t n, const void *to)
{
	int32_t rel = (int32_t)((const uint8_t *)to - (p + n + 4));

	return put(put(p, insn, n), &rel, sizeof(rel));
}

/* A stub loads the registers that patch_entry.S asks for. */
static void make_stub(const struct vos_site *site, uint8_t *stub, void **target)
{
	bool any = site->nr == VOS_SITE_NR_RUNTIME;
	uint8_t *p = stub, *raw = stub + 20;

	target += site->async ? TO_ASYNC : TO_ENTRY;
	switch (site->kind) {
	case VOS_SITE_CALL:
		put_rel(p, "\xff\x25", 2, target + TO_CANCEL); /* jmp *target */
		return;
	case VOS_SITE_CMP:
		p = put_rel(p, "\x4c\x8d\x1d", 3, raw);			   /* lea raw, %r11 */
		p = put_rel(p, "\x48\x8d\x0d", 3, site->at + VOS_CMP_LEN); /* lea back, %rcx */
		p = put_rel(p, "\xff\x25", 2, target + TO_ENTRY_ANY);	   /* jmp *target */
		p = put(p, site->at, VOS_CMP_LEN);			   /* raw: syscall; cmp */
		put_rel(p, "\xe9", 1, site->at + VOS_CMP_LEN);		   /* jmp back */
		return;
	default:
		p = put(p, site->at, VOS_MOV_LEN);			   /* mov .., %eax */
		p = put_rel(p, "\x4c\x8d\x1d", 3, site->at + VOS_MOV_LEN); /* lea back, %r11 */
		p = put(p, "\x4c\x89\xd9", 3);				   /* mov %r11, %rcx */
		put_rel(p, "\xff\x25", 2, target + (any ? TO_ENTRY_ANY : TO_ENTRY));
	}
}

static void make_jump(struct vos_site *site, const uint8_t *stub)
{
	int32_t rel = (int32_t)(stub - (site->at + VOS_MOV_LEN));

	site->jump = (site->kind == VOS_SITE_CALL ? 0xe8 : 0xe9) | (uint64_t)(uint32_t)rel << 8;
	if (site->kind == VOS_SITE_CMP)
		site->jump |= 0x001f0fULL << 40; /* nopl (%rax) */
}

static long make_stubs(struct stubs *stubs, const struct vos_text *text, struct vos_site *site,
		       int n)
{
	void **target;
	long ret;

	stubs->len = ((size_t)(n + 1) * STUB_SIZE + PAGE - 1) & ~(PAGE - 1);
	stubs->base = map_near(text, stubs->len);
	if (!stubs->base)
		return -ENOMEM;
	target = (void **)stubs->base;
	target[TO_ENTRY] = vos_patch_entry;
	target[TO_ENTRY_ANY] = vos_patch_entry_any;
	target[TO_ASYNC] = vos_patch_entry_async;
	target[TO_ASYNC_ANY] = vos_patch_entry_async_any;
	target[TO_CANCEL] = instead_of_cancel_arch;
	for (int i = 0; i < n; i++) {
		uint8_t *stub = stubs->base + (i + 1) * STUB_SIZE;

		make_stub(&site[i], stub, target);
		make_jump(&site[i], stub);
	}
	ret = vos_raw3(SYS_mprotect, stubs->base, stubs->len, PROT_READ | PROT_EXEC);
	if (ret)
		vos_raw2(SYS_munmap, stubs->base, stubs->len);
	return ret;
}

/*
 * SELinux refuses to make a private page of a file executable again once it was written to, with
 * its old bytes too. Then only the file itself gives the text back.
 */
static void map_again(const struct libc *libc, uint8_t *low, size_t len)
{
	long fd = vos_raw4(SYS_openat, AT_FDCWD, libc->path, O_RDONLY | O_CLOEXEC, 0);

	vos_raw6(SYS_mmap, low, len, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd,
		 (long)libc->offset + (low - libc->text.start));
	vos_raw1(SYS_close, fd);
}

typedef uint64_t __attribute__((aligned(1), may_alias)) word;

static void swap_bytes(uint8_t *at, uint64_t bytes, uint64_t mask, uint64_t *old)
{
	word *p = (word *)at;

	*old = *p;
	*p = (*p & ~mask) | (bytes & mask);
}

/* From here on to the end no call but into the kernel, nor what a compiler may make one of. */
static long write_text(const struct libc *libc, struct vos_site *site, int n, uint8_t *low,
		       size_t len)
{
	const uint64_t cmp = ~0ULL, mov = (1ULL << 8 * VOS_MOV_LEN) - 1;
	uint64_t unused;
	long ret;
	int i;

	ret = vos_raw3(SYS_mprotect, low, len, PROT_READ | PROT_WRITE);
	if (ret)
		return ret;
	for (i = 0; i < n; i++)
		swap_bytes(site[i].at, site[i].jump, site[i].kind == VOS_SITE_CMP ? cmp : mov,
			   &site[i].saved);
	ret = vos_raw3(SYS_mprotect, low, len, PROT_READ | PROT_EXEC);
	if (!ret)
		return 0;
	for (i = n - 1; i >= 0; i--)
		swap_bytes(site[i].at, site[i].saved, cmp, &unused);
	if (vos_raw3(SYS_mprotect, low, len, PROT_READ | PROT_EXEC))
		map_again(libc, low, len);
	return ret;
}

static long write_sites(const struct libc *libc, struct vos_site *site, int n)
{
	uint8_t *low = libc->text.end, *high = libc->text.start;
	const uint64_t all = ~0ULL;
	uint64_t mask;
	long ret;

	for (int i = 0; i < n; i++) {
		low = site[i].at < low ? site[i].at : low;
		high = site[i].at > high ? site[i].at : high;
	}
	low = page_of(low);
	high = page_of(high + sizeof(uint64_t) - 1) + PAGE;
	vos_raw4(SYS_rt_sigprocmask, SIG_BLOCK, &all, &mask, sizeof(mask));
	ret = write_text(libc, site, n, low, (size_t)(high - low));
	vos_raw4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
	return ret;
}

int vos_libc_patch_flags(const unsigned long *want, unsigned int flags)
{
	struct vos_site site[MAX_SITES];
	unsigned long active[VOS_PATCH_WORDS];
	struct libc libc = { 0 };
	struct stubs stubs;
	long ret;
	int n;

	if (has_threads())
		return -EBUSY;
	if (!dl_iterate_phdr(find_text, &libc) || !libc.path)
		return -ENOENT;
	n = vos_patch_scan(&libc.text, want, flags, site, MAX_SITES);
	vos_patch_wanted(active, want);
	if (n < 0 || !found_needed(site, n, active))
		return -ENOENT;
	for (size_t i = 0; i < VOS_PATCH_WORDS; i++)
		vos_patch_active[i] = active[i];
	cancel_arch = (long (*)(void *, long, long, long, long, long, long, long))(
			      uintptr_t)libc.text.cancel_arch;
	canceled_mask = libc.text.canceled_mask;
	ret = make_stubs(&stubs, &libc.text, site, n);
	if (ret)
		goto fail;
	ret = write_sites(&libc, site, n);
	if (!ret)
		return n;
	vos_raw2(SYS_munmap, stubs.base, stubs.len);
fail:
	return ret == -EPERM ? -EACCES : (int)ret;
}

#else

int vos_libc_patch_flags(const unsigned long *want, unsigned int flags)
{
	(void)want;
	(void)flags;
	return -ENOSYS;
}

#endif

int vos_libc_patch(const unsigned long *want)
{
	return vos_libc_patch_flags(want, 0);
}
