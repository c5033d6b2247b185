/* SPDX-License-Identifier: MIT */
/*
 * What one image of a process leaves for the next: a memfd, sealed so that it cannot change any
 * more, whose number is in VIRTUOS_STATE. The head, then the records in this order, without gaps.
 *
 * Indexes of domains and prefixes are those of the old image's configuration; the new image may
 * have another one and finds them again by name and path.
 */
#ifndef VOS_STATE_H
#define VOS_STATE_H

#include "preload/config.h"

#include <fcntl.h>
#include <stdint.h>

#define VOS_STATE_MAGIC	  0x61747376u /* "vsta" */
#define VOS_STATE_VERSION 1u
#define VOS_STATE_MAX	  (64u << 20)
#define VOS_STATE_SEALS	  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

struct vos_state_head {
	uint32_t magic, version;
	uint32_t size; /* of everything */
	uint32_t ndomains, nprefixes, nfds;
	int32_t cwd_domain; /* -1: the working directory is local */
	int32_t cwd_prefix; /* -1: not known */
};

struct vos_state_domain {
	char name[VOS_DOMAIN_NAME_MAX];
	char address[VOS_ADDRESS_MAX];
	uint64_t ticket[2]; /* 0: nothing of it is handed over */
	uint32_t inc;	    /* incarnation of the handles */
	uint32_t soon;	    /* the ticket is to be taken at once */
	uint32_t nroots;
	uint8_t root_prefix[VOS_MAX_PREFIXES];
};

struct vos_state_prefix {
	char path[VOS_PREFIX_MAX];
	int32_t to; /* domain */
};

/* A number and what it stands for, if it is still the same placeholder. */
struct vos_state_fd {
	uint64_t word;
	uint64_t dev, ino;
	uint32_t fd;
	uint32_t pad;
};

_Static_assert(sizeof(struct vos_state_head) == 32, "read by another build, perhaps");
_Static_assert(sizeof(struct vos_state_domain) == 256, "read by another build, perhaps");
_Static_assert(sizeof(struct vos_state_prefix) == 260, "read by another build, perhaps");
_Static_assert(sizeof(struct vos_state_fd) == 32, "read by another build, perhaps");

#endif
