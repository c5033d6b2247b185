/* SPDX-License-Identifier: MIT */
/*
 * Domains: attaching to one when the first call goes there, and again after it has died.
 *
 * A channel that is dead is forgotten, not unmapped: threads may still be in it. Its descriptor,
 * shut down, stays until the last of them has left its lane, so that nobody rings or sleeps on a
 * number that has become something else. What it gave out carries its incarnation; the next one
 * counts further, so that old handles are known for what they are. A channel made with a ticket
 * goes on with the handles of the process that left it, and with its incarnation.
 */
#define _GNU_SOURCE
#include "preload/lock.h"
#include "preload/process.h"
#include "preload/vos.h"
#include "ring/attach.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

struct vos_config vos_config;
struct vos_domain vos_domain[VOS_MAX_DOMAINS];

/* Held with signals blocked: while a channel is made, and while a root is named. */
static _Atomic int attaching, naming;

static __thread int tid __attribute__((tls_model("initial-exec")));
static int pid;

int vos_tid(void)
{
	if (unlikely(!tid))
		tid = (int)vos_raw0(SYS_gettid);
	return tid;
}

int vos_pid(void)
{
	if (unlikely(!pid))
		pid = (int)vos_raw0(SYS_getpid);
	return pid;
}

static struct vos_chan *new_chan(void)
{
	long p = vos_raw6(SYS_mmap, 0, sizeof(struct vos_chan), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p < 0 && p > -4096 ? NULL : (struct vos_chan *)p;
}

/* Once, until it works: every call that goes there tries again. */
static void say_refusal(struct vos_domain *d, const struct vos_domain_config *cfg,
			const struct vos_welcome *w)
{
	if (d->refused)
		return;
	d->refused = true;
	vos_say("domain ", cfg->name, " cannot be used at ", cfg->address, ": ", w->text, NULL);
}

static int try_attach(struct vos_chan *c, unsigned dom, const uint64_t ticket[2])
{
	struct vos_hello h = { .magic = VOS_MAGIC,
			       .version = VOS_VERSION,
			       .kind = VOS_HELLO_ATTACH,
			       .umask = vos_umask(),
			       .ticket = { ticket[0], ticket[1] } };
	struct vos_welcome w = { 0 };
	const struct vos_domain_config *d = &vos_config.domain[dom];
	const char *where;
	int r;

	c->transport = vos_transport_find(d->address, &where);
	if (!c->transport)
		return -EPROTONOSUPPORT;
	r = c->transport->attach(c, where, d->name, &h, &w);
	if (r && *w.text && r != -ESTALE)
		say_refusal(&vos_domain[dom], d, &w);
	return r;
}

/*
 * Handles of this incarnation are dead from now on, and its roots forgotten. Under the lock, as all
 * that is written to inc, nroots and root_prefix; sequentially consistent, as they all are: pairs
 * with find_root(), which reads inc before the roots, and vos_domain_prefix(), which does after them.
 */
static void next_incarnation(struct vos_domain *d)
{
	d->nroots = 0;
	d->inc = d->inc == 255 ? 1 : (uint8_t)(d->inc + 1);
}

static struct vos_chan *attach(unsigned dom, uint64_t blocked, long *err)
{
	static const uint64_t none[2];
	struct vos_domain *d = &vos_domain[dom];
	bool have_ticket = d->ticket[0] | d->ticket[1];
	struct vos_chan *c = new_chan();
	int r = -ENOMEM;

	if (c) {
		c->blocked = blocked;
		r = try_attach(c, dom, d->ticket);
	}
	if (r == -ESTALE && have_ticket) { /* what we inherited is lost, not we */
		have_ticket = false;
		d->ticket[0] = d->ticket[1] = 0;
		next_incarnation(d);
		r = try_attach(c, dom, none);
	}
	if (r) {
		if (c)
			vos_raw2(SYS_munmap, (long)c, sizeof(*c));
		*err = r;
		return NULL;
	}
	d->refused = false;
	d->ticket[0] = d->ticket[1] = 0;
	if (!have_ticket)
		next_incarnation(d);
	c->incarnation = d->inc;
	/* Incarnation and roots first: pairs with the load in vos_req_begin(). And with umask(). */
	atomic_store(&d->chan, c);
	return c;
}

/*
 * A service that hangs keeps whoever attaches waiting. All those who began to wait before it was
 * given up have waited long enough, and so have those who come soon after that.
 */
#define SILENT_MS 5000
#define ANSWER_MS 10000

static bool known_silent(const struct vos_domain *d, int64_t since)
{
	return d->silent && (since < d->silent || vos_now_ms() - d->silent < SILENT_MS);
}

/* Under the lock. -EINTR: a signal is to be delivered first. */
static struct vos_chan *attach_patiently(unsigned dom, int64_t since, uint64_t blocked, long *err)
{
	struct vos_domain *d = &vos_domain[dom];
	struct vos_chan *c = atomic_load_explicit(&d->chan, memory_order_acquire);

	if (c)
		return c;
	*err = -ENOLINK;
	if (known_silent(d, since))
		return NULL;
	c = attach(dom, blocked, err);
	d->silent = 0;
	if (c || *err == -ENOMEM || *err == -EACCES)
		return c;
	if (*err == -ETIMEDOUT || (*err == -EINTR && vos_now_ms() - since >= ANSWER_MS))
		d->silent = vos_now_ms();
	else if (*err == -EINTR)
		return NULL;
	/* It makes no difference why: the domain is not there. */
	*err = -ENOLINK;
	return NULL;
}

struct vos_chan *vos_domain_chan(unsigned dom, long *err)
{
	const struct vos_handled before = vos_handled;
	const uint32_t umasks = vos_umasks();
	int64_t since = vos_now_ms();
	struct vos_chan *c;
	uint64_t mask;

	if (unlikely(vos_chan_confined) && vos_domain[dom].over) {
		*err = -ENOLINK;
		return NULL;
	}
	/* Handlers run where nothing is locked, and may make calls of their own, or not come back. */
	do {
		*err = -EINTR;
		c = NULL;
		if (!vos_try_lock(&attaching, &mask)) {
			vos_lock_pause();
			continue;
		}
		c = attach_patiently(dom, since, mask, err);
		vos_unlock(&attaching, &mask);
	} while (!c && *err == -EINTR && vos_handled.hard == before.hard);
	if (c && vos_umasks() != umasks)
		vos_umask_tell(dom);
	return c;
}

static void forget_wake_fd(struct vos_lane *l)
{
	int fd = l->wake_fd;

	if (fd < 0)
		return;
	l->wake_fd = -1;
	vos_chan_close_fd(fd);
}

void vos_domain_lost(unsigned dom, struct vos_chan *c)
{
	struct vos_domain *d = &vos_domain[dom];
	struct vos_chan *expected = c;
	uint64_t mask;

	vos_chan_kill(c);
	/* It stays where it is, and whoever comes to it finds it dead: there will be no other. */
	if (vos_chan_confined)
		return;
	/* Some other thread has found out, and may already wait for the next one to answer. Only a
	 * look: the exchange below decides, under the lock. */
	if (atomic_load(&d->chan) != c)
		return;
	vos_lock(&attaching, &mask);
	if (atomic_compare_exchange_strong(&d->chan, &expected, NULL))
		next_incarnation(d);
	vos_unlock(&attaching, &mask);
}

void vos_domain_leave(struct vos_chan *c, struct vos_lane *l)
{
	uint64_t mask;

	if (vos_chan_confined)
		return;
	forget_wake_fd(l);
	/* Release: pairs with take_lane(). And sequentially consistent with vos_chan_kill() and
	 * others who leave: the last one of them finds it dead, and no owner. */
	atomic_store(&l->owner, 0);
	if (!atomic_load(&c->dead))
		return;
	vos_lock(&attaching, &mask);
	if (!vos_chan_used(c, vos_pid()))
		c->transport->close(c);
	vos_unlock(&attaching, &mask);
}

static bool find_root(struct vos_domain *d, int p, long *root, uint64_t *base)
{
	/* The incarnation first: if the roots are already those of the next, the base is stale.
	 * Pairs with next_incarnation(), and the number of roots with note_root(). */
	uint8_t inc = d->inc;
	uint32_t n = d->nroots;

	for (uint32_t i = 0; i < n; i++)
		if (d->root_prefix[i] == p) {
			*root = i;
			*base = VOS_BASE_OF(VOS_BASE_ROOT((uint64_t)i), inc);
			return true;
		}
	return false;
}

/* The roots of a channel are the domain's for as long as the channel is. */
static long note_root(struct vos_domain *d, const struct vos_chan *c, long r, int p)
{
	uint64_t mask;

	vos_lock(&attaching, &mask);
	if (d->chan == c) { /* which changes under the lock only */
		/* Before the number of them: pairs with find_root(). */
		d->root_prefix[r] = (uint8_t)p;
		d->nroots = (uint32_t)r + 1;
	} else {
		r = -ENOLINK;
	}
	vos_unlock(&attaching, &mask);
	return r;
}

static long name_root(const char *path, struct vos_domain *d, unsigned dom, int p)
{
	size_t n = strlen(path) + 1;
	struct vos_req q;
	long r = vos_req_begin(&q, dom, VOS_OP_root);

	if (r)
		return r;
	r = vos_req_out(&q, n, n);
	if (!r) {
		memcpy(vos_req_out_ptr(&q), path, n);
		q.e->arg[0] = VOS_REF(q.out.off, n);
		r = vos_req_run(&q, VOS_WAIT_ALWAYS);
	}
	if (r >= VOS_MAX_PREFIXES)
		r = vos_req_breach(&q);
	if (r >= 0)
		r = note_root(d, q.c, r, p);
	vos_req_end(&q);
	return r;
}

long vos_domain_root(int p, uint64_t *base)
{
	const struct vos_prefix_config *prefix = &vos_config.prefix[p];
	unsigned dom = (unsigned)prefix->to;
	struct vos_domain *d = &vos_domain[dom];
	struct vos_chan *c;
	uint64_t mask;
	long r;

	/* If it has died while nobody called, no call has to fail for us to notice. */
	if (unlikely(vos_forked_behind_our_back()))
		return -ENOLINK;
	c = d->chan;
	if (likely(c) && unlikely(!vos_chan_alive(c) || vos_chan_deserted(c))) {
		vos_domain_lost(dom, c);
		c = NULL;
	}
	/* Roots that a ticket should keep may be lost with it. */
	if (unlikely(!c) && !vos_domain_chan(dom, &r))
		return r;
	if (likely(find_root(d, p, &r, base)))
		return r;
	vos_lock(&naming, &mask);
	if (!find_root(d, p, &r, base)) {
		r = name_root(prefix->root, d, dom, p);
		if (r >= 0 && !find_root(d, p, &r, base)) /* gone again */
			r = -ENOLINK;
	}
	vos_unlock(&naming, &mask);
	return r;
}

int vos_domain_prefix(unsigned dom, uint8_t inc, uint64_t root)
{
	struct vos_domain *d = &vos_domain[dom];
	int p = root < d->nroots ? d->root_prefix[root] : -1;

	/* Last: those of the next incarnation are noted after it has begun. Pairs with
	 * next_incarnation(). */
	return d->inc == inc ? p : -1;
}

void vos_domain_forked(void)
{
	pid = 0;
	tid = 0;
	atomic_store(&attaching, 0);
	atomic_store(&naming, 0);
	for (unsigned i = 0; i < VOS_MAX_DOMAINS; i++) {
		struct vos_domain *d = &vos_domain[i];
		struct vos_chan *c = atomic_exchange(&d->chan, NULL);

		if (!c)
			continue;
		c->transport->close(c);
		for (uint32_t l = 0; l < c->nlanes; l++)
			forget_wake_fd(&c->lane[l]);
	}
}
