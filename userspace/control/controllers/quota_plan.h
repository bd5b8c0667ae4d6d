/* SPDX-License-Identifier: Apache-2.0 */
/* What a quota's status should be, from the objects of its namespace. Pure. */
#ifndef SKEP_CONTROLLERS_QUOTA_PLAN_H
#define SKEP_CONTROLLERS_QUOTA_PLAN_H

#include "api/api.h"

struct quota_object {
	const struct api_kind *kind;
	const json_t *obj;
};

/*
 * {"hard": spec.hard, "used": an amount for each of them}; new, NULL: out of memory. kinds: those that were counted,
 * NULL-terminated; a count/<resource> of another has no amount, which admission takes as unknown.
 */
json_t *quota_plan(const json_t *quota, const struct quota_object *objects, size_t n,
		   const struct api_kind *const *kinds);

#endif
