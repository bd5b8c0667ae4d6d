/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of webhooks: which requests concern one, and what its answer says. */
#include "admission-webhook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

static bool lists(const json_t *list, const char *value)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (streq(json_string_value(v), "*") || streq(json_string_value(v), value))
			return true;
	return false;
}

/* "pods", "pods/log", "pods/<any>", "<any>/scale", "*" (no subresources), "<any>/<any>". */
static bool resource_matches(const json_t *list, const char *resource, const char *sub)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v) {
		const char *pattern = json_string_value(v), *slash = pattern ? strchr(pattern, '/') : NULL;
		size_t len = slash ? (size_t)(slash - pattern) : pattern ? strlen(pattern) : 0;
		bool res = pattern && ((len == 1 && *pattern == '*') ||
				       (len == strlen(resource) && !strncmp(pattern, resource, len)));

		if (!res)
			continue;
		if (slash ? (streq(slash + 1, "*") || streq(slash + 1, sub)) : !*sub)
			return true;
	}
	return false;
}

bool hook_rules_match(const json_t *rules, const struct hook_request *q)
{
	json_t *rule;
	size_t i;

	json_array_foreach (rules, i, rule) {
		const char *scope = api_get_str(rule, "scope");

		if (!lists(json_object_get(rule, "operations"), q->operation) ||
		    !lists(json_object_get(rule, "apiGroups"), q->group) ||
		    !resource_matches(json_object_get(rule, "resources"), q->resource, q->sub))
			continue;
		if (!q->equivalent && !lists(json_object_get(rule, "apiVersions"), q->version))
			continue;
		if ((streq(scope, "Namespaced") && !q->namespaced) || (streq(scope, "Cluster") && q->namespaced))
			continue;
		return true;
	}
	return false;
}

bool hook_selector_matches(const json_t *selector, const json_t *labels)
{
	struct api_selector *parsed = NULL;
	bool yes;

	if (!selector)
		return true;
	if (api_selector_from_json(selector, &parsed, NULL) < 0)
		return true; /* fail closed: validation lets no such selector in */
	yes = api_selector_matches_json(parsed, labels);
	api_selector_free(parsed);
	return yes;
}

const char *hook_operation(unsigned op)
{
	return op == ADMIT_CREATE   ? "CREATE"
	       : op == ADMIT_UPDATE ? "UPDATE"
	       : op == ADMIT_DELETE ? "DELETE"
				    : "CONNECT";
}

static json_t *denial(const char *hook, const json_t *result)
{
	const char *message = api_get_str(result, "message"), *reason = api_get_str(result, "reason");
	cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;
	int64_t code = api_get_int(result, "code", 0);
	json_t *status, *details = json_object_get(result, "details");

	strbuf_addf(&text, "admission webhook \"%s\" denied the request", hook);
	if (message && *message)
		strbuf_addf(&text, ": %.8000s", message);
	else if (reason && *reason)
		strbuf_addf(&text, ": %.256s", reason);
	else
		strbuf_adds(&text, " without explanation");
	if (code < 400 || code > 599)
		code = 400;
	status = api_status((int)code, reason && *reason ? reason : code == 403 ? "Forbidden" : "", text.buf);
	if (status && json_is_object(details))
		json_object_set(status, "details", details);
	if (status && !*(api_get_str(status, "reason") ?: ""))
		json_object_del(status, "reason");
	return status;
}

static int read_patch(const json_t *response, json_t **ret, struct err *err)
{
	const char *text = api_get_str(response, "patch"), *type = api_get_str(response, "patchType");
	cleanup(free) unsigned char *raw = NULL;
	size_t len;

	if (!text || !*text) {
		if (type && *type)
			return err_set(err, EINVAL, "webhook returned response.patchType but not response.patch");
		return 0;
	}
	if (!type || !*type)
		return err_set(err, EINVAL, "webhook returned response.patch but not response.patchType");
	if (!streq(type, "JSONPatch"))
		return err_set(err, EINVAL, "webhook returned invalid response.patchType of \"%.64s\"", type);
	raw = str_unbase64(text, &len);
	if (!raw)
		return err_set(err, EINVAL, "response.patch is not base64");
	if (api_json_parse(raw, len, ret, NULL, err) < 0)
		return err->code ? err->code : -EINVAL;
	if (!json_is_array(*ret)) {
		json_decref(*ret);
		*ret = NULL;
		return err_set(err, EINVAL, "response.patch is not a JSON patch");
	}
	return 0;
}

enum hook_answer hook_read_answer(const char *body, size_t len, const char *uid, const char *hook, bool mutating,
				  json_t **ret_review, json_t **ret_response, json_t **ret_patch, json_t **ret_status,
				  struct err *err)
{
	const char *kind, *version, *got;
	json_t *response;

	*ret_review = *ret_response = *ret_patch = *ret_status = NULL;
	if (api_json_parse(body, len, ret_review, NULL, err) < 0)
		return HOOK_BROKEN;
	kind = api_get_str(*ret_review, "kind");
	version = api_get_str(*ret_review, "apiVersion");
	if (!streq(kind, "AdmissionReview") || !streq(version, "admission.k8s.io/v1")) {
		err_set(err, EINVAL,
			"received invalid webhook response: expected webhook response of admission.k8s.io/v1, "
			"Kind=AdmissionReview, got %.100s, Kind=%.100s",
			version ? version : "", kind ? kind : "");
		return HOOK_BROKEN;
	}
	response = json_object_get(*ret_review, "response");
	if (!json_is_object(response)) {
		err_set(err, EINVAL, "webhook response was absent");
		return HOOK_BROKEN;
	}
	got = api_get_str(response, "uid");
	if (!streq(got, uid)) {
		err_set(err, EINVAL, "received invalid webhook response: expected response.uid=\"%s\", got \"%.100s\"",
			uid, got ? got : "");
		return HOOK_BROKEN;
	}
	*ret_response = response;
	if (!json_is_true(json_object_get(response, "allowed"))) {
		*ret_status = denial(hook, json_object_get(response, "status"));
		return HOOK_DENIED;
	}
	if (mutating && read_patch(response, ret_patch, err) < 0)
		return HOOK_BROKEN;
	return HOOK_ALLOWED;
}
