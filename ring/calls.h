/* SPDX-License-Identifier: MIT */
/* The call table as C: op numbers, argument kinds, descriptions. See calls.def for the meaning. */
#ifndef VOS_CALLS_H
#define VOS_CALLS_H

#include <stdint.h>
#include <sys/syscall.h>

enum vos_op {
#define VOS_OP(name, ...) VOS_OP_##name,
#include "ring/calls.def"
	VOS_NOPS
};

/* How the service runs an op. */
enum vos_run {
	VOS_RUN_OWN,	/* svcd_call_<name>() decides */
	VOS_RUN_INLINE, /* never blocks: at once, by the engine */
	VOS_RUN_BLOCK,	/* seldom blocks: by the engine, which is replaced if it gets stuck */
	VOS_RUN_PATH,	/* likewise, after its paths have been walked */
	VOS_RUN_POOL,	/* usually blocks: by a thread of the pool */
};

enum vos_kind {
	VOS_K__,
	VOS_K_V,
	VOS_K_H,
	VOS_K_A,
	VOS_K_P,
	VOS_K_S,
	VOS_K_I,
	VOS_K_O,
	VOS_K_OE,
	VOS_K_IF,
	VOS_K_OF,
};

/* An argument: its kind in the low byte, above it a size or the number of the length argument. */
typedef uint32_t vos_arg_t;
#define VOS_ARG_KIND(a) ((enum vos_kind)((a)&0xff))
#define VOS_ARG_N(a)	((a) >> 8)

#define VOS_A__	    VOS_K__
#define VOS_A_V	    VOS_K_V
#define VOS_A_H	    VOS_K_H
#define VOS_A_A	    VOS_K_A
#define VOS_A_P	    VOS_K_P
#define VOS_A_S	    VOS_K_S
#define VOS_A_I(n)  (VOS_K_I | (n) << 8)
#define VOS_A_O(n)  (VOS_K_O | (n) << 8)
#define VOS_A_OE(n) (VOS_K_OE | (n) << 8)
#define VOS_A_IF(n) (VOS_K_IF | (n) << 8)
#define VOS_A_OF(n) (VOS_K_OF | (n) << 8)

struct vos_op_desc {
	const char *name;
	int nr;
	enum vos_run run;
	vos_arg_t arg[6];
};

/* Parts of a message in a block, in this order after the header, each aligned to 8 bytes. */
struct vos_msg {
	uint32_t name, control, data; /* bytes of each part */
	uint32_t flags;		      /* answer: msg_flags */
	uint32_t full;		      /* answer: bytes of the address before it was cut */
	uint32_t pad;
};
#define VOS_MSG_PART(n) (((n) + 7u) & ~7u)

/* Words of ident before the groups: uid, gid, real ones, effective capabilities (low, high). */
#define VOS_IDENT_WORDS 6

/*
 * Flag of read above the RWF_ ones: the program's call has got something already, so what is no file
 * is not waited for.
 */
#define VOS_RWF_MORE (1ll << 32)

/* Flags of ticket: it belongs to the process of the client itself, for its next image. */
enum { VOS_TICKET_OWN = 1 };
/* For ticket_pid: nobody will say whose it is. */
#define VOS_TICKET_ANYBODY (-1)

struct vos_pollfd {
	uint64_t handle;
	int16_t events, revents;
	uint32_t pad;
};

#endif
