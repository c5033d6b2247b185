/* SPDX-License-Identifier: MIT */
/*
 * Finding the system call sites in libc's text (x86-64, glibc).
 *
 * There is no disassembler here. All "0f 05" (syscall) are looked at once, and one becomes a site
 * only if the bytes around it have one of four fixed forms (enum vos_site_kind), its number is
 * wanted or not known before it is made, it is not a copy for asynchronous cancellation unless
 * those are wanted, and nothing nearby looks like a branch into the bytes to be replaced. Whatever
 * is left alone stays the kernel's; nothing is ever guessed into being a site.
 */
#include <errno.h>
#include "preload/patch.h"

#if defined(__x86_64__) && !defined(__ILP32__)

#include <emmintrin.h>
#include <sys/syscall.h>

#define ENDBR64	   "\xf3\x0f\x1e\xfa"
#define SHORT_JUMP 0x90	 /* how far a 1-byte displacement reaches, and a long instruction more */
#define NEAR_JUMP  0x200 /* how far we look for 4-byte displacements around a cmp */

/* Calls that break when something is put between libc and the kernel. */
static const short never[] = {
	SYS_clone,	   SYS_clone3,		SYS_vfork,
	SYS_fork,	   SYS_rt_sigreturn,	SYS_exit,
	SYS_exit_group,	   SYS_futex,		SYS_set_robust_list,
	SYS_rseq,	   SYS_set_tid_address, SYS_arch_prctl,
	SYS_mmap,	   SYS_munmap,		SYS_mremap,
	SYS_mprotect,	   SYS_madvise,		SYS_brk,
	SYS_pkey_mprotect, SYS_rt_sigprocmask,	SYS_restart_syscall,
};

struct scan {
	struct vos_text *text;
	unsigned long want[VOS_PATCH_WORDS];
	unsigned int flags;
	struct vos_site *site;
	int n, max;
	uint8_t *prev;	 /* end of the syscall instruction before this one */
	uint8_t *stack;	 /* the last VOS_SITE_STACK */
	uint8_t *cancel; /* the syscall of __syscall_cancel_arch() */
};

static int32_t get32(const uint8_t *p)
{
	int32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static bool same(const uint8_t *p, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != (uint8_t)bytes[i])
			return false;
	return true;
}

/* Is @p within @text, with @n bytes from it on? */
static bool within(const struct vos_text *text, const uint8_t *p, size_t n)
{
	return p >= text->start && p < text->end && (size_t)(text->end - p) >= n;
}

static uint8_t *min_ptr(uint8_t *a, uint8_t *b)
{
	return a < b ? a : b;
}

/* @p - @n, but not below @low. */
static uint8_t *back(uint8_t *p, size_t n, uint8_t *low)
{
	return (size_t)(p - low) > n ? p - n : low;
}

static uint8_t rex(const uint8_t *p, const uint8_t *low)
{
	return p > low && (p[-1] & 0xf0) == 0x40 ? p[-1] : 0;
}

/*
 * Could "b8 imm32" at @p be the tail of a longer instruction? With REX it is a mov to another
 * register, and b8 can be the displacement of one that stores or computes with an immediate.
 */
static bool is_tail(const uint8_t *p, const uint8_t *low)
{
	const uint8_t *op;

	if (p - low < 3 || rex(p, low))
		return rex(p, low);
	op = (p[-2] & 0xc7) == 0x44 ? p - 3 : p - 2; /* ModRM with and without SIB */
	return (op[1] & 0xc0) == 0x40 && (*op == 0xc7 || *op == 0x81 || *op == 0x69);
}

/* Is "b8+reg imm32" at @p, with a system call number? */
static bool is_mov_nr(const uint8_t *p, int reg)
{
	return *p == 0xb8 + reg && (uint32_t)get32(p + 1) < VOS_PATCH_NRS;
}

static enum vos_site_kind kind_of(const struct vos_text *text, const uint8_t *call)
{
	const uint8_t *mov = call - VOS_MOV_LEN;

	if (call - text->start >= VOS_MOV_LEN && within(text, mov, sizeof(uint64_t))) {
		if (is_mov_nr(mov, 0) && !is_tail(mov, text->start))
			return VOS_SITE_MOV;
		if (same(mov, "\x48\x8b\x44\x24", 4))
			return VOS_SITE_STACK;
		if (same(mov, "\x4c\x89\x5c\x24\x08", 5) && within(text, call, 3) &&
		    call[2] == 0xc3)
			return VOS_SITE_CALL; /* the function; the site is where it is called */
	}
	if (within(text, call, VOS_CMP_LEN) && same(call + 2, "\x48\x3d\x00\xf0\xff\xff", 6))
		return VOS_SITE_CMP;
	return VOS_SITE_NONE;
}

/* The number that register @reg was last loaded with before @p, or VOS_SITE_NR_RUNTIME. */
static int guess_reg(const uint8_t *p, const uint8_t *low, int reg)
{
	for (const uint8_t *q = p - VOS_MOV_LEN; q > low && p - q < 0x200; q--)
		if (is_mov_nr(q, reg & 7) && (rex(q, low) & 1) == reg >> 3)
			return get32(q + 1);
	return VOS_SITE_NR_RUNTIME;
}

/*
 * The number at a syscall instruction without a mov next to it: from the last thing in front of it
 * that looks like setting eax and is not behind what looks like a ret. Good enough to leave most
 * sites alone that are not wanted; the stub goes by the value of rax.
 */
static int guess_nr(const struct vos_text *text, const uint8_t *call, const uint8_t *prev)
{
	for (const uint8_t *p = call - 2; p >= prev && call - p < 48 && *p != 0xc3; p--) {
		uint8_t r = rex(p, prev);

		if ((*p == 0x31 || *p == 0x33) && p[1] == 0xc0 && !(r & 5)) /* xor %eax, %eax */
			return 0;
		if (call - p >= VOS_MOV_LEN && is_mov_nr(p, 0) && !is_tail(p, prev))
			return get32(p + 1);
		if (*p == 0x89 && (p[1] & 0xc7) == 0xc0 && !(r & 1)) /* mov %reg, %eax */
			return guess_reg(p, text->start, (p[1] >> 3 & 7) | (r & 4) << 1);
	}
	return VOS_SITE_NR_RUNTIME;
}

/*
 * Is @fn __pthread_enable_asynccancel()? It starts by loading from the thread's own structure,
 * then sets bit 1 (or $2, %reg) in a copy of a word and exchanges that with the word.
 */
static bool enables_async(const struct vos_text *text, const uint8_t *fn)
{
	int i, set = 0;

	if (!within(text, fn, 0x50))
		return false;
	if (same(fn, ENDBR64, 4))
		fn += 4;
	if (fn[0] != 0x64 || fn[fn[1] == 0x48 ? 2 : 1] != 0x8b)
		return false;
	for (i = 4; i < 0x40; i++) {
		if (fn[i] == 0x83 && (fn[i + 1] & 0xf8) == 0xc8 && fn[i + 2] == 2)
			set = i;
		if (set && fn[i] == 0x0f && fn[i + 1] == 0xb1)
			return true;
	}
	return false;
}

/* Is the syscall at @call made under asynchronous cancellation: a call of the above before it? */
static bool is_async(const struct vos_text *text, uint8_t *call, uint8_t *prev)
{
	for (uint8_t *p = call - 5; p >= back(call, 0x60, prev); p--)
		if (*p == 0xe8 && enables_async(text, p + 5 + get32(p + 1)))
			return true;
	return false;
}

/*
 * Is @p plainly within an instruction, so that what looks like a branch there is none? Behind an
 * opcode that takes a ModRM byte, in an address relative to rip, or in that of a call or jmp into
 * @text. Without this every tenth site would be given up for nothing, most often because of
 * "74 24" and "7c 24", which is how rsi and rdi are loaded from the stack. Of the real branches in
 * glibc 2.31 to 2.43 it takes fewer than one in a thousand for something else.
 */
static bool is_operand(const struct vos_text *text, const uint8_t *p)
{
	static const char opcode[] = "\x81\x83\x89\x8b\x8d\xb6\xb7\xd3";

	for (size_t i = 0; i < sizeof(opcode) - 1; i++)
		if (p[-1] == (uint8_t)opcode[i])
			return true;
	if ((p[-1] & 0xc7) == 0x05 && (p[3] == 0 || p[3] == 0xff))
		return true;
	for (const uint8_t *q = p - 1; q >= text->start && q >= p - 4; q--)
		if ((*q & 0xfe) == 0xe8 && within(text, q + 5 + get32(q + 1), 1))
			return true;
	return false;
}

/* Is there a branch at @p to one of the @n bytes from @to on? Reads the byte in front of @p too. */
static bool jumps_to(const struct vos_text *text, const uint8_t *p, const uint8_t *to, size_t n)
{
	if ((size_t)(p + 2 + (int8_t)p[1] - to) < n) /* 1-byte displacement: jcc, jmp, loop */
		return ((*p & 0xf0) == 0x70 || *p == 0xeb || (*p & 0xfc) == 0xe0) &&
		       !is_operand(text, p);
	if ((size_t)(p + 5 + get32(p + 1) - to) < n) /* 4-byte: call, jmp, jcc */
		return (*p & 0xfe) == 0xe8 || ((*p & 0xf0) == 0x80 && p[-1] == 0x0f);
	return false;
}

/*
 * Bit i of the result: a branch at @p + i might lead to one of the @n <= 8 bytes from @to on, going
 * by the displacement that would be behind it, for 16 bytes at once; reads 20.
 */
static unsigned int may_jump_to(const uint8_t *p, const uint8_t *to, size_t n)
{
	const __m128i zero = _mm_setzero_si128();
	__m128i v = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	__m128i all = zero;
	unsigned int bits;

	v = _mm_add_epi8(v, _mm_set1_epi8((char)(p + 2 - to)));
	v = _mm_add_epi8(v, _mm_loadu_si128((const __m128i *)(p + 1)));
	v = _mm_cmpeq_epi8(_mm_subs_epu8(v, _mm_set1_epi8((char)(n - 1))), zero);
	bits = (unsigned int)_mm_movemask_epi8(v);
	for (int i = 0; i < 4; i++) {
		v = _mm_add_epi32(_mm_setr_epi32(0, 4, 8, 12), _mm_set1_epi32(p + 5 + i - to));
		v = _mm_add_epi32(v, _mm_loadu_si128((const __m128i *)(p + 1 + i)));
		all = _mm_or_si128(all, _mm_cmpeq_epi32(_mm_srli_epi32(v, 3), zero));
	}
	return _mm_movemask_epi8(all) ? 0xffff : bits;
}

/*
 * Might a branch around @at land within what is replaced there? In a mov no instruction starts but
 * the mov, so the search is against bytes that were taken for one. In syscall; cmp it is the cmp
 * that might be a target, and from farther away.
 */
static bool branched_into(const struct vos_text *text, uint8_t *at, bool cmp)
{
	size_t reach = cmp ? NEAR_JUMP : SHORT_JUMP, len = cmp ? VOS_CMP_LEN : VOS_MOV_LEN;
	uint8_t *p, *q, *to = at + 1 + cmp, *end = min_ptr(text->end, at + len + reach);
	size_t n = cmp ? 1 : len - 1;
	unsigned int bits;

	for (p = back(at, reach, text->start + 1); end - p >= 20; p += 16) {
		for (bits = may_jump_to(p, to, n); bits; bits &= bits - 1) {
			q = p + __builtin_ctz(bits);
			if ((size_t)(q - at) >= len && jumps_to(text, q, to, n))
				return true;
		}
	}
	for (; end - p >= 5; p++)
		if ((size_t)(p - at) >= len && jumps_to(text, p, to, n))
			return true;
	return false;
}

static int add_site(struct scan *scan, uint8_t *at, enum vos_site_kind kind, int nr, bool async)
{
	if (branched_into(scan->text, at, kind == VOS_SITE_CMP))
		return 0;
	if (scan->n == scan->max)
		return -ENOSPC;
	scan->site[scan->n++] = (struct vos_site){
		.at = at, .nr = (int16_t)nr, .kind = (uint8_t)kind, .async = async
	};
	return 0;
}

/* A syscall instruction at @call. */
static int look_at(struct scan *scan, uint8_t *call)
{
	enum vos_site_kind kind = kind_of(scan->text, call);
	uint8_t *prev = scan->prev, *at = kind == VOS_SITE_CMP ? call : call - VOS_MOV_LEN;
	int nr = VOS_SITE_NR_RUNTIME;
	bool async;

	scan->prev = call + 2;
	if (kind == VOS_SITE_NONE)
		return 0;
	if (kind == VOS_SITE_CALL) {
		scan->cancel = call;
		return 0;
	}
	if (kind == VOS_SITE_STACK)
		scan->stack = at;
	else
		nr = kind == VOS_SITE_MOV ? get32(at + 1) : guess_nr(scan->text, call, prev);
	if (nr != VOS_SITE_NR_RUNTIME && !vos_patch_has(scan->want, nr))
		return 0;
	async = is_async(scan->text, call, prev);
	if (async && !(scan->flags & VOS_PATCH_ASYNC))
		return 0;
	return add_site(scan, at, kind, nr, async);
}

/* Bit i of the result: "0f 05" at @p + i, for the 64 bytes there and the one behind them. */
static uint64_t find_syscalls(const uint8_t *p)
{
	const __m128i first = _mm_set1_epi8(0x0f), second = _mm_set1_epi8(0x05);
	__m128i hit[4], any = _mm_setzero_si128();
	uint64_t bits = 0;

#pragma GCC unroll 4 /* or the array lives on the stack */
	for (int i = 0; i < 4; i++) {
		__m128i a = _mm_loadu_si128((const __m128i *)(p + 16 * i));
		__m128i b = _mm_loadu_si128((const __m128i *)(p + 16 * i + 1));

		hit[i] = _mm_and_si128(_mm_cmpeq_epi8(a, first), _mm_cmpeq_epi8(b, second));
		any = _mm_or_si128(any, hit[i]);
	}
	if (!_mm_movemask_epi8(any))
		return 0;
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++)
		bits |= (uint64_t)(uint16_t)_mm_movemask_epi8(hit[i]) << 16 * i;
	return bits;
}

/* This takes most of the time of a start: it reads all of libc's text. */
static int look_at_all(struct scan *scan)
{
	uint8_t *p = scan->text->start, *end = scan->text->end;
	uint64_t bits;
	int ret = 0;

	for (; !ret && end - p > 64; p += 64)
		for (bits = find_syscalls(p); !ret && bits; bits &= bits - 1)
			ret = look_at(scan, p + __builtin_ctzll(bits));
	for (; !ret && end - p >= 2; p++)
		if (p[0] == 0x0f && p[1] == 0x05)
			ret = look_at(scan, p);
	return ret;
}

/*
 * __syscall_cancel_arch() was found by the end of its syscall; it starts with
 *	mov (%rdi), %eax; testb $CANCELED, (%rdi); jne
 * and its only caller has a VOS_SITE_STACK, for when there is nobody who could cancel.
 */
static int look_for_caller(struct scan *scan)
{
	struct vos_text *text = scan->text;
	uint8_t *fn, *p, *end, *low;

	if (!scan->cancel || !scan->stack)
		return 0;
	low = back(scan->cancel, 64, text->start);
	for (fn = scan->cancel - 7; fn >= low; fn--)
		if (same(fn, "\x8b\x07\xf6\x07", 4) && same(fn + 5, "\x0f\x85", 2))
			break;
	if (fn < low)
		return 0;
	text->canceled_mask = fn[4];
	if (fn - low >= 4 && same(fn - 4, ENDBR64, 4))
		fn -= 4;
	end = min_ptr(scan->stack + 0x100, text->end - sizeof(uint64_t));
	for (p = back(scan->stack, 0x100, text->start); p < end; p++) {
		if (*p != 0xe8 || p + VOS_MOV_LEN + get32(p + 1) != fn)
			continue;
		text->cancel_arch = fn;
		return add_site(scan, p, VOS_SITE_CALL, VOS_SITE_NR_RUNTIME, false);
	}
	return 0;
}

bool vos_patch_wanted(unsigned long *set, const unsigned long *want)
{
	const unsigned long bits = 8 * sizeof(*set);
	unsigned long any = 0;

	for (size_t i = 0; i < VOS_PATCH_WORDS; i++)
		set[i] = want[i];
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
		set[never[i] / bits] &= ~(1UL << never[i] % bits);
	for (size_t i = 0; i < VOS_PATCH_WORDS; i++)
		any |= set[i];
	return any;
}

int vos_patch_scan(struct vos_text *text, const unsigned long *want, unsigned int flags,
		   struct vos_site *site, int max)
{
	struct scan scan = {
		.text = text, .flags = flags, .site = site, .max = max, .prev = text->start
	};
	int ret;

	text->cancel_arch = NULL;
	if (!vos_patch_wanted(scan.want, want))
		return 0;
	ret = look_at_all(&scan);
	if (!ret)
		ret = look_for_caller(&scan);
	return ret ? ret : scan.n;
}

#endif
