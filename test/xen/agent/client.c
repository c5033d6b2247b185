/* SPDX-License-Identifier: MIT */
/* The asking side: one command, with our input, output and status. */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

/* --- the host's way to dom0: DIR/port0, DIR/port1 ..., each for one session at a time --- */

static int connect_to(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(sun.sun_path, path, sizeof(sun.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)))
		die("%s: %s (is the lab up?)", path, strerror(errno));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* The lock is held until we end. */
int connect_port(const char *dir)
{
	char path[32];
	int n, lock;

	if (chdir(dir))
		die("%s: %s", dir, strerror(errno));
	for (n = 0;; n++) {
		snprintf(path, sizeof(path), "port%d", n);
		if (access(path, F_OK))
			break;
		lock = open(strcat(path, ".lock"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
		if (!flock(lock, LOCK_EX | LOCK_NB)) {
			*strchr(path, '.') = 0;
			return connect_to(path);
		}
		close(lock);
	}
	if (!n)
		die("%s: the lab is not up", dir);
	n = getpid() % n;
	snprintf(path, sizeof(path), "port%d.lock", n);
	lock = open(path, O_RDWR | O_CLOEXEC);
	flock(lock, LOCK_EX);
	*strchr(path, '.') = 0;
	return connect_to(path);
}

/* --- the terminal --- */

static struct termios saved;

static void restore_tty(void)
{
	tcsetattr(0, TCSADRAIN, &saved);
}

static void raw_tty(void)
{
	struct termios t;

	if (tcgetattr(0, &saved))
		return;
	atexit(restore_tty);
	t = saved;
	cfmakeraw(&t);
	tcsetattr(0, TCSADRAIN, &t);
}

static int resize_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void send_size(struct stream *s, int fd)
{
	struct signalfd_siginfo si;
	struct winsize size;

	if (read(fd, &si, sizeof(si)) == sizeof(si) && !ioctl(0, TIOCGWINSZ, &size))
		frame_put(s, FRAME_SIZE, &size, sizeof(size));
}

/* --- the session --- */

#define HELLO_MS 2000

/* False: nothing has come for a while. */
static bool wait_stream(struct stream *s)
{
	struct pollfd p[] = { { s->fd, stream_events(s), 0 }, { offer_watch_fd(), POLLIN, 0 } };
	int n = poll(p, 2, stream_timeout(s) ? HELLO_MS : 0);

	if (p[1].revents && offer_check())
		die("the domain has ended");
	stream_acknowledge(s, p[0].revents);
	stream_pump(s);
	return n != 0;
}

/*
 * On a port what an earlier session has left unread there is completed and skipped. dom0 may take the
 * end of that session for the end of ours, and lose what we have said: so it is said again.
 */
static void greet(struct stream *s)
{
	uint64_t nonce, answer;

	if (getrandom(&nonce, sizeof(nonce), 0) != sizeof(nonce))
		die("getrandom: %s", strerror(errno));
	if (!s->vchan) {
		memset(s->out.data, 0, sizeof(struct frame) + FRAME_MAX);
		s->out.len = sizeof(struct frame) + FRAME_MAX;
	}
	frame_put(s, FRAME_HELLO, &nonce, sizeof(nonce));
	stream_pump(s);
	while (!hello_find(s, &answer) || answer != nonce) {
		if (s->closed)
			die("connection lost");
		if (!wait_stream(s) && !s->vchan && stream_has_room(s))
			frame_put(s, FRAME_HELLO, &nonce, sizeof(nonce));
	}
}

static void ask(struct stream *s, bool tty, char **argv)
{
	struct exec_head head = { .tty = tty };
	struct winsize size;
	char data[FRAME_MAX];
	size_t len = sizeof(head), n;

	if (tty && !ioctl(0, TIOCGWINSZ, &size)) {
		head.rows = size.ws_row;
		head.cols = size.ws_col;
	}
	memcpy(data, &head, sizeof(head));
	for (; *argv; argv++, len += n) {
		n = strlen(*argv) + 1;
		if (len + n > sizeof(data))
			die("the command is longer than %d bytes", FRAME_MAX);
		memcpy(data + len, *argv, n);
	}
	frame_put(s, FRAME_EXEC, data, len);
}

static void write_all(int fd, const char *p, size_t n)
{
	ssize_t r;

	for (; n; p += r, n -= (size_t)r) {
		r = write(fd, p, n);
		if (r < 0 && errno == EINTR)
			r = 0;
		if (r < 0)
			exit(255);
	}
}

/* The command's status, or -1 while it runs. */
static int take_frames(struct stream *s)
{
	struct frame *f;
	int32_t status;
	int r;

	while ((r = frame_peek(s, &f)) > 0) {
		switch (f->type) {
		case FRAME_DATA:
			write_all(1, f->payload, f->len);
			break;
		case FRAME_ERROR:
			write_all(2, f->payload, f->len);
			break;
		case FRAME_EXIT:
			memcpy(&status, f->payload, sizeof(status));
			return status;
		}
		frame_pop(s);
	}
	if (r < 0)
		die("what came is no frame");
	return -1;
}

/* False when there is no more. */
static bool send_input(struct stream *s)
{
	char data[FRAME_MAX];
	ssize_t r = read(0, data, sizeof(data));

	if (r < 0 && errno == EINTR)
		return true;
	if (r > 0)
		frame_put(s, FRAME_DATA, data, (size_t)r);
	else
		frame_put(s, FRAME_END, NULL, 0);
	return r > 0;
}

int client(struct stream *s, bool tty, char **argv)
{
	bool input = true;
	int resized = -1, status;

	greet(s);
	ask(s, tty, argv);
	if (tty) {
		raw_tty();
		resized = resize_fd();
	}
	for (;;) {
		stream_pump(s);
		status = take_frames(s);
		if (status >= 0)
			return status;
		if (s->closed)
			die("connection lost");
		struct pollfd p[] = {
			{ s->fd, stream_events(s), 0 },
			{ input && stream_has_room(s) ? 0 : -1, POLLIN, 0 },
			{ resized, POLLIN, 0 },
			{ offer_watch_fd(), POLLIN, 0 },
		};
		poll(p, sizeof(p) / sizeof(*p), stream_timeout(s));
		stream_acknowledge(s, p[0].revents);
		if (p[1].revents)
			input = send_input(s);
		if (p[2].revents)
			send_size(s, resized);
		if (p[3].revents && offer_check())
			die("the domain has ended");
	}
}
