/* SPDX-License-Identifier: MIT */
/*
 * A client of a svcd of its own that has as many handles as it may: what cannot be taken back is not
 * begun. A connection stays in the backlog.
 */
#define _GNU_SOURCE
#include "test/unit/own_svcd.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static int64_t new_socket(void)
{
	return request(VOS_OP_socket, AF_INET, SOCK_STREAM, 0, 0);
}

/* A listening socket there, and where. */
static uint64_t listener(struct sockaddr_in *sa)
{
	uint32_t out = VOS_PROGRAM_DATA + lane->index * VOS_SMALL;
	uint32_t in = (uint32_t)VOS_SERVICE_DATA(chan.nlanes) + lane->index * VOS_SMALL;
	uint64_t h = (uint64_t)new_socket();

	*sa = (struct sockaddr_in){ .sin_family = AF_INET };
	sa->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memcpy(chan.program + out, sa, sizeof(*sa));
	CHECK(!request(VOS_OP_bind, h, VOS_REF(out, sizeof(*sa)), sizeof(*sa), 0));
	CHECK(!request(VOS_OP_listen, h, 4, 0, 0));
	CHECK(!request(VOS_OP_getsockname, h, VOS_REF(in, 4 + sizeof(struct sockaddr_storage)),
		       4 + sizeof(struct sockaddr_storage), 0));
	memcpy(sa, chan.service + in + 4, sizeof(*sa));
	return h;
}

int main(void)
{
	struct sockaddr_in sa;
	uint64_t h;
	int64_t more;
	char byte;
	int fd;

	start_svcd("--max-handles", "2");
	attach();
	h = listener(&sa);
	more = new_socket();
	CHECK(more > 0);
	CHECK(new_socket() == -EMFILE);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(fd >= 0 && !connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
	CHECK(request(VOS_OP_accept, h, VOS_REF_NULL, 0, 0) == -EMFILE);
	/* It has neither been accepted nor closed. */
	CHECK(recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	CHECK(!request(VOS_OP_close, (uint64_t)more, 0, 0, 0));
	CHECK(request(VOS_OP_accept, h, VOS_REF_NULL, 0, 0) > 0);
	close(fd);
	return 0;
}
