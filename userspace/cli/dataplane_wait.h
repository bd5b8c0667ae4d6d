/* SPDX-License-Identifier: Apache-2.0 */
/* skep apply --wait=dataplane: until every Ready node forwards by what was applied, as its NodeDataPlane says. */
#ifndef SKEP_CLI_DATAPLANE_WAIT_H
#define SKEP_CLI_DATAPLANE_WAIT_H

#include "cli.h"

enum { DATAPLANE_RESOURCES = 5 };

/* The latest revision of each resource that maps are made of; 0: none. */
struct dataplane_wanted {
	uint64_t revisions[DATAPLANE_RESOURCES];
};
/* An object as the server answered; false: it is of no such resource. */
bool dataplane_want(struct dataplane_wanted *w, const struct api_kind *kind, const json_t *obj);

/* Does the node's report (NULL: there is none) have all of that? */
bool dataplane_has(const struct dataplane_wanted *w, const json_t *report);

/* A line on stdout for each node as it comes. 0; -ETIMEDOUT with the nodes that lag, or what failed, in err. */
int dataplane_wait(struct cli *cli, const struct dataplane_wanted *w, int64_t timeout_ms, struct err *err);

#endif
