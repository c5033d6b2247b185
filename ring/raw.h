/* SPDX-License-Identifier: MIT */
/*
 * System calls without libc: no errno, no cancellation point, and nothing that a symbol or a
 * patched call site could turn back into us. Safe before any constructor has run, in a signal
 * handler and in a vfork child.
 */
#ifndef VOS_RAW_H
#define VOS_RAW_H

/* vos_raw() - system call @nr; returns what the kernel returns, -errno (-4095..-1) on failure. */
#if defined(__x86_64__)

static inline long vos_raw(long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
	register long r10 __asm__("r10") = a3;
	register long r8 __asm__("r8") = a4;
	register long r9 __asm__("r9") = a5;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "cc", "memory");
	return ret;
}

#elif defined(__aarch64__)

static inline long vos_raw(long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a0;
	register long x1 __asm__("x1") = a1;
	register long x2 __asm__("x2") = a2;
	register long x3 __asm__("x3") = a3;
	register long x4 __asm__("x4") = a4;
	register long x5 __asm__("x5") = a5;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "cc", "memory");
	return x0;
}

#else
#error "vos_raw() knows x86-64 and aarch64 only"
#endif

/*
 * Directly after a system call, for callers with a few returns still to go. Where the kernel or a
 * hypervisor below it protects itself from mispredicted returns, the processor's stack of return
 * addresses comes back filled with theirs, and the first return of ours goes astray for 50 to 130
 * ns. These calls fill it with addresses of ours: each return is then wrong by a few cycles only.
 * (With a shadow stack this would be an error; no binary of ours is marked as fit for one.)
 */
static inline void vos_refill_returns(void)
{
#if defined(__x86_64__)
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t" /* below what a leaf function may use */
			 ".rept 8\n\t"
			 "call 1f\n\t"
			 "int3\n"
			 "1:\n\t"
			 ".endr\n\t"
			 "lea 192(%%rsp), %%rsp"
			 :
			 :
			 : "memory");
#endif
}

/* Any argument that fits a register, pointers included. Unused ones are passed as 0. */
#define vos_raw0(nr)		 vos_raw((nr), 0, 0, 0, 0, 0, 0)
#define vos_raw1(nr, a)		 vos_raw((nr), (long)(a), 0, 0, 0, 0, 0)
#define vos_raw2(nr, a, b)	 vos_raw((nr), (long)(a), (long)(b), 0, 0, 0, 0)
#define vos_raw3(nr, a, b, c)	 vos_raw((nr), (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define vos_raw4(nr, a, b, c, d) vos_raw((nr), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define vos_raw5(nr, a, b, c, d, e) \
	vos_raw((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define vos_raw6(nr, a, b, c, d, e, f) \
	vos_raw((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
