/* SPDX-License-Identifier: Apache-2.0 */
/* lib/api: custom kinds. What schemas make of documents, and what is said of schemas that make no sense. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api-internal.h"
#include "api/api_types.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "../documents.h"

/* A definition with one version, whose schema has these members at its root. */
static json_t *definition(const char *root)
{
	json_t *crd = json_pack("{s:s,s:s,s:{s:s},s:{s:s,s:s,s:{s:s,s:s},s:[{s:s,s:b,s:b,s:{s:o}}]}}", "apiVersion",
				"apiextensions.k8s.io/v1", "kind", "CustomResourceDefinition", "metadata", "name",
				"things.example.com", "spec", "group", "example.com", "scope", "Namespaced", "names",
				"plural", "things", "kind", "Thing", "versions", "name", "v1", "served", 1, "storage",
				1, "schema", "openAPIV3Schema", from_json(root));

	cr_assert(crd);
	api_default(&api_kind_custom_resource_definition, crd);
	return crd;
}

/* spec: the schema of spec. */
static struct api_custom *compile(const char *spec)
{
	struct api_custom *c = NULL;
	struct api_errs errs = { 0 };
	struct err err = ERR_INIT;
	char *root, said[2048];
	json_t *crd;

	cr_assert(asprintf(&root, "{\"type\":\"object\",\"properties\":{\"spec\":%s}}", spec) > 0);
	crd = definition(root);
	free(root);
	api_check(&api_type_custom_resource_definition, crd, &errs);
	api_validate(&api_kind_custom_resource_definition, crd, NULL, &errs);
	errs_text(&errs, said, sizeof(said));
	cr_assert_eq(errs.n, 0, "%s: %s", spec, said);
	cr_assert_eq(api_custom_new(crd, json_array_get(api_get(crd, "spec.versions"), 0), &c, &err), 0, "%s", err.msg);
	json_decref(crd);
	return c;
}

static json_t *thing(const char *spec)
{
	return json_pack("{s:s,s:s,s:{s:s,s:s},s:o}", "apiVersion", "example.com/v1", "kind", "Thing", "metadata",
			 "name", "a", "namespace", "b", "spec", from_json(spec));
}

/* --- pruning and defaults ----------------------------------------------------------------------------------------- */

Test(custom, what_is_kept_dropped_and_filled_in)
{
	static const struct {
		const char *schema, *spec, *want, *unknown;
	} cases[] = {
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":\"x\",\"b\":1}",
		  "{\"a\":\"x\"}", "spec.b" },
		{ "{\"type\":\"object\"}", "{\"a\":1}", "{}", "spec.a" },
		{ "{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true,\"properties\":{\"a\":{\"type\":\"object\"}}}",
		  "{\"a\":{\"x\":1},\"b\":{\"y\":2}}", "{\"a\":{},\"b\":{\"y\":2}}", "spec.a.x" },
		{ "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":"
		  "{\"n\":{\"type\":\"integer\",\"default\":7}}}}}",
		  "{\"k\":[{\"z\":1},{\"n\":2}],\"l\":[]}", "{\"k\":[{\"n\":7},{\"n\":2}],\"l\":[]}", "spec.k[0].z" },
		{ "{\"type\":\"object\",\"properties\":{\"m\":{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"type\":"
		  "\"object\",\"properties\":{\"n\":{\"type\":\"boolean\"}}}}}}}",
		  "{\"m\":[[{\"n\":true,\"o\":1}]]}", "{\"m\":[[{\"n\":true}]]}", "spec.m[0][0].o" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\",\"default\":{},\"properties\":{\"b\":{\"type\":"
		  "\"string\",\"default\":\"c\"}}}}}",
		  "{}", "{\"a\":{\"b\":\"c\"}}", NULL },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"default\":\"d\"},\"b\":{\"type\":\"string\","
		  "\"nullable\":true,\"default\":\"e\"},\"c\":{\"type\":\"string\"}}}",
		  "{\"a\":null,\"b\":null,\"c\":null}", "{\"a\":\"d\",\"b\":null}", NULL },
		{ "{\"type\":\"object\",\"additionalProperties\":true}", "{\"a\":{\"b\":[1,null]}}",
		  "{\"a\":{\"b\":[1,null]}}", NULL },
		{ "{\"type\":\"object\",\"properties\":{\"o\":{\"type\":\"object\",\"x-kubernetes-embedded-resource\":true,"
		  "\"properties\":{\"spec\":{\"type\":\"object\"}}}}}",
		  "{\"o\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\",\"odd\":1},\"x\":1,\"spec\":{}}}",
		  "{\"o\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\"},\"spec\":{}}}",
		  "spec.o.metadata.odd" },
		/* Wrong types are passed through: the schema tells them later. */
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"array\",\"items\":"
		  "{\"type\":\"string\"}}}}}}",
		  "{\"a\":[{\"b\":\"x\"}]}", "{\"a\":[{\"b\":\"x\"}]}", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct api_custom *c = compile(cases[i].schema);
		json_t *obj = thing(cases[i].spec), *want = from_json(cases[i].want);
		struct api_errs errs = { 0 };
		char said[1024], *got;

		api_check(c->kind.type, obj, &errs);
		errs_text(&errs, said, sizeof(said));
		cr_assert(cases[i].unknown ? strstr(said, cases[i].unknown) != NULL : !errs.n, "case %zu: '%s'", i,
			  said);
		api_errs_done(&errs);
		api_prune(c->kind.type, obj);
		api_default(&c->kind, obj);
		got = json_dumps(json_object_get(obj, "spec"), JSON_COMPACT);
		cr_assert(json_equal(json_object_get(obj, "spec"), want), "case %zu: %s", i, got);
		free(got);
		json_decref(obj);
		json_decref(want);
		api_custom_free(c);
	}
}

/* --- rules -------------------------------------------------------------------------------------------------------- */

#define ONE(schema) "{\"type\":\"object\",\"properties\":{\"v\":" schema "}}"

Test(custom, what_a_schema_says_of_values)
{
	static const struct {
		const char *schema, *spec, *want; /* "": fine */
	} cases[] = {
		{ ONE("{\"type\":\"integer\"}"), "{\"v\":1.0}", "" },
		{ ONE("{\"type\":\"integer\"}"), "{\"v\":1.5}", "spec.v in body must be of type integer: \"number\"" },
		{ ONE("{\"type\":\"number\"}"), "{\"v\":1}", "" },
		{ ONE("{\"type\":\"boolean\"}"), "{\"v\":\"true\"}",
		  "spec.v: Invalid value: \"string\": spec.v in body must be of type boolean: \"string\"" },
		{ ONE("{\"type\":\"string\",\"nullable\":true}"), "{\"v\":null}", "" },
		{ ONE("{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"), "{\"v\":[null]}",
		  "spec.v[0] in body must be of type string: \"null\"" },
		{ ONE("{\"x-kubernetes-int-or-string\":true}"), "{\"v\":\"x\"}", "" },
		{ ONE("{\"x-kubernetes-int-or-string\":true}"), "{\"v\":3}", "" },
		{ ONE("{\"x-kubernetes-int-or-string\":true}"), "{\"v\":true}",
		  "must be of type integer,string: \"boolean\"" },
		{ ONE("{\"x-kubernetes-int-or-string\":true,\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"pattern\":\"^x\"}"),
		  "{\"v\":\"y\"}", "should match '^x'" },
		{ ONE("{\"type\":\"string\",\"enum\":[\"a\",\"b\"]}"), "{\"v\":\"c\"}",
		  "spec.v: Unsupported value: \"c\": supported values: \"a\", \"b\"" },
		{ ONE("{\"type\":\"integer\",\"enum\":[1,2]}"), "{\"v\":2}", "" },
		{ ONE("{\"type\":\"string\",\"minLength\":2}"), "{\"v\":\"a\"}",
		  "spec.v in body should be at least 2 chars long" },
		{ ONE("{\"type\":\"string\",\"maxLength\":2}"), "{\"v\":\"\\u00e4\\u00f6\"}", "" },
		{ ONE("{\"type\":\"string\",\"maxLength\":2}"), "{\"v\":\"abc\"}",
		  "spec.v: Too long: may not be more than 2 bytes" },
		{ ONE("{\"type\":\"string\",\"pattern\":\"^a+$\"}"), "{\"v\":\"aa\"}", "" },
		{ ONE("{\"type\":\"string\",\"pattern\":\"^a+$\"}"), "{\"v\":\"aa\\n\"}", "should match '^a+$'" },
		{ ONE("{\"type\":\"string\",\"pattern\":\"^(a+)+$\"}"),
		  "{\"v\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"}", "should match" },
		{ ONE("{\"type\":\"number\",\"minimum\":1.5}"), "{\"v\":1}",
		  "spec.v in body should be greater than or equal to 1.5" },
		{ ONE("{\"type\":\"integer\",\"minimum\":1,\"exclusiveMinimum\":true}"), "{\"v\":1}",
		  "should be greater than 1" },
		{ ONE("{\"type\":\"integer\",\"maximum\":5,\"exclusiveMaximum\":true}"), "{\"v\":5}",
		  "should be less than 5" },
		{ ONE("{\"type\":\"number\",\"multipleOf\":0.1}"), "{\"v\":0.3}", "" },
		{ ONE("{\"type\":\"integer\",\"multipleOf\":5}"), "{\"v\":7}", "should be a multiple of 5" },
		{ ONE("{\"type\":\"integer\",\"format\":\"int32\"}"), "{\"v\":3000000000}", "must be of type int32" },
		{ ONE("{\"type\":\"array\",\"maxItems\":1,\"items\":{\"type\":\"integer\"}}"), "{\"v\":[1,2]}",
		  "spec.v: Too many: 2: must have at most 1 items" },
		{ ONE("{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"integer\"}}"), "{\"v\":[]}",
		  "should have at least 1 items" },
		{ ONE("{\"type\":\"array\",\"x-kubernetes-list-type\":\"set\",\"items\":{\"type\":\"string\"}}"),
		  "{\"v\":[\"a\",\"b\",\"a\"]}", "spec.v[2]: Duplicate value: \"a\"" },
		{ ONE("{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"k\"],\"items\":{\"type\":\"object\",\"required\":[\"k\"],\"properties\":{\"k\":{\"type\":\"string\"}}}}"),
		  "{\"v\":[{\"k\":\"a\"},{\"k\":\"a\"}]}", "spec.v[1]: Duplicate value: {\"k\":\"a\"}" },
		{ ONE("{\"type\":\"object\",\"minProperties\":1,\"maxProperties\":2,\"additionalProperties\":{\"type\":\"string\"}}"),
		  "{\"v\":{}}", "should have at least 1 properties" },
		{ ONE("{\"type\":\"object\",\"minProperties\":1,\"maxProperties\":2,\"additionalProperties\":{\"type\":\"string\"}}"),
		  "{\"v\":{\"a\":\"\",\"b\":\"\",\"c\":\"\"}}", "Too many: 3: must have at most 2 items" },
		{ ONE("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}"), "{\"v\":{\"a\":1}}",
		  "spec.v.a in body must be of type string" },
		{ "{\"type\":\"object\",\"required\":[\"v\"],\"properties\":{\"v\":{\"type\":\"string\"}}}", "{}",
		  "spec.v: Required value" },
		{ ONE("{\"type\":\"string\",\"format\":\"date-time\"}"), "{\"v\":\"2026-01-01T00:00:00Z\"}", "" },
		{ ONE("{\"type\":\"string\",\"format\":\"date-time\"}"), "{\"v\":\"yesterday\"}",
		  "must be of type date-time: \"yesterday\"" },
		{ ONE("{\"type\":\"string\",\"format\":\"ipv4\"}"), "{\"v\":\"1.2.3.256\"}", "must be of type ipv4" },
		{ ONE("{\"type\":\"string\",\"format\":\"cidr\"}"), "{\"v\":\"10.0.0.0/8\"}", "" },
		{ ONE("{\"type\":\"string\",\"format\":\"uuid\"}"), "{\"v\":\"f81d4fae-7dec-11d0-a765-00a0c91e6bf6\"}",
		  "" },
		{ ONE("{\"type\":\"string\",\"format\":\"duration\"}"), "{\"v\":\"1h5m\"}", "" },
		{ ONE("{\"type\":\"string\",\"format\":\"nobody-knows\"}"), "{\"v\":\"x\"}", "" },
		{ ONE("{\"type\":\"string\",\"anyOf\":[{\"pattern\":\"^a\"},{\"pattern\":\"^b\"}]}"), "{\"v\":\"bx\"}",
		  "" },
		{ ONE("{\"type\":\"string\",\"anyOf\":[{\"pattern\":\"^a\"},{\"pattern\":\"^b\"}]}"), "{\"v\":\"cx\"}",
		  "spec.v: Invalid value: \"\": \"spec.v\" must validate at least one schema (anyOf)" },
		{ ONE("{\"type\":\"integer\",\"oneOf\":[{\"minimum\":1},{\"maximum\":5}]}"), "{\"v\":3}",
		  "must validate one and only one schema (oneOf). Found more than one valid" },
		{ ONE("{\"type\":\"integer\",\"allOf\":[{\"minimum\":1},{\"maximum\":5}]}"), "{\"v\":9}",
		  "must validate all the schemas (allOf)" },
		{ ONE("{\"type\":\"string\",\"not\":{\"enum\":[\"x\"]}}"), "{\"v\":\"x\"}",
		  "must not validate the schema (not)" },
		{ ONE("{\"type\":\"object\",\"x-kubernetes-embedded-resource\":true,\"x-kubernetes-preserve-unknown-fields\":true}"),
		  "{\"v\":{\"kind\":\"A\"}}", "spec.v.apiVersion: Required value: must not be empty" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct api_custom *c = compile(cases[i].schema);
		json_t *obj = thing(cases[i].spec);
		struct api_errs errs = { 0 };
		char said[2048];

		api_validate(&c->kind, obj, NULL, &errs);
		errs_text(&errs, said, sizeof(said));
		if (*cases[i].want)
			cr_assert(strstr(said, cases[i].want), "case %zu: said '%s', not '%s'", i, said, cases[i].want);
		else
			cr_assert_eq(errs.n, 0, "case %zu: said '%s'", i, said);
		api_errs_done(&errs);
		json_decref(obj);
		api_custom_free(c);
	}
}

/* --- schemas that are not structural ------------------------------------------------------------------------------ */

Test(custom, what_is_said_of_schemas)
{
	static const struct {
		const char *root, *want;
	} cases[] = {
		{ "{}", "openAPIV3Schema.type: Required value: must not be empty at the root" },
		{ "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", "must be object at the root" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{}}}",
		  "properties[a].type: Required value: must not be empty for specified object fields" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\"}}}",
		  "properties[a].items: Required value: must be specified" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{}}}}",
		  "items.type: Required value: must not be empty for specified array items" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"text\"}}}",
		  "properties[a].type: Unsupported value: \"text\"" },
		{ "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}",
		  "must not be used at the root" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"string\"}},\"additionalProperties\":{\"type\":\"string\"}}}}",
		  "additionalProperties and properties are mutual exclusive" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"anyOf\":[{\"type\":\"string\"}]}}}",
		  "anyOf[0].type: Forbidden: must be empty to be structural" },
		{ "{\"type\":\"object\",\"anyOf\":[{\"properties\":{\"b\":{\"minimum\":1}}}]}",
		  "anyOf[0].properties[b]: Required value: because it is defined in a nested context" },
		{ "{\"type\":\"object\",\"properties\":{\"metadata\":{\"type\":\"object\",\"properties\":{\"labels\":{\"type\":\"object\"}}}}}",
		  "must not specify anything other than name and generateName" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":false}}}",
		  "must be true or undefined" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"type\":\"string\"}}}}",
		  "uniqueItems cannot be set to true" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\",\"items\":{\"type\":\"object\"}}}}",
		  "must not be empty if x-kubernetes-list-type is map" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"k\"],\"items\":{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"string\"}}}}}}",
		  "so it must have a default or be a required property" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"bag\",\"items\":{\"type\":\"string\"}}}}",
		  "x-kubernetes-list-type: Unsupported value: \"bag\"" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"x-kubernetes-map-type\":\"atomic\"}}}",
		  "must be object if x-kubernetes-map-type is specified" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"x-kubernetes-embedded-resource\":true}}}",
		  "must be object if x-kubernetes-embedded-resource is true" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"(a\"}}}",
		  "must be a valid regular expression" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"(a)\\\\1\"}}}",
		  "back references are not supported" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"default\":\"x\"}}}",
		  "properties[a].default: Invalid value" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/x\",\"type\":\"string\"}}}",
		  "$ref is not supported" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\",\"x-kubernetes-validations\":[{\"rule\":\"x\"}]}}}}",
		  "x-kubernetes-validations is not supported by Skep yet" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *crd = definition(cases[i].root);
		struct api_errs errs = { 0 };
		char said[4096];

		api_validate(&api_kind_custom_resource_definition, crd, NULL, &errs);
		errs_text(&errs, said, sizeof(said));
		cr_assert(strstr(said, cases[i].want), "case %zu: said '%s', not '%s'", i, said, cases[i].want);
		api_errs_done(&errs);
		json_decref(crd);
	}
}

Test(custom, joins_within_joins_cost_no_more_than_they_are)
{
	struct api_custom *c;
	struct api_errs errs = { 0 };
	struct strbuf sb = STRBUF_INIT;
	json_t *obj;

	/* 30 levels of allOf and anyOf: tried twice each, they would take a billion steps. */
	strbuf_adds(&sb, "{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"string\",");
	for (int i = 0; i < 30; i++)
		strbuf_adds(&sb, i % 2 ? "\"allOf\":[{" : "\"anyOf\":[{");
	strbuf_adds(&sb, "\"pattern\":\"^x\"");
	for (int i = 0; i < 30; i++)
		strbuf_adds(&sb, "}]");
	strbuf_adds(&sb, "}}}");
	c = compile(sb.buf);
	obj = thing("{\"v\":\"y\"}");
	api_validate(&c->kind, obj, NULL, &errs);
	cr_assert(errs.n > 1);
	api_errs_done(&errs);
	json_decref(obj);
	api_custom_free(c);
	strbuf_done(&sb);
}

Test(custom, what_is_said_is_short_and_utf8)
{
	struct api_custom *c =
		compile("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\",\"pattern\":\"^x\"}}");
	struct api_errs errs = { 0 };
	struct strbuf sb = STRBUF_INIT;
	json_t *obj, *st;

	strbuf_adds(&sb, "{\"k");
	for (int i = 0; i < 20000; i++)
		strbuf_adds(&sb, "\u00e4");
	strbuf_adds(&sb, "\":\"");
	for (int i = 0; i < 20000; i++)
		strbuf_adds(&sb, "\u00f6");
	strbuf_adds(&sb, "\"}");
	obj = thing(sb.buf);
	api_validate(&c->kind, obj, NULL, &errs);
	cr_assert(errs.n == 1 && strlen(errs.v[0].text) <= 8192 && strlen(errs.v[0].field) < 600);
	st = api_status_invalid(&c->kind, "a", &errs);
	cr_assert(api_get_str(st, "message"));
	json_decref(st);
	api_errs_done(&errs);
	json_decref(obj);
	api_custom_free(c);
	strbuf_done(&sb);
}

/* --- the rest ----------------------------------------------------------------------------------------------------- */

Test(custom, versions_are_ordered_as_kubernetes_does)
{
	static const char *const order[] = { "v10",	"v2",	     "v1",	  "v11beta2", "v10beta3",
					     "v3beta1", "v12alpha1", "v11alpha2", "foo1",     "foo10" };
	size_t n = sizeof(order) / sizeof(order[0]);

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++)
			cr_assert((api_version_compare(order[i], order[j]) < 0) == (i < j), "%s %s", order[i],
				  order[j]);
}

Test(custom, paths_of_columns)
{
	json_t *o =
		from_json("{\"a\":{\"b.c\":1,\"l\":[{\"t\":\"x\",\"s\":1},{\"t\":\"y\",\"s\":true}]},\"n\":[1,2,3]}");
	static const struct {
		const char *path, *want; /* NULL: nothing there */
	} cases[] = {
		{ ".a['b.c']", "1" },
		{ ".a.l[?(@.t==\"y\")].s", "true" },
		{ ".a.l[?(@.t == 'z')].s", NULL },
		{ ".a.l[?(@.t!='x')].s", "true" },
		{ ".a.l[*].s", "1" },
		{ ".n[-1]", "3" },
		{ ".n[7]", NULL },
		{ "$.a.l[0].t", "\"x\"" },
		{ ".a.b\\.c", "1" },
		{ ".a.l[?(@.s==true)].t", "\"y\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const json_t *v = api_jsonpath_first(o, cases[i].path);
		char *text = v ? json_dumps(v, JSON_ENCODE_ANY) : NULL;

		cr_assert(api_jsonpath_ok(cases[i].path), "%s", cases[i].path);
		cr_assert(streq(text, cases[i].want), "%s: %s", cases[i].path, text ? text : "nothing");
		free(text);
	}
	cr_assert(!api_jsonpath_ok("") && !api_jsonpath_ok("a b") && !api_jsonpath_ok(".a[") &&
		  !api_jsonpath_ok(".a[?(@.x>1)]"));
	json_decref(o);
}

Test(custom, tables_columns_and_names_come_from_the_definition)
{
	struct api_custom *c = compile(
		"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"array\","
		"\"items\":{\"type\":\"string\"}}}}}");
	const struct api_field *f = api_type_field(c->kind.type, "spec");

	cr_assert_str_eq(c->kind.singular, "thing");
	cr_assert_str_eq(c->kind.list_kind, "ThingList");
	cr_assert_str_eq(c->kind.type->package, "com.example.v1");
	cr_assert(c->kind.n_columns == 2 && streq(c->kind.columns[1].name, "Age"));
	f = api_type_field(f->object, "a");
	cr_assert(f->shape == API_LIST && f->type == API_NESTED && f->nested->shape == API_LIST &&
		  f->nested->type == API_STRING);
	api_custom_free(c);
}
