/* SPDX-License-Identifier: MIT */
/*
 * Domains: attaching to one when the first call goes there, and again after it has died.
 *
 * A channel that is dead is forgotten, not unmapped: threads may still be in it. What it gave out
 * carries its incarnation; the next one counts further, so that old handles are known for what they
 * are. A channel made with a ticket goes on with the handles of the process that left it, and with
 * its incarnation.
 */
#define _GNU_SOURCE
#include "preload/vos.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

struct vos_config vos_config;
struct vos_domain vos_domain[VOS_MAX_DOMAINS];

static _Atomic int attaching; /* held while a channel is made, with signals blocked */

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

static void lock(uint64_t *mask)
{
	const uint64_t all = ~0ull;
	const struct timespec t = { 0, 100000 };

	vos_raw4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)mask, sizeof(all));
	/* Acquire: pairs with unlock(). */
	while (atomic_exchange_explicit(&attaching, 1, memory_order_acquire))
		vos_raw2(SYS_nanosleep, (long)&t, 0);
}

static void unlock(const uint64_t *mask)
{
	atomic_store_explicit(&attaching, 0, memory_order_release);
	vos_raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)mask, 0, sizeof(*mask));
}

/* Kept by the kernel alone: read it without changing what other threads see for long. */
static uint32_t current_umask(void)
{
	char buf[1024];
	long fd =
		vos_raw4(SYS_openat, AT_FDCWD, (long)"/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
	long n = fd < 0 ? 0 : vos_raw3(SYS_read, fd, (long)buf, sizeof(buf) - 1);
	uint32_t mask = 0;

	if (fd >= 0)
		vos_raw1(SYS_close, fd);
	for (long i = 0; i + 8 < n; i++) {
		static const char key[] = "Umask:\t";
		long k = 0;

		while (k < 7 && buf[i + k] == key[k])
			k++;
		if (k < 7)
			continue;
		for (i += 7; i < n && buf[i] >= '0' && buf[i] <= '7'; i++)
			mask = mask * 8 + (uint32_t)(buf[i] - '0');
		return mask;
	}
	mask = (uint32_t)vos_raw1(SYS_umask, 022);
	vos_raw1(SYS_umask, mask);
	return mask;
}

static struct vos_chan *new_chan(void)
{
	long p = vos_raw6(SYS_mmap, 0, sizeof(struct vos_chan), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p < 0 && p > -4096 ? NULL : (struct vos_chan *)p;
}

static int try_attach(struct vos_chan *c, unsigned dom, const uint64_t ticket[2])
{
	struct vos_hello h = { .magic = VOS_MAGIC,
			       .version = VOS_VERSION,
			       .kind = VOS_HELLO_ATTACH,
			       .umask = current_umask(),
			       .ticket = { ticket[0], ticket[1] } };
	struct vos_welcome w = { 0 };
	const struct vos_domain_config *d = &vos_config.domain[dom];
	const char *where;
	int r;

	c->transport = vos_transport_find(d->address, &where);
	if (!c->transport)
		return -EPROTONOSUPPORT;
	r = c->transport->attach(c, where, d->name, &h, &w);
	if (r && w.error && r != -ESTALE) {
		w.text[sizeof(w.text) - 1] = 0;
		vos_say("domain ", d->name, " refuses us: ", w.text, NULL);
	}
	return r;
}

static struct vos_chan *attach(unsigned dom, long *err)
{
	static const uint64_t none[2];
	struct vos_domain *d = &vos_domain[dom];
	bool have_ticket = d->ticket[0] | d->ticket[1];
	struct vos_chan *c = new_chan();
	int r = -ENOMEM;

	if (c)
		r = try_attach(c, dom, d->ticket);
	if (r == -ESTALE && have_ticket) { /* what we inherited is lost, not we */
		have_ticket = false;
		r = try_attach(c, dom, none);
	}
	if (r) {
		if (c)
			vos_raw2(SYS_munmap, (long)c, sizeof(*c));
		*err = r;
		return NULL;
	}
	d->ticket[0] = d->ticket[1] = 0;
	if (!have_ticket) {
		d->nroots = 0;
		d->inc = d->inc == 255 ? 1 : (uint8_t)(d->inc + 1);
	}
	/* Release: incarnation and roots first. Pairs with the load in vos_req_begin(). */
	atomic_store_explicit(&d->chan, c, memory_order_release);
	return c;
}

struct vos_chan *vos_domain_chan(unsigned dom, long *err)
{
	struct vos_domain *d = &vos_domain[dom];
	struct vos_chan *c;
	uint64_t mask;

	lock(&mask);
	c = atomic_load_explicit(&d->chan, memory_order_acquire);
	if (!c)
		c = attach(dom, err);
	unlock(&mask);
	return c;
}

void vos_domain_lost(unsigned dom, struct vos_chan *c)
{
	struct vos_domain *d = &vos_domain[dom];
	struct vos_chan *expected = c;
	uint64_t mask;

	vos_chan_kill(c);
	lock(&mask);
	if (atomic_compare_exchange_strong(&d->chan, &expected, NULL)) {
		/* Handles of this incarnation are dead from now on, and its roots forgotten. */
		d->nroots = 0;
		d->inc = d->inc == 255 ? 1 : (uint8_t)(d->inc + 1);
		c->transport->close(c);
	}
	unlock(&mask);
}

long vos_domain_root(int p)
{
	const struct vos_prefix_config *prefix = &vos_config.prefix[p];
	unsigned dom = (unsigned)prefix->to;
	struct vos_domain *d = &vos_domain[dom];
	struct vos_req q;
	size_t n = 0;
	long r;

	for (uint32_t i = 0; i < d->nroots; i++)
		if (d->root_prefix[i] == p)
			return i;
	r = vos_req_begin(&q, dom, VOS_OP_root);
	if (r)
		return r;
	while (prefix->root[n])
		n++;
	r = vos_req_out(&q, n + 1, n + 1);
	if (!r) {
		__builtin_memcpy(vos_req_out_ptr(&q), prefix->root, n + 1);
		q.e->arg[0] = VOS_REF(q.out.off, n + 1);
		r = vos_req_run(&q, VOS_WAIT_ALWAYS);
	}
	if (r >= VOS_MAX_PREFIXES)
		r = vos_req_breach(&q);
	vos_req_end(&q);
	if (r >= 0) {
		d->root_prefix[r] = (uint8_t)p;
		d->nroots = (uint32_t)r + 1;
	}
	return r;
}

void vos_domain_forked(void)
{
	pid = 0;
	tid = 0;
	atomic_store(&attaching, 0);
	for (unsigned i = 0; i < VOS_MAX_DOMAINS; i++) {
		struct vos_domain *d = &vos_domain[i];
		struct vos_chan *c = atomic_exchange(&d->chan, NULL);

		if (!c)
			continue;
		c->transport->close(c);
		for (uint32_t l = 0; l < c->nlanes; l++)
			if (c->lane[l].wake_fd >= 0)
				vos_chan_close_fd(c->lane[l].wake_fd);
	}
}
