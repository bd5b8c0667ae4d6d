/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds that are questions rather than objects (schema word `review`): they are created, answered in the reply, and
 * never stored. Each has its function in the table below.
 */
#include "apiserver-internal.h"

#include "../../lib/base/str.h"
#include "authn.h"
#include "authz.h"

static const struct {
	const char *group, *plural;
	call_fn *fn;
} reviews[] = {
	{ "authentication.k8s.io", "tokenreviews", token_review },
	{ "authentication.k8s.io", "selfsubjectreviews", self_subject_review },
	{ "authorization.k8s.io", "subjectaccessreviews", subject_access_review },
	{ "authorization.k8s.io", "localsubjectaccessreviews", local_subject_access_review },
	{ "authorization.k8s.io", "selfsubjectaccessreviews", self_subject_access_review },
	{ "authorization.k8s.io", "selfsubjectrulesreviews", self_subject_rules_review },
};

void review_handle(struct call *c)
{
	const struct api_kind *kind = c->res->kind;

	if (!streq(c->verb, "create") || c->name[0] || (kind->namespaced && !c->ns[0])) {
		call_status(c, 405, "MethodNotAllowed",
			    "the server does not allow this method on the requested resource");
		return;
	}
	if (call_read_object(c, kind, c->res->api_version, kind->type, &c->body) < 0)
		return;
	for (size_t i = 0; i < sizeof(reviews) / sizeof(reviews[0]); i++) {
		if (!streq(reviews[i].group, kind->group) || !streq(reviews[i].plural, kind->plural))
			continue;
		reviews[i].fn(c);
		return;
	}
	call_status(c, 404, "NotFound", "the server could not find the requested resource");
}

void review_answer(struct call *c, json_t *status)
{
	json_t *meta = obj_meta(c->body);

	if (!status || !meta || json_object_set_new(c->body, "status", status) < 0) {
		call_oom(c);
		return;
	}
	json_object_set_new(meta, "creationTimestamp", json_null());
	call_object_json(c, 201, c->body);
}
