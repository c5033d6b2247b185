/* SPDX-License-Identifier: MIT */
/* ring/xen.h without Xen, see README. */
#define _GNU_SOURCE
#include "ring/raw.h"
#include "ring/vchan.h"
#include "ring/xen.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define DOMID "5"
#define OURS  "/local/domain/" DOMID "/"

static char name[64]; /* of the directory */

struct text {
	char at[256];
	size_t n;
};

static void put(struct text *t, const char *s)
{
	while (*s && t->n < sizeof(t->at) - 1)
		t->at[t->n++] = *s++;
	t->at[t->n] = 0;
}

static void put_number(struct text *t, uint32_t n)
{
	char digits[12], *at = digits + sizeof(digits) - 1;

	*at = 0;
	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	put(t, at);
}

static void in_directory(struct text *t, const char *what)
{
	t->n = 0;
	put(t, "/dev/shm/");
	put(t, name);
	put(t, what);
}

static uint32_t random_number(void)
{
	uint32_t n = 0;

	vos_raw3(SYS_getrandom, (long)&n, sizeof(n), 0);
	return n & 0x3fffffff;
}

/* --- grants ------------------------------------------------------------------------------------- */

long vos_gnt_open(void)
{
	return vos_raw4(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR | O_CLOEXEC, 0);
}

long vos_gnt_share(long gnt, uint32_t domid, uint32_t pages, bool writable, uint32_t *ref)
{
	uint32_t base = random_number() & ~0xfffu;
	struct text path;
	long fd, r;

	(void)gnt, (void)domid;
	in_directory(&path, "/grant.");
	put_number(&path, base);
	fd = vos_raw4(SYS_openat, AT_FDCWD, (long)path.at, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		      0666);
	if (fd < 0)
		return fd;
	/* By the mode the service's side knows what it may map for writing. */
	vos_raw2(SYS_fchmod, fd, writable ? 0666 : 0444);
	r = vos_raw2(SYS_ftruncate, fd, (long)pages << 12);
	if (!r)
		r = vos_raw6(SYS_mmap, 0, (long)pages << 12, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			     0);
	vos_raw1(SYS_close, fd);
	for (uint32_t i = 0; i < pages; i++)
		ref[i] = base + i;
	return r;
}

long vos_gnt_farewell(long fd, uint32_t at, uint32_t port)
{
	(void)fd, (void)at, (void)port;
	return 0;
}

/* --- event channels ------------------------------------------------------------------------------
 */

long vos_event_open(uint32_t domid, uint32_t *port)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct text path;
	long fd, r;

	in_directory(&path, "/event.");
	put_number(&path, domid);
	for (size_t i = 0; i <= path.n; i++)
		sun.sun_path[i] = path.at[i];
	*port = random_number();
	fd = vos_raw3(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	r = vos_raw3(SYS_connect, fd, (long)&sun, sizeof(sun));
	if (!r)
		r = vos_raw3(SYS_write, fd, (long)port, sizeof(*port));
	if (r == sizeof(*port))
		return fd;
	vos_raw1(SYS_close, fd);
	return r < 0 ? r : -EIO;
}

long vos_event_send(int fd, uint32_t port)
{
	long r = vos_raw6(SYS_sendto, fd, (long)&port, sizeof(port), MSG_DONTWAIT | MSG_NOSIGNAL, 0,
			  0);

	/* On Xen nothing comes of it when there is nobody any more. */
	return r == -EAGAIN || r == -EPIPE || r > 0 ? 0 : r;
}

long vos_event_arm(int fd, uint32_t port)
{
	(void)fd, (void)port;
	return 0;
}

long vos_event_take(int fd)
{
	uint32_t port;
	long r, any = 0;

	while ((r = vos_raw3(SYS_read, fd, (long)&port, sizeof(port))) > 0)
		any = 1;
	if (!r)
		return -EPIPE;
	return r == -EAGAIN || r == -EINTR ? any : r;
}

long vos_event_self(int fd, _Atomic uint32_t *loop)
{
	(void)loop;
	return vos_raw2(SYS_shutdown, fd, SHUT_RDWR);
}

/* --- the xenstore -------------------------------------------------------------------------------- */

long vos_xs_open(void)
{
	return vos_gnt_open(); /* a number */
}

static bool begins(const char *s, const char *with)
{
	while (*with && *s == *with)
		s++, with++;
	return !*with;
}

static void node(struct text *t, const char *path)
{
	size_t from;

	in_directory(t, "/store/");
	from = t->n;
	if (*path != '/')
		put(t, OURS);
	put(t, path);
	for (size_t i = from; i < t->n; i++)
		if (t->at[i] == '/')
			t->at[i] = '~';
}

/* What comes before the last dash of what the address says. */
static void find_directory(const char *address)
{
	size_t n = 0;

	for (size_t i = 0; address[i]; i++)
		if (address[i] == '-')
			n = i;
	if (n < sizeof(name))
		for (size_t i = 0; i < n; i++)
			name[i] = address[i];
}

long vos_xs_read(long fd, const char *path, char *buf, size_t size)
{
	struct text t;
	long file, n;

	(void)fd;
	if (begins(path, VOS_XS_DOMID "/"))
		find_directory(path + sizeof(VOS_XS_DOMID));
	node(&t, path);
	file = vos_raw4(SYS_openat, AT_FDCWD, (long)t.at, O_RDONLY | O_CLOEXEC, 0);
	if (file < 0)
		return file;
	n = vos_raw3(SYS_read, file, (long)buf, (long)size - 1);
	vos_raw1(SYS_close, file);
	if (n >= 0)
		buf[n] = 0;
	return n;
}

long vos_xs_write(long fd, const char *path, const char *value)
{
	struct text t;
	long file, n = 0, r;

	(void)fd;
	node(&t, path);
	file = vos_raw4(SYS_openat, AT_FDCWD, (long)t.at, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (file < 0)
		return file;
	vos_raw2(SYS_fchmod, file, 0666);
	while (value[n])
		n++;
	r = vos_raw3(SYS_write, file, (long)value, n);
	vos_raw1(SYS_close, file);
	return r < 0 ? r : 0;
}

/* Only of offers, which have these two in them. */
long vos_xs_remove(long fd, const char *path)
{
	struct text t;

	(void)fd;
	for (int i = 0; i < 2; i++) {
		node(&t, path);
		put(&t, i ? "~" VOS_XS_PORT : "~" VOS_XS_REF);
		vos_raw3(SYS_unlinkat, AT_FDCWD, (long)t.at, 0);
	}
	return 0;
}

long vos_xs_directory(long fd, const char *path, uint32_t owner, uint32_t peer)
{
	(void)fd, (void)path, (void)owner, (void)peer;
	return 0;
}

long vos_xs_watch(long fd, const char *path)
{
	struct text t;
	/* Here, too, there are only so many of them. */
	long watch = vos_raw1(SYS_inotify_init1, IN_CLOEXEC | IN_NONBLOCK);
	long r;

	if (watch < 0)
		return watch;
	node(&t, path);
	r = vos_raw3(SYS_inotify_add_watch, watch, (long)t.at, IN_DELETE_SELF | IN_ATTRIB);
	if (r >= 0)
		r = vos_raw3(SYS_dup3, watch, fd, O_CLOEXEC);
	vos_raw1(SYS_close, watch);
	return r < 0 ? r : 0;
}

long vos_xs_event(long fd)
{
	char buf[512];
	long n = vos_raw3(SYS_read, fd, (long)buf, sizeof(buf));

	return n < 0 && n != -EAGAIN ? n : 0;
}
