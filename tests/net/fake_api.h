/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of an API server as informers need: list and watch of objects that the test puts and deletes. One loop,
 * plain HTTP. It runs in the test's process, in whose network namespace the nodes' LAN has its bridge.
 */
#ifndef SKEP_TESTS_NET_FAKE_API_H
#define SKEP_TESTS_NET_FAKE_API_H

#include <jansson.h>

#include "io/loop.h"

struct fake_api;
struct fake_api *fake_api_new(struct loop *loop, const char *address, int *ret_port);
void fake_api_free(struct fake_api *api);
/* Adds or replaces; text is JSON with ' for ". plural: "pods". */
void fake_put(struct fake_api *api, const char *plural, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void fake_delete(struct fake_api *api, const char *plural, const char *ns, const char *name);

size_t fake_revision(const struct fake_api *api); /* the latest object's */
/* The last patch of the node's NodeDataPlane, borrowed; NULL: none. ret_n: of all nodes until now. */
json_t *fake_report(const struct fake_api *api, const char *node, size_t *ret_n);

#endif
