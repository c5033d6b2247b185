/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* open(): creation, exclusion, truncation, directory and symlink flags, access modes. */
#include "t.h"

static void create(void)
{
	int fd = TRY(open(P("new"), O_WRONLY | O_CREAT | O_EXCL, 0644));

	SHOW(write(fd, "twelve bytes", 12));
	close(fd);
	TRY(open(P("new"), O_WRONLY | O_CREAT | O_EXCL, 0644));
	t_cat("after a refused O_EXCL", P("new"));

	fd = TRY(open(P("new"), O_RDWR | O_CREAT, 0600));
	t_cat("after O_CREAT without O_TRUNC", P("new"));
	close(fd);
	fd = TRY(open(P("new"), O_WRONLY | O_TRUNC));
	t_cat("after O_TRUNC", P("new"));
	close(fd);
	fd = TRY(creat(P("second"), 0644));
	SHOW(read(fd, &fd, 1));
	close(fd);
	TRY(open(P("no/such/file"), O_RDONLY));
	TRY(open(P("missing"), O_RDONLY));
	TRY(open(P("new/below-a-file"), O_WRONLY | O_CREAT, 0644));
	TRY(open("", O_RDONLY));
}

static void directories(void)
{
	int fd;
	char c;

	MUST(mkdir(P("dir"), 0755) == 0);
	fd = TRY(open(P("dir"), O_RDONLY | O_DIRECTORY));
	SHOW(read(fd, &c, 1));
	SHOW(pread(fd, &c, 1, 0));
	SHOW(write(fd, "x", 1));
	SHOW(ftruncate(fd, 0));
	close(fd);
	fd = TRY(open(P("dir"), O_RDONLY));
	close(fd);
	TRY(open(P("dir"), O_WRONLY));
	TRY(open(P("dir"), O_RDWR));
	TRY(open(P("dir"), O_RDONLY | O_CREAT, 0644));
	TRY(open(P("dir"), O_WRONLY | O_TRUNC));
	TRY(open(P("new"), O_RDONLY | O_DIRECTORY));
	TRY(open(P("missing"), O_RDONLY | O_DIRECTORY));
}

static void symlinks(void)
{
	int fd;

	MUST(symlink("new", P("link")) == 0);
	MUST(symlink("absent", P("dangling")) == 0);
	MUST(symlink("dir", P("dirlink")) == 0);
	TRY(open(P("link"), O_RDONLY | O_NOFOLLOW));
	TRY(open(P("link"), O_WRONLY | O_CREAT | O_EXCL, 0644));
	TRY(open(P("dangling"), O_RDONLY));
	TRY(open(P("dangling"), O_WRONLY | O_CREAT | O_EXCL, 0644));
	TRY(open(P("dirlink"), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
	fd = TRY(open(P("dirlink"), O_RDONLY | O_DIRECTORY));
	close(fd);
	fd = TRY(open(P("dangling"), O_WRONLY | O_CREAT, 0644));
	close(fd);
	t_cat("created through a dangling link", P("absent"));
}

static void access_modes(void)
{
	char c = 'c';
	int fd = TRY(open(P("new"), O_WRONLY));

	SHOW(read(fd, &c, 1));
	SHOW(write(fd, &c, 1));
	close(fd);
	fd = TRY(open(P("new"), O_RDONLY));
	SHOW(write(fd, &c, 1));
	SHOW(read(fd, &c, 1));
	SHOW(read(fd, &c, 1));
	close(fd);
	SHOW(close(fd));
	MUST(chmod(P("new"), 0) == 0);
	fd = TRY(open(P("new"), O_RDONLY));
	if (fd >= 0)
		close(fd);
	fd = TRY(open(P("new"), O_WRONLY));
	if (fd >= 0)
		close(fd);
	MUST(chmod(P("new"), 0644) == 0);
}

static void cloexec(void)
{
	int fd = TRY(open(P("new"), O_RDONLY | O_CLOEXEC));

	SHOW(fcntl(fd, F_GETFD));
	close(fd);
	fd = TRY(open(P("new"), O_RDONLY));
	SHOW(fcntl(fd, F_GETFD));
	close(fd);
}

int main(void)
{
	t_start();
	create();
	directories();
	symlinks();
	access_modes();
	cloexec();
	return t_end();
}
