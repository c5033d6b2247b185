/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* timeout: 120 */
/*
 * A long sequence of calls by chance, the same each time, on a few descriptors and names, some of which
 * are local in every mode.
 */
#include "t.h"
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

enum { SLOTS = 8, NAMES = 8, SPACE = 20000 };

static const char *const names[NAMES] = { "a", "b", "c", "d", "d/a", "d/b", "l", "d/l" };
static int slot[SLOTS];
static uint64_t state;
static unsigned char data[SPACE];

static unsigned int below(unsigned int n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned int)(state >> 33) % n;
}

static const char *name(void)
{
	const char *n = names[below(NAMES)];

	return below(6) ? P(n) : L(n);
}

static int *any(void)
{
	return &slot[below(SLOTS)];
}

static void put(int *where, int fd)
{
	if (*where >= 0)
		close(*where);
	*where = fd;
}

static long opened(void)
{
	static const int flags[] = { O_RDONLY,
				     O_RDWR,
				     O_RDWR | O_CREAT,
				     O_WRONLY | O_APPEND,
				     O_RDWR | O_CREAT | O_EXCL,
				     O_RDWR | O_TRUNC,
				     O_RDONLY | O_DIRECTORY,
				     O_RDWR | O_CREAT | O_APPEND,
				     O_RDONLY | O_NOFOLLOW,
				     O_PATH };
	int fd = open(name(), flags[below(sizeof(flags) / sizeof(flags[0]))], 0644);

	if (fd < 0)
		return -1;
	put(any(), fd);
	return fcntl(fd, F_GETFL);
}

static long moved(bool out)
{
	unsigned int n = 1 + (below(4) ? below(200) : below(SPACE - 1));
	struct iovec iov[2] = { { data, n / 3 }, { data + n / 3, n - n / 3 } };
	off_t off = below(SPACE);
	int fd = *any();
	long r;

	if (out)
		t_fill(data, n, below(251));
	switch (below(3)) {
	case 0:
		r = out ? write(fd, data, n) : read(fd, data, n);
		break;
	case 1:
		r = out ? pwrite(fd, data, n, off) : pread(fd, data, n, off);
		break;
	default:
		r = out ? writev(fd, iov, 2) : readv(fd, iov, 2);
	}
	if (r > 0 && !out)
		printf("%016llx ", (unsigned long long)t_hash(data, (size_t)r));
	return r;
}

static long copied(void)
{
	off_t from = below(SPACE), to = below(SPACE);
	off_t *pfrom = below(2) ? &from : NULL, *pto = below(2) ? &to : NULL;
	int in = *any(), out = *any();
	bool send = below(2);
	long r = send ? sendfile(out, in, pfrom, below(SPACE))
		      : copy_file_range(in, pfrom, out, pto, below(SPACE), 0);

	/* Which of several reasons comes first is for pair_matrix. */
	printf("%s %ld %ld ", send ? "send" : "copy", (long)from, (long)to);
	return r < 0 ? 0 : r;
}

static long changed(void)
{
	int *p = any(), fd = *p;

	switch (below(7)) {
	case 0:
		return lseek(fd, (off_t)below(SPACE) - 100, (int)below(5));
	case 1:
		return ftruncate(fd, below(SPACE));
	case 2:
		fd = dup(fd);
		if (fd < 0)
			return -1;
		put(any(), fd);
		return 0;
	case 3:
		return fcntl(fd, F_SETFL, below(2) ? O_APPEND : 0);
	case 4:
		return fallocate(fd, below(2) ? FALLOC_FL_KEEP_SIZE : 0, below(SPACE),
				 1 + below(999));
	case 5:
		return flock(fd, LOCK_NB | (below(2) ? LOCK_EX : LOCK_UN));
	default:
		put(p, -1);
		return 0;
	}
}

static long named(void)
{
	switch (below(8)) {
	case 0:
		return unlink(name());
	case 1:
		return rename(name(), name());
	case 2:
		return link(name(), name());
	case 3:
		return symlink(below(3) ? (below(2) ? "a" : "d") : name(), name());
	case 4:
		return mkdir(name(), 0755);
	case 5:
		return rmdir(name());
	case 6:
		return truncate(name(), below(SPACE));
	default:
		return chmod(name(), below(2) ? 0755 : 0700);
	}
}

static void looked(void)
{
	struct stat st;
	int fd = *any();
	int r = below(2) ? fstat(fd, &st) : lstat(name(), &st);

	if (r)
		printf("%s ", t_errname(errno));
	else
		printf("%o %ld %d ", st.st_mode, S_ISREG(st.st_mode) ? (long)st.st_size : 0,
		       S_ISDIR(st.st_mode) ? 0 : (int)st.st_nlink);
}

static void step(int i)
{
	unsigned int what = below(10);
	long r = 0;

	printf("%d ", i);
	switch (what) {
	case 0:
	case 1:
		r = opened();
		break;
	case 2:
	case 3:
	case 4:
		r = moved(what & 1);
		break;
	case 5:
		r = copied();
		break;
	case 6:
	case 7:
		r = changed();
		break;
	case 8:
		r = named();
		break;
	default:
		looked();
	}
	printf("%u: %ld %s\n", what, r, r < 0 ? t_errname(errno) : "");
}

int main(int argc, char **argv)
{
	const char *size = getenv("VT_SIZE");
	int n = size && !strcmp(size, "quick") ? 5000 : 50000;

	t_start();
	state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	MUST(chdir(P("")) == 0);
	for (int i = 0; i < SLOTS; i++)
		slot[i] = -1;
	for (int i = 0; i < n; i++)
		step(i);
	for (int i = 0; i < SLOTS; i++)
		put(&slot[i], -1);
	for (int i = 0; i < NAMES; i++) {
		struct stat st;

		if (!stat(P(names[i]), &st) && S_ISREG(st.st_mode))
			t_cat(names[i], P(names[i]));
	}
	MUST(chdir("/") == 0);
	return t_end();
}
