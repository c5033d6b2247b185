/* SPDX-License-Identifier: MIT */
/* The serving side: one command after the other on a connection. */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct command {
	pid_t pid;
	int pidfd; /* -1 when it has ended */
	int status;
	bool tty;
	int in, out, err; /* our ends; -1 when closed; with a terminal all the same */
	struct buf input;
	bool input_ends;
};

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void wait_stream(struct stream *s)
{
	struct pollfd p = { s->fd, stream_events(s), 0 };

	poll(&p, 1, stream_timeout(s));
	stream_acknowledge(s, p.revents);
	stream_pump(s);
}

static void put_and_flush(struct stream *s, enum frame_type type, const void *data, size_t len)
{
	frame_put(s, type, data, len);
	stream_flush(s);
	while (s->out.len && !s->closed)
		wait_stream(s);
}

/* --- starting --- */

static noreturn void child(struct frame *f, int in, int out, int err)
{
	char *argv[FRAME_MAX / 2 + 1], *p = f->payload + sizeof(struct exec_head);
	char *end = f->payload + f->len;
	size_t n = 0;

	for (; p < end && n < FRAME_MAX / 2; p += strlen(p) + 1)
		argv[n++] = p;
	argv[n] = NULL;
	if (in >= 0) {
		setsid();
		dup2(in, 0);
		dup2(out, 1);
		dup2(err, 2);
	}
	close_range(3, ~0u, 0);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	if (!n || chdir("/"))
		_exit(126);
	execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static int start_piped(struct command *c, struct frame *f)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		goto fail;
	c->pid = fork();
	if (c->pid < 0)
		goto fail;
	if (!c->pid)
		child(f, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	c->in = in[1];
	c->out = out[0];
	c->err = err[0];
	return 0;

fail:
	for (int i = 0; i < 2; i++) {
		shut(&in[i]);
		shut(&out[i]);
		shut(&err[i]);
	}
	return -EAGAIN;
}

static int start_tty(struct command *c, struct frame *f, const struct exec_head *head)
{
	struct winsize size = { .ws_row = head->rows, .ws_col = head->cols };
	int fd;

	c->pid = forkpty(&fd, NULL, NULL, &size);
	if (c->pid < 0)
		return -EAGAIN;
	if (!c->pid)
		child(f, -1, -1, -1);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	c->in = c->out = fd;
	c->err = -1;
	return 0;
}

/* The frame's last argument ends with a NUL, or there is no command. */
static int start(struct command *c, struct frame *f)
{
	struct exec_head head;
	int r;

	memset(c, 0, sizeof(*c));
	c->in = c->out = c->err = c->pidfd = -1;
	if (f->len <= sizeof(head) || f->payload[f->len - 1])
		return -EPROTO;
	memcpy(&head, f->payload, sizeof(head));
	c->tty = head.tty;
	r = c->tty ? start_tty(c, f, &head) : start_piped(c, f);
	if (r)
		return r;
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	fcntl(c->in, F_SETFL, O_NONBLOCK);
	fcntl(c->out, F_SETFL, O_NONBLOCK);
	if (c->err >= 0)
		fcntl(c->err, F_SETFL, O_NONBLOCK);
	return 0;
}

/* --- running --- */

static void close_input(struct command *c)
{
	if (!c->tty)
		shut(&c->in);
	c->in = -1;
	c->input.head = c->input.len = 0;
}

static void feed(struct command *c)
{
	ssize_t r;

	while (c->in >= 0 && c->input.len) {
		r = write(c->in, c->input.data + c->input.head, c->input.len);
		if (r < 0 && errno == EAGAIN)
			return;
		if (r < 0)
			close_input(c);
		else
			buf_take(&c->input, (size_t)r);
	}
	if (c->input_ends)
		close_input(c);
}

static void take_output(struct stream *s, int *fd, enum frame_type type)
{
	char data[FRAME_MAX];
	ssize_t r;

	while (*fd >= 0 && stream_has_room(s)) {
		r = read(*fd, data, sizeof(data));
		if (r < 0 && errno == EAGAIN)
			return;
		if (r <= 0)
			shut(fd);
		else
			frame_put(s, type, data, (size_t)r);
	}
}

/* Input of a command that does not read it any more is dropped. */
static void take_data(struct command *c, const struct frame *f)
{
	struct buf *b = &c->input;

	if (c->in < 0)
		return;
	memmove(b->data, b->data + b->head, b->len);
	b->head = 0;
	memcpy(b->data + b->len, f->payload, f->len);
	b->len += f->len;
}

/* 0: no more frames now, or the command must read first. */
static int take_frames(struct stream *s, struct command *c)
{
	struct frame *f;
	int r;

	feed(c);
	while (buf_room(&c->input) >= FRAME_MAX) {
		r = frame_peek(s, &f);
		if (r <= 0)
			return r;
		switch (f->type) {
		case FRAME_DATA:
			take_data(c, f);
			break;
		case FRAME_END:
			c->input_ends = true;
			break;
		case FRAME_SIZE:
			if (c->tty && f->len == sizeof(struct winsize))
				ioctl(c->out, TIOCSWINSZ, f->payload);
			break;
		default: /* a new session: its HELLO is found again */
			return -EPROTO;
		}
		frame_pop(s);
		feed(c);
	}
	return 0;
}

static void poll_all(struct stream *s, struct command *c)
{
	bool room = stream_has_room(s);
	struct pollfd p[] = {
		{ s->fd, stream_events(s), 0 },
		{ c->pidfd, POLLIN, 0 },
		{ c->input.len ? c->in : -1, POLLOUT, 0 },
		{ room ? c->out : -1, POLLIN, 0 },
		{ room ? c->err : -1, POLLIN, 0 },
	};

	poll(p, sizeof(p) / sizeof(*p), stream_timeout(s));
	stream_acknowledge(s, p[0].revents);
	if (p[1].revents) {
		waitpid(c->pid, &c->status, 0);
		shut(&c->pidfd);
	}
}

static void end(struct command *c)
{
	if (c->pidfd >= 0) {
		kill(-c->pid, SIGKILL);
		waitpid(c->pid, &c->status, 0);
		shut(&c->pidfd);
	}
	close_input(c);
	shut(&c->out);
	shut(&c->err);
}

/*
 * What a command has left running may hold its output open: all that there is when the command has
 * ended is sent, the rest is not waited for.
 */
static int run(struct stream *s, struct command *c)
{
	int32_t status;
	bool ended;
	int r;

	do {
		ended = c->pidfd < 0;
		stream_pump(s);
		r = take_frames(s, c);
		if (s->closed)
			r = -EPIPE;
		if (r) {
			end(c);
			return r;
		}
		take_output(s, &c->out, FRAME_DATA);
		take_output(s, &c->err, FRAME_ERROR);
		stream_flush(s);
		if (!ended || !stream_has_room(s))
			poll_all(s, c);
	} while (!ended || !stream_has_room(s));

	end(c);
	status = WIFSIGNALED(c->status) ? 128 + WTERMSIG(c->status) : WEXITSTATUS(c->status);
	put_and_flush(s, FRAME_EXIT, &status, sizeof(status));
	return 0;
}

/* Until the other side has gone. */
int serve(struct stream *s)
{
	static struct command c;
	struct frame *f;
	uint64_t nonce;
	int32_t status = 126;
	int r;

	stream_pump(s);
	for (;;) {
		while (!hello_find(s, &nonce)) {
			if (s->closed)
				return -EPIPE;
			wait_stream(s);
		}
		s->out.head = s->out.len = 0;
		put_and_flush(s, FRAME_HELLO, &nonce, sizeof(nonce));
		while (!(r = frame_peek(s, &f))) {
			if (s->closed)
				return -EPIPE;
			wait_stream(s);
		}
		if (r < 0 || f->type != FRAME_EXEC)
			continue;
		r = start(&c, f);
		frame_pop(s);
		if (r)
			put_and_flush(s, FRAME_EXIT, &status, sizeof(status));
		else
			run(s, &c);
	}
}

/* --- the ports of dom0 --- */

/*
 * While nobody is connected on the host a port is always "hung up", which cannot be waited on; a
 * blocking write returns when somebody is. The byte is skipped by hello_find() over there.
 */
static void await_host(int fd)
{
	fcntl(fd, F_SETFL, 0);
	while (write(fd, "", 1) != 1)
		;
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

static noreturn void serve_port(const char *path)
{
	static struct stream s;

	s.fd = open(path, O_RDWR | O_CLOEXEC);
	if (s.fd < 0)
		die("%s: %s", path, strerror(errno));
	for (;;) {
		await_host(s.fd);
		stream_reset(&s);
		serve(&s);
	}
}

void serve_ports(char **paths)
{
	for (; *paths; paths++) {
		pid_t pid = fork();

		if (!pid)
			serve_port(*paths);
		if (pid < 0)
			die("fork: %s", strerror(errno));
	}
	while (wait(NULL) > 0)
		;
	die("no port is left");
}
