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
#include "preload/vos.h"

#include <fcntl.h>
#include <stdint.h>

#define VOS_STATE_MAGIC	  0x61747376u /* "vsta" */
#define VOS_STATE_VERSION 3u
#define VOS_STATE_MAX	  (64u << 20)
#define VOS_STATE_SEALS	  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

struct vos_state_head {
	uint32_t magic, version;
	uint32_t size; /* of everything */
	uint32_t ndomains, nprefixes, nfds, nepolls, nmembers;
	int32_t cwd_domain; /* -1: the working directory is local */
	uint32_t cwd_inc;   /* of the channel by which we have come there */
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

/* An epoll descriptor with remote members; see epoll_exec.c. */
struct vos_state_epoll {
	uint64_t word;
	uint64_t companion[VOS_MAX_DOMAINS]; /* handle, or 0 */
	uint32_t fd;			     /* one of its numbers */
	uint32_t nested;
};

struct vos_state_member {
	uint64_t word, data;
	uint32_t events, told;
	uint32_t fd;
	uint32_t epoll; /* index of the record before */
};

_Static_assert(sizeof(struct vos_state_head) == 40, "read by another build, perhaps");
_Static_assert(sizeof(struct vos_state_domain) == 256, "read by another build, perhaps");
_Static_assert(sizeof(struct vos_state_prefix) == 260, "read by another build, perhaps");
_Static_assert(sizeof(struct vos_state_fd) == 32, "read by another build, perhaps");
_Static_assert(sizeof(struct vos_state_epoll) == 80, "read by another build, perhaps");
_Static_assert(sizeof(struct vos_state_member) == 32, "read by another build, perhaps");

/* Append to what is being made. 0 or -errno. */
long vos_state_put(int fd, const void *p, size_t n) HIDDEN;
/* A word of the old image in the new one, where its domains have the indexes @domain_here; or 0. */
uint64_t vos_state_word(uint64_t word, const int domain_here[VOS_MAX_DOMAINS]) HIDDEN;

/* --- epoll_exec.c --- */

/* An epoll descriptor that the next image will have, by one of its numbers. */
struct vos_state_number {
	uint64_t word;
	uint32_t fd;
};
long vos_epoll_save(int fd, const struct vos_state_number *k, size_t n, uint32_t *nmembers) HIDDEN;
void vos_epoll_restore(const struct vos_state_epoll *e, size_t n, const struct vos_state_member *m,
		       size_t nmembers, const int domain_here[VOS_MAX_DOMAINS]) HIDDEN;

#endif
