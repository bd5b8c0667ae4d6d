/* SPDX-License-Identifier: Apache-2.0 */
/* lib/api: JSON patch, merge patch, strategic merge patch. Targets must come out of every patch as they went in. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"

static json_t *json(const char *text)
{
	char *copy = strdup(text);
	json_error_t e;
	json_t *v;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	v = json_loads(copy, JSON_DECODE_ANY, &e);
	cr_assert(v, "%s: %s", text, e.text);
	free(copy);
	return v;
}

enum how { JSON, MERGE, POD, SERVICE };

static int apply(enum how how, const json_t *target, const json_t *patch, json_t **ret, struct err *err)
{
	if (how == JSON)
		return api_patch_json(target, patch, ret, err);
	if (how == MERGE)
		return api_patch_merge(target, patch, ret, err);
	return api_patch_strategic(how == POD ? api_kind_pod.type : api_kind_service.type, target, patch, ret, err);
}

struct patch_case {
	const char *target, *patch, *want; /* "!words": fails with these */
};

static void check(enum how how, const struct patch_case *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		json_t *target = json(t[i].target), *before = json_deep_copy(target), *patch = json(t[i].patch),
		       *got = NULL;
		struct err err = ERR_INIT;
		int r = apply(how, target, patch, &got, &err);

		cr_assert(json_equal(target, before), "the target changed: %s", t[i].patch);
		if (t[i].want[0] != '!') {
			json_t *want = json(t[i].want);
			char *text;

			cr_assert_eq(r, 0, "%s on %s: %s", t[i].patch, t[i].target, err.msg);
			text = json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY);
			cr_assert(json_equal(got, want), "%s on %s:\ngot  %s\nwant %s", t[i].patch, t[i].target, text,
				  t[i].want);
			free(text);
			json_decref(want);
			json_decref(got);
		} else {
			cr_assert(r < 0, "%s on %s went through", t[i].patch, t[i].target);
			cr_assert(!got);
			cr_assert(strstr(err.msg, t[i].want + 1), "%s: %s", t[i].patch, err.msg);
		}
		json_decref(target);
		json_decref(before);
		json_decref(patch);
	}
}
#define CHECK(how, ...)                                                                                                \
	do {                                                                                                           \
		static const struct patch_case cases_[] = { __VA_ARGS__ };                                             \
                                                                                                                       \
		check(how, cases_, sizeof(cases_) / sizeof(cases_[0]));                                                \
	} while (0)

/* The examples of RFC 6902, appendix A, and the corners around them. */
Test(patch, json)
{
	CHECK(JSON, { "{'foo':'bar'}", "[{'op':'add','path':'/baz','value':'qux'}]", "{'baz':'qux','foo':'bar'}" },
	      { "{'foo':['bar','baz']}", "[{'op':'add','path':'/foo/1','value':'qux'}]",
		"{'foo':['bar','qux','baz']}" },
	      { "{'foo':['bar']}", "[{'op':'add','path':'/foo/-','value':['abc','def']}]",
		"{'foo':['bar',['abc','def']]}" },
	      { "{'foo':['bar']}", "[{'op':'add','path':'/foo/1','value':'x'}]", "{'foo':['bar','x']}" },
	      { "{'baz':'qux','foo':'bar'}", "[{'op':'remove','path':'/baz'}]", "{'foo':'bar'}" },
	      { "{'foo':['bar','qux','baz']}", "[{'op':'remove','path':'/foo/1'}]", "{'foo':['bar','baz']}" },
	      { "{'baz':'qux','foo':'bar'}", "[{'op':'replace','path':'/baz','value':'boo'}]",
		"{'baz':'boo','foo':'bar'}" },
	      { "{'foo':{'bar':'baz','waldo':'fred'},'qux':{'corge':'grault'}}",
		"[{'op':'move','from':'/foo/waldo','path':'/qux/thud'}]",
		"{'foo':{'bar':'baz'},'qux':{'corge':'grault','thud':'fred'}}" },
	      { "{'foo':['all','grass','cows','eat']}", "[{'op':'move','from':'/foo/1','path':'/foo/3'}]",
		"{'foo':['all','cows','eat','grass']}" },
	      { "{'baz':'qux','foo':['a',2,'c']}",
		"[{'op':'test','path':'/baz','value':'qux'},{'op':'test','path':'/foo/1','value':2}]",
		"{'baz':'qux','foo':['a',2,'c']}" },
	      { "{'/':9,'~1':10}", "[{'op':'test','path':'/~01','value':10},{'op':'remove','path':'/~1'}]",
		"{'~1':10}" },
	      { "{'foo':null}", "[{'op':'test','path':'/foo','value':null},{'op':'add','path':'/foo','value':1}]",
		"{'foo':1}" },
	      { "{'a':{'b':1}}", "[{'op':'copy','from':'/a','path':'/a/c'}]", "{'a':{'b':1,'c':{'b':1}}}" },
	      { "{'a':1}", "[{'op':'replace','path':'','value':{'b':2}}]", "{'b':2}" },
	      { "{'':1}", "[{'op':'replace','path':'/','value':2}]", "{'':2}" }, { "{}", "[]", "{}" },
	      { "{}", "{}", "!must be an array" },
	      { "{'a':1}", "[{'op':'test','path':'/a','value':2}]", "!testing path /a value failed" },
	      { "{'a':1}", "[{'op':'test','path':'/b','value':2}]", "!testing path /b value failed" },
	      { "{'a':1}", "[{'op':'add','path':'/b','value':1},{'op':'remove','path':'/c'}]",
		"!operation 1: remove: path '/c' does not exist" },
	      { "{'a':1}", "[{'op':'replace','path':'/c','value':1}]", "!does not exist" },
	      { "{'a':1}", "[{'op':'add','path':'/b/c','value':1}]", "!does not exist" },
	      { "{'a':1}", "[{'op':'add','path':'/a/b','value':1}]", "!scalar" },
	      { "{'a':[1]}", "[{'op':'add','path':'/a/2','value':1}]", "!no such index" },
	      { "{'a':[1]}", "[{'op':'add','path':'/a/-1','value':1}]", "!no such index" },
	      { "{'a':[1,2]}", "[{'op':'add','path':'/a/01','value':1}]", "!no such index" },
	      { "{'a':[1]}", "[{'op':'remove','path':'/a/1'}]", "!does not exist" },
	      { "{'a':[1]}", "[{'op':'remove','path':'/a/99999999999999999999'}]", "!does not exist" },
	      { "{'a':1}", "[{'op':'remove','path':'a'}]", "!must start with '/'" },
	      { "{'a':1}", "[{'op':'remove','path':''}]", "!cannot be removed" },
	      { "{'a':{}}", "[{'op':'move','from':'/a','path':'/a/b'}]", "!into itself" },
	      { "{'a':1}", "[{'op':'copy','path':'/b'}]", "!'from' is missing" },
	      { "{'a':1}", "[{'op':'add','path':'/b'}]", "!'value' is missing" },
	      { "{'a':1}", "[{'op':'frob','path':'/b'}]", "!unknown operation 'frob'" },
	      { "{'a':1}", "[5]", "!needs 'op' and 'path'" });
}

/* A few hundred bytes of patch must not become gigabytes, nor a tree that no walk survives. */
Test(patch, json_is_bounded)
{
	json_t *target = json("{'a':['0123456789012345678901234567890123456789012345678901234567890123456789']}"),
	       *ops = json_array(), *got = NULL;
	struct strbuf path = STRBUF_INIT;
	struct err err = ERR_INIT;

	for (int i = 0; i < 40; i++)
		json_array_append_new(ops, json_pack("{s:s,s:s,s:s}", "op", "copy", "from", "/a", "path", "/a/-"));
	cr_assert_eq(api_patch_json(target, ops, &got, &err), -EFBIG);
	cr_assert(strstr(err.msg, "copies are larger") || strstr(err.msg, "nested deeper"), "%s", err.msg);
	json_array_clear(ops);
	for (int i = 0; i < 40; i++)
		json_array_append_new(
			ops, json_pack("{s:s,s:s,s:s+}", "op", "copy", "from", "", "path", "/b", i % 2 ? "x" : "y"));
	cr_assert(api_patch_json(target, ops, &got, &err) < 0);
	json_array_clear(ops);
	for (int i = 0; i < 140; i++) {
		strbuf_adds(&path, "/a");
		json_array_append_new(ops, json_pack("{s:s,s:s,s:{}}", "op", "add", "path", path.buf, "value"));
	}
	cr_assert_eq(api_patch_json(target, ops, &got, &err), -EINVAL);
	cr_assert(strstr(err.msg, "nested deeper"), "%s", err.msg);
	json_array_clear(ops);
	for (int i = 0; i < 10001; i++)
		json_array_append_new(ops, json_pack("{s:s,s:s,s:i}", "op", "add", "path", "/z", "value", 1));
	cr_assert_eq(api_patch_json(target, ops, &got, &err), -EFBIG);
	cr_assert(!got);
	strbuf_done(&path);
	json_decref(ops);
	json_decref(target);
}

/* RFC 7386, appendix A. */
Test(patch, merge)
{
	CHECK(MERGE, { "{'a':'b'}", "{'a':'c'}", "{'a':'c'}" }, { "{'a':'b'}", "{'b':'c'}", "{'a':'b','b':'c'}" },
	      { "{'a':'b'}", "{'a':null}", "{}" }, { "{'a':'b','b':'c'}", "{'a':null}", "{'b':'c'}" },
	      { "{'a':['b']}", "{'a':'c'}", "{'a':'c'}" }, { "{'a':'c'}", "{'a':['b']}", "{'a':['b']}" },
	      { "{'a':{'b':'c'}}", "{'a':{'b':'d','c':null}}", "{'a':{'b':'d'}}" },
	      { "{'a':[{'b':'c'}]}", "{'a':[1]}", "{'a':[1]}" }, { "{'e':null}", "{'a':1}", "{'e':null,'a':1}" },
	      { "[1,2]", "{'a':'b','c':null}", "{'a':'b'}" }, { "{}", "{'a':{'bb':{'ccc':null}}}", "{'a':{'bb':{}}}" },
	      { "{}", "['c']", "!must be a JSON object" });
}

#define C(name, image) "{'name':'" name "','image':'" image "'}"
#define SPEC(list)     "{'spec':{'containers':[" list "]}}"

Test(patch, strategic_lists)
{
	CHECK(POD,
	      /* by merge key: changed, added, removed, replaced */
	      { SPEC(C("a", "1") "," C("b", "1")), SPEC(C("b", "2")), SPEC(C("a", "1") "," C("b", "2")) },
	      { SPEC(C("a", "1")), SPEC(C("b", "2")), SPEC(C("a", "1") "," C("b", "2")) },
	      { SPEC(C("a", "1") "," C("b", "1")), SPEC("{'name':'a','$patch':'delete'}"), SPEC(C("b", "1")) },
	      { SPEC(C("a", "1")), SPEC("{'name':'z','$patch':'delete'}"), SPEC(C("a", "1")) },
	      { SPEC(C("a", "1") "," C("b", "1")), SPEC("{'$patch':'replace'}," C("c", "3")), SPEC(C("c", "3")) },
	      { SPEC(C("a", "1")), SPEC("{'name':'a','image':null}"), SPEC("{'name':'a'}") },
	      { SPEC("{'name':'a','args':['x','y']}"), SPEC("{'name':'a','args':['z']}"),
		SPEC("{'name':'a','args':['z']}") },
	      { SPEC("{'name':'a','env':[{'name':'X','value':'1'},{'name':'Y','value':'2'}]}"),
		SPEC("{'name':'a','env':[{'name':'Y','value':'3'}]}"),
		SPEC("{'name':'a','env':[{'name':'X','value':'1'},{'name':'Y','value':'3'}]}") },
	      { "{}", SPEC("{'name':'a','$patch':'merge'}"), SPEC("{'name':'a'}") },
	      { SPEC(C("a", "1")), SPEC("{'image':'x'}"), "!merge key 'name'" },
	      { SPEC(C("a", "1")), SPEC("5"), "!merge key" },
	      /* order */
	      { SPEC(C("a", "1") "," C("b", "1") "," C("c", "1")),
		"{'spec':{'$setElementOrder/containers':[{'name':'c'},{'name':'a'},{'name':'b'}]}}",
		SPEC(C("c", "1") "," C("a", "1") "," C("b", "1")) },
	      { SPEC(C("a", "1")),
		"{'spec':{'$setElementOrder/containers':[{'name':'b'},{'name':'a'}],'containers':[{'name':'b','image':'2'}]}}",
		SPEC(C("b", "2") "," C("a", "1")) },
	      /* sets of scalars */
	      { "{'metadata':{'finalizers':['a/a','b/b']}}", "{'metadata':{'finalizers':['b/b','c/c']}}",
		"{'metadata':{'finalizers':['a/a','b/b','c/c']}}" },
	      { "{'metadata':{'finalizers':['a/a','b/b']}}",
		"{'metadata':{'$deleteFromPrimitiveList/finalizers':['a/a']}}", "{'metadata':{'finalizers':['b/b']}}" },
	      { "{'metadata':{'finalizers':['a/a']}}",
		"{'metadata':{'$setElementOrder/finalizers':['c/c','a/a'],'$deleteFromPrimitiveList/finalizers':['b/b'],'finalizers':['c/c']}}",
		"{'metadata':{'finalizers':['c/c','a/a']}}" },
	      { "{}", "{'metadata':{'$deleteFromPrimitiveList/finalizers':['a/a']}}", "{'metadata':{}}" });
	CHECK(SERVICE, { "{'spec':{'ports':[{'port':80,'name':'a'},{'port':81,'name':'b'}]}}",
			 "{'spec':{'ports':[{'port':81,'name':'c'}]}}",
			 "{'spec':{'ports':[{'port':80,'name':'a'},{'port':81,'name':'c'}]}}" });
}

Test(patch, strategic_objects)
{
	CHECK(POD,
	      { "{'metadata':{'labels':{'a':'1','b':'2'}}}", "{'metadata':{'labels':{'b':null,'c':'3'}}}",
		"{'metadata':{'labels':{'a':'1','c':'3'}}}" },
	      { "{'metadata':{'labels':{'a':'1'}}}", "{'metadata':{'labels':{'$patch':'replace','c':'3'}}}",
		"{'metadata':{'labels':{'c':'3'}}}" },
	      { "{'metadata':{'labels':{'a':'1'}}}", "{'metadata':{'labels':{'$patch':'delete'}}}",
		"{'metadata':{'labels':{}}}" },
	      { "{'metadata':{'labels':{'a':'1'}}}", "{'metadata':{'labels':null}}", "{'metadata':{}}" },
	      { "{'metadata':{'labels':{'a':'1'}}}", "{'metadata':{'labels':{'$patch':'explode'}}}",
		"!unknown directive" },
	      { "{'spec':{'volumes':[{'name':'v','emptyDir':{}}]}}",
		"{'spec':{'volumes':[{'name':'v','$retainKeys':['name','configMap'],'configMap':{'name':'c'}}]}}",
		"{'spec':{'volumes':[{'name':'v','configMap':{'name':'c'}}]}}" },
	      { "{'a':1}", "{'b':{'c':null,'d':1}}", "{'a':1,'b':{'d':1}}" }, { "{}", "[]", "!must be a JSON object" });
}

/* Nothing of the target or of the patch is shared with the result. */
Test(patch, results_stand_alone)
{
	for (enum how how = JSON; how <= SERVICE; how++) {
		json_t *target = json("{'metadata':{'labels':{'a':'1'}},'spec':{'x':{'y':1}}}"), *got = NULL;
		json_t *patch = how == JSON ? json("[{'op':'add','path':'/n','value':{'m':{}}}]")
					    : json("{'n':{'m':{}}}");
		json_t *t = json_deep_copy(target), *p = json_deep_copy(patch);

		cr_assert_eq(apply(how, target, patch, &got, NULL), 0);
		api_set(got, "metadata.labels.a", json_string("2"));
		api_set(got, "spec.x.y", json_integer(2));
		api_set(got, "n.m.k", json_integer(2));
		cr_assert(json_equal(target, t) && json_equal(patch, p));
		json_decref(target);
		json_decref(patch);
		json_decref(got);
		json_decref(t);
		json_decref(p);
	}
}
