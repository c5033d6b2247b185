/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* A directory of 2,000 entries through DIR: all once, positions, rewinding, removal while reading.
 */
#include "t.h"
#include <dirent.h>

enum { FILES = 2000 };

static char seen[FILES];

static int number(const struct dirent *e)
{
	int n;

	return sscanf(e->d_name, "entry-%d", &n) == 1 && n >= 0 && n < FILES ? n : -1;
}

static void count(const char *label, DIR *d)
{
	struct dirent *e;
	int total = 0;
	int twice = 0;
	int other = 0;
	int types = 0;

	memset(seen, 0, sizeof(seen));
	errno = 0;
	while ((e = readdir(d))) {
		int n = number(e);

		if (n < 0) {
			other++;
			continue;
		}
		total++;
		twice += seen[n]++ > 0;
		types += e->d_type == (n % 10 ? DT_REG : DT_DIR);
		CHECK(e->d_ino != 0);
	}
	CHECK(errno == 0);
	printf("%s: %d entries, %d twice, %d others, %d right types\n", label, total, twice, other,
	       types);
}

static void positions(DIR *d)
{
	static long where[FILES + 2];
	static char names[FILES + 2][32];
	struct dirent *e;
	int n = 0;
	int wrong = 0;

	rewinddir(d);
	do {
		where[n] = telldir(d);
		e = readdir(d);
		snprintf(names[n], sizeof(names[n]), "%.31s", e ? e->d_name : "");
	} while (e && ++n < FILES + 2);
	for (int i = 0; i < 300; i++) {
		int k = (i * 577) % n;

		seekdir(d, where[k]);
		e = readdir(d);
		wrong += !e || strcmp(e->d_name, names[k]) != 0;
	}
	printf("seekdir: %d of 300 wrong\n", wrong);
}

static void changing(DIR *d)
{
	struct dirent *e;
	int removed = 0;

	rewinddir(d);
	while ((e = readdir(d))) {
		int n = number(e);

		if (n < 0)
			continue;
		if (unlinkat(dirfd(d), e->d_name, n % 10 ? 0 : AT_REMOVEDIR) == 0)
			removed++;
	}
	printf("removed %d while reading\n", removed);
	rewinddir(d);
	count("then", d);
}

int main(void)
{
	char name[32];
	DIR *d;
	int fd;

	t_start();
	MUST(mkdir(P("d"), 0755) == 0);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "d/entry-%04d", i);
		if (i % 10)
			MUST(mknod(P(name), S_IFREG | 0644, 0) == 0);
		else
			MUST(mkdir(P(name), 0755) == 0);
	}
	d = opendir(P("d"));
	MUST(d);
	count("first", d);
	count("at the end", d);
	rewinddir(d);
	count("rewound", d);
	positions(d);
	changing(d);
	SHOW(closedir(d));

	fd = TRY(open(P("d"), O_RDONLY | O_DIRECTORY));
	d = fdopendir(fd);
	MUST(d);
	CHECK(dirfd(d) == fd);
	count("fdopendir", d);
	SHOW(closedir(d));
	SHOW(close(fd));
	TRY(opendir(P("none")) ? 0 : -1);
	t_puts(P("f"), "f");
	TRY(opendir(P("f")) ? 0 : -1);
	SHOW(rmdir(P("d")));
	return t_end();
}
