/* SPDX-License-Identifier: MIT */
/* The parts of svcd_hostile. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "ring/chan.h"

#include <stdint.h>

/* Random numbers of the calling thread. */
void random_seed(uint64_t seed);
uint64_t random_bits(void);
static inline uint64_t below(uint64_t n)
{
	return random_bits() % n;
}

#define PICK(array) (array)[below(sizeof(array) / sizeof((array)[0]))]

extern const char *socket_path;
int dial(void);

/* Hellos that no honest library sends: hostile_hello.c. */
void bad_hello(void);
/* Descriptors that come with a message of @len bytes. */
void send_fds(int sock, const void *data, size_t len, const int *fds, unsigned n);

/* A session: hostile_request.c. */
struct session {
	struct vos_chan c;
	uint32_t wildness;	     /* one argument in so many makes no sense; 0: all make some */
	_Atomic uint64_t handle[64]; /* some that we have been given */
	_Atomic uint64_t token[4][2];
};

/* Fill in a request; its blocks belong to lane @l. */
void random_request(struct session *s, const struct vos_lane *l, struct vos_entry *e);
void note_answer(struct session *s, const struct vos_entry *e);

#endif
