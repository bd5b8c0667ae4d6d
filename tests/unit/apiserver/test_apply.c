/* SPDX-License-Identifier: Apache-2.0 */
/* The API server: server-side apply and managedFields, over HTTPS. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "../../../userspace/control/apiserver/managed.h"

#define APPLY	"application/apply-patch+yaml"
#define MERGE	"application/merge-patch+json"
#define JSONP	"application/json-patch+json"
#define DEPLOYS "/apis/apps/v1/namespaces/default/deployments"
#define DEPLOY(spec)                                                                                                   \
	"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {" spec                                     \
	"selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, "       \
	"image: 'i:1'}]}}}\n"
#define CM_YAML(data) "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {" data "}\n"

/* PATCH as admin; asserts the status; the body, the caller's. */
static json_t *patch(struct fx *f, int status, const char *type, const char *path, const char *body)
{
	struct answer a = fx_call(f, ADMIN, "PATCH", path, type, NULL, body);
	json_t *json;

	cr_assert(a.status == status, "%s: %d %s", path, a.status, a.text);
	json = json_incref(a.json);
	answer_done(&a);
	return json;
}

static void patch_refused(struct fx *f, int status, const char *path, const char *body, const char *text)
{
	json_t *st = patch(f, status, APPLY, path, body);
	const char *message = api_get_str(st, "message");

	cr_assert(message && strstr(message, text), "%s", message);
	json_decref(st);
}

/* The entry of a manager: borrowed; NULL if there is none. */
static json_t *entry(const json_t *obj, const char *manager, const char *operation, const char *sub)
{
	json_t *e;
	size_t i;

	json_array_foreach (api_get(obj, "metadata.managedFields"), i, e) {
		const char *s = api_get_str(e, "subresource");

		if (streq(api_get_str(e, "manager"), manager) && streq(api_get_str(e, "operation"), operation) &&
		    streq(s ? s : "", sub))
			return e;
	}
	return NULL;
}

static json_t *get(struct fx *f, const char *path)
{
	return fx_expect(f, 200, "GET", path, NULL);
}

Test(apply, makes_changes_and_prunes)
{
	struct fx f;
	json_t *o;
	const char *rv;

	fx_init(&f);
	fx_start(&f);
	o = patch(&f, 201, APPLY, CMS "/c?fieldManager=m", CM_YAML("k: v, l: w"));
	cr_assert_str_eq(api_get_str(o, "data.k"), "v");
	cr_assert(api_get(entry(o, "m", "Apply", ""), "fieldsV1.f:data.f:k"));
	cr_assert(api_get_str(entry(o, "m", "Apply", ""), "time"));
	rv = api_get_str(o, "metadata.resourceVersion");
	{
		/* the same again writes nothing */
		json_t *again = patch(&f, 200, APPLY, CMS "/c?fieldManager=m", CM_YAML("k: v, l: w"));

		cr_assert_str_eq(api_get_str(again, "metadata.resourceVersion"), rv);
		cr_assert(json_equal(again, o));
		json_decref(again);
	}
	json_decref(o);
	o = patch(&f, 200, APPLY, CMS "/c?fieldManager=m", CM_YAML("l: x"));
	cr_assert(!api_get(o, "data.k"));
	cr_assert_str_eq(api_get_str(o, "data.l"), "x");
	json_decref(o);
	/* kept over a restart */
	fx_stop(&f);
	fx_start(&f);
	o = get(&f, CMS "/c");
	cr_assert(api_get(entry(o, "m", "Apply", ""), "fieldsV1.f:data.f:l"));
	json_decref(o);
	fx_done(&f);
}

Test(apply, is_refused_with_reasons)
{
	struct fx f;
	struct answer a;

	fx_init(&f);
	fx_start(&f);
	patch_refused(&f, 422, CMS "/c", CM_YAML("k: v"),
		      "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: "
		      "Required value: is required for apply patch");
	patch_refused(&f, 400, CMS "/c?fieldManager=m&force=maybe", CM_YAML("k: v"), "force");
	patch_refused(&f, 400, CMS "/other?fieldManager=m", CM_YAML("k: v"), "does not match the name on the URL");
	patch_refused(&f, 400, CMS "/c?fieldManager=m", "apiVersion: v2\nkind: ConfigMap\n",
		      "Incorrect version specified in apply patch. Specified patch version: v2, expected: v1");
	patch_refused(&f, 400, CMS "/c?fieldManager=m", "apiVersion: v1\nkind: Secret\n", "invalid object type");
	patch_refused(&f, 400, CMS "/c?fieldManager=m",
		      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, managedFields: []}\n",
		      "metadata.managedFields must be nil");
	patch_refused(
		&f, 500, CMS "/c?fieldManager=m", "apiVersion: v1\nkind: ConfigMap\nnope: 1\n",
		"failed to create typed patch object (default/c; v1, Kind=ConfigMap): .nope: field not declared in "
		"schema");
	patch_refused(&f, 500, DEPLOYS "/d?fieldManager=m", DEPLOY("replicas: x, "), ".spec.replicas: ");
	patch_refused(&f, 409, CMS "/c?fieldManager=m",
		      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, uid: x}\n", "Precondition failed: UID");
	patch_refused(&f, 409, CMS "/c?fieldManager=m",
		      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, resourceVersion: '7'}\n", "modified");
	patch_refused(&f, 404, DEPLOYS "/d/status?fieldManager=m", DEPLOY(""), "not found");
	patch_refused(&f, 422, DEPLOYS "/d?fieldManager=m", "apiVersion: apps/v1\nkind: Deployment\n", "is invalid");
	a = fx_call(&f, ADMIN, "PATCH", CMS "/c?fieldManager=m", "application/apply-patch+cbor", NULL, "x");
	cr_assert(a.status == 415);
	answer_done(&a);
	a = fx_call(&f, ADMIN, "PATCH", CMS "/c?force=true", MERGE, NULL, "{}");
	cr_assert(a.status == 422 && strstr(a.text, "may not be specified for non-apply patch"), "%s", a.text);
	answer_done(&a);
	fx_refused(&f, ADMIN, 422, "POST",
		   CMS "?fieldManager="
		       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		   CM("x", ""), "Too long");
	fx_refused(&f, ADMIN, 404, "GET", CMS "/c", NULL, "not found");
	fx_done(&f);
}

Test(apply, conflicts_name_the_other_and_the_fields)
{
	struct fx f;
	json_t *st, *o, *cause;

	fx_init(&f);
	fx_start(&f);
	json_decref(patch(&f, 201, APPLY, DEPLOYS "/d?fieldManager=one", DEPLOY("replicas: 1, ")));
	o = get(&f, DEPLOYS "/d");
	json_decref(o);
	st = patch(&f, 409, APPLY, DEPLOYS "/d?fieldManager=two", DEPLOY("replicas: 2, "));
	cr_assert_str_eq(api_get_str(st, "message"),
			 "Apply failed with 1 conflict: conflict with \"one\": .spec.replicas");
	cr_assert_str_eq(api_get_str(st, "reason"), "Conflict");
	cause = json_array_get(api_get(st, "details.causes"), 0);
	cr_assert_str_eq(api_get_str(cause, "reason"), "FieldManagerConflict");
	cr_assert_str_eq(api_get_str(cause, "field"), ".spec.replicas");
	cr_assert_str_eq(api_get_str(cause, "message"), "conflict with \"one\"");
	json_decref(st);
	o = patch(&f, 200, APPLY, DEPLOYS "/d?fieldManager=two&force=true", DEPLOY("replicas: 2, "));
	cr_assert_eq(api_get_int(o, "spec.replicas", 0), 2);
	cr_assert_eq(api_get_int(o, "metadata.generation", 0), 2);
	cr_assert(!api_get(entry(o, "one", "Apply", ""), "fieldsV1.f:spec.f:replicas"));
	cr_assert(api_get(entry(o, "two", "Apply", ""), "fieldsV1.f:spec.f:replicas"));
	/* what both say, both own */
	cr_assert(api_get(entry(o, "one", "Apply", ""), "fieldsV1.f:spec.f:selector"));
	cr_assert(api_get(entry(o, "two", "Apply", ""), "fieldsV1.f:spec.f:selector"));
	json_decref(o);
	/* an update's manager is told with its version */
	json_decref(patch(&f, 200, MERGE, DEPLOYS "/d?fieldManager=edit", "{\"spec\":{\"replicas\":5}}"));
	patch_refused(&f, 409, DEPLOYS "/d?fieldManager=two", DEPLOY("replicas: 2, "),
		      "conflict with \"edit\" using apps/v1: .spec.replicas");
	/* dry runs refuse alike, and change nothing */
	patch_refused(&f, 409, DEPLOYS "/d?fieldManager=two&dryRun=All", DEPLOY("replicas: 2, "), "conflict");
	o = patch(&f, 200, APPLY, DEPLOYS "/d?fieldManager=two&dryRun=All&force=true", DEPLOY("replicas: 2, "));
	cr_assert(api_get(entry(o, "two", "Apply", ""), "fieldsV1.f:spec.f:replicas"));
	json_decref(o);
	o = get(&f, DEPLOYS "/d");
	cr_assert_eq(api_get_int(o, "spec.replicas", 0), 5);
	json_decref(o);
	fx_done(&f);
}

Test(apply, status_and_scale_are_owned_apart)
{
	struct fx f;
	json_t *o;

	fx_init(&f);
	fx_start(&f);
	json_decref(patch(&f, 201, APPLY, DEPLOYS "/d?fieldManager=m", DEPLOY("replicas: 1, ")));
	o = patch(
		&f, 200, APPLY, DEPLOYS "/d/status?fieldManager=m",
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: 7}\nstatus: {replicas: 3, "
		"conditions: [{type: Available, status: 'True'}]}\n");
	cr_assert_eq(api_get_int(o, "status.replicas", 0), 3);
	cr_assert_eq(api_get_int(o, "spec.replicas", 0), 1);
	cr_assert(api_get(entry(o, "m", "Apply", "status"), "fieldsV1.f:status.f:replicas"));
	cr_assert(!api_get(entry(o, "m", "Apply", "status"), "fieldsV1.f:spec"));
	json_decref(o);
	json_decref(patch(&f, 409, APPLY, DEPLOYS "/d/scale?fieldManager=hpa",
			  "apiVersion: autoscaling/v1\nkind: Scale\nspec: {replicas: 4}\n"));
	o = patch(&f, 200, APPLY, DEPLOYS "/d/scale?fieldManager=hpa&force=true",
		  "apiVersion: autoscaling/v1\nkind: Scale\nspec: {replicas: 4}\n");
	cr_assert_str_eq(api_get_str(o, "kind"), "Scale");
	cr_assert_eq(api_get_int(o, "spec.replicas", 0), 4);
	json_decref(o);
	o = get(&f, DEPLOYS "/d");
	cr_assert(api_get(entry(o, "hpa", "Apply", "scale"), "fieldsV1.f:spec.f:replicas"));
	cr_assert(!api_get(entry(o, "m", "Apply", ""), "fieldsV1.f:spec.f:replicas"));
	cr_assert(api_get_int(o, "metadata.generation", 0) == 2);
	json_decref(o);
	json_decref(patch(&f, 200, MERGE, DEPLOYS "/d/scale?fieldManager=hand", "{\"spec\":{\"replicas\":2}}"));
	o = get(&f, DEPLOYS "/d");
	cr_assert(api_get(entry(o, "hand", "Update", "scale"), "fieldsV1.f:spec.f:replicas"));
	cr_assert(!entry(o, "hpa", "Apply", "scale"));
	json_decref(o);
	fx_done(&f);
}

Test(managed_fields, follow_every_write)
{
	struct fx f;
	json_t *o, *before;

	fx_init(&f);
	fx_start(&f);
	o = fx_expect(&f, 201, "POST", PODS "?fieldManager=maker", POD("p", ""));
	cr_assert(api_get(entry(o, "maker", "Update", ""), "fieldsV1.f:spec.f:restartPolicy"));
	cr_assert(!api_get(entry(o, "maker", "Update", ""), "fieldsV1.f:status"));
	cr_assert(!api_get(entry(o, "maker", "Update", ""), "fieldsV1.f:metadata.f:name"));
	json_decref(o);
	o = patch(&f, 200, "application/strategic-merge-patch+json", PODS "/p/status?fieldManager=agent",
		  "{\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
	cr_assert(api_get(entry(o, "agent", "Update", "status"), "fieldsV1.f:status.f:phase"));
	json_decref(o);
	before = get(&f, PODS "/p");
	/* nothing changes: neither entries nor their times nor the version */
	o = patch(&f, 200, MERGE, PODS "/p/status?fieldManager=else", "{\"status\":{\"phase\":\"Running\"}}");
	cr_assert(json_equal(o, before));
	json_decref(o);
	/* a client that does not know of them does not lose them, one that sends them back neither */
	json_object_del(json_object_get(before, "metadata"), "managedFields");
	(void)api_set(before, "metadata.labels", json_pack("{s:s}", "l", "1"));
	{
		char *text = json_dumps(before, 0);

		o = fx_expect(&f, 200, "PUT", PODS "/p?fieldManager=maker", text);
		free(text);
		cr_assert(api_get(entry(o, "maker", "Update", ""), "fieldsV1.f:metadata.f:labels.f:l"));
		cr_assert(entry(o, "agent", "Update", "status"));
		(void)api_set(o, "metadata.labels", json_pack("{s:s}", "l", "2"));
		text = json_dumps(o, 0);
		json_decref(o);
		o = fx_expect(&f, 200, "PUT", PODS "/p?fieldManager=third", text);
		free(text);
	}
	cr_assert(api_get(entry(o, "third", "Update", ""), "fieldsV1.f:metadata.f:labels.f:l"));
	cr_assert(!api_get(entry(o, "maker", "Update", ""), "fieldsV1.f:metadata.f:labels.f:l"));
	cr_assert(entry(o, "agent", "Update", "status"));
	json_decref(o);
	json_decref(before);
	/* told in lists and by watches, too */
	o = get(&f, PODS);
	cr_assert(entry(json_array_get(json_object_get(o, "items"), 0), "third", "Update", ""));
	json_decref(o);
	/* a binding is nobody's */
	fx_do(&f, 201, "POST", PODS "/p/binding",
	      "{\"apiVersion\":\"v1\",\"kind\":\"Binding\",\"metadata\":{\"name\":\"p\"},\"target\":{\"kind\":\"Node\","
	      "\"name\":\"n\"}}");
	o = get(&f, PODS "/p");
	cr_assert_str_eq(api_get_str(o, "spec.nodeName"), "n");
	cr_assert(entry(o, "third", "Update", ""));
	json_decref(o);
	fx_done(&f);
}

Test(managed_fields, are_edited_and_reset_by_patches)
{
	struct fx f;
	json_t *o;
	char *text, *rv;

	fx_init(&f);
	fx_start(&f);
	json_decref(fx_expect(&f, 201, "POST", CMS "?fieldManager=a", CM("c", "\"k\":\"v\"")));
	/* an empty list is what clients send who do not know of them */
	o = patch(&f, 200, MERGE, CMS "/c", "{\"metadata\":{\"managedFields\":[]}}");
	cr_assert(entry(o, "a", "Update", ""));
	rv = strdup(api_get_str(o, "metadata.resourceVersion"));
	json_decref(o);
	/* as kubectl moves from client-side to server-side apply */
	cr_assert(
		asprintf(
			&text,
			"[{\"op\":\"replace\",\"path\":\"/metadata/managedFields\",\"value\":[{\"manager\":\"kubectl\","
			"\"operation\":\"Apply\",\"apiVersion\":\"v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{"
			"\"f:data\":{\"f:k\":{}}}}]},{\"op\":\"replace\",\"path\":\"/metadata/resourceVersion\","
			"\"value\":\"%s\"}]",
			rv) > 0);
	o = patch(&f, 200, JSONP, CMS "/c", text);
	cr_assert(entry(o, "kubectl", "Apply", "") && !entry(o, "a", "Update", ""));
	json_decref(o);
	/* that version is gone now */
	json_decref(patch(&f, 409, JSONP, CMS "/c", text));
	free(text);
	free(rv);
	/* what makes no sense changes nothing */
	o = patch(&f, 200, MERGE, CMS "/c", "{\"metadata\":{\"managedFields\":[{\"operation\":\"Guess\"}]}}");
	cr_assert(entry(o, "kubectl", "Apply", ""));
	json_decref(o);
	o = patch(&f, 200, JSONP, CMS "/c",
		  "[{\"op\":\"replace\",\"path\":\"/metadata/managedFields\",\"value\":[{}]}]");
	cr_assert(!api_get(o, "metadata.managedFields"));
	json_decref(o);
	/* nobody keeps track until the next apply, which makes one manager of all before */
	o = patch(&f, 200, MERGE, CMS "/c?fieldManager=x", "{\"data\":{\"l\":\"w\"}}");
	cr_assert(!api_get(o, "metadata.managedFields"));
	json_decref(o);
	o = patch(&f, 200, APPLY, CMS "/c?fieldManager=m", CM_YAML("k: v"));
	cr_assert(api_get(entry(o, "before-first-apply", "Update", ""), "fieldsV1.f:data.f:l"));
	cr_assert(entry(o, "m", "Apply", ""));
	json_decref(o);
	fx_done(&f);
}

Test(managed_fields, are_kept_by_deletions_that_wait)
{
	struct fx f;
	json_t *o;

	fx_init(&f);
	fx_start(&f);
	json_decref(patch(&f, 201, APPLY, CMS "/c?fieldManager=m",
			  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, finalizers: [x/y]}\ndata: {k: v}\n"));
	o = fx_expect(&f, 200, "DELETE", CMS "/c", NULL);
	cr_assert(api_get_str(o, "metadata.deletionTimestamp"));
	cr_assert(api_get(entry(o, "m", "Apply", ""), "fieldsV1.f:data.f:k"));
	json_decref(o);
	o = get(&f, CMS "/c");
	cr_assert(api_get(entry(o, "m", "Apply", ""), "fieldsV1.f:metadata.f:finalizers"));
	json_decref(o);
	/* an apply without the finalizer ends it */
	o = patch(&f, 200, APPLY, CMS "/c?fieldManager=m", CM_YAML("k: v"));
	json_decref(o);
	fx_refused(&f, ADMIN, 404, "GET", CMS "/c", NULL, "not found");
	fx_done(&f);
}

Test(managed_fields, are_cut_from_a_clients_text)
{
	static const struct {
		const char *text, *without, *managed; /* without NULL: they are not there */
	} cases[] = {
		{ "{\"metadata\":{\"name\":\"a\",\"managedFields\":[{}],\"uid\":\"u\"},\"x\":1}",
		  "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"},\"x\":1}", "[{}]" },
		{ "{\"metadata\":{\"name\":\"a\", \"managedFields\" : [ \"]\" ] }}", "{\"metadata\":{\"name\":\"a\"}}",
		  "[ \"]\" ]" },
		{ "{\"metadata\": {\"managedFields\":[]}}", "{\"metadata\": {}}", "[]" },
		{ "{\"metadata\":{\"managedFields\":[],\"a\":\"b\"}}", "{\"metadata\":{\"a\":\"b\"}}", "[]" },
		{ "{\"spec\":{\"managedFields\":[]},\"metadata\":{\"labels\":{\"managedFields\":[]}}}", NULL, NULL },
		{ "{\"x\":{\"metadata\":{\"managedFields\":[]}}}", NULL, NULL },
		{ "{\"metadata\":{\"a\":\"\\\"managedFields\\\":[]\"}}", NULL, NULL },
		{ "{\"metadata\":{\"managedFields\":null}}", NULL, NULL },
		{ "{\"metadata\":{\"managedFields\":[", NULL, NULL },
		{ "{\"metadata\":{\"managedFields", NULL, NULL },
		{ "\"metadata", NULL, NULL },
		{ "", NULL, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strbuf without = STRBUF_INIT, managed = STRBUF_INIT;
		bool cut = managed_cut(cases[i].text, strlen(cases[i].text), &without, &managed);

		cr_assert(cut == !!cases[i].without, "%s", cases[i].text);
		if (cut) {
			cr_assert_str_eq(without.buf, cases[i].without);
			cr_assert_str_eq(managed.buf, cases[i].managed);
		}
		strbuf_done(&without);
		strbuf_done(&managed);
	}
}

#define CRDS	"/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#define WIDGETS "/apis/ex.org/v1/namespaces/default/widgets"

Test(apply, goes_by_the_schema_of_a_custom_kind)
{
	static const char crd[] =
		"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.ex.org}\n"
		"spec:\n  group: ex.org\n  scope: Namespaced\n  names: {plural: widgets, singular: widget, kind: Widget}\n"
		"  versions:\n  - name: v1\n    served: true\n    storage: true\n    subresources: {status: {}}\n"
		"    schema:\n      openAPIV3Schema:\n        type: object\n        properties:\n"
		"          status: {type: object, properties: {n: {type: integer}}}\n"
		"          spec:\n            type: object\n            properties:\n"
		"              parts:\n                type: array\n                x-kubernetes-list-type: map\n"
		"                x-kubernetes-list-map-keys: [id]\n                items: {type: object, required: [id], "
		"properties: {id: {type: string}, n: {type: integer}}}\n"
		"              tags: {type: array, x-kubernetes-list-type: set, items: {type: string}}\n"
		"              list: {type: array, items: {type: string}}\n"
		"              whole: {type: object, x-kubernetes-map-type: atomic, properties: {a: {type: string}}}\n"
		"              open: {type: object, x-kubernetes-preserve-unknown-fields: true}\n";
	struct fx f;
	struct answer a;
	json_t *o = NULL, *e;

	fx_init(&f);
	fx_start(&f);
	a = fx_call(&f, ADMIN, "POST", CRDS, "application/yaml", NULL, crd);
	cr_assert(a.status == 201, "%s", a.text);
	answer_done(&a);
	/* until it is established */
	for (int i = 0; i < 1000 && !o; i++) {
		a = fx_call(
			&f, ADMIN, "PATCH", WIDGETS "/w?fieldManager=a", APPLY, NULL,
			"apiVersion: ex.org/v1\nkind: Widget\nmetadata: {name: w}\nspec: {parts: [{id: x, n: 1}], tags: [t], "
			"list: [l], whole: {a: b}, open: {k: {l: 1}}}\n");
		cr_assert(a.status == 201 || a.status == 404, "%s", a.text);
		if (a.status == 201)
			o = json_incref(a.json);
		answer_done(&a);
	}
	cr_assert(o);
	e = api_get(entry(o, "a", "Apply", ""), "fieldsV1.f:spec");
	cr_assert(json_object_get(json_object_get(e, "f:parts"), "k:{\"id\":\"x\"}"));
	cr_assert(json_object_get(json_object_get(e, "f:tags"), "v:\"t\""));
	cr_assert(!json_object_size(json_object_get(e, "f:list")) && json_object_get(e, "f:list"));
	cr_assert(!json_object_size(json_object_get(e, "f:whole")) && json_object_get(e, "f:whole"));
	cr_assert(api_get(e, "f:open.f:k.f:l"));
	json_decref(o);
	o = patch(
		&f, 200, APPLY, WIDGETS "/w?fieldManager=b",
		"apiVersion: ex.org/v1\nkind: Widget\nmetadata: {name: w}\nspec: {parts: [{id: y, n: 2}], tags: [u]}\n");
	cr_assert_eq(json_array_size(api_get(o, "spec.parts")), 2);
	cr_assert_eq(json_array_size(api_get(o, "spec.tags")), 2);
	json_decref(o);
	patch_refused(&f, 409, WIDGETS "/w?fieldManager=b",
		      "apiVersion: ex.org/v1\nkind: Widget\nmetadata: {name: w}\nspec: {parts: [{id: x, n: 7}]}\n",
		      "conflict with \"a\": .spec.parts[id=\"x\"].n");
	o = patch(&f, 200, APPLY, WIDGETS "/w/status?fieldManager=c",
		  "apiVersion: ex.org/v1\nkind: Widget\nmetadata: {name: w}\nstatus: {n: 3}\n");
	cr_assert(api_get(entry(o, "c", "Apply", "status"), "fieldsV1.f:status.f:n"));
	json_decref(o);
	o = patch(&f, 200, APPLY, WIDGETS "/w?fieldManager=a",
		  "apiVersion: ex.org/v1\nkind: Widget\nmetadata: {name: w}\nspec: {list: [l]}\n");
	cr_assert_eq(json_array_size(api_get(o, "spec.parts")), 1);
	cr_assert(!api_get(o, "spec.open") && !api_get(o, "spec.whole"));
	json_decref(o);
	/* kept in the store, too */
	fx_stop(&f);
	fx_start(&f);
	o = NULL;
	for (int i = 0; i < 1000 && !o; i++) {
		a = fx_call(&f, ADMIN, "GET", WIDGETS "/w", NULL, NULL, NULL);
		if (a.status == 200)
			o = json_incref(a.json);
		answer_done(&a);
	}
	cr_assert(entry(o, "a", "Apply", "") && entry(o, "b", "Apply", "") && entry(o, "c", "Apply", "status"));
	json_decref(o);
	fx_done(&f);
}
