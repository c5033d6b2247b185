/* SPDX-License-Identifier: MIT */
/*
 * What a program and a service domain share: the layout of a channel and the attach messages.
 *
 * A channel is memory that the program owns, in two areas:
 *
 *   program area   written by the program only (the service maps it read-only where the transport
 *                  can): header, kick words, data going out (paths, write data)
 *   service area   written by the service: header with the guard word, the ready queue, the lanes
 *                  of entries (the only place that both sides write), data coming in
 *
 * Each area holds its header first, and its data last: first one small block per lane, then the
 * pool. The program alone decides which block is used for what; the service only checks that what
 * a request names lies inside the data part.
 *
 * Numbers are in host byte order: both sides run on one machine.
 */
#ifndef VOS_ABI_H
#define VOS_ABI_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define VOS_MAGIC   0x736f7476u /* "vtos" */
#define VOS_VERSION 1u		/* of everything in this file; both sides must agree */

#define VOS_LINE 64u
#define VOS_PAGE 4096u

/* Limits of a geometry, checked by the service at attach. */
#define VOS_LANES_MAX 1024u
#define VOS_SLOTS     8u	   /* entries in a lane, a power of two */
#define VOS_SMALL     2048u	   /* bytes of the small block that each lane has in each area */
#define VOS_POOL_MAX  (8u << 20)   /* bytes of the pool in each area, a multiple of a page */
#define VOS_IO_MAX    (256u << 10) /* bytes of data that one request carries at most */
#define VOS_PATH_MAX  4096u	   /* bytes of a path, with its NUL */

/*
 * Entry: one request and its answer, one cache line.
 *
 *   who			writes				when
 *   lane's thread	everything but state		claimed, not yet posted
 *   lane's thread	state: IDLE|ASLEEP -> POSTED	post (exchange: release; sees ASLEEP)
 *   lane's thread	state: POSTED -> POSTED|WAIT_*	before it sleeps (compare and exchange)
 *   lane's thread	state: DONE -> IDLE		it has collected the answer
 *   service		result, arg			POSTED, and taken
 *   service		state: POSTED* -> DONE		complete (exchange: release; sees WAIT_*)
 *   service		state: IDLE -> ASLEEP		it stops polling the lane (compare and exchange)
 *   service		state: ASLEEP -> IDLE		it polls the lane for the first time (likewise)
 *
 * All changes of state are read-modify-writes of one word, so "going to sleep" and "posting" (or
 * "completing") can never miss each other, and neither side needs a fence of its own.
 */
enum {
	VOS_ASLEEP = 0, /* idle, and the service does not look: post, then kick the lane. As memory
			 * is when it is new, so that attaching touches no lane */
	VOS_IDLE = 1,
	VOS_POSTED = 2,
	VOS_DONE = 4,
	VOS_WAIT_FUTEX = 8, /* with POSTED: the thread sleeps on the state word */
	VOS_WAIT_FD = 16,   /* with POSTED: the thread sleeps on its wake descriptor */
};
#define VOS_NUMBER_SHIFT 8 /* with POSTED: number of the claim, modulo 2^24; see ring/lane.h */

struct vos_entry {
	_Atomic uint32_t state;
	uint16_t op; /* enum vos_op */
	uint8_t cpu; /* CPU of the caller when it posted, modulo 256; a hint */
	uint8_t pad;
	int64_t result; /* request: reference to a block for what does not fit; answer: as the
			 * kernel's: >= 0, -errno, or VOS_REDIRECT */
	uint64_t arg[6];
};
_Static_assert(sizeof(struct vos_entry) == VOS_LINE, "an entry is one cache line");
_Static_assert(offsetof(struct vos_entry, result) == 8, "layout is ABI");
_Static_assert(offsetof(struct vos_entry, arg) == 16, "layout is ABI");

/* Data of at most so many bytes can come back in arg: no other line has to move. */
#define VOS_INLINE ((uint32_t)sizeof(((struct vos_entry *)0)->arg))

/* Answer of a path call: the path left the domain; the block named by the request says where to. */
#define VOS_REDIRECT (-4096)

struct vos_redirect {
	uint32_t which; /* 0 or 1: the call's first or second path */
	uint32_t root;	/* root that the path left by ".."; VOS_ROOT_NONE: the path is absolute */
	uint32_t len;	/* bytes of path, without the NUL that follows */
	char path[];	/* absolute, or what remains after the ".." that left the root */
};
#define VOS_ROOT_NONE 0xffffffffu

/* What the op getcwd answers. */
struct vos_where {
	uint32_t root; /* that it lies below; VOS_ROOT_NONE: none, or nobody knows which */
	char path[];   /* below that, with its NUL; or the kernel's name of what has no path */
};

/*
 * References in arguments.
 *
 * A block: offset from the start of the area (which area follows from the call), a multiple of
 * VOS_ALIGNMENT, and length.
 * A handle: index and generation of an open description in this client's table in the service.
 * A base of a path: a handle, or one of the client's roots, or its working directory there.
 */
#define VOS_REF(off, len) ((uint64_t)(uint32_t)(off) | (uint64_t)(uint32_t)(len) << 32)
#define VOS_REF_OFF(ref)  ((uint32_t)(ref))
#define VOS_REF_LEN(ref)  ((uint32_t)((ref) >> 32))
#define VOS_REF_NULL	  (~0ull) /* the program's pointer was NULL */
#define VOS_ALIGNMENT	  8u

#define VOS_HANDLE_IDX_BITS  24
#define VOS_HANDLE_GEN_BITS  24
#define VOS_HANDLE_MASK	     ((1ull << (VOS_HANDLE_IDX_BITS + VOS_HANDLE_GEN_BITS)) - 1)
#define VOS_HANDLE(idx, gen) ((uint64_t)(idx) | (uint64_t)(gen) << VOS_HANDLE_IDX_BITS)
#define VOS_HANDLE_IDX(h)    ((uint32_t)((h) & ((1u << VOS_HANDLE_IDX_BITS) - 1)))
#define VOS_HANDLE_GEN(h) \
	((uint32_t)(((h) >> VOS_HANDLE_IDX_BITS) & ((1u << VOS_HANDLE_GEN_BITS) - 1)))

#define VOS_BASE_ROOT(n) (1ull << 63 | (n)) /* n-th root that the client named with OP_root */
#define VOS_BASE_CWD	 (1ull << 62)
#define VOS_BASE_SELF	 (1ull << 61) /* with a handle: the object itself, the path is empty */

/*
 * Headers. Every word that one side polls has a line of its own.
 */
struct vos_program_head {
	uint32_t magic, version;
	uint32_t lanes; /* 1 .. VOS_LANES_MAX */
	uint32_t pool;	/* bytes of the pool in each area */
	/*
	 * The program has confined itself and cannot ring any more, where that takes more than a
	 * write(): the service looks at the kicks now and then. Written by the program, once.
	 */
	_Atomic uint32_t mute;
	_Atomic uint32_t attached; /* vchan: the program has seen the answer */
	uint8_t pad[VOS_LINE - 24];
	/*
	 * Kicks: lane i's thread counts its word up, then rings the doorbell. The service, when the
	 * doorbell rings, looks at all entries of each lane whose word has changed. Written by the
	 * lane's thread only; release, pairs with the service's acquire load.
	 */
	_Atomic uint16_t kick[VOS_LANES_MAX];
};

#define VOS_CPU_NONE 256u /* not one of the program's machine */

#define VOS_READY_SLOTS 2048u /* power of two, at least twice VOS_LANES_MAX */

/*
 * Ready queue: lanes whose thread sleeps and whose call has finished, put in by the service (any
 * of its threads), taken out by whoever wakes threads for the program. See ring/ready.h.
 * A slot holds lap << 16 | lane + 1, where lap counts from 1 (modulo 2^16), or 0 before its first
 * use. Each side keeps its own cursor in memory of its own.
 */
struct vos_ready {
	_Atomic uint32_t slot[VOS_READY_SLOTS];
};

struct vos_service_head {
	/*
	 * Guard: the service's thread id | FUTEX_WAITERS while it lives. On one machine it is on
	 * that thread's robust list, so that the kernel itself sets FUTEX_OWNER_DIED and wakes a
	 * waiter when the service dies, however it dies. Written by service and kernel.
	 */
	_Atomic uint32_t guard;
	_Atomic uint32_t answered; /* vchan: VOS_VCHAN_ANSWERED (release) or _DISMISSED */
	uint8_t pad0[VOS_LINE - 8];
	_Atomic uint32_t cpu; /* of the engine that polls this channel, or VOS_CPU_NONE; a hint */
	uint8_t pad1[VOS_LINE - 4];
	struct vos_ready ready;
};

/* Offsets in the areas; everything before the data part is a multiple of a page. */
#define VOS_ALIGN(n)		      (((n) + VOS_PAGE - 1) & ~(size_t)(VOS_PAGE - 1))
#define VOS_PROGRAM_DATA	      VOS_ALIGN(sizeof(struct vos_program_head))
#define VOS_SERVICE_LANES	      VOS_ALIGN(sizeof(struct vos_service_head))
#define VOS_LANE_SIZE		      (VOS_SLOTS * sizeof(struct vos_entry))
#define VOS_SERVICE_DATA(lanes)	      (VOS_SERVICE_LANES + VOS_ALIGN((lanes)*VOS_LANE_SIZE))
#define VOS_DATA_SIZE(lanes, pool)    (VOS_ALIGN((size_t)(lanes)*VOS_SMALL) + (pool))
#define VOS_PROGRAM_SIZE(lanes, pool) (VOS_PROGRAM_DATA + VOS_DATA_SIZE(lanes, pool))
#define VOS_SERVICE_SIZE(lanes, pool) (VOS_SERVICE_DATA(lanes) + VOS_DATA_SIZE(lanes, pool))

/*
 * Attach, over a Unix socket of type SOCK_SEQPACKET: the program sends hello with the channel's
 * memory (a memfd, sealed against shrinking: program area, then service area) and reads welcome.
 * Afterwards each packet that the program sends is a ring of the doorbell; one with a descriptor
 * attached carries struct vos_bell_fd. The service never sends again; hang-up means death, both
 * ways.
 */
enum {
	VOS_HELLO_ATTACH = 1, /* a new client */
	VOS_HELLO_IDENT = 2,  /* the client named by session has new credentials: those of this
			       * connection; nothing else follows */
};

/* Capabilities: bits that both sides must have set to be used. */
enum { VOS_CAP_READY_QUEUE = 1 };

struct vos_hello {
	uint32_t magic, version;
	uint32_t kind; /* VOS_HELLO_* */
	uint32_t caps;
	uint64_t session[2]; /* IDENT: the client's session */
	uint64_t ticket[2];  /* ATTACH: what the parent or the former image left for us, or 0 */
	uint32_t umask;
	uint32_t pad;
};
_Static_assert(sizeof(struct vos_hello) == 56, "layout is ABI");

struct vos_welcome {
	uint32_t magic, version;
	int32_t error; /* 0: text says what serves; or -errno: text says why */
	uint32_t caps;
	uint64_t session[2];
	char domain[32]; /* that is served; the program looks whether it is the one it wants */
	char text[128];
};
_Static_assert(sizeof(struct vos_welcome) == 192, "layout is ABI");

/*
 * With SCM_RIGHTS. WAKE: once for each lane, a stream socket, into which the service sends a byte
 * when the lane's thread waits with WAIT_FD. TOKEN: before the op of that name in this lane, a
 * memfd with a lock of flock(); the token lasts as long as the lock.
 */
struct vos_bell_fd {
	uint8_t tag; /* VOS_TAG_*; any other byte is the doorbell */
	uint8_t pad;
	uint16_t lane;
	uint32_t key; /* TOKEN: an argument of the op, so that one is not taken for another */
};
_Static_assert(sizeof(struct vos_bell_fd) == 8, "layout is ABI");
#define VOS_TAG_BELL  0
#define VOS_TAG_WAKE  1
#define VOS_TAG_TOKEN 2

#endif
