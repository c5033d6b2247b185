/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that are under way: a program sends one of ours to another one over a Unix socket of
 * their own kernel (SCM_RIGHTS), where we cannot see it. What travels there is a token's number,
 * and the token holds the description meanwhile, as a message in the kernel's queue would.
 *
 * How long? The number travels in a file (preload/pass.h). Where the transport can hand that file
 * to us we open it once more, a description of our own, and look at the lock that the travelling
 * one has: flock() belongs to a description, wherever it is, in a descriptor or in a queue, and
 * goes with it. So the token lives exactly as long as what travels. This is looked at
 *
 *	when another descriptor of the same description is closed: if that was the last one, what
 *	it is (a port, a connection) is to be gone with it
 *	once a second by the control thread: for messages that nobody has received
 *
 * Without the file a token lasts until it is claimed, or for UNMARKED_NS.
 *
 * The numbers are random: knowing one is the right to use it, as holding a descriptor is.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define UNMARKED_NS 60000000000ull

struct token {
	struct list list;
	struct list of_desc; /* all of one description */
	uint64_t id[2];
	struct ofd *ofd; /* a descriptor of its own, as one in a queue is */
	int mark;	 /* our description of the file that travels, or -1 */
	uint64_t since;
	struct user *user; /* whose programs are to answer for it */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list tokens = { &tokens, &tokens };

/* --- the file that travels -------------------------------------------------------------------- */

void token_file(struct lane *l, uint32_t key, int fd)
{
	int old;

	pthread_mutex_lock(&lock);
	old = l->sent_fd;
	l->sent_fd = fd;
	l->sent_key = key;
	pthread_mutex_unlock(&lock);
	if (old >= 0)
		discard(old);
}

static int take_file(struct lane *l, uint32_t key)
{
	int fd = -1;

	pthread_mutex_lock(&lock);
	if (l->sent_fd >= 0 && l->sent_key == key) {
		fd = l->sent_fd;
		l->sent_fd = -1;
	}
	pthread_mutex_unlock(&lock);
	return fd;
}

/* Our own description of it. Only of what is a file in memory: opening others may do anything. */
static int open_mark(int fd)
{
	char number[16];
	int mark = -1;

	if (fd < 0)
		return -1;
	if (fcntl(fd, F_GET_SEALS) >= 0)
		mark = openat(proc_fds, fd_name(number, fd), O_RDONLY | O_CLOEXEC);
	discard(fd);
	return mark;
}

static bool under_way(const struct token *t, uint64_t now)
{
	if (t->mark < 0)
		return now - t->since < UNMARKED_NS;
	if (flock(t->mark, LOCK_EX | LOCK_NB))
		return true;
	flock(t->mark, LOCK_UN);
	return false;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Under the lock: nobody finds it any more. */
static void unlist(struct token *t)
{
	list_del(&t->list);
	list_del(&t->of_desc);
	user_release(t->user, USER_TOKENS, 1);
}

static void token_free(struct token *t)
{
	ofd_put(t->ofd);
	if (t->mark >= 0)
		close(t->mark);
	user_put(t->user);
	free(t);
}

/* Under the lock: to @dead if it is under way no more. */
static void look_at(struct token *t, uint64_t now, struct list *dead)
{
	if (under_way(t, now))
		return;
	unlist(t);
	list_add_tail(&t->list, dead);
}

static void free_all(struct list *dead)
{
	list_for_each_safe(p, next, dead)
		token_free(list_entry(p, struct token, list));
}

void token_settle(struct description *desc)
{
	struct list dead;
	uint64_t now;

	list_init(&dead);
	pthread_mutex_lock(&lock);
	now = now_ns(); /* not before: nothing in the list is younger */
	list_for_each_safe(p, next, &desc->tokens)
		look_at(list_entry(p, struct token, of_desc), now, &dead);
	pthread_mutex_unlock(&lock);
	free_all(&dead);
}

void token_reap(void)
{
	struct list dead;
	uint64_t now;

	list_init(&dead);
	pthread_mutex_lock(&lock);
	now = now_ns(); /* not before: nothing in the list is younger */
	list_for_each_safe(p, next, &tokens)
		look_at(list_entry(p, struct token, list), now, &dead);
	pthread_mutex_unlock(&lock);
	free_all(&dead);
}

bool token_any(void)
{
	bool any;

	pthread_mutex_lock(&lock);
	any = !list_empty(&tokens);
	pthread_mutex_unlock(&lock);
	return any;
}

/* --- making and claiming ---------------------------------------------------------------------- */

static struct token *token_new(struct ofd *o, int mark)
{
	struct token *t = calloc(1, sizeof(*t));
	int fd = t ? fcntl(o->fd, F_DUPFD_CLOEXEC, 3) : -1;

	if (fd >= 0)
		t->ofd = ofd_dup(o, fd);
	if (t && t->ofd && !random_id(t->id)) {
		t->mark = mark;
		t->since = now_ns();
		return t;
	}
	if (t && t->ofd)
		ofd_put(t->ofd);
	else if (fd >= 0)
		close(fd);
	free(t);
	return NULL;
}

long token_make(struct call *c, struct ofd *o, uint32_t key, uint64_t id[2])
{
	int mark = open_mark(take_file(c->lane, key));
	struct token *t = token_new(o, mark);
	bool first = false;

	if (!t) {
		if (mark >= 0)
			close(mark);
		return -ENOMEM;
	}
	t->user = user_ref(ident_user()); /* of the thread: the client's may be changing */
	memcpy(id, t->id, sizeof(t->id));
	pthread_mutex_lock(&lock);
	if (!user_charge(t->user, USER_TOKENS, 1, opt.max_handles)) {
		first = list_empty(&tokens);
		list_add_tail(&t->list, &tokens);
		list_add_tail(&t->of_desc, &t->ofd->desc->tokens);
		/* Before the number is known to anybody: pairs with put() in ofd.c. */
		atomic_store(&t->ofd->desc->sent, true);
		t = NULL;
	}
	pthread_mutex_unlock(&lock);
	if (t) {
		token_free(t);
		return -ETOOMANYREFS;
	}
	if (first)
		control_kick();
	return 0;
}

/* Under the lock. Those that were sent last are the likeliest. */
static struct token *find(const uint64_t id[2])
{
	for (struct list *p = tokens.prev; p != &tokens; p = p->prev) {
		struct token *t = list_entry(p, struct token, list);

		if (t->id[0] == id[0] && t->id[1] == id[1])
			return t;
	}
	return NULL;
}

/*
 * A new handle for it, with a descriptor of its own. @last: whoever claims it has taken it out of
 * the queue, which ends a token that nothing else does.
 */
long token_claim(struct client *cl, const uint64_t id[2], uint32_t root, bool last)
{
	struct ofd *o = NULL;
	struct token *t;
	int fd = -1;

	pthread_mutex_lock(&lock);
	t = find(id);
	if (t)
		fd = fcntl(t->ofd->fd, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0)
		o = ofd_dup(t->ofd, fd);
	last = o && last && t->mark < 0;
	if (last)
		unlist(t);
	pthread_mutex_unlock(&lock);
	if (last)
		token_free(t);
	if (o)
		return handle_add(cl, o, root < cl->nroots ? root : VOS_ROOT_NONE);
	if (fd < 0)
		return t ? -EMFILE : -ESTALE;
	close(fd);
	return -ENOMEM;
}
