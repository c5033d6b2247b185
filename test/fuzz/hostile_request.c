/* SPDX-License-Identifier: MIT */
/* Requests that are right by the table in most arguments, so that svcd gets beyond decoding them.
 */
#define _GNU_SOURCE
#include "test/fuzz/hostile.h"
#include "ring/calls_table.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

static const char *const paths[] = {
	"/",
	".",
	"..",
	"",
	"f0",
	"f1",
	"d/f2",
	"d",
	"d/../f0",
	"fifo",
	"loop",
	"out",
	"dir/..",
	"../../../../etc/passwd",
	"d/./../d/f2/",
	"d//f2",
	"fifo/",
	"none/f0",
	"back/f1",
	"f0/x",
};

/* As svcd sees them: what clients.sh has made below /hostile. */
static const char *const roots[] = {
	"/hostile", "/hostile", "/hostile",    "/hostile", "/hostile",	    "/hostile/d",
	"/",	    "/none",	"/hostile/f0", "hostile",  "/hostile/loop", "/hostile/out",
};

static const uint64_t numbers[] = {
	0, 1, 2, 3, 4, 8, 64, 511, 512, 4095, 4096, 65535, 65536, 0x7fffffff, 0x80000000,
	0xffffffff, 1ull << 40, INT64_MAX, 1ull << 63, UINT64_MAX, UINT64_MAX - 1,
	UINT64_MAX - 4095,
	/* what calls take: */
	O_CREAT | O_RDWR, O_CREAT | O_EXCL | O_WRONLY, O_RDWR | O_NONBLOCK, O_PATH, O_DIRECTORY,
	O_TMPFILE | O_RDWR, O_APPEND | O_WRONLY, O_TRUNC | O_RDWR, 0600, 0777, AT_EMPTY_PATH,
	AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, LOCK_EX, LOCK_SH, LOCK_UN, LOCK_EX | LOCK_NB, F_GETFL,
	F_SETFL, F_SETLK, F_SETLKW, F_GETLK, F_OFD_SETLKW, F_SETPIPE_SZ, F_NOTIFY, F_SETLEASE,
	F_SETOWN, F_SETSIG, SEEK_DATA, RWF_NOWAIT, RWF_HIPRI, RWF_APPEND, AF_INET, AF_INET6,
	AF_UNIX, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM | SOCK_NONBLOCK, SOL_SOCKET,
	SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVBUF, SO_REUSEADDR, IPPROTO_TCP, IPPROTO_IP,
	MSG_PEEK, MSG_WAITALL, MSG_TRUNC, MSG_ERRQUEUE, MSG_OOB, MSG_DONTWAIT, MSG_MORE, FIONREAD,
	FIONBIO, EPOLL_CTL_ADD, EPOLL_CTL_MOD, 1000, 1000000, 50000000, /* ns */
};

static bool wild(const struct session *s)
{
	return s->wildness && !below(s->wildness);
}

static uint64_t number(void)
{
	return below(8) ? PICK(numbers) : random_bits();
}

static uint64_t handle(struct session *s)
{
	if (wild(s))
		return below(2) ? random_bits() : VOS_HANDLE(below(64), below(4));
	return s->handle[below(HANDLES)];
}

static uint64_t base(struct session *s)
{
	if (wild(s))
		return random_bits();
	switch (below(8)) {
	case 0:
		return VOS_BASE_CWD;
	case 1:
		return handle(s);
	case 2:
		return handle(s) | VOS_BASE_SELF;
	case 3:
		return VOS_BASE_ROOT(below(70));
	default:
		return VOS_BASE_ROOT(0);
	}
}

#define PART (VOS_SMALL / 4)

/* Blocks: parts of the lane's small one; of any length where that is allowed. */
static uint64_t block(struct session *s, const struct vos_lane *l, bool out, bool any, uint8_t **p,
		      uint32_t *len)
{
	uint32_t start = out ? (uint32_t)VOS_PROGRAM_DATA : (uint32_t)VOS_SERVICE_DATA(s->c.nlanes);
	uint32_t off = start + l->index * VOS_SMALL + (uint32_t)below(4) * PART;

	*len = PART;
	switch (any || wild(s) ? below(16) : 16) {
	case 0:
		*len = 0;
		break;
	case 1:
		*len = (uint32_t)below(PART);
		break;
	case 2: /* as much as one request may carry */
		off = start;
		*len = (uint32_t)VOS_DATA_SIZE(s->c.nlanes, s->c.pool);
		if (*len > VOS_IO_MAX)
			*len = VOS_IO_MAX;
		break;
	}
	*p = (out ? s->c.program : s->c.service) + off;
	if (!wild(s))
		return VOS_REF(off, *len);
	switch (below(4)) {
	case 0:
		return VOS_REF_NULL;
	case 1:
		return VOS_REF(off, number());
	case 2:
		return VOS_REF(number(), *len);
	default:
		return random_bits();
	}
}

static void fill_string(struct session *s, uint8_t *p, uint32_t len, bool root)
{
	const char *path = root ? PICK(roots) : PICK(paths);

	if (!len)
		return;
	if (!below(16)) { /* one that does not end, or is long */
		memset(p, 'a', len);
		p[len - 1] = wild(s);
		return;
	}
	p[0] = 0;
	if (strlen(path) < len)
		strcpy((char *)p, path);
}

/* Structures of the calls that take some: addresses, poll sets, messages. */
static void fill_data(struct session *s, uint16_t op, uint8_t *p, uint32_t len)
{
	if (len > VOS_SMALL)
		len = VOS_SMALL;
	for (uint32_t i = 0; i + 8 <= len; i += 8) {
		uint64_t v = below(4) ? number() & 0xff : random_bits();

		memcpy(p + i, &v, 8);
	}
	if (op == VOS_OP_poll)
		for (uint32_t i = 0; i + sizeof(struct vos_pollfd) <= len;
		     i += sizeof(struct vos_pollfd))
			*(struct vos_pollfd *)(p + i) =
				(struct vos_pollfd){ handle(s), (int16_t)number(), 0, 0 };
	if (op == VOS_OP_sendmsg && len >= sizeof(struct vos_msg) && !wild(s))
		*(struct vos_msg *)p = (struct vos_msg){
			(uint32_t)below(40), (uint32_t)below(64), (uint32_t)below(len / 2), 0, 0, 0
		};
	if (op == VOS_OP_fcntl_lock && len >= sizeof(struct flock))
		*(struct flock *)p = (struct flock){ .l_type = (short)below(3),
						     .l_start = (off_t)below(4),
						     .l_len = (off_t)below(4) };
	if (op == VOS_OP_bind || op == VOS_OP_connect || op == VOS_OP_send) {
		struct sockaddr_in sa = { .sin_family = below(8) ? AF_INET : (sa_family_t)number(),
					  .sin_port = htons((uint16_t)(5000 + below(3))),
					  .sin_addr = { htonl(INADDR_LOOPBACK) } };

		memcpy(p, &sa, len < sizeof(sa) ? len : sizeof(sa));
	}
}

#define USUAL(...) PICK(((const uint64_t[]){ __VA_ARGS__ }))

/* Numbers with which a call has a chance. */
static uint64_t usual(uint16_t op, int i)
{
	switch (op << 3 | i) {
	case VOS_OP_openat << 3 | 2:
		return USUAL(O_RDWR, O_RDWR, O_RDONLY, O_WRONLY, O_RDWR | O_CREAT,
			     O_RDWR | O_NONBLOCK, O_PATH);
	case VOS_OP_openat << 3 | 4:
	case VOS_OP_socket << 3 | 2:
	case VOS_OP_read << 3 | 4:
	case VOS_OP_write << 3 | 4:
	case VOS_OP_accept << 3 | 3:
	case VOS_OP_cancel << 3:
		return USUAL(0, 0, 0, 1);
	case VOS_OP_socket << 3:
		return USUAL(AF_INET, AF_INET, AF_INET6);
	case VOS_OP_socket << 3 | 1:
		return USUAL(SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM, SOCK_STREAM | SOCK_NONBLOCK);
	case VOS_OP_read << 3 | 3:
	case VOS_OP_write << 3 | 3:
	case VOS_OP_sendfile << 3 | 2:
		return USUAL(UINT64_MAX, UINT64_MAX, 0, 100);
	case VOS_OP_recv << 3 | 3:
	case VOS_OP_send << 3 | 3:
	case VOS_OP_sendmsg << 3 | 3:
	case VOS_OP_recvmsg << 3 | 3:
		return USUAL(0, 0, 0, MSG_PEEK, MSG_WAITALL, MSG_DONTWAIT, MSG_TRUNC);
	case VOS_OP_recvmsg << 3 | 4:
	case VOS_OP_recvmsg << 3 | 5:
		return USUAL(0, 16, 64, 200);
	case VOS_OP_poll << 3 | 3:
	case VOS_OP_epoll_wait << 3 | 3:
		return USUAL(0, 1000000, 5000000, UINT64_MAX);
	case VOS_OP_epoll_ctl << 3 | 1:
		return USUAL(EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL);
	case VOS_OP_fcntl_lock << 3 | 1:
		return USUAL(F_SETLK, F_SETLKW, F_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_OFD_GETLK);
	case VOS_OP_setsockopt << 3 | 1:
	case VOS_OP_getsockopt << 3 | 1:
		return USUAL(SOL_SOCKET, SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP);
	case VOS_OP_setsockopt << 3 | 2:
		return USUAL(SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO, SO_SNDBUF, 1, 2, 3, 5);
	case VOS_OP_copy << 3 | 1:
	case VOS_OP_copy << 3 | 3:
		return USUAL(UINT64_MAX, 0, 10);
	case VOS_OP_copy << 3 | 4:
	case VOS_OP_sendfile << 3 | 3:
		return USUAL(1, 1000, 100000);
	case VOS_OP_copy << 3 | 5:
		return 0;
	case VOS_OP_token << 3 | 2:
		return below(4);
	case VOS_OP_claim << 3 | 3:
		return below(2);
	default:
		return number();
	}
}

static uint64_t argument(struct session *s, const struct vos_lane *l, uint16_t op, int i)
{
	vos_arg_t arg = vos_ops[op].arg[i];
	enum vos_kind kind = VOS_ARG_KIND(arg);
	uint64_t ref;
	uint32_t len;
	uint8_t *p;

	switch (kind) {
	case VOS_K_H:
		return handle(s);
	case VOS_K_A:
		return base(s);
	case VOS_K_OE:
		if (!below(4))
			return VOS_REF_NULL;
		/* fallthrough */
	case VOS_K_O:
	case VOS_K_OF:
		return block(s, l, false, kind != VOS_K_OF && op != VOS_OP_poll, &p, &len);
	case VOS_K_P:
	case VOS_K_S:
	case VOS_K_I:
	case VOS_K_IF:
		ref = block(s, l, true, kind == VOS_K_I && op != VOS_OP_sendmsg, &p, &len);
		if (kind == VOS_K_P || kind == VOS_K_S)
			fill_string(s, p, len, op == VOS_OP_root);
		else
			fill_data(s, op, p, len);
		return ref;
	default:
		return below(8) || (op == VOS_OP_recvmsg && !wild(s)) ? usual(op, i) : number();
	}
}

void request_for(struct session *s, const struct vos_lane *l, struct vos_entry *e, uint16_t op)
{
	uint8_t *p;
	uint32_t len;

	e->op = op;
	e->cpu = (uint8_t)random_bits();
	e->result = (int64_t)block(s, l, false, false, &p, &len);
	for (int i = 0; i < 6; i++)
		e->arg[i] = op < VOS_NOPS ? argument(s, l, op, i) : random_bits();
}

void random_request(struct session *s, const struct vos_lane *l, struct vos_entry *e)
{
	/* Those that others start from come often. */
	static const uint16_t starters[] = {
		VOS_OP_root,	VOS_OP_openat,	     VOS_OP_openat, VOS_OP_socket,
		VOS_OP_socket,	VOS_OP_epoll_create, VOS_OP_bind,   VOS_OP_listen,
		VOS_OP_connect, VOS_OP_accept,	     VOS_OP_dup,
	};

	request_for(s, l, e, below(3) ? (uint16_t)below(VOS_NOPS) : PICK(starters));
	if (e->op == VOS_OP_claim && !wild(s)) {
		int i = (int)below(4);

		e->arg[0] = s->token[i][0];
		e->arg[1] = s->token[i][1];
	}
	if (wild(s))
		e->op = (uint16_t)random_bits();
	if (wild(s))
		e->arg[below(6)] = random_bits();
}

static void note_token(struct session *s, uint64_t ref)
{
	uint64_t off = VOS_REF_OFF(ref);
	int i = (int)below(4);

	if (off + 16 > VOS_SERVICE_SIZE(s->c.nlanes, s->c.pool))
		return;
	for (int k = 0; k < 2; k++) {
		uint64_t v;

		memcpy(&v, s->c.service + off + 8 * (unsigned)k, sizeof(v));
		s->token[i][k] = v;
	}
}

void note_answer(struct session *s, const struct vos_entry *e)
{
	int64_t result = e->result;

	switch (e->op) {
	case VOS_OP_token:
		if (result >= 0)
			note_token(s, e->arg[1]);
		break;
	case VOS_OP_openat:
	case VOS_OP_socket:
	case VOS_OP_accept:
	case VOS_OP_dup:
	case VOS_OP_claim:
	case VOS_OP_epoll_create:
		if (result >= 0)
			s->handle[below(HANDLES)] = (uint64_t)result;
	}
}
