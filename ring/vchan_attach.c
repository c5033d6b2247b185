/* SPDX-License-Identifier: MIT */
/* See ring/vchan_attach.h. */
#define _GNU_SOURCE
#include "ring/vchan_attach.h"
#include "ring/attach.h"
#include "ring/raw.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#define GONE_MAX 8 /* one for each domain that can be configured */

const struct vos_vchan_size vos_vchan_size[VOS_VCHAN_SIZES] = {
	{ 128, 688u << 10, 20 },
	{ 32, 400u << 10, 19 },
};
#define FITS(lanes, pool, order)                                               \
	_Static_assert(VOS_PROGRAM_SIZE(lanes, pool) <= 1u << (order) &&       \
			       VOS_SERVICE_SIZE(lanes, pool) <= 1u << (order), \
		       "rings hold the areas")
FITS(128, 688u << 10, 20);
FITS(32, 400u << 10, 19);

long vos_vchan_number(const char *s)
{
	uint32_t n = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || n > 1000000)
			return -EINVAL;
		n = n * 10 + (uint32_t)(*s - '0');
	}
	return n;
}

static uint64_t hexadecimal(const char *s)
{
	uint64_t n = 0;

	for (; *s; s++)
		n = n << 4 | (uint64_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
	return n;
}

/* What services have announced themselves by that have died since. */
static _Atomic uint64_t gone[GONE_MAX];
static _Atomic uint32_t ngone;

void vos_vchan_gone(uint64_t announced)
{
	atomic_store(&gone[atomic_fetch_add(&ngone, 1) % GONE_MAX], announced);
}

static bool is_gone(uint64_t announced)
{
	for (int i = 0; i < GONE_MAX; i++)
		if (announced && atomic_load(&gone[i]) == announced)
			return true;
	return false;
}

long vos_vchan_announced(char *value, uint64_t *id)
{
	char *at = value;

	while (*at && *at != ' ')
		at++;
	*id = *at ? hexadecimal(at + 1) : 0;
	*at = 0;
	if (vos_vchan_number(value) != VOS_VERSION)
		return -EPROTONOSUPPORT;
	return is_gone(*id) ? -ECONNREFUSED : 0;
}

static void get_caps(uint32_t caps[2])
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { 0 };

	vos_raw2(SYS_capget, (long)&h, (long)d);
	caps[0] = d[0].effective;
	caps[1] = d[1].effective;
}

void vos_vchan_hello(struct vos_chan *c, const struct vos_hello *h)
{
	struct vos_offer *o = (struct vos_offer *)(c->program + VOS_OFFER_AT);
	long n;

	o->hello = *h;
	o->hello.caps |= VOS_CAP_READY_QUEUE;
	o->pid = (int32_t)vos_raw0(SYS_getpid);
	o->uid = (uint32_t)vos_raw1(SYS_setfsuid, -1);
	o->gid = (uint32_t)vos_raw1(SYS_setfsgid, -1);
	o->ruid = (uint32_t)vos_raw0(SYS_getuid);
	o->rgid = (uint32_t)vos_raw0(SYS_getgid);
	get_caps(o->caps);
	n = vos_raw2(SYS_getgroups, VOS_OFFER_GROUPS, (long)o->group);
	o->ngroups = n > 0 ? (uint32_t)n : 0; /* none, if they are too many */
}

int vos_vchan_answer(struct vos_chan *c, const char *name, struct vos_welcome *w)
{
	int r;

	*w = *(const struct vos_welcome *)(c->service + VOS_WELCOME_AT);
	r = vos_attach_check(w, name);
	if (r)
		return r;
	c->guard = VOS_VCHAN_LIVE;
	c->session[0] = w->session[0];
	c->session[1] = w->session[1];
	atomic_store(&c->ph->attached, 1);
	return atomic_load(c->live) == c->guard ? 0 : -ECONNRESET;
}
