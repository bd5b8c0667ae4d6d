/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies: JSON, YAML or protobuf to a checked and pruned tree, with Kubernetes' answers for everything else. */
#include "apiserver-internal.h"
#include "managed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

enum body_type { BODY_JSON, BODY_YAML, BODY_PROTOBUF, BODY_OTHER };

static enum body_type body_type(const char *content_type)
{
	size_t len;

	if (!content_type || !*content_type)
		return BODY_JSON;
	len = strcspn(content_type, "; ");
#define IS(s) (len == sizeof(s) - 1 && !strncasecmp(content_type, s, len))
	if (IS("application/json") || IS("application/json-patch+json") || IS("application/merge-patch+json") ||
	    IS("application/strategic-merge-patch+json"))
		return BODY_JSON;
	if (IS("application/yaml") || IS("application/x-yaml") || IS("application/apply-patch+yaml") || IS("text/yaml"))
		return BODY_YAML;
	if (IS("application/vnd.kubernetes.protobuf"))
		return BODY_PROTOBUF;
#undef IS
	return BODY_OTHER;
}

int call_read_any(struct call *c, json_t **ret, struct api_errs *dups)
{
	const char *type = http_req_header(c->req, "content-type");
	size_t len;
	const char *data = http_req_body(c->req, &len);
	cleanup(strbuf_done) struct strbuf without = STRBUF_INIT;
	struct err err = ERR_INIT;
	json_t *docs = NULL;
	int *lines = NULL;

	switch (body_type(type)) {
	case BODY_JSON:
		if (streq(c->verb, "update") && managed_cut(data, len, &without, &c->asked)) {
			data = without.buf;
			len = without.len;
		}
		if (api_json_parse(data, len, ret, dups, &err) < 0) {
			call_status(c, 400, "BadRequest", "%s", err.msg);
			return -1;
		}
		return 0;
	case BODY_YAML:
		if (api_yaml_parse(data, len, &docs, &lines, &err) < 0) {
			call_status(c, 400, "BadRequest", "%s", err.msg);
			return -1;
		}
		free(lines);
		if (json_array_size(docs) != 1) {
			call_status(c, 400, "BadRequest", "the body has %zu YAML documents, one is expected",
				    json_array_size(docs));
			json_decref(docs);
			return -1;
		}
		*ret = json_incref(json_array_get(docs, 0));
		json_decref(docs);
		return 0;
	case BODY_PROTOBUF:
		if (api_protobuf_parse(data, len, ret, &err) < 0) {
			call_status(c, 400, "BadRequest", "%s; send application/json or application/yaml", err.msg);
			return -1;
		}
		return 0;
	case BODY_OTHER:
		break;
	}
	call_status(
		c, 415, "UnsupportedMediaType",
		"the body of the request was in an unknown format - accepted media types include: application/json, "
		"application/yaml, application/vnd.kubernetes.protobuf (got %.100s)",
		type);
	return -1;
}

int call_field_errors(struct call *c, const struct api_kind *kind, const struct api_errs *errs)
{
	const char *mode = call_query(c, "fieldValidation");
	cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;

	for (size_t i = 0; i < errs->n; i++) {
		const struct api_err *e = &errs->v[i];

		if (e->cause != API_C_TYPE)
			continue;
		call_status(c, 400, "BadRequest", "%s in version \"%s\" cannot be handled as a %s: %s: %s", kind->kind,
			    kind->version, kind->kind, e->field, e->text);
		return -1;
	}
	if (streq(mode, "Ignore"))
		return 0;
	for (size_t i = 0; i < errs->n; i++) {
		const struct api_err *e = &errs->v[i];

		if (streq(mode, "Strict")) {
			strbuf_addf(&text, "%s%s field \"%s\"", text.len ? ", " : "",
				    e->cause == API_C_DUPLICATE_FIELD ? "duplicate" : "unknown", e->field);
		} else if (i < 16) {
			char warning[512];

			snprintf(warning, sizeof(warning), "299 - \"%s field \\\"%.300s\\\"\"",
				 e->cause == API_C_DUPLICATE_FIELD ? "duplicate" : "unknown", e->field);
			if (!strpbrk(warning, "\r\n"))
				http_add_header(c->req, "Warning", warning);
		}
	}
	if (!text.len)
		return 0;
	call_status(c, 400, "BadRequest", "%s in version \"%s\" cannot be handled as a %s: strict decoding error: %s",
		    kind->kind, kind->version, kind->kind, text.buf);
	return -1;
}

int call_read_object(struct call *c, const struct api_kind *kind, const char *api_version, const struct api_type *type,
		     json_t **ret)
{
	struct api_errs errs = { 0 };
	const char *got_kind, *got_version;
	json_t *obj = NULL;
	int r = -1;

	if (call_read_any(c, &obj, &errs) < 0)
		goto out;
	if (!json_is_object(obj)) {
		call_status(c, 400, "BadRequest",
			    "couldn't get version/kind; json parse error: the body is not an object");
		goto out;
	}
	got_kind = api_get_str(obj, "kind");
	got_version = api_get_str(obj, "apiVersion");
	if (got_version && *got_version && !streq(got_version, api_version)) {
		call_status(c, 400, "BadRequest",
			    "the API version in the data (%.100s) does not match the expected API version (%s)",
			    got_version, api_version);
		goto out;
	}
	if (got_kind && *got_kind && !streq(got_kind, kind->kind)) {
		call_status(c, 400, "BadRequest", "the kind in the data (%.100s) does not match the expected kind (%s)",
			    got_kind, kind->kind);
		goto out;
	}
	obj_set_str(obj, "kind", kind->kind);
	obj_set_str(obj, "apiVersion", api_version);
	api_check(type, obj, &errs);
	if (call_field_errors(c, kind, &errs) < 0)
		goto out;
	api_prune(type, obj);
	*ret = TAKE(obj);
	r = 0;
out:
	api_errs_done(&errs);
	json_decref(obj);
	return r;
}
