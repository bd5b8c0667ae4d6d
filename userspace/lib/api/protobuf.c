/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes' protobuf form of objects, read by the tables: "k8s\0", then a runtime.Unknown that names apiVersion and
 * kind and holds the message. kubectl sends it for some bodies (create namespace, configmap, deployment...). The
 * result is what the same client would have sent as JSON: proto3-like zeros of fields that have no presence are left
 * out. A field that the tables do not have and that is not empty is an error: it would be lost otherwise.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/clock.h"
#include "../base/str.h"
#include "api-internal.h"
#include "api/api_types.h"

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct cursor {
	const unsigned char *p, *end;
};

struct value {
	unsigned num;
	enum wire wire;
	uint64_t n;	     /* varint, fixed */
	struct cursor bytes; /* WIRE_BYTES */
};

static int decode_message(const struct api_type *type, unsigned outer, struct cursor c, int depth, json_t *obj,
			  struct err *err);

static int read_varint(struct cursor *c, uint64_t *ret)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 64; shift += 7) {
		if (c->p == c->end)
			return -EINVAL;
		v |= (uint64_t)(*c->p & 0x7f) << shift;
		if (!(*c->p++ & 0x80)) {
			*ret = v;
			return 0;
		}
	}
	return -EINVAL;
}

static int read_fixed(struct cursor *c, size_t size, uint64_t *ret)
{
	uint64_t v = 0;

	if ((size_t)(c->end - c->p) < size)
		return -EINVAL;
	for (size_t i = 0; i < size; i++)
		v |= (uint64_t)c->p[i] << (8 * i);
	c->p += size;
	*ret = v;
	return 0;
}

/* 1: a field; 0: the end; -EINVAL. */
static int read_field(struct cursor *c, struct value *v)
{
	uint64_t tag, len;

	if (c->p == c->end)
		return 0;
	*v = (struct value){ 0 };
	if (read_varint(c, &tag) < 0 || tag >> 3 == 0 || tag >> 3 > 0xffff)
		return -EINVAL;
	v->num = (unsigned)(tag >> 3);
	v->wire = (enum wire)(tag & 7);
	switch (v->wire) {
	case WIRE_VARINT:
		return read_varint(c, &v->n) < 0 ? -EINVAL : 1;
	case WIRE_64:
		return read_fixed(c, 8, &v->n) < 0 ? -EINVAL : 1;
	case WIRE_32:
		return read_fixed(c, 4, &v->n) < 0 ? -EINVAL : 1;
	case WIRE_BYTES:
		if (read_varint(c, &len) < 0 || len > (uint64_t)(c->end - c->p))
			return -EINVAL;
		v->bytes = (struct cursor){ c->p, c->p + len };
		c->p += len;
		return 1;
	}
	return -EINVAL;
}

static json_t *text_of(struct cursor c)
{
	return json_stringn((const char *)c.p, (size_t)(c.end - c.p)); /* NULL: not UTF-8 */
}

/*
 * Nothing in it: zeros, empty strings and messages of such. What is not known is taken for a message if it could be
 * one.
 */
static bool is_zero(const struct value *v, int depth)
{
	struct cursor c = v->bytes;
	struct value inner;
	int r;

	if (v->wire != WIRE_BYTES)
		return v->n == 0;
	if (c.p == c.end)
		return true;
	if (depth > 16)
		return false;
	while ((r = read_field(&c, &inner)) > 0)
		if (!is_zero(&inner, depth + 1))
			return false;
	return r == 0;
}

/* metav1.Time and MicroTime: {1: seconds, 2: nanoseconds}; NULL for none. */
static json_t *time_of(struct cursor c, bool micro)
{
	int64_t s = 0, ns = 0;
	bool set = false;
	struct value v;
	char buf[CLOCK_RFC3339_SIZE];

	while (read_field(&c, &v) > 0) {
		set = true;
		if (v.num == 1)
			s = (int64_t)v.n;
		else if (v.num == 2)
			ns = (int64_t)v.n;
	}
	if (!set || s < -62135596800 || s > 253402300799 || ns < 0 || ns > 999999999)
		return NULL;
	clock_rfc3339(s * 1000, buf);
	if (micro) /* after the seconds: 2026-11-23T00:36:00.123456Z */
		snprintf(buf + strlen("2026-11-23T00:36:00"), sizeof(buf) - strlen("2026-11-23T00:36:00"), ".%06dZ",
			 (int)(ns / 1000));
	return json_string(buf);
}

static json_t *int_or_string_of(struct cursor c)
{
	uint64_t type = 0, n = 0;
	struct cursor text = { c.p, c.p };
	struct value v;

	while (read_field(&c, &v) > 0) {
		if (v.num == 1)
			type = v.n;
		else if (v.num == 2)
			n = v.n;
		else if (v.num == 3)
			text = v.bytes;
	}
	return type == 1 ? text_of(text) : json_integer((int32_t)n);
}

static json_t *quantity_of(struct cursor c)
{
	struct cursor text = { c.p, c.p };
	struct value v;

	while (read_field(&c, &v) > 0)
		if (v.num == 1)
			text = v.bytes;
	return text_of(text);
}

/* RawExtension, FieldsV1 and apiextensions' JSON: {1: JSON text}. */
static json_t *raw_of(struct cursor c)
{
	struct cursor text = { c.p, c.p };
	json_t *ret = NULL;
	struct value v;

	while (read_field(&c, &v) > 0)
		if (v.num == 1)
			text = v.bytes;
	if (text.p == text.end)
		return json_null();
	return api_json_parse(text.p, (size_t)(text.end - text.p), &ret, NULL, NULL) < 0 ? NULL : ret;
}

static json_t *bytes_of(struct cursor c)
{
	cleanup(free) char *text = str_base64(c.p, (size_t)(c.end - c.p));

	return text ? json_string(text) : NULL;
}

static bool wire_fits(const struct api_field *f, enum wire wire)
{
	switch ((enum api_field_type)f->type) {
	case API_BOOL:
	case API_INT32:
	case API_INT64:
		return wire == WIRE_VARINT;
	case API_DOUBLE:
		return wire == WIRE_64;
	case API_RAW:
		return !f->format || wire == WIRE_BYTES;
	default:
		return wire == WIRE_BYTES;
	}
}

/* JSONSchemaPropsOrBool {1: allowed, 2: schema} */
static json_t *schema_or_bool_of(struct cursor c, int depth, struct err *err)
{
	json_t *schema = NULL;
	bool allowed = false;
	struct value v;
	int r = 0;

	while (r == 0 && read_field(&c, &v) > 0) {
		if (v.num == 1)
			allowed = v.n != 0;
		if (v.num != 2 || v.wire != WIRE_BYTES)
			continue;
		if (!schema)
			schema = json_object();
		r = schema ? decode_message(&api_type_json_schema_props, 0, v.bytes, depth + 1, schema, err) : -ENOMEM;
	}
	if (r < 0) {
		json_decref(schema);
		return NULL;
	}
	return schema ? schema : json_boolean(allowed);
}

/* One value of the field's type. NULL: err is set; json_null: absent. */
static json_t *decode_one(const struct api_type *type, const struct api_field *f, const struct value *v, int depth,
			  struct err *err)
{
	json_t *ret = NULL;

	if (!wire_fits(f, v->wire)) {
		err_set(err, EINVAL, "protobuf: %s.%s has the wrong wire type", type->name, f->name);
		return NULL;
	}
	switch ((enum api_field_type)f->type) {
	case API_STRING:
		ret = text_of(v->bytes);
		break;
	case API_BOOL:
		ret = json_boolean(v->n != 0);
		break;
	case API_INT32:
		ret = json_integer((int32_t)v->n);
		break;
	case API_INT64:
		ret = json_integer((int64_t)v->n);
		break;
	case API_DOUBLE: {
		double d;

		memcpy(&d, &v->n, sizeof(d));
		ret = json_real(d);
		break;
	}
	case API_QUANTITY:
		ret = quantity_of(v->bytes);
		break;
	case API_INT_OR_STRING:
		ret = int_or_string_of(v->bytes);
		break;
	case API_TIME:
	case API_MICRO_TIME:
		ret = time_of(v->bytes, f->type == API_MICRO_TIME);
		if (!ret)
			ret = json_null();
		break;
	case API_BYTES:
		ret = bytes_of(v->bytes);
		break;
	case API_OBJECT:
		ret = json_object();
		if (ret && decode_message(f->object, 0, v->bytes, depth + 1, ret, err) < 0) {
			json_decref(ret);
			return NULL;
		}
		break;
	case API_NESTED:
		break; /* of custom kinds, which have no protobuf form */
	case API_RAW:
		if (streq(f->format, "schema-or-bool")) {
			ret = schema_or_bool_of(v->bytes, depth, err);
			break;
		}
		if (f->format) {
			ret = raw_of(v->bytes);
			break;
		}
		/* No description, no contents. That it is there is enough to be refused by name; else it would be lost.
		 */
		if (!is_zero(v, 0) && !(f->flags & (API_READ_ONLY | API_REFUSED))) {
			err_set(err, EINVAL, "protobuf: %s.%s is not read in this form", type->name, f->name);
			return NULL;
		}
		ret = is_zero(v, 0) || (f->flags & API_READ_ONLY) ? json_null() : json_true();
		break;
	}
	if (!ret)
		err_set(err, EINVAL, "protobuf: %s.%s: not a valid value", type->name, f->name);
	return ret;
}

static bool has_no_presence(const struct api_field *f)
{
	return !(f->flags & API_OPTIONAL) && (f->type == API_STRING || f->type == API_BOOL || f->type == API_INT32 ||
					      f->type == API_INT64 || f->type == API_DOUBLE || f->type == API_BYTES);
}

static int decode_map_entry(const struct api_type *type, const struct api_field *f, const struct value *v, int depth,
			    json_t *map, struct err *err)
{
	struct value key = { 0 }, val = { .wire = WIRE_BYTES, .bytes = { v->bytes.end, v->bytes.end } }, entry;
	struct cursor c = v->bytes;
	json_t *k, *x;
	int r;

	if (v->wire != WIRE_BYTES)
		return err_set(err, EINVAL, "protobuf: %s.%s has the wrong wire type", type->name, f->name);
	while ((r = read_field(&c, &entry)) > 0) {
		if (entry.num == 1)
			key = entry;
		else if (entry.num == 2)
			val = entry;
	}
	k = r == 0 && key.bytes.p ? text_of(key.bytes) : json_string("");
	x = decode_one(type, f, &val, depth, err);
	if (!k || !x || r < 0 || strlen(json_string_value(k)) != json_string_length(k)) {
		json_decref(k);
		json_decref(x);
		return err && err->code ? -err->code
					: err_set(err, EINVAL, "protobuf: %s.%s: bad map entry", type->name, f->name);
	}
	r = json_object_set_new(map, json_string_value(k), x);
	json_decref(k);
	return r < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* Integers of a list may come packed. */
static int decode_list(const struct api_type *type, const struct api_field *f, const struct value *v, int depth,
		       json_t *list, struct err *err)
{
	struct value one = { .num = v->num, .wire = WIRE_VARINT };
	struct cursor c = v->bytes;
	json_t *x;

	if (v->wire == WIRE_BYTES && wire_fits(f, WIRE_VARINT) && f->type != API_RAW) {
		while (c.p < c.end) {
			if (read_varint(&c, &one.n) < 0)
				return err_set(err, EINVAL, "protobuf: %s.%s: bad number", type->name, f->name);
			x = decode_one(type, f, &one, depth, err);
			if (!x || json_array_append_new(list, x) < 0)
				return err_set(err, ENOMEM, "out of memory");
		}
		return 0;
	}
	x = decode_one(type, f, v, depth, err);
	if (!x)
		return -EINVAL;
	return json_array_append_new(list, x) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

static json_t *member(json_t *obj, const char *name, json_t *(*make)(void))
{
	json_t *v = json_object_get(obj, name);

	if (v)
		return v;
	if (json_object_set_new(obj, name, make()) < 0)
		return NULL;
	return json_object_get(obj, name);
}

/* One entry of UserInfo.extra and its like: {1: key, 2: {1: string...}}. */
static int decode_string_list(const struct api_type *type, const struct api_field *f, const struct value *v,
			      json_t *map, struct err *err)
{
	struct cursor c = v->bytes;
	json_t *key = NULL, *list = json_array();
	struct value entry, item;
	int r = list ? 0 : -ENOMEM;

	while (r == 0 && read_field(&c, &entry) > 0) {
		if (entry.num == 1 && !key)
			key = text_of(entry.bytes);
		while (r == 0 && entry.num == 2 && read_field(&entry.bytes, &item) > 0)
			if (item.num == 1)
				r = json_array_append_new(list, text_of(item.bytes));
	}
	if (r < 0 || !key || strlen(json_string_value(key)) != json_string_length(key) ||
	    json_object_set(map, json_string_value(key), list) < 0)
		r = err_set(err, EINVAL, "protobuf: %s.%s: bad map entry", type->name, f->name);
	json_decref(key);
	json_decref(list);
	return r;
}

static int decode_field(const struct api_type *type, const struct api_field *f, const struct value *v, int depth,
			json_t *obj, struct err *err)
{
	json_t *x;

	if (f->type == API_RAW && streq(f->format, "string-lists")) {
		x = member(obj, f->name, json_object);
		return x && wire_fits(f, v->wire)
			       ? decode_string_list(type, f, v, x, err)
			       : err_set(err, EINVAL, "protobuf: %s.%s: not a valid value", type->name, f->name);
	}
	if (f->shape == API_MAP) {
		x = member(obj, f->name, json_object);
		return x ? decode_map_entry(type, f, v, depth, x, err) : err_set(err, ENOMEM, "out of memory");
	}
	if (f->shape == API_LIST && (f->type != API_RAW || f->format)) {
		x = member(obj, f->name, json_array);
		return x ? decode_list(type, f, v, depth, x, err) : err_set(err, ENOMEM, "out of memory");
	}
	if (has_no_presence(f) && is_zero(v, 16))
		return 0;
	x = decode_one(type, f, v, depth, err);
	if (!x)
		return -EINVAL;
	if (json_is_null(x)) {
		json_decref(x);
		return 0;
	}
	return json_object_set_new(obj, f->name, x) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* outer: the message is flat in its parent's JSON; its members are `type`'s fields numbered outer.N. */
static int decode_message(const struct api_type *type, unsigned outer, struct cursor c, int depth, json_t *obj,
			  struct err *err)
{
	struct value v;
	int r;

	if (depth > API_MAX_DEPTH)
		return err_set(err, EINVAL, "protobuf: nested too deeply");
	while ((r = read_field(&c, &v)) > 0) {
		const struct api_field *f = NULL;
		bool flat = false;

		for (size_t i = 0; i < type->n_fields && !f; i++) {
			if (type->fields[i].pb == (outer << 8 | v.num))
				f = &type->fields[i];
			else if (!outer && type->fields[i].pb > 255 && (unsigned)(type->fields[i].pb >> 8) == v.num)
				flat = true;
		}
		if (f)
			r = decode_field(type, f, &v, depth, obj, err);
		else if (flat && v.wire == WIRE_BYTES)
			r = decode_message(type, v.num, v.bytes, depth + 1, obj, err);
		else if (!is_zero(&v, 0))
			r = err_set(err, EINVAL, "protobuf: field %u of %s is not known here", v.num, type->name);
		else
			r = 0;
		if (r < 0)
			return r;
	}
	return r < 0 ? err_set(err, EINVAL, "protobuf: %s: truncated or damaged", type->name) : 0;
}

static const struct api_type *type_by_name(const char *name)
{
	for (const struct api_type *const *t = api_type_table; *t; t++)
		if (streq((*t)->name, name))
			return *t;
	return NULL;
}

const struct api_type *api_protobuf_type(const char *api_version, const char *kind)
{
	const char *slash = strchr(api_version, '/');
	const struct api_kind *k;
	char group[128];

	snprintf(group, sizeof(group), "%.*s", slash ? (int)(slash - api_version) : 0, api_version);
	k = api_kind_by_name(group, slash ? slash + 1 : api_version, kind);
	return k ? k->type : type_by_name(kind);
}

/* runtime.Unknown {1: TypeMeta {1: apiVersion, 2: kind}, 2: raw, 3: contentEncoding, 4: contentType} */
int api_protobuf_parse(const void *data, size_t len, json_t **ret, struct err *err)
{
	struct cursor c = { data, (const unsigned char *)data + len }, raw = { c.p, c.p };
	char version[128] = "", kind[128] = "";
	const struct api_type *type;
	struct value v, meta;
	json_t *obj;
	int r;

	if (len < 4 || memcmp(data, "k8s\0", 4) != 0)
		return err_set(err, EINVAL, "protobuf: the body does not begin with \"k8s\\0\"");
	c.p += 4;
	while ((r = read_field(&c, &v)) > 0) {
		if (v.num == 2 && v.wire == WIRE_BYTES)
			raw = v.bytes;
		while (v.num == 1 && v.wire == WIRE_BYTES && read_field(&v.bytes, &meta) > 0)
			if (meta.wire == WIRE_BYTES && meta.num <= 2)
				snprintf(meta.num == 1 ? version : kind, sizeof(version), "%.*s",
					 (int)(meta.bytes.end - meta.bytes.p), (const char *)meta.bytes.p);
	}
	if (r < 0)
		return err_set(err, EINVAL, "protobuf: the envelope is truncated or damaged");
	type = api_protobuf_type(version, kind);
	if (!type)
		return err_set(err, EINVAL, "no kind \"%s\" is registered for version \"%s\"", kind, version);
	obj = json_pack("{s:s,s:s}", "kind", kind, "apiVersion", version);
	if (!obj)
		return err_set(err, EINVAL, "protobuf: kind or apiVersion is not text");
	r = decode_message(type, 0, raw, 0, obj, err);
	if (r < 0) {
		json_decref(obj);
		return r;
	}
	*ret = obj;
	return 0;
}
