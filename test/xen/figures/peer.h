/* SPDX-License-Identifier: MIT */
/* What worker.c and peer.c say to each other. Both run on machines of one kind. */
#ifndef PEER_H
#define PEER_H

#include <stdint.h>

#define PEER_PORT  7077
#define PEER_BLOCK 65536 /* bytes of one write of much data */
#define PEER_SMALL 64	 /* of a small request, and of its answer */

enum peer_kind {
	PEER_TAKE, /* count bytes come; then a byte is sent */
	PEER_GIVE, /* count bytes are sent */
	PEER_ECHO, /* count small requests are answered */
	PEER_WAKE, /* count times: rests for a while, sends a byte, and waits for one */
};

/* A connection carries any number of these, one after the other. */
struct peer_order {
	uint32_t kind, rest_us;
	uint64_t count;
};

#endif
