// SPDX-License-Identifier: GPL-2.0
/* /dev/virtuos: see virtuos.h for what it offers, channel.h for how it lives. */
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <xen/events.h>
#include <xen/xen.h>

#include "channel.h"

static bool made(struct virtuos_channel *c)
{
	/* Acquire: what it consists of. Pairs with make(). */
	return smp_load_acquire(&c->made);
}

static int virtuos_open(struct inode *inode, struct file *file)
{
	struct virtuos_channel *c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);

	if (!c)
		return -ENOMEM;
	mutex_init(&c->lock);
	spin_lock_init(&c->lane_lock);
	init_waitqueue_head(&c->poll);
	file->private_data = c;
	return nonseekable_open(inode, file);
}

/* After one that failed half-way there is nothing to be done with the file but to close it. */
static int make(struct virtuos_channel *c, const struct virtuos_make __user *arg)
{
	struct virtuos_make m;
	int r;

	if (copy_from_user(&m, arg, sizeof(m)))
		return -EFAULT;
	mutex_lock(&c->lock);
	r = c->lane ? -EBUSY : virtuos_make(c, &m);
	if (!r)
		smp_store_release(&c->made, true);
	mutex_unlock(&c->lock);
	return r;
}

static int find(struct virtuos_find __user *arg)
{
	struct virtuos_find f;
	int r;

	if (copy_from_user(&f, arg, sizeof(f)))
		return -EFAULT;
	r = virtuos_find(&f);
	return r ?: copy_to_user(arg, &f, sizeof(f)) ? -EFAULT : 0;
}

static int offer(struct virtuos_channel *c, const struct virtuos_offer __user *arg)
{
	struct virtuos_offer o;
	int r;

	if (copy_from_user(&o, arg, sizeof(o)))
		return -EFAULT;
	mutex_lock(&c->lock);
	r = virtuos_offer(c, &o);
	mutex_unlock(&c->lock);
	return r;
}

static long virtuos_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct virtuos_channel *c = file->private_data;
	void __user *user = (void __user *)arg;
	struct virtuos_lane_fd lane_fd;
	struct virtuos_wait wait;
	int r;

	if (cmd == VIRTUOS_FIND)
		return find(user);
	if (cmd == VIRTUOS_MAKE)
		return make(c, user);
	if (!made(c))
		return -ENOTCONN;
	switch (cmd) {
	case VIRTUOS_OFFER:
		return offer(c, user);
	case VIRTUOS_WAIT:
		if (copy_from_user(&wait, user, sizeof(wait)))
			return -EFAULT;
		return virtuos_wait(c, &wait);
	case VIRTUOS_LANE_FD:
		if (copy_from_user(&lane_fd, user, sizeof(lane_fd)))
			return -EFAULT;
		return virtuos_lane_fd(c, &lane_fd);
	case VIRTUOS_CREDS:
		mutex_lock(&c->lock);
		r = virtuos_write_creds(c);
		mutex_unlock(&c->lock);
		return r;
	case VIRTUOS_END:
		virtuos_break(c, -ENOLINK);
		return 0;
	default:
		return -ENOTTY;
	}
}

/* By programs that have confined themselves, too, which can hardly make another call. */
static ssize_t virtuos_write(struct file *file, const char __user *buf, size_t n, loff_t *pos)
{
	struct virtuos_channel *c = file->private_data;

	if (!made(c))
		return -ENOTCONN;
	notify_remote_via_irq(c->irq);
	return READ_ONCE(c->broken) ?: n;
}

static void change_flags(struct vm_area_struct *vma, unsigned long set, unsigned long clear)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_mod(vma, set, clear);
#else
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#endif
}

static int virtuos_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct virtuos_channel *c = file->private_data;
	struct page *first;

	if (!made(c))
		return -ENOTCONN;
	if (!(vma->vm_flags & VM_SHARED) || (vma->vm_pgoff && vma->vm_pgoff != c->npages))
		return -EINVAL;
	/* A child has channels of its own. */
	change_flags(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP, 0);
	if (!vma->vm_pgoff)
		return vm_map_pages(vma, c->page, c->npages);
	if (vma->vm_flags & VM_WRITE)
		return -EPERM;
	change_flags(vma, 0, VM_MAYWRITE);
	first = virt_to_page(c->vchan);
	return vm_map_pages_zero(vma, &first, 1);
}

static __poll_t virtuos_poll(struct file *file, poll_table *table)
{
	struct virtuos_channel *c = file->private_data;

	poll_wait(file, &c->poll, table);
	/* It can always be written to. */
	return EPOLLOUT | EPOLLWRNORM | (READ_ONCE(c->broken) ? EPOLLHUP | EPOLLERR : 0);
}

/* The program that made it closes it, or ends: whoever has inherited it has no use for it. */
static int virtuos_flush(struct file *file, fl_owner_t id)
{
	struct virtuos_channel *c = file->private_data;

	if (!made(c) || c->owner != id)
		return 0;
	virtuos_break(c, -ENOLINK);
	return 0;
}

static int virtuos_release(struct inode *inode, struct file *file)
{
	struct virtuos_channel *c = file->private_data;

	virtuos_withdraw(c);
	virtuos_free(c);
	kfree(c);
	return 0;
}

static const struct file_operations virtuos_fops = {
	.owner = THIS_MODULE, /* no unload while there are clients */
	.open = virtuos_open,
	.unlocked_ioctl = virtuos_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.write = virtuos_write,
	.mmap = virtuos_mmap,
	.poll = virtuos_poll,
	.flush = virtuos_flush,
	.release = virtuos_release,
};

static struct miscdevice virtuos_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "virtuos",
	.fops = &virtuos_fops,
	.mode = 0660,
};

static int __init virtuos_init(void)
{
	int r;

	if (!xen_domain())
		return -ENODEV;
#ifdef VIRTUOS_SELFTEST
	r = virtuos_ready_selftest();
	if (r)
		return r;
#endif
	r = misc_register(&virtuos_device);
	return r;
}
module_init(virtuos_init);

static void __exit virtuos_exit(void)
{
	misc_deregister(&virtuos_device);
}
module_exit(virtuos_exit);

MODULE_DESCRIPTION("VirtuOS: wakes the threads whose calls a service domain has finished");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1");
