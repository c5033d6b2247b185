/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Extended attributes in the user namespace, by path, by link and by descriptor. */
#include "t.h"
#include <sys/xattr.h>

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *label, ssize_t len, char *buf)
{
	char *names[16];
	int n = 0;

	printf("%s: %zd", label, len);
	for (char *p = buf; p < buf + len; p += strlen(p) + 1)
		if (!strncmp(p, "user.", 5))
			names[n++] = p;
	qsort(names, (size_t)n, sizeof(names[0]), by_name);
	for (int i = 0; i < n; i++)
		printf(" %s", names[i]);
	printf("\n");
}

int main(void)
{
	static char big[70000];
	char buf[256] = "";
	int fd;

	t_start();
	t_puts(P("f"), "f");
	MUST(symlink("f", P("link")) == 0);
	fd = TRY(open(P("f"), O_RDWR));
	SHOW(setxattr(P("f"), "user.one", "first", 5, 0));
	SHOW(setxattr(P("link"), "user.two", "second!", 7, XATTR_CREATE));
	SHOW(fsetxattr(fd, "user.three", "", 0, 0));
	SHOW(setxattr(P("f"), "user.one", "x", 1, XATTR_CREATE));
	SHOW(setxattr(P("f"), "user.none", "x", 1, XATTR_REPLACE));
	SHOW(setxattr(P("f"), "user.one", "x", 1, 8));
	SHOW(setxattr(P("f"), "user.one", "replaced", 8, XATTR_REPLACE));
	SHOW(getxattr(P("f"), "user.one", buf, sizeof(buf)));
	printf("%.8s\n", buf);
	SHOW(fgetxattr(fd, "user.two", buf, sizeof(buf)));
	printf("%.7s\n", buf);
	SHOW(lgetxattr(P("f"), "user.three", buf, sizeof(buf)));
	SHOW(getxattr(P("f"), "user.one", NULL, 0));
	SHOW(getxattr(P("f"), "user.one", buf, 3));
	SHOW(getxattr(P("f"), "user.none", buf, sizeof(buf)));
	list("listxattr", listxattr(P("f"), buf, sizeof(buf)), buf);
	list("flistxattr", flistxattr(fd, buf, sizeof(buf)), buf);
	list("llistxattr", llistxattr(P("f"), buf, sizeof(buf)), buf);
	SHOW(listxattr(P("f"), NULL, 0));
	SHOW(listxattr(P("f"), buf, 5));
	SHOW(removexattr(P("f"), "user.one"));
	SHOW(removexattr(P("f"), "user.one"));
	SHOW(fremovexattr(fd, "user.two"));
	SHOW(lremovexattr(P("f"), "user.three"));
	SHOW(listxattr(P("f"), buf, sizeof(buf)));
	SHOW(lsetxattr(P("link"), "user.x", "x", 1, 0));
	SHOW(lgetxattr(P("link"), "user.x", buf, sizeof(buf)));
	SHOW(llistxattr(P("link"), buf, sizeof(buf)));
	SHOW(setxattr(P("f"), "nonsense", "x", 1, 0));
	SHOW(setxattr(P("f"), "user.", "x", 1, 0));
	SHOW(setxattr(P("f"), "user.big", big, sizeof(big), 0));
	SHOW(setxattr(P("none"), "user.x", "x", 1, 0));
	SHOW(setxattr(P("f"), "trusted.x", "x", 1, 0));
	close(fd);
	SHOW(fsetxattr(fd, "user.x", "x", 1, 0));
	return t_end();
}
