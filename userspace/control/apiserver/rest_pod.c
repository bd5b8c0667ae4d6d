/* SPDX-License-Identifier: Apache-2.0 */
/* What is special about pods: their first status, tolerations everybody gets, QoS, binding to a node. */
#include "apiserver-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/api/usage.h"
#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

void pod_set_qos(json_t *pod)
{
	obj_set_str(pod, "status.qosClass", api_pod_qos(pod));
}

int pod_prepare_create(struct call *c, json_t *obj)
{
	json_t *status = json_pack("{s:s,s:s}", "phase", "Pending", "qosClass", api_pod_qos(obj));

	if (!status || json_object_set_new(obj, "status", status) < 0) {
		call_oom(c);
		return -1;
	}
	return 0;
}

/* --- binding ------------------------------------------------------------------------------------------------------ */

static enum change binding_change(struct call *c)
{
	const char *node = api_get_str(c->body, "target.name"), *had, *uid = api_get_str(c->body, "metadata.uid");
	char now[CLOCK_RFC3339_SIZE];
	json_t *conditions, *cond;
	size_t i;

	if (!c->old) {
		call_not_found(c);
		return CHANGE_ANSWERED;
	}
	if (uid && *uid && !streq(uid, api_get_str(c->old, "metadata.uid"))) {
		call_conflict(c, "Precondition failed: UID in precondition: %.64s, UID in object meta: %s", uid,
			      api_get_str(c->old, "metadata.uid"));
		return CHANGE_ANSWERED;
	}
	if (api_get_str(c->old, "metadata.deletionTimestamp")) {
		call_conflict(c, "pod %s is being deleted, cannot be assigned to a host", c->name);
		return CHANGE_ANSWERED;
	}
	had = api_get_str(c->old, "spec.nodeName");
	if (had && *had) {
		call_conflict(c, "pod %s is already assigned to node \"%s\"", c->name, had);
		return CHANGE_ANSWERED;
	}
	c->obj = json_deep_copy(c->old);
	if (!c->obj) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	obj_set_str(c->obj, "spec.nodeName", node);
	obj_now(now);
	conditions = api_get(c->obj, "status.conditions");
	json_array_foreach (conditions, i, cond)
		if (streq(api_get_str(cond, "type"), "PodScheduled")) {
			json_array_remove(conditions, i);
			break;
		}
	if (!conditions) {
		(void)api_set(c->obj, "status.conditions", json_array());
		conditions = api_get(c->obj, "status.conditions");
	}
	json_array_append_new(conditions, json_pack("{s:s,s:s,s:s}", "type", "PodScheduled", "status", "True",
						    "lastTransitionTime", now));
	c->reply = json_pack("{s:s,s:s,s:{},s:s,s:i}", "kind", "Status", "apiVersion", "v1", "metadata", "status",
			     "Success", "code", 201);
	return CHANGE_WRITE;
}

void pod_binding(struct call *c)
{
	const char *kind, *node, *name;

	if (call_read_any(c, &c->body, NULL) < 0)
		return;
	if (!json_is_object(c->body)) {
		call_status(c, 400, "BadRequest", "the body is not a Binding object");
		return;
	}
	kind = api_get_str(c->body, "target.kind");
	node = api_get_str(c->body, "target.name");
	name = api_get_str(c->body, "metadata.name");
	if (!c->name[0] && name && strlen(name) <= CALL_NAME_MAX && call_set_name(c, name) < 0) {
		call_oom(c);
		return;
	}
	if (!c->name[0] || (name && *name && !streq(name, c->name))) {
		call_status(c, 400, "BadRequest", "name in URL does not match name in Binding object");
		return;
	}
	if (!node || !*node || (kind && *kind && !streq(kind, "Node"))) {
		struct api_errs errs = { 0 };

		if (!node || !*node)
			api_errs_add(&errs, API_C_REQUIRED, "target.name", "Required value");
		else
			api_errs_add(&errs, API_C_NOT_SUPPORTED, "target.kind",
				     "Unsupported value: \"%.64s\": supported values: \"Node\"", kind);
		call_invalid(c, &errs);
		api_errs_done(&errs);
		return;
	}
	c->success_code = 201;
	c->change = binding_change;
	registry_mutate(c);
}
