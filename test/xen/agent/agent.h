/* SPDX-License-Identifier: MIT */
/*
 * labagent: runs commands in the domains of the lab, for somebody outside.
 *
 *   exec  (host, dom0)   connects, asks for one command, copies its input, output and status
 *   ports (dom0)         serves the virtio ports that end in Unix sockets on the host
 *   watch (other domains) serves vchans which dom0 offers through xenstore
 *
 * A session is one connection: HELLO both ways, EXEC, then DATA until EXIT. Whoever asked for the
 * command is gone when the connection is; the command is killed then.
 */
#ifndef AGENT_H
#define AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

struct libxenvchan;

#define FRAME_MAX 4096 /* bytes of a payload */

enum frame_type {
	FRAME_HELLO = 1, /* 8 random bytes of the asking side, sent back as they are */
	FRAME_EXEC,	 /* struct exec_head, then the arguments, each with its NUL */
	FRAME_DATA,	 /* standard input, or standard output */
	FRAME_ERROR,	 /* standard error */
	FRAME_END,	 /* of standard input */
	FRAME_SIZE,	 /* struct winsize of the asking terminal */
	FRAME_EXIT,	 /* int32_t: exit status, or 128 + signal */
};

struct frame {
	uint32_t magic;
	uint16_t type;
	uint16_t len;
	char payload[];
};

#define FRAME_MAGIC 0x5842414cu /* "LABX"; no byte of it is 0 */

struct exec_head {
	uint16_t tty; /* give it a terminal */
	uint16_t rows, cols;
};

struct buf {
	size_t head, len;
	char data[16 * FRAME_MAX];
};

/* Both directions of a connection: a descriptor, or a vchan and its event channel's descriptor. */
struct stream {
	int fd;
	struct libxenvchan *vchan;
	bool closed; /* by the other side; what has come before may still be in @in */
	struct buf in, out;
};

/* stream.c */
noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
size_t buf_room(const struct buf *b);
void buf_take(struct buf *b, size_t n);
void stream_reset(struct stream *s);
void stream_flush(struct stream *s);
void stream_pump(struct stream *s);
short stream_events(const struct stream *s);
int stream_timeout(const struct stream *s);
void stream_acknowledge(struct stream *s, short revents);
bool stream_has_room(const struct stream *s);
void frame_put(struct stream *s, enum frame_type type, const void *data, size_t len);
int frame_peek(struct stream *s, struct frame **f);
void frame_pop(struct stream *s);
int hello_find(struct stream *s, uint64_t *nonce);

/* serve.c */
int serve(struct stream *s);
noreturn void serve_ports(char **paths);

/* client.c */
int client(struct stream *s, bool tty, char **argv);
int connect_port(const char *dir);

/* xen.c */
struct offer {
	struct stream stream;
	unsigned int domid;
	char path[64];
};

int offer_make(struct offer *o, const char *domain);
int offer_check(void);
int offer_watch_fd(void);
void offer_end(struct offer *o);
noreturn void serve_offers(void);

#endif
