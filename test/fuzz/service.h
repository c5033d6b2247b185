/* SPDX-License-Identifier: MIT */
/* The parts of service_hostile. */
#ifndef SERVICE_H
#define SERVICE_H

#include "ring/abi.h"
#include "test/fuzz/random.h"

#include <stdbool.h>

/* A program's channel as a hostile service has it: all of it writable. */
struct victim {
	int sock;
	uint8_t *program, *service;
	size_t size; /* of both areas, which follow each other */
	uint32_t lanes, pool;
	struct vos_entry *entry; /* lanes * VOS_SLOTS of them */
	int wake_fd[VOS_LANES_MAX];
	uint32_t wildness; /* one answer in so many makes no sense; 0: all make some */
};

/* service_answer.c: what to answer a request, with data in its blocks. */
int64_t make_answer(struct victim *v, struct vos_entry *e);

#endif
