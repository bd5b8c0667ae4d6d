/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every kind in the table goes through the verbs: created, read, listed as objects and as a table, replaced, patched,
 * its status and scale written, deleted alone and with others. A kind without a sample fails.
 */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "samples.h"
#include "../documents.h"

#define TABLE "application/json;as=Table;v=v1;g=meta.k8s.io"

static struct fx f;

static void setup(void)
{
	fx_init(&f);
	fx_start(&f);
}

static void teardown(void)
{
	fx_done(&f);
}

TestSuite(kinds, .init = setup, .fini = teardown, .timeout = 180);

static char *text_of(const json_t *v)
{
	return json_dumps(v, JSON_COMPACT);
}

struct at {
	const struct api_kind *kind;
	const struct sample *sample;
	char list[200], one[300], name[64];
};

static bool has_sub(const struct api_kind *kind, const char *sub)
{
	for (const char *const *p = kind->subresources; p && *p; p++)
		if (streq(*p, sub))
			return true;
	return false;
}

static json_t *make(struct at *a)
{
	json_t *obj = from_yaml(a->sample->body);
	char version[96];

	api_kind_api_version(a->kind, version, sizeof(version));
	json_object_set_new(obj, "apiVersion", json_string(version));
	json_object_set_new(obj, "kind", json_string(a->kind->kind));
	if (!api_get_str(obj, "metadata.name"))
		cr_assert(api_set(obj, "metadata.name", json_string("sample")) == 0);
	(void)api_set(obj, "metadata.labels", json_pack("{s:s}", "test", "kinds"));
	snprintf(a->name, sizeof(a->name), "%s", api_get_str(obj, "metadata.name"));
	snprintf(a->list, sizeof(a->list), "/%s%s/%s/%s%s", *a->kind->group ? "apis/" : "api", a->kind->group,
		 a->kind->version, a->kind->namespaced ? "namespaces/default/" : "", a->kind->plural);
	snprintf(a->one, sizeof(a->one), "%s/%s", a->list, a->name);
	return obj;
}

static struct answer call(struct at *a, int status, const char *method, const char *path, const char *type,
			  const json_t *body)
{
	char *text = body ? text_of(body) : NULL;
	struct answer r = fx_call(&f, ADMIN, method, path, body ? type : NULL, NULL, text);

	cr_assert(r.status == status, "%s: %s %s: %d, not %d: %s\n%s", a->kind->kind, method, path, r.status, status,
		  r.text, text ? text : "");
	free(text);
	return r;
}

static json_t *object_of(struct answer *r)
{
	json_t *ret = json_incref(r->json);

	answer_done(r);
	return ret;
}

/* --- the steps ---------------------------------------------------------------------------------------------------- */

static void wait_for_event(struct at *a, const char *uid)
{
	struct fx_watch w;
	char path[200];
	json_t *ev;

	snprintf(path, sizeof(path), "/api/v1/namespaces/default/events?watch=1&fieldSelector=involvedObject.uid%%3D%s",
		 uid);
	fx_watch_start(&f, &w, ADMIN, path, NULL);
	ev = fx_watch_expect(&w, "ADDED", NULL);
	cr_assert(streq(api_get_str(ev, "object.message"), a->kind->unattended), "%s", a->kind->kind);
	fx_watch_done(&w);
}

static json_t *create(struct at *a)
{
	json_t *obj = make(a), *got;
	struct answer r = call(a, 201, "POST", a->list, "application/json", obj);

	json_decref(obj);
	cr_assert(streq(api_get_str(r.json, "kind"), a->kind->kind), "%s", r.text);
	cr_assert(api_get_str(r.json, "metadata.uid") && api_get_str(r.json, "metadata.resourceVersion"), "%s", r.text);
	if (a->kind->has_spec_generation)
		cr_assert(api_get_int(r.json, "metadata.generation", 0) == 1, "%s", r.text);
	cr_assert(!!a->kind->unattended == (r.warning && strstr(r.warning, a->kind->unattended ?: "")),
		  "%s: warning '%s'", a->kind->kind, r.warning ? r.warning : "");
	if (a->kind->unattended) {
		const json_t *condition = json_array_get(api_get(r.json, "status.conditions"), 0);

		if (condition)
			cr_assert(streq(api_get_str(condition, "message"), a->kind->unattended) &&
					  streq(api_get_str(condition, "status"), "False"),
				  "%s", r.text);
		wait_for_event(a, api_get_str(r.json, "metadata.uid"));
	}
	got = fx_expect(&f, 200, "GET", a->one, NULL);
	if (!json_equal(got, r.json)) {
		char *text = text_of(got);

		cr_assert(false, "%s: created %s\nread %s", a->kind->kind, r.text, text);
	}
	answer_done(&r);
	return got;
}

static void lists(struct at *a)
{
	struct answer r = call(a, 200, "GET", a->list, NULL, NULL);
	char list_kind[100];
	const json_t *rows, *row, *cell;
	size_t i, k;

	snprintf(list_kind, sizeof(list_kind), "%sList", a->kind->kind);
	cr_assert(streq(api_get_str(r.json, "kind"), list_kind) && json_array_size(json_object_get(r.json, "items")),
		  "%s", r.text);
	answer_done(&r);
	r = fx_call(&f, ADMIN, "GET", a->list, NULL, TABLE, NULL);
	cr_assert(r.status == 200 && streq(api_get_str(r.json, "kind"), "Table"), "%s", r.text);
	rows = json_object_get(r.json, "rows");
	cr_assert(a->kind->n_columns > 1, "%s has no columns", a->kind->kind);
	cr_assert(json_array_size(json_object_get(r.json, "columnDefinitions")) == a->kind->n_columns, "%s", r.text);
	cr_assert(json_array_size(rows) > 0, "%s", r.text);
	json_array_foreach (rows, i, row) {
		cr_assert(json_array_size(json_object_get(row, "cells")) == a->kind->n_columns, "%s", r.text);
		json_array_foreach (json_object_get(row, "cells"), k, cell)
			cr_assert(!json_is_null(cell), "%s: column %s is computed by nobody", a->kind->kind,
				  a->kind->columns[k].name);
	}
	answer_done(&r);
}

/* Steals obj. */
static void replace(struct at *a, json_t *obj)
{
	json_t *got;
	struct answer r = { 0 };

	for (int tries = 0; r.status != 200; tries++) {
		char *text;

		cr_assert(tries < 50 && (!tries || ((a->sample->flags & SHARED) && r.status == 409)), "%s: PUT: %d %s",
			  a->kind->kind, r.status, r.text ? r.text : "");
		answer_done(&r);
		if (tries) {
			json_decref(obj);
			obj = fx_expect(&f, 200, "GET", a->one, NULL);
		}
		(void)api_set(obj, "metadata.annotations", json_pack("{s:s}", "test", "replaced"));
		text = text_of(obj);
		r = fx_call(&f, ADMIN, "PUT", a->one, "application/json", NULL, text);
		free(text);
	}
	cr_assert(!!a->kind->unattended == (r.warning && strstr(r.warning, a->kind->unattended ?: "")),
		  "%s: warning '%s'", a->kind->kind, r.warning ? r.warning : "");
	got = object_of(&r);
	cr_assert(!streq(api_get_str(got, "metadata.resourceVersion"), api_get_str(obj, "metadata.resourceVersion")));
	cr_assert(streq(json_string_value(json_object_get(api_get(got, "metadata.annotations"), "test")), "replaced"));
	if (a->kind->has_spec_generation)
		cr_assert(api_get_int(got, "metadata.generation", 0) == 1, "%s: metadata is no generation",
			  a->kind->kind);
	json_decref(got);
	r = call(a, 409, "PUT", a->one, "application/json", obj);
	answer_done(&r);
	json_decref(obj);
}

/* Every member of the patch is in the object; lists are compared whole. */
static bool contains(const json_t *obj, const json_t *patch)
{
	const json_t *v;
	const char *key;

	if (!json_is_object(patch))
		return json_is_array(patch) ? json_array_size(obj) == json_array_size(patch) : json_equal(obj, patch);
	json_object_foreach ((json_t *)patch, key, v) {
		const json_t *o = json_object_get(obj, key);

		if (!o && !json_array_size(v) && json_is_array(v))
			continue;
		if (!contains(o, v))
			return false;
	}
	return true;
}

static void patches(struct at *a)
{
	static const char *const types[] = { "application/merge-patch+json", "application/strategic-merge-patch+json" };
	json_t *patch = json_pack("{s:{s:{s:s}}}", "metadata", "annotations", "second", "x"), *got;
	struct answer r;

	for (size_t i = 0; i < 2; i++) {
		r = call(a, 200, "PATCH", a->one, types[i], patch);
		answer_done(&r);
	}
	json_decref(patch);
	if (!a->sample->change)
		return;
	patch = from_yaml(a->sample->change);
	r = call(a, 200, "PATCH", a->one, types[0], patch);
	got = object_of(&r);
	cr_assert(contains(got, patch), "%s: the patch is not in the object", a->kind->kind);
	if (a->kind->has_spec_generation)
		cr_assert(api_get_int(got, "metadata.generation", 0) == 2, "%s: generation %lld", a->kind->kind,
			  (long long)api_get_int(got, "metadata.generation", 0));
	json_decref(got);
	json_decref(patch);
}

static json_t *without(const json_t *obj, const char *member)
{
	json_t *ret = json_deep_copy(obj);

	json_object_del(ret, member);
	json_object_del(json_object_get(ret, "metadata"), "resourceVersion");
	json_object_del(json_object_get(ret, "metadata"), "managedFields");
	return ret;
}

/* A status is written at its own path and nowhere else, and what is written there is nothing but status. */
static void statuses(struct at *a)
{
	json_t *patch, *before, *got, *x, *y;
	char path[320];
	struct answer r;

	cr_assert(!!a->sample->status == has_sub(a->kind, "status"), "%s: the sample's status", a->kind->kind);
	if (!a->sample->status)
		return;
	patch = from_yaml(a->sample->status);
	snprintf(path, sizeof(path), "%s/status", a->one);
	r = call(a, 200, "PATCH", a->one, "application/merge-patch+json", patch);
	got = object_of(&r);
	if (!(a->sample->flags & SHARED))
		cr_assert(!contains(got, patch), "%s: status was written by the object itself", a->kind->kind);
	before = got;
	r = call(a, 200, "PATCH", path, "application/merge-patch+json", patch);
	got = object_of(&r);
	cr_assert(contains(got, patch), "%s: status was not written", a->kind->kind);
	x = without(before, "status");
	y = without(got, "status");
	cr_assert(json_equal(x, y), "%s: a status write changed the rest", a->kind->kind);
	json_decref(before);
	before = got;
	got = fx_expect(&f, 200, "GET", path, NULL);
	if (!(a->sample->flags & SHARED))
		cr_assert(json_equal(got, before), "%s: GET of the status", a->kind->kind);
	json_decref(before);
	json_decref(got);
	json_decref(patch);
	json_decref(x);
	json_decref(y);
}

static void scales(struct at *a)
{
	char path[320];
	json_t *got;

	if (!has_sub(a->kind, "scale"))
		return;
	snprintf(path, sizeof(path), "%s/scale", a->one);
	got = fx_expect(&f, 200, "PATCH", path, "{\"spec\":{\"replicas\":5}}");
	cr_assert(streq(api_get_str(got, "kind"), "Scale") && streq(api_get_str(got, "status.selector"), "app=x"));
	json_decref(got);
	got = fx_expect(&f, 200, "GET", a->one, NULL);
	cr_assert(api_get_int(got, "spec.replicas", 0) == 5, "%s", a->kind->kind);
	json_decref(got);
}

static void deletes(struct at *a)
{
	char path[300];
	json_t *obj;
	struct answer r = call(a, 200, "DELETE", a->one, NULL, NULL);

	answer_done(&r);
	if (a->sample->flags & LINGERS) {
		r = fx_call(&f, ADMIN, "GET", a->one, NULL, NULL, NULL);
		/* where the server itself finishes it, it may have done so */
		cr_assert(r.status == 200 || (r.status == 404 && a->sample->flags & SHARED), "%s", r.text);
		cr_assert(r.status == 404 || api_get(r.json, "metadata.deletionTimestamp"), "%s", a->kind->kind);
		answer_done(&r);
		return;
	}
	fx_do(&f, 404, "GET", a->one, NULL);
	obj = make(a);
	r = call(a, 201, "POST", a->list, "application/json", obj);
	answer_done(&r);
	json_decref(obj);
	snprintf(path, sizeof(path), "%s?labelSelector=test%%3Dother", a->list);
	fx_do(&f, 200, "DELETE", path, NULL);
	fx_do(&f, 200, "GET", a->one, NULL);
	snprintf(path, sizeof(path), "%s?labelSelector=test%%3Dkinds", a->list);
	fx_do(&f, 200, "DELETE", path, NULL);
	fx_do(&f, 404, "GET", a->one, NULL);
}

/* Drops what protobuf has no sign for: zeros and what holds nothing but such. */
static json_t *without_zeros(json_t *v)
{
	const char *key;
	json_t *x;
	void *next;
	size_t i;

	json_object_foreach_safe (v, next, key, x) {
		(void)without_zeros(x);
		if (json_is_null(x) || json_is_false(x) || (json_is_integer(x) && !json_integer_value(x)) ||
		    (json_is_string(x) && !json_string_length(x)) || (json_is_object(x) && !json_object_size(x)) ||
		    (json_is_array(x) && !json_array_size(x)))
			json_object_del(v, key);
	}
	json_array_foreach (v, i, x)
		(void)without_zeros(x);
	return v;
}

/*
 * The object in protobuf says the same, and is read when it comes back. false: the server itself wrote in between.
 */
static bool protobuf(struct at *a)
{
	const char *type = "application/vnd.kubernetes.protobuf";
	json_t *want = without_zeros(fx_expect(&f, 200, "GET", a->one, NULL)), *got = NULL, *claim;
	struct answer r = fx_call(&f, ADMIN, "GET", a->one, NULL, type, NULL), put = { 0 };
	struct err err = ERR_INIT;
	bool same;
	size_t i;

	/* within another object these two have no number */
	json_array_foreach (api_get(want, "spec.volumeClaimTemplates"), i, claim) {
		json_object_del(claim, "apiVersion");
		json_object_del(claim, "kind");
	}
	cr_assert(streq(r.content_type, type), "%s: %s", a->kind->kind, r.content_type);
	cr_assert(api_protobuf_parse(r.text, r.len, &got, &err) == 0, "%s: %s", a->kind->kind, err.msg);
	same = streq(api_get_str(want, "metadata.resourceVersion"), api_get_str(got, "metadata.resourceVersion"));
	if (same && !json_equal(without_zeros(got), want)) {
		char *x = text_of(want), *y = text_of(got);

		cr_assert(false, "%s\n%s\n%s", a->kind->kind, x, y);
	}
	if (same) {
		put = fx_call_bytes(&f, ADMIN, "PUT", a->one, type, NULL, r.text, r.len);
		cr_assert(put.status == 200 || (put.status == 409 && a->sample->flags & SHARED), "%s: %s",
			  a->kind->kind, put.text);
		same = put.status == 200;
		answer_done(&put);
	}
	answer_done(&r);
	json_decref(want);
	json_decref(got);
	return same;
}

Test(kinds, every_kind_goes_through_the_verbs)
{
	const struct api_kind *const *kinds;
	size_t n;

	kinds = api_kinds(&n);
	for (size_t i = 0; i < n; i++) {
		struct at a = { .kind = kinds[i] };
		json_t *obj;

		if (a.kind->review || a.kind->computed)
			continue; /* never kept */
		a.sample = sample_of(a.kind->group, a.kind->kind);
		cr_assert(a.sample, "%s/%s has no sample: write one into samples.c", a.kind->group, a.kind->kind);
		obj = create(&a);
		lists(&a);
		replace(&a, obj);
		patches(&a);
		statuses(&a);
		scales(&a);
		while (!protobuf(&a))
			;
		deletes(&a);
	}
}

Test(kinds, an_unserved_kind_is_not_found)
{
	fx_refused(&f, ADMIN, 404, "GET", "/apis/batch/v1beta1/cronjobs", NULL,
		   "could not find the requested resource");
	fx_refused(&f, ADMIN, 404, "GET", "/apis/policy/v1beta1/podsecuritypolicies", NULL,
		   "could not find the requested resource");
}

Test(kinds, numbers_in_field_selectors_are_zero_when_absent)
{
	static const struct {
		const char *list, *body, *zero, *one, *status;
	} t[] = {
		{ "/apis/batch/v1/namespaces/default/jobs",
		  "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"template\":"
		  "{\"spec\":{\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}",
		  "status.successful%3D0", "status.successful%3D1", "{\"status\":{\"succeeded\":1}}" },
		{ "/apis/apps/v1/namespaces/default/replicasets",
		  "{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"selector\":"
		  "{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":"
		  "{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}",
		  "status.replicas%3D0", "status.replicas%3D1", "{\"status\":{\"replicas\":1}}" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char path[200];
		json_t *list;

		fx_do(&f, 201, "POST", t[i].list, t[i].body);
		for (int one = 0; one < 2; one++) {
			snprintf(path, sizeof(path), "%s?fieldSelector=%s", t[i].list, one ? t[i].one : t[i].zero);
			list = fx_expect(&f, 200, "GET", path, NULL);
			cr_assert(json_array_size(json_object_get(list, "items")) == 1, "%s", path);
			json_decref(list);
			snprintf(path, sizeof(path), "%s/x/status", t[i].list);
			fx_do(&f, 200, "PATCH", path, t[i].status);
		}
	}
}
