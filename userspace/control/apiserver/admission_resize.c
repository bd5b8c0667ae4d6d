/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PersistentVolumeClaimResize: a claim grows only when it is bound and its class says that volumes may grow. Claims do
 * not shrink; that is validation's business.
 */
#include "admission-internal.h"

#include "../../lib/base/str.h"

#define SIZE "spec.resources.requests.storage"

/* The old annotation comes before the field, as wherever Kubernetes asks for a claim's class. */
static const char *class_of(const json_t *claim)
{
	json_t *noted = json_object_get(api_get(claim, "metadata.annotations"),
					"volume.beta.kubernetes.io/storage-class");

	return noted ? json_string_value(noted) : api_get_str(claim, "spec.storageClassName");
}

static bool may_grow(const struct admission *a)
{
	const char *name = class_of(a->obj);
	json_t *class;
	bool may;

	if (!name || !*name || !streq(name, class_of(a->old)))
		return false;
	class = admission_get(a->c->s, "storage.k8s.io", "storageclasses", NULL, name);
	may = json_is_true(json_object_get(class, "allowVolumeExpansion"));
	json_decref(class);
	return may;
}

static enum admit validate(struct admission *a)
{
	const char *now, *was;

	if (!admission_is(a, "", "persistentvolumeclaims"))
		return ADMIT_NEXT;
	now = api_get_str(a->obj, SIZE);
	was = api_get_str(a->old, SIZE);
	if (!now || api_quantity_compare(now, was ? was : "0") <= 0)
		return ADMIT_NEXT;
	if (!streq(api_get_str(a->old, "status.phase"), "Bound"))
		return admission_forbid(a, "Only bound persistent volume claims can be expanded");
	if (!may_grow(a))
		return admission_forbid(a, "only dynamically provisioned pvc can be resized and the storageclass that "
					   "provisions the pvc must support resize");
	return ADMIT_NEXT;
}

const struct admission_plugin admission_claim_resize = {
	.name = "PersistentVolumeClaimResize",
	.ops = ADMIT_UPDATE,
	.validate = validate,
};
