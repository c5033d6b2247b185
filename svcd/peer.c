/* SPDX-License-Identifier: MIT */
/*
 * What a program that is root can do where it runs. User 0 may have few capabilities or none, in a
 * container or in a unit of the service manager, and must not get the others from us. The kernel
 * does not tell with the connection, but it does in /proc, which is kept open from before --root.
 *
 * The numbers there are those of processes, so the process must be the one that has connected:
 * SO_PEERPIDFD knows (from Linux 6.5 on), and as long as it lives nobody else has its number.
 * Capabilities in another user name space are worth nothing here; its map of ids gives it away.
 */
#define _GNU_SOURCE
#include "svcd/svcd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static int proc = -1; /* -1: does not know processes by the numbers that we see */
static char our_map[4096];

static ssize_t read_proc(const char *dir, const char *file, char *buf, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return -1;
	buf[n] = 0;
	return n;
}

void peer_init(void)
{
	char self[16] = "";

	proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* That of another PID name space would tell us of other processes. */
	if (readlinkat(proc, "self", self, sizeof(self) - 1) > 0 && atoi(self) == getpid() &&
	    read_proc("self", "uid_map", our_map, sizeof(our_map)) > 0)
		return;
	close(proc);
	proc = -1;
}

static bool ended(int pidfd)
{
	struct pollfd p = { pidfd, POLLIN, 0 };

	return pidfd < 0 || poll(&p, 1, 0) != 0;
}

static bool effective(pid_t pid, uint64_t *set)
{
	char dir[16], text[8192];
	const char *line;

	snprintf(dir, sizeof(dir), "%d", (int)pid);
	if (read_proc(dir, "uid_map", text, sizeof(text)) < 0)
		return false;
	*set = 0;
	if (strcmp(text, our_map))
		return true;
	if (read_proc(dir, "status", text, sizeof(text)) < 0)
		return false;
	line = strstr(text, "\nCapEff:\t");
	if (line)
		*set = strtoull(line + strlen("\nCapEff:\t"), NULL, 16);
	return line;
}

/* Effective ones of the process at the other end of @sock; none when they cannot be known. */
uint64_t peer_caps(int sock, pid_t pid)
{
	static bool said;
	socklen_t n = sizeof(int);
	uint64_t set = 0;
	bool known = false;
	int pidfd = -1;

	if (proc >= 0 && pid > 0) {
		if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &n) && errno == ENOPROTOOPT)
			pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		known = effective(pid, &set);
		if (ended(pidfd)) { /* whoever that was */
			known = true;
			set = 0;
		}
		if (pidfd >= 0)
			close(pidfd);
	}
	if (!known && !said) {
		said = true;
		log_line(4,
			 "client %d: runs as root, but what it may do cannot be read in /proc: "
			 "it gets no capabilities",
			 (int)pid);
	}
	return known ? set : 0;
}
