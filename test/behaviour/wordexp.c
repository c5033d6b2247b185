/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/*
 * wordexp() runs a shell by a spawn inside libc: its child has numbers of its own, but the memory
 * of its parent. What the parent has open must not change.
 */
#include "net.h"
#include <wordexp.h>

static void expand(const char *words, int flags)
{
	wordexp_t w;
	int r = wordexp(words, &w, flags);

	dprintf(9, "%s: %d", words, r);
	for (size_t i = 0; !r && i < w.we_wordc; i++)
		dprintf(9, " [%s]", w.we_wordv[i]);
	dprintf(9, "\n");
	if (!r)
		wordfree(&w);
}

int main(void)
{
	int sv[2];
	char c = 0;
	int fd;

	t_start();
	fflush(stdout);
	MUST(dup2(1, 9) == 9);
	net_tcp_pair(sv);
	/* The numbers that the child replaces. */
	fd = open(P("out"), O_RDWR | O_CREAT, 0644);
	MUST(dup2(fd, 1) == 1 && dup2(sv[0], 2) == 2);
	expand("$(echo hello world)", 0);
	expand("$(echo error >&2; echo quiet)", 0);
	expand("$(echo shown)", WRDE_SHOWERR);
	expand("$(exit 3)", 0);
	MUST(write(1, "still the file", 14) == 14);
	MUST(write(2, "x", 1) == 1);
	MUST(read(sv[1], &c, 1) == 1 && c == 'x');
	MUST(pread(fd, &c, 1, 0) == 1 && c == 's');
	MUST(dup2(9, 1) == 1 && dup2(9, 2) == 2);
	close(9);
	close(fd);
	close(sv[0]);
	close(sv[1]);
	t_cat("out", P("out"));
	return t_end();
}
