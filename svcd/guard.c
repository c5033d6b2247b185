/* SPDX-License-Identifier: MIT */
/*
 * The guard word: how a program learns, from the kernel, that its service has died.
 *
 * The kernel keeps a list of robust futexes for each thread. When the thread ends, however it ends,
 * the kernel sets FUTEX_OWNER_DIED in each word on the list that holds the thread's id, and wakes a
 * waiter. We put the guard word of every channel on the list of the control thread, which lives as
 * long as the process. Programs that sleep wait for their entry and for this word at once.
 *
 * A list node and its word lie a fixed distance apart, and a node must not be writable by the
 * program (the kernel follows it in our address space). So every service area is mapped right after
 * a private page that holds its node: the distance is one page.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct node {
	struct node *next; /* what the kernel follows */
	struct node *prev;
};

/* struct robust_list_head of the kernel's interface. */
static struct {
	struct node *list;
	long offset;
	struct node *pending;
} head;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t guard_tid;

/* To be called once, by the thread that lives as long as the process. */
int guard_init(void)
{
	head.list = (struct node *)&head;
	head.offset = VOS_PAGE;
	guard_tid = (uint32_t)gettid();
	return (int)syscall(SYS_set_robust_list, &head, sizeof(head));
}

void *guard_map(int memfd, size_t size, size_t off, uint32_t *value)
{
	uint8_t *base = mmap(NULL, VOS_PAGE + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct node *n = (struct node *)base;

	if (base == MAP_FAILED)
		return NULL;
	if (mprotect(base, VOS_PAGE, PROT_READ | PROT_WRITE) ||
	    mmap(base + VOS_PAGE, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd,
		 (off_t)off) == MAP_FAILED) {
		munmap(base, VOS_PAGE + size);
		return NULL;
	}
	*value = guard_tid | FUTEX_WAITERS;
	pthread_mutex_lock(&lock);
	n->next = head.list;
	n->prev = NULL;
	if (head.list != (struct node *)&head)
		head.list->prev = n;
	head.list = n;
	pthread_mutex_unlock(&lock);
	return base + VOS_PAGE;
}

void guard_unmap(void *map, size_t size)
{
	struct node *n = (struct node *)((uint8_t *)map - VOS_PAGE);

	pthread_mutex_lock(&lock);
	if (n->prev)
		n->prev->next = n->next;
	else
		head.list = n->next;
	if (n->next != (struct node *)&head)
		n->next->prev = n->prev;
	pthread_mutex_unlock(&lock);
	munmap(n, VOS_PAGE + size);
}
