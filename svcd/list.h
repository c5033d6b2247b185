/* SPDX-License-Identifier: MIT */
/* Doubly linked lists with a head, as in the kernel. An entry that is in no list points to itself.
 */
#ifndef SVCD_LIST_H
#define SVCD_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define list_entry(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))
#define list_for_each(p, head)	    for (struct list *p = (head)->next; p != (head); p = p->next)
#define list_for_each_safe(p, n, head) \
	for (struct list *p = (head)->next, *n = p->next; p != (head); p = n, n = p->next)

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_tail(struct list *l, struct list *head)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void list_del(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

static inline void list_splice(struct list *from, struct list *to)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#endif
