/* SPDX-License-Identifier: MIT */
/*
 * A hostile service: attaches programs as svcd would, or nearly, and then answers their requests
 * with what makes sense, some sense or none, while another thread changes everything that both
 * sides can read. A program gets a process of its own, which ends after a while in one of the ways
 * in which services end.
 *
 *	service_hostile SOCKET SEED [silent]
 *
 * silent: answers nothing, and dies without the kernel's telling (the guard word has been changed).
 * Prints "ready" and serves until it is ended.
 */
#define _GNU_SOURCE
#include "test/fuzz/service.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define GUARD (4711u | FUTEX_WAITERS)

static struct victim victim;
static _Atomic bool over;
static uint64_t seed;

static struct vos_service_head *head(void)
{
	return (struct vos_service_head *)victim.service;
}

/* --- attaching -------------------------------------------------------------------------------- */

static int take_memory(struct msghdr *m)
{
	struct cmsghdr *h = CMSG_FIRSTHDR(m);

	return h && h->cmsg_type == SCM_RIGHTS ? *(int *)CMSG_DATA(h) : -1;
}

static bool map_memory(int fd)
{
	struct vos_program_head h;
	struct stat st;
	void *p;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || fstat(fd, &st))
		return false;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return false;
	victim.program = p;
	victim.size = (size_t)st.st_size;
	victim.lanes = h.lanes;
	victim.pool = h.pool;
	victim.service = victim.program + VOS_PROGRAM_SIZE(h.lanes, h.pool);
	victim.entry = (struct vos_entry *)(victim.service + VOS_SERVICE_LANES);
	for (uint32_t i = 0; i < VOS_LANES_MAX; i++)
		victim.wake_fd[i] = -1;
	head()->guard = GUARD;
	return true;
}

/* One message, and the descriptor that comes with it. */
static ssize_t receive(void *data, size_t len, int *fd, int flags)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { data, len };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(victim.sock, &m, flags);

	*fd = n >= 0 ? take_memory(&m) : -1;
	return n;
}

/* A welcome as it should be, but for one thing at most. */
static void welcome(bool wrong)
{
	struct vos_welcome w = { .magic = VOS_MAGIC, .version = VOS_VERSION, .domain = "hostile" };
	size_t len = sizeof(w);

	switch (wrong ? below(7) : 7) {
	case 0:
		random_fill(&w, sizeof(w));
		break;
	case 1:
		w.version = (uint32_t)random_bits();
		break;
	case 2:
		w.error = (int32_t)random_bits();
		memset(w.text, '!', sizeof(w.text));
		break;
	case 3:
		len = below(sizeof(w));
		break;
	case 4:
		return;
	case 5:
		w.error = -116; /* ESTALE: the ticket is not known */
		break;
	case 6:
		memset(w.domain, 'h', sizeof(w.domain));
		break;
	}
	send(victim.sock, &w, len, MSG_NOSIGNAL);
}

static bool attach(bool wrong)
{
	struct vos_hello h;
	int fd;

	if (receive(&h, sizeof(h), &fd, 0) != sizeof(h))
		return false;
	if (h.kind != VOS_HELLO_ATTACH || fd < 0 || !map_memory(fd))
		return false;
	if (!below(16)) /* dies before the program has read what it was answered */
		head()->guard |= FUTEX_OWNER_DIED;
	welcome(wrong);
	close(fd);
	return !wrong;
}

/* --- answering -------------------------------------------------------------------------------- */

static void complete(struct vos_entry *e, uint32_t lane, int64_t result)
{
	const uint8_t one = 1;
	uint32_t how;

	e->result = result;
	how = atomic_exchange(&e->state, VOS_DONE);
	if (how & VOS_WAIT_FUTEX)
		syscall(SYS_futex, &e->state, FUTEX_WAKE, 1, NULL, NULL, 0);
	if (how & VOS_WAIT_FD && victim.wake_fd[lane] >= 0)
		send(victim.wake_fd[lane], &one, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Doorbells, which we do not need, and wake descriptors. False: the program is gone. */
static bool read_messages(void)
{
	struct vos_bell_fd m;
	ssize_t n;
	int fd;

	while ((n = receive(&m, sizeof(m), &fd, MSG_DONTWAIT)) > 0)
		if (fd >= 0 && n == sizeof(m) && m.tag == VOS_TAG_WAKE && m.lane < VOS_LANES_MAX)
			victim.wake_fd[m.lane] = fd;
	return n < 0 && errno == EAGAIN;
}

/* Every slot: we never sleep, so no slot ever says ASLEEP. */
static bool answer_all(void)
{
	bool any = false;

	for (uint32_t i = 0; i < victim.lanes * VOS_SLOTS; i++) {
		struct vos_entry *e = &victim.entry[i];

		if (!(atomic_load(&e->state) & VOS_POSTED) || !below(8))
			continue;
		any = true;
		complete(e, i / VOS_SLOTS, make_answer(&victim, e));
	}
	return any;
}

static void *answerer(void *arg)
{
	random_seed(seed + 1);
	while (!over && read_messages())
		if (!answer_all())
			usleep(20);
	over = true;
	return arg;
}

/* --- scribbling ------------------------------------------------------------------------------- */

static void scribble_entry(void)
{
	static const uint32_t states[] = { 0, 1, 2, 3, 4, 5, 6, 10, 18, 26, 0xffffffff };
	struct vos_entry *e = &victim.entry[below(8 * VOS_SLOTS)]; /* the lanes that are used */

	switch (below(8)) {
	case 0:
		e->state = PICK(states);
		break;
	case 1:
		e->result = (int64_t)random_bits();
		break;
	default:
		e->arg[below(6)] = random_bits();
	}
}

static void scribble_data(void)
{
	uint8_t *area = below(2) ? victim.program + VOS_PROGRAM_DATA
				 : victim.service + VOS_SERVICE_DATA(victim.lanes);
	uint64_t bits = random_bits();

	/* The small blocks of the lanes that are used, or a place in the pool. */
	area += below(8) ? below(8 * VOS_SMALL / 8) * 8
			 : VOS_ALIGN(victim.lanes * VOS_SMALL) + below(victim.pool / 8) * 8;
	memcpy(area, &bits, 8);
}

static void *scribbler(void *arg)
{
	bool all = arg;

	random_seed(seed + 2);
	while (!over) {
		if (all && !below(1 << 16))
			random_fill(&head()->ready, sizeof(head()->ready));
		if (all && !below(1 << 20))
			random_fill(victim.program, victim.size);
		if (all && !below(16))
			scribble_entry();
		scribble_data();
		if (!below(1024))
			usleep(10);
	}
	return NULL;
}

/* --- one program ------------------------------------------------------------------------------ */

/* As the kernel does it for a service that has died. */
static void say_dead(void)
{
	atomic_fetch_or(&head()->guard, FUTEX_OWNER_DIED);
	syscall(SYS_futex, &head()->guard, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Dies without anybody's noticing but by the connection. */
static void __attribute__((noreturn)) be_silent(void)
{
	if (attach(false)) {
		usleep(200000);
		head()->guard = GUARD;
	}
	_exit(0);
}

static void __attribute__((noreturn)) serve(void)
{
	static const uint32_t wildness[] = { 0, 100, 30, 8, 2 };
	pthread_t t[2];
	int n = 0;

	random_seed(seed);
	if (!attach(!below(16)))
		_exit(0);
	victim.wildness = PICK(wildness);
	pthread_create(&t[n++], NULL, answerer, NULL);
	switch (below(4)) {
	case 0:
		pthread_create(&t[n++], NULL, scribbler, NULL);
		break;
	case 1:
		pthread_create(&t[n++], NULL, scribbler, (void *)1);
		break;
	}
	for (uint64_t ms = 1 + below(below(4) ? 100 : 500); ms && !over; ms--)
		usleep(1000);
	over = true;
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	say_dead();
	_exit(0);
}

int main(int argc, char **argv)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	bool silent = argc > 3 && !strcmp(argv[3], "silent");
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	uint64_t n;

	if (argc < 3)
		return 2;
	strncpy(sun.sun_path, argv[1], sizeof(sun.sun_path) - 1);
	umask(0); /* for programs of any user */
	if (bind(listener, (struct sockaddr *)&sun, sizeof(sun)) || listen(listener, 100)) {
		perror(argv[1]);
		return 1;
	}
	signal(SIGCHLD, SIG_IGN);
	printf("ready\n");
	fflush(stdout);
	for (n = 0;; n++) {
		victim.sock = accept(listener, NULL, NULL);
		if (victim.sock < 0)
			continue;
		seed = strtoull(argv[2], NULL, 10) * 1000000 + n;
		if (!fork()) {
			close(listener);
			if (silent)
				be_silent();
			serve();
		}
		close(victim.sock);
	}
}
