/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of a document, and the Status objects that tell a client about failures. */
#include "api-internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"

#define MAX_TEXT 8192 /* bytes of one error: values may be as long as a request */

/* Bytes that are no UTF-8, such as a cut leaves, become '?': what is said must fit into JSON. */
static void mend_utf8(char *s)
{
	for (unsigned char *p = (unsigned char *)s; *p;) {
		size_t n = *p < 0x80		     ? 1
			   : *p >= 0xc2 && *p < 0xe0 ? 2
			   : *p >= 0xe0 && *p < 0xf0 ? 3
			   : *p >= 0xf0 && *p < 0xf5 ? 4
						     : 0;
		size_t i = 1;

		while (i < n && (p[i] & 0xc0) == 0x80)
			i++;
		if (!n || i < n)
			*p++ = '?';
		else
			p += n;
	}
}

static void errs_vadd(struct api_errs *errs, enum api_cause cause, const char *field, const char *fmt, va_list ap)
{
	struct api_err *e;
	char *text = NULL, *name;

	if (!errs || errs->n >= API_ERRS_MAX)
		return;
	if (errs->n == errs->cap) {
		size_t cap = errs->cap ? errs->cap * 2 : 4;
		struct api_err *v = reallocarray(errs->v, cap, sizeof(*v));

		if (!v)
			return;
		errs->v = v;
		errs->cap = cap;
	}
	name = strdup(field ? field : "");
	if (!name || vasprintf(&text, fmt, ap) < 0) {
		/* Still an error: a document must not pass for lack of memory. */
		text = NULL;
	}
	if (text && strlen(text) > MAX_TEXT)
		strcpy(text + MAX_TEXT - 4, "...");
	if (text)
		mend_utf8(text);
	if (name)
		mend_utf8(name);
	e = &errs->v[errs->n++];
	e->cause = cause;
	e->field = name;
	e->text = text;
}

void api_errs_add(struct api_errs *errs, enum api_cause cause, const char *field, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	errs_vadd(errs, cause, field, fmt, ap);
	va_end(ap);
}

void api_path_err(struct api_errs *errs, const struct api_path *path, enum api_cause cause, const char *fmt, ...)
{
	char field[API_PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	errs_vadd(errs, cause, api_path_str(path, field, sizeof(field)), fmt, ap);
	va_end(ap);
}

void api_errs_done(struct api_errs *errs)
{
	for (size_t i = 0; i < errs->n; i++) {
		free(errs->v[i].field);
		free(errs->v[i].text);
	}
	free(errs->v);
	*errs = (struct api_errs){ 0 };
}

/* --- Status ------------------------------------------------------------------------------------------------------- */

static const char *cause_reason(enum api_cause cause)
{
	switch (cause) {
	case API_C_REQUIRED:
		return "FieldValueRequired";
	case API_C_DUPLICATE:
		return "FieldValueDuplicate";
	case API_C_NOT_SUPPORTED:
		return "FieldValueNotSupported";
	case API_C_FORBIDDEN:
		return "FieldValueForbidden";
	case API_C_TOO_LONG:
		return "FieldValueTooLong";
	case API_C_TOO_MANY:
		return "FieldValueTooMany";
	case API_C_NOT_FOUND:
		return "FieldValueNotFound";
	case API_C_TYPE:
		return "FieldValueTypeInvalid";
	case API_C_INVALID:
	case API_C_UNKNOWN_FIELD:
	case API_C_DUPLICATE_FIELD:
		break;
	}
	return "FieldValueInvalid";
}

json_t *api_status(int code, const char *reason, const char *message)
{
	return json_pack("{s:s, s:s, s:{}, s:s, s:s, s:s, s:i}", "kind", "Status", "apiVersion", "v1", "metadata",
			 "status", code < 400 ? "Success" : "Failure", "message", message, "reason", reason, "code",
			 code);
}

json_t *api_status_for(int code, const char *reason, const struct api_kind *kind, const char *name, const char *message)
{
	json_t *status = api_status(code, reason, message);
	json_t *details = json_object();

	if (!status || !details) {
		json_decref(status);
		json_decref(details);
		return NULL;
	}
	if (name && *name)
		json_object_set_new(details, "name", json_string(name));
	if (kind && *kind->group)
		json_object_set_new(details, "group", json_string(kind->group));
	if (kind)
		json_object_set_new(details, "kind", json_string(kind->plural));
	json_object_set_new(status, "details", details);
	return status;
}

/* Kubernetes' sentence: 'Pod "x" is invalid: spec.a: Required value', several in brackets. */
static char *invalid_message(const struct api_kind *kind, const char *name, const struct api_errs *errs)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;

	if (kind)
		strbuf_addf(&sb, "%s%s%s ", kind->kind, *kind->group ? "." : "", kind->group);
	strbuf_addf(&sb, "\"%s\" is invalid", name ? name : "");
	if (errs->n)
		strbuf_adds(&sb, errs->n > 1 ? ": [" : ": ");
	for (size_t i = 0; i < errs->n; i++) {
		const struct api_err *e = &errs->v[i];

		strbuf_addf(&sb, "%s%s%s%s", i ? ", " : "", e->field ? e->field : "", e->field && *e->field ? ": " : "",
			    e->text ? e->text : "out of memory");
	}
	if (errs->n > 1)
		strbuf_addc(&sb, ']');
	return strbuf_oom(&sb) ? NULL : strbuf_detach(&sb, NULL);
}

json_t *api_status_invalid(const struct api_kind *kind, const char *name, const struct api_errs *errs)
{
	cleanup(free) char *message = invalid_message(kind, name, errs);
	json_t *status, *details, *causes = json_array();

	status = message ? api_status_for(422, "Invalid", NULL, name, message) : NULL;
	if (!status || !causes) {
		json_decref(status);
		json_decref(causes);
		return NULL;
	}
	details = json_object_get(status, "details");
	/* Unlike other failures, this one names the kind and not the resource. */
	if (kind && *kind->group)
		json_object_set_new(details, "group", json_string(kind->group));
	if (kind)
		json_object_set_new(details, "kind", json_string(kind->kind));
	for (size_t i = 0; i < errs->n; i++) {
		const struct api_err *e = &errs->v[i];

		json_array_append_new(causes, json_pack("{s:s, s:s, s:s}", "reason", cause_reason(e->cause), "message",
							e->text ? e->text : "out of memory", "field",
							e->field ? e->field : ""));
	}
	json_object_set_new(details, "causes", causes);
	return status;
}
