/* SPDX-License-Identifier: MIT */
/*
 * Changes and forks. A child has the numbers and words of the moment of the fork, and the handles of
 * a ticket that is made before. They must be the same, so while a fork of a program with threads is
 * under way no other thread changes what belongs together:
 *
 *	a number and its word	open, close, dup, and what comes in messages
 *	epoll companions	which are handles that no number stands for
 *
 * A change begins and ends here, and is short: nothing in it waits for a service. A handler that
 * interrupts one may fork; one that leaves it by longjmp() has later forks wait for PATIENCE_MS
 * each, and then go on.
 */
#ifndef VOS_CHANGE_H
#define VOS_CHANGE_H

#include "preload/vos.h"

void vos_change_begin(void) HIDDEN;
void vos_change_end(void) HIDDEN;

/* For fork: no change is under way, none begins. All signals must be blocked. */
void vos_changes_stop(void) HIDDEN;
void vos_changes_go(void) HIDDEN;
/* In the child: the changes of other threads are not under way here. */
void vos_changes_forked(void) HIDDEN;

#endif
