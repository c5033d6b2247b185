/* SPDX-License-Identifier: MIT */
/*
 * A system call that no handler is missed by, and where handlers return to. See interrupt.h.
 *
 * From check to call the arguments are in registers that nothing here changes and the rest is on the
 * stack, so that a thread can be sent back to check from anywhere in between. That includes the
 * instruction at call itself: the kernel leaves a thread there that has not got to it yet, or that
 * is to make the call again after a handler with SA_RESTART.
 */
#if defined(__x86_64__)

#define NR    8(%rsp)
#define COUNT 16(%rsp)
#define SINCE 24(%rsp)

	.text
	.globl	vos_interruptible
	.hidden	vos_interruptible
	.type	vos_interruptible, @function
	.p2align 4
vos_interruptible:
	.cfi_startproc
	mov	%rcx, %r10
.Lcheck:
	mov	COUNT, %rax
	mov	(%rax), %eax
	cmp	SINCE, %eax
	jne	.Lhandled
	mov	NR, %rax
.Lcall:
	syscall
	ret
.Lhandled:
	mov	$-4, %rax		/* -EINTR */
	ret
	.cfi_endproc
	.size	vos_interruptible, . - vos_interruptible

/*
 * The stack pointer is at the kernel's struct ucontext. What unwinds through a handler (exceptions,
 * cancellation, backtraces of profilers and crash handlers) finds the interrupted registers in it.
 */
#define UC(reg) (40 + 8 * (reg))	/* in the kernel's order, struct sigcontext */
#define UC_RIP	UC(16)

/* Numbers of DWARF, which has registers in an order of its own. */
#define CFA_EXPRESSION	   0x10
#define DEF_CFA_EXPRESSION 0x0f
#define BREG_RSP	   0x77		/* the stack pointer and an offset of two bytes */
#define DEREF		   0x06
#define SLEB(n)		   ((n) & 0x7f) | 0x80, (n) >> 7

.macro	at reg, uc
	.cfi_escape CFA_EXPRESSION, \reg, 3, BREG_RSP, SLEB(UC(\uc))
.endm

.macro	return_to_us name, hard
	.globl	\name
	.hidden	\name
	.type	\name, @function
	.p2align 4
	.cfi_startproc simple
	.cfi_signal_frame
	.cfi_escape DEF_CFA_EXPRESSION, 4, BREG_RSP, SLEB(UC(15)), DEREF
	at	0, 13			/* rax */
	at	1, 12			/* rdx */
	at	2, 14			/* rcx */
	at	3, 11			/* rbx */
	at	4, 9			/* rsi */
	at	5, 8			/* rdi */
	at	6, 10			/* rbp */
	at	7, 15			/* rsp */
	at	8, 0			/* r8 .. r15 */
	at	9, 1
	at	10, 2
	at	11, 3
	at	12, 4
	at	13, 5
	at	14, 6
	at	15, 7
	at	16, 16			/* rip */
	nop				/* unwinders look one byte before a return address */
\name:
	/* All registers are about to be what they were. */
	mov	vos_handled@gottpoff(%rip), %rax
	.if	\hard
	incl	%fs:4(%rax)
	.endif
	incl	%fs:(%rax)
	mov	UC_RIP(%rsp), %rax
	lea	.Lcheck(%rip), %rcx
	lea	.Lcall(%rip), %rdx
	cmp	%rcx, %rax
	jb	1f
	cmp	%rdx, %rax
	ja	1f
	mov	%rcx, UC_RIP(%rsp)
1:	mov	$15, %eax		/* rt_sigreturn */
	syscall
	ud2
	.cfi_endproc
	.size	\name, . - \name
.endm

	return_to_us vos_return_restart, 0
	return_to_us vos_return_hard, 1

#endif
	.section .note.GNU-stack, "", @progbits
