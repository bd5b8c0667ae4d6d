/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP through the API server to pods and services. */
#ifndef SKEP_APISERVER_PROXY_HTTP_H
#define SKEP_APISERVER_PROXY_HTTP_H

#include <stddef.h>

struct call;

#define PROXY_NODE_SEGMENTS 5 /* /api/v1/nodes/NAME/proxy */
#define PROXY_POD_SEGMENTS  7 /* /api/v1/namespaces/NS/pods/NAME/proxy */

/* The request's target, as sent, after its first segments: a path, a query, or nothing. */
const char *proxy_rest(const struct call *c, size_t n_segments);
void proxy_to_pod(struct call *c); /* pods/proxy, services/proxy */

#endif
