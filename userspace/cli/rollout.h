/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for objects by watching them; shared by apply --wait, delete, wait and rollout status. */
#ifndef SKEP_CLI_ROLLOUT_H
#define SKEP_CLI_ROLLOUT_H

#include "cli.h"

/*
 * until: "ready" (Deployment and ReplicaSet rolled out, Pod Ready or Succeeded, Node Ready, Namespace Active; other
 * kinds at once), "deleted", or "condition=NAME[=VALUE]". verbose: progress lines on stdout. 0, -ETIMEDOUT, -ENOENT,
 * or what failed, with err.
 */
int rollout_wait(struct cli *cli, const struct api_kind *kind, const char *ns, const char *name, const char *until,
		 int64_t timeout_ms, bool verbose, struct err *err);

/* Judges one object: 1 there, 0 not yet (text says what is missing), -1 it failed for good. text of 256. */
int rollout_state(const json_t *obj, const char *until, char *text);

#endif
