/* SPDX-License-Identifier: MIT */
/*
 * From a system call site to the hook and back: all registers but rax, rcx and r11 and the red zone
 * must come through, whoever makes the call in the end and whatever the hook does to them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "preload/patch.h"

#if defined(__x86_64__) && !defined(__ILP32__)

#include <sys/syscall.h>
#include "ring/raw.h"
#include "test/unit/check.h"

static int asked, hooked, want_hook;

__attribute__((target("general-regs-only"))) int vos_hook_wants(long nr, const long args[6])
{
	(void)args;
	asked += nr == SYS_lseek;
	return want_hook;
}

static void spoil_vectors(void)
{
	static const float zero[16];

	__asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm15, %%xmm15" ::: "xmm0", "xmm15");
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vzeroall" ::: "memory");
	if (__builtin_cpu_supports("avx512f"))
		__asm__ volatile(
			"vmovups %0, %%zmm17; vmovups %0, %%zmm31; kxnorw %%k1, %%k1, %%k1" ::"m"(
				zero));
}

long vos_syscall_hook(long nr, const long args[6])
{
	hooked++;
	spoil_vectors();
	return vos_raw(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}

struct regs {
	uint64_t general[8];  /* rdi rsi rdx r10 r8 r9 rbx flags */
	uint64_t red_zone[8]; /* every other word of it */
	uint8_t vector[32][64];
};

/*
 * A site as its stub sees it. test_site() loads all of @regs, goes to test_entry as a stub does,
 * and stores all again. test_vectors: 0 xmm, 1 ymm, 2 zmm.
 */
void vos_patch_entry(void);
void vos_patch_entry_async(void);
void vos_patch_entry_any(void);
extern unsigned long vos_patch_active[VOS_PATCH_WORDS];
long test_site(struct regs *regs, long nr);
extern const char test_back[];
void (*test_entry)(void);
const void *test_caller;
int test_vectors;

#define ALL16		 "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
#define ALL32		 ALL16 ",16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
#define EACH(list, insn) ".irp i," list "\n" insn "\n.endr\n"

/* clang-format off */
__asm__(".text\n"
	"test_site:\n"
	"	push %rbx; push %r12; push %r13; push %r14\n"
	"	mov %rdi, %r12; mov %rsi, %r13; lea 128(%rdi), %rbx\n"
	"	cmpl $1, test_vectors(%rip); je 2f; ja 3f\n"
	EACH(ALL16, "movups \\i*64(%rbx), %xmm\\i")
	"	jmp 4f\n"
	"2:\n"
	EACH(ALL16, "vmovups \\i*64(%rbx), %ymm\\i")
	"	jmp 4f\n"
	"3:\n"
	EACH(ALL32, "vmovups \\i*64(%rbx), %zmm\\i")
	"4:	push 56(%r12); popf\n"
	EACH("0,1,2,3,4,5,6,7", "mov 64+8*\\i(%r12), %rax; mov %rax, -128+16*\\i(%rsp)")
	"	mov (%r12), %rdi; mov 8(%r12), %rsi; mov 16(%r12), %rdx; mov 24(%r12), %r10\n"
	"	mov 32(%r12), %r8; mov 40(%r12), %r9; mov 48(%r12), %rbx\n"
	"	mov %r13, %rax; lea test_back(%rip), %r11; mov test_caller(%rip), %rcx\n"
	"	jmp *test_entry(%rip)\n"
	"test_back: syscall\n"
	"	mov %rax, %r14\n"
	"	mov %rdi, (%r12); mov %rsi, 8(%r12); mov %rdx, 16(%r12); mov %r10, 24(%r12)\n"
	"	mov %r8, 32(%r12); mov %r9, 40(%r12); mov %rbx, 48(%r12)\n"
	EACH("0,1,2,3,4,5,6,7", "mov -128+16*\\i(%rsp), %rax; mov %rax, 64+8*\\i(%r12)")
	"	pushf; pop 56(%r12); lea 128(%r12), %rbx\n"
	"	cmpl $1, test_vectors(%rip); je 2f; ja 3f\n"
	EACH(ALL16, "movups %xmm\\i, \\i*64(%rbx)")
	"	jmp 4f\n"
	"2:\n"
	EACH(ALL16, "vmovups %ymm\\i, \\i*64(%rbx)")
	"	jmp 4f\n"
	"3:\n"
	EACH(ALL32, "vmovups %zmm\\i, \\i*64(%rbx)")
	"4:	mov %r14, %rax; pop %r14; pop %r13; pop %r12; pop %rbx\n"
	"	ret\n");
/* clang-format on */

int main(void)
{
	static const uint64_t flags[] = { 0x202, 0xad7, 0xa93, 0x246 }; /* IF and status flags */
	struct regs regs, want;

	if (__builtin_cpu_supports("avx"))
		test_vectors = __builtin_cpu_supports("avx512f") ? 2 : 1;
	for (int i = 0; i < 64; i++) {
		for (size_t j = 0; j < sizeof(regs); j++)
			((uint8_t *)&regs)[j] = (uint8_t)rand();
		regs.general[7] = flags[i & 3];
		want = regs;
		test_entry = i & 8 ? vos_patch_entry_async : vos_patch_entry;
		test_caller = i & 16 ? test_back + 8 : test_back;
		want_hook = i & 32;
		CHECK(test_site(&regs, SYS_lseek) == -EBADF);
		CHECK(!memcmp(&regs, &want, sizeof(regs)));
	}
	CHECK(asked == 64 && hooked == 32);

	test_entry = vos_patch_entry_any;
	CHECK(test_site(&regs, SYS_lseek) == -EBADF && asked == 64);
	vos_patch_active[0] = 1UL << SYS_lseek;
	CHECK(test_site(&regs, SYS_lseek) == -EBADF && asked == 65 && hooked == 33);
	CHECK(test_site(&regs, 1000) == -ENOSYS && asked == 65);
	regs.general[7] = want.general[7];
	CHECK(!memcmp(&regs, &want, sizeof(regs)));
	return failures != 0;
}

#else

int main(void)
{
	puts("skip: patching is for x86-64 glibc");
	return 77;
}

#endif
