/* SPDX-License-Identifier: MIT */
/* See ring/attach.h. */
#define _GNU_SOURCE
#include "ring/attach.h"
#include "ring/raw.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>

/* Most answer within this, so that no signal need cut the attempt short. */
#define SIGNAL_MS 200
#define LOOK_MS	  20 /* between two looks for one */

int64_t vos_now_ms(void)
{
	struct timespec t;

	vos_raw2(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

long vos_be_patient(const struct vos_patience *p, int fd, short events)
{
	struct pollfd pfd = { fd, events, 0 };
	struct timespec t = { 0, LOOK_MS * 1000000 };
	long r = vos_raw5(SYS_ppoll, (long)&pfd, events != 0, (long)&t, 0, 0);
	uint64_t pending = 0;
	int64_t ms;

	if (r < 0 && r != -EINTR)
		return r;
	ms = vos_now_ms() - p->since;
	if (ms >= VOS_ANSWER_S * 1000)
		return -ETIMEDOUT;
	if (r > 0)
		return 0;
	if (ms >= SIGNAL_MS && ~p->blocked)
		vos_raw2(SYS_rt_sigpending, (long)&pending, sizeof(pending));
	return pending & ~p->blocked ? -EINTR : 0;
}

int vos_attach_refused(struct vos_welcome *w, int error, const char *why, const char *more)
{
	size_t n = 0;

	while (*why && n < sizeof(w->text) - 1)
		w->text[n++] = *why++;
	for (size_t i = 0; more && i < sizeof(w->domain) && more[i] && n < sizeof(w->text) - 1; i++)
		w->text[n++] = more[i];
	w->text[n] = 0;
	return error;
}

/* What somebody else wants on the user's terminal. */
static void make_printable(char *text, size_t size)
{
	size_t i;

	for (i = 0; i < size - 1 && text[i]; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
	text[i] = 0;
}

static bool same_name(const char name[sizeof(((struct vos_welcome *)0)->domain)], const char *want)
{
	size_t i = 0;

	while (i < sizeof(((struct vos_welcome *)0)->domain) - 1 && name[i] && name[i] == want[i])
		i++;
	return name[i] == want[i];
}

int vos_attach_check(struct vos_welcome *w, const char *name)
{
	int r = 0;

	if (w->magic != VOS_MAGIC)
		r = vos_attach_refused(w, -EPROTO, "what answers there is no svcd", NULL);
	else if (w->error)
		r = w->error < 0 && w->error > -4096 ? w->error : -EPROTO;
	else if (w->version != VOS_VERSION)
		r = vos_attach_refused(w, -EPROTONOSUPPORT, "the service is of another version",
				       NULL);
	else if (name && !same_name(w->domain, name))
		r = vos_attach_refused(w, -ENXIO, "the service there is that of domain ",
				       w->domain);
	make_printable(w->text, sizeof(w->text));
	return r;
}
