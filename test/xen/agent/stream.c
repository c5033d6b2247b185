/* SPDX-License-Identifier: MIT */
/* Frames on a connection that never blocks. */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxenvchan.h>

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("labagent: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputs("\n", stderr);
	va_end(ap);
	_exit(255);
}

/* --- bytes --- */

static void buf_compact(struct buf *b)
{
	if (!b->head)
		return;
	memmove(b->data, b->data + b->head, b->len);
	b->head = 0;
}

size_t buf_room(const struct buf *b)
{
	return sizeof(b->data) - b->len;
}

void buf_take(struct buf *b, size_t n)
{
	b->head += n;
	b->len -= n;
	if (!b->len)
		b->head = 0;
}

void stream_reset(struct stream *s)
{
	s->in.head = s->in.len = 0;
	s->out.head = s->out.len = 0;
	s->closed = false;
}

/* Below 0: the other side is gone. 0: not now. */
static ssize_t some(const struct stream *s, bool reading, char *p, size_t n)
{
	ssize_t r;

	if (s->vchan) {
		r = reading ? libxenvchan_read(s->vchan, p, n) : libxenvchan_write(s->vchan, p, n);
		return (r || libxenvchan_is_open(s->vchan)) ? r : -1;
	}
	r = reading ? read(s->fd, p, n) : write(s->fd, p, n);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return r ? r : -1;
}

/* Sends what goes without waiting. */
void stream_flush(struct stream *s)
{
	ssize_t r;

	while (s->out.len) {
		r = some(s, false, s->out.data + s->out.head, s->out.len);
		if (r < 0) {
			s->closed = true;
			s->out.head = s->out.len = 0;
		}
		if (r <= 0)
			break;
		buf_take(&s->out, (size_t)r);
	}
}

/* And receives: what is in @in then has to be looked at before the next wait. */
void stream_pump(struct stream *s)
{
	ssize_t r;

	stream_flush(s);
	buf_compact(&s->in);
	while (buf_room(&s->in)) {
		r = some(s, true, s->in.data + s->in.len, buf_room(&s->in));
		if (r < 0)
			s->closed = true;
		if (r <= 0)
			break;
		s->in.len += (size_t)r;
	}
}

short stream_events(const struct stream *s)
{
	if (s->vchan)
		return POLLIN;
	return (short)((buf_room(&s->in) ? POLLIN : 0) | (s->out.len ? POLLOUT : 0));
}

/*
 * For poll(). A vchan tells of data once: what had no room in @in then is not told of again.
 */
int stream_timeout(const struct stream *s)
{
	return s->vchan && buf_room(&s->in) && libxenvchan_data_ready(s->vchan) > 0 ? 0 : -1;
}

void stream_acknowledge(struct stream *s, short revents)
{
	if (s->vchan && revents)
		libxenvchan_wait(s->vchan);
}

/* --- frames --- */

/* One more frame fits: who reads from elsewhere to fill it asks first. */
bool stream_has_room(const struct stream *s)
{
	return buf_room(&s->out) >= 2 * (sizeof(struct frame) + FRAME_MAX);
}

void frame_put(struct stream *s, enum frame_type type, const void *data, size_t len)
{
	struct frame f = { FRAME_MAGIC, (uint16_t)type, (uint16_t)len };

	if (buf_room(&s->out) < sizeof(f) + len)
		die("frame of type %d does not fit", type);
	buf_compact(&s->out);
	memcpy(s->out.data + s->out.len, &f, sizeof(f));
	if (len)
		memcpy(s->out.data + s->out.len + sizeof(f), data, len);
	s->out.len += sizeof(f) + len;
}

/* 1: *@f is the next frame, until frame_pop(); 0: not complete; -EPROTO: that is no frame. */
int frame_peek(struct stream *s, struct frame **f)
{
	buf_compact(&s->in);
	*f = (struct frame *)s->in.data;
	if (s->in.len < sizeof(**f))
		return 0;
	if ((*f)->magic != FRAME_MAGIC || (*f)->len > FRAME_MAX)
		return -EPROTO;
	return s->in.len >= sizeof(**f) + (*f)->len;
}

void frame_pop(struct stream *s)
{
	struct frame *f = (struct frame *)(s->in.data + s->in.head);

	buf_take(&s->in, sizeof(*f) + f->len);
}

/*
 * Skips what is left of an earlier session, up to and with the next HELLO. The asking side sends
 * enough zeros in front of it to complete whatever frame that session may have ended in.
 */
int hello_find(struct stream *s, uint64_t *nonce)
{
	struct frame f;

	while (s->in.len >= sizeof(f) + sizeof(*nonce)) {
		memcpy(&f, s->in.data + s->in.head, sizeof(f));
		if (f.magic == FRAME_MAGIC && f.type == FRAME_HELLO && f.len == sizeof(*nonce)) {
			memcpy(nonce, s->in.data + s->in.head + sizeof(f), sizeof(*nonce));
			buf_take(&s->in, sizeof(f) + sizeof(*nonce));
			return 1;
		}
		buf_take(&s->in, 1);
	}
	return 0;
}
