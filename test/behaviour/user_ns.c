/* SPDX-License-Identifier: MIT */
/* run-as: root */
/* Root that enters another user name space leaves its rights behind, also those in the tree. */
#include "t.h"
#include <sched.h>
#include <sys/syscall.h>

enum { SOMEBODY = 1234 };

static void try_all(const char *label)
{
	struct stat st;
	int fd;

	printf("-- %s\n", label);
	fd = TRY(open(P("theirs"), O_RDWR));
	if (fd >= 0)
		close(fd);
	fd = TRY(open(P("ours"), O_RDWR));
	if (fd >= 0)
		close(fd);
	SHOW(chmod(P("theirs"), 0600));
	SHOW(chmod(P("ours"), 0600));
	SHOW(access(P("theirs"), R_OK));
	SHOW(mkdir(P("dir/d"), 0755));
	SHOW(rmdir(P("dir/d")));
	SHOW(stat(P("theirs"), &st));
}

static void in_child(void (*f)(void), const char *label)
{
	pid_t pid = fork();

	if (!pid) {
		f();
		_exit(t_failed);
	}
	t_wait(label, pid);
}

static void put(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY);

	MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* A map that makes it root again, of that name space. */
static void unshare_it(void)
{
	try_all("before");
	MUST(unshare(CLONE_NEWUSER) == 0);
	try_all("unshared");
	put("/proc/self/setgroups", "deny");
	put("/proc/self/uid_map", "0 0 1");
	put("/proc/self/gid_map", "0 0 1");
	CHECK(getuid() == 0);
	try_all("mapped");
	SHOW(seteuid(0));
	try_all("root by its own account");
}

static void by_number(void)
{
	try_all("before");
	MUST(syscall(SYS_unshare, CLONE_NEWUSER) == 0);
	try_all("unshared by number");
}

static void enter(int type, bool pidfd)
{
	int ready[2], go[2];
	char name[64], c;
	pid_t pid;
	int ns;

	MUST(pipe(ready) == 0 && pipe(go) == 0);
	pid = fork();
	if (!pid) {
		close(go[1]);
		MUST(unshare(CLONE_NEWUSER) == 0);
		MUST(write(ready[1], "x", 1) == 1);
		MUST(read(go[0], &c, 1) == 0);
		_exit(t_failed);
	}
	MUST(read(ready[0], &c, 1) == 1);
	snprintf(name, sizeof(name), "/proc/%d/ns/user", (int)pid);
	ns = pidfd ? (int)syscall(SYS_pidfd_open, pid, 0) : open(name, O_RDONLY);
	MUST(ns >= 0);
	try_all("before");
	MUST(setns(ns, type) == 0);
	try_all("entered");
	close(ns);
	close(go[1]);
	t_wait("the one that made it", pid);
}

static void enter_any(void)
{
	enter(0, false);
}

static void enter_pidfd(void)
{
	enter(CLONE_NEWUSER, true);
}

/* Other name spaces change nothing. */
static void enter_other(void)
{
	int ns = open("/proc/self/ns/uts", O_RDONLY);

	MUST(ns >= 0);
	try_all("before");
	MUST(unshare(CLONE_NEWUTS) == 0);
	try_all("unshared another");
	MUST(setns(ns, 0) == 0);
	try_all("back");
	close(ns);
}

static void probe(void)
{
	_exit(unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
}

int main(void)
{
	pid_t pid;
	int status;

	t_start();
	pid = fork();
	if (!pid)
		probe();
	MUST(waitpid(pid, &status, 0) == pid);
	if (status)
		t_skip("no user name spaces here");
	t_puts(P("theirs"), "t");
	t_puts(P("ours"), "o");
	MUST(mkdir(P("dir"), 0700) == 0);
	MUST(chown(P("theirs"), SOMEBODY, SOMEBODY) == 0 && chmod(P("theirs"), 0600) == 0);
	MUST(chmod(P("ours"), 0600) == 0);
	MUST(chmod(P(""), 0755) == 0);
	in_child(unshare_it, "unshare");
	in_child(by_number, "by number");
	in_child(enter_any, "setns");
	in_child(enter_pidfd, "setns by process");
	in_child(enter_other, "other name spaces");
	return t_end();
}
