/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ephemeral containers: programs that somebody adds to a running pod to look at it (kubectl debug). They start as soon
 * as the sandbox is there, are never restarted, and count for nothing: neither for the pod's readiness nor for its end.
 */
#include "pod-internal.h"

#include <errno.h>
#include <stdlib.h>

#include "../../lib/base/str.h"

void ephemeral_spec(const struct api_ephemeral_container *e, struct api_container *ret)
{
	*ret = (struct api_container){
		.name = e->name,
		.image = e->image,
		.n_command = e->n_command,
		.command = e->command,
		.n_args = e->n_args,
		.args = e->args,
		.working_dir = e->working_dir,
		.n_env_from = e->n_env_from,
		.env_from = e->env_from,
		.n_env = e->n_env,
		.env = e->env,
		.n_volume_mounts = e->n_volume_mounts,
		.volume_mounts = e->volume_mounts,
		.termination_message_path = e->termination_message_path,
		.termination_message_policy = e->termination_message_policy,
		.image_pull_policy = e->image_pull_policy,
		.security_context = e->security_context,
		.stdin_ = e->stdin_,
		.stdin_once = e->stdin_once,
		.tty = e->tty,
	};
}

static struct pod_ctr *add(struct pod *p)
{
	struct pod_ctr **list = reallocarray(p->ctrs, p->n_ctrs + 1, sizeof(struct pod_ctr *));
	struct pod_ctr *c;

	if (!list)
		return NULL;
	p->ctrs = list;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->own_spec = calloc(1, sizeof(*c->own_spec));
	if (!c->own_spec) {
		free(c);
		return NULL;
	}
	c->pod = p;
	c->index = p->n_ctrs;
	c->spec = c->own_spec;
	list[p->n_ctrs++] = c;
	return c;
}

int pod_take_ephemeral(struct pod *p)
{
	const struct api_pod_spec *spec = &p->obj->spec;

	for (size_t i = 0; i < spec->n_ephemeral_containers; i++) {
		const struct api_ephemeral_container *e = &spec->ephemeral_containers[i];
		struct pod_ctr *c = NULL;

		/* The API lets none go and none change. */
		for (size_t k = p->n_fixed; k < p->n_ctrs && !c; k++)
			if (streq(p->ctrs[k]->spec->name, e->name))
				c = p->ctrs[k];
		if (!c)
			c = add(p);
		if (!c)
			return -ENOMEM;
		ephemeral_spec(e, c->own_spec);
		c->target = e->target_container_name;
	}
	return 0;
}

const char *ephemeral_target_id(struct pod_ctr *c)
{
	const struct pod *p = c->pod;

	for (size_t i = 0; i < p->n_fixed; i++)
		if (streq(p->ctrs[i]->spec->name, c->target) && p->ctrs[i]->state == CTR_RUNNING)
			return p->ctrs[i]->id;
	ctr_wait(c, "CreateContainerConfigError", "target container \"%s\" is not running", c->target);
	return NULL;
}
