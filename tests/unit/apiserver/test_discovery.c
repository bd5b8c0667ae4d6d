/* SPDX-License-Identifier: Apache-2.0 */
/* What clients learn of a server before they use it: health, discovery in every form, and what these say of resources.
 */
#include "fixture.h"

#include <string.h>

#include "base/str.h"

#define AGGREGATED(v) "application/json;g=apidiscovery.k8s.io;v=" v ";as=APIGroupDiscoveryList"

static struct fx f;

static void setup(void)
{
	int status = 0;

	fx_init(&f);
	fx_start(&f);
	/* its first objects are there: readyz waits for them */
	for (int i = 0; i < 10000 && status != 200; i++) {
		struct answer a = fx_call(&f, ADMIN, "GET", "/readyz", NULL, NULL, NULL);

		status = a.status;
		answer_done(&a);
		loop_run_once(f.loop, 5);
	}
	cr_assert(status == 200);
}

static void teardown(void)
{
	fx_done(&f);
}

TestSuite(discovery, .init = setup, .fini = teardown, .timeout = 180);

Test(discovery, health_in_words_and_by_check)
{
	static const struct {
		const char *path;
		int status;
		const char *text;
	} t[] = {
		{ "/livez", 200, "ok" },
		{ "/healthz", 200, "ok" },
		{ "/readyz", 200, "ok" },
		{ "/livez?verbose", 200, "[+]ping ok\nlivez check passed\n" },
		{ "/readyz?verbose=1", 200,
		  "[+]ping ok\n[+]store ok\n[+]cache ok\n[+]bootstrap ok\n[+]shutdown ok\nreadyz check passed\n" },
		{ "/readyz?verbose=1&exclude=etcd", 200,
		  "[+]ping ok\n[+]store excluded: ok\n[+]cache ok\n[+]bootstrap ok\n[+]shutdown ok\nreadyz check passed\n" },
		{ "/healthz?verbose&exclude=cache,bootstrap", 200,
		  "[+]ping ok\n[+]store ok\n[+]cache excluded: ok\n[+]bootstrap excluded: ok\n[+]shutdown ok\nhealthz check "
		  "passed\n" },
		{ "/readyz?verbose&exclude=store&exclude=cache", 200,
		  "[+]ping ok\n[+]store excluded: ok\n[+]cache excluded: ok\n[+]bootstrap ok\n[+]shutdown ok\nreadyz check "
		  "passed\n" },
		{ "/livez/ping", 200, "ok" },
		{ "/readyz/store", 200, "ok" },
		{ "/readyz/etcd", 200, "ok" },
		{ "/readyz/poststarthook/rbac/bootstrap-roles", 200, "ok" },
		{ "/livez/store", 404, NULL },
		{ "/readyz/nothing", 404, NULL },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct answer a = fx_call(&f, ADMIN, "GET", t[i].path, NULL, NULL, NULL);

		cr_assert(a.status == t[i].status, "%s: %d: %s", t[i].path, a.status, a.text);
		cr_assert(!t[i].text || streq(a.text, t[i].text), "%s: %s", t[i].path, a.text);
		answer_done(&a);
	}
}

Test(discovery, the_aggregated_form_by_either_name)
{
	static const struct {
		const char *accept, *kind, *version, *type;
	} t[] = {
		{ AGGREGATED("v2") ",application/json", "APIGroupDiscoveryList", "apidiscovery.k8s.io/v2",
		  AGGREGATED("v2") },
		{ AGGREGATED("v2beta1") ",application/json", "APIGroupDiscoveryList", "apidiscovery.k8s.io/v2beta1",
		  AGGREGATED("v2beta1") },
		{ AGGREGATED("v2") "," AGGREGATED("v2beta1") ",application/json", "APIGroupDiscoveryList",
		  "apidiscovery.k8s.io/v2", AGGREGATED("v2") },
		{ AGGREGATED("v3") ",application/json", "APIGroupList", "v1", "application/json" },
		{ "application/json", "APIGroupList", "v1", "application/json" },
		{ "*/*", "APIGroupList", "v1", "application/json" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct answer a = fx_call(&f, ADMIN, "GET", "/apis", NULL, t[i].accept, NULL);

		cr_assert(a.status == 200);
		cr_assert_str_eq(api_get_str(a.json, "kind"), t[i].kind);
		cr_assert_str_eq(api_get_str(a.json, "apiVersion"), t[i].version);
		cr_assert_str_eq(a.content_type, t[i].type);
		answer_done(&a);
	}
}

static const json_t *resource(const json_t *list, const char *name)
{
	json_t *r;
	size_t i;

	json_array_foreach (json_object_get(list, "resources"), i, r)
		if (streq(api_get_str(r, "name"), name))
			return r;
	cr_assert(false, "no resource %s", name);
	return NULL;
}

static bool has_verb(const json_t *r, const char *verb)
{
	json_t *v;
	size_t i;

	json_array_foreach (json_object_get(r, "verbs"), i, v)
		if (streq(json_string_value(v), verb))
			return true;
	return false;
}

/* What discovery says is what the server does. */
Test(discovery, resources_say_what_can_be_done)
{
	json_t *list = fx_expect(&f, 200, "GET", "/api/v1", NULL);

	cr_assert_str_eq(api_get_str(list, "kind"), "APIResourceList");
	cr_assert_str_eq(api_get_str(list, "groupVersion"), "v1");
	cr_assert(!has_verb(resource(list, "namespaces"), "deletecollection"));
	cr_assert(has_verb(resource(list, "configmaps"), "deletecollection"));
	cr_assert_str_eq(api_get_str(resource(list, "pods"), "singularName"), "pod");
	cr_assert_str_eq(json_string_value(json_array_get(api_get(resource(list, "pods"), "shortNames"), 0)), "po");
	cr_assert_str_eq(json_string_value(json_array_get(api_get(resource(list, "pods"), "categories"), 0)), "all");
	cr_assert_str_eq(api_get_str(resource(list, "pods/eviction"), "group"), "policy");
	cr_assert_str_eq(api_get_str(resource(list, "pods/eviction"), "kind"), "Eviction");
	cr_assert(json_is_true(api_get(resource(list, "pods/log"), "namespaced")));
	cr_assert(has_verb(resource(list, "bindings"), "create"));
	json_decref(list);
}
