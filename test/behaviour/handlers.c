/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* Signal handlers that make forwarded calls of their own, while the thread is in one. */
#include "net.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t runs;
static volatile sig_atomic_t good;
static int file = -1;
static int tell = -1; /* who waits for the fifth handler */
static sigjmp_buf jump;

static void work(int sig)
{
	int saved = errno;
	struct stat st;
	char buf[4];
	int fd;

	(void)sig;
	runs++;
	fd = open(P("f"), O_RDONLY);
	if (fd >= 0 && read(fd, buf, 4) == 4 && !memcmp(buf, "0123", 4) && fstat(file, &st) == 0)
		good++;
	if (fd >= 0)
		close(fd);
	if (tell >= 0 && runs == 5 && write(tell, "", 1) != 1)
		good--;
	errno = saved;
}

static void leave(int sig)
{
	(void)sig;
	runs++;
	siglongjmp(jump, 1);
}

static void timer(long us)
{
	struct itimerval it = { { 0, us }, { 0, us } };

	MUST(setitimer(ITIMER_REAL, &it, NULL) == 0);
}

static void busy(void)
{
	struct sigaction sa = { .sa_handler = work, .sa_flags = SA_RESTART };
	static char out[10000];
	static char in[10000];
	int bad = 0;
	int i;

	MUST(sigaction(SIGALRM, &sa, NULL) == 0);
	timer(1000);
	for (i = 0; runs < 200; i++) {
		t_fill(out, sizeof(out), (unsigned int)i);
		bad += pwrite(file, out, sizeof(out), 100) != sizeof(out);
		bad += pread(file, in, sizeof(in), 100) != sizeof(in);
		bad += memcmp(in, out, sizeof(in)) != 0;
		bad += open(P("none"), O_RDONLY) != -1 || errno != ENOENT;
	}
	timer(0);
	printf("%d wrong results, handlers all good %d\n", bad, good == runs);
}

static void blocked(void)
{
	struct sockaddr_in sa;
	char c;
	int sv[2], go[2];
	int lfd = net_listen(&sa);
	pid_t pid;

	MUST(pipe(go) == 0);
	pid = fork();
	if (!pid) {
		sv[0] = net_connect(&sa);
		MUST(read(go[0], &c, 1) == 1);
		_exit(write(sv[0], "x", 1) == 1 ? 0 : 1);
	}
	sv[1] = accept(lfd, NULL, NULL);
	runs = 0;
	good = 0;
	tell = go[1];
	timer(5000);
	while (read(sv[1], &c, 1) < 0 && errno == EINTR)
		;
	timer(0);
	tell = -1;
	printf("%c after some handlers %d all good %d\n", c, runs >= 5, good == runs);
	close(go[0]);
	close(go[1]);
	close(sv[1]);
	close(lfd);
	t_wait("child", pid);
}

/* Out of a blocked call by siglongjmp(), again and again; the connection stays usable. */
static void jumps(void)
{
	struct sigaction sa = { .sa_handler = leave };
	char c = 0;
	int sv[2];

	net_tcp_pair(sv);
	MUST(sigaction(SIGALRM, &sa, NULL) == 0);
	runs = 0;
	for (volatile int i = 0; i < 20; i++) {
		struct itimerval once = { { 0, 0 }, { 0, 3000 } };

		if (sigsetjmp(jump, 1))
			continue;
		MUST(setitimer(ITIMER_REAL, &once, NULL) == 0);
		if (read(sv[0], &c, 1) >= 0)
			printf("read what nobody sent\n");
	}
	printf("%d jumps\n", (int)runs);
	MUST(write(sv[1], "y", 1) == 1);
	SHOW(read(sv[0], &c, 1));
	printf("%c\n", c);
	close(sv[0]);
	close(sv[1]);
}

int main(void)
{
	t_start();
	t_puts(P("f"), "0123456789");
	file = TRY(open(P("g"), O_RDWR | O_CREAT, 0644));
	busy();
	blocked();
	jumps();
	close(file);
	return t_end();
}
