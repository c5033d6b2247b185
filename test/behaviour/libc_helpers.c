/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* libc functions that make file calls inside: mkstemp, remove, truncating tools, lockf, ftok. */
#include "t.h"
#include <sys/ipc.h>

static void show_temp(const char *label, int fd, const char *path)
{
	struct stat st;

	if (fd < 0) {
		printf("%s: %s\n", label, t_errname(errno));
		return;
	}
	MUST(fstat(fd, &st) == 0);
	printf("%s: mode %o name %s cloexec %d append %d\n", label, st.st_mode,
	       strstr(path, "XXXXXX") ? "unchanged" : "chosen", fcntl(fd, F_GETFD),
	       !!(fcntl(fd, F_GETFL) & O_APPEND));
	close(fd);
	SHOW(unlink(path));
}

int main(void)
{
	char path[PATH_MAX + 64];
	char again[PATH_MAX + 64];
	char *name;
	FILE *f;

	t_start();
	snprintf(path, sizeof(path), "%s", P("temp-XXXXXX"));
	show_temp("mkstemp", mkstemp(path), path);
	snprintf(path, sizeof(path), "%s", P("temp-XXXXXX.c"));
	show_temp("mkstemps", mkstemps(path, 2), path);
	snprintf(path, sizeof(path), "%s", P("temp-XXXXXX"));
	show_temp("mkostemp", mkostemp(path, O_CLOEXEC | O_APPEND), path);
	snprintf(path, sizeof(path), "%s", P("none/temp-XXXXXX"));
	show_temp("mkstemp", mkstemp(path), path);
	snprintf(path, sizeof(path), "%s", P("dir-XXXXXX"));
	SHOW(mkdtemp(path) != NULL);
	SHOW(rmdir(path));

	t_puts(P("f"), "line one\nline two\n");
	MUST(link(P("f"), P("g")) == 0);
	SHOW(ftok(P("f"), 1) == ftok(P("g"), 1));
	SHOW(ftok(P("none"), 1));
	SHOW(remove(P("g")));
	MUST(mkdir(P("d"), 0755) == 0);
	SHOW(remove(P("d")));
	name = canonicalize_file_name(P("./f"));
	CHECK(name && !strcmp(name, P("f")));
	free(name);
	/* A name in /tmp stays local while the tree is remote. */
	snprintf(again, sizeof(again), "%s", L("XXXXXX"));
	show_temp("local mkstemp", mkstemp(again), again);
	f = fopen("/proc/self/status", "r");
	SHOW(f && fgets(path, sizeof(path), f) && !strncmp(path, "Name:", 5));
	fclose(f);
	f = fopen("/dev/null", "w");
	SHOW(fputs("gone", f) >= 0);
	SHOW(fclose(f));
	f = fopen("/dev/full", "w");
	SHOW(fputs("gone", f) >= 0);
	SHOW(fclose(f));
	return t_end();
}
