/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* statfs(), statvfs(), pathconf(): about the tree's file system, not about a local one. */
#include "t.h"
#include <sys/statvfs.h>
#include <sys/vfs.h>

int main(void)
{
	struct statvfs vfs;
	struct statfs by_fd;
	struct statfs fs;
	int fd;

	t_start();
	t_puts(P("f"), "f");
	fd = TRY(open(P("f"), O_RDONLY));
	SHOW(statfs(P("f"), &fs));
	printf("type %lx name %ld block %ld\n", (unsigned long)fs.f_type, (long)fs.f_namelen,
	       (long)fs.f_bsize);
	CHECK(fs.f_blocks > 0 && fs.f_bfree <= fs.f_blocks && fs.f_files > 0);
	SHOW(fstatfs(fd, &by_fd));
	CHECK(by_fd.f_type == fs.f_type && by_fd.f_blocks == fs.f_blocks);
	SHOW(statfs(L(""), &by_fd));
	CHECK(by_fd.f_type != fs.f_type);
	SHOW(statvfs(P(""), &vfs));
	printf("name %lu block %lu\n", vfs.f_namemax, vfs.f_bsize);
	SHOW(fstatvfs(fd, &vfs));
	SHOW(pathconf(P("f"), _PC_NAME_MAX));
	SHOW(fpathconf(fd, _PC_LINK_MAX));
	SHOW(statfs(P("none"), &fs));
	SHOW(statfs(P("f/x"), &fs));
	SHOW(fstatfs(-1, &fs));
	close(fd);
	return t_end();
}
