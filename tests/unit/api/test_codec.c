/* SPDX-License-Identifier: Apache-2.0 */
/* lib/api: the tables, parsing, paths, and the typed structs. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "api/api_types.h"
#include "base/arena.h"
#include "../documents.h"

Test(api_kind, found_by_what_people_type)
{
	static const struct {
		const char *word, *kind;
	} t[] = {
		{ "po", "Pod" },
		{ "pods", "Pod" },
		{ "Pod", "Pod" },
		{ "deploy", "Deployment" },
		{ "deployments.apps", "Deployment" },
		{ "deployments.v1.apps", "Deployment" },
		{ "netpol", "NetworkPolicy" },
		{ "lease", "Lease" },
		{ "svc", "Service" },
		{ "pods.apps", NULL },
		{ "", NULL },
		{ "nothing", NULL },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const struct api_kind *k = api_kind_by_word(t[i].word);

		cr_assert(!!k == !!t[i].kind);
		if (k)
			cr_assert_str_eq(k->kind, t[i].kind);
	}
	cr_assert(api_kind_by_plural("apps", "v1", "replicasets") == &api_kind_replica_set);
	cr_assert(api_kind_by_name("", "v1", "ConfigMap") == &api_kind_config_map);
	cr_assert(!api_kind_by_name("apps", "v1", "ConfigMap"));
}

Test(api_json, names_duplicate_keys)
{
	const char *text = "{\"a\":{\"b\":1,\"c\":[{\"d\":\"x:{\",\"d\":2}],\"\\u0062\":3},\"e\":[]}";
	struct api_errs dups = { 0 };
	struct err err = ERR_INIT;
	json_t *v = NULL;

	cr_assert_eq(api_json_parse(text, strlen(text), &v, &dups, &err), 0);
	cr_assert_eq(dups.n, 2);
	cr_assert_str_eq(dups.v[0].field, "a.c[0].d");
	cr_assert_str_eq(dups.v[1].field, "a.b");
	cr_assert_eq(api_get_int(v, "a.b", 0), 3);
	api_errs_done(&dups);
	json_decref(v);
}

Test(api_json, bounds_depth_and_says_where)
{
	char deep[1000];
	struct err err = ERR_INIT;
	json_t *v = NULL;

	memset(deep, '[', sizeof(deep));
	cr_assert_eq(api_json_parse(deep, sizeof(deep), &v, NULL, &err), -EINVAL);
	cr_assert(strstr(err.msg, "deeper"));
	cr_assert_eq(api_json_parse("{\n\"a\":}", 7, &v, NULL, &err), -EINVAL);
	cr_assert(strstr(err.msg, "line 2"));
	cr_assert(!v);
}

Test(api_path, gets_and_sets)
{
	json_t *o = from_json("{\"a\":{\"b\":[{\"c\":\"x\"},{\"c\":\"y\"}]},\"n\":null,\"s\":\"t\"}");

	cr_assert_str_eq(api_get_str(o, "a.b[1].c"), "y");
	cr_assert_str_eq(api_get_str(o, ".s"), "t");
	cr_assert(!api_get(o, "a.b[2].c"));
	cr_assert(!api_get(o, "s.t"));
	cr_assert_eq(api_set(o, "n.m.k", json_integer(4)), 0);
	cr_assert_eq(api_get_int(o, "n.m.k", 0), 4);
	cr_assert_eq(api_set(o, "s.t", json_integer(4)), -EINVAL);
	json_decref(o);
}

Test(api_codec, decodes_and_encodes_a_pod)
{
	struct arena arena = ARENA_INIT;
	struct err err = ERR_INIT;
	struct api_pod *pod = NULL;
	json_t *back,
		*o = from_json(
			"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"d\",\"labels\":{\"b\":\"2\",\"a\":\"1\"}},"
			"\"spec\":{\"terminationGracePeriodSeconds\":0,\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"command\":[\"a\",\"b\"],"
			"\"ports\":[{\"containerPort\":80,\"protocol\":\"TCP\"}],\"resources\":{\"requests\":{\"cpu\":\"1\"}},"
			"\"livenessProbe\":{\"httpGet\":{\"port\":\"web\"}},\"readinessProbe\":{\"tcpSocket\":{\"port\":8080}},"
			"\"securityContext\":{\"runAsNonRoot\":false}}]},"
			"\"status\":{\"containerStatuses\":[{\"name\":\"c\",\"ready\":false,\"restartCount\":0,\"image\":\"i\",\"imageID\":\"\","
			"\"state\":{\"running\":{}}}]}}");

	cr_assert_eq(api_decode(&api_type_pod, o, &arena, &pod, &err), 0);
	cr_assert_str_eq(pod->metadata.name, "p");
	cr_assert_str_eq(pod->object.metadata.namespace_, "d");
	cr_assert_str_eq(api_map_get(&pod->metadata.labels, "b"), "2");
	cr_assert(!api_map_get(&pod->metadata.labels, "c"));
	cr_assert(pod->spec.termination_grace_period_seconds.set && pod->spec.termination_grace_period_seconds.v == 0);
	cr_assert_eq(pod->spec.n_containers, 1);
	cr_assert_eq(pod->spec.containers[0].n_command, 2);
	cr_assert_str_eq(pod->spec.containers[0].command[1], "b");
	cr_assert(pod->spec.containers[0].liveness_probe->http_get->port.is_str);
	cr_assert_eq(pod->spec.containers[0].readiness_probe->tcp_socket->port.i, 8080);
	back = api_encode(&api_type_pod, pod);
	cr_assert(json_equal(o, back));
	json_decref(back);
	json_decref(o);
	arena_done(&arena);
}

Test(api_codec, says_which_field_is_wrong)
{
	static const struct {
		const char *json, *path;
	} t[] = {
		{ "{\"spec\":{\"containers\":[{\"name\":1}]}}", "spec.containers[0].name" },
		{ "{\"spec\":{\"containers\":{}}}", "spec.containers" },
		{ "{\"spec\":{\"containers\":[null]}}", "spec.containers[0]" },
		{ "{\"spec\":{\"containers\":[{\"ports\":[{\"containerPort\":99999999999}]}]}}",
		  "spec.containers[0].ports[0].containerPort" },
		{ "{\"metadata\":{\"labels\":{\"a\":1}}}", "metadata.labels[a]" },
		{ "{\"spec\":[]}", "spec" },
		{ "[]", "not an object" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct arena arena = ARENA_INIT;
		struct err err = ERR_INIT;
		struct api_pod *pod = NULL;
		json_t *o = from_json(t[i].json);

		cr_assert_eq(api_decode(&api_type_pod, o, &arena, &pod, &err), -EINVAL);
		cr_assert(strstr(err.msg, t[i].path));
		cr_assert(!pod);
		json_decref(o);
		arena_done(&arena);
	}
}
