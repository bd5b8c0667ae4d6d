/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Priority: a pod's class becomes its number, which clients do not choose themselves; and of all classes one at most
 * is the default. The two system classes are known before their objects are there.
 */
#include "admission-internal.h"

#include <string.h>

#include "../../lib/base/str.h"

static const struct {
	const char *name;
	int value;
	const char *description;
} system_classes[] = {
	{ "system-node-critical", 2000001000,
	  "Used for system critical pods that must not be moved from their current node." },
	{ "system-cluster-critical", 2000000000,
	  "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary." },
};

json_t *priority_default_object(int i)
{
	if (i < 0 || i >= (int)(sizeof(system_classes) / sizeof(system_classes[0])))
		return NULL;
	return json_pack("{s:s,s:s,s:{s:s},s:i,s:s}", "kind", "PriorityClass", "apiVersion", "scheduling.k8s.io/v1",
			 "metadata", "name", system_classes[i].name, "value", system_classes[i].value, "description",
			 system_classes[i].description);
}

/* The default class with the least value (a race may have made several), the caller's; NULL: none. */
static json_t *default_class(struct apiserver *s)
{
	struct resource *r = cache_resource(s, "scheduling.k8s.io", "priorityclasses");
	json_t *best = NULL;

	for (size_t i = 0; r && i < r->n; i++) {
		json_t *o;

		/* most are not it, and need no parsing to tell */
		if (!memmem(r->objs[i]->json->data, r->objs[i]->json->len, "\"globalDefault\":true", 20))
			continue;
		o = admission_parse(r->objs[i]);
		if (!o)
			continue;
		if (!json_is_true(json_object_get(o, "globalDefault"))) {
			json_decref(o);
			continue;
		}
		if (best && api_get_int(best, "value", 0) <= api_get_int(o, "value", 0)) {
			json_decref(o);
			continue;
		}
		json_decref(best);
		best = o;
	}
	return best;
}

static enum admit no_class(struct admission *a, const char *name)
{
	return admission_forbid(a, "no PriorityClass with name %s was found", name);
}

static enum admit admit(struct admission *a)
{
	json_t *spec, *set, *class = NULL, *policy;
	const char *name, *class_policy = "PreemptLowerPriority";
	int64_t value = 0;
	bool known = false;

	if (!admission_is_pod(a) || a->op != ADMIT_CREATE)
		return ADMIT_NEXT;
	spec = json_object_get(a->obj, "spec");
	if (!json_is_object(spec))
		return ADMIT_NEXT;
	name = api_get_str(spec, "priorityClassName");
	for (size_t i = 0; name && i < sizeof(system_classes) / sizeof(system_classes[0]); i++)
		if (streq(name, system_classes[i].name)) {
			value = system_classes[i].value;
			known = true;
		}
	if (!known) {
		bool named = name && *name;

		class = named ? admission_get(a->c->s, "scheduling.k8s.io", "priorityclasses", NULL, name)
			      : default_class(a->c->s);
		if (named && !class)
			return no_class(a, name);
		if (class) {
			value = api_get_int(class, "value", 0);
			if (api_get_str(class, "preemptionPolicy"))
				class_policy = api_get_str(class, "preemptionPolicy");
			if (!named)
				json_object_set(spec, "priorityClassName", api_get(class, "metadata.name"));
		}
	}
	set = json_object_get(spec, "priority");
	if (set && json_integer_value(set) != value) {
		json_decref(class);
		return admission_forbid(
			a,
			"the integer value of priority (%lld) must not be provided in pod spec; priority "
			"admission controller computed %lld from the given PriorityClass name",
			(long long)json_integer_value(set), (long long)value);
	}
	policy = json_object_get(spec, "preemptionPolicy");
	if (policy && !streq(json_string_value(policy), class_policy)) {
		enum admit r =
			admission_forbid(a,
					 "the string value of PreemptionPolicy (%.64s) must not be provided in pod "
					 "spec; priority admission controller computed %s from the given "
					 "PriorityClass name",
					 json_string_value(policy), class_policy);

		json_decref(class);
		return r;
	}
	json_object_set_new(spec, "priority", json_integer(value));
	json_object_set_new(spec, "preemptionPolicy", json_string(class_policy));
	json_decref(class);
	a->changed = true;
	return ADMIT_NEXT;
}

static enum admit validate(struct admission *a)
{
	json_t *other;
	enum admit r = ADMIT_NEXT;

	if (!admission_is(a, "scheduling.k8s.io", "priorityclasses") ||
	    !json_is_true(json_object_get(a->obj, "globalDefault")))
		return ADMIT_NEXT;
	other = default_class(a->c->s);
	if (other && (a->op == ADMIT_CREATE || !streq(api_get_str(other, "metadata.name"), a->c->name)))
		r = admission_forbid(a, "PriorityClass %s is already marked as default. Only one default can exist",
				     api_get_str(other, "metadata.name"));
	json_decref(other);
	return r;
}

const struct admission_plugin admission_priority = {
	.name = "Priority",
	.ops = ADMIT_CREATE | ADMIT_UPDATE,
	.mutate = admit,
	.validate = validate,
};
