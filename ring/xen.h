/* SPDX-License-Identifier: MIT */
/*
 * What a program needs of Xen, by way of the devices that Linux has for it, without a library: none
 * of this allocates, locks, or calls libc. All return -errno on failure.
 */
#ifndef VOS_XEN_H
#define VOS_XEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- memory for another domain: xen_device.c ----------------------------------------------------
 */

long vos_gnt_open(void);
/*
 * Map @pages pages, all zero, that domain @domid may map, and write if @writable; their grant
 * references to @ref. They live as long as the mapping and need no descriptor. The address.
 */
long vos_gnt_share(long fd, uint32_t domid, uint32_t pages, bool writable, uint32_t *ref);
/*
 * When the first page that was shared by @fd is unmapped, however that comes, the kernel makes its
 * byte @at 0 and sends an event to the peer of @port.
 */
long vos_gnt_farewell(long fd, uint32_t at, uint32_t port);

/* --- event channels: xen_device.c ---------------------------------------------------------------
 */

/* A descriptor with a port for @domid to bind; *@port is its number. It never blocks. */
long vos_event_open(uint32_t domid, uint32_t *port);
/* Send an event to the peer. Takes a call that confined programs may not make. */
long vos_event_send(int fd, uint32_t port);
/*
 * After an event was taken no more come, until this. It makes no difference if they come anyway, so
 * whoever is going to wait for one does it first: nobody knows what a signal handler, or the end of
 * a thread, has kept the last one who took an event from.
 */
long vos_event_arm(int fd, uint32_t port);
/* Take the events that have come. 0: there was none. */
long vos_event_take(int fd);
/* Make the descriptor ready for reading, as an event would. *@loop: 0 at first, ours afterwards. */
long vos_event_self(int fd, _Atomic uint32_t *loop);

/* --- the xenstore: xenstore.c -------------------------------------------------------------------
 */

/*
 * Paths are absolute or relative to our domain's own. An answer is waited for up to 10 seconds; no
 * answer is -ETIMEDOUT, and the descriptor is of no use any more.
 */
long vos_xs_open(void);
/* The value to @buf, with a NUL: its length. */
long vos_xs_read(long fd, const char *path, char *buf, size_t size);
long vos_xs_write(long fd, const char *path, const char *value);
long vos_xs_remove(long fd, const char *path);
/* Make a directory, or take the one that is there: @owner's, and @peer may read and write. */
long vos_xs_directory(long fd, const char *path, uint32_t owner, uint32_t peer);
/* The descriptor becomes ready for reading when something happens to @path, and once now. */
long vos_xs_watch(long fd, const char *path);
/* It is ready: take one event. */
long vos_xs_event(long fd);

#endif
