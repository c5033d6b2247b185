/* SPDX-License-Identifier: MIT */
/* run-as: root user */
/* A wait for a lock ends with EINTR when a signal without SA_RESTART arrives. */
#include "t.h"
#include <signal.h>
#include <sys/file.h>
#include <sys/time.h>

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void in_100_ms(void)
{
	struct itimerval it = { .it_value = { 0, 100000 } };

	setitimer(ITIMER_REAL, &it, NULL);
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct flock fl = { .l_type = F_WRLCK };
	int ready[2];
	int done[2];
	char c;
	pid_t pid;
	int fd;

	t_start();
	t_puts(P("f"), "f");
	t_puts(P("g"), "g");
	MUST(pipe(ready) == 0 && pipe(done) == 0);
	pid = fork();
	if (!pid) {
		int held = open(P("f"), O_RDWR);

		MUST(fcntl(held, F_SETLK, &fl) == 0);
		MUST(flock(open(P("g"), O_RDWR), LOCK_EX) == 0);
		MUST(write(ready[1], "x", 1) == 1);
		close(done[1]);
		_exit(read(done[0], &c, 1) ? 1 : 0);
	}
	close(ready[1]);
	MUST(read(ready[0], &c, 1) == 1);
	MUST(sigaction(SIGALRM, &sa, NULL) == 0);
	fd = open(P("f"), O_RDWR);
	in_100_ms();
	SHOW(fcntl(fd, F_SETLKW, &fl));
	close(fd);
	fd = open(P("g"), O_RDWR);
	in_100_ms();
	SHOW(flock(fd, LOCK_EX));
	close(fd);
	printf("alarms %d\n", (int)alarms);
	close(done[0]);
	close(done[1]);
	close(ready[0]);
	t_wait("holder", pid);
	return t_end();
}
