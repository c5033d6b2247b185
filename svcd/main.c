/* SPDX-License-Identifier: MIT */
/* svcd: options, sockets, signals. The control thread; see svcd.h for the others. */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
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

struct options opt = {
	.engines = 1,
	.pool = 64,
	.max_clients = 1024,
	.max_handles = 1 << 20,
	.cpu = -1,
	.spin_us = 50,
	.vchan_user = "nobody",
};

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

static const char usage[] =
	"usage: svcd --domain NAME --listen unix:PATH [option ...]\n"
	"  --domain NAME       name of this service domain, as in the programs' configuration\n"
	"  --listen ADDRESS    unix:PATH, absolute, or vchan:DOMAIN[,DOMAIN...]; up to 8 times\n"
	"  --vchan-user USER   whom programs of other Xen domains are taken for (default nobody)\n"
	"  --trust-vchan       believe them who they are\n"
	"  --root DIR          directory that clients see as /\n"
	"  --engines N         threads that poll (1 to 16, default 1)\n"
	"  --cpu N             pin the first engine to CPU N, the next ones to those after it\n"
	"  --pool N            threads for calls that block (1 to 1024, default 64)\n"
	"  --max-clients N     attached processes (1 to 2000, default 1024)\n"
	"  --max-user-clients N  those of one user other than root (1 to 2000, default 3/4 of them)\n"
	"  --max-handles N     descriptors of one client (1 to 16777216, default 1048576)\n"
	"  --max-user-watches N  members of one user's epoll sets (default 3/4 of what there can be)\n"
	"  --spin US           polling without work before sleeping (0 to 1000000, default 50)\n"
	"  --log WHERE         stderr (default) or syslog\n"
	"  --no-filter         allow svcd all system calls, to see whether its filter is in the way\n"
	"  --verbose           log every client\n"
	"  --version, --help\n";

static int exit_status = 2; /* of die(): 2 while options are read, 1 from then on */

static void die(const char *fmt, ...)
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

static int number(const char *name, const char *s, long min, long max)
{
	char *end;
	long n = strtol(s, &end, 10);

	if (!*s || *end || n < min || n > max)
		die("--%s %s: a number from %ld to %ld is allowed", name, s, min, max);
	return (int)n;
}

enum {
	O_DOMAIN,
	O_LISTEN,
	O_ROOT,
	O_ENGINES,
	O_CPU,
	O_POOL,
	O_CLIENTS,
	O_USER_CLIENTS,
	O_HANDLES,
	O_USER_WATCHES,
	O_SPIN,
	O_LOG,
	O_FILTER,
	O_VCHAN_USER,
	O_TRUST_VCHAN,
	O_VERBOSE,
	O_VERSION,
	O_HELP
};

static const struct option longopts[] = {
	{ "domain", 1, NULL, O_DOMAIN },
	{ "listen", 1, NULL, O_LISTEN },
	{ "root", 1, NULL, O_ROOT },
	{ "engines", 1, NULL, O_ENGINES },
	{ "cpu", 1, NULL, O_CPU },
	{ "pool", 1, NULL, O_POOL },
	{ "max-clients", 1, NULL, O_CLIENTS },
	{ "max-user-clients", 1, NULL, O_USER_CLIENTS },
	{ "max-handles", 1, NULL, O_HANDLES },
	{ "max-user-watches", 1, NULL, O_USER_WATCHES },
	{ "spin", 1, NULL, O_SPIN },
	{ "log", 1, NULL, O_LOG },
	{ "no-filter", 0, NULL, O_FILTER },
	{ "vchan-user", 1, NULL, O_VCHAN_USER },
	{ "trust-vchan", 0, NULL, O_TRUST_VCHAN },
	{ "verbose", 0, NULL, O_VERBOSE },
	{ "version", 0, NULL, O_VERSION },
	{ "help", 0, NULL, O_HELP },
	{ NULL, 0, NULL, 0 },
};

/* As in the programs' configuration: virtuos.conf(5). */
static void check_name(const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	if (!*name || strlen(name) > 31 || name[strspn(name, allowed)])
		die("--domain %s: 1 to 31 letters, digits, '_', '.' and '-' are allowed", name);
	if (!strcmp(name, "local") || !strcmp(name, "deny"))
		die("--domain %s: a domain cannot have this name, which means something else in "
		    "configurations",
		    name);
}

static void set_option(int o, const char *arg)
{
	const struct transport *t;
	const char *where, *problem;

	switch (o) {
	case O_DOMAIN:
		check_name(arg);
		opt.domain = arg;
		break;
	case O_LISTEN:
		if (opt.nlisten == SVCD_LISTEN_MAX)
			die("--listen: up to %d addresses are allowed", SVCD_LISTEN_MAX);
		t = transport_find(arg, &where);
		problem = t ? t->check(where) : "unix:PATH is allowed";
		if (problem)
			die("--listen %s: %s", arg, problem);
		opt.listen[opt.nlisten++] = arg;
		break;
	case O_ROOT:
		opt.root = arg;
		break;
	case O_ENGINES:
		opt.engines = number("engines", arg, 1, SVCD_ENGINES_MAX);
		break;
	case O_CPU:
		opt.cpu = number("cpu", arg, 0, 1023);
		break;
	case O_POOL:
		opt.pool = number("pool", arg, 1, 1024);
		break;
	case O_CLIENTS:
		opt.max_clients = number("max-clients", arg, 1, 2000);
		break;
	case O_USER_CLIENTS:
		opt.max_user_clients = number("max-user-clients", arg, 1, 2000);
		break;
	case O_HANDLES:
		opt.max_handles = number("max-handles", arg, 1, 1 << VOS_HANDLE_IDX_BITS);
		break;
	case O_USER_WATCHES:
		opt.user_watches = number("max-user-watches", arg, 1, INT_MAX);
		break;
	case O_SPIN:
		opt.spin_us = number("spin", arg, 0, 1000000);
		break;
	case O_LOG:
		if (strcmp(arg, "stderr") && strcmp(arg, "syslog"))
			die("--log %s: stderr or syslog is allowed", arg);
		opt.syslog = !strcmp(arg, "syslog");
		break;
	case O_FILTER:
		opt.no_filter = true;
		break;
	case O_VCHAN_USER:
		opt.vchan_user = arg;
		break;
	case O_TRUST_VCHAN:
		opt.trust_vchan = true;
		break;
	case O_VERBOSE:
		opt.verbose = true;
		break;
	case O_VERSION:
		puts("svcd " VIRTUOS_VERSION);
		exit(0);
	case O_HELP:
		fputs(usage, stdout);
		exit(0);
	default:
		fputs(usage, stderr);
		exit(exit_status);
	}
}

static void parse(int argc, char **argv)
{
	int o;

	while ((o = getopt_long(argc, argv, "", longopts, NULL)) != -1)
		set_option(o, optarg);
	if (optind < argc)
		die("%s: no such argument (see --help)", argv[optind]);
	if (!opt.domain || !opt.nlisten)
		die("--domain and --listen are needed (see --help)");
	if (!opt.max_user_clients)
		opt.max_user_clients = opt.max_clients - opt.max_clients / 4;
	exit_status = 1;
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

	parse(argc, argv);
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
