/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* stdio on tree files: modes, positions, lines, formats; libc makes the calls by itself. */
#include "t.h"
#include <sys/socket.h>
#include <wchar.h>

static void modes(void)
{
	static const char *const all[] = { "w", "r", "a", "r+", "a+", "w+", "wx", "re", "r" };
	char line[64];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		FILE *f = fopen(P("modes"), all[i]);
		int put;
		char *got;

		if (!f) {
			printf("%s: %s\n", all[i], t_errname(errno));
			continue;
		}
		put = fprintf(f, "via %s\n", all[i]);
		put = put < 0 ? put : fflush(f);
		clearerr(f);
		rewind(f);
		got = fgets(line, sizeof(line), f);
		printf("%s: put %d got %s", all[i], put, got ? got : "nothing\n");
		printf("cloexec %d\n", fcntl(fileno(f), F_GETFD));
		fclose(f);
		t_cat(all[i], P("modes"));
	}
	TRY(fopen(P("none"), "r") ? 0 : -1);
	TRY(fopen(P("."), "w") ? 0 : -1);
	TRY(fopen(P("modes/x"), "w") ? 0 : -1);
}

static void positions(void)
{
	FILE *f = fopen(P("pos"), "w+");
	fpos_t pos;
	int c;

	for (int i = 0; i < 5000; i++)
		fprintf(f, "%04d\n", i);
	SHOW(ftell(f));
	SHOW(fseek(f, 5 * 1234, SEEK_SET));
	SHOW(fscanf(f, "%d", &c));
	SHOW(c);
	SHOW(fgetpos(f, &pos));
	SHOW(fseek(f, -5, SEEK_END));
	SHOW(fscanf(f, "%d", &c));
	SHOW(c);
	SHOW(fsetpos(f, &pos));
	SHOW(fscanf(f, "%d", &c));
	SHOW(c);
	SHOW(ungetc('!', f));
	SHOW(fgetc(f));
	SHOW(fseek(f, -100000, SEEK_CUR));
	SHOW(fseek(f, 3, SEEK_CUR));
	SHOW(ftell(f));
	SHOW(fputs("overwritten", f));
	SHOW(fclose(f));
	t_cat("pos", P("pos"));
}

static void lines(void)
{
	FILE *f = fopen(P("pos"), "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int count = 0;
	long bytes = 0;

	while ((n = getline(&line, &size, f)) > 0) {
		count++;
		bytes += n;
	}
	printf("getline: %d lines %ld bytes eof %d error %d\n", count, bytes, feof(f) != 0,
	       ferror(f));
	rewind(f);
	count = 0;
	while ((n = getdelim(&line, &size, '7', f)) > 0)
		count++;
	printf("getdelim: %d\n", count);
	free(line);
	fclose(f);
}

static void large(void)
{
	const size_t size = 1024 * 1024 + 13;
	unsigned char *data = malloc(size);
	FILE *f = fopen(P("large"), "w");
	uint64_t h = t_hash("", 0);
	unsigned char c;
	size_t n = 0;
	int got;

	t_fill(data, size, 11);
	SHOW(fwrite(data, 1, 10, f));
	SHOW(fwrite(data + 10, 1, size - 10, f));
	SHOW(fclose(f));
	t_cat("large", P("large"));
	f = fopen(P("large"), "r");
	while ((got = getc(f)) != EOF) {
		c = (unsigned char)got;
		h = t_hash_more(h, &c, 1);
		n++;
	}
	printf("by characters: %zu %016llx\n", n, (unsigned long long)h);
	rewind(f);
	setvbuf(f, NULL, _IONBF, 0);
	SHOW(fread(data, 7, 10, f));
	SHOW(lseek(fileno(f), 0, SEEK_CUR));
	fclose(f);
	free(data);
}

static void streams(void)
{
	int fd = open(P("raw"), O_RDWR | O_CREAT, 0644);
	FILE *f = fdopen(fd, "w");
	FILE *other;
	char text[32] = "";

	SHOW(fprintf(f, "buffered "));
	SHOW(dprintf(fd, "direct "));
	SHOW(fflush(f));
	SHOW(fputs("end", f) >= 0);
	SHOW(fclose(f));
	t_cat("raw", P("raw"));
	f = fopen(P("raw"), "r");
	other = freopen(P("modes"), "r", f);
	CHECK(other == f);
	SHOW(fgets(text, sizeof(text), f) != NULL);
	printf("reopened: %s", text);
	fclose(f);
	f = tmpfile();
	SHOW(f ? fputs("temporary", f) >= 0 : -1);
	rewind(f);
	SHOW(fgets(text, sizeof(text), f) != NULL);
	puts(text);
	fclose(f);
	f = fopen(P("wide"), "w,ccs=UTF-8");
	SHOW(f ? fputws(L"wide text", f) >= 0 : -1);
	fclose(f);
	t_cat("wide", P("wide"));
}

/* stdout itself goes into the tree and comes back. */
static void redirect(void)
{
	int saved = dup(1);

	fflush(stdout);
	MUST(freopen(P("stdout"), "w", stdout));
	printf("printed into the tree\n");
	puts("and again");
	fflush(stdout);
	MUST(dup2(saved, 1) == 1);
	close(saved);
	setvbuf(stdout, NULL, _IOLBF, 4096);
	t_cat("stdout", P("stdout"));
}

int main(void)
{
	t_start();
	modes();
	positions();
	lines();
	large();
	streams();
	redirect();
	return t_end();
}
