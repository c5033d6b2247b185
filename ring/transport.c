/* SPDX-License-Identifier: MIT */
/* The transports there are, by what their addresses start with. */
#include "ring/chan.h"

static const struct vos_transport *const transports[] = { &vos_transport_unix,
							  &vos_transport_vchan };

const struct vos_transport *vos_transport_find(const char *address, const char **where)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++) {
		const char *scheme = transports[i]->scheme;
		size_t n = 0;

		while (scheme[n] && scheme[n] == address[n])
			n++;
		*where = address + n;
		if (!scheme[n])
			return transports[i];
	}
	return NULL;
}
