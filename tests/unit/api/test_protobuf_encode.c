/* SPDX-License-Identifier: Apache-2.0 */
/* Protobuf as the server writes it: every kind's every field goes out and comes back, and known bytes are right. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/api_types.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "base/strbuf.h"

#define MAX_NESTING 9 /* of types that contain themselves */
#define MAX_SCHEMAS 4 /* of the one that does so in eleven members */

static unsigned counter;

static json_t *sample_of(const struct api_type *type, int depth);

static json_t *sample_value(const struct api_field *f, int depth)
{
	char text[64];

	counter++;
	switch ((enum api_field_type)f->type) {
	case API_STRING:
		snprintf(text, sizeof(text), "%s-%u", f->name, counter);
		return json_string(text);
	case API_BOOL:
		return json_true();
	case API_INT32:
		return json_integer(counter % 2 ? 2147483647 : -7);
	case API_INT64:
		return json_integer(counter % 2 ? (json_int_t)1 << 60 : -1);
	case API_DOUBLE:
		return json_real(2.5);
	case API_QUANTITY:
		return json_string(counter % 2 ? "100m" : "1Gi");
	case API_INT_OR_STRING:
		return counter % 2 ? json_integer(8080) : json_string("25%");
	case API_TIME:
		return json_string(counter % 2 ? "2026-11-23T04:06:25Z" : "1969-12-31T23:59:59Z");
	case API_MICRO_TIME:
		return json_string("2026-11-23T04:06:25.123456Z");
	case API_BYTES:
		return json_string("AAECAw==");
	case API_OBJECT:
		return sample_of(f->object, depth + 1);
	case API_NESTED:
		return NULL; /* of custom kinds only */
	case API_RAW:
		if (streq(f->format, "string-lists"))
			return json_pack("{s:[s,s],s:[s]}", "a/b", "1", "2", "c", "");
		if (streq(f->format, "schema-or-bool"))
			return counter % 2 ? json_true()
					   : json_pack("{s:s,s:b}", "type", "object", "additionalProperties", 0);
		return json_pack("{s:[i,b,n,s]}", "any", 1, 1, "x");
	}
	return NULL;
}

/* An object of the type with every member that has a protobuf form, none of them zero. */
static json_t *sample_of(const struct api_type *type, int depth)
{
	json_t *obj = json_object();

	for (size_t i = 0; i < type->n_fields; i++) {
		const struct api_field *f = &type->fields[i];
		json_t *v;

		if (!f->pb || (f->type == API_RAW && !f->format) || (f->type == API_OBJECT && depth > MAX_NESTING) ||
		    (f->object == &api_type_json_schema_props && depth > MAX_SCHEMAS))
			continue;
		v = sample_value(f, depth);
		if (f->shape == API_LIST) {
			json_t *second = sample_value(f, depth);

			v = json_pack("[o,o]", v, second);
		} else if (f->shape == API_MAP) {
			v = json_pack("{s:o}", "key.example/x", v);
		}
		json_object_set_new(obj, f->name, v);
	}
	return obj;
}

static json_t *read_back(const struct strbuf *sb)
{
	struct err err = ERR_INIT;
	json_t *ret = NULL;

	cr_assert(api_protobuf_parse(sb->buf, sb->len, &ret, &err) == 0, "%s", err.msg);
	return ret;
}

Test(protobuf_encode, every_kind_comes_back_whole)
{
	size_t n;
	const struct api_kind *const *kinds = api_kinds(&n);

	for (size_t i = 0; i < n; i++) {
		cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
		char version[128];
		json_t *want, *got;

		if (!api_protobuf_has(kinds[i]->type))
			continue;
		want = sample_of(kinds[i]->type, 0);
		api_kind_api_version(kinds[i], version, sizeof(version));
		json_object_set_new(want, "kind", json_string(kinds[i]->kind));
		json_object_set_new(want, "apiVersion", json_string(version));
		cr_assert(api_protobuf_write(kinds[i]->type, version, kinds[i]->kind, want, &sb) == 0);
		got = read_back(&sb);
		if (!json_equal(want, got)) {
			cleanup(free) char *a = json_dumps(want, JSON_INDENT(1) | JSON_SORT_KEYS);
			cleanup(free) char *b = json_dumps(got, JSON_INDENT(1) | JSON_SORT_KEYS);

			cr_assert(false, "%s\nwritten: %s\nread: %s", kinds[i]->kind, a, b);
		}
		json_decref(want);
		json_decref(got);
	}
}

static void check_numbers(const struct api_kind *kind, const struct api_type *type, int depth)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct api_field *f = &type->fields[i];

		if (streq(f->name, "apiVersion") || streq(f->name, "kind"))
			if (!f->pb)
				continue;
		cr_assert(f->pb, "%s: %s.%s has no number: it would be lost", kind->kind, type->name, f->name);
		for (size_t k = 0; k < i; k++)
			cr_assert(type->fields[k].pb != f->pb, "%s.%s and %s have one number", type->name, f->name,
				  type->fields[k].name);
		if (f->type == API_OBJECT && depth < MAX_NESTING && f->object != type)
			check_numbers(kind, f->object, depth + 1);
	}
}

Test(protobuf_encode, a_kind_has_all_numbers_or_none)
{
	size_t n, with = 0;
	const struct api_kind *const *kinds = api_kinds(&n);

	for (size_t i = 0; i < n; i++) {
		if (!api_protobuf_has(kinds[i]->type))
			continue;
		with++;
		check_numbers(kinds[i], kinds[i]->type, 0);
	}
	cr_assert(with >= 13);
}

Test(protobuf_encode, a_type_without_numbers_is_known_as_such)
{
	static const struct api_field fields[] = {
		{ .name = "apiVersion" },
		{ .name = "metadata", .pb = 1, .type = API_OBJECT, .object = &api_type_object_meta },
		{ .name = "spec", .type = API_RAW },
	};
	static const struct api_type custom = { .name = "Custom", .fields = fields, .n_fields = 3 };

	cr_assert(!api_protobuf_has(&custom));
	cr_assert(api_protobuf_has(&api_type_pod));
	cr_assert(api_protobuf_has(&api_type_status));
	cr_assert(api_protobuf_has(&api_type_partial_object_metadata));
}

static void expect_bytes(const struct strbuf *sb, const char *want, size_t len)
{
	cr_assert(sb->len == len && !memcmp(sb->buf, want, len), "%zu bytes, %zu expected", sb->len, len);
}
#define EXPECT(sb, text) expect_bytes(sb, text, sizeof(text) - 1)

Test(protobuf_encode, known_bytes)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	json_t *o = json_pack("{s:{s:s,s:n},s:{s:s}}", "metadata", "name", "a", "creationTimestamp", "data", "k", "v");

	cr_assert(api_protobuf_write(&api_type_config_map, "v1", "ConfigMap", o, &sb) == 0);
	EXPECT(&sb, "k8s\0\x0a\x0f\x0a\x02v1\x12\x09"
		    "ConfigMap\x12\x0d\x0a\x03\x0a\x01"
		    "a\x12\x06\x0a\x01k\x12\x01v");
	strbuf_clear(&sb);
	cr_assert(api_protobuf_write_item(&api_type_config_map, o, &sb) == 0);
	EXPECT(&sb, "\x12\x0d\x0a\x03\x0a\x01"
		    "a\x12\x06\x0a\x01k\x12\x01v");
	strbuf_clear(&sb);
	cr_assert(api_protobuf_write_event("ADDED", "xyz", 3, &sb) == 0);
	EXPECT(&sb, "\0\0\0\x0e\x0a\x05"
		    "ADDED\x12\x05\x0a\x03xyz");
	json_decref(o);
}

/* The number a list's length has must be that of list metadata and items together. */
Test(protobuf_encode, a_list_in_pieces_is_one_message)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT, items = STRBUF_INIT, one = STRBUF_INIT;
	json_t *meta = json_pack("{s:s,s:s,s:i}", "resourceVersion", "7", "continue", "abc", "remainingItemCount", 3);
	const unsigned char *p, *end;
	json_t *o;
	size_t len = 0;
	int shift = 0;

	for (int i = 0; i < 40; i++) {
		o = json_pack("{s:{s:s,s:i}}", "metadata", "name", "some-name", "generation", i + 1);
		cr_assert(api_protobuf_write_item(&api_type_pod, o, &items) == 0);
		json_decref(o);
	}
	cr_assert(api_protobuf_write_list("v1", "PodList", meta, items.len, &sb) == 0);
	json_decref(meta);
	strbuf_add(&sb, items.buf, items.len);
	p = memmem(sb.buf, sb.len, "PodList", 7);
	cr_assert(p);
	p += 7;
	end = (unsigned char *)sb.buf + sb.len;
	cr_assert(*p++ == 0x12);
	do {
		len |= (size_t)(*p & 0x7f) << shift;
		shift += 7;
	} while (*p++ & 0x80);
	cr_assert((size_t)(end - p) == len, "%zu said, %zu there", len, (size_t)(end - p));
	cr_assert(p[0] == 0x0a); /* metadata, and the items after it */
	cr_assert(p[2 + p[1]] == 0x12);
}

Test(protobuf_encode, only_metadata_of_anything)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	json_t *o = json_pack("{s:{s:s,s:{s:s}},s:{s:s}}", "metadata", "name", "a", "labels", "b", "c", "spec",
			      "nodeName", "n");

	cr_assert(api_protobuf_write_item(&api_type_partial_object_metadata, o, &sb) == 0);
	cr_assert(sb.len == 2 + 2 + 3 + 2 + 6);
	json_decref(o);
}

/* What does not fit the tables is left out rather than written wrongly: nothing here may crash. */
Test(protobuf_encode, odd_values_do_no_harm)
{
	static const char *const odd[] = {
		"{\"metadata\":5,\"spec\":[],\"status\":\"x\"}",
		"{\"metadata\":{\"name\":{},\"labels\":[1],\"creationTimestamp\":\"never\",\"generation\":1.5}}",
		"{\"spec\":{\"containers\":{\"a\":1},\"nodeSelector\":{\"a\":7},\"volumes\":[null,1,{\"configMap\":null}]}}",
		"{\"data\":{\"a\":\"not base64!\"}}",
	};

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
		json_t *o = json_loads(odd[i], 0, NULL), *back = NULL;

		cr_assert(o);
		cr_assert(api_protobuf_write(&api_type_pod, "v1", "Pod", o, &sb) == 0);
		if (api_protobuf_parse(sb.buf, sb.len, &back, NULL) == 0)
			json_decref(back);
		strbuf_clear(&sb);
		cr_assert(api_protobuf_write(&api_type_secret, "v1", "Secret", o, &sb) == 0);
		json_decref(o);
	}
}
