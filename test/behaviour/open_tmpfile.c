/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* O_TMPFILE: a file without a name, then given one through /proc/self/fd as open(2) shows. */
#include "t.h"

int main(void)
{
	char proc[64];
	struct stat st;
	int fd;

	t_start();
	MUST(mkdir(P("d"), 0755) == 0);
	fd = TRY(open(P("d"), O_TMPFILE | O_RDWR, 0640));
	SHOW(write(fd, "nameless", 8));
	MUST(fstat(fd, &st) == 0);
	printf("links %lu size %ld mode %o\n", (unsigned long)st.st_nlink, (long)st.st_size,
	       st.st_mode);
	SHOW(rmdir(P("d/x")));
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	SHOW(linkat(AT_FDCWD, proc, AT_FDCWD, P("d/named"), AT_SYMLINK_FOLLOW));
	MUST(fstat(fd, &st) == 0);
	printf("links %lu\n", (unsigned long)st.st_nlink);
	close(fd);
	t_cat("named", P("d/named"));

	fd = TRY(open(P("d"), O_TMPFILE | O_WRONLY | O_EXCL, 0600));
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	SHOW(linkat(AT_FDCWD, proc, AT_FDCWD, P("d/refused"), AT_SYMLINK_FOLLOW));
	close(fd);
	TRY(open(P("d"), O_TMPFILE | O_RDONLY, 0600));
	TRY(open(P("d/named"), O_TMPFILE | O_RDWR, 0600));
	TRY(open(P("missing"), O_TMPFILE | O_RDWR, 0600));
	SHOW(unlink(P("d/named")));
	SHOW(rmdir(P("d")));
	return t_end();
}
