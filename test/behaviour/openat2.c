/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* openat2() by its number, as programs call it: resolve flags, refused flags, sizes. */
#include "t.h"
#include <linux/openat2.h>
#include <sys/syscall.h>

static int at2(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags, .resolve = resolve };

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static void show(const char *label, int fd)
{
	char buf[32] = "";

	if (fd < 0) {
		printf("%s: %s\n", label, t_errname(errno));
		return;
	}
	CHECK(read(fd, buf, sizeof(buf) - 1) >= 0);
	printf("%s: %s\n", label, buf);
	close(fd);
}

int main(void)
{
	struct {
		struct open_how how;
		uint64_t more;
	} big = { .how = { .flags = O_RDONLY } };
	int dir;

	t_start();
	MUST(mkdir(P("d"), 0755) == 0);
	t_puts(P("outside"), "outside");
	t_puts(P("d/f"), "inside");
	MUST(symlink("f", P("d/link")) == 0);
	MUST(symlink("../outside", P("d/escape")) == 0);
	MUST(symlink("/f", P("d/abs")) == 0);
	dir = TRY(open(P("d"), O_PATH | O_DIRECTORY));

	show("plain", at2(dir, "f", O_RDONLY, 0));
	show("beneath", at2(dir, "f", O_RDONLY, RESOLVE_BENEATH));
	show("beneath, link inside", at2(dir, "link", O_RDONLY, RESOLVE_BENEATH));
	show("beneath, link outside", at2(dir, "escape", O_RDONLY, RESOLVE_BENEATH));
	show("beneath, absolute", at2(dir, "/f", O_RDONLY, RESOLVE_BENEATH));
	show("beneath, up", at2(dir, "../outside", O_RDONLY, RESOLVE_BENEATH));
	show("no symlinks", at2(dir, "link", O_RDONLY, RESOLVE_NO_SYMLINKS));
	show("link outside", at2(dir, "escape", O_RDONLY, 0));
	show("in root, absolute", at2(dir, "/f", O_RDONLY, RESOLVE_IN_ROOT));
	show("in root, absolute link", at2(dir, "abs", O_RDONLY, RESOLVE_IN_ROOT));
	show("in root, up", at2(dir, "../../f", O_RDONLY, RESOLVE_IN_ROOT));
	show("no magic links", at2(dir, "f", O_RDONLY, RESOLVE_NO_MAGICLINKS));
	show("no xdev", at2(dir, "f", O_RDONLY, RESOLVE_NO_XDEV));
	show("unknown resolve", at2(dir, "f", O_RDONLY, 0x8000));
	show("unknown flag", at2(dir, "f", 1ull << 40, 0));
	show("absolute", at2(AT_FDCWD, P("d/f"), O_RDONLY, 0));
	show("missing", at2(dir, "none", O_RDONLY, 0));

	show("larger, zero", (int)syscall(SYS_openat2, dir, "f", &big, sizeof(big)));
	big.more = 1;
	show("larger, not zero", (int)syscall(SYS_openat2, dir, "f", &big, sizeof(big)));
	show("too small", (int)syscall(SYS_openat2, dir, "f", &big, 8));
	close(dir);
	return t_end();
}
