/* SPDX-License-Identifier: Apache-2.0 */
/* lib/api: sets of fields, managedFields and server-side apply, by the rules of Kubernetes' structured-merge-diff. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "api/api_types.h"
#include "api/managed_fields.h"

/* ' stands for " */
static char *quoted(const char *text)
{
	char *copy = strdup(text);

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

static json_t *json(const char *text)
{
	char *copy = quoted(text);
	json_error_t e;
	json_t *v = json_loads(copy, JSON_DECODE_ANY, &e);

	cr_assert(v, "%s: %s", text, e.text);
	free(copy);
	return v;
}

static const struct fset *set_from(struct fset_mem *mem, const char *text)
{
	json_t *v = json(text);
	const struct fset *set = NULL;
	struct err err = ERR_INIT;

	cr_assert(fset_from_json(mem, v, &set, &err) == 0, "%s: %s", text, err.msg);
	json_decref(v);
	return set;
}

/* The set as it is written, with ' for ". */
static const char *shown(const struct fset *set)
{
	static char buf[4][4096];
	static int turn;
	struct strbuf out = STRBUF_INIT;
	char *ret = buf[turn++ % 4], *w = ret;

	fset_write(set, &out);
	for (const char *p = out.buf; *p && w < ret + 4095; p++)
		if (*p != '\\')
			*w++ = *p == '"' ? '\'' : *p;
	*w = '\0';
	strbuf_done(&out);
	return ret;
}

#define SAME(set, want) cr_assert_str_eq(shown(set), want)

Test(field_set, reads_what_it_writes)
{
	static const char *const texts[] = {
		"{}",
		"{\"f:a\":{}}",
		"{\"f:a\":{\".\":{},\"f:b\":{}},\"f:b\":{\"f:c\":{}}}",
		"{\"f:ports\":{\".\":{},\"k:{\\\"port\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:port\":{}},"
		"\"k:{\\\"port\\\":443,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:port\":{}}}}",
		"{\"f:finalizers\":{\"v:\\\"a\\\\\\\"b\\\"\":{}}}",
		"{\"i:2\":{},\"i:10\":{}}",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
		const char *p = texts[i];
		const struct fset *set = NULL;
		struct strbuf out = STRBUF_INIT;

		cr_assert(fset_read(&mem, &p, p + strlen(p), &set) == 0, "%s", texts[i]);
		cr_assert(!*p);
		fset_write(set, &out);
		cr_assert_str_eq(out.buf, texts[i]);
		strbuf_done(&out);
	}
}

Test(field_set, refuses_what_is_none)
{
	static const char *const texts[] = { "",
					     "{",
					     "{\"f:a\"}",
					     "{\"a\":{}}",
					     "{\"f:a\":1}",
					     "{\"f:a\":",
					     "{\"x:a\":{}}",
					     "[]",
					     "{\"f:b\":{},\"f:a\":{}}",
					     "{\"f:a" };
	cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *p = texts[i];
		const struct fset *set = NULL;

		cr_assert(fset_read(&mem, &p, p + strlen(p), &set) == -EINVAL, "%s", texts[i]);
	}
}

Test(field_set, makes_a_clients_keys_canonical)
{
	cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
	json_t *v = json_pack("{s:{},s:{s:{}},s:{}}", "f:b", "k:{ \"b\": 1, \"a\":\"x\" }", ".", "f:a");
	const struct fset *set = NULL;

	cr_assert(fset_from_json(&mem, v, &set, NULL) == 0);
	SAME(set, "{'f:a':{},'f:b':{},'k:{'a':'x','b':1}':{}}");
	json_decref(v);
	for (int i = 0; i < 4; i++) {
		static const char *const bad[] = { "{'k:nojson':{}}", "{'k:1':{}}", "{'i:x':{}}", "{'f:a':[]}" };

		v = json(bad[i]);
		cr_assert(fset_from_json(&mem, v, &set, NULL) == -EINVAL, "%s", bad[i]);
		json_decref(v);
	}
}

Test(field_set, operations)
{
	cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
	const struct fset *a = set_from(&mem, "{'f:a':{},'f:b':{'.':{},'f:x':{},'f:y':{}},'f:c':{'f:z':{}}}");
	const struct fset *b = set_from(&mem, "{'f:b':{'.':{},'f:y':{}},'f:c':{'.':{}},'f:d':{}}");

	SAME(fset_union(&mem, a, b), "{'f:a':{},'f:b':{'.':{},'f:x':{},'f:y':{}},'f:c':{'.':{},'f:z':{}},'f:d':{}}");
	SAME(fset_difference(&mem, a, b), "{'f:a':{},'f:b':{'f:x':{}},'f:c':{'f:z':{}}}");
	SAME(fset_without(&mem, a, b), "{'f:a':{}}");
	SAME(fset_intersection(&mem, a, b), "{'f:b':{'.':{},'f:y':{}}}");
	SAME(fset_difference(&mem, a, a), "{}");
	cr_assert(fset_meets(a, b));
	cr_assert(!fset_meets(a, set_from(&mem, "{'f:c':{},'f:b':{'f:z':{}}}")));
	cr_assert(fset_equal(a, fset_copy(&mem, a)) && !fset_equal(a, b));
	cr_assert(fset_equal(fset_union(&mem, NULL, a), a) && fset_equal(NULL, fset_intersection(&mem, a, NULL)));
}

static void collect(void *arg, const char *path)
{
	strbuf_addf(arg, "%s;", path);
}

Test(field_set, paths_are_written_as_kubernetes_does)
{
	cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
	struct strbuf out = STRBUF_INIT;
	json_t *v = json_pack("{s:{s:{s:{},s:{}},s:{}},s:{}}", "f:spec", "k:{\"port\":80,\"protocol\":\"TCP\"}", ".",
			      "f:name", "v:\"a\"", "i:3");
	const struct fset *set = NULL;

	cr_assert(fset_from_json(&mem, v, &set, NULL) == 0);
	fset_paths(set, collect, &out);
	cr_assert_str_eq(out.buf, "[3];.spec[port=80,protocol=\"TCP\"];.spec[=\"a\"];"
				  ".spec[port=80,protocol=\"TCP\"].name;");
	json_decref(v);
	strbuf_done(&out);
}

/* --- what a configuration sets ------------------------------------------------------------------------------------ */

struct set_case {
	const struct api_kind *kind;
	const char *obj, *want; /* "!words": refused with these */
};

Test(field_walk, what_a_configuration_sets)
{
	const struct set_case cases[] = {
		{ &api_kind_deployment, "{'spec':{'replicas':3,'selector':{'matchLabels':{'a':'b'}}}}",
		  "{'f:spec':{'f:replicas':{},'f:selector':{}}}" }, /* an atomic struct */
		{ &api_kind_pod, "{'metadata':{'labels':{'a':'b','c':'d'},'finalizers':['y/x','a/b']}}",
		  "{'f:metadata':{'f:finalizers':{'v:'a/b'':{},'v:'y/x'':{}},'f:labels':{'f:a':{},'f:c':{}}}}" },
		{ &api_kind_pod, "{'spec':{'containers':[{'name':'c','ports':[{'containerPort':80}],'args':['x']}]}}",
		  "{'f:spec':{'f:containers':{'k:{'name':'c'}':{'.':{},'f:args':{},'f:name':{},'f:ports':{"
		  "'k:{'containerPort':80,'protocol':'TCP'}':{'.':{},'f:containerPort':{}}}}}}}" }, /* a default key */
		{ &api_kind_pod, "{'spec':{'volumes':[{'name':'v','emptyDir':{}}],'nodeSelector':{'a':'b'}}}",
		  "{'f:spec':{'f:nodeSelector':{},'f:volumes':{'k:{'name':'v'}':{'.':{},'f:emptyDir':{},'f:name':{}}}}}" },
		{ &api_kind_config_map, "{'data':{'k':'v'},'binaryData':{}}",
		  "{'f:binaryData':{},'f:data':{'f:k':{}}}" },
		{ &api_kind_config_map, "{'data':{'k':'v'},'nope':1}", "!.nope: field not declared in schema" },
		{ &api_kind_pod, "{'spec':{'containers':[{'name':'c','bad':1}]}}",
		  "!.spec.containers[name=\"c\"].bad: field not declared in schema" },
		{ &api_kind_pod, "{'spec':{'containers':[{'image':'c'}]}}",
		  "!.spec.containers: associative list with keys has an element that omits key field \"name\"" },
		{ &api_kind_pod, "{'spec':{'containers':[{'name':'c'},{'name':'c'}]}}",
		  "!.spec.containers: duplicate entries for key [name=\"c\"]" },
		{ &api_kind_pod, "{'spec':{'containers':['x']}}",
		  "!.spec.containers: associative list with keys may not" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
		json_t *obj = json(cases[i].obj);
		const struct fset *set = NULL;
		struct err err = ERR_INIT;
		int r = field_set_of(&mem, cases[i].kind->type, obj, true, &set, &err);

		if (cases[i].want[0] == '!') {
			cr_assert(r == -EINVAL);
			cr_assert(strstr(err.msg, cases[i].want + 1), "%s", err.msg);
			cr_assert(field_set_of(&mem, cases[i].kind->type, obj, false, &set, &err) == 0);
		} else {
			cr_assert(r == 0, "%s", err.msg);
			SAME(set, cases[i].want);
		}
		json_decref(obj);
	}
}

struct compare_case {
	const struct api_kind *kind;
	const char *a, *b, *added, *modified, *removed;
};

Test(field_walk, how_objects_differ)
{
	const struct compare_case cases[] = {
		{ &api_kind_deployment, "{'spec':{'replicas':1,'paused':true}}",
		  "{'spec':{'replicas':2,'minReadySeconds':1}}", "{'f:spec':{'f:minReadySeconds':{}}}",
		  "{'f:spec':{'f:replicas':{}}}", "{'f:spec':{'f:paused':{}}}" },
		{ &api_kind_pod, "{'metadata':{}}", "{'metadata':{'annotations':{'a':'b'}}}",
		  "{'f:metadata':{'f:annotations':{'.':{},'f:a':{}}}}", "{}", "{}" },
		{ &api_kind_pod, "{'status':{'conditions':[{'type':'A','status':'x'},{'type':'B','status':'x'}]}}",
		  "{'status':{'conditions':[{'type':'B','status':'y'},{'type':'C','status':'x'}]}}",
		  "{'f:status':{'f:conditions':{'k:{'type':'C'}':{'.':{},'f:status':{},'f:type':{}}}}}",
		  "{'f:status':{'f:conditions':{'k:{'type':'B'}':{'f:status':{}}}}}",
		  "{'f:status':{'f:conditions':{'k:{'type':'A'}':{'.':{},'f:status':{},'f:type':{}}}}}" },
		{ &api_kind_deployment, "{'spec':{'selector':{'matchLabels':{'a':'b'}}}}",
		  "{'spec':{'selector':{'matchLabels':{'a':'c'}}}}", "{}", "{'f:spec':{'f:selector':{}}}", "{}" },
		{ &api_kind_pod, "{'spec':{'containers':[]}}", "{'spec':{'containers':[]}}", "{}", "{}", "{}" },
		{ &api_kind_config_map, "{}", "{'data':{}}", "{'f:data':{}}", "{}", "{}" },
		/* elements that are there twice are one thing */
		{ &api_kind_pod, "{'spec':{'containers':[{'name':'a','image':'x'},{'name':'a','image':'y'}]}}",
		  "{'spec':{'containers':[{'name':'a','image':'x'},{'name':'a','image':'z'}]}}", "{}",
		  "{'f:spec':{'f:containers':{'k:{'name':'a'}':{}}}}", "{}" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
		json_t *a = json(cases[i].a), *b = json(cases[i].b);
		struct field_changes c = { 0 };

		cr_assert(field_compare(&mem, cases[i].kind->type, a, b, &c) == 0);
		SAME(c.added, cases[i].added);
		SAME(c.modified, cases[i].modified);
		SAME(c.removed, cases[i].removed);
		json_decref(a);
		json_decref(b);
	}
}

Test(field_walk, merged_lists_keep_their_order)
{
	static const char *const cases[][3] = {
		/* live, config, result: by name */
		{ "abc", "b", "abc" }, { "abc", "d", "abcd" }, { "abc", "cb", "acb" },	  { "abcd", "ca", "bcda" },
		{ "", "ab", "ab" },    { "ab", "", "ab" },     { "abc", "xay", "xabcy" }, { "aa", "a", "a" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
		json_t *in[2], *out, *v;
		char got[32] = "";
		size_t k;

		for (int side = 0; side < 2; side++) {
			json_t *list = json_array();

			for (const char *p = cases[i][side]; *p; p++) {
				char name[2] = { *p, 0 };

				json_array_append_new(list, json_pack("{s:s,s:i}", "name", name, "x", side));
			}
			in[side] = json_pack("{s:{s:o}}", "spec", "containers", list);
		}
		out = field_merge(&mem, api_kind_pod.type, in[0], in[1]);
		json_array_foreach (api_get(out, "spec.containers"), k, v)
			strcat(got, api_get_str(v, "name"));
		/* what only live has stays where it is, as far as config's order lets it */
		cr_assert(strlen(got) == strlen(cases[i][2]), "%s + %s: %s", cases[i][0], cases[i][1], got);
		cr_assert_str_eq(got, cases[i][2]);
		json_decref(out);
		json_decref(in[0]);
		json_decref(in[1]);
	}
}

/* --- writes, one after the other ---------------------------------------------------------------------------------- */

/* An object and who owns what in it, as an API server keeps them from write to write. */
struct world {
	const struct api_kind *kind;
	json_t *obj; /* NULL: there is none */
	struct strbuf managed;
	char why[2048]; /* of the last refusal */
};

static void world_donep(struct world *w)
{
	json_decref(w->obj);
	strbuf_done(&w->managed);
}

static struct managed_writer writer(const char *manager, const char *sub, const char *now)
{
	struct managed_writer who = { .manager = manager, .api_version = "v1", .subresource = sub, .now = now };

	return who;
}

static int apply_at(struct world *w, const char *manager, const char *config_text, bool force, enum managed_scope scope,
		    const char *now)
{
	cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
	struct managed_writer who = writer(manager, scope == MANAGED_STATUS ? "status" : "", now);
	json_t *live = w->obj ? json_incref(w->obj) : json_object(), *config = json(config_text);
	json_t *before = json_deep_copy(live);
	struct managed_applied got;
	struct managed m = { .mem = &mem };
	struct err err = ERR_INIT;
	int r;

	cr_assert(managed_read(&mem, w->managed.buf, w->managed.len, &m) == 0);
	r = managed_apply(&m, w->kind->type, live, config, &who, scope, force, &got, &err);
	w->why[0] = '\0';
	if (r == 0) {
		struct strbuf out = STRBUF_INIT;

		if (got.obj) {
			managed_touch(&m, &who);
			json_decref(w->obj);
			w->obj = got.obj;
			api_prune(w->kind->type, w->obj);
		}
		managed_write(&m, &out);
		strbuf_done(&w->managed);
		w->managed = out;
		r = got.obj ? 1 : 0;
	} else if (r == -EBUSY) {
		json_t *st = managed_conflict_status(&got);

		snprintf(w->why, sizeof(w->why), "%s", api_get_str(st, "message"));
		json_decref(st);
	} else {
		snprintf(w->why, sizeof(w->why), "%s", err.msg);
	}
	cr_assert(json_equal(live, before), "applying changed the live object");
	json_decref(before);
	json_decref(live);
	json_decref(config);
	return r;
}

/* 1: the object changed; 0: it did not. */
static int apply(struct world *w, const char *manager, const char *config)
{
	return apply_at(w, manager, config, false, MANAGED_ALL, "2026-01-01T00:00:00Z");
}

static int force(struct world *w, const char *manager, const char *config)
{
	return apply_at(w, manager, config, true, MANAGED_ALL, "2026-01-01T00:00:00Z");
}

static void update_at(struct world *w, const char *manager, const char *sub, const char *text, const char *now)
{
	cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
	struct managed_writer who = writer(manager, sub, now);
	json_t *old = w->obj ? w->obj : json_object(), *obj = json(text);
	struct field_changes changes = { 0 };
	struct managed m = { .mem = &mem };
	struct strbuf out = STRBUF_INIT;

	cr_assert(managed_read(&mem, w->managed.buf, w->managed.len, &m) == 0);
	cr_assert(field_compare(&mem, w->kind->type, old, obj, &changes) == 0);
	cr_assert(managed_update(&m, &changes, &who, MANAGED_ALL) == 0);
	managed_write(&m, &out);
	strbuf_done(&w->managed);
	w->managed = out;
	json_decref(old);
	w->obj = obj;
}

static void update(struct world *w, const char *manager, const char *text)
{
	update_at(w, manager, "", text, "2026-01-01T00:00:00Z");
}

static void is(const struct world *w, const char *want_text)
{
	json_t *want = json(want_text);
	char *got = json_dumps(w->obj, JSON_COMPACT | JSON_SORT_KEYS);

	cr_assert(json_equal(w->obj, want), "got %s\nwant %s", got, want_text);
	free(got);
	json_decref(want);
}

/* "manager op sub fields" of every entry, separated by |. */
static void owned(const struct world *w, const char *want)
{
	cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
	struct strbuf out = STRBUF_INIT;
	struct managed m;

	cr_assert(managed_read(&mem, w->managed.buf, w->managed.len, &m) == 0, "%s", w->managed.buf);
	for (size_t i = 0; i < m.n; i++)
		strbuf_addf(&out, "%s%s %s%s%s %s", i ? " | " : "", m.v[i].manager, m.v[i].apply ? "Apply" : "Update",
			    m.v[i].subresource[0] ? " " : "", m.v[i].subresource, shown(m.v[i].set));
	cr_assert_str_eq(out.buf, want);
	strbuf_done(&out);
}
#define WORLD(k) cleanup(world_done) struct world w = { .kind = &(k), .managed = STRBUF_INIT }

Test(apply, creates_and_owns_what_is_applied)
{
	WORLD(api_kind_config_map);

	cr_assert_eq(apply(&w, "a", "{'metadata':{'name':'c','labels':{'x':'y'}},'data':{'k':'v'}}"), 1);
	is(&w, "{'metadata':{'name':'c','labels':{'x':'y'}},'data':{'k':'v'}}");
	owned(&w, "a Apply {'f:data':{'f:k':{}},'f:metadata':{'f:labels':{'f:x':{}}}}");
	cr_assert_eq(apply(&w, "a", "{'metadata':{'name':'c','labels':{'x':'y'}},'data':{'k':'v'}}"), 0);
}

Test(apply, what_is_no_longer_applied_goes)
{
	WORLD(api_kind_config_map);

	apply(&w, "a", "{'metadata':{'name':'c','labels':{'x':'y'}},'data':{'k':'v','l':'w'}}");
	update(&w, "u", "{'metadata':{'name':'c','uid':'1','labels':{'x':'y','z':'u'}},'data':{'k':'v','l':'w'}}");
	cr_assert_eq(apply(&w, "a", "{'metadata':{'name':'c'},'data':{'l':'w'}}"), 1);
	is(&w, "{'metadata':{'name':'c','uid':'1','labels':{'z':'u'}},'data':{'l':'w'}}");
	owned(&w, "a Apply {'f:data':{'f:l':{}}} | u Update {'f:metadata':{'f:labels':{'f:z':{}}}}");
	/* nothing left: neither fields nor entry */
	cr_assert_eq(apply(&w, "a", "{'metadata':{'name':'c'}}"), 1);
	is(&w, "{'metadata':{'name':'c','uid':'1','labels':{'z':'u'}}}");
	owned(&w, "u Update {'f:metadata':{'f:labels':{'f:z':{}}}}");
}

Test(apply, shared_fields_stay_until_the_last_owner_lets_go)
{
	WORLD(api_kind_config_map);

	apply(&w, "a", "{'data':{'k':'v'}}");
	cr_assert_eq(apply(&w, "b", "{'data':{'k':'v'}}"), 0);
	owned(&w, "a Apply {'f:data':{'f:k':{}}} | b Apply {'f:data':{'f:k':{}}}");
	cr_assert_eq(apply(&w, "a", "{'data':{'l':'1'}}"), 1);
	is(&w, "{'data':{'k':'v','l':'1'}}");
	cr_assert_eq(apply(&w, "b", "{}"), 1);
	is(&w, "{'data':{'l':'1'}}");
}

Test(apply, conflicts_and_force)
{
	WORLD(api_kind_deployment);

	update(&w, "kubectl-client-side-apply", "{'spec':{'replicas':1,'paused':true}}");
	cr_assert_eq(apply(&w, "a", "{'spec':{'replicas':3}}"), -EBUSY);
	cr_assert_str_eq(w.why, "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: "
				".spec.replicas");
	cr_assert_eq(apply(&w, "a", "{'spec':{'replicas':3,'paused':false}}"), -EBUSY);
	cr_assert_str_eq(w.why,
			 "Apply failed with 2 conflicts: conflicts with \"kubectl-client-side-apply\" using v1:\n"
			 "- .spec.paused\n- .spec.replicas");
	is(&w, "{'spec':{'replicas':1,'paused':true}}");
	cr_assert_eq(force(&w, "a", "{'spec':{'replicas':3}}"), 1);
	is(&w, "{'spec':{'replicas':3,'paused':true}}");
	owned(&w, "a Apply {'f:spec':{'f:replicas':{}}} | kubectl-client-side-apply Update {'f:spec':{'f:paused':{}}}");
	cr_assert_eq(apply(&w, "b", "{'spec':{'replicas':4}}"), -EBUSY);
	cr_assert_str_eq(w.why, "Apply failed with 1 conflict: conflict with \"a\": .spec.replicas");
	/* with the same value there is none */
	cr_assert_eq(apply(&w, "b", "{'spec':{'replicas':3}}"), 0);
}

Test(apply, other_writes_take_what_they_change)
{
	WORLD(api_kind_config_map);

	apply(&w, "a", "{'data':{'k':'v','l':'w'}}");
	update(&w, "u", "{'data':{'k':'changed','l':'w'}}");
	owned(&w, "a Apply {'f:data':{'f:l':{}}} | u Update {'f:data':{'f:k':{}}}");
	/* what an updater removes nobody owns */
	update(&w, "u", "{'data':{'k':'changed'}}");
	owned(&w, "u Update {'f:data':{'f:k':{}}}");
	/* let go by the applier, but owned by an updater: stays */
	cr_assert_eq(force(&w, "a", "{'data':{'k':'mine','m':'1'}}"), 1);
	update(&w, "u", "{'data':{'k':'his','m':'1'}}");
	cr_assert_eq(apply(&w, "a", "{'data':{'m':'1'}}"), 0);
	is(&w, "{'data':{'k':'his','m':'1'}}");
}

Test(apply, list_maps_by_element)
{
	WORLD(api_kind_pod);

	apply(&w, "a", "{'spec':{'containers':[{'name':'x','image':'i1','env':[{'name':'E','value':'1'}]}]}}");
	apply(&w, "b", "{'spec':{'containers':[{'name':'y','image':'i2'}]}}");
	is(&w, "{'spec':{'containers':[{'name':'x','image':'i1','env':[{'name':'E','value':'1'}]},"
	       "{'name':'y','image':'i2'}]}}");
	cr_assert_eq(apply(&w, "b", "{'spec':{'containers':[{'name':'x','image':'other'}]}}"), -EBUSY);
	cr_assert_str_eq(w.why,
			 "Apply failed with 1 conflict: conflict with \"a\": .spec.containers[name=\"x\"].image");
	cr_assert_eq(apply(&w, "a", "{'spec':{'containers':[{'name':'x','image':'i1'}]}}"), 1);
	is(&w, "{'spec':{'containers':[{'name':'x','image':'i1'},{'name':'y','image':'i2'}]}}");
	cr_assert_eq(apply(&w, "b", "{'spec':{'containers':[]}}"), 1);
	is(&w, "{'spec':{'containers':[{'name':'x','image':'i1'}]}}");
}

Test(apply, ports_with_a_default_protocol_are_the_same_port)
{
	WORLD(api_kind_service);

	update(&w, "u", "{'spec':{'ports':[{'port':80,'protocol':'TCP','name':'http'}]}}");
	cr_assert_eq(apply(&w, "a", "{'spec':{'ports':[{'port':80,'name':'http'},{'port':81,'name':'b'}]}}"), 1);
	is(&w, "{'spec':{'ports':[{'port':80,'protocol':'TCP','name':'http'},{'port':81,'name':'b'}]}}");
}

Test(apply, sets_by_value)
{
	WORLD(api_kind_config_map);

	apply(&w, "a", "{'metadata':{'finalizers':['x/a','x/b']}}");
	apply(&w, "b", "{'metadata':{'finalizers':['x/b','x/c']}}");
	is(&w, "{'metadata':{'finalizers':['x/a','x/b','x/c']}}");
	apply(&w, "a", "{'metadata':{'labels':{'l':'1'}}}");
	is(&w, "{'metadata':{'finalizers':['x/b','x/c'],'labels':{'l':'1'}}}");
}

Test(apply, atomic_ones_go_as_one)
{
	WORLD(api_kind_deployment);

	apply(&w, "a", "{'spec':{'selector':{'matchLabels':{'a':'b'}}}}");
	cr_assert_eq(apply(&w, "b", "{'spec':{'selector':{'matchLabels':{'c':'d'}}}}"), -EBUSY);
	cr_assert_str_eq(w.why, "Apply failed with 1 conflict: conflict with \"a\": .spec.selector");
	force(&w, "b", "{'spec':{'selector':{'matchLabels':{'c':'d'}}}}");
	is(&w, "{'spec':{'selector':{'matchLabels':{'c':'d'}}}}");
	owned(&w, "b Apply {'f:spec':{'f:selector':{}}}");
}

Test(apply, what_was_before_belongs_to_one_manager)
{
	WORLD(api_kind_config_map);

	w.obj = json("{'metadata':{'name':'c','uid':'1'},'data':{'k':'v'}}");
	cr_assert_eq(apply(&w, "a", "{'data':{'k':'w'}}"), -EBUSY);
	cr_assert_str_eq(w.why, "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.k");
	cr_assert_eq(apply(&w, "a", "{'data':{'k':'v'}}"), 0);
	owned(&w, "a Apply {'f:data':{'f:k':{}}} | before-first-apply Update {'f:data':{'.':{},'f:k':{}}}");
}

Test(apply, kubectl_takes_over_from_its_client_side_apply)
{
	WORLD(api_kind_config_map);
	const char *last = "{\\'apiVersion\\':\\'v1\\',\\'data\\':{\\'k\\':\\'v\\'}}";
	char text[512];

	snprintf(text, sizeof(text),
		 "{'metadata':{'annotations':{'kubectl.kubernetes.io/last-applied-configuration':'%s'}},"
		 "'data':{'k':'v','other':'o'}}",
		 last);
	update(&w, "kubectl-client-side-apply", text);
	/* somebody else has to ask */
	cr_assert_eq(apply(&w, "a", "{'data':{'k':'w'}}"), -EBUSY);
	/* a field that client-side apply did not set is a conflict, still */
	cr_assert_eq(apply(&w, "kubectl", "{'data':{'other':'p'}}"), -EBUSY);
	cr_assert_eq(apply(&w, "kubectl", "{'apiVersion':'v1','data':{'k':'w'}}"), 1);
	cr_assert_str_eq(api_get_str(w.obj, "data.k"), "w");
	cr_assert_str_eq(
		json_string_value(json_object_get(api_get(w.obj, "metadata.annotations"), MANAGED_LAST_APPLIED)),
		"{\"apiVersion\":\"v1\",\"data\":{\"k\":\"w\"}}\n");
}

Test(apply, status_is_for_its_own_endpoint)
{
	WORLD(api_kind_deployment);

	apply_at(&w, "a", "{'spec':{'replicas':1},'status':{'replicas':5}}", false, MANAGED_MAIN,
		 "2026-01-01T00:00:00Z");
	owned(&w, "a Apply {'f:spec':{'f:replicas':{}}}");
	apply_at(&w, "a", "{'spec':{'paused':true},'status':{'replicas':2}}", false, MANAGED_STATUS,
		 "2026-01-01T00:00:00Z");
	owned(&w, "a Apply {'f:spec':{'f:replicas':{}}} | a Apply status {'f:status':{'f:replicas':{}}}");
}

Test(apply, times_change_with_what_is_owned)
{
	WORLD(api_kind_config_map);

	apply_at(&w, "a", "{'data':{'k':'v'}}", false, MANAGED_ALL, "2026-01-01T00:00:00Z");
	apply_at(&w, "a", "{'data':{'k':'v'}}", false, MANAGED_ALL, "2026-01-02T00:00:00Z");
	cr_assert(strstr(w.managed.buf, "2026-01-01T00:00:00Z") && !strstr(w.managed.buf, "2026-01-02"));
	apply_at(&w, "a", "{'data':{'k':'w'}}", false, MANAGED_ALL, "2026-01-03T00:00:00Z");
	cr_assert(strstr(w.managed.buf, "2026-01-03T00:00:00Z"));
	update_at(&w, "u", "", "{'data':{'k':'w'}}", "2026-01-04T00:00:00Z");
	cr_assert(!strstr(w.managed.buf, "2026-01-04"));
}

Test(managed_fields, a_new_object_belongs_to_its_maker)
{
	WORLD(api_kind_deployment);

	update(&w, "kubectl-create",
	       "{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'d','uid':'1','generation':1,"
	       "'labels':{'a':'b'}},'spec':{'replicas':1,'template':{'metadata':{'labels':{'a':'b'}},"
	       "'spec':{'containers':[{'name':'c'}]}}},'status':{}}");
	/* as upstream: what Go has by value is there from the start, what it has by pointer or map is made */
	owned(&w, "kubectl-create Update {'f:metadata':{'f:labels':{'.':{},'f:a':{}}},'f:spec':{'f:replicas':{},"
		  "'f:template':{'f:metadata':{'f:labels':{'.':{},'f:a':{}}},'f:spec':{'f:containers':{"
		  "'k:{'name':'c'}':{'.':{},'f:name':{}}}}}}}");
}

Test(managed_fields, subresources_are_owners_of_their_own)
{
	WORLD(api_kind_deployment);

	update(&w, "m", "{'spec':{'replicas':1}}");
	update_at(&w, "m", "status", "{'spec':{'replicas':1},'status':{'replicas':1}}", "2026-01-01T00:00:00Z");
	owned(&w, "m Update {'f:spec':{'f:replicas':{}}} | m Update status {'f:status':{'f:replicas':{}}}");
}

Test(managed_fields, old_updaters_become_one)
{
	WORLD(api_kind_config_map);
	struct strbuf doc = STRBUF_INIT;
	size_t n;
	json_t *list;

	for (int i = 0; i < 15; i++) {
		char name[8], now[32];

		snprintf(name, sizeof(name), "m%02d", i);
		snprintf(now, sizeof(now), "2026-01-01T00:00:%02dZ", i);
		strbuf_adds(&doc, doc.len ? "," : "");
		strbuf_addf(&doc, "'%s':'x'", name);
		{
			char text[512];

			snprintf(text, sizeof(text), "{'data':{%s}}", doc.buf);
			update_at(&w, name, "", text, now);
		}
	}
	list = json_loads(w.managed.buf, 0, NULL);
	n = json_array_size(list);
	cr_assert_eq(n, 10);
	cr_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 0), "manager")), "ancient-changes");
	cr_assert_eq(json_object_size(api_get(json_array_get(list, 0), "fieldsV1.f:data")), 7); /* with "." */
	json_decref(list);
	strbuf_done(&doc);
}

Test(managed_fields, what_a_client_sends)
{
	cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
	static const char *const bad[] = { "{}", "[{'operation':'Other'}]", "[{'operation':'Apply','fieldsType':'V2'}]",
					   "[{'operation':'Apply','fieldsV1':{'x':{}}}]", "[1]" };
	struct managed m;
	json_t *v;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		v = json(bad[i]);
		cr_assert(managed_from_json(&mem, v, &m, NULL) == -EINVAL, "%s", bad[i]);
		json_decref(v);
	}
	v = json("[{}]");
	cr_assert(managed_is_reset(v));
	json_decref(v);
	v = json("[]");
	cr_assert(!managed_is_reset(v));
	json_decref(v);
	v = json("[{'manager':'a','operation':'Apply','apiVersion':'v1','fieldsV1':{'f:data':{'f:k':{}}}}]");
	cr_assert(managed_from_json(&mem, v, &m, NULL) == 0 && m.n == 1 && m.v[0].apply);
	json_decref(v);
}

Test(managed_fields, are_cut_from_events)
{
	static const char *const cases[][2] = {
		{ "{'type':'ADDED','object':{'kind':'Pod','metadata':{'resourceVersion':'12','managedFields':[{'a':[']']}],"
		  "'name':'p'}}}",
		  "{'type':'ADDED','object':{'kind':'Pod','metadata':{'resourceVersion':'12','name':'p'}}}" },
		{ "{'metadata':{'resourceVersion':'12','managedFields':[]}}", "{'metadata':{'resourceVersion':'12'}}" },
		{ "{'metadata':{'name':'12','managedFields':[]}}", NULL },
		{ "{'metadata':{'resourceVersion':'12','name':'x'},'managedFields':[]}", NULL },
		{ "{'metadata':{'resourceVersion':'12','managedFields':[", NULL },
		{ "{'metadata':{'resourceVersion':'", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = quoted(cases[i][0]), *want = quoted(cases[i][1] ? cases[i][1] : cases[i][0]);
		size_t n = managed_cut_event(text, strlen(text));

		cr_assert(n == strlen(want) && memcmp(text, want, n) == 0, "%.*s", (int)n, text);
		free(text);
		free(want);
	}
}
