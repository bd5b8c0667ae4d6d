/* SPDX-License-Identifier: Apache-2.0 */
/* lib/api: tables, discovery and OpenAPI: what kubectl shows and what it reads first. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"
#include "base/clock.h"
#include "base/str.h"
#include "../documents.h"

static int64_t now_ms;

static void setup(void)
{
	cr_assert_eq(clock_rfc3339_parse("2026-11-23T01:00:00Z", &now_ms), 0);
}

/* "Name=value" of every column asked for, one space between. */
static void row(const struct api_kind *kind, const char *doc, const char *columns, char *buf, size_t size)
{
	json_t *obj = from_yaml(doc), *cells = api_table_cells(kind, obj, now_ms);
	char *copy = strdup(columns), *save, *name;

	cr_assert_eq(json_array_size(cells), kind->n_columns);
	buf[0] = '\0';
	for (name = strtok_r(copy, "|", &save); name; name = strtok_r(NULL, "|", &save)) {
		char *text = NULL;
		size_t i = 0, n = strlen(buf);

		while (i < kind->n_columns && !streq(kind->columns[i].name, name))
			i++;
		cr_assert(i < kind->n_columns, "no column %s", name);
		text = json_dumps(json_array_get(cells, i), JSON_ENCODE_ANY);
		snprintf(buf + n, size - n, "%s%s", n ? "|" : "", text);
		free(text);
	}
	free(copy);
	json_decref(cells);
	json_decref(obj);
}

static void expect(const struct api_kind *kind, const char *doc, const char *columns, const char *want)
{
	char buf[1024];

	row(kind, doc, columns, buf, sizeof(buf));
	cr_assert_str_eq(buf, want, "%s\n got %s\nwant %s", doc, buf, want);
}

TestSuite(views, .init = setup);

Test(views, pod_status)
{
	static const struct {
		const char *doc, *status;
	} t[] = {
		{ "status: {}", "Unknown" },
		{ "status: {phase: Pending}", "Pending" },
		{ "status: {phase: Failed, reason: Evicted}", "Evicted" },
		{ "status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]}",
		  "SchedulingGated" },
		{ "status: {phase: Pending, containerStatuses: [{state: {waiting: {reason: ContainerCreating}}}]}",
		  "ContainerCreating" },
		{ "status: {phase: Running, containerStatuses: [{state: {waiting: {reason: CrashLoopBackOff}}}]}",
		  "CrashLoopBackOff" },
		{ "status: {phase: Pending, containerStatuses: [{state: {waiting: {reason: ImagePullBackOff}}}]}",
		  "ImagePullBackOff" },
		{ "status: {phase: Running, containerStatuses: [{ready: true, state: {running: {}}}]}", "Running" },
		{ "status: {phase: Succeeded, containerStatuses: [{state: {terminated: {reason: Completed, exitCode: 0}}}]}",
		  "Completed" },
		{ "status: {phase: Failed, containerStatuses: [{state: {terminated: {reason: Error, exitCode: 1}}}]}",
		  "Error" },
		{ "status: {phase: Failed, containerStatuses: [{state: {terminated: {exitCode: 3}}}]}", "ExitCode:3" },
		{ "status: {phase: Failed, containerStatuses: [{state: {terminated: {signal: 9, exitCode: 137}}}]}",
		  "Signal:9" },
		{ "status: {phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{state: {terminated: {reason: Completed}}}, "
		  "{ready: true, state: {running: {}}}]}",
		  "Running" },
		{ "status: {phase: Running, containerStatuses: [{state: {terminated: {reason: Completed}}}, {ready: true, state: {running: {}}}]}",
		  "NotReady" },
		{ "spec: {initContainers: [{name: a}, {name: b}]}\n"
		  "status: {phase: Pending, initContainerStatuses: [{name: a, state: {terminated: {exitCode: 0}}}, {name: b, state: {running: {}}}]}",
		  "Init:1/2" },
		{ "spec: {initContainers: [{name: a}]}\nstatus: {phase: Pending, initContainerStatuses: [{name: a, state: {waiting: {reason: PodInitializing}}}]}",
		  "Init:0/1" },
		{ "spec: {initContainers: [{name: a}]}\nstatus: {phase: Pending, initContainerStatuses: [{name: a, state: {waiting: {reason: CrashLoopBackOff}}}]}",
		  "Init:CrashLoopBackOff" },
		{ "spec: {initContainers: [{name: a}]}\nstatus: {phase: Failed, initContainerStatuses: [{name: a, state: {terminated: {reason: Error, exitCode: 1}}}]}",
		  "Init:Error" },
		{ "spec: {initContainers: [{name: a, restartPolicy: Always}]}\nstatus: {phase: Running, initContainerStatuses: "
		  "[{name: a, started: true, ready: true, state: {running: {}}}], containerStatuses: [{ready: true, state: {running: {}}}]}",
		  "Running" },
		{ "metadata: {deletionTimestamp: '2026-11-23T00:59:00Z'}\nstatus: {phase: Running}", "Terminating" },
		{ "metadata: {deletionTimestamp: '2026-11-23T00:59:00Z'}\nstatus: {phase: Running, reason: NodeLost}",
		  "Unknown" },
		{ "metadata: {deletionTimestamp: '2026-11-23T00:59:00Z'}\nstatus: {phase: Succeeded, containerStatuses: "
		  "[{state: {terminated: {reason: Completed}}}]}",
		  "Completed" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char want[64];

		snprintf(want, sizeof(want), "\"%s\"", t[i].status);
		expect(&api_kind_pod, t[i].doc, "Status", want);
	}
}

Test(views, pod_columns)
{
	expect(&api_kind_pod,
	       "metadata: {name: p, creationTimestamp: '2026-11-23T00:48:00Z'}\n"
	       "spec: {nodeName: n1, containers: [{name: a}, {name: b}], initContainers: [{name: s, restartPolicy: Always}], readinessGates: [{conditionType: g}]}\n"
	       "status: {phase: Running, podIP: 10.0.0.1, conditions: [{type: g, status: 'True'}],\n"
	       " initContainerStatuses: [{name: s, ready: true, started: true, restartCount: 0, state: {running: {}}}],\n"
	       " containerStatuses: [{ready: true, restartCount: 2, state: {running: {}}, lastState: {terminated: {finishedAt: '2026-11-23T00:57:00Z'}}},\n"
	       "  {ready: false, restartCount: 1, state: {running: {}}, lastState: {terminated: {finishedAt: '2026-11-23T00:50:00Z'}}}]}",
	       "Name|Ready|Restarts|Age|IP|Node|Nominated Node|Readiness Gates",
	       "\"p\"|\"2/3\"|\"3 (3m ago)\"|\"12m\"|\"10.0.0.1\"|\"n1\"|\"<none>\"|\"1/1\"");
	expect(&api_kind_pod, "spec: {containers: [{name: a}]}", "Ready|Restarts|Age|IP|Node|Readiness Gates",
	       "\"0/1\"|\"0\"|\"<unknown>\"|\"<none>\"|\"<none>\"|\"<none>\"");
}

Test(views, columns_of_other_kinds)
{
	expect(&api_kind_deployment,
	       "metadata: {name: d}\nspec: {replicas: 3, selector: {matchLabels: {a: b}}, template: {spec: {containers: [{name: c, image: i:1}, {name: d, image: j}]}}}\n"
	       "status: {readyReplicas: 2, updatedReplicas: 3, availableReplicas: 1}",
	       "Ready|Up-to-date|Available|Containers|Images|Selector", "\"2/3\"|3|1|\"c,d\"|\"i:1,j\"|\"a=b\"");
	expect(&api_kind_replica_set,
	       "spec: {replicas: 0, selector: {matchExpressions: [{key: a, operator: In, values: [b, c]}, {key: d, operator: Exists}]}}",
	       "Desired|Current|Ready|Selector", "0|0|0|\"a in (b,c),d\"");
	expect(&api_kind_node,
	       "metadata: {name: n, labels: {node-role.kubernetes.io/control-plane: ''}}\nspec: {unschedulable: true}\n"
	       "status: {conditions: [{type: Ready, status: 'True'}], nodeInfo: {kubeletVersion: v1, kernelVersion: '6.1'}, addresses: [{type: InternalIP, address: 10.0.0.1}]}",
	       "Status|Roles|Version|Internal-IP|External-IP|OS-Image|Kernel-Version",
	       "\"Ready,SchedulingDisabled\"|\"control-plane\"|\"v1\"|\"10.0.0.1\"|\"<none>\"|\"<unknown>\"|\"6.1\"");
	expect(&api_kind_node, "status: {conditions: [{type: Ready, status: Unknown}]}", "Status|Roles",
	       "\"NotReady\"|\"<none>\"");
	expect(&api_kind_service,
	       "spec: {type: NodePort, clusterIP: 10.96.0.9, selector: {a: b}, ports: [{port: 80, nodePort: 30080}, {port: 53, protocol: UDP}]}",
	       "Type|Cluster-IP|External-IP|Port(s)|Selector",
	       "\"NodePort\"|\"10.96.0.9\"|\"<none>\"|\"80:30080/TCP,53/UDP\"|\"a=b\"");
	expect(&api_kind_service, "spec: {type: LoadBalancer}", "External-IP|Port(s)", "\"<pending>\"|\"<none>\"");
	expect(&api_kind_service,
	       "spec: {type: LoadBalancer, externalIPs: [1.2.3.4]}\nstatus: {loadBalancer: {ingress: [{ip: 5.6.7.8}]}}",
	       "External-IP", "\"5.6.7.8,1.2.3.4\"");
	expect(&api_kind_endpoint_slice,
	       "addressType: IPv4\nports: [{port: 80}]\nendpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}, {addresses: [10.0.0.3]}, {addresses: [10.0.0.4]}]",
	       "AddressType|Ports|Endpoints", "\"IPv4\"|\"80\"|\"10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...\"");
	expect(&api_kind_endpoint_slice, "addressType: IPv6", "Ports|Endpoints", "\"<unset>\"|\"<unset>\"");
	expect(&api_kind_event,
	       "lastTimestamp: '2026-11-23T00:59:30Z'\nfirstTimestamp: '2026-11-23T00:00:00Z'\ntype: Warning\nreason: BackOff\nmessage: \"no luck\\n\"\n"
	       "count: 4\ninvolvedObject: {kind: Pod, name: p}\nsource: {component: kubelet, host: n1}",
	       "Last Seen|Type|Reason|Object|Source|Message|First Seen|Count",
	       "\"30s\"|\"Warning\"|\"BackOff\"|\"pod/p\"|\"kubelet, n1\"|\"no luck\"|\"60m\"|4");
	expect(&api_kind_config_map, "data: {a: b, c: d}\nbinaryData: {e: Zg==}", "Data", "3");
	expect(&api_kind_secret, "type: Opaque\ndata: {a: Yg==}", "Type|Data", "\"Opaque\"|1");
	expect(&api_kind_lease, "spec: {holderIdentity: h}", "Holder", "\"h\"");
	expect(&api_kind_namespace, "status: {phase: Active}", "Status", "\"Active\"");
	expect(&api_kind_network_policy, "spec: {podSelector: {}}", "Pod-Selector", "\"<none>\"");
}

Test(views, ages)
{
	static const struct {
		int64_t s;
		const char *text;
	} t[] = {
		{ -5, "<invalid>" },
		{ -1, "0s" },
		{ 0, "0s" },
		{ 119, "119s" },
		{ 120, "2m" },
		{ 125, "2m5s" },
		{ 599, "9m59s" },
		{ 600, "10m" },
		{ 3 * 3600 - 1, "179m" },
		{ 3 * 3600, "3h" },
		{ 3 * 3600 + 60, "3h1m" },
		{ 8 * 3600 + 60, "8h" },
		{ 47 * 3600, "47h" },
		{ 48 * 3600, "2d" },
		{ 49 * 3600, "2d1h" },
		{ 8 * 86400 + 3600, "8d" },
		{ 729 * 86400LL, "729d" },
		{ 730 * 86400LL, "2y" },
		{ 731 * 86400LL, "2y1d" },
		{ 8 * 365 * 86400LL + 86400, "8y" },
	};
	char buf[32];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		api_human_duration(t[i].s * 1000, buf, sizeof(buf));
		cr_assert_str_eq(buf, t[i].text, "%lld: %s", (long long)t[i].s, buf);
	}
}

Test(views, tables)
{
	static const struct {
		const char *include, *kind;
	} t[] = {
		{ "None", NULL },
		{ "Metadata", "PartialObjectMetadata" },
		{ "Object", "ConfigMap" },
	};
	json_t *items = json_pack("[{s:s,s:s,s:{s:s},s:{s:s}}]", "kind", "ConfigMap", "apiVersion", "v1", "metadata",
				  "name", "c", "data", "k", "v");

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		json_t *table = api_table(&api_kind_config_map, items, t[i].include, now_ms),
		       *r = json_array_get(json_object_get(table, "rows"), 0);

		cr_assert_str_eq(api_get_str(table, "kind"), "Table");
		cr_assert_str_eq(api_get_str(table, "apiVersion"), "meta.k8s.io/v1");
		cr_assert_eq(json_array_size(json_object_get(r, "cells")),
			     json_array_size(json_object_get(table, "columnDefinitions")));
		cr_assert(streq(api_get_str(r, "object.kind"), t[i].kind));
		cr_assert_eq(!api_get(r, "object.data"), !streq(t[i].include, "Object"));
		json_decref(table);
	}
	json_array_clear(items);
	json_decref(api_table(&api_kind_pod, items, "Metadata", now_ms));
	json_decref(items);
}

/* Objects as odd as a broken client of the status could leave them make some cell, in every column. */
Test(views, every_column_takes_anything)
{
	static const char *const docs[] = {
		"{}", "metadata: 5\nspec: []\nstatus: x",
		"spec: {containers: {}, ports: x, selector: [], replicas: a}\nstatus: {conditions: [5], "
		"containerStatuses: [null, 5, {}], initContainerStatuses: [x], addresses: [[]], nodeInfo: 3}\nendpoints: [1]\nports: [x]"
	};
	size_t n;
	const struct api_kind *const *kinds = api_kinds(&n);

	for (size_t i = 0; i < n; i++)
		for (size_t d = 0; d < sizeof(docs) / sizeof(docs[0]); d++) {
			json_t *obj = from_yaml(docs[d]), *cells = api_table_cells(kinds[i], obj, now_ms), *c;
			size_t k;

			cr_assert_eq(json_array_size(cells), kinds[i]->n_columns);
			json_array_foreach (cells, k, c)
				cr_assert(!json_is_null(c), "%s, column %s", kinds[i]->kind, kinds[i]->columns[k].name);
			json_decref(cells);
			json_decref(obj);
		}
}

static json_t *named(json_t *list, const char *key, const char *name)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (streq(api_get_str(v, key), name))
			return v;
	return NULL;
}

Test(views, discovery)
{
	json_t *groups = api_discovery_groups(NULL), *apps = api_discovery_resources(NULL, "apps", "v1"),
	       *core = api_discovery_resources(NULL, "", "v1"), *r;
	json_t *versions = api_discovery_versions("1.2.3.4:6443");

	cr_assert_str_eq(api_get_str(json_array_get(json_object_get(versions, "serverAddressByClientCIDRs"), 0),
				     "serverAddress"),
			 "1.2.3.4:6443");
	cr_assert_str_eq(
		api_get_str(named(json_object_get(groups, "groups"), "name", "apps"), "preferredVersion.groupVersion"),
		"apps/v1");
	cr_assert(!named(json_object_get(groups, "groups"), "name", ""));
	r = named(json_object_get(apps, "resources"), "name", "deployments");
	cr_assert_str_eq(api_get_str(r, "kind"), "Deployment");
	cr_assert_str_eq(api_get_str(r, "singularName"), "deployment");
	cr_assert(json_is_true(json_object_get(r, "namespaced")));
	cr_assert_str_eq(json_string_value(json_array_get(json_object_get(r, "shortNames"), 0)), "deploy");
	cr_assert_str_eq(json_string_value(json_array_get(json_object_get(r, "categories"), 0)), "all");
	r = named(json_object_get(apps, "resources"), "name", "deployments/scale");
	cr_assert_str_eq(api_get_str(r, "kind"), "Scale");
	cr_assert_str_eq(api_get_str(r, "group"), "autoscaling");
	cr_assert(named(json_object_get(core, "resources"), "name", "pods/binding"));
	cr_assert(json_is_false(
		json_object_get(named(json_object_get(core, "resources"), "name", "nodes"), "namespaced")));
	cr_assert(!api_discovery_resources(NULL, "apps", "v9") && !api_discovery_resources(NULL, "nope", "v1"));
	json_decref(groups);
	json_decref(apps);
	json_decref(core);
	json_decref(versions);
}

/* The aggregated form says the same as the plain one. */
Test(views, discovery_aggregated)
{
	size_t n, found = 0, i, j, k;
	json_t *item, *version, *r;

	(void)api_kinds(&n);
	for (int core = 0; core < 2; core++) {
		json_t *doc = api_discovery_aggregated(NULL, core);

		cr_assert_str_eq(api_get_str(doc, "kind"), "APIGroupDiscoveryList");
		cr_assert_str_eq(api_get_str(doc, "apiVersion"), "apidiscovery.k8s.io/v2");
		json_array_foreach (json_object_get(doc, "items"), i, item) {
			const char *group = api_get_str(item, "metadata.name") ?: "";

			cr_assert_eq(!*group, core);
			json_array_foreach (json_object_get(item, "versions"), j, version) {
				const char *v = api_get_str(version, "version");

				/* Clients take the first: the newest version. */
				cr_assert(strcmp(group, "autoscaling") != 0 || streq(v, j ? "v1" : "v2"));
				json_array_foreach (json_object_get(version, "resources"), k, r) {
					const struct api_kind *kind = api_kind_by_plural(group, v,
											 api_get_str(r, "resource"));

					if (streq(api_get_str(r, "resource"), "bindings")) /* of pods; none is kept */
						continue;
					cr_assert(kind, "%s", api_get_str(r, "resource"));
					cr_assert_str_eq(api_get_str(r, "responseKind.kind"), kind->kind);
					cr_assert_str_eq(api_get_str(r, "scope"),
							 kind->namespaced ? "Namespaced" : "Cluster");
					found++;
				}
			}
		}
		json_decref(doc);
	}
	cr_assert_eq(found, n);
}

/* Every $ref leads somewhere; the number of them. */
static size_t refs(json_t *at, json_t *root, const char *prefix)
{
	size_t n = 0, i;
	const char *key;
	json_t *v;

	json_array_foreach (at, i, v)
		n += refs(v, root, prefix);
	json_object_foreach (at, key, v) {
		if (streq(key, "$ref") && json_is_string(v)) { /* a member may be called so */
			cr_assert(str_starts(json_string_value(v), prefix), "%s", json_string_value(v));
			cr_assert(json_object_get(root, json_string_value(v) + strlen(prefix)), "%s",
				  json_string_value(v));
			n++;
		}
		n += refs(v, root, prefix);
	}
	return n;
}

static json_t *part(json_t *schemas, const char *type, const char *field)
{
	return json_object_get(json_object_get(json_object_get(schemas, type), "properties"), field);
}

static bool has_parameter(json_t *operation, const char *name)
{
	return named(json_object_get(operation, "parameters"), "name", name);
}

Test(views, openapi)
{
	json_t *index = api_openapi_v3_index(NULL), *v3 = api_openapi_v3(NULL, "", "v1"), *v2 = api_openapi_v2(NULL),
	       *s, *op, *f, *gvk;
	size_t n;
	const struct api_kind *const *kinds = api_kinds(&n);

	cr_assert_str_eq(
		json_string_value(json_object_get(json_object_get(json_object_get(index, "paths"), "apis/apps/v1"),
						  "serverRelativeURL")),
		"/openapi/v3/apis/apps/v1");
	cr_assert(!api_openapi_v3(NULL, "nope", "v1"));

	s = json_object_get(json_object_get(v3, "components"), "schemas");
	cr_assert(refs(v3, s, "#/components/schemas/") > 50);
	gvk = json_array_get(
		json_object_get(json_object_get(s, "io.k8s.api.core.v1.Pod"), "x-kubernetes-group-version-kind"), 0);
	cr_assert_str_eq(api_get_str(gvk, "kind"), "Pod");
	f = part(s, "io.k8s.api.core.v1.PodSpec", "containers");
	cr_assert_str_eq(api_get_str(f, "x-kubernetes-patch-merge-key"), "name");
	cr_assert_str_eq(api_get_str(f, "x-kubernetes-patch-strategy"), "merge");
	cr_assert_str_eq(api_get_str(f, "x-kubernetes-list-type"), "map");
	cr_assert(api_get_str(f, "description"));
	f = part(s, "io.k8s.api.core.v1.PodSpec", "volumes");
	cr_assert_str_eq(api_get_str(f, "x-kubernetes-patch-strategy"), "merge,retainKeys");
	f = part(s, "io.k8s.api.core.v1.ServicePort", "targetPort");
	cr_assert_str_eq(api_get_str(f, "format"), "int-or-string");
	cr_assert_eq(json_array_size(json_object_get(f, "oneOf")), 2);
	op = json_object_get(
		json_object_get(json_object_get(v3, "paths"), "/api/v1/namespaces/{namespace}/pods/{name}"), "patch");
	cr_assert(has_parameter(op, "dryRun") && has_parameter(op, "fieldValidation") &&
		  has_parameter(op, "fieldManager"));

	s = json_object_get(v2, "definitions");
	cr_assert(refs(v2, s, "#/definitions/") > 50);
	for (size_t i = 0; i < n; i++) {
		char name[300];

		snprintf(name, sizeof(name), "%s.%s", kinds[i]->type->package, kinds[i]->type->name);
		cr_assert(json_object_get(json_object_get(s, name), "x-kubernetes-group-version-kind"), "%s", name);
	}
	json_decref(index);
	json_decref(v3);
	json_decref(v2);
}
