/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of defaults share. */
#ifndef SKEP_API_DEFAULTS_H
#define SKEP_API_DEFAULTS_H

#include "api-internal.h"

/* Sets a member that is absent or null; steals value, also when it is not wanted or obj is no object. */
void api_set_missing(json_t *obj, const char *name, json_t *value);
/* is_pod: a pod of its own, not a template. */
void api_default_pod_spec(json_t *spec, bool is_pod);
void api_default_limit_range(json_t *obj);			      /* defaults_policy.c */
void api_default_own_kinds(const struct api_kind *kind, json_t *obj); /* defaults_kinds.c */

#endif
