/* SPDX-License-Identifier: Apache-2.0 */
/* What a change of a running container's resources leads to. */
#include <criterion/criterion.h>

#include "agent/pod/pod-internal.h"

static enum ctr_resize resize(const char *cpu_before, const char *cpu, const char *mem_before, const char *mem,
			      const char *restart_for)
{
	struct api_kv a[] = { { "cpu", (char *)cpu_before }, { "memory", (char *)mem_before } };
	struct api_kv b[] = { { "cpu", (char *)cpu }, { "memory", (char *)mem } };
	struct api_resource_requirements before = { .limits = { .n = 2, .v = a } };
	struct api_resource_requirements after = { .limits = { .n = 2, .v = b } };
	struct api_container_resize_policy policy = { restart_for, "RestartContainer" };
	struct api_container was = { .name = "c", .resources = &before }, now = { .name = "c", .resources = &after };

	if (restart_for) {
		now.n_resize_policy = 1;
		now.resize_policy = &policy;
	}
	return ctr_resize(&was, &now);
}

Test(pod_resize, in_place_unless_the_resource_that_changed_asks_for_a_restart)
{
	cr_assert(resize("1", "1000m", "1Gi", "1024Mi", "cpu") == RESIZE_NONE);
	cr_assert(resize("1", "2", "1Gi", "1Gi", NULL) == RESIZE_IN_PLACE);
	cr_assert(resize("1", "1", "1Gi", "2Gi", NULL) == RESIZE_IN_PLACE);
	cr_assert(resize("1", "2", "1Gi", "1Gi", "memory") == RESIZE_IN_PLACE);
	cr_assert(resize("1", "2", "1Gi", "1Gi", "cpu") == RESIZE_RESTART);
	cr_assert(resize("1", "2", "1Gi", "2Gi", "memory") == RESIZE_RESTART);
}
