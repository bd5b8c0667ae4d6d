/* SPDX-License-Identifier: Apache-2.0 */
/* One of a service's ready endpoints, for what the API server itself sends to services. */
#ifndef SKEP_APISERVER_ENDPOINT_PICK_H
#define SKEP_APISERVER_ENDPOINT_PICK_H

#include <stdbool.h>
#include <stddef.h>

struct apiserver;

/* "https://[fd00::1]:8443" of one of them, roughly in turns; port_name is the service port's. false: there is none. */
bool endpoint_pick(struct apiserver *s, const char *ns, const char *service, const char *port_name, const char *scheme,
		   unsigned turn, char *base, size_t size);

#endif
