/* SPDX-License-Identifier: MIT */
/*
 * The kernel extension, tested in two domains: program.c asks, through /dev/virtuos, peer.c does in
 * the service domain what a service does, or what none should. A command stands at the beginning of
 * the program's area, its answer at the beginning of the service's.
 */
#ifndef EXT_H
#define EXT_H

#include <stdatomic.h>
#include <stdint.h>

#define PROGRAM_ORDER 13
#define SERVICE_ORDER 14
#define LANES	      64u
#define READY_OFF     4096u
#define READY_SLOTS   256u
#define WORDS_OFF     8192u /* one for each lane, in the service's area: what its thread waits for */
#define NAME	      "exttest"

enum {
	PUSH = 1,	  /* count up the word of lane arg, and the lane into the queue */
	PUSH_FOR_NOTHING, /* not the word */
	PUSH_ALL,	  /* all lanes, one event */
	PUSH_RAW,	  /* the word arg */
	PUSH_LAPS, /* lane arg, many times round, one event; and all words, which nobody is told */
	STORM,	   /* arg events without anything */
	SCRIBBLE,  /* random numbers over all that it may write, except for the answers */
	LEAVE,	   /* end, without a word */
	CREDS,	   /* what the first page says of the program, as text */
};

struct command {
	_Atomic uint32_t number; /* last; counts from 1 */
	uint32_t what, arg;
};

struct answer {
	_Atomic uint32_t number; /* of the last command that is done */
	uint32_t writable;	 /* the program's area could be mapped for writing: must be 0 */
	char text[1024];
};

#endif
