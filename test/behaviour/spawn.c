/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* posix_spawn() with file actions on tree files; popen() and system(); vfork(). */
#include "t.h"

#include <pthread.h>
#include <spawn.h>

extern char **environ;

static void run(const char *label, char **argv, posix_spawn_file_actions_t *fa)
{
	pid_t pid = -1;
	int err = posix_spawnp(&pid, argv[0], fa, NULL, argv, environ);

	if (err)
		printf("%s: %s\n", label, t_errname(err));
	else
		t_wait(label, pid);
}

static void actions(void)
{
	char *cat[] = { "cat", NULL };
	char *cat3[] = { "cat", "/dev/fd/9", NULL };
	char *pwd[] = { "cat", "f", NULL };
	char *none[] = { "no-such-program", NULL };
	posix_spawn_file_actions_t fa;
	int fd = open(P("f"), O_RDONLY);

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, P("f"), O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 1, P("out"), O_WRONLY | O_CREAT, 0640);
	run("open", cat, &fa);
	posix_spawn_file_actions_destroy(&fa);
	t_cat("out", P("out"));

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fd, 0);
	posix_spawn_file_actions_addclose(&fa, fd);
	posix_spawn_file_actions_addopen(&fa, 1, P("out"), O_WRONLY | O_APPEND, 0);
	run("dup2 and close", cat, &fa);
	posix_spawn_file_actions_destroy(&fa);
	SHOW(lseek(fd, 0, SEEK_CUR));
	t_cat("out", P("out"));

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 9, P("f"), O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 1, L("out"), O_WRONLY | O_CREAT, 0644);
	run("numbered", cat3, &fa);
	posix_spawn_file_actions_destroy(&fa);
	t_cat("local out", L("out"));

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addchdir_np(&fa, P("d"));
	posix_spawn_file_actions_addopen(&fa, 1, "out", O_WRONLY | O_CREAT, 0644);
	run("chdir", pwd, &fa);
	posix_spawn_file_actions_destroy(&fa);
	t_cat("d/out", P("d/out"));

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, P("none"), O_RDONLY, 0);
	run("missing file", cat, &fa);
	posix_spawn_file_actions_destroy(&fa);
	run("missing program", none, NULL);
	close(fd);
}

static void shells(void)
{
	char cmd[PATH_MAX + 64];
	char line[64] = "";
	FILE *f;

	snprintf(cmd, sizeof(cmd), "cat %s", P("f"));
	f = popen(cmd, "r");
	SHOW(fgets(line, sizeof(line), f) != NULL);
	printf("popen: %s", line);
	SHOW(pclose(f));
	snprintf(cmd, sizeof(cmd), "cat >%s", P("piped"));
	f = popen(cmd, "w");
	SHOW(fputs("through popen", f) >= 0);
	SHOW(pclose(f));
	t_cat("piped", P("piped"));
	snprintf(cmd, sizeof(cmd), "wc -c <%s >%s; exit 3", P("f"), P("count"));
	SHOW(system(cmd) >> 8);
	t_cat("count", P("count"));
	SHOW(system(NULL) != 0);
}

static void by_vfork(void)
{
	int in = open(P("f"), O_RDONLY);
	int out = open(P("vforked"), O_WRONLY | O_CREAT, 0644);
	pid_t pid = vfork();

	if (!pid) {
		dup2(in, 0);
		dup2(out, 1);
		close(in);
		close(out);
		execlp("cat", "cat", NULL);
		_exit(127);
	}
	t_wait("vfork", pid);
	/* What the child closed is still open here. */
	SHOW(lseek(in, 0, SEEK_CUR));
	SHOW(lseek(out, 0, SEEK_CUR));
	close(in);
	close(out);
	t_cat("vforked", P("vforked"));
	pid = vfork();
	if (!pid) {
		execlp("no-such-program", "x", NULL);
		_exit(127);
	}
	t_wait("vfork, no program", pid);
}

/* Children of other threads, which live on, are not what vfork() waits for. */
static void *fork_others(void *go)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		char c;

		if (!pid) {
			close(((int *)go)[1]);
			_exit(read(((int *)go)[0], &c, 1) != 0);
		}
	}
	return NULL;
}

static void vfork_beside_forks(void)
{
	int go[2], status;
	volatile int good = 0;
	pthread_t t;

	MUST(pipe(go) == 0);
	MUST(pthread_create(&t, NULL, fork_others, go) == 0);
	for (int i = 0; i < 30; i++) {
		pid_t pid = vfork();

		if (!pid)
			_exit(0);
		good += waitpid(pid, &status, 0) == pid && !status;
	}
	pthread_join(t, NULL);
	close(go[1]);
	for (int i = 0; i < 20; i++)
		good += wait(&status) > 0 && !status;
	close(go[0]);
	printf("children beside others: %d\n", good);
}

int main(void)
{
	t_start();
	t_puts(P("f"), "some text\n");
	MUST(mkdir(P("d"), 0755) == 0);
	t_puts(P("d/f"), "text in d\n");
	actions();
	shells();
	by_vfork();
	vfork_beside_forks();
	return t_end();
}
