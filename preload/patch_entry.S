/* SPDX-License-Identifier: MIT */
/*
 * From a patched system call site to C and back (x86-64).
 *
 * A site's stub jumps here with
 *	rax		the system call number; rdi rsi rdx r10 r8 r9 its arguments
 *	r11		a syscall instruction that makes the call; what follows it goes on in libc
 *	rcx		an address in libc just behind the site: what an unwinder is to see as
 *			return address. Equal to r11 when that is the site's own instruction.
 *	rsp		the site's, with a red zone below that may be in use
 *
 * The kernel changes rax, rcx and r11 only, so we change no other register either, flags and
 * vector registers included.
 *
 * Nearly always the kernel is to make the call. Then the site's own syscall instruction makes it,
 * with the stack as if we had never been there: what looks at the instruction pointer (debuggers,
 * seccomp filters, a cancellation handler) sees what it would have seen without us.
 */
#if defined(__x86_64__) && !defined(__ILP32__)

#define CALLER	   8(%rbp)	/* rcx above */
#define SYSCALL	   -8(%rbp)	/* r11 above */
#define NR	   -16(%rbp)
#define FLAGS	   -24(%rbp)
#define ARGS	   -72(%rbp)	/* six words, ascending, as vos_syscall_hook() takes them */
#define RED_ZONE   128
#define TOP	   (RED_ZONE + 8) /* what lies between the saved rbp and the site's rsp */

#define FXSAVE_SIZE 512
#define XSAVE	    1	/* vos_patch_fpu.kind, see patch.c; fxsave is below, xsavec above */

	.text

	.hidden	vos_hook_wants, vos_syscall_hook, vos_patch_async_hook
	.hidden	vos_patch_active, vos_patch_fpu, vos_patch_fpu_init

.macro	load_args
	mov	-72(%rbp), %rdi
	mov	-64(%rbp), %rsi
	mov	-56(%rbp), %rdx
	mov	-48(%rbp), %r10
	mov	-40(%rbp), %r8
	mov	-32(%rbp), %r9
.endm

/* Save x87, SSE, AVX and AVX-512 state below the stack pointer; vos_patch_fpu must be filled. */
.macro	save_vectors
	mov	vos_patch_fpu(%rip), %eax	/* size */
	sub	%rax, %rsp
	and	$-64, %rsp
	mov	vos_patch_fpu+8(%rip), %ecx	/* kind */
	mov	vos_patch_fpu+4(%rip), %eax	/* mask */
	xor	%edx, %edx
	cmp	$XSAVE, %ecx
	jb	1f
	/* xrstor faults on anything but zero in what xsave leaves alone of the header. */
	mov	%rdx, FXSAVE_SIZE(%rsp)
	mov	%rdx, FXSAVE_SIZE + 8(%rsp)
	mov	%rdx, FXSAVE_SIZE + 16(%rsp)
	mov	%rdx, FXSAVE_SIZE + 24(%rsp)
	mov	%rdx, FXSAVE_SIZE + 32(%rsp)
	mov	%rdx, FXSAVE_SIZE + 40(%rsp)
	mov	%rdx, FXSAVE_SIZE + 48(%rsp)
	mov	%rdx, FXSAVE_SIZE + 56(%rsp)
	ja	2f
	xsave	(%rsp)
	jmp	3f
1:	fxsave64 (%rsp)
	jmp	3f
2:	xsavec	(%rsp)
3:
.endm

.macro	restore_vectors
	mov	vos_patch_fpu+4(%rip), %eax
	xor	%edx, %edx
	cmpl	$XSAVE, vos_patch_fpu+8(%rip)
	jb	1f
	xrstor	(%rsp)
	jmp	2f
1:	fxrstor64 (%rsp)
2:
.endm

/*
 * \name: for a site whose number is known to be wanted. \name\()_any: for one whose number is only
 * known now. Those that are not wanted, clone() among them, leave before the stack is touched;
 * flags do not matter there, as such a site is followed by cmp or lies in compiled code that
 * takes an asm statement to change them.
 */
.macro	entry	name, hook
	.p2align 4
	.globl	\name, \name\()_any
	.hidden	\name, \name\()_any
	.type	\name, @function
	.type	\name\()_any, @function
	.cfi_startproc simple
	.cfi_def_cfa rsp, 0
	.cfi_register rip, rcx
\name\()_any:
	cmp	$511, %rax			/* VOS_PATCH_NRS - 1 */
	ja	.Lleave_\name
	bt	%rax, vos_patch_active(%rip)
	jc	\name
.Lleave_\name:
	jmp	*%r11

	.p2align 4
\name:
	lea	-RED_ZONE(%rsp), %rsp
	.cfi_def_cfa_offset RED_ZONE
	push	%rcx
	.cfi_def_cfa_offset RED_ZONE + 8
	.cfi_offset rip, -(RED_ZONE + 8)
	push	%rbp
	.cfi_def_cfa_offset RED_ZONE + 16
	.cfi_offset rbp, -(RED_ZONE + 16)
	mov	%rsp, %rbp
	.cfi_def_cfa_register rbp
	push	%r11
	push	%rax
	lahf					/* pushf is fine, but popf is slow */
	seto	%al
	push	%rax
	push	%r9
	push	%r8
	push	%r10
	push	%rdx
	push	%rsi
	push	%rdi

	mov	NR, %rdi
	mov	%rsp, %rsi
	and	$-16, %rsp
	call	vos_hook_wants
	test	%eax, %eax
	jnz	.Lhook_\name

	load_args
	mov	NR, %rax
	mov	SYSCALL, %r11
	cmp	CALLER, %r11
	je	.Lout_\name
	/* No syscall instruction is left at the site: ours, so that it can be unwound from. */
	syscall

.Ldone_\name:
	mov	SYSCALL, %r11
	add	$2, %r11			/* behind the syscall instruction */
.Lout_\name:
	mov	%rax, %rcx
	mov	FLAGS, %rax
	add	$0x7f, %al			/* overflows if it was set */
	sahf
	mov	%rcx, %rax
	leave
	.cfi_remember_state
	.cfi_def_cfa rsp, TOP
	.cfi_restore rbp
	lea	TOP(%rsp), %rsp
	.cfi_def_cfa_offset 0
	.cfi_register rip, r11
	jmp	*%r11
	.cfi_restore_state

.Lhook_\name:
	cmpl	$0, vos_patch_fpu(%rip)
	jne	.Lsave_\name
	call	vos_patch_fpu_init
.Lsave_\name:
	save_vectors
	mov	NR, %rdi
	lea	ARGS, %rsi
	call	\hook
	mov	%rax, NR
	restore_vectors
	load_args
	mov	NR, %rax
	jmp	.Ldone_\name
	.cfi_endproc
	.size	\name, . - \name
.endm

	entry	vos_patch_entry, vos_syscall_hook
	entry	vos_patch_entry_async, vos_patch_async_hook

#endif

	.section .note.GNU-stack, "", @progbits
