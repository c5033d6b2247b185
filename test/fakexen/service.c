/* SPDX-License-Identifier: MIT */
/*
 * The part of libxengnttab, libxenevtchn and libxenstore that svcd uses, without Xen: see README.
 * Whatever needs a path is opened in the beginning, before svcd confines itself.
 */
#define _GNU_SOURCE
#include "ring/ready.h"
#include "ring/vchan.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#define PROGRAMS 5 /* their domain */

static int dir = -1, store = -1, listener = -1, changes = -1;
static unsigned domid;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAKEXEN_DIR");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	if (!path)
		return;
	domid = (unsigned)atoi(getenv("FAKEXEN_DOMID"));
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	store = openat(dir, "store", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/store", path);
	inotify_add_watch(changes, sun.sun_path, IN_CLOSE_WRITE | IN_DELETE);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/event.%u", path, domid);
	unlink(sun.sun_path);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(listener, (struct sockaddr *)&sun, sizeof(sun)) || chmod(sun.sun_path, 0777) ||
	    listen(listener, 1024))
		abort();
}

/* svcd wants the directory of the devices. */
int open(const char *path, int flags, ...)
{
	static int (*real)(const char *, int, ...);

	if (!real)
		real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	return !strcmp(path, "/dev/xen") ? fcntl(dir, F_DUPFD_CLOEXEC, 3) : real(path, flags, 0);
}

/* --- threads of programs that have the kernel extension ------------------------------------------ */

struct threads {
	struct vos_service_head *head;
	int lanes;
	_Atomic uint32_t taken;		      /* cursor of the ready queue */
	_Atomic int event[VOS_LANES_MAX + 1]; /* descriptor + 1 of each lane, of anything */
};

/* Of the program that is being attached. */
static struct threads *newest;

static void count_up(struct threads *t, int lane)
{
	const uint64_t one = 1;
	int fd = atomic_load(&t->event[lane]);

	if (fd && write(fd - 1, &one, sizeof(one)) < 0)
		abort();
}

static void wake_lane(struct threads *t, int lane)
{
	struct vos_entry *e = (struct vos_entry *)((uint8_t *)t->head + VOS_SERVICE_LANES) +
			      lane * (int)VOS_SLOTS;

	for (unsigned s = 0; s < VOS_SLOTS; s++)
		syscall(SYS_futex, &e[s].state, FUTEX_WAKE, 1, NULL, NULL, 0);
	count_up(t, lane);
}

/* What their kernel does when an event comes. */
static void wake_threads(struct threads *t)
{
	int lane;

	count_up(t, t->lanes);
	while ((lane = vos_ready_pop(&t->head->ready, &t->taken)) != VOS_READY_EMPTY)
		for (int i = 0; i < t->lanes; i++)
			if (lane == i || lane == VOS_READY_LOST)
				wake_lane(t, i);
}

/* It may have been due before. */
static void take_descriptor(struct threads *t, uint32_t lane, int fd)
{
	int old = atomic_load(&t->event[lane]);

	/* Others may be using the number. */
	if (old && dup3(fd, old - 1, O_CLOEXEC) >= 0)
		close(fd);
	else
		atomic_store(&t->event[lane], fd + 1);
	count_up(t, (int)lane);
}

struct xenevtchn_handle {
	int fd;
	struct threads *threads;
};

static xenevtchn_handle *bound; /* that of the newest, too */

/* --- grants ------------------------------------------------------------------------------------- */

static uint8_t handle; /* they have no content */

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned flags)
{
	(void)logger, (void)flags;
	return (xengnttab_handle *)&handle;
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *h, uint32_t count, uint32_t peer,
				      uint32_t *refs, int prot)
{
	char path[32];
	struct stat st;
	void *p;
	int fd;

	(void)h, (void)peer;
	snprintf(path, sizeof(path), "grant.%u", refs[0]);
	/* What is opened for reading cannot be made writable later on either. */
	fd = openat(dir, path, (prot & PROT_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	unlinkat(dir, path, 0); /* programs come and go: what is left is what nobody has taken */
	p = fstat(fd, &st) || st.st_size < (off_t)count << 12 ||
			    (prot & PROT_WRITE && !(st.st_mode & S_IWOTH))
		    ? MAP_FAILED
		    : mmap(NULL, (size_t)count << 12, prot, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED && newest && !newest->head && count > 1) {
		newest->head = p;
		newest->lanes = count == 256 ? 128 : 32;
	}
	return p == MAP_FAILED ? NULL : p;
}

void *xengnttab_map_grant_ref_notify(xengnttab_handle *h, uint32_t peer, uint32_t ref, int prot,
				     uint32_t offset, evtchn_port_t port)
{
	struct vos_vchan *v = xengnttab_map_domain_grant_refs(h, 1, peer, &ref, prot);

	(void)offset, (void)port;
	if (v && v->unused[1]) /* as ext.c has it */
		bound->threads = newest = calloc(1, sizeof(*newest));
	return v;
}

int xengnttab_unmap(xengnttab_handle *h, void *at, uint32_t count)
{
	struct vos_vchan *v = at;

	(void)h;
	if (count == 1)
		atomic_store(&v->cli_live, 0);
	return munmap(at, (size_t)count << 12);
}

/* --- event channels ------------------------------------------------------------------------------
 */

/* Connections that have said their number, and wait to be bound. */
static struct waiting {
	struct waiting *next;
	int fd;
	uint32_t port;
} * waiting;

static void accept_all(void)
{
	struct waiting *w;
	uint32_t port;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		/* It says it at once; one that is gone again is of no interest. */
		for (int i = 0; i < 1000; i++) {
			ssize_t n = recv(fd, &port, sizeof(port), 0);

			if (n == sizeof(port))
				break;
			if (n >= 0 || errno != EAGAIN)
				port = 0;
			usleep(1000);
		}
		w = malloc(sizeof(*w));
		*w = (struct waiting){ waiting, fd, port };
		waiting = w;
	}
}

xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd, unsigned flags)
{
	xenevtchn_handle *h = malloc(sizeof(*h));

	(void)logger, (void)flags;
	*h = (struct xenevtchn_handle){ fd, NULL };
	return h;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t peer,
						     evtchn_port_t port)
{
	(void)peer;
	bound = h;
	newest = NULL;
	accept_all();
	for (struct waiting **p = &waiting, *w; (w = *p); p = &w->next) {
		if (w->port != port)
			continue;
		*p = w->next;
		close(h->fd);
		h->fd = w->fd;
		free(w);
		return (int)port;
	}
	errno = EINVAL;
	return -1;
}

int xenevtchn_fd(xenevtchn_handle *h)
{
	return h->fd;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
	if (h->threads) {
		if (h->threads->head)
			wake_threads(h->threads);
		return 0;
	}
	return send(h->fd, &port, sizeof(port), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* Descriptors come with the number of their lane. */
xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	uint32_t port;
	struct iovec iov = { &port, sizeof(port) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *cm;

	if (recvmsg(h->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != sizeof(port))
		return -1;
	cm = CMSG_FIRSTHDR(&m);
	if (cm && h->threads && port <= VOS_LANES_MAX)
		take_descriptor(h->threads, port, *(int *)CMSG_DATA(cm));
	return (int)port;
}

int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
	(void)h, (void)port;
	return 0;
}

int xenevtchn_close(xenevtchn_handle *h)
{
	for (unsigned i = 0; h->threads && i <= VOS_LANES_MAX; i++)
		if (h->threads->event[i])
			close(h->threads->event[i] - 1);
	if (newest == h->threads)
		newest = NULL;
	free(h->threads);
	close(h->fd);
	free(h);
	return 0;
}

/* --- the xenstore -------------------------------------------------------------------------------- */

#define WATCHES 16

static struct {
	char path[128], token[16];
	bool said; /* the first event, which every watch has */
} watch[WATCHES];
static int nwatches;

static void node(char name[256], const char *path)
{
	if (*path == '/')
		snprintf(name, 256, "%s", path);
	else
		snprintf(name, 256, "/local/domain/%u/%s", domid, path);
	for (char *p = name; *p; p++)
		if (*p == '/')
			*p = '~';
}

struct xs_handle *xs_open(unsigned long flags)
{
	(void)flags;
	return (struct xs_handle *)&handle;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *len)
{
	char name[256], *buf = calloc(1, 64);
	ssize_t n = -1;
	int fd;

	(void)h, (void)t;
	if (!strcmp(path, "domid"))
		return snprintf(buf, 64, "%u", domid) ? buf : NULL;
	node(name, path);
	fd = openat(store, name, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, buf, 63);
		close(fd);
	}
	if (n < 0) {
		free(buf);
		return NULL;
	}
	if (len)
		*len = (unsigned)n;
	return buf;
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
	      unsigned len)
{
	char name[256];
	bool ok;
	int fd;

	(void)h, (void)t;
	node(name, path);
	fd = openat(store, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ok = fd >= 0 && write(fd, data, len) == (ssize_t)len;
	close(fd);
	return ok;
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
			struct xs_permissions *perms, unsigned n)
{
	char name[256];
	bool readable = false;

	(void)h, (void)t;
	for (unsigned i = 1; i < n; i++)
		readable = readable || perms[i].id == PROGRAMS;
	node(name, path);
	return readable || !unlinkat(store, name, 0);
}

/* Each name in the store, by system calls that svcd allows itself. */
static void for_each_name(void (*fn)(const char *name, void *arg), void *arg)
{
	static char buf[32768] __attribute__((aligned(8)));
	int fd = openat(store, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ssize_t n;

	while ((n = getdents64(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n; at += ((struct dirent64 *)(buf + at))->d_reclen)
			fn(((struct dirent64 *)(buf + at))->d_name, arg);
	close(fd);
}

static void remove_below(const char *name, void *arg)
{
	size_t n = strlen(arg);

	if (!strncmp(name, arg, n) && (!name[n] || name[n] == '~'))
		unlinkat(store, name, 0);
}

/* With all that is in it. */
bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	char name[256];

	(void)h, (void)t;
	node(name, path);
	for_each_name(remove_below, name);
	return true;
}

#define LIST_MAX 64
#define ID_MAX	 32

struct listing {
	char *name[LIST_MAX], text[LIST_MAX][ID_MAX]; /* all in one, as libxenstore has it */
	char dir[256];
	unsigned n;
};

/* Directories are known by what is in them: of an offer, its port. */
static void list_below(const char *name, void *arg)
{
	struct listing *l = arg;
	size_t n = strlen(l->dir), len;

	if (strncmp(name, l->dir, n) || name[n] != '~' || l->n == LIST_MAX)
		return;
	len = strcspn(name + n + 1, "~");
	if (len >= ID_MAX || strcmp(name + n + 1 + len, "~" VOS_XS_PORT))
		return;
	memcpy(l->text[l->n], name + n + 1, len);
	l->name[l->n] = l->text[l->n];
	l->n++;
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned *num)
{
	struct listing *l = calloc(1, sizeof(*l));

	(void)h, (void)t;
	node(l->dir, path);
	for_each_name(list_below, l);
	*num = l->n;
	return l->name;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	(void)h;
	char name[256];

	node(name, path);
	for (char *p = name; *p; p++)
		if (*p == '~')
			*p = '/';
	if (nwatches == WATCHES)
		return false;
	snprintf(watch[nwatches].path, sizeof(watch[0].path), "%.127s", name);
	snprintf(watch[nwatches++].token, sizeof(watch[0].token), "%s", token);
	return true;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
	(void)h;
	for (int i = 0; i < nwatches; i++)
		if (!strcmp(watch[i].path, path) && !strcmp(watch[i].token, token))
			watch[i].path[0] = 0;
	return true;
}

int xs_fileno(struct xs_handle *h)
{
	(void)h;
	return changes;
}

static char **event(const char *path, const char *token)
{
	char **e = malloc(2 * sizeof(*e) + strlen(path) + strlen(token) + 2);

	e[XS_WATCH_PATH] = (char *)(e + 2);
	e[XS_WATCH_TOKEN] = stpcpy(e[XS_WATCH_PATH], path) + 1;
	strcpy(e[XS_WATCH_TOKEN], token);
	return e;
}

char **xs_check_watch(struct xs_handle *h)
{
	static char buf[4096] __attribute__((aligned(8)));
	static ssize_t n, at;

	(void)h;
	for (int i = 0; i < nwatches; i++)
		if (!watch[i].said) {
			watch[i].said = true;
			return event(watch[i].path, watch[i].token);
		}
	for (;;) {
		struct inotify_event *e = (struct inotify_event *)(buf + at);

		if (at >= n) {
			at = 0;
			n = read(changes, buf, sizeof(buf));
			if (n <= 0)
				return NULL;
			continue;
		}
		at += (ssize_t)(sizeof(*e) + e->len);
		for (char *p = e->name; e->len && *p; p++)
			if (*p == '~')
				*p = '/';
		for (int i = 0; i < nwatches; i++) {
			size_t len = strlen(watch[i].path);

			if (e->mask & IN_CLOSE_WRITE && !strncmp(e->name, watch[i].path, len) &&
			    (e->name[len] == '/' || !e->name[len]) && len)
				return event(e->name, watch[i].token);
		}
	}
}
