/* SPDX-License-Identifier: Apache-2.0 */
/* lib/api: YAML in and out. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"

static char *to_json(const char *yaml, struct err *err)
{
	json_t *docs = NULL;
	char *text;

	if (api_yaml_parse(yaml, strlen(yaml), &docs, NULL, err) < 0)
		return NULL;
	text = json_dumps(docs, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
	json_decref(docs);
	return text;
}

Test(api_yaml, reads_as_kubernetes_does)
{
	static const struct {
		const char *yaml, *json;
	} t[] = {
		{ "a: 1\nb: x\n", "[{\"a\":1,\"b\":\"x\"}]" },
		{ "a: 'yes'\nb: yes\nc: Off\nd: \"1\"\ne: y\n",
		  "[{\"a\":\"yes\",\"b\":true,\"c\":false,\"d\":\"1\",\"e\":\"y\"}]" },
		{ "mode: 0644\nhex: 0x1F\noct: 0o17\nbin: 0b101\nbig: 1_000\n",
		  "[{\"big\":1000,\"bin\":5,\"hex\":31,\"mode\":420,\"oct\":15}]" },
		{ "a: 1.5\nb: 1e3\nc: 1.0\nd: 1.2.3\ne: -7\nf: .5\ng: 08\nh: '0'\n",
		  "[{\"a\":1.5,\"b\":1000,\"c\":1,\"d\":\"1.2.3\",\"e\":-7,\"f\":0.5,\"g\":8,\"h\":\"0\"}]" },
		{ "a: ~\nb:\nc: null\nd: ''\n", "[{\"a\":null,\"b\":null,\"c\":null,\"d\":\"\"}]" },
		{ "a: !!str 1\nb: !!str yes\nc: !!int 3\n", "[{\"a\":\"1\",\"b\":\"yes\",\"c\":3}]" },
		{ "- a\n- [1, {b: c}]\n", "[[\"a\",[1,{\"b\":\"c\"}]]]" },
		{ "a: 1\n---\n---\nb: 2\n---\n# nothing\n", "[{\"a\":1},{\"b\":2}]" },
		{ "{\"a\": [true, null, \"x\"]}", "[{\"a\":[true,null,\"x\"]}]" },
		{ "a: &x {k: v}\nb: *x\n", "[{\"a\":{\"k\":\"v\"},\"b\":{\"k\":\"v\"}}]" },
		{ "a: &x {k: v, l: w}\nb:\n  <<: *x\n  k: own\n",
		  "[{\"a\":{\"k\":\"v\",\"l\":\"w\"},\"b\":{\"k\":\"own\",\"l\":\"w\"}}]" },
		{ "1: a\nyes: b\n", "[{\"1\":\"a\",\"yes\":\"b\"}]" },
		{ "a: |\n  x\n  y\nb: >\n  x\n  y\n", "[{\"a\":\"x\\ny\\n\",\"b\":\"x y\\n\"}]" },
		{ "t: 2026-01-02T03:04:05Z\nd: 2026-01-02\ncpu: 100m\n",
		  "[{\"cpu\":\"100m\",\"d\":\"2026-01-02\",\"t\":\"2026-01-02T03:04:05Z\"}]" },
		{ "", "[]" },
		{ "# only a comment\n", "[]" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct err err = ERR_INIT;
		char *json = to_json(t[i].yaml, &err);

		cr_assert(json, "case %zu: %s", i, err.msg);
		cr_assert_str_eq(json, t[i].json);
		free(json);
	}
}

Test(api_yaml, says_what_is_wrong_and_where)
{
	static const struct {
		const char *yaml, *said;
	} t[] = {
		{ "a: 1\nb: 2\na: 3\n", "line 3: key \"a\" is there already" },
		{ "a: [1\n", "line 2" },
		{ "a:\n\t- b\n", "line 2" },
		{ "a: !custom x\n", "line 1, column 4: this tag" },
		{ "a: .inf\n", "JSON has no such number" },
		{ "? [a]\n: b\n", "a key must be a scalar" },
		{ "a: &a [*a]\n", "undefined alias" },
		{ "a: *b\n", "undefined alias" },
		{ "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
		  "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
		  "too large with its anchors expanded" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct err err = ERR_INIT;
		char *json = to_json(t[i].yaml, &err);

		cr_assert(!json, "case %zu: %s", i, json);
		cr_assert_eq(err.code, EINVAL);
		cr_assert(strstr(err.msg, t[i].said), "case %zu: %s", i, err.msg);
	}
}

Test(api_yaml, knows_lines)
{
	const char *yaml =
		"# first\na: 1\n---\nkind: Pod\nspec:\n  containers:\n  - name: c\n    image: i\n  - name: d\n    ports:\n    - {containerPort: 1}\n";
	size_t len = strlen(yaml);
	json_t *docs = NULL;
	int *lines = NULL;
	struct err err = ERR_INIT;

	cr_assert_eq(api_yaml_parse(yaml, len, &docs, &lines, &err), 0);
	cr_assert_eq(lines[0], 2);
	cr_assert_eq(lines[1], 4);
	cr_assert_eq(api_yaml_line_of(yaml, len, 1, "kind"), 4);
	cr_assert_eq(api_yaml_line_of(yaml, len, 1, "spec.containers[0].image"), 8);
	cr_assert_eq(api_yaml_line_of(yaml, len, 1, "spec.containers[1].ports[0].containerPort"), 11);
	cr_assert_eq(api_yaml_line_of(yaml, len, 1, "spec.containers[1].image"), 9);
	cr_assert_eq(api_yaml_line_of(yaml, len, 2, "kind"), 0);
	json_decref(docs);
	free(lines);
}

Test(api_yaml, writes_what_it_reads_back)
{
	static const char *const strings[] = {
		"",
		"a",
		"yes",
		"y",
		"true",
		"null",
		"~",
		"1",
		"0x1",
		"1.5",
		"1e3",
		"-",
		"- a",
		"-a",
		"a: b",
		"a:b",
		"a:",
		"a #b",
		"a#b",
		"#a",
		" a",
		"a ",
		"'",
		"\"",
		"it's",
		"\"quoted\"",
		"a\nb",
		"a\nb\n",
		"a\n\n",
		"\na",
		" a\nb",
		"a\n b\n",
		"\ta\nb",
		"a \nb",
		"a\tb",
		"a\tb\nc",
		"{a}",
		"[a]",
		"*a",
		"&a",
		"!a",
		"%a",
		"@a",
		"`a`",
		"|",
		">",
		"?",
		"? a",
		"---",
		"...",
		"--- a",
		"2026-01-02",
		"2026-01-02T03:04:05Z",
		"100m",
		"a\\b",
		"\xc3\xa9",
		"<<",
		"=",
		"a, b",
		"\x01",
		"a\r\nb",
		"0o7",
		"+1",
		".5",
		"1_000",
		"nginx:1.2",
		"http://a/b?c=d&e#f",
		"-1",
		"--flag",
		"--flag=a b",
		"a\n\nb\n\n\n",
		"\n",
		"\n\n",
		":",
		"::",
		":a",
		".inf",
		"a\nb: c\n# d\n",
	};

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		json_t *o = json_pack("{s:s, s:[s, {s:s, s:[[s]]}], s:{s:s}}", "k", strings[i], "l", strings[i], "m",
				      strings[i], "n", strings[i], "o", strings[i], "p");
		struct strbuf sb = STRBUF_INIT;
		struct err err = ERR_INIT;
		json_t *docs = NULL;
		int r;

		api_yaml_write(o, &sb);
		cr_assert(!strbuf_oom(&sb));
		r = api_yaml_parse(sb.buf, sb.len, &docs, NULL, &err);
		cr_assert_eq(r, 0, "case %zu: %s in:\n%s", i, err.msg, sb.buf);
		cr_assert(json_equal(json_array_get(docs, 0), o), "case %zu:\n%s", i, sb.buf);
		json_decref(docs);
		json_decref(o);
		strbuf_done(&sb);
	}
}

Test(api_yaml, writes_as_kubectl_does)
{
	json_t *o = json_loads(
		"{\"b\":[{\"y\":1,\"x\":\"1\"},\"a\"],\"a\":{\"e\":{},\"l\":[],\"t\":true,\"m\":\"x\\ny\\n\"},\"c\":null}",
		0, NULL);
	struct strbuf sb = STRBUF_INIT;

	api_yaml_write(o, &sb);
	cr_assert_str_eq(
		sb.buf,
		"a:\n  e: {}\n  l: []\n  m: |\n    x\n    y\n  t: true\nb:\n- x: \"1\"\n  \"y\": 1\n- a\nc: null\n");
	json_decref(o);
	strbuf_done(&sb);
}

/* Found by fuzzing: characters that YAML takes for line ends or does not allow, texts of several lines alone, digits.
 */
Test(yaml, what_is_written_reads_the_same)
{
	static const char *const values[] = {
		"\"d\\u0085\"",
		"\"a\\u2028b\\u2029\"",
		"\"\\ufeffx\"",
		"\"\\u007f\"",
		"\"\\u0085\\n\"",
		"\"0\\nfolded\"",
		"{\"k\\u0085\":\"v\"}",
		"{\"a\":\"x\\ny\"}",
		"0.888888888888888888",
		"2.2222222222222222e22",
		"0.1",
		"\"\\ud83d\\ude00 \\u0085\"",
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		json_t *v = json_loads(values[i], JSON_DECODE_ANY, NULL), *again = NULL;
		struct strbuf text = STRBUF_INIT;
		struct err err = ERR_INIT;

		cr_assert(v, "%s", values[i]);
		api_yaml_write(v, &text);
		cr_assert_eq(api_yaml_parse(text.buf, text.len, &again, NULL, &err), 0, "%s: %s", values[i], err.msg);
		cr_assert(json_equal(json_array_get(again, 0), v), "%s: %s", values[i], text.buf);
		json_decref(v);
		json_decref(again);
		strbuf_done(&text);
	}
}
