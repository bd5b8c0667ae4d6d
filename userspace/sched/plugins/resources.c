/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins about resources: NodeResourcesFit (filter, least allocated), NodeResourcesBalancedAllocation. */
#include <stdio.h>

#include "../sched.h"

static bool fit_filter(const struct cycle *c, void *state, const struct sched_node *n, char *reason)
{
	const struct resources *a = &n->allocatable, *u = &n->used, *r = &c->req;
	const char *lacks = NULL;

	(void)state;
	if (u->pods + 1 > a->pods) {
		snprintf(reason, SCHED_REASON_SIZE, "Too many pods");
		return false;
	}
	if (r->cpu_milli && u->cpu_milli + r->cpu_milli > a->cpu_milli)
		lacks = "cpu";
	else if (r->memory && u->memory + r->memory > a->memory)
		lacks = "memory";
	else if (r->ephemeral && u->ephemeral + r->ephemeral > a->ephemeral)
		lacks = "ephemeral-storage";
	if (lacks)
		snprintf(reason, SCHED_REASON_SIZE, "Insufficient %s", lacks);
	return !lacks;
}

/* Share left free after the pod, mean of cpu and memory, 0..100. */
static int64_t least_allocated(const struct cycle *c, void *state, const struct sched_node *n)
{
	int64_t cpu = 0, memory = 0;

	(void)state;
	if (n->allocatable.cpu_milli > 0)
		cpu = (n->allocatable.cpu_milli - n->used_nonzero.cpu_milli - c->nonzero.cpu_milli) * 100 /
		      n->allocatable.cpu_milli;
	if (n->allocatable.memory > 0)
		memory = (n->allocatable.memory - n->used_nonzero.memory - c->nonzero.memory) /
			 (n->allocatable.memory / 100 + 1);
	return ((cpu > 0 ? cpu : 0) + (memory > 0 ? memory : 0)) / 2;
}

const struct sched_plugin plugin_resources_fit = {
	.name = "NodeResourcesFit",
	.filter = fit_filter,
	.score = least_allocated,
	.weight = 1,
};

/* 100 when cpu and memory are used to the same share, less the further they are apart. */
static int64_t balanced(const struct cycle *c, void *state, const struct sched_node *n)
{
	int64_t cpu, memory, apart;

	(void)state;
	if (n->allocatable.cpu_milli <= 0 || n->allocatable.memory <= 0)
		return 0;
	cpu = (n->used_nonzero.cpu_milli + c->nonzero.cpu_milli) * 1000 / n->allocatable.cpu_milli;
	memory = (n->used_nonzero.memory + c->nonzero.memory) / (n->allocatable.memory / 1000 + 1);
	cpu = cpu > 1000 ? 1000 : cpu;
	memory = memory > 1000 ? 1000 : memory;
	apart = cpu > memory ? cpu - memory : memory - cpu;
	return 100 - apart / 20;
}

const struct sched_plugin plugin_balanced = { .name = "NodeResourcesBalancedAllocation",
					      .score = balanced,
					      .weight = 1 };
