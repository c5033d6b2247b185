/* SPDX-License-Identifier: MIT */
/* The parts of svcd_hostile. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "ring/chan.h"
#include "test/fuzz/random.h"

#include <stddef.h>
#include <stdint.h>

/* A descriptor of some kind, to be closed; -1. hostile_fd.c */
int random_fd(void);

/* --- attaching: hostile_hello.c --------------------------------------------------------------- */

extern const char *socket_path;
int dial(void);
/* A hello that no honest library sends. */
void bad_hello(void);
/* Descriptors that come with a message of @len bytes. */
void send_fds(int sock, const void *data, size_t len, const int *fds, unsigned n);

/* --- requests: hostile_request.c -------------------------------------------------------------- */

#define HANDLES 64u

struct session {
	struct vos_chan c;
	uint32_t wildness; /* one argument in so many makes no sense; 0: all make some */
	_Atomic uint64_t handle[HANDLES]; /* some that we have been given */
	_Atomic uint64_t token[4][2];
};

/* Attach, as an honest library would. 0 or -errno. */
int session_attach(struct session *s, uint32_t lanes, uint32_t pool);
/* Fill in a request for @op, or any; its blocks belong to lane @l. */
void random_request(struct session *s, const struct vos_lane *l, struct vos_entry *e);
void request_for(struct session *s, const struct vos_lane *l, struct vos_entry *e, uint16_t op);
void note_answer(struct session *s, const struct vos_entry *e);

/* --- what a process does: hostile_session.c, hostile_table.c ---------------------------------- */

/* One session, from attaching to its end, which is the end of the process. */
void run_session(uint64_t seed) __attribute__((noreturn));
/* The same, but random bytes go over all of the channel all the time. */
void run_scribbler(uint64_t seed) __attribute__((noreturn));
/* The same, but one word of what is posted keeps changing. */
void run_flipper(uint64_t seed) __attribute__((noreturn));
/* Every op with every argument at every limit. */
void run_table(uint64_t seed) __attribute__((noreturn));

#define EXIT_REFUSED 10 /* could not attach */

#endif
