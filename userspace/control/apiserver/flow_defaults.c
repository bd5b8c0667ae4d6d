/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The priority levels and flow schemas that every cluster has, the same as Kubernetes', which are made again when they
 * have gone, and the one condition the server writes on schemas.
 */
#include <stdio.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "apiserver-internal.h"
#include "flowcontrol.h"

#define VERSION	   "flowcontrol.apiserver.k8s.io/v1"
#define AUTOUPDATE "apf.kubernetes.io/autoupdate-spec"

static const struct {
	const char *name;
	int shares, lendable, queues, hand; /* queues 0: Reject */
} levels[] = {
	{ "exempt", 0, 0, 0, 0 },
	{ "catch-all", 5, 0, 0, 0 },
	{ "system", 30, 33, 64, 6 },
	{ "node-high", 40, 25, 64, 6 },
	{ "leader-election", 10, 0, 16, 4 },
	{ "workload-high", 40, 50, 128, 6 },
	{ "workload-low", 100, 90, 128, 6 },
	{ "global-default", 20, 50, 128, 6 },
};

#define ALL                                                                                                            \
	"\"resourceRules\":[{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"clusterScope\":true,"     \
	"\"namespaces\":[\"*\"]}],\"nonResourceRules\":[{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}]"
#define GROUP(name)  "{\"kind\":\"Group\",\"group\":{\"name\":\"" name "\"}}"
#define USER(name)   "{\"kind\":\"User\",\"user\":{\"name\":\"" name "\"}}"
#define SA(ns, name) "{\"kind\":\"ServiceAccount\",\"serviceAccount\":{\"namespace\":\"" ns "\",\"name\":\"" name "\"}}"
#define EVERYBODY    GROUP("system:unauthenticated") "," GROUP("system:authenticated")
#define WRITES(group, resources, namespaces)                                                                           \
	"{\"verbs\":[\"get\",\"create\",\"update\"],\"apiGroups\":[\"" group "\"],\"resources\":[" resources           \
	"],\"namespaces\":[\"" namespaces "\"]}"

static const struct {
	const char *name, *level;
	int precedence;
	const char *distinguisher; /* NULL: none */
	const char *rule;
} schemas[] = {
	{ "exempt", "exempt", 1, NULL, "\"subjects\":[" GROUP("system:masters") "]," ALL },
	{ "probes", "exempt", 2, NULL,
	  "\"subjects\":[" EVERYBODY "],\"nonResourceRules\":[{\"verbs\":[\"get\"],\"nonResourceURLs\":"
	  "[\"/healthz\",\"/readyz\",\"/livez\"]}]" },
	{ "system-leader-election", "leader-election", 100, "ByUser",
	  "\"subjects\":[" USER("system:kube-controller-manager") "," USER("system:kube-scheduler") "," SA(
		  "kube-system", "*") "],\"resourceRules\":[" WRITES("coordination.k8s.io", "\"leases\"", "*") "]" },
	{ "endpoint-controller", "workload-high", 150, "ByUser",
	  "\"subjects\":[" USER("system:kube-controller-manager") "," SA("kube-system", "endpoint-controller") "," SA(
		  "kube-system",
		  "endpointslicemirroring-controller") "],\"resourceRules\":[" WRITES("", "\"endpoints\"", "*") "]" },
	{ "workload-leader-election", "leader-election", 200, "ByUser",
	  "\"subjects\":[" SA("kube-system", "*") "],\"resourceRules\":[" WRITES(
		  "", "\"endpoints\",\"configmaps\"", "*") "," WRITES("coordination.k8s.io", "\"leases\"", "*") "]" },
	{ "system-node-high", "node-high", 400, "ByUser",
	  "\"subjects\":[" GROUP(
		  "system:nodes") "],\"resourceRules\":[{\"verbs\":[\"*\"],\"apiGroups\":[\"\"],\"resources\":"
				  "[\"nodes\",\"nodes/status\"],\"clusterScope\":true,\"namespaces\":[\"*\"]},"
				  "{\"verbs\":[\"*\"],\"apiGroups\":[\"coordination.k8s.io\"],\"resources\":"
				  "[\"leases\"],\"namespaces\":[\"*\"]}]" },
	{ "system-nodes", "system", 500, "ByUser", "\"subjects\":[" GROUP("system:nodes") "]," ALL },
	{ "kube-controller-manager", "workload-high", 800, "ByNamespace",
	  "\"subjects\":[" USER("system:kube-controller-manager") "]," ALL },
	{ "kube-scheduler", "workload-high", 800, "ByNamespace",
	  "\"subjects\":[" USER("system:kube-scheduler") "]," ALL },
	{ "kube-system-service-accounts", "workload-high", 900, "ByNamespace",
	  "\"subjects\":[" SA("kube-system", "*") "]," ALL },
	{ "service-accounts", "workload-low", 9000, "ByUser",
	  "\"subjects\":[" GROUP("system:serviceaccounts") "]," ALL },
	{ "global-default", "global-default", 9900, "ByUser", "\"subjects\":[" EVERYBODY "]," ALL },
	{ "catch-all", "catch-all", 10000, "ByUser", "\"subjects\":[" EVERYBODY "]," ALL },
};

#define N_LEVELS  (int)(sizeof(levels) / sizeof(levels[0]))
#define N_SCHEMAS (int)(sizeof(schemas) / sizeof(schemas[0]))

static json_t *level_spec(int i)
{
	json_t *response;

	if (streq(levels[i].name, "exempt"))
		return json_pack("{s:s,s:{s:i,s:i}}", "type", "Exempt", "exempt", "nominalConcurrencyShares", 0,
				 "lendablePercent", 0);
	response = levels[i].queues ? json_pack("{s:s,s:{s:i,s:i,s:i}}", "type", "Queue", "queuing", "queues",
						levels[i].queues, "handSize", levels[i].hand, "queueLengthLimit", 50)
				    : json_pack("{s:s}", "type", "Reject");
	return json_pack("{s:s,s:{s:i,s:i,s:o}}", "type", "Limited", "limited", "nominalConcurrencyShares",
			 levels[i].shares, "lendablePercent", levels[i].lendable, "limitResponse", response);
}

static json_t *schema_spec(int i)
{
	cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;
	json_t *rule, *spec;

	strbuf_addf(&text, "{%s}", schemas[i].rule);
	rule = strbuf_oom(&text) ? NULL : json_loads(text.buf, 0, NULL);
	spec = json_pack("{s:{s:s},s:i,s:[o]}", "priorityLevelConfiguration", "name", schemas[i].level,
			 "matchingPrecedence", schemas[i].precedence, "rules", rule);
	if (spec && schemas[i].distinguisher)
		json_object_set_new(spec, "distinguisherMethod", json_pack("{s:s}", "type", schemas[i].distinguisher));
	return spec;
}

json_t *flow_default_object(int i, const char **ret_plural)
{
	bool level = i < N_LEVELS;
	int j = level ? i : i - N_LEVELS;

	if (i >= N_LEVELS + N_SCHEMAS)
		return NULL;
	*ret_plural = level ? "prioritylevelconfigurations" : "flowschemas";
	return json_pack("{s:s,s:s,s:{s:s,s:{s:s}},s:o}", "kind", level ? "PriorityLevelConfiguration" : "FlowSchema",
			 "apiVersion", VERSION, "metadata", "name", level ? levels[j].name : schemas[j].name,
			 "annotations", AUTOUPDATE, "true", "spec", level ? level_spec(j) : schema_spec(j));
}

/* --- kept ---------------------------------------------------------------------------------------------------------
 */

static void on_written(struct call *c, int code, const char *body, size_t len)
{
	if (code >= 300 && code != 404 && code != 409 && !c->s->stopping)
		log_warn("%s \"%s\": %d %.*s", c->resource, c->name, code, (int)(len > 200 ? 200 : len), body);
}

static bool is_mandatory(const json_t *obj)
{
	const char *name = api_get_str(obj, "metadata.name");

	return streq(name, "exempt") || streq(name, "catch-all");
}

/* Of the exempt level the shares are the cluster's to choose. */
static bool is_as_it_must_be(const json_t *now, const json_t *must)
{
	if (!is_mandatory(must))
		return true;
	if (streq(api_get_str(must, "spec.type"), "Exempt"))
		return streq(api_get_str(now, "spec.type"), "Exempt");
	return json_equal(json_object_get(now, "spec"), json_object_get(must, "spec"));
}

static enum change restore(struct call *c)
{
	if (c->old && is_as_it_must_be(c->old, c->body))
		return CHANGE_NONE;
	c->obj = json_deep_copy(c->old ? c->old : c->body);
	if (!c->obj || (c->old && json_object_set(c->obj, "spec", json_object_get(c->body, "spec")) < 0)) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	return CHANGE_WRITE;
}

void flow_keep_defaults(struct apiserver *s)
{
	const char *plural;
	json_t *obj;

	for (int i = 0; (obj = flow_default_object(i, &plural)); i++) {
		struct resource *r = cache_resource(s, "flowcontrol.apiserver.k8s.io", plural);
		struct object *o = r ? cache_get(r, "", api_get_str(obj, "metadata.name")) : NULL;
		struct call *c = NULL;

		if (r && (!o || is_mandatory(obj)))
			c = call_new_inner(s, "create", r, "", "", "");
		if (!c) {
			json_decref(obj);
			continue;
		}
		c->finish = on_written;
		c->body = obj;
		c->change = restore;
		if (object_prepare_create(c, obj) == 0)
			registry_mutate(c);
		call_unref(c);
	}
}

/* --- the condition Dangling --------------------------------------------------------------------------------------- */

static void on_status_written(struct call *c, int code, const char *body, size_t len)
{
	if (code >= 300 && code != 404 && !c->s->stopping)
		log_warn("FlowSchema \"%s\": status: %d %.*s", c->name, code, (int)(len > 200 ? 200 : len), body);
}

static enum change set_condition(struct call *c)
{
	const char *want = api_get_str(c->body, "status");
	json_t *conditions, *v;
	size_t i;

	if (!c->old) {
		call_bytes(c, 404, "application/json", "", 0);
		return CHANGE_ANSWERED;
	}
	json_array_foreach (api_get(c->old, "status.conditions"), i, v)
		if (streq(api_get_str(v, "type"), "Dangling") && streq(api_get_str(v, "status"), want))
			return CHANGE_NONE;
	c->obj = json_deep_copy(c->old);
	if (!c->obj) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	conditions = api_get(c->obj, "status.conditions");
	if (!conditions) {
		conditions = json_array();
		(void)api_set(c->obj, "status.conditions", conditions);
	}
	json_array_foreach (conditions, i, v)
		if (streq(api_get_str(v, "type"), "Dangling"))
			break;
	if (i < json_array_size(conditions))
		json_array_remove(conditions, i);
	json_array_append(conditions, c->body);
	return CHANGE_WRITE;
}

void flow_set_dangling(struct apiserver *s, const char *name, bool dangling, const char *level)
{
	struct call *c = call_new_inner(s, "update", cache_resource(s, "flowcontrol.apiserver.k8s.io", "flowschemas"),
					"", name, "status");
	char now[40], message[400];

	if (!c)
		return;
	obj_now(now);
	snprintf(message, sizeof(message),
		 "This FlowSchema references the PriorityLevelConfiguration object named "
		 "\"%.200s\" %s",
		 level, dangling ? "but there is no such object" : "and it exists");
	c->finish = on_status_written;
	c->body = json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", "Dangling", "status", dangling ? "True" : "False",
			    "lastTransitionTime", now, "reason", dangling ? "NotFound" : "Found", "message", message);
	c->change = set_condition;
	if (c->body)
		registry_mutate(c);
	call_unref(c);
}
