/* SPDX-License-Identifier: MIT */
/*
 * Signal handlers on an alternate stack of 8 KiB, which SIGSTKSZ has been for decades: what they may
 * call with paths fits in there, beside the kernel's frame. Below the stack there is nothing.
 */
#include "t.h"
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#define STACK 8192
#define GUARD 65536 /* no frame reaches past it */

static const char *in, *at_home; /* a file in the tree, one that is local */
static const char *none, *none_here;
static const char *link_in, *link_here;
static const char *fresh;

static long opens(const char *path, int flags)
{
	int fd = open(path, flags, 0600);
	char c = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = flags & O_WRONLY ? write(fd, "x", 1) : read(fd, &c, 1);
	close(fd);
	return n < 0 ? -1 : c + 1000 * n;
}

static long sizes(const char *path, int flags)
{
	struct stat st;

	return fstatat(AT_FDCWD, path, &st, flags) ? -1 : (long)st.st_size;
}

static long reads(const char *path, int flags)
{
	char buf[16];

	(void)flags;
	return readlink(path, buf, sizeof(buf));
}

static long is_there(const char *path, int mode)
{
	return access(path, mode);
}

static long removes(const char *path, int arg)
{
	(void)arg;
	return unlink(path);
}

static const struct {
	const char *name;
	long (*fn)(const char *path, int arg);
	const char *const *path;
	int arg;
} calls[] = {
	{ "open", opens, &in, O_RDONLY },
	{ "open local", opens, &at_home, O_RDONLY },
	{ "open none", opens, &none, O_RDONLY },
	{ "open none local", opens, &none_here, O_RDONLY },
	{ "open link", opens, &link_in, O_RDONLY },
	{ "open local link", opens, &link_here, O_RDONLY },
	{ "create", opens, &fresh, O_WRONLY | O_CREAT | O_EXCL },
	{ "stat", sizes, &in, 0 },
	{ "stat local", sizes, &at_home, 0 },
	{ "stat none", sizes, &none, 0 },
	{ "stat none local", sizes, &none_here, 0 },
	{ "stat link", sizes, &link_in, 0 },
	{ "lstat link", sizes, &link_in, AT_SYMLINK_NOFOLLOW },
	{ "access", is_there, &in, R_OK },
	{ "access local", is_there, &at_home, R_OK },
	{ "access none", is_there, &none, F_OK },
	{ "access none local", is_there, &none_here, F_OK },
	{ "readlink", reads, &link_in, 0 },
	{ "readlink local", reads, &link_here, 0 },
	{ "readlink none", reads, &none, 0 },
	{ "readlink none local", reads, &none_here, 0 },
	{ "readlink of a file", reads, &in, 0 },
	{ "unlink", removes, &fresh, 0 },
};

static volatile size_t which;
static volatile long result;
static volatile int error;

static void handler(int sig)
{
	(void)sig;
	result = calls[which].fn(*calls[which].path, calls[which].arg);
	error = result < 0 ? errno : 0;
}

static void all(const char *from)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		which = i;
		MUST(raise(SIGUSR1) == 0);
		printf("%s, %s: %ld %s\n", from, calls[i].name, result, t_errname(error));
	}
}

static const char *relative(const char *path)
{
	return strrchr(path, '/') + 1;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	stack_t alt = { .ss_size = STACK };
	char *p;

	t_start();
	if (getauxval(AT_MINSIGSTKSZ) > STACK / 2)
		t_skip("the kernel's own frame takes more than half of such a stack");
	p = mmap(NULL, GUARD + STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED);
	MUST(mprotect(p + GUARD, STACK, PROT_READ | PROT_WRITE) == 0);
	alt.ss_sp = p + GUARD;
	MUST(sigaltstack(&alt, NULL) == 0);
	MUST(sigaction(SIGUSR1, &sa, NULL) == 0);

	in = P("file");
	none = P("none");
	link_in = P("link");
	fresh = P("fresh");
	at_home = L("file");
	none_here = L("none");
	link_here = L("link");
	/* The first call of all meets the domain. */
	which = sizeof(calls) / sizeof(calls[0]) - 1;
	MUST(raise(SIGUSR1) == 0);
	printf("first: %ld %s\n", result, t_errname(error));
	t_puts(in, "in the tree");
	t_puts(at_home, "here");
	MUST(symlink("file", link_in) == 0 && symlink("file", link_here) == 0);
	all("absolute");

	in = relative(in);
	none = relative(none);
	link_in = relative(link_in);
	fresh = relative(fresh);
	MUST(chdir(P("")) == 0);
	all("relative");
	MUST(chdir("/") == 0);
	return t_end();
}
