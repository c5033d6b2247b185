/* SPDX-License-Identifier: MIT */
/* svcd: start, signals, end. The control thread; see svcd.h for the others. */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

void log_line(int level, const char *fmt, ...)
{
	va_list ap;

	if (level > LOG_INFO && !opt.verbose)
		return;
	va_start(ap, fmt);
	if (opt.syslog) {
		vsyslog(level, fmt, ap);
	} else {
		char line[512];

		vsnprintf(line, sizeof(line), fmt, ap);
		fprintf(stderr, "svcd[%s]: %s\n", opt.domain, line);
	}
	va_end(ap);
}

static int exit_status = 2; /* of die(): 2 while options are read, 1 from then on */

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "svcd: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	transport_unlisten();
	exit(exit_status);
}

int proc_fds = -1;

const char *fd_name(char buf[16], int fd)
{
	snprintf(buf, 16, "%d", fd);
	return buf;
}

static void enter_root(void)
{
	peer_init();
	proc_fds = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fds < 0)
		die("/proc/self/fd: %s", strerror(errno));
	if (!opt.root)
		return;
	if (chdir(opt.root))
		die("--root %s: %s", opt.root, strerror(errno));
	if (chroot(".") || chdir("/"))
		die("--root %s: %s%s", opt.root, strerror(errno),
		    errno == EPERM ? " (it needs root, or CAP_SYS_CHROOT)" : "");
}

/* The kernel counts what we watch for all of our users as ours. Before --root hides it. */
static void limit_watches(void)
{
	FILE *f = opt.user_watches ? NULL : fopen("/proc/sys/fs/epoll/max_user_watches", "re");
	long max = INT_MAX;

	if (f && fscanf(f, "%ld", &max) != 1)
		max = INT_MAX;
	if (f)
		fclose(f);
	if (!opt.user_watches)
		opt.user_watches = (int)(max < INT_MAX ? max : INT_MAX) / 4 * 3;
}

static void raise_limit(void)
{
	const rlim_t want = 1u << 20;
	struct rlimit now, more = { want, want };

	if (setrlimit(RLIMIT_NOFILE, &more) && !getrlimit(RLIMIT_NOFILE, &now)) {
		now.rlim_cur = now.rlim_max;
		setrlimit(RLIMIT_NOFILE, &now);
	}
	getrlimit(RLIMIT_NOFILE, &now);
	opt.user_fds = (int)(now.rlim_cur < want ? now.rlim_cur : want) / 4 * 3;
}

/* Last of all that is done alone: from here on we have what we need, and no more. */
static void give_up(void)
{
	const unsigned long *ioctls[8];
	const char *where;
	int r = ident_init();

	if (!r)
		r = confine();
	if (r)
		die("cannot confine itself: %s", strerror(-r));
	if (opt.no_filter)
		return;
	for (int i = 0; i < opt.nlisten; i++)
		ioctls[i] = transport_find(opt.listen[i], &where)->ioctls;
	r = filter_install(ioctls, opt.nlisten);
	if (r)
		log_line(LOG_WARNING, "no filter of system calls: %s", strerror(-r));
}

/* The service manager's protocol: one datagram. The socket is opened before --root hides it. */
static int notify_sock = -1;

static void notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;

	if (!n || n >= sizeof(sun.sun_path))
		return;
	memcpy(sun.sun_path, path, n);
	if (path[0] == '@')
		sun.sun_path[0] = 0;
	notify_sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (connect(notify_sock, (struct sockaddr *)&sun,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)))
		log_line(LOG_WARNING, "NOTIFY_SOCKET: %s", strerror(errno));
}

void notify_ready(void)
{
	printf("svcd: domain %s ready on %s\n", opt.domain, opt.listen[0]);
	fflush(stdout);
	if (notify_sock >= 0)
		send(notify_sock, "READY=1", 7, MSG_NOSIGNAL);
}

static int control = -1; /* epoll of the control thread */
static int kick = -1;

void control_kick(void)
{
	const uint64_t one = 1;
	ssize_t n = write(kick, &one, sizeof(one));

	(void)n; /* it can only be full of them */
}

static void kicked(struct watcher *w)
{
	uint64_t all;
	ssize_t n = read(kick, &all, sizeof(all));

	(void)w, (void)n;
}

int control_watch(struct watcher *w, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = w };

	return epoll_ctl(control, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

void control_unwatch(int fd)
{
	epoll_ctl(control, EPOLL_CTL_DEL, fd, NULL);
}

/* --- the end -------------------------------------------------------------------------------- */

#define DRAIN_MS 5000

static _Atomic int stopped;

/* By a driver, between two calls; it does not come back. */
static void stop_driver(struct engine *e, void *arg)
{
	(void)arg;
	aio_drain(e, DRAIN_MS);
	atomic_fetch_add(&stopped, 1);
	for (;;)
		pause();
}

/* Take no more calls, and let those that run finish. */
static void drain(void)
{
	const struct timespec tick = { 0, 1000000 };

	for (int i = 0; i < opt.engines; i++)
		engine_post(&engines[i], stop_driver, NULL);
	for (int ms = 0; ms < DRAIN_MS && atomic_load(&stopped) < opt.engines; ms++)
		nanosleep(&tick, NULL);
	if (!pool_drain(DRAIN_MS))
		log_line(LOG_WARNING, "ended with calls that did not finish within %d ms",
			 DRAIN_MS);
}

static bool anything_to_reap(void)
{
	return ticket_any() || token_any();
}

static bool ending;

static void told_to_end(struct watcher *w)
{
	(void)w;
	ending = true;
}

static void serve(void)
{
	struct epoll_event ev[32];

	while (!ending) {
		int n = epoll_wait(control, ev, 32, anything_to_reap() ? 1000 : -1);

		for (int i = 0; i < n; i++) {
			struct watcher *w = ev[i].data.ptr;

			w->ready(w);
		}
		ticket_reap();
		token_reap();
	}
}

/* What --listen says, and who knows how. */
static void listen_all(void)
{
	for (int i = 0; i < opt.nlisten; i++) {
		const char *where;
		const struct transport *t = transport_find(opt.listen[i], &where);
		const char *problem = t->listen(where);

		if (problem)
			die("%s: %s", opt.listen[i], problem);
	}
}

/* The library serves no program that has this, whoever preloads it: it would send our calls to us. */
extern const char virtuos_not_here;
const char virtuos_not_here = 1;

int main(int argc, char **argv)
{
	static struct watcher on_signal = { told_to_end }, on_kick = { kicked };
	const char *problem;
	sigset_t set;
	int r = 0;

	options_parse(argc, argv);
	exit_status = 1;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit of ours is an error of theirs */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (opt.syslog)
		openlog("svcd", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	notify_open();
	control = epoll_create1(EPOLL_CLOEXEC);
	kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control_watch(&on_signal, signalfd(-1, &set, SFD_CLOEXEC)) ||
	    control_watch(&on_kick, kick))
		die("cannot start: %s", strerror(errno));
	listen_all();
	tzset();
	limit_watches();
	enter_root();
	raise_limit();
	if (guard_init())
		die("robust futexes: %s", strerror(errno));
	call_init();
	r = pool_init(opt.pool);
	for (int i = 0; i < opt.engines && !r; i++)
		r = engine_init(&engines[i], i);
	if (!r)
		give_up();
	for (int i = 0; i < opt.engines && !r; i++)
		r = engine_start(&engines[i]);
	if (!r)
		r = turn_start_watchdog();
	if (!r)
		r = ticket_start_reaper();
	problem = r ? strerror(-r) : transport_start();
	if (problem)
		die("cannot start: %s", problem);
	notify_ready();
	serve();
	if (notify_sock >= 0)
		send(notify_sock, "STOPPING=1", 10, MSG_NOSIGNAL);
	transport_unlisten();
	drain();
	return 0;
}
