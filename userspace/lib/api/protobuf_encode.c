/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects, lists and watch events in Kubernetes' protobuf form, written by the tables: the way back of protobuf.c.
 * Called by the API server for clients that prefer it (controllers by client-go, mostly). Members that the tables do
 * not know have no number and are left out; the server prunes such before it stores anything.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/str.h"
#include "api-internal.h"
#include "api/api_types.h"
#include "pb_write.h"

#define OUTER(pb) ((unsigned)(pb) >> 8) /* see struct api_field */
#define INNER(pb) ((unsigned)(pb)&0xff)

static const struct api_field metadata_only[] = {
	{ .name = "metadata", .pb = 1, .type = API_OBJECT, .object = &api_type_object_meta },
};
const struct api_type api_type_partial_object_metadata = {
	.name = "PartialObjectMetadata",
	.package = "io.k8s.apimachinery.pkg.apis.meta.v1",
	.doc = "Any object's metadata.",
	.fields = metadata_only,
	.n_fields = 1,
};

static void write_message(struct pb_out *o, const struct api_type *type, const json_t *obj, int depth);

bool api_protobuf_has(const struct api_type *type)
{
	bool any = false, others = false;

	for (size_t i = 0; i < type->n_fields; i++) {
		const struct api_field *f = &type->fields[i];

		if (streq(f->name, "apiVersion") || streq(f->name, "kind"))
			continue;
		if (streq(f->name, "metadata")) {
			if (!f->pb)
				return false;
			continue;
		}
		others = true;
		any |= f->pb != 0;
	}
	return any || !others;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

/* Seconds since 1970 and nanoseconds, as the messages of metav1.Time and MicroTime have them. */
static void write_time(struct pb_out *o, unsigned field, const char *text, bool micro)
{
	size_t mark = pb_len(o);
	const char *dot = strchr(text, '.');
	int64_t ms, ns = 0, s;

	if (clock_rfc3339_parse(text, &ms) < 0)
		return;
	s = ms >= 0 ? ms / 1000 : -((999 - ms) / 1000);
	if (micro && dot) {
		int64_t unit = 100000000;

		for (const char *p = dot + 1; *p >= '0' && *p <= '9' && unit; p++, unit /= 10)
			ns += (*p - '0') * unit;
		ns -= ns % 1000;
	}
	if (ns)
		pb_uint(o, 2, (uint64_t)ns);
	pb_uint(o, 1, (uint64_t)s);
	pb_wrap(o, field, mark);
}

static void write_int_or_string(struct pb_out *o, unsigned field, const json_t *v)
{
	size_t mark = pb_len(o);

	if (json_is_string(v)) {
		pb_bytes(o, 3, json_string_value(v), json_string_length(v));
		pb_uint(o, 1, 1);
	} else {
		pb_uint(o, 2, (uint64_t)json_integer_value(v));
		pb_uint(o, 1, 0);
	}
	pb_wrap(o, field, mark);
}

/* A quantity may have come as a number; its message holds the text. */
static void write_quantity(struct pb_out *o, unsigned field, const json_t *v)
{
	cleanup(free) char *text = NULL;
	size_t mark = pb_len(o);

	if (json_is_string(v)) {
		pb_bytes(o, 1, json_string_value(v), json_string_length(v));
	} else {
		text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
		if (text)
			pb_str(o, 1, text);
		else
			o->oom = true;
	}
	pb_wrap(o, field, mark);
}

static void write_base64(struct pb_out *o, unsigned field, const json_t *v)
{
	size_t len = 0;
	cleanup(free) unsigned char *bytes = str_unbase64(json_string_value(v) ?: "", &len);

	if (bytes)
		pb_bytes(o, field, bytes, len);
}

/* RawExtension, FieldsV1 and apiextensions' JSON are one message: {1: the JSON text}. */
static void write_raw(struct pb_out *o, unsigned field, const json_t *v)
{
	cleanup(free) char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	size_t mark = pb_len(o);

	if (!text) {
		o->oom = true;
		return;
	}
	pb_str(o, 1, text);
	pb_wrap(o, field, mark);
}

/* Lists of strings by key (UserInfo.extra): a map whose values are messages {1: string...}. */
static void write_string_lists(struct pb_out *o, unsigned field, const json_t *map)
{
	const char *key;
	json_t *list;

	json_object_foreach ((json_t *)map, key, list) {
		size_t mark = pb_len(o);

		for (size_t i = json_array_size(list); i-- > 0;)
			pb_str(o, 1, json_string_value(json_array_get(list, i)) ?: "");
		pb_wrap(o, 2, mark);
		pb_str(o, 1, key);
		pb_wrap(o, field, mark);
	}
}

/* JSONSchemaPropsOrBool {1: allowed, 2: schema} */
static void write_schema_or_bool(struct pb_out *o, unsigned field, const json_t *v, int depth)
{
	size_t mark = pb_len(o);

	if (json_is_object(v)) {
		write_message(o, &api_type_json_schema_props, v, depth + 1);
		pb_wrap(o, 2, mark);
	}
	pb_uint(o, 1, json_is_object(v) || json_is_true(v));
	pb_wrap(o, field, mark);
}

static void write_one(struct pb_out *o, const struct api_field *f, unsigned field, const json_t *v, int depth)
{
	size_t mark = pb_len(o);

	switch ((enum api_field_type)f->type) {
	case API_STRING:
		if (json_is_string(v))
			pb_bytes(o, field, json_string_value(v), json_string_length(v));
		break;
	case API_BOOL:
		pb_uint(o, field, json_is_true(v));
		break;
	case API_INT32:
	case API_INT64:
		pb_uint(o, field, (uint64_t)(json_is_real(v) ? (int64_t)json_real_value(v) : json_integer_value(v)));
		break;
	case API_DOUBLE:
		pb_double(o, field, json_number_value(v));
		break;
	case API_QUANTITY:
		write_quantity(o, field, v);
		break;
	case API_INT_OR_STRING:
		write_int_or_string(o, field, v);
		break;
	case API_TIME:
	case API_MICRO_TIME:
		if (json_is_string(v))
			write_time(o, field, json_string_value(v), f->type == API_MICRO_TIME);
		break;
	case API_BYTES:
		write_base64(o, field, v);
		break;
	case API_OBJECT:
		write_message(o, f->object, v, depth + 1);
		pb_wrap(o, field, mark);
		break;
	case API_RAW:
		if (streq(f->format, "string-lists"))
			write_string_lists(o, field, v);
		else if (streq(f->format, "schema-or-bool"))
			write_schema_or_bool(o, field, v, depth);
		else if (f->format)
			write_raw(o, field, v);
		break;
	case API_NESTED:
		break; /* of custom kinds, which have no protobuf form */
	}
}

/*
 * Maps are repeated {1: key, 2: value}. Go's writer sorts keys and ours keeps the object's order; readers take both.
 */
static void write_map(struct pb_out *o, const struct api_field *f, unsigned field, const json_t *map, int depth)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)map, key, v) {
		size_t mark = pb_len(o);

		write_one(o, f, 2, v, depth);
		pb_str(o, 1, key);
		pb_wrap(o, field, mark);
	}
}

static void write_field(struct pb_out *o, const struct api_field *f, unsigned field, const json_t *v, int depth)
{
	if (!v || json_is_null(v))
		return;
	if (f->shape == API_MAP) {
		write_map(o, f, field, v, depth);
	} else if (f->shape == API_LIST) {
		for (size_t i = json_array_size(v); i-- > 0;)
			write_one(o, f, field, json_array_get(v, i), depth);
	} else {
		write_one(o, f, field, v, depth);
	}
}

/* The message `outer`, whose members lie flat in obj. Empty ones are left out, as they have no sign in JSON. */
static void write_flat(struct pb_out *o, const struct api_type *type, unsigned outer, const json_t *obj, int depth)
{
	size_t mark = pb_len(o);

	for (size_t i = type->n_fields; i-- > 0;) {
		const struct api_field *f = &type->fields[i];

		if (OUTER(f->pb) == outer)
			write_field(o, f, INNER(f->pb), json_object_get(obj, f->name), depth);
	}
	if (pb_len(o) > mark)
		pb_wrap(o, outer, mark);
}

/* Is this the first field of its flat message? Then the whole message is written in its place. */
static bool first_of_flat(const struct api_type *type, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (OUTER(type->fields[k].pb) == OUTER(type->fields[i].pb))
			return false;
	return true;
}

static void write_message(struct pb_out *o, const struct api_type *type, const json_t *obj, int depth)
{
	if (depth > API_MAX_DEPTH)
		return;
	for (size_t i = type->n_fields; i-- > 0 && !o->oom;) {
		const struct api_field *f = &type->fields[i];

		if (!f->pb)
			continue;
		if (!OUTER(f->pb))
			write_field(o, f, f->pb, json_object_get(obj, f->name), depth);
		else if (first_of_flat(type, i))
			write_flat(o, type, OUTER(f->pb), obj, depth);
	}
}

/* --- envelopes ---------------------------------------------------------------------------------------------------- */

/* runtime.Unknown's TypeMeta and the four bytes before it; the message it describes has been written. */
static void write_envelope(struct pb_out *o, const char *api_version, const char *kind)
{
	size_t mark = pb_len(o);

	pb_str(o, 2, kind);
	pb_str(o, 1, api_version);
	pb_wrap(o, 1, mark);
	pb_raw(o, "k8s", 4);
}

int api_protobuf_write(const struct api_type *type, const char *api_version, const char *kind, const json_t *obj,
		       struct strbuf *out)
{
	struct pb_out o = { 0 };

	write_message(&o, type, obj, 0);
	pb_wrap(&o, 2, 0);
	write_envelope(&o, api_version, kind);
	return pb_finish(&o, out);
}

int api_protobuf_write_item(const struct api_type *type, const json_t *obj, struct strbuf *out)
{
	struct pb_out o = { 0 };

	write_message(&o, type, obj, 0);
	pb_wrap(&o, 2, 0);
	return pb_finish(&o, out);
}

int api_protobuf_write_list(const char *api_version, const char *kind, const json_t *meta, size_t items_len,
			    struct strbuf *out)
{
	struct pb_out o = { 0 };
	size_t mark;

	write_message(&o, &api_type_list_meta, meta, 0);
	pb_wrap(&o, 1, 0);
	/* The length of what follows counts the items, which the caller sends after this. */
	mark = pb_len(&o);
	pb_varint(&o, mark + items_len);
	pb_varint(&o, 2 << 3 | PB_BYTES);
	write_envelope(&o, api_version, kind);
	return pb_finish(&o, out);
}

int api_protobuf_write_event(const char *type, const void *object, size_t len, struct strbuf *out)
{
	struct pb_out o = { 0 };
	unsigned char frame[4];

	pb_bytes(&o, 1, object, len);
	pb_wrap(&o, 2, 0);
	pb_str(&o, 1, type);
	for (int i = 0; i < 4; i++)
		frame[i] = (unsigned char)(pb_len(&o) >> (24 - 8 * i));
	pb_raw(&o, frame, sizeof(frame));
	return pb_finish(&o, out);
}
