/* SPDX-License-Identifier: MIT */
/* The transports there are, by what their addresses start with. */
#include "svcd/svcd.h"

#include <string.h>

static const struct transport *const transports[] = {
	&transport_unix,
#ifdef HAVE_XEN
	&transport_vchan,
#endif
};

const struct transport *transport_find(const char *address, const char **where)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++) {
		size_t n = strlen(transports[i]->scheme);

		*where = address + n;
		if (!strncmp(address, transports[i]->scheme, n))
			return transports[i];
	}
	return NULL;
}

const char *transport_start(void)
{
	const char *problem = NULL;

	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]) && !problem; i++)
		if (transports[i]->start)
			problem = transports[i]->start();
	return problem;
}

void transport_unlisten(void)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
		if (transports[i]->unlisten)
			transports[i]->unlisten();
}
