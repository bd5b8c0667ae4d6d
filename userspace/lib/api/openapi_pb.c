/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI version 2 in protobuf: the JSON document written by the numbers of gnostic's messages. kubectl before 1.28
 * reads its schemas in no other form. Maps are lists of {1: name, 2: value} there, and whatever may have any type
 * (extensions, enums, defaults) is YAML text, which JSON is.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/str.h"
#include "api-internal.h"
#include "pb_write.h"

enum form {
	STRING,
	STRINGS,
	BOOLEAN,
	INTEGER,
	NUMBER,
	ANY,
	ANYS,
	MESSAGE,
	MESSAGES,
	ENTRIES,	 /* object: entries of the message itself, {1: name, 2: message} */
	PARAMETERS,	 /* list of ParametersItem */
	TYPE_ITEM,	 /* a string or some: {1: value} */
	ITEMS_ITEM,	 /* {1: schema} */
	SCHEMA_OR_BOOL,	 /* {1: schema} or {2: bool} */
	RESPONSE_ENTRIES /* as ENTRIES, the value wrapped in a ResponseValue */
};

struct message;
struct member {
	unsigned number;
	const char *name;
	enum form form;
	const struct message *message;
};
struct message {
	const struct member *members; /* ends with number 0 */
	unsigned extensions;	      /* field of what begins with "x-"; 0: none */
};

static const struct message schema;

static const struct message schemas = { (const struct member[]){ { 1, NULL, ENTRIES, &schema }, { 0 } }, 0 };
static const struct message schema = {
	(const struct member[]){ { 1, "$ref", STRING, NULL },
				 { 2, "format", STRING, NULL },
				 { 3, "title", STRING, NULL },
				 { 4, "description", STRING, NULL },
				 { 5, "default", ANY, NULL },
				 { 6, "multipleOf", NUMBER, NULL },
				 { 7, "maximum", NUMBER, NULL },
				 { 8, "exclusiveMaximum", BOOLEAN, NULL },
				 { 9, "minimum", NUMBER, NULL },
				 { 10, "exclusiveMinimum", BOOLEAN, NULL },
				 { 11, "maxLength", INTEGER, NULL },
				 { 12, "minLength", INTEGER, NULL },
				 { 13, "pattern", STRING, NULL },
				 { 14, "maxItems", INTEGER, NULL },
				 { 15, "minItems", INTEGER, NULL },
				 { 16, "uniqueItems", BOOLEAN, NULL },
				 { 17, "maxProperties", INTEGER, NULL },
				 { 18, "minProperties", INTEGER, NULL },
				 { 19, "required", STRINGS, NULL },
				 { 20, "enum", ANYS, NULL },
				 { 21, "additionalProperties", SCHEMA_OR_BOOL, NULL },
				 { 22, "type", TYPE_ITEM, NULL },
				 { 23, "items", ITEMS_ITEM, NULL },
				 { 24, "allOf", MESSAGES, &schema },
				 { 25, "properties", MESSAGE, &schemas },
				 { 26, "discriminator", STRING, NULL },
				 { 27, "readOnly", BOOLEAN, NULL },
				 { 30, "example", ANY, NULL },
				 { 0 } },
	31,
};
static const struct message body_parameter = {
	(const struct member[]){ { 1, "description", STRING, NULL },
				 { 2, "name", STRING, NULL },
				 { 3, "in", STRING, NULL },
				 { 4, "required", BOOLEAN, NULL },
				 { 5, "schema", MESSAGE, &schema },
				 { 0 } },
	6,
};
static const struct message query_parameter = {
	(const struct member[]){ { 1, "required", BOOLEAN, NULL },
				 { 2, "in", STRING, NULL },
				 { 3, "description", STRING, NULL },
				 { 4, "name", STRING, NULL },
				 { 6, "type", STRING, NULL },
				 { 7, "format", STRING, NULL },
				 { 20, "uniqueItems", BOOLEAN, NULL },
				 { 0 } },
	23,
};
/* A header's has the same numbers, as far as these go. */
static const struct message path_parameter = {
	(const struct member[]){ { 1, "required", BOOLEAN, NULL },
				 { 2, "in", STRING, NULL },
				 { 3, "description", STRING, NULL },
				 { 4, "name", STRING, NULL },
				 { 5, "type", STRING, NULL },
				 { 6, "format", STRING, NULL },
				 { 19, "uniqueItems", BOOLEAN, NULL },
				 { 0 } },
	22,
};
static const struct message schema_item = { (const struct member[]){ { 1, NULL, MESSAGE, &schema }, { 0 } }, 0 };
static const struct message response = {
	(const struct member[]){ { 1, "description", STRING, NULL }, { 2, "schema", MESSAGE, &schema_item }, { 0 } },
	5,
};
static const struct message responses = {
	(const struct member[]){ { 1, NULL, RESPONSE_ENTRIES, &response }, { 0 } },
	2,
};
static const struct message operation = {
	(const struct member[]){ { 1, "tags", STRINGS, NULL },
				 { 2, "summary", STRING, NULL },
				 { 3, "description", STRING, NULL },
				 { 5, "operationId", STRING, NULL },
				 { 6, "produces", STRINGS, NULL },
				 { 7, "consumes", STRINGS, NULL },
				 { 8, "parameters", PARAMETERS, NULL },
				 { 9, "responses", MESSAGE, &responses },
				 { 10, "schemes", STRINGS, NULL },
				 { 11, "deprecated", BOOLEAN, NULL },
				 { 0 } },
	13,
};
static const struct message path_item = {
	(const struct member[]){ { 1, "$ref", STRING, NULL },
				 { 2, "get", MESSAGE, &operation },
				 { 3, "put", MESSAGE, &operation },
				 { 4, "post", MESSAGE, &operation },
				 { 5, "delete", MESSAGE, &operation },
				 { 6, "options", MESSAGE, &operation },
				 { 7, "head", MESSAGE, &operation },
				 { 8, "patch", MESSAGE, &operation },
				 { 9, "parameters", PARAMETERS, NULL },
				 { 0 } },
	10,
};
static const struct message paths = { (const struct member[]){ { 2, NULL, ENTRIES, &path_item }, { 0 } }, 1 };
static const struct message info = {
	(const struct member[]){ { 1, "title", STRING, NULL },
				 { 2, "version", STRING, NULL },
				 { 3, "description", STRING, NULL },
				 { 0 } },
	7,
};
static const struct message document = {
	(const struct member[]){ { 1, "swagger", STRING, NULL },
				 { 2, "info", MESSAGE, &info },
				 { 3, "host", STRING, NULL },
				 { 4, "basePath", STRING, NULL },
				 { 5, "schemes", STRINGS, NULL },
				 { 6, "consumes", STRINGS, NULL },
				 { 7, "produces", STRINGS, NULL },
				 { 8, "paths", MESSAGE, &paths },
				 { 9, "definitions", MESSAGE, &schemas },
				 { 0 } },
	16,
};

static void write_message(struct pb_out *o, const struct message *m, const json_t *v);

static void write_any(struct pb_out *o, unsigned field, const json_t *v)
{
	cleanup(free) char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	size_t mark = pb_len(o);

	if (!text) {
		o->oom = true;
		return;
	}
	pb_str(o, 2, text);
	pb_wrap(o, field, mark);
}

static void write_extensions(struct pb_out *o, unsigned field, const json_t *v)
{
	const char *key;
	json_t *x;

	json_object_foreach ((json_t *)v, key, x) {
		size_t mark = pb_len(o);

		if (!str_starts(key, "x-"))
			continue;
		write_any(o, 2, x);
		pb_str(o, 1, key);
		pb_wrap(o, field, mark);
	}
}

static void write_strings(struct pb_out *o, unsigned field, const json_t *v)
{
	if (json_is_string(v))
		pb_str(o, field, json_string_value(v));
	for (size_t i = json_array_size(v); i-- > 0;)
		pb_str(o, field, json_string_value(json_array_get(v, i)) ?: "");
}

static void write_sub(struct pb_out *o, unsigned field, const struct message *m, const json_t *v)
{
	size_t mark = pb_len(o);

	write_message(o, m, v);
	pb_wrap(o, field, mark);
}

/* ParametersItem {1: Parameter {1: body, 2: NonBodyParameter {1: header, 3: query, 4: path}}, 2: JsonReference {1}} */
static void write_parameter(struct pb_out *o, unsigned field, const json_t *v)
{
	const char *in = api_get_str(v, "in"), *ref = json_string_value(json_object_get(v, "$ref"));
	size_t mark = pb_len(o);

	if (ref) {
		pb_str(o, 1, ref);
		pb_wrap(o, 2, mark);
		pb_wrap(o, field, mark);
		return;
	}
	if (streq(in, "body")) {
		write_sub(o, 1, &body_parameter, v);
	} else {
		if (streq(in, "query"))
			write_sub(o, 3, &query_parameter, v);
		else
			write_sub(o, streq(in, "path") ? 4 : 1, &path_parameter, v);
		pb_wrap(o, 2, mark);
	}
	pb_wrap(o, 1, mark);
	pb_wrap(o, field, mark);
}

static void write_entries(struct pb_out *o, unsigned field, const struct member *f, const json_t *v)
{
	const char *key;
	json_t *x;

	json_object_foreach ((json_t *)v, key, x) {
		size_t mark = pb_len(o);

		if (str_starts(key, "x-") && f->form == RESPONSE_ENTRIES)
			continue;
		write_message(o, f->message, x);
		if (f->form == RESPONSE_ENTRIES)
			pb_wrap(o, 1, mark);
		pb_wrap(o, 2, mark);
		pb_str(o, 1, key);
		pb_wrap(o, field, mark);
	}
}

static void write_member(struct pb_out *o, const struct member *f, const json_t *v)
{
	size_t mark = pb_len(o);

	switch (f->form) {
	case STRING:
		pb_str(o, f->number, json_string_value(v) ?: "");
		break;
	case STRINGS:
		write_strings(o, f->number, v);
		break;
	case BOOLEAN:
		pb_uint(o, f->number, json_is_true(v));
		break;
	case INTEGER:
		pb_uint(o, f->number, (uint64_t)json_integer_value(v));
		break;
	case NUMBER:
		pb_double(o, f->number, json_number_value(v));
		break;
	case ANY:
		write_any(o, f->number, v);
		break;
	case ANYS:
		for (size_t i = json_array_size(v); i-- > 0;)
			write_any(o, f->number, json_array_get(v, i));
		break;
	case MESSAGE:
		write_sub(o, f->number, f->message, v);
		break;
	case MESSAGES:
		for (size_t i = json_array_size(v); i-- > 0;)
			write_sub(o, f->number, f->message, json_array_get(v, i));
		break;
	case ENTRIES:
	case RESPONSE_ENTRIES:
		write_entries(o, f->number, f, v);
		break;
	case PARAMETERS:
		for (size_t i = json_array_size(v); i-- > 0;)
			write_parameter(o, f->number, json_array_get(v, i));
		break;
	case TYPE_ITEM:
		write_strings(o, 1, v);
		pb_wrap(o, f->number, mark);
		break;
	case ITEMS_ITEM:
		write_sub(o, 1, &schema, v);
		pb_wrap(o, f->number, mark);
		break;
	case SCHEMA_OR_BOOL:
		if (json_is_boolean(v))
			pb_uint(o, 2, json_is_true(v));
		else
			write_sub(o, 1, &schema, v);
		pb_wrap(o, f->number, mark);
		break;
	}
}

static void write_message(struct pb_out *o, const struct message *m, const json_t *v)
{
	size_t n = 0;

	if (m->extensions)
		write_extensions(o, m->extensions, v);
	while (m->members[n].number)
		n++;
	while (n-- > 0) {
		const struct member *f = &m->members[n];
		const json_t *x = f->name ? json_object_get(v, f->name) : v;

		if (x)
			write_member(o, f, x);
	}
}

int api_openapi_v2_protobuf(const json_t *v2, struct strbuf *out)
{
	struct pb_out o = { 0 };

	write_message(&o, &document, v2);
	return pb_finish(&o, out);
}
