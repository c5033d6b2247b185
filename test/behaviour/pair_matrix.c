/* SPDX-License-Identifier: MIT */
/* timeout: 240 */
/* Calls on two descriptors, with one of every kind for each. */
#include "kinds.h"
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

/* One call from @in to @out. */
#define E(expr)                                     \
	do {                                        \
		struct made a_ = kind_make(from);   \
		struct made b_ = kind_make(to);     \
		const int in = a_.fd, out = b_.fd;  \
		long r_;                            \
		errno = 0;                          \
		r_ = (long)(expr);                  \
		kind_show(label, #expr, r_, errno); \
		kind_drop(b_);                      \
		kind_drop(a_);                      \
		kinds_restore();                    \
	} while (0)

static void files(enum kind from, enum kind to, const char *label)
{
	E(sendfile(out, in, NULL, 4));
	E(sendfile(out, in, &(off_t){ 2 }, 4));
	E(sendfile(out, in, &(off_t){ 100 }, 4));
	E(sendfile(out, in, NULL, (size_t)-1));
	E(copy_file_range(in, NULL, out, NULL, 4, 0));
	E(copy_file_range(in, NULL, out, NULL, 0, 0));
	E(copy_file_range(in, &(off_t){ 2 }, out, &(off_t){ 20 }, 4, 0));
	E(copy_file_range(in, &(off_t){ 100 }, out, NULL, 4, 0));
}

/* Natively both are in one file system, of which a position below 0 is none. */
static void positions(enum kind from, enum kind to, const char *label)
{
	E(sendfile(out, in, &(off_t){ -1 }, 4));
	E(copy_file_range(in, &(off_t){ -1 }, out, NULL, 4, 0));
	E(copy_file_range(in, NULL, out, &(off_t){ -1 }, 4, 0));
	E(copy_file_range(in, NULL, out, &(off_t){ INT64_MAX }, 4, 0));
	E(copy_file_range(in, NULL, out, NULL, 4, 1));
}

static void pipes(enum kind from, enum kind to, const char *label)
{
	E(splice(in, NULL, out, NULL, 4, SPLICE_F_NONBLOCK));
	E(splice(in, NULL, out, &(off_t){ 2 }, 4, SPLICE_F_NONBLOCK));
	E(tee(in, out, 4, SPLICE_F_NONBLOCK));
}

static void numbers(enum kind from, enum kind to, const char *label)
{
	struct epoll_event e = { .events = EPOLLIN };

	E(dup2(in, out) < 0 ? -1 : 0);
	E(dup3(in, out, O_CLOEXEC) < 0 ? -1 : 0);
	if (to == EPOLL_MEMBER)
		E(epoll_ctl(out, EPOLL_CTL_ADD, in, &e));
}

static void directories(enum kind from, enum kind to, const char *label)
{
	E(renameat(in, "x", out, "y"));
	E(linkat(in, "", out, "y", AT_EMPTY_PATH));
}

int main(void)
{
	static const enum kind kinds[] = { CLOSED,	  RDONLY,	RDWR,	    APPEND,
					   PATH,	  DIRECTORY,	FIFO,	    CONNECTED,
					   UDP_CONNECTED, EPOLL_MEMBER, LOCAL_FILE, LOCAL_PIPE,
					   LOCAL_SOCKET };
	const size_t n = sizeof(kinds) / sizeof(kinds[0]);
	char label[64];

	t_start();
	signal(SIGPIPE, SIG_IGN);
	kinds_tree();
	for (size_t i = 0; i < n * n; i++) {
		enum kind from = kinds[i / n], to = kinds[i % n];

		snprintf(label, sizeof(label), "%s, %s", kind_name[from], kind_name[to]);
		if (from != FIFO && (to != FIFO || from < FIFO))
			files(from, to, label);
		if (from != FIFO && to != FIFO) /* EINVAL for those of a domain */
			pipes(from, to, label);
		numbers(from, to, label);
		if (from < CONNECTED && to < CONNECTED)
			directories(from, to, label);
		if (from == RDWR && to == RDWR)
			positions(from, to, label);
	}
	MUST(chdir("/") == 0);
	return t_end();
}
