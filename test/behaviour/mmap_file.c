/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Private mappings of tree files: contents, offsets, writes that stay private, refusals. */
#include "t.h"
#include <sys/mman.h>

enum { PAGE = 4096, SIZE = 5 * PAGE + 100 };

static void map(const char *label, int fd, size_t len, int prot, off_t off)
{
	unsigned char *p = mmap(NULL, len, prot, MAP_PRIVATE, fd, off);

	if (p == MAP_FAILED) {
		printf("%s: %s\n", label, t_errname(errno));
		return;
	}
	printf("%s: %016llx", label, (unsigned long long)t_hash(p, len));
	if (prot & PROT_WRITE) {
		memset(p, 'w', len);
		printf(" then %016llx", (unsigned long long)t_hash(p, len));
	}
	printf("\n");
	MUST(munmap(p, len) == 0);
}

int main(void)
{
	static char data[SIZE];
	unsigned char *fixed;
	unsigned char *p;
	int fd;

	t_start();
	t_fill(data, SIZE, 7);
	t_put(P("f"), data, SIZE);
	t_puts(P("empty"), "");
	fd = TRY(open(P("f"), O_RDONLY));
	map("read", fd, SIZE, PROT_READ, 0);
	map("private write", fd, SIZE, PROT_READ | PROT_WRITE, 0);
	map("page 2", fd, PAGE, PROT_READ, 2 * PAGE);
	map("the last page, zero filled", fd, PAGE, PROT_READ, 5 * PAGE);
	map("short", fd, 10, PROT_READ, 0);
	map("odd offset", fd, 10, PROT_READ, 100);
	map("no length", fd, 0, PROT_READ, 0);
	map("executable", fd, PAGE, PROT_READ | PROT_EXEC, 0);
	t_cat("file unchanged", P("f"));

	fixed = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(fixed != MAP_FAILED);
	memset(fixed, 'a', 4 * PAGE);
	p = mmap(fixed + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, PAGE);
	CHECK(p == fixed + PAGE);
	printf("fixed %d %d %d\n", fixed[0] == 'a', !memcmp(p, data + PAGE, PAGE),
	       fixed[2 * PAGE] == 'a');
	munmap(fixed, 4 * PAGE);
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	MUST(p != MAP_FAILED);
	close(fd);
	printf("mapped beyond close: %d\n", !memcmp(p, data, PAGE));
	munmap(p, PAGE);
	map("closed", fd, PAGE, PROT_READ, 0);
	fd = TRY(open(P("f"), O_WRONLY));
	map("write only", fd, PAGE, PROT_READ, 0);
	close(fd);
	fd = TRY(open(P("."), O_RDONLY | O_DIRECTORY));
	map("directory", fd, PAGE, PROT_READ, 0);
	close(fd);
	return t_end();
}
