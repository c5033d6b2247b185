/* SPDX-License-Identifier: MIT */
/*
 * Asks a name server that sends SIGUSR1 instead of an answer, and leaves getaddrinfo() for good by
 * siglongjmp() from the handler. Is a socket that it makes then of class inet? The port of the name
 * server, on loopback, is taken where names are looked up and free where the class inet leads.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <nss.h>
#include <resolv.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static sigjmp_buf back;
static struct sockaddr_in server = { .sin_family = AF_INET };
static char altstack[1 << 16];

static int bind_there(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int r = bind(fd, (struct sockaddr *)&server, sizeof(server));

	close(fd);
	return r;
}

static volatile sig_atomic_t in_handler;

static void handler(int sig)
{
	(void)sig;
	in_handler = bind_there();
	siglongjmp(back, 1);
}

static void ask(void)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *list;

	if (!sigsetjmp(back, 1)) {
		getaddrinfo("vt.test", "80", &hints, &list);
		printf("WRONG: the server has not sent the signal\n");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	stack_t alt = { .ss_sp = altstack, .ss_size = sizeof(altstack) };
	int bad = 0;

	if (argc < 2)
		return 2;
	server.sin_port = htons((uint16_t)atoi(argv[1]));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	__nss_configure_lookup("hosts", "dns");
	res_init();
	_res.nscount = 1;
	_res.nsaddr_list[0] = server;
	_res.options &= ~(unsigned long)(RES_DNSRCH | RES_DEFNAMES);
	sigaltstack(&alt, NULL);
	sigaction(SIGUSR1, &act, NULL);
	for (int i = 0; i < 3; i++) {
		ask();
		if (in_handler || bind_there()) {
			printf("WRONG: a socket after the jump, or in the handler: %d\n",
			       in_handler);
			bad = 1;
		}
	}
	return bad;
}
