/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What objects count as against quotas, for who charges (admission) and who recounts (the quota controller). Amounts
 * are JSON objects from resource name to quantity. Pure.
 */
#ifndef SKEP_API_USAGE_H
#define SKEP_API_USAGE_H

#include "api.h"

/*
 * Requests or limits ("requests", "limits") of a pod as a whole: the sum over its containers, or its largest init
 * container where that is more. New; NULL: out of memory.
 */
json_t *api_pod_resources(const json_t *pod, const char *list);

/* "Guaranteed", "Burstable" or "BestEffort", by the containers' requests and limits. */
const char *api_pod_qos(const json_t *pod);

/* amounts += (or -=, sign < 0) other. 0 or -ENOMEM. */
int api_amounts_add(json_t *amounts, const json_t *other, int sign);

/* What one object of this kind uses: {"pods":"1","requests.cpu":"500m"}. New; NULL: out of memory. */
json_t *api_usage(const struct api_kind *kind, const json_t *obj);
/* The quota's scopes choose this object; without scopes it counts everything. */
bool api_quota_covers(const json_t *quota, const struct api_kind *kind, const json_t *obj);

#endif
