/* SPDX-License-Identifier: Apache-2.0 */
/* lib/api: label and field selectors. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"

static json_t *json(const char *text)
{
	json_error_t e;
	json_t *v = json_loads(text, JSON_DECODE_ANY, &e);

	cr_assert(v, "%s: %s", text, e.text);
	return v;
}

Test(selector, matches)
{
	static const struct {
		const char *text, *labels;
		bool want;
	} t[] = {
		{ "", "{}", true },
		{ " ", "{\"a\":\"b\"}", true },
		{ "a=b", "{\"a\":\"b\"}", true },
		{ "a==b", "{\"a\":\"b\"}", true },
		{ "a = b", "{\"a\":\"c\"}", false },
		{ "a=b", "{}", false },
		{ "a!=b", "{\"a\":\"b\"}", false },
		{ "a!=b", "{\"a\":\"c\"}", true },
		{ "a != b", "{}", true },
		{ "a=", "{\"a\":\"\"}", true },
		{ "a=", "{\"a\":\"x\"}", false },
		{ "a=,b", "{\"a\":\"\",\"b\":\"1\"}", true },
		{ "a in (b,c)", "{\"a\":\"c\"}", true },
		{ "a in ( b , c )", "{\"a\":\"d\"}", false },
		{ "a in (b)", "{}", false },
		{ "a in ()", "{\"a\":\"\"}", true },
		{ "a in (,b)", "{\"a\":\"\"}", true },
		{ "a notin (b,c)", "{\"a\":\"c\"}", false },
		{ "a notin(b)", "{\"a\":\"d\"}", true },
		{ "a notin (b)", "{}", true },
		{ "a", "{\"a\":\"x\"}", true },
		{ "a", "{}", false },
		{ "!a", "{}", true },
		{ "! a", "{\"a\":\"\"}", false },
		{ "a=b,c in (d,e),!f", "{\"a\":\"b\",\"c\":\"e\"}", true },
		{ "a=b,c in (d,e),!f", "{\"a\":\"b\",\"c\":\"e\",\"f\":\"\"}", false },
		{ "app.kubernetes.io/name=x-1_2.3", "{\"app.kubernetes.io/name\":\"x-1_2.3\"}", true },
		{ "in=notin", "{\"in\":\"notin\"}", true },
		{ "in in (in)", "{\"in\":\"in\"}", true },
		{ "notin", "{\"notin\":\"\"}", true },
		{ "a=b,a=c", "{\"a\":\"b\"}", false },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		json_t *labels = json(t[i].labels), *v;
		struct api_kv kv[8];
		struct api_map map = { 0, kv };
		struct api_selector *s;
		struct err err = ERR_INIT;
		const char *key;

		cr_assert_eq(api_selector_parse(t[i].text, &s, &err), 0, "%s: %s", t[i].text, err.msg);
		cr_assert_eq(api_selector_matches_json(s, labels), t[i].want, "%s on %s", t[i].text, t[i].labels);
		json_object_foreach (labels, key, v) /* the cases have theirs sorted */
			kv[map.n++] = (struct api_kv){ key, json_string_value(v) };
		cr_assert_eq(api_selector_matches(s, &map), t[i].want, "%s on %s", t[i].text, t[i].labels);
		if (!json_object_size(labels))
			cr_assert_eq(api_selector_matches_json(s, NULL), t[i].want);
		cr_assert_eq(api_selector_empty(s), strspn(t[i].text, " ") == strlen(t[i].text));
		api_selector_free(s);
		json_decref(labels);
	}
}

Test(selector, errors_name_the_place)
{
	static const struct {
		const char *text, *words;
	} t[] = {
		{ "a=b,", "position 4" },
		{ ",a", "position 0" },
		{ "a b", "found 'b' at position 2" },
		{ "a in b", "at position 5, expected: '('" },
		{ "a in (b", "',' or ')'" },
		{ "a in (b c)", "position 8" },
		{ "a=b=c", "position 3" },
		{ "!a=b", "position 2" },
		{ "a>1", "found '>1' at position 1" },
		{ "a gt 1", "found 'gt 1'" },
		{ "a lt 1", "position 2" },
		{ "a<1", "position 1" },
		{ "=b", "identifier" },
		{ "a=b c", "position 4" },
		{ "-a=b", "key: Invalid value: \"-a\"" },
		{ "/a=b", "key: Invalid value" },
		{ "A_b/c=d", "key: Invalid value: \"A_b/c\"" },
		{ "a/b/c=d", "key: Invalid value" },
		{ "a=b/c", "values: Invalid value: \"b/c\"" },
		{ "a=-b", "values: Invalid value" },
		{ "a in (b,c-)", "c-" },
		{ "a in (b) c", "position 9" },
		{ "(", "position 0" },
		{ "a==", NULL },
		{ "a\1", "position 1" },
		{ "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg=x", "key: Invalid value" },
		{ "x=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg", "at most 63" },
	};
	struct api_selector *s = NULL;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct err err = ERR_INIT;
		int r = api_selector_parse(t[i].text, &s, &err);

		if (!t[i].words) {
			cr_assert_eq(r, 0);
			api_selector_free(s);
			s = NULL;
			continue;
		}
		cr_assert_eq(r, -EINVAL, "%s", t[i].text);
		cr_assert(strstr(err.msg, t[i].words), "%s: %s", t[i].text, err.msg);
		cr_assert(!s, "outputs are untouched on failure");
		cr_assert_eq(api_selector_parse(t[i].text, &s, NULL), -EINVAL);
	}
}

/* Whatever the bytes: an answer, within bounds. */
Test(selector, any_bytes)
{
	static const char alphabet[] = "ab1 ,=!()<-_./in notin\t\xff";
	unsigned seed = 7;

	for (int i = 0; i < 200000; i++) {
		char text[24];
		struct api_selector *s;
		size_t n = (seed = seed * 1103515245 + 12345) >> 16 & 15, k;

		for (k = 0; k < n; k++)
			text[k] = alphabet[((seed = seed * 1103515245 + 12345) >> 16) % (sizeof(alphabet) - 1)];
		text[n] = '\0';
		if (!api_selector_parse(text, &s, NULL)) {
			(void)api_selector_matches_json(s, NULL);
			api_selector_free(s);
		}
	}
}

Test(selector, bounded)
{
	size_t n = 300;
	char *text = calloc(n, 8), *p = text;
	struct api_selector *s;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < n; i++)
		p += sprintf(p, "%sk%zu", i ? "," : "", i);
	cr_assert_eq(api_selector_parse(text, &s, &err), -EINVAL);
	cr_assert(strstr(err.msg, "more than 256"), "%s", err.msg);
	free(text);
}

Test(selector, from_objects)
{
	static const struct {
		const char *selector, *labels;
		bool want;
	} t[] = {
		{ "{}", "{\"a\":\"b\"}", true },
		{ "null", "{}", false },
		{ "{\"matchLabels\":{\"a\":\"b\"}}", "{\"a\":\"b\",\"c\":\"d\"}", true },
		{ "{\"matchLabels\":{\"a\":\"b\"}}", "{\"a\":\"c\"}", false },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"b\",\"c\"]}]}",
		  "{\"a\":\"c\"}", true },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"NotIn\",\"values\":[\"b\",\"c\"]}]}",
		  "{\"a\":\"c\"}", false },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"NotIn\",\"values\":[\"b\"]}]}", "{}", true },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\"}]}", "{\"a\":\"\"}", true },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"DoesNotExist\"}]}", "{\"a\":\"\"}", false },
		{ "{\"matchLabels\":{\"a\":\"b\"},\"matchExpressions\":[{\"key\":\"c\",\"operator\":\"Exists\"}]}",
		  "{\"a\":\"b\"}", false },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		json_t *sel = json(t[i].selector), *labels = json(t[i].labels), *v;
		struct arena arena = ARENA_INIT;
		struct api_label_selector *typed = NULL;
		struct api_selector *s;
		struct api_kv kv[4];
		struct api_map map = { 0, kv };
		struct err err = ERR_INIT;
		const char *key;

		cr_assert_eq(api_selector_from_json(sel, &s, &err), 0, "%s", err.msg);
		cr_assert_eq(api_selector_matches_json(s, labels), t[i].want, "%s on %s", t[i].selector, t[i].labels);
		api_selector_free(s);
		json_object_foreach (labels, key, v)
			kv[map.n++] = (struct api_kv){ key, json_string_value(v) };
		if (json_is_object(sel))
			cr_assert_eq(api_decode(&api_type_label_selector, sel, &arena, &typed, &err), 0, "%s", err.msg);
		cr_assert_eq(api_label_selector_matches(typed, &map), t[i].want, "%s on %s", t[i].selector,
			     t[i].labels);
		arena_done(&arena);
		json_decref(sel);
		json_decref(labels);
	}
}

Test(selector, objects_that_are_wrong)
{
	static const struct {
		const char *selector, *words;
	} t[] = {
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Gt\",\"values\":[\"1\"]}]}",
		  "\"Gt\" is not a valid label selector operator" },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]}", "at least one value" },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\",\"values\":[\"1\"]}]}", "no values" },
		{ "{\"matchExpressions\":[{\"operator\":\"In\"}]}", "" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		json_t *sel = json(t[i].selector);
		struct api_selector *s;
		struct err err = ERR_INIT;

		cr_assert(api_selector_from_json(sel, &s, &err) < 0, "%s", t[i].selector);
		cr_assert(strstr(err.msg, t[i].words), "%s", err.msg);
		json_decref(sel);
	}
}

Test(field_selector, matches)
{
	static const struct {
		const struct api_kind *kind;
		const char *text;
		bool want;
	} t[] = {
		{ &api_kind_pod, "", true },
		{ &api_kind_pod, "spec.nodeName=n1", true },
		{ &api_kind_pod, "spec.nodeName==n2", false },
		{ &api_kind_pod, "spec.nodeName!=n2,metadata.name=p", true },
		{ &api_kind_pod, "metadata.namespace=d", true },
		{ &api_kind_pod, "status.phase=", true },
		{ &api_kind_pod, "status.phase!=Running", true },
		{ &api_kind_pod, "metadata.name=p\\,q", false },
		{ &api_kind_pod, "metadata.name=a\\=b\\\\", false },
		{ &api_kind_node, "spec.unschedulable=false", true },
		{ &api_kind_node, "spec.unschedulable=true", false },
	};
	json_t *obj = json("{\"metadata\":{\"name\":\"p\",\"namespace\":\"d\"},\"spec\":{\"nodeName\":\"n1\"}}");

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct api_field_selector *s;
		struct err err = ERR_INIT;

		cr_assert_eq(api_field_selector_parse(t[i].kind, t[i].text, &s, &err), 0, "%s: %s", t[i].text, err.msg);
		cr_assert_eq(api_field_selector_matches(s, obj), t[i].want, "%s", t[i].text);
		api_field_selector_free(s);
	}
	json_decref(obj);
}

Test(field_selector, exact_terms_and_errors)
{
	static const struct {
		const struct api_kind *kind;
		const char *text, *words;
	} t[] = {
		{ &api_kind_pod, "spec.image=x", "field label not supported: spec.image" },
		{ &api_kind_node, "metadata.namespace=x", "not supported" },
		{ &api_kind_pod, "metadata.name", "can't understand 'metadata.name'" },
		{ &api_kind_pod, "metadata.name=a=b", "unescaped character" },
		{ &api_kind_pod, "metadata.name=a\\b", "invalid escape sequence" },
		{ &api_kind_pod, "a=b,", "not supported" },
	};
	struct api_field_selector *s;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		cr_assert_eq(api_field_selector_parse(t[i].kind, t[i].text, &s, &err), -EINVAL, "%s", t[i].text);
		cr_assert(strstr(err.msg, t[i].words), "%s: %s", t[i].text, err.msg);
	}
	cr_assert_eq(api_field_selector_parse(&api_kind_pod, "spec.nodeName=a\\,b,metadata.name!=c", &s, &err), 0);
	cr_assert_str_eq(api_field_selector_exact(s, "spec.nodeName"), "a,b");
	cr_assert(!api_field_selector_exact(s, "metadata.name"));
	api_field_selector_free(s);
}
