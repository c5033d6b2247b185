/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Ways to write a path: slashes, dots, `..` over links and over the border, length limits. */
#include "t.h"

static void see(const char *path, const char *label)
{
	struct stat st;

	if (stat(path, &st))
		printf("%s: %s\n", label, t_errname(errno));
	else
		printf("%s: %s\n", label, S_ISDIR(st.st_mode) ? "directory" : "file");
}

#define SEE(name) see(P(name), name)

static void lengths(void)
{
	char name[300];
	char path[PATH_MAX + 64];
	size_t len;
	int fd;

	memset(name, 'n', sizeof(name));
	name[255] = 0;
	fd = TRY(open(P(name), O_WRONLY | O_CREAT, 0644));
	close(fd);
	see(P(name), "255 characters");
	name[255] = 'n';
	name[256] = 0;
	see(P(name), "256 characters");
	TRY(open(P(name), O_WRONLY | O_CREAT, 0644));
	SHOW(mkdir(P(name), 0755));

	/* "/." repeated up to the last allowed byte, then one more. */
	snprintf(path, sizeof(path), "%s", P("d"));
	len = strlen(path);
	while (len + 2 < PATH_MAX) {
		memcpy(path + len, "/.", 3);
		len += 2;
	}
	if (len + 1 < PATH_MAX) {
		path[len++] = '/';
		path[len] = 0;
	}
	CHECK(len == PATH_MAX - 1);
	see(path, "PATH_MAX - 1");
	path[len++] = '/';
	path[len] = 0;
	see(path, "PATH_MAX");
}

static void beside(void)
{
	char path[PATH_MAX];
	char *slash;

	/* A name that only begins like the tree's own is somewhere else. */
	snprintf(path, sizeof(path), "%s", P(""));
	slash = strrchr(path, '/');
	*slash = 0;
	strcat(path, "x/f");
	see(path, "the tree's name and one letter more");
	snprintf(path, sizeof(path), "/%s", P("f"));
	see(path, "two slashes in front");
	snprintf(path, sizeof(path), "///%s", P("f"));
	see(path, "four slashes in front");
	snprintf(path, sizeof(path), "/.%s", P("f"));
	see(path, "dot in front");
	snprintf(path, sizeof(path), "/..%s", P("f"));
	see(path, "dot dot in front");
	snprintf(path, sizeof(path), "/proc/..%s", P("f"));
	see(path, "up from a local directory");
	SEE("../../side/note");
	SEE("d/../../../side/note");
	SEE("../../side/../side/note");
	SEE("../../side/none");
	SEE("../..");
	SEE("../../side");
	t_cat("out and back by dots", P("../../side/note"));
}

int main(void)
{
	t_start();
	t_puts(P("f"), "f");
	MUST(mkdir(P("d"), 0755) == 0);
	MUST(mkdir(P("d/e"), 0755) == 0);
	t_puts(P("d/f"), "d/f");
	MUST(symlink("d/e", P("into")) == 0);
	MUST(symlink("f", P("flink")) == 0);
	MUST(symlink("d/", P("dslash")) == 0);

	SEE("");
	SEE("/");
	SEE(".");
	SEE("/f");
	SEE("//f");
	SEE("///d////f");
	SEE("./f");
	SEE("d/./f");
	SEE("d/../f");
	SEE("d/");
	SEE("d/.");
	SEE("d//");
	SEE("f/");
	SEE("f/.");
	SEE("f/..");
	SEE("f//");
	SEE("none/../f");
	SEE("flink/");
	SEE("dslash/f");
	/* `..` goes to the parent of the link's target, not of the link. */
	SEE("into/..");
	SEE("into/../f");
	SEE("into/../../f");
	SEE("into/../e/../f");
	t_cat("into/../f", P("into/../f"));
	t_cat("into/../../f", P("into/../../f"));
	SHOW(mkdir(P("slash/"), 0755));
	SHOW(rmdir(P("slash/")));
	TRY(open(P("new/"), O_WRONLY | O_CREAT, 0644));
	TRY(open(P("f/"), O_RDONLY));
	SHOW(unlink(P("f/")));
	SHOW(rename(P("f"), P("g/")));
	SHOW(rename(P("d"), P("g/")));
	SHOW(rmdir(P("g/e/.")));
	SHOW(rmdir(P("g/e/..")));
	SHOW(rename(P("g"), P("d")));
	lengths();
	beside();
	return t_end();
}
