/* SPDX-License-Identifier: MIT */
/* One channel to a domain, and one request at a time: what "virtuos check" finds a domain out with. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "ring/chan.h"
#include "tools/virtuos.h"

struct probe {
	struct vos_chan chan;
	struct vos_lane *lane;
};

static mode_t current_umask(void)
{
	mode_t mask = umask(022);

	umask(mask);
	return mask;
}

int probe_attach(struct probe **result, const struct vos_domain_config *d, char text[128])
{
	struct vos_hello h = { .magic = VOS_MAGIC,
			       .version = VOS_VERSION,
			       .kind = VOS_HELLO_ATTACH,
			       .umask = current_umask() };
	CLEANUP(free) struct probe *p = calloc(1, sizeof(*p));
	struct vos_welcome w = { 0 };
	const char *where;
	int ret;

	*text = '\0';
	if (!p)
		return -ENOMEM;
	p->chan.transport = vos_transport_find(d->address, &where);
	if (!p->chan.transport) {
		strcpy(text, "this version cannot reach such addresses");
		return -EPROTONOSUPPORT;
	}
	ret = p->chan.transport->attach(&p->chan, where, d->name, &h, &w);
	snprintf(text, 128, "%s", w.text);
	if (ret)
		return ret;
	p->lane = vos_chan_lane(&p->chan, gettid(), getpid());
	*result = p;
	p = NULL;
	return 0;
}

const char *probe_by(const struct probe *p)
{
	return p->chan.transport->by;
}

int probe_root(struct probe *p, const char *path)
{
	struct vos_lane *l = p->lane;
	uint32_t room = (uint32_t)VOS_PROGRAM_DATA + l->index * VOS_SMALL;
	size_t len = strlen(path) + 1; /* of a prefix: fits into the lane's block */
	struct vos_entry *e;
	int64_t result;
	bool skipped;
	int ret, s = vos_lane_claim(l, &skipped);

	if (s < 0)
		return -EBUSY;
	memcpy(p->chan.program + room, path, len);
	e = &l->slot[s];
	e->op = VOS_OP_root;
	e->cpu = vos_cpu();
	e->result = (int64_t)VOS_REF_NULL;
	memset(e->arg, 0, sizeof(e->arg));
	e->arg[0] = VOS_REF(room, len);
	if (vos_lane_post(l, s, skipped) == VOS_POSTED_KICK)
		p->chan.transport->ring(&p->chan);
	ret = vos_chan_wait(&p->chan, l, s, VOS_WAIT_ALWAYS);
	result = e->result;
	vos_lane_release(l, s);
	if (ret || result >= 0)
		return ret;
	return result > -4096 ? (int)result : -EPROTO;
}

void probe_end(struct probe *p)
{
	p->chan.transport->close(&p->chan);
	vos_chan_destroy(&p->chan);
	free(p);
}
