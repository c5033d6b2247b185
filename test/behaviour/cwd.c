/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* The working directory inside the tree: relative paths, getcwd(), fork, threads, removal. */
#include "net.h"

static void where(const char *label)
{
	char buf[PATH_MAX];
	size_t len = strlen(P(""));

	if (!getcwd(buf, sizeof(buf)))
		printf("%s: %s\n", label, t_errname(errno));
	else if (!strncmp(buf, P(""), len))
		printf("%s: tree%s\n", label, buf + len);
	else if (!strncmp(buf, L(""), strlen(L(""))))
		printf("%s: local%s\n", label, buf + strlen(L("")));
	else
		printf("%s: elsewhere\n", label);
}

static void moving(void)
{
	struct stat st;
	int top = TRY(open(P("."), O_RDONLY | O_DIRECTORY));
	int fd;

	SHOW(chdir(P("d")));
	where("chdir");
	t_cat("f", "f");
	t_cat("./f", "./f");
	t_cat("../f", "../f");
	SHOW(chdir("e"));
	where("relative");
	SHOW(chdir("../.."));
	where("up twice");
	SHOW(chdir("link"));
	where("through a link");
	SHOW(chdir(".."));
	where("its parent");
	SHOW(chdir("f"));
	SHOW(chdir("none"));
	SHOW(chdir(""));
	where("unchanged");
	SHOW(chdir("../../side"));
	where("out of the tree");
	t_cat("note", "note");
	SHOW(fchdir(top));
	where("fchdir");
	fd = open("d/f", O_RDONLY);
	SHOW(fchdir(fd));
	close(fd);
	SHOW(fchdir(fd));
	SHOW(chdir(L("")));
	where("local");
	SHOW(stat("d", &st));
	t_cat("no relative file", "f");
	close(top);
}

static void changes(void)
{
	MUST(chdir(P("d")) == 0);
	t_puts("made", "made relatively");
	SHOW(mkdir("sub", 0755));
	SHOW(rename("made", "sub/moved"));
	SHOW(symlink("sub/moved", "l"));
	t_cat("l", "l");
	SHOW(unlink("l"));
	SHOW(chmod("sub/moved", 0600));
	SHOW(truncate("sub/moved", 4));
	t_cat("moved", P("d/sub/moved"));
	/* A directory keeps its name up to date for those who are in it. */
	SHOW(chdir("sub"));
	SHOW(rename(P("d/sub"), P("renamed")));
	where("after a rename");
	SHOW(unlink("moved"));
	SHOW(rmdir(P("renamed")));
	where("after removal");
	TRY(open("x", O_WRONLY | O_CREAT, 0644));
	SHOW(chdir(".."));
	SHOW(chdir(P("")));
}

static void child(void)
{
	pid_t pid;

	MUST(chdir(P("d")) == 0);
	pid = fork();
	if (!pid) {
		where("child");
		t_cat("child", "f");
		SHOW(chdir("e"));
		where("child moved");
		_exit(t_failed);
	}
	t_wait("child", pid);
	where("parent");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		execl("/bin/cat", "cat", "f", "../f", NULL);
		_exit(1);
	}
	t_wait("cat", pid);
	SHOW(chdir("/"));
}

static void *thread(void *arg)
{
	(void)arg;
	where("thread");
	SHOW(chdir("e"));
	return NULL;
}

static void sizes(void)
{
	char buf[PATH_MAX];
	char *p;

	MUST(chdir(P("d")) == 0);
	SHOW(getcwd(buf, 2) ? 0 : -1);
	SHOW(getcwd(buf, 0) ? 0 : -1);
	p = getcwd(NULL, 0);
	CHECK(p && !strcmp(p, P("d")));
	free(p);
	p = get_current_dir_name();
	CHECK(p && !strcmp(p, P("d")));
	free(p);
}

/* get_current_dir_name() keeps the symlinks by which one has come, if PWD names them. */
static void logical(const char *label)
{
	char *p = get_current_dir_name();
	size_t n = strlen(P(""));

	if (!p)
		printf("%s: %s\n", label, t_errname(errno));
	else
		printf("%s: %s\n", label, !strncmp(p, P(""), n) ? p + n : p);
	free(p);
}

static void with_links(void)
{
	char *p;

	MUST(chdir(P("link")) == 0);
	logical("no PWD");
	setenv("PWD", P("link"), 1);
	logical("by a link");
	setenv("PWD", P("d"), 1);
	logical("PWD is elsewhere");
	setenv("PWD", P("none"), 1);
	logical("PWD does not exist");
	setenv("PWD", "../e", 1);
	logical("PWD is relative");
	setenv("PWD", "", 1);
	logical("PWD is empty");
	MUST(symlink(P("d"), L("here")) == 0);
	MUST(chdir(L("here/e")) == 0);
	setenv("PWD", L("here/e"), 1);
	p = get_current_dir_name();
	CHECK(p && !strcmp(p, L("here/e")));
	free(p);
	MUST(symlink("d", L("link")) == 0);
	MUST(chdir(L("link")) == 0);
	setenv("PWD", L("link"), 1);
	p = get_current_dir_name();
	CHECK(p && !strcmp(p, L("link")));
	free(p);
	unsetenv("PWD");
}

int main(void)
{
	pthread_t t;

	t_start();
	MUST(mkdir(P("d"), 0755) == 0);
	MUST(mkdir(P("d/e"), 0755) == 0);
	MUST(mkdir(L("d"), 0755) == 0);
	t_puts(P("f"), "top\n");
	t_puts(P("d/f"), "below\n");
	MUST(symlink("d/e", P("link")) == 0);
	moving();
	changes();
	child();
	sizes();
	with_links();
	MUST(chdir(P("d")) == 0);
	MUST(pthread_create(&t, NULL, thread, NULL) == 0);
	pthread_join(t, NULL);
	where("shared by threads");
	SHOW(chdir("/"));
	return t_end();
}
