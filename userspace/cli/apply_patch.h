/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The patch of `skep apply`, kubectl's three-way way: what the manifest says is set, what the manifest said when it
 * was last applied and no longer says is removed, what others set stays. A pure function.
 */
#ifndef SKEP_CLI_APPLY_PATCH_H
#define SKEP_CLI_APPLY_PATCH_H

#include "api/api.h"

#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

/* A strategic merge patch (new reference; NULL: out of memory). last: NULL if unknown. */
json_t *apply_patch(const struct api_type *type, const json_t *last, const json_t *manifest);

#endif
