/* SPDX-License-Identifier: MIT */
/*
 * Programs of the same machine, on a Unix socket. See ring/abi.h, "Attach", for what is said there,
 * ring/unix_program.c for the other side.
 *
 * A program connects, sends hello with its memory, and is answered. From then on the connection
 * belongs to the client's engine: what comes on it are rings of the doorbell and descriptors.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK)

/* --- what comes on a connection ------------------------------------------------------------- */

/*
 * Only what never makes us wait: others wait for whoever has the socket locked, even if they are
 * asked not to.
 */
static bool is_unix_stream(int fd)
{
	int family = 0, type = 0;
	socklen_t n = sizeof(int);

	return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n) &&
	       !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) && family == AF_UNIX &&
	       type == SOCK_STREAM;
}

static void take_wake_fd(struct client *cl, const struct vos_bell_fd *m, int fd)
{
	struct lane *l = m->lane < cl->nlanes ? &cl->lane[m->lane] : NULL;
	const char *why =
		"wake descriptor that is none, or for a lane that does not exist or has one";
	const uint8_t one = 1;
	int none = -1;

	if (client_charge(cl, 1)) {
		l = NULL;
		why = "too many descriptors of its user";
	}
	/* Once: whoever completes a call may be using it. */
	if (l && is_unix_stream(fd) && atomic_compare_exchange_strong(&l->wake_fd, &none, fd)) {
		/* The first call to be waited for with it may have been completed before. */
		send(fd, &one, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		return;
	}
	discard(fd);
	client_break(cl, why);
}

static void take_fd(struct client *cl, const struct vos_bell_fd *m, int fd)
{
	switch (m->tag) {
	case VOS_TAG_WAKE:
		take_wake_fd(cl, m, fd);
		break;
	case VOS_TAG_TOKEN:
		if (m->lane < cl->nlanes) {
			token_file(&cl->lane[m->lane], m->key, fd);
			break;
		}
		/* fall through */
	default:
		discard(fd);
	}
}

static void take_fds(struct client *cl, const struct vos_bell_fd *m, ssize_t n, struct msghdr *msg)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR(msg, h)) {
		int *fd = (int *)CMSG_DATA(h);
		size_t nfds = h->cmsg_type == SCM_RIGHTS ? (h->cmsg_len - CMSG_LEN(0)) / sizeof(int)
							 : 0;

		for (size_t i = 0; i < nfds; i++) {
			if (i == 0 && n == sizeof(*m))
				take_fd(cl, m, fd[i]);
			else
				discard(fd[i]);
		}
	}
}

/* One message of the connection. False: no more, or hung up. */
static bool read_message(struct client *cl, bool *hung_up)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int) * 4)];
	} control;
	struct vos_bell_fd m;
	struct iovec iov = { &m, sizeof(m) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(cl->conn, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return false;
	take_fds(cl, &m, n, &msg);
	if (n == 0)
		*hung_up = true;
	return n > 0;
}

/* All that a queue can hold, and not what comes meanwhile: the rest is reported again. */
#define MESSAGES_MAX 1024

static unsigned unix_heed(struct client *cl)
{
	bool hung_up = false;
	unsigned n = 0;

	while (n < MESSAGES_MAX && read_message(cl, &hung_up))
		n++;
	return (n ? HEED_CAME : 0) | (hung_up ? HEED_HUNG_UP : 0);
}

static void unix_wake(struct lane *l, struct vos_entry *e, uint32_t how)
{
	const uint8_t one = 1;

	if (how & VOS_WAIT_FUTEX)
		syscall(SYS_futex, &e->state, FUTEX_WAKE, 1, NULL, NULL, 0);
	/* Not write(): what the program gave us might block, or not be a socket at all. */
	if (how & VOS_WAIT_FD) {
		int fd = atomic_load_explicit(&l->wake_fd, memory_order_acquire);

		if (fd >= 0)
			send(fd, &one, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* --- the end -------------------------------------------------------------------------------- */

/* For a client that is thrown out: what the kernel would say to it if we had died. */
static void unix_hang_up(struct client *cl)
{
	_Atomic uint32_t *guard = &((struct vos_service_head *)cl->service)->guard;

	shutdown(cl->conn, SHUT_RDWR);
	atomic_fetch_or(guard, FUTEX_OWNER_DIED);
	syscall(SYS_futex, guard, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void unix_release(struct client *cl)
{
	for (uint32_t i = 0; cl->lane && i < cl->nlanes; i++)
		if (cl->lane[i].wake_fd >= 0)
			discard(cl->lane[i].wake_fd);
	if (cl->service)
		guard_unmap(cl->service, VOS_SERVICE_SIZE(cl->nlanes, cl->pool));
	if (cl->program)
		munmap(cl->program, VOS_PROGRAM_SIZE(cl->nlanes, cl->pool));
	if (cl->conn >= 0)
		discard_connection(cl->conn);
}

/* --- attach --------------------------------------------------------------------------------- */

static int check_memory(int fd, const struct vos_program_head *h, const char **why)
{
	struct stat st;
	size_t want;
	int seals, r;

	r = client_geometry(h, why);
	if (r)
		return r;
	want = VOS_PROGRAM_SIZE(h->lanes, h->pool) + VOS_SERVICE_SIZE(h->lanes, h->pool);
	*why = "memory is not a sealed memfd of the right size";
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) || (size_t)st.st_size != want ||
	    st.st_blksize != VOS_PAGE)
		return -EINVAL;
	return 0;
}

static int map_memory(struct client *cl, int fd, const char **why)
{
	struct vos_program_head h;
	uint32_t guard;
	size_t psize;
	int r;

	/* Before it is read: reading what is something else may take for ever. */
	*why = "memory is not a sealed memfd of the right size";
	if (fcntl(fd, F_GET_SEALS) < 0)
		return -EINVAL;
	*why = "cannot read the memory";
	if (pread(fd, &h, 16, 0) != 16)
		return -EINVAL;
	r = check_memory(fd, &h, why);
	if (r)
		return r;
	*why = "cannot map the memory";
	psize = VOS_PROGRAM_SIZE(h.lanes, h.pool);
	cl->nlanes = h.lanes;
	cl->pool = h.pool;
	cl->program = mmap(NULL, psize, PROT_READ, MAP_SHARED, fd, 0);
	if (cl->program == MAP_FAILED) {
		cl->program = NULL;
		return -ENOMEM;
	}
	cl->service = guard_map(fd, VOS_SERVICE_SIZE(h.lanes, h.pool), psize, &guard);
	if (!cl->service)
		return -ENOMEM;
	atomic_store(&((struct vos_service_head *)cl->service)->guard, guard);
	return 0;
}

static int receive_hello(int sock, struct vos_hello *h, int *memory)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { h, sizeof(*h) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	struct timeval limit = { 2, 0 };
	struct cmsghdr *cm;
	ssize_t n;

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	*memory = -1;
	if (n < 0)
		return -errno;
	/* One is asked for, but there is room for two in what is aligned. */
	cm = CMSG_FIRSTHDR(&m);
	if (cm && cm->cmsg_type == SCM_RIGHTS) {
		int *fd = (int *)CMSG_DATA(cm);

		*memory = fd[0];
		for (size_t i = 1; i < (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++)
			discard(fd[i]);
	}
	if (n < 8 || h->magic != VOS_MAGIC)
		return -EPROTO;
	if (h->version != VOS_VERSION || n != sizeof(*h))
		return -EPROTONOSUPPORT;
	return 0;
}

static void answer(int sock, const struct client *cl, int error, const char *why)
{
	struct vos_welcome w;

	client_welcome(&w, cl, error, why);
	send(sock, &w, sizeof(w), MSG_DONTWAIT | MSG_NOSIGNAL);
}

struct new_ident {
	struct client *cl;
	struct ident *id;
	int sock;
};

/* By the driver: calls after the answer must find the new identity in place. */
static void swap_ident(struct engine *e, void *arg)
{
	struct new_ident *m = arg;

	(void)e;
	ident_put(m->cl->ident);
	m->cl->ident = m->id;
	answer(m->sock, m->cl, 0, "");
	discard_connection(m->sock);
	client_put(m->cl);
	free(m);
}

/* Takes @sock over if it succeeds. */
static int new_ident(int sock, const struct vos_hello *h, struct ident *id, pid_t pid,
		     const char **why)
{
	struct client *cl = client_by_session(h->session);
	struct new_ident *m;
	int r = -EPERM;

	*why = "no such session of this process";
	if (!cl)
		return -ESRCH;
	m = cl->pid == pid ? malloc(sizeof(*m)) : NULL;
	if (m) {
		*m = (struct new_ident){ cl, ident_get(id), sock };
		r = engine_post(cl->engine, swap_ident, m);
		if (!r)
			return 0;
		ident_put(id);
		free(m);
	}
	client_put(cl);
	return r;
}

static int attach(struct client *cl, const struct vos_hello *h, int memory, const char **why)
{
	int r;

	*why = "no memory with the hello";
	if (memory < 0)
		return -EPROTO;
	r = map_memory(cl, memory, why);
	if (r)
		return r;
	cl->pidfd = cl->pid > 0 ? (int)syscall(SYS_pidfd_open, cl->pid, 0) : -1;
	return client_prepare(cl, h, why);
}

/* Somebody who only looks whether we are there says nothing: no warning. */
static void refuse(int sock, pid_t pid, int error, const char *why)
{
	answer(sock, NULL, error, why);
	log_line(error == -EPROTO ? 7 : 4, "attach of %d refused: %s (%s)", (int)pid, why,
		 strerror(-error));
}

/* Takes @sock over. */
static void new_client(int sock, const struct vos_hello *h, int memory, struct ident *id, pid_t pid)
{
	struct client *cl = client_new(&transport_unix);
	const char *why = "out of memory";
	int r = -ENOMEM;

	if (!cl) {
		refuse(sock, pid, r, why);
		discard_connection(sock);
		return;
	}
	cl->conn = sock;
	cl->ident = ident_get(id);
	cl->pid = pid;
	snprintf(cl->label, sizeof(cl->label), "%d", (int)pid);
	r = attach(cl, h, memory, &why);
	if (!r) {
		answer(sock, cl, 0, "");
		r = client_enter(cl);
	}
	if (!r)
		return;
	refuse(sock, pid, r, why);
	client_put(cl);
}

/* A new connection has said something. Takes @sock over. */
static void hello(int sock)
{
	const char *why = "no hello";
	struct ident *id = NULL;
	struct vos_hello h = { 0 };
	pid_t pid = 0;
	int memory = -1;
	int r = receive_hello(sock, &h, &memory);

	if (r) {
		if (r == -EPROTONOSUPPORT)
			why = "the library is of another version";
		goto out;
	}
	r = -EACCES;
	why = "credentials unknown";
	id = ident_of_peer(sock, &pid);
	if (!id)
		goto out;
	why = "this service can act only for its own user, with all of its groups";
	if (!ident_may_attach(id))
		goto out;
	r = 0;
	if (h.kind == VOS_HELLO_IDENT)
		r = new_ident(sock, &h, id, pid, &why);
	else
		new_client(sock, &h, memory, id, pid);
out:
	if (r) {
		refuse(sock, pid, r, why);
		discard_connection(sock);
	}
	if (memory >= 0)
		discard(memory);
	ident_put(id);
}

/* --- listening ------------------------------------------------------------------------------ */

struct listener {
	struct watcher watcher;
	struct list list;
	int fd;
	bool late; /* has been hung up on */
};

#define ACCEPT_MAX 64  /* at a time; then those that have spoken have their turn */
#define SILENT_MAX 256 /* connections that have not said what they want */

/* Sockets, and such connections. */
static struct list listeners = { &listeners, &listeners };
static int silent;
static int spare = -1; /* given up to turn a connection away when descriptors have run out */

static bool watch(void (*ready)(struct watcher *), int fd)
{
	struct listener *l = malloc(sizeof(*l));

	if (l)
		*l = (struct listener){ .watcher = { ready }, .fd = fd };
	if (l && !control_watch(&l->watcher, fd)) {
		list_add_tail(&l->list, &listeners);
		return true;
	}
	free(l);
	close(fd);
	return false;
}

static void has_spoken(struct watcher *w)
{
	struct listener *l = (struct listener *)w;

	silent -= !l->late;
	control_unwatch(l->fd);
	list_del(&l->list);
	hello(l->fd);
	free(l);
}

static void turn_away(int listener)
{
	int fd, tries = 0;

	if (spare >= 0)
		close(spare);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		discard_connection(fd);
	/* Its place may not be free yet. */
	while ((spare = fcntl(listener, F_DUPFD_CLOEXEC, 3)) < 0 && ++tries < 10)
		usleep(1000);
	log_line(4, "out of descriptors, a program was turned away");
}

/* Who connects and says nothing holds a descriptor of ours for nothing. */
static void hang_up_oldest(void)
{
	list_for_each(p, &listeners) {
		struct listener *l = list_entry(p, struct listener, list);

		if (l->watcher.ready != has_spoken || l->late)
			continue;
		/* It has spoken, then: nothing, for ever. An event may still name it now. */
		l->late = true;
		silent--;
		shutdown(l->fd, SHUT_RDWR);
		return;
	}
}

static void accept_all(struct watcher *w)
{
	struct listener *l = (struct listener *)w;
	int fd = 0;

	for (int n = 0; n < ACCEPT_MAX; n++) {
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			break;
		if (silent >= SILENT_MAX)
			hang_up_oldest();
		silent += watch(has_spoken, fd);
	}
	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		turn_away(l->fd);
}

static const char *unix_check(const char *path)
{
	if (*path != '/' || strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return "unix:PATH is allowed, with an absolute path below 108 bytes";
	return NULL;
}

/* The names that we have made; their directories are kept open, for they are outside of --root. */
static struct bound {
	int dir;
	char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct stat st;
} bound[SVCD_LISTEN_MAX];
static int nbound;

static void note_bound(const char *path)
{
	struct bound *b = &bound[nbound];
	const char *slash = strrchr(path, '/');

	strcpy(b->name, path);
	b->name[slash - path + 1] = 0;
	b->dir = open(b->name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	strcpy(b->name, slash + 1);
	if (b->dir >= 0 && !fstatat(b->dir, b->name, &b->st, AT_SYMLINK_NOFOLLOW))
		nbound++;
}

/* While we still listen, so that nobody takes the name over in between: it would be his, then. */
static void unix_unlisten(void)
{
	struct stat st;

	for (; nbound; nbound--) {
		struct bound *b = &bound[nbound - 1];

		if (!fstatat(b->dir, b->name, &st, AT_SYMLINK_NOFOLLOW) &&
		    st.st_dev == b->st.st_dev && st.st_ino == b->st.st_ino)
			unlinkat(b->dir, b->name, 0);
		close(b->dir);
	}
}

static const char *unix_listen(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t mask;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	strcpy(sun.sun_path, path);
	/* A socket that nobody listens on any more is left from a former life. */
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode)) {
		if (!connect(fd, (struct sockaddr *)&sun, sizeof(sun)))
			return "another service listens there";
		close(fd);
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		unlink(path);
	}
	/* Anybody may connect; the kernel says who it is. Directories restrict further. */
	mask = umask(0);
	r = bind(fd, (struct sockaddr *)&sun, sizeof(sun));
	umask(mask);
	if (!r)
		note_bound(path);
	if (r || listen(fd, 1024))
		return strerror(errno);
	if (spare < 0)
		spare = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return watch(accept_all, fd) ? NULL : strerror(errno);
}

const struct transport transport_unix = {
	.scheme = "unix:",
	.check = unix_check,
	.listen = unix_listen,
	.unlisten = unix_unlisten,
	.heed = unix_heed,
	.wake = unix_wake,
	.hang_up = unix_hang_up,
	.release = unix_release,
};
