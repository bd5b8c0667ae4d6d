/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lib/api against many documents made by damaging a few good ones, always the same way: nothing crashes; a document
 * without errors of type decodes; what decodes encodes and decodes to the same; defaults are idempotent; YAML reads
 * back as written.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"
#include "base/arena.h"

static uint64_t seed = 88172645463325252ULL;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static const struct {
	const struct api_kind *kind;
	const char *text;
} seeds[] = {
	{ &api_kind_pod,
	  "metadata: {name: p, namespace: d, labels: {a: b}, annotations: {c/d: e}, finalizers: [kubernetes]}\n"
	  "spec:\n  restartPolicy: Always\n  activeDeadlineSeconds: 30\n  nodeSelector: {k: v}\n  hostNetwork: true\n"
	  "  volumes:\n  - {name: v, emptyDir: {sizeLimit: 1Gi}}\n  - {name: w, configMap: {name: x, items: [{key: k, path: p}]}}\n"
	  "  tolerations:\n  - {key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 5}\n"
	  "  topologySpreadConstraints:\n  - {maxSkew: 1, topologyKey: z, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {a: b}}}\n"
	  "  dnsConfig: {nameservers: [10.0.0.1], searches: [a.b], options: [{name: ndots, value: '5'}]}\n"
	  "  containers:\n  - name: c\n    image: i:1\n    command: [sh, -c]\n    env:\n    - {name: A, value: x}\n"
	  "    - {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}\n    envFrom:\n    - configMapRef: {name: x}\n"
	  "    ports:\n    - {containerPort: 80, name: http}\n    resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: 1, memory: 1Gi}}\n"
	  "    volumeMounts:\n    - {name: v, mountPath: /v}\n    livenessProbe: {httpGet: {port: http}}\n    readinessProbe: {exec: {command: [a]}}\n"
	  "    securityContext: {runAsUser: 5, capabilities: {add: [NET_ADMIN], drop: [ALL]}}\n"
	  "status: {phase: Running, conditions: [{type: Ready, status: 'True'}], podIPs: [{ip: 10.0.0.1}]}\n" },
	{ &api_kind_deployment,
	  "metadata: {name: p, namespace: d}\nspec:\n  replicas: 3\n  selector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: In, values: [b]}]}\n"
	  "  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 25%}}\n"
	  "  template:\n    metadata: {labels: {a: b}}\n    spec: {containers: [{name: c, image: i}]}\n" },
	{ &api_kind_network_policy,
	  "metadata: {name: p, namespace: d}\nspec:\n  podSelector: {}\n  policyTypes: [Ingress, Egress]\n"
	  "  ingress:\n  - from:\n    - podSelector: {matchLabels: {a: b}}\n    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}\n"
	  "    ports:\n    - {protocol: TCP, port: 80, endPort: 90}\n  egress:\n  - to:\n    - namespaceSelector: {}\n" },
	{ &api_kind_service,
	  "metadata: {name: p, namespace: d}\nspec:\n  selector: {a: b}\n  clusterIP: 10.0.0.1\n  clusterIPs: [10.0.0.1]\n"
	  "  ports:\n  - {name: a, port: 80, targetPort: web}\n  - {name: b, port: 81, protocol: UDP}\n" },
	{ &api_kind_endpoint_slice,
	  "metadata: {name: p, namespace: d}\naddressType: IPv4\nendpoints:\n- {addresses: [10.0.0.1], conditions: {ready: true}}\nports:\n- {name: a, port: 80}\n" },
	{ &api_kind_secret,
	  "metadata: {name: p, namespace: d}\nstringData: {a: b}\ndata: {c: ZA==}\nimmutable: true\n" },
	{ &api_kind_event,
	  "metadata: {name: p, namespace: d}\ninvolvedObject: {kind: Pod, namespace: d, name: p}\ncount: 3\nsource: {component: x}\n" },
};
#define N_SEEDS (sizeof(seeds) / sizeof(seeds[0]))

/* One of a few awkward values. */
static json_t *odd_value(void)
{
	switch (next() % 12) {
	case 0:
		return json_null();
	case 1:
		return json_integer(-1);
	case 2:
		return json_integer(INT64_MAX);
	case 3:
		return json_string("");
	case 4:
		return json_string("-\n: #");
	case 5:
		return json_array();
	case 6:
		return json_object();
	case 7:
		return json_real(1.5);
	case 8:
		return json_true();
	case 9:
		return json_pack("[n]");
	case 10:
		return json_pack("[{}, {}]");
	default:
		return json_string("yes");
	}
}

/* Replaces, doubles or drops one value somewhere below v. */
static void damage(json_t *v, json_t *donor)
{
	size_t n = json_is_object(v) ? json_object_size(v) : json_array_size(v), pick = n ? next() % n : 0, i = 0;
	const char *key = NULL;
	json_t *child = NULL;
	void *tmp;

	if (!n)
		return;
	if (json_is_object(v)) {
		json_object_foreach_safe (v, tmp, key, child)
			if (i++ == pick)
				break;
	} else {
		child = json_array_get(v, pick);
	}
	if ((json_is_object(child) || json_is_array(child)) && next() % 4) {
		damage(child, donor);
		return;
	}
	switch (next() % 4) {
	case 0:
		if (key)
			json_object_set_new(v, key, odd_value());
		else
			json_array_set_new(v, pick, odd_value());
		break;
	case 1:
		if (key)
			json_object_del(v, key);
		else
			json_array_remove(v, pick);
		break;
	case 2:
		if (!key)
			json_array_append_new(v, json_deep_copy(child));
		break;
	default:
		if (key)
			json_object_set_new(v, key, json_deep_copy(donor));
		break;
	}
}

static json_t *from_yaml(const char *text, size_t len)
{
	json_t *docs = NULL, *v;
	struct err err = ERR_INIT;
	int r = api_yaml_parse(text, len, &docs, NULL, &err);

	cr_assert_eq(r, 0, "%s in:\n%s", err.msg, text);
	v = json_incref(json_array_get(docs, 0));
	json_decref(docs);
	return v;
}

static void check_codec(const struct api_kind *kind, const json_t *obj)
{
	struct arena arena = ARENA_INIT;
	struct err err = ERR_INIT;
	void *value = NULL, *again = NULL;
	json_t *first, *second;

	cr_assert_eq(api_decode(kind->type, obj, &arena, &value, &err), 0, "%s", err.msg);
	first = api_encode(kind->type, value);
	cr_assert_eq(api_decode(kind->type, first, &arena, &again, &err), 0, "%s", err.msg);
	second = api_encode(kind->type, again);
	cr_assert(json_equal(first, second));
	json_decref(first);
	json_decref(second);
	arena_done(&arena);
}

static size_t one(const struct api_kind *kind, json_t *obj, const json_t *old)
{
	struct api_errs errs = { 0 };
	struct strbuf sb = STRBUF_INIT;
	json_t *back;
	size_t bad;

	if (!json_is_null(obj)) {
		api_yaml_write(obj, &sb);
		back = from_yaml(sb.buf, sb.len);
		cr_assert(json_equal(obj, back), "%s", sb.buf);
		json_decref(back);
	}
	strbuf_done(&sb);
	api_check(kind->type, obj, &errs);
	bad = errs.n;
	for (size_t i = 0; i < errs.n; i++)
		bad -= errs.v[i].cause == API_C_UNKNOWN_FIELD;
	if (!bad) {
		api_prune(kind->type, obj);
		api_default(kind, obj);
		back = json_deep_copy(obj);
		api_default(kind, obj);
		cr_assert(json_equal(obj, back));
		json_decref(back);
		api_validate(kind, obj, old, &errs);
		check_codec(kind, obj);
	}
	api_errs_done(&errs);
	return !bad;
}

Test(api_property, damaged_documents)
{
	json_t *docs[N_SEEDS];
	size_t whole = 0;

	for (size_t i = 0; i < N_SEEDS; i++)
		docs[i] = from_yaml(seeds[i].text, strlen(seeds[i].text));
	for (int round = 0; round < 4000; round++) {
		size_t i = next() % N_SEEDS;
		json_t *obj = json_deep_copy(docs[i]), *old = json_deep_copy(docs[i]);

		api_default(seeds[i].kind, old);
		for (uint64_t n = next() % 4; n; n--)
			damage(obj, api_get(docs[next() % N_SEEDS], "spec"));
		whole += one(seeds[i].kind, obj, next() % 2 ? old : NULL);
		json_decref(obj);
		json_decref(old);
	}
	/* The test would be empty if hardly anything got past the types. */
	cr_assert(whole > 500);
	for (size_t i = 0; i < N_SEEDS; i++)
		json_decref(docs[i]);
}

Test(api_property, damaged_text)
{
	for (int round = 0; round < 4000; round++) {
		const char *text = seeds[next() % N_SEEDS].text;
		size_t len = strlen(text);
		char *bad = malloc(len);
		json_t *v = NULL;
		struct api_errs dups = { 0 };

		memcpy(bad, text, len);
		for (uint64_t n = next() % 6; n; n--)
			bad[next() % len] = next() % 3 ? "{}[]:-&*!|>'\"#% \n\t,~<0"[next() % 22] : (char)next();
		len -= next() % 3 ? 0 : next() % len;
		if (api_yaml_parse(bad, len, &v, NULL, NULL) == 0) {
			char *json = json_dumps(v, JSON_COMPACT);
			size_t size = strlen(json);
			json_t *w = NULL;

			json_decref(v);
			cr_assert_eq(api_json_parse(json, size, &w, &dups, NULL), 0);
			cr_assert_eq(dups.n, 0);
			json_decref(w);
			for (uint64_t n = next() % 3; n; n--)
				json[next() % size] = "{}[]:,\"0"[next() % 8];
			w = NULL;
			(void)api_json_parse(json, size, &w, &dups, NULL);
			json_decref(w);
			free(json);
		}
		(void)api_yaml_line_of(bad, len, 0, "spec.containers[0].ports[0].name");
		api_errs_done(&dups);
		free(bad);
	}
}
