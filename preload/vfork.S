/* SPDX-License-Identifier: MIT */
/*
 * vfork() returns twice on one stack, so nothing of ours may lie between its caller and whoever
 * makes the system call: jump there, to libc's own or to process.c's.
 */
	.text
	.globl	vfork, __vfork
	.hidden	vos_vfork_target
	.type	vfork, @function
	.type	__vfork, @function
	.p2align 4
vfork:
__vfork:
	.cfi_startproc
#if defined(__x86_64__)
	endbr64
	jmp	*vos_vfork_target(%rip)
#elif defined(__aarch64__)
	bti	c
	adrp	x16, vos_vfork_target
	ldr	x16, [x16, :lo12:vos_vfork_target]
	br	x16
#endif
	.cfi_endproc
	.size	vfork, . - vfork
	.size	__vfork, . - __vfork

	.section .note.GNU-stack, "", @progbits
