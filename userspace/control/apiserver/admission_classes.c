/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DefaultStorageClass and DefaultIngressClass: a claim or an ingress that names no class gets the one that is marked
 * as the default. Of several marked storage classes it is the newest; several ingress classes are an error.
 */
#include "admission-internal.h"

#include <string.h>

#include "../../lib/base/str.h"

/* Objects of that kind with annotation key "true": the newest one (by name among equals), the caller's; how many. */
static json_t *find_default(struct apiserver *s, const char *group, const char *plural, const char *key, size_t *ret_n)
{
	struct resource *r = cache_resource(s, group, plural);
	json_t *best = NULL;

	*ret_n = 0;
	for (size_t i = 0; r && i < r->n; i++) {
		json_t *o = admission_parse(r->objs[i]);
		const char *at = api_get_str(o, "metadata.creationTimestamp");
		const char *best_at = api_get_str(best, "metadata.creationTimestamp");

		if (!streq(json_string_value(json_object_get(api_get(o, "metadata.annotations"), key)), "true")) {
			json_decref(o);
			continue;
		}
		++*ret_n;
		/* RFC 3339 in UTC sorts as text; names come in ascending order */
		if (best && strcmp(at ? at : "", best_at ? best_at : "") <= 0) {
			json_decref(o);
			continue;
		}
		json_decref(best);
		best = o;
	}
	return best;
}

static enum admit storage(struct admission *a)
{
	json_t *class;
	size_t n;

	/* "" asks for none */
	if (!admission_is(a, "", "persistentvolumeclaims") || api_get(a->obj, "spec.storageClassName") ||
	    json_object_get(api_get(a->obj, "metadata.annotations"), "volume.beta.kubernetes.io/storage-class"))
		return ADMIT_NEXT;
	class = find_default(a->c->s, "storage.k8s.io", "storageclasses", "storageclass.kubernetes.io/is-default-class",
			     &n);
	if (class) {
		obj_set_str(a->obj, "spec.storageClassName", api_get_str(class, "metadata.name"));
		a->changed = true;
	}
	json_decref(class);
	return ADMIT_NEXT;
}

static enum admit ingress(struct admission *a)
{
	enum admit r = ADMIT_NEXT;
	json_t *class;
	size_t n;

	if (!admission_is(a, "networking.k8s.io", "ingresses") || api_get(a->obj, "spec.ingressClassName") ||
	    json_object_get(api_get(a->obj, "metadata.annotations"), "kubernetes.io/ingress.class"))
		return ADMIT_NEXT;
	class = find_default(a->c->s, "networking.k8s.io", "ingressclasses",
			     "ingressclass.kubernetes.io/is-default-class", &n);
	if (n > 1) {
		r = admission_forbid(a, "%zu default IngressClasses were found, only 1 allowed", n);
	} else if (class) {
		obj_set_str(a->obj, "spec.ingressClassName", api_get_str(class, "metadata.name"));
		a->changed = true;
	}
	json_decref(class);
	return r;
}

const struct admission_plugin admission_default_storage_class = {
	.name = "DefaultStorageClass",
	.ops = ADMIT_CREATE,
	.mutate = storage,
};

const struct admission_plugin admission_default_ingress_class = {
	.name = "DefaultIngressClass",
	.ops = ADMIT_CREATE,
	.mutate = ingress,
};
