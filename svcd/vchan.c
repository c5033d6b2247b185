/* SPDX-License-Identifier: MIT */
/*
 * Programs in other Xen domains. Their memory is mapped by grants: what we write (the left ring)
 * and what we only read (the right one, which the hypervisor lets us have for reading only). It
 * stays what it is as long as it is mapped, whatever becomes of the program and its domain: no
 * access to it can fault. Each client has an event channel.
 *
 * When a program ends, its kernel makes its byte in the first page 0 and sends an event; when we
 * end, ours does the same with our byte.
 */
#define _GNU_SOURCE
#include "ring/ready.h"
#include "svcd/vchan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/io/libxenvchan.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>

_Static_assert(offsetof(struct vchan_interface, left_order) ==
		       offsetof(struct vos_vchan, left_order),
	       "layout is libxenvchan's");
_Static_assert(offsetof(struct vchan_interface, cli_live) == offsetof(struct vos_vchan, cli_live),
	       "layout is libxenvchan's");
_Static_assert(offsetof(struct vchan_interface, srv_live) == offsetof(struct vos_vchan, srv_live),
	       "layout is libxenvchan's");
_Static_assert(offsetof(struct vchan_interface, grants) == offsetof(struct vos_vchan, grant),
	       "layout is libxenvchan's");

#define PAGE_ORDER 12

static xengnttab_handle *grants;
static int devices = -1; /* /dev/xen, from before --root hides it */

const char *vchan_open(void)
{
	if (grants)
		return NULL;
	devices = open("/dev/xen", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (devices < 0)
		return "there is no /dev/xen";
	grants = xengnttab_open(NULL, 0);
	return grants ? NULL : "/dev/xen/gntdev cannot be opened (is xen-gntdev loaded?)";
}

/* --- mapping ------------------------------------------------------------------------------------
 */

static int bind_event(struct vchan *v, evtchn_port_t remote)
{
	xenevtchn_port_or_error_t port;
	int fd = openat(devices, "evtchn", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	v->event = xenevtchn_fdopen(NULL, fd, 0);
	if (!v->event) {
		close(fd);
		return -ENOMEM;
	}
	port = xenevtchn_bind_interdomain(v->event, v->domid, remote);
	if (port < 0)
		return -errno;
	v->port = (evtchn_port_t)port;
	return 0;
}

/* What the page says is read once: the program can change it. */
static int map_rings(struct vchan *v, const char **why)
{
	const volatile struct vos_vchan *page = v->page;
	const unsigned order[2] = { page->left_order, page->right_order };
	uint32_t *refs;

	*why = "rings of that size are not what a program offers";
	for (int i = 0; i < 2; i++)
		if (order[i] < PAGE_ORDER || order[i] > VOS_VCHAN_ORDER)
			return -EINVAL;
	for (int i = 0; i < 2; i++)
		v->pages[i] = 1u << (order[i] - PAGE_ORDER);
	*why = "out of memory";
	refs = malloc((v->pages[0] + v->pages[1]) * sizeof(*refs));
	if (!refs)
		return -ENOMEM;
	for (uint32_t i = 0; i < v->pages[0] + v->pages[1]; i++)
		refs[i] = page->grant[i];
	*why = "the rings cannot be mapped";
	v->ring[0] = xengnttab_map_domain_grant_refs(grants, v->pages[0], v->domid, refs,
						     PROT_READ | PROT_WRITE);
	v->ring[1] = xengnttab_map_domain_grant_refs(grants, v->pages[1], v->domid,
						     refs + v->pages[0], PROT_READ);
	free(refs);
	return v->ring[0] && v->ring[1] ? 0 : -EFAULT;
}

static int check_areas(struct client *cl, const char **why)
{
	const volatile struct vos_program_head *h = cl->vchan->ring[1];
	const struct vos_program_head head = {
		.magic = h->magic, .version = h->version, .lanes = h->lanes, .pool = h->pool
	};
	int r = client_geometry(&head, why);

	if (r)
		return r;
	*why = "the rings are too small for the areas";
	if (VOS_SERVICE_SIZE(head.lanes, head.pool) > (size_t)cl->vchan->pages[0] << PAGE_ORDER ||
	    VOS_PROGRAM_SIZE(head.lanes, head.pool) > (size_t)cl->vchan->pages[1] << PAGE_ORDER)
		return -EINVAL;
	cl->nlanes = head.lanes;
	cl->pool = head.pool;
	cl->service = cl->vchan->ring[0];
	cl->program = cl->vchan->ring[1];
	return 0;
}

int vchan_map(struct client *cl, unsigned domid, uint32_t ref, evtchn_port_t port, const char **why)
{
	struct vchan *v = calloc(1, sizeof(*v));
	int r;

	*why = "out of memory";
	if (!v)
		return -ENOMEM;
	cl->vchan = v;
	v->domid = domid;
	*why = "the event channel cannot be bound";
	r = bind_event(v, port);
	if (r)
		return r;
	cl->conn = xenevtchn_fd(v->event);
	*why = "its first page cannot be mapped";
	v->page = xengnttab_map_grant_ref_notify(grants, domid, ref, PROT_READ | PROT_WRITE,
						 offsetof(struct vos_vchan, cli_live), v->port);
	if (!v->page)
		return -EFAULT;
	r = map_rings(v, why);
	return r ? r : check_areas(cl, why);
}

void vchan_answer(struct client *cl, int error, const char *why)
{
	struct vchan *v = cl->vchan;
	struct vos_service_head *h;

	if (!v || !v->ring[0] || v->pages[0] << PAGE_ORDER < VOS_SERVICE_LANES)
		return;
	h = v->ring[0];
	client_welcome((struct vos_welcome *)((uint8_t *)h + VOS_WELCOME_AT), cl, error, why);
	atomic_store(&h->cpu, VOS_CPU_NONE);
	atomic_store(&v->page->srv_notify, 1);
	atomic_store(&v->page->cli_live, 1);
	/* Release: pairs with the program's acquire. */
	atomic_store_explicit(&h->answered, VOS_VCHAN_ANSWERED, memory_order_release);
	xenevtchn_notify(v->event, v->port);
}

/* --- while it lasts -----------------------------------------------------------------------------
 */

static unsigned vchan_heed(struct client *cl)
{
	struct vchan *v = cl->vchan;
	unsigned came = 0;
	int port;

	while ((port = xenevtchn_pending(v->event)) >= 0) {
		xenevtchn_unmask(v->event, (evtchn_port_t)port);
		came = HEED_CAME;
	}
	return atomic_load(&v->page->srv_live) ? came : came | HEED_HUNG_UP;
}

static void vchan_wake(struct lane *l, struct vos_entry *e, uint32_t how)
{
	struct client *cl = l->client;

	(void)e, (void)how;
	vos_ready_push(&((struct vos_service_head *)cl->service)->ready, &cl->ready_tail, l->index);
	xenevtchn_notify(cl->vchan->event, cl->vchan->port);
}

static void vchan_hang_up(struct client *cl)
{
	struct vos_service_head *h = cl->vchan->ring[0];

	atomic_store(&h->answered, VOS_VCHAN_DISMISSED);
	atomic_store(&cl->vchan->page->cli_live, 0);
	xenevtchn_notify(cl->vchan->event, cl->vchan->port);
}

static void vchan_release(struct client *cl)
{
	struct vchan *v = cl->vchan;

	if (!v)
		return;
	/* It need not come once more for what it has inherited. */
	if (cl->ticket && atomic_load(&((const struct vos_program_head *)v->ring[1])->attached))
		ticket_settle(cl);
	for (int i = 0; i < 2; i++)
		if (v->ring[i])
			xengnttab_unmap(grants, v->ring[i], v->pages[i]);
	/* Which sends an event. */
	if (v->page)
		xengnttab_unmap(grants, v->page, 1);
	if (v->event)
		xenevtchn_close(v->event);
	free(v);
}

static const unsigned long ioctls[] = {
	IOCTL_EVTCHN_BIND_INTERDOMAIN,
	IOCTL_EVTCHN_NOTIFY,
	IOCTL_GNTDEV_MAP_GRANT_REF,
	IOCTL_GNTDEV_SET_UNMAP_NOTIFY,
	IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR,
	IOCTL_GNTDEV_UNMAP_GRANT_REF,
	0,
};

const struct transport transport_vchan = {
	.scheme = "vchan:",
	.far = true,
	.ioctls = ioctls,
	.check = vchan_check,
	.listen = vchan_listen,
	.start = vchan_start,
	.unlisten = vchan_unlisten,
	.heed = vchan_heed,
	.news = vchan_news,
	.wake = vchan_wake,
	.hang_up = vchan_hang_up,
	.release = vchan_release,
};
