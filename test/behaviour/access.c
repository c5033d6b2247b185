/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* access(), faccessat(), eaccess(): every mode bit against every question. */
#include "t.h"

int main(void)
{
	static const mode_t modes[] = { 0, 0444, 0222, 0111, 0644, 0755, 0400 };
	int dir;

	t_start();
	t_puts(P("f"), "x");
	MUST(mkdir(P("closed"), 0755) == 0);
	t_puts(P("closed/f"), "x");
	dir = TRY(open(P("."), O_RDONLY | O_DIRECTORY));
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		MUST(chmod(P("f"), modes[i]) == 0);
		printf("mode %o: F %d R %d W %d X %d RW %d RWX %d at %d eff %d\n", modes[i],
		       access(P("f"), F_OK), access(P("f"), R_OK), access(P("f"), W_OK),
		       access(P("f"), X_OK), access(P("f"), R_OK | W_OK),
		       access(P("f"), R_OK | W_OK | X_OK), faccessat(dir, "f", R_OK, 0),
		       faccessat(dir, "f", W_OK, AT_EACCESS));
		printf("eaccess R %d X %d\n", eaccess(P("f"), R_OK), eaccess(P("f"), X_OK));
	}
	SHOW(access(P("f"), X_OK));
	SHOW(access(P("missing"), F_OK));
	SHOW(access(P("f/x"), F_OK));
	SHOW(access(P("f"), 8));
	SHOW(access("", F_OK));
	MUST(symlink("missing", P("dangling")) == 0);
	SHOW(access(P("dangling"), F_OK));
	SHOW(faccessat(dir, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
	SHOW(faccessat(dir, "f", F_OK, 0x10000));
	SHOW(faccessat(-1, "f", F_OK, 0));
	SHOW(faccessat(-1, P("f"), F_OK, 0));
	MUST(chmod(P("closed"), 0) == 0);
	SHOW(access(P("closed/f"), F_OK));
	SHOW(access(P("closed"), X_OK));
	MUST(chmod(P("closed"), 0755) == 0);
	close(dir);
	return t_end();
}
