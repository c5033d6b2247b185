/* SPDX-License-Identifier: MIT */
/*
 * Clients: one for each process image that is attached. It begins with a hello on a connection
 * (control thread), lives in one engine, and ends when the connection hangs up, its process dies or
 * it breaks the rules. Its memory goes when the last call that uses it has been completed.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK)

_Atomic int client_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list clients = { &clients, &clients };

struct client *client_get(struct client *cl)
{
	atomic_fetch_add_explicit(&cl->refs, 1, memory_order_relaxed);
	return cl;
}

static void free_table(struct handle_table *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->used; i++) {
		struct handle *h = &t->chunk[i / HANDLE_CHUNK][i % HANDLE_CHUNK];

		ofd_put(h->ofd);
	}
	for (uint32_t i = 0; i < HANDLE_CHUNKS && t->chunk[i]; i++)
		free(t->chunk[i]);
	pthread_mutex_destroy(&t->lock);
	munmap(t, sizeof(*t));
}

static struct handle_table *new_table(void)
{
	/* Mostly untouched: straight from the kernel. */
	struct handle_table *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (t == MAP_FAILED)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

static void client_free(struct client *cl)
{
	for (uint32_t i = 0; cl->lane && i < cl->nlanes; i++) {
		if (cl->lane[i].wake_fd >= 0)
			close(cl->lane[i].wake_fd);
		if (cl->lane[i].sent_fd >= 0)
			close(cl->lane[i].sent_fd);
	}
	if (cl->service)
		guard_unmap(cl->service, VOS_SERVICE_SIZE(cl->nlanes, cl->pool));
	if (cl->program)
		munmap(cl->program, VOS_PROGRAM_SIZE(cl->nlanes, cl->pool));
	for (uint32_t i = 0; i < cl->nroots; i++)
		close(cl->root[i].fd);
	if (cl->cwd >= 0)
		close(cl->cwd);
	if (cl->pidfd >= 0)
		close(cl->pidfd);
	if (cl->sock >= 0)
		close(cl->sock);
	ident_put(cl->ident);
	free_table(cl->table);
	free(cl->lane);
	free(cl);
	atomic_fetch_sub(&client_count, 1);
}

void client_put(struct client *cl)
{
	if (atomic_fetch_sub_explicit(&cl->refs, 1, memory_order_acq_rel) == 1)
		client_free(cl);
}

/* Close what the client had open, at once: its ports, its locks. Calls hold what they still use. */
static void close_handles(struct client *cl)
{
	struct handle_table *t = cl->table;

	/* Only handles are left to be used by other threads; those find them gone. */
	for (uint32_t i = 0;; i++) {
		struct ofd *o = NULL;

		pthread_mutex_lock(&t->lock);
		if (i < t->used)
			o = atomic_exchange(&t->chunk[i / HANDLE_CHUNK][i % HANDLE_CHUNK].ofd,
					    NULL);
		else
			t->closed = true;
		pthread_mutex_unlock(&t->lock);
		if (t->closed)
			break;
		ofd_put(o);
	}
}

static void interrupt_calls(struct client *cl)
{
	while (!list_empty(&cl->parked)) {
		struct call *c = list_entry(cl->parked.next, struct call, of_client);

		park_remove(c);
		call_finish(c, -EIO);
	}
	for (uint32_t i = 0; i < cl->nlanes; i++)
		for (uint32_t s = 0; s < VOS_SLOTS; s++)
			if (atomic_load_explicit(&cl->lane[i].call[s], memory_order_relaxed))
				pool_interrupt(&cl->lane[i], s);
}

/* For a client that is thrown out: what the kernel would say to it if we had died. */
static void say_dead(struct client *cl)
{
	_Atomic uint32_t *guard = &((struct vos_service_head *)cl->service)->guard;

	atomic_fetch_or(guard, FUTEX_OWNER_DIED);
	syscall(SYS_futex, guard, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* The last thing that the driver does for a mail or an event: it may lose its engine. */
void client_drop(struct client *cl)
{
	struct engine *e = cl->engine;

	if (cl->gone)
		return;
	cl->gone = true;
	cl->broken = true;
	epoll_ctl(e->epoll, EPOLL_CTL_DEL, cl->sock, NULL);
	if (cl->pidfd >= 0)
		epoll_ctl(e->epoll, EPOLL_CTL_DEL, cl->pidfd, NULL);
	shutdown(cl->sock, SHUT_RDWR);
	say_dead(cl);
	for (uint32_t i = 0; i < cl->nlanes; i++)
		list_del(&cl->lane[i].active);
	list_del(&cl->of_engine);
	pthread_mutex_lock(&lock);
	list_del(&cl->list);
	pthread_mutex_unlock(&lock);
	interrupt_calls(cl);
	log_line(7, "client %d: gone", (int)cl->pid);
	/* Freed after this turn. That takes its reference, so we need one. */
	list_add_tail(&cl->of_engine, &e->dropped);
	client_get(cl);
	e->in_call = NULL;
	turn_enter(e);
	locks_drop(cl);
	close_handles(cl); /* may be many */
	turn_leave(e);
	client_put(cl);
}

static void drop_broken(struct engine *e, void *arg)
{
	struct client *cl = arg;

	(void)e;
	client_drop(cl);
	client_put(cl);
}

/* Any thread. It dies at the next turn: its memory may be in use further up. */
void client_break(struct client *cl, const char *why)
{
	if (atomic_exchange(&cl->broken, true))
		return;
	log_line(4, "client %d: broke the rules (%s), dropped", (int)cl->pid, why);
	if (engine_post(cl->engine, drop_broken, client_get(cl)))
		client_put(cl);
}

struct client *client_by_session(const uint64_t session[2])
{
	struct client *found = NULL;

	pthread_mutex_lock(&lock);
	list_for_each(p, &clients) {
		struct client *cl = list_entry(p, struct client, list);

		if (cl->session[0] == session[0] && cl->session[1] == session[1])
			found = client_get(cl);
	}
	pthread_mutex_unlock(&lock);
	return found;
}

/* --- attach ------------------------------------------------------------------------------------
 */

static int check_memory(int fd, const struct vos_program_head *h, const char **why)
{
	struct stat st;
	size_t want;
	int seals;

	*why = "magic or version differs";
	if (h->magic != VOS_MAGIC || h->version != VOS_VERSION)
		return -EPROTONOSUPPORT;
	*why = "geometry out of range";
	if (!h->lanes || h->lanes > VOS_LANES_MAX || !h->pool || h->pool > VOS_POOL_MAX ||
	    h->pool % VOS_PAGE)
		return -EINVAL;
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

static int make_lanes(struct client *cl)
{
	cl->lane = calloc(cl->nlanes, sizeof(*cl->lane));
	if (!cl->lane)
		return -ENOMEM;
	for (uint32_t i = 0; i < cl->nlanes; i++) {
		struct lane *l = &cl->lane[i];

		l->client = cl;
		l->slot = (struct vos_entry *)(cl->service + VOS_SERVICE_LANES) + i * VOS_SLOTS;
		l->index = (uint16_t)i;
		l->wake_fd = l->sent_fd = -1;
		list_init(&l->active);
		/* Not polled before the first kick. */
		vos_entry_sleep(&l->slot[0]);
	}
	return 0;
}

static struct client *client_new(int sock, struct engine *e)
{
	struct client *cl = calloc(1, sizeof(*cl));

	if (!cl)
		return NULL;
	atomic_fetch_add(&client_count, 1);
	cl->source.type = SOURCE_CLIENT;
	cl->process.type = SOURCE_PROCESS;
	cl->refs = 1;
	cl->engine = e;
	cl->sock = sock;
	cl->pidfd = cl->cwd = -1;
	list_init(&cl->list);
	list_init(&cl->of_engine);
	list_init(&cl->parked);
	list_init(&cl->lock_files);
	cl->table = new_table();
	return cl;
}

static void enter_engine(struct engine *e, void *arg)
{
	struct client *cl = arg;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = &cl->source };
	struct epoll_event pe = { .events = EPOLLIN, .data.ptr = &cl->process };

	list_add_tail(&cl->of_engine, &e->clients);
	pthread_mutex_lock(&lock);
	list_add_tail(&cl->list, &clients);
	pthread_mutex_unlock(&lock);
	if (epoll_ctl(e->epoll, EPOLL_CTL_ADD, cl->sock, &ev)) {
		client_drop(cl);
		return;
	}
	/* The process may die while a child keeps the connection open. */
	if (cl->pidfd >= 0)
		epoll_ctl(e->epoll, EPOLL_CTL_ADD, cl->pidfd, &pe);
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
			close(fd[i]);
	}
	if (n < 8 || h->magic != VOS_MAGIC)
		return -EPROTO;
	if (h->version != VOS_VERSION || n != sizeof(*h))
		return -EPROTONOSUPPORT;
	return 0;
}

struct new_ident {
	struct client *cl;
	struct ident *id;
	int sock;
};

static void answer(int sock, struct client *cl, int error, const char *why);

/* By the driver: calls after the answer must find the new identity in place. */
static void swap_ident(struct engine *e, void *arg)
{
	struct new_ident *m = arg;

	(void)e;
	ident_put(m->cl->ident);
	m->cl->ident = m->id;
	answer(m->sock, m->cl, 0, "");
	close(m->sock);
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

	*why = "too many clients";
	if (atomic_load(&client_count) > opt.max_clients)
		return -EUSERS;
	*why = "out of memory";
	if (!cl->table || memory < 0)
		return memory < 0 ? -EPROTO : -ENOMEM;
	r = map_memory(cl, memory, why);
	if (r)
		return r;
	*why = "out of memory";
	r = make_lanes(cl);
	if (r)
		return r;
	*why = "no random numbers";
	r = random_id(cl->session);
	if (r)
		return r;
	cl->caps = h->caps;
	cl->umask = h->umask & 0777;
	cl->pidfd = cl->pid > 0 ? (int)syscall(SYS_pidfd_open, cl->pid, 0) : -1;
	*why = "no such ticket";
	if (h->ticket[0] | h->ticket[1])
		return ticket_take(h->ticket, cl);
	return 0;
}

static void answer(int sock, struct client *cl, int error, const char *why)
{
	struct vos_welcome w = { .magic = VOS_MAGIC, .version = VOS_VERSION, .error = error };

	strncpy(w.domain, opt.domain, sizeof(w.domain) - 1);
	if (error)
		strncpy(w.text, why, sizeof(w.text) - 1);
	else if (cl)
		memcpy(w.session, cl->session, sizeof(w.session));
	send(sock, &w, sizeof(w), MSG_NOSIGNAL);
}

/* Serve a new connection, by the control thread. Takes @sock over. 0 or -errno. */
int client_attach(int sock, struct engine *e)
{
	const char *why = "out of memory";
	struct client *cl = NULL;
	struct ident *id = NULL;
	struct vos_hello h = { 0 };
	pid_t pid = 0;
	int memory = -1;
	int r = receive_hello(sock, &h, &memory);

	if (r) {
		why = r == -EPROTONOSUPPORT ? "the library is of another version" : "no hello";
		goto out;
	}
	r = -EACCES;
	why = "credentials unknown, or not those that this service can act for";
	id = ident_of_peer(sock, &pid);
	if (!id || !ident_may_attach(id))
		goto out;
	if (h.kind == VOS_HELLO_IDENT) {
		r = new_ident(sock, &h, id, pid, &why);
		if (r)
			goto out;
		goto out_put;
	}
	r = -ENOMEM;
	cl = client_new(sock, e);
	if (!cl)
		goto out;
	cl->ident = ident_get(id);
	cl->pid = pid;
	r = attach(cl, &h, memory, &why);
	if (!r) {
		answer(sock, cl, 0, "");
		r = engine_post(e, enter_engine, cl);
	}
out:
	if (r || !cl) {
		answer(sock, NULL, r, why);
		if (r)
			/* Somebody who only looks whether we are there says nothing. */
			log_line(r == -EPROTO ? 7 : 4, "attach of %d refused: %s (%s)", (int)pid,
				 why, strerror(-r));
		if (cl)
			client_put(cl);
		else
			close(sock);
	}
out_put:
	if (memory >= 0)
		close(memory);
	ident_put(id);
	return r;
}
