/* SPDX-License-Identifier: Apache-2.0 */
/* What objects count as against quotas: see usage.h. */
#include "usage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/str.h"

static int add(json_t *amounts, const char *key, const char *value, int sign)
{
	const char *had = json_string_value(json_object_get(amounts, key));
	char buf[64];

	if (!value || api_quantity_add(had ? had : "0", value, sign, buf, sizeof(buf)) < 0)
		return 0; /* no quantity: validation refuses it elsewhere */
	return json_object_set_new(amounts, key, json_string(buf)) < 0 ? -ENOMEM : 0;
}

int api_amounts_add(json_t *amounts, const json_t *other, int sign)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)other, key, v)
		if (add(amounts, key, json_string_value(v), sign) < 0)
			return -ENOMEM;
	return 0;
}

static int raise_to(json_t *amounts, const json_t *other)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)other, key, v) {
		const char *had = json_string_value(json_object_get(amounts, key));

		if ((!had || api_quantity_compare(json_string_value(v), had) > 0) &&
		    json_object_set(amounts, key, v) < 0)
			return -ENOMEM;
	}
	return 0;
}

json_t *api_pod_resources(const json_t *pod, const char *list)
{
	json_t *sum = json_object(), *beside = json_object(), *c, *peak;
	size_t i;
	int bad = !sum || !beside;

	json_array_foreach (api_get(pod, "spec.containers"), i, c)
		bad |= api_amounts_add(sum, json_object_get(json_object_get(c, "resources"), list), 1) < 0;
	/* Init containers run one by one, beside those before them that go on running. */
	json_array_foreach (api_get(pod, "spec.initContainers"), i, c) {
		const json_t *own = json_object_get(json_object_get(c, "resources"), list);

		if (streq(api_get_str(c, "restartPolicy"), "Always")) {
			bad |= api_amounts_add(beside, own, 1) < 0 || api_amounts_add(sum, own, 1) < 0;
			continue;
		}
		peak = json_deep_copy(beside);
		bad |= !peak || api_amounts_add(peak, own, 1) < 0 || raise_to(sum, peak) < 0;
		json_decref(peak);
	}
	if (streq(list, "requests") || json_object_size(sum))
		bad |= api_amounts_add(sum, api_get(pod, "spec.overhead"), 1) < 0;
	json_decref(beside);
	if (bad) {
		json_decref(sum);
		return NULL;
	}
	return sum;
}

/* Ended, or past the time it was given to end. */
static bool pod_over(const json_t *pod)
{
	const char *phase = api_get_str(pod, "status.phase"), *stamp = api_get_str(pod, "metadata.deletionTimestamp");
	int64_t at;

	if (streq(phase, "Failed") || streq(phase, "Succeeded"))
		return true;
	/* the stamp says when the grace ends */
	return stamp && clock_rfc3339_parse(stamp, &at) == 0 && clock_real_ms() > at;
}

static int pod_usage(const json_t *pod, json_t *out)
{
	static const char *const bare[] = { "cpu", "memory", "ephemeral-storage" };
	json_t *requests, *limits, *v;
	const char *key;
	char name[320];
	int bad = 0;

	if (pod_over(pod))
		return 0;
	requests = api_pod_resources(pod, "requests");
	limits = api_pod_resources(pod, "limits");
	bad |= !requests || !limits || add(out, "pods", "1", 1) < 0;
	json_object_foreach (requests, key, v) {
		snprintf(name, sizeof(name), "requests.%.300s", key);
		bad |= json_object_set(out, name, v) < 0;
		for (size_t i = 0; i < 3; i++)
			if (streq(key, bare[i]))
				bad |= json_object_set(out, key, v) < 0;
		if (str_starts(key, "hugepages-"))
			bad |= json_object_set(out, key, v) < 0;
	}
	json_object_foreach (limits, key, v)
		for (size_t i = 0; i < 3; i++)
			if (streq(key, bare[i])) {
				snprintf(name, sizeof(name), "limits.%s", key);
				bad |= json_object_set(out, name, v) < 0;
			}
	json_decref(requests);
	json_decref(limits);
	return bad ? -ENOMEM : 0;
}

static int service_usage(const json_t *service, json_t *out)
{
	const char *type = api_get_str(service, "spec.type");
	bool balancer = streq(type, "LoadBalancer");
	char ports[24];
	int bad = add(out, "services", "1", 1) < 0;

	snprintf(ports, sizeof(ports), "%zu", json_array_size(api_get(service, "spec.ports")));
	if (streq(type, "NodePort") ||
	    (balancer && !json_is_false(api_get(service, "spec.allocateLoadBalancerNodePorts"))))
		bad |= add(out, "services.nodeports", ports, 1) < 0;
	if (balancer)
		bad |= add(out, "services.loadbalancers", "1", 1) < 0;
	return bad ? -ENOMEM : 0;
}

static int claim_usage(const json_t *claim, json_t *out)
{
	const char *class = api_get_str(claim, "spec.storageClassName"), *size;
	char name[320];
	int bad = add(out, "persistentvolumeclaims", "1", 1) < 0;

	size = json_string_value(json_object_get(api_get(claim, "spec.resources.requests"), "storage"));
	if (size)
		bad |= add(out, "requests.storage", size, 1) < 0;
	if (class && *class) {
		snprintf(name, sizeof(name), "%.250s.storageclass.storage.k8s.io/persistentvolumeclaims", class);
		bad |= add(out, name, "1", 1) < 0;
		snprintf(name, sizeof(name), "%.250s.storageclass.storage.k8s.io/requests.storage", class);
		if (size)
			bad |= add(out, name, size, 1) < 0;
	}
	return bad ? -ENOMEM : 0;
}

json_t *api_usage(const struct api_kind *kind, const json_t *obj)
{
	static const char *const counted[] = { "configmaps", "secrets", "replicationcontrollers", "resourcequotas" };
	json_t *out = json_object();
	char name[320];
	int r;

	snprintf(name, sizeof(name), "count/%.120s%s%.150s", kind->plural, kind->group[0] ? "." : "", kind->group);
	r = out ? add(out, name, "1", 1) : -ENOMEM;
	if (r == 0 && !kind->group[0]) {
		if (streq(kind->plural, "pods"))
			r = pod_usage(obj, out);
		else if (streq(kind->plural, "services"))
			r = service_usage(obj, out);
		else if (streq(kind->plural, "persistentvolumeclaims"))
			r = claim_usage(obj, out);
		for (size_t i = 0; r == 0 && i < sizeof(counted) / sizeof(counted[0]); i++)
			if (streq(kind->plural, counted[i]))
				r = add(out, counted[i], "1", 1);
	}
	if (r < 0) {
		json_decref(out);
		return NULL;
	}
	return out;
}

/* --- scopes ------------------------------------------------------------------------------------------------------- */

static bool best_effort(const json_t *pod)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };
	static const char *const names[] = { "cpu", "memory" };
	json_t *c;
	size_t i;

	for (size_t l = 0; l < 2; l++) {
		json_array_foreach (api_get(pod, lists[l]), i, c) {
			for (size_t n = 0; n < 2; n++) {
				json_t *req = json_object_get(api_get(c, "resources.requests"), names[n]);
				json_t *lim = json_object_get(api_get(c, "resources.limits"), names[n]);

				if ((req && api_quantity_compare(json_string_value(req), "0") > 0) ||
				    (lim && api_quantity_compare(json_string_value(lim), "0") > 0))
					return false;
			}
		}
	}
	return true;
}

/* An affinity term that looks into other namespaces. */
static bool crosses_namespaces(const json_t *pod)
{
	static const char *const sides[] = { "podAffinity", "podAntiAffinity" };
	static const char *const lists[] = { "requiredDuringSchedulingIgnoredDuringExecution",
					     "preferredDuringSchedulingIgnoredDuringExecution" };
	json_t *affinity = api_get(pod, "spec.affinity"), *t;
	size_t i;

	for (size_t s = 0; s < 4; s++)
		json_array_foreach (json_object_get(json_object_get(affinity, sides[s / 2]), lists[s % 2]), i, t) {
			json_t *term = s % 2 ? json_object_get(t, "podAffinityTerm") : t;

			if (json_array_size(json_object_get(term, "namespaces")) ||
			    json_object_get(term, "namespaceSelector"))
				return true;
		}
	return false;
}

static bool in_scope(const json_t *pod, const char *scope, const char *op, const json_t *values)
{
	const char *class = api_get_str(pod, "spec.priorityClassName");
	bool named = class && *class, listed = false;
	json_t *v;
	size_t i;

	if (streq(scope, "Terminating"))
		return json_is_integer(api_get(pod, "spec.activeDeadlineSeconds"));
	if (streq(scope, "NotTerminating"))
		return !json_is_integer(api_get(pod, "spec.activeDeadlineSeconds"));
	if (streq(scope, "BestEffort"))
		return best_effort(pod);
	if (streq(scope, "NotBestEffort"))
		return !best_effort(pod);
	if (streq(scope, "CrossNamespacePodAffinity"))
		return crosses_namespaces(pod);
	if (!streq(scope, "PriorityClass"))
		return false;
	json_array_foreach (values, i, v)
		listed |= named && streq(json_string_value(v), class);
	if (streq(op, "Exists"))
		return named;
	if (streq(op, "DoesNotExist"))
		return !named;
	return streq(op, "In") ? listed : streq(op, "NotIn") && !listed;
}

bool api_quota_covers(const json_t *quota, const struct api_kind *kind, const json_t *obj)
{
	json_t *scopes = api_get(quota, "spec.scopes"), *terms = api_get(quota, "spec.scopeSelector.matchExpressions");
	json_t *v;
	size_t i;

	if (!json_array_size(scopes) && !json_array_size(terms))
		return true;
	/* only pods have scopes */
	if (kind->group[0] || !streq(kind->plural, "pods"))
		return false;
	json_array_foreach (scopes, i, v)
		if (!in_scope(obj, json_string_value(v), "Exists", NULL))
			return false;
	json_array_foreach (terms, i, v)
		if (!in_scope(obj, api_get_str(v, "scopeName"), api_get_str(v, "operator"),
			      json_object_get(v, "values")))
			return false;
	return true;
}

/* --- quality of service --------------------------------------------------------------------------------------------
 */

static bool same_quantity(const char *a, const char *b)
{
	int64_t x, y;

	return a && b && api_quantity_milli(a, &x) == 0 && api_quantity_milli(b, &y) == 0 && x == y;
}

static void qos_of(const json_t *containers, bool *guaranteed, bool *any)
{
	static const char *const names[] = { "cpu", "memory" };
	json_t *ct;
	size_t i;

	json_array_foreach (containers, i, ct) {
		for (size_t n = 0; n < 2; n++) {
			json_t *req = json_object_get(api_get(ct, "resources.requests"), names[n]);
			json_t *lim = json_object_get(api_get(ct, "resources.limits"), names[n]);
			int64_t v;

			if ((req && api_quantity_milli(json_string_value(req), &v) == 0 && v > 0) ||
			    (lim && api_quantity_milli(json_string_value(lim), &v) == 0 && v > 0))
				*any = true;
			if (!lim || (req && !same_quantity(json_string_value(req), json_string_value(lim))))
				*guaranteed = false;
		}
	}
}

const char *api_pod_qos(const json_t *pod)
{
	bool guaranteed = true, any = false;

	qos_of(api_get(pod, "spec.containers"), &guaranteed, &any);
	qos_of(api_get(pod, "spec.initContainers"), &guaranteed, &any);
	return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}
