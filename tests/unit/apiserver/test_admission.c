/* SPDX-License-Identifier: Apache-2.0 */
/* Admission: what each plugin lets pass, refuses and fills in, asked of a running server. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

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

TestSuite(admission, .init = setup, .fini = teardown, .timeout = 180);

#define PCS "/apis/scheduling.k8s.io/v1/priorityclasses"
#define PC(name, rest)                                                                                                 \
	"{\"apiVersion\":\"scheduling.k8s.io/v1\",\"kind\":\"PriorityClass\",\"metadata\":{\"name\":\"" name           \
	"\"}," rest "}"

Test(admission, a_namespace_must_be_there_and_stay)
{
	static const char *const immortal[] = { "default", "kube-system", "kube-public" };
	char path[128], text[128];

	fx_refused(&f, ADMIN, 404, "POST", "/api/v1/namespaces/none/configmaps", CM("a", ""),
		   "namespaces \"none\" not found");
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/api/v1/namespaces/%s", immortal[i]);
		snprintf(text, sizeof(text), "namespaces \"%s\" is forbidden: this namespace may not be deleted",
			 immortal[i]);
		fx_refused(&f, ADMIN, 403, "DELETE", path, NULL, text);
		fx_do(&f, 200, "GET", path, NULL);
	}
}

Test(admission, nothing_new_in_a_terminating_namespace)
{
	json_t *o;

	fx_do(&f, 201, "POST", "/api/v1/namespaces",
	      "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"going\"}}");
	fx_do(&f, 201, "POST", "/api/v1/namespaces/going/configmaps", CM("a", ""));
	fx_do(&f, 200, "DELETE", "/api/v1/namespaces/going", NULL);
	o = fx_expect(&f, 403, "POST", "/api/v1/namespaces/going/configmaps", CM("b", ""));
	cr_assert_str_eq(api_get_str(o, "message"), "configmaps \"b\" is forbidden: unable to create new content in "
						    "namespace going because it is being terminated");
	cr_assert_str_eq(api_get_str(json_array_get(api_get(o, "details.causes"), 0), "reason"),
			 "NamespaceTerminating");
	json_decref(o);
	/* what is there may change and go */
	fx_do(&f, 200, "PATCH", "/api/v1/namespaces/going/configmaps/a", "{\"data\":{\"x\":\"y\"}}");
	fx_do(&f, 200, "DELETE", "/api/v1/namespaces/going/configmaps/a", NULL);
}

Test(admission, tolerations_of_five_minutes_unless_said_otherwise)
{
	static const struct {
		const char *tolerations;
		size_t n;
	} cases[] = {
		{ "", 2 },
		{ "\"tolerations\":[{\"key\":\"a\",\"operator\":\"Exists\"}],", 3 },
		{ "\"tolerations\":[{\"operator\":\"Exists\"}],", 1 },
		{ "\"tolerations\":[{\"key\":\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\",\"effect\":"
		  "\"NoExecute\",\"tolerationSeconds\":7}],",
		  2 },
		{ "\"tolerations\":[{\"key\":\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\",\"effect\":"
		  "\"NoSchedule\"}],",
		  3 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[600];
		json_t *o;

		snprintf(body, sizeof(body),
			 "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p%zu\"},\"spec\":{%s"
			 "\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}",
			 i, cases[i].tolerations);
		o = fx_expect(&f, 201, "POST", PODS, body);
		cr_assert(json_array_size(api_get(o, "spec.tolerations")) == cases[i].n, "case %zu", i);
		json_decref(o);
	}
}

Test(admission, priority_comes_from_the_class)
{
	static const struct {
		const char *spec;
		int status;
		int64_t priority;
		const char *policy, *text;
	} cases[] = {
		{ "", 201, 5, "PreemptLowerPriority", NULL }, /* the default class */
		{ "\"priorityClassName\":\"high\",", 201, 1000, "Never", NULL },
		{ "\"priorityClassName\":\"high\",\"priority\":1000,", 201, 1000, "Never", NULL },
		{ "\"priorityClassName\":\"system-node-critical\",", 201, 2000001000, "PreemptLowerPriority", NULL },
		{ "\"priorityClassName\":\"system-cluster-critical\",", 201, 2000000000, "PreemptLowerPriority", NULL },
		{ "\"priorityClassName\":\"none\",", 403, 0, NULL, "no PriorityClass with name none was found" },
		{ "\"priority\":7,", 403, 0, NULL,
		  "the integer value of priority (7) must not be provided in pod spec; priority admission controller "
		  "computed 5 from the given PriorityClass name" },
		{ "\"priorityClassName\":\"high\",\"preemptionPolicy\":\"PreemptLowerPriority\",", 403, 0, NULL,
		  "the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided" },
	};

	fx_do(&f, 201, "POST", PCS, PC("high", "\"value\":1000,\"preemptionPolicy\":\"Never\""));
	fx_do(&f, 201, "POST", PCS, PC("plain", "\"value\":5,\"globalDefault\":true"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[600];
		json_t *o;

		snprintf(body, sizeof(body),
			 "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p%zu\"},\"spec\":{%s"
			 "\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}",
			 i, cases[i].spec);
		o = fx_expect(&f, cases[i].status, "POST", PODS, body);
		if (cases[i].text) {
			cr_assert(strstr(api_get_str(o, "message"), cases[i].text), "case %zu: %s", i,
				  api_get_str(o, "message"));
		} else {
			cr_assert(api_get_int(o, "spec.priority", -1) == cases[i].priority, "case %zu", i);
			cr_assert_str_eq(api_get_str(o, "spec.preemptionPolicy"), cases[i].policy);
		}
		json_decref(o);
	}
	/* a pod keeps its number */
	fx_do(&f, 422, "PATCH", PODS "/p1", "{\"spec\":{\"priority\":6}}");
}

Test(admission, priority_classes_have_bounds_and_one_default)
{
	fx_do(&f, 200, "GET", PCS "/system-node-critical", NULL);
	fx_do(&f, 200, "GET", PCS "/system-cluster-critical", NULL);
	fx_refused(&f, ADMIN, 422, "POST", PCS, PC("big", "\"value\":1000000001"),
		   "maximum allowed value of a user defined priority is 1000000000");
	fx_refused(&f, ADMIN, 422, "POST", PCS, PC("system-mine", "\"value\":1"), "reserved for system use only");
	fx_do(&f, 201, "POST", PCS, PC("one", "\"value\":1,\"globalDefault\":true"));
	fx_refused(&f, ADMIN, 403, "POST", PCS, PC("two", "\"value\":2,\"globalDefault\":true"),
		   "PriorityClass one is already marked as default. Only one default can exist");
	fx_do(&f, 201, "POST", PCS, PC("two", "\"value\":2"));
	fx_refused(&f, ADMIN, 403, "PATCH", PCS "/two", "{\"globalDefault\":true}", "already marked as default");
	fx_do(&f, 200, "PATCH", PCS "/one", "{\"description\":\"still the default\"}");
	fx_refused(&f, ADMIN, 422, "PATCH", PCS "/one", "{\"value\":9}", "value");
}

/* --- LimitRanger -------------------------------------------------------------------------------------------------- */

#define LIMITS "/api/v1/namespaces/default/limitranges"

static void make_limits(const char *items)
{
	char body[1200];

	snprintf(
		body, sizeof(body),
		"{\"apiVersion\":\"v1\",\"kind\":\"LimitRange\",\"metadata\":{\"name\":\"l\"},\"spec\":{\"limits\":[%s]}}",
		items);
	fx_do(&f, 201, "POST", LIMITS, body);
}

static json_t *make_pod(int status, const char *name, const char *resources)
{
	char body[800];

	snprintf(body, sizeof(body),
		 "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"containers\":["
		 "{\"name\":\"c\",\"image\":\"i:1\",\"resources\":{%s}}]}}",
		 name, resources);
	return fx_expect(&f, status, "POST", PODS, body);
}

Test(admission, containers_get_the_limits_they_lack)
{
	json_t *o, *res;

	make_limits("{\"type\":\"Container\",\"default\":{\"cpu\":\"500m\",\"memory\":\"64Mi\"},"
		    "\"defaultRequest\":{\"cpu\":\"100m\"}}");
	o = make_pod(201, "a", "");
	res = api_get(json_array_get(api_get(o, "spec.containers"), 0), "resources");
	cr_assert_str_eq(api_get_str(res, "limits.cpu"), "500m");
	cr_assert_str_eq(api_get_str(res, "limits.memory"), "64Mi");
	cr_assert_str_eq(api_get_str(res, "requests.cpu"), "100m");
	cr_assert_str_eq(api_get_str(res, "requests.memory"), "64Mi"); /* a default request is the default limit */
	cr_assert_str_eq(api_get_str(o, "status.qosClass"), "Burstable");
	cr_assert_str_eq(
		json_string_value(json_object_get(api_get(o, "metadata.annotations"), "kubernetes.io/limit-ranger")),
		"LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c");
	json_decref(o);
	o = make_pod(201, "b", "\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"}");
	res = api_get(json_array_get(api_get(o, "spec.containers"), 0), "resources");
	cr_assert_str_eq(api_get_str(res, "requests.cpu"), "1");
	cr_assert(!api_get(o, "metadata.annotations"));
	json_decref(o);
}

Test(admission, limits_hold_at_their_edges)
{
	static const struct {
		const char *resources, *text; /* NULL: admitted */
	} cases[] = {
		{ "\"requests\":{\"cpu\":\"100m\"},\"limits\":{\"cpu\":\"1\"}", NULL },
		{ "\"requests\":{\"cpu\":\"250m\"},\"limits\":{\"cpu\":\"1\"}", NULL },
		{ "\"requests\":{\"cpu\":\"99m\"},\"limits\":{\"cpu\":\"500m\"}",
		  "minimum cpu usage per Container is 100m, but request is 99m" },
		{ "\"requests\":{\"cpu\":\"500m\"},\"limits\":{\"cpu\":\"1001m\"}",
		  "maximum cpu usage per Container is 1, but limit is 1001m" },
		{ "\"requests\":{\"cpu\":\"100m\"},\"limits\":{\"cpu\":\"1\",\"memory\":\"2Gi\"}",
		  "maximum memory usage per Pod is 1Gi, but limit is 2Gi" },
		{ "\"requests\":{\"cpu\":\"100m\",\"memory\":\"1Mi\"},\"limits\":{\"cpu\":\"1\",\"memory\":\"10Mi\"}",
		  "memory max limit to request ratio per Container is 4, but provided ratio is 10.000000" },
		{ "\"requests\":{\"cpu\":\"50m\"},\"limits\":{\"cpu\":\"2\"}",
		  "[minimum cpu usage per Container is 100m, but request is 50m, maximum cpu usage per Container is 1, "
		  "but limit is 2]" },
	};

	make_limits(
		"{\"type\":\"Container\",\"min\":{\"cpu\":\"100m\"},\"max\":{\"cpu\":\"1\"},\"default\":{\"memory\":"
		"\"8Mi\"},\"maxLimitRequestRatio\":{\"memory\":\"4\"}},{\"type\":\"Pod\",\"max\":{\"memory\":\"1Gi\"}}");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char name[16];
		json_t *o;

		snprintf(name, sizeof(name), "p%zu", i);
		o = make_pod(cases[i].text ? 403 : 201, name, cases[i].resources);
		if (cases[i].text)
			cr_assert(strstr(api_get_str(o, "message"), cases[i].text), "%zu: %s", i,
				  api_get_str(o, "message"));
		json_decref(o);
	}
}

Test(admission, limit_ranges_must_make_sense)
{
	static const struct {
		const char *item, *text;
	} cases[] = {
		{ "{\"type\":\"Container\",\"min\":{\"cpu\":\"2\"},\"max\":{\"cpu\":\"1\"}}",
		  "min value 2 is greater than max value 1" },
		{ "{\"type\":\"Container\",\"default\":{\"cpu\":\"1\"},\"defaultRequest\":{\"cpu\":\"2\"}}",
		  "default request value 2 is greater than default limit value 1" },
		{ "{\"type\":\"Pod\",\"default\":{\"cpu\":\"1\"}}", "may not be specified when `type` is 'Pod'" },
		{ "{\"type\":\"PersistentVolumeClaim\"}", "either minimum or maximum storage value is required" },
		{ "{\"type\":\"Pod\"},{\"type\":\"Pod\"}", "Duplicate value" },
		{ "{\"type\":\"Container\",\"maxLimitRequestRatio\":{\"cpu\":\"500m\"}}", "ratio is less than 1" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[600];

		snprintf(body, sizeof(body),
			 "{\"apiVersion\":\"v1\",\"kind\":\"LimitRange\",\"metadata\":{\"name\":\"l\"},\"spec\":{"
			 "\"limits\":[%s]}}",
			 cases[i].item);
		fx_refused(&f, ADMIN, 422, "POST", LIMITS, body, cases[i].text);
	}
}

Test(admission, claims_have_bounds_too)
{
#define CLAIM(name, size)                                                                                              \
	"{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"metadata\":{\"name\":\"" name                     \
	"\"},\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"" size "\"}}}}"
	make_limits("{\"type\":\"PersistentVolumeClaim\",\"min\":{\"storage\":\"1Gi\"},\"max\":{\"storage\":\"5Gi\"}}");
	fx_do(&f, 201, "POST", "/api/v1/namespaces/default/persistentvolumeclaims", CLAIM("ok", "5Gi"));
	fx_refused(&f, ADMIN, 403, "POST", "/api/v1/namespaces/default/persistentvolumeclaims", CLAIM("big", "6Gi"),
		   "maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi");
	fx_refused(&f, ADMIN, 403, "POST", "/api/v1/namespaces/default/persistentvolumeclaims", CLAIM("little", "1Mi"),
		   "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi");
}

/* --- PodSecurity -------------------------------------------------------------------------------------------------- */

static void label_default(const char *labels)
{
	char body[400];

	snprintf(body, sizeof(body), "{\"metadata\":{\"labels\":{%s}}}", labels);
	fx_do(&f, 200, "PATCH", "/api/v1/namespaces/default", body);
}

#define PSA "pod-security.kubernetes.io/"

Test(admission, pods_are_held_to_the_namespaces_standard)
{
	static const struct {
		const char *level, *spec, *text; /* NULL: admitted */
	} cases[] = {
		{ "privileged", "\"hostNetwork\":true,\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]", NULL },
		{ "baseline", "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]", NULL },
		{ "baseline", "\"hostNetwork\":true,\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]",
		  "violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)" },
		{ "baseline",
		  "\"containers\":[{\"name\":\"a\",\"image\":\"i\",\"securityContext\":{\"privileged\":true}},{\"name\":\"b\","
		  "\"image\":\"i\",\"securityContext\":{\"privileged\":true}}]",
		  "privileged (containers \"a\", \"b\" must not set securityContext.privileged=true)" },
		{ "baseline",
		  "\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"securityContext\":{\"capabilities\":{\"add\":[\"SYS_TIME\","
		  "\"CHOWN\",\"NET_ADMIN\"]}}}]",
		  "non-default capabilities (container \"c\" must not include \"NET_ADMIN\", \"SYS_TIME\" in "
		  "securityContext.capabilities.add)" },
		{ "baseline",
		  "\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/\"}}],\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]",
		  "hostPath volumes (volume \"v\")" },
		{ "baseline",
		  "\"containers\":[{\"name\":\"b\",\"image\":\"i\",\"livenessProbe\":{\"httpGet\":{\"port\":80,\"host\":"
		  "\"10.0.0.1\"}}},{\"name\":\"a\",\"image\":\"i\",\"startupProbe\":{\"tcpSocket\":{\"port\":80,\"host\":"
		  "\"10.0.0.1\"}}}]",
		  "probe or lifecycle host (containers \"b\", \"a\" use probe or lifecycle host \"10.0.0.1\")" },
		{ "baseline",
		  "\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"livenessProbe\":{\"httpGet\":{\"port\":80}}}]",
		  NULL },
		{ "restricted",
		  "\"securityContext\":{\"runAsNonRoot\":true,\"seccompProfile\":{\"type\":\"RuntimeDefault\"}},\"containers\":[{"
		  "\"name\":\"c\",\"image\":\"i\",\"securityContext\":{\"allowPrivilegeEscalation\":false,\"capabilities\":{"
		  "\"drop\":[\"ALL\"]}}}]",
		  NULL },
		{ "baseline",
		  "\"securityContext\":{\"seccompProfile\":{\"type\":\"Unconfined\"}},\"containers\":[{\"name\":\"c\",\"image\":"
		  "\"i\"}]",
		  "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")" },
		{ "restricted",
		  "\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/\"}}],\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]",
		  "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must set "
		  "securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set "
		  "securityContext.capabilities.drop=[\"ALL\"]), restricted volume types (volume \"v\" uses restricted volume "
		  "type \"hostPath\"), runAsNonRoot != true (pod or container \"c\" must set "
		  "securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set "
		  "securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")" },
		{ "restricted",
		  "\"securityContext\":{\"runAsUser\":0,\"runAsNonRoot\":false},\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]",
		  "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false), runAsUser=0 (pod must not set "
		  "runAsUser=0)" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[900], labels[100];
		json_t *o;

		snprintf(labels, sizeof(labels), "\"" PSA "enforce\":\"%s\"", cases[i].level);
		label_default(labels);
		snprintf(body, sizeof(body),
			 "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p%zu\"},\"spec\":{%s}}", i,
			 cases[i].spec);
		o = fx_expect(&f, cases[i].text ? 403 : 201, "POST", PODS, body);
		if (cases[i].text)
			cr_assert(strstr(api_get_str(o, "message"), cases[i].text), "%zu: %s", i,
				  api_get_str(o, "message"));
		json_decref(o);
	}
}

Test(admission, standards_warn)
{
	struct answer a;

	fx_do(&f, 201, "POST", PODS, POD("p", "\"hostNetwork\":true,"));
	label_default("\"" PSA "warn\":\"baseline\",\"" PSA "warn-version\":\"v1.25\"");
	a = fx_call(&f, ADMIN, "POST", PODS, "application/json", NULL, POD("q", "\"hostNetwork\":true,"));
	cr_assert(a.status == 201);
	cr_assert_str_eq(a.warning, "299 - \"would violate PodSecurity \\\"baseline:v1.25\\\": host namespaces "
				    "(hostNetwork=true)\"");
	answer_done(&a);
	/* a workload is warned about, and made */
	a = fx_call(
		&f, ADMIN, "POST", "/apis/apps/v1/namespaces/default/deployments", "application/json", NULL,
		"{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\"},\"spec\":{\"selector\":"
		"{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{"
		"\"hostNetwork\":true,\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}}}");
	cr_assert(a.status == 201);
	cr_assert(a.warning && strstr(a.warning, "would violate PodSecurity"));
	answer_done(&a);
	/* a namespace that becomes stricter tells of its pods */
	a = fx_call(&f, ADMIN, "PATCH", "/api/v1/namespaces/default", "application/merge-patch+json", NULL,
		    "{\"metadata\":{\"labels\":{\"" PSA "enforce\":\"baseline\"}}}");
	cr_assert(a.status == 200);
	cr_assert_str_eq(a.warning, "299 - \"existing pods in namespace \\\"default\\\" violate the new PodSecurity "
				    "enforce level \\\"baseline:latest\\\"\"");
	answer_done(&a);
	fx_refused(&f, ADMIN, 422, "PATCH", "/api/v1/namespaces/default",
		   "{\"metadata\":{\"labels\":{\"" PSA "audit\":\"strict\"}}}",
		   "must be one of privileged, baseline, restricted");
	fx_refused(&f, ADMIN, 422, "PATCH", "/api/v1/namespaces/default",
		   "{\"metadata\":{\"labels\":{\"" PSA "audit-version\":\"1.2\"}}}", "must be \"latest\" or \"v1.x\"");
}

Test(admission, default_storage_class)
{
#define SC(name, yes)                                                                                                  \
	"{\"apiVersion\":\"storage.k8s.io/v1\",\"kind\":\"StorageClass\",\"metadata\":{\"name\":\"" name               \
	"\",\"annotations\":{\"storageclass.kubernetes.io/is-default-class\":\"" yes "\"}},\"provisioner\":\"x/y\"}"
	json_t *o;

	fx_do(&f, 201, "POST", "/apis/storage.k8s.io/v1/storageclasses", SC("no", "false"));
	o = fx_expect(&f, 201, "POST", "/api/v1/namespaces/default/persistentvolumeclaims", CLAIM("a", "1Gi"));
	cr_assert(!api_get(o, "spec.storageClassName"));
	json_decref(o);
	fx_do(&f, 201, "POST", "/apis/storage.k8s.io/v1/storageclasses", SC("yes", "true"));
	o = fx_expect(&f, 201, "POST", "/api/v1/namespaces/default/persistentvolumeclaims", CLAIM("b", "1Gi"));
	cr_assert_str_eq(api_get_str(o, "spec.storageClassName"), "yes");
	json_decref(o);
}

/* --- nodes and claims --------------------------------------------------------------------------------------------- */

Test(admission, a_new_node_takes_no_pods_yet)
{
	static const struct {
		const char *spec;
		size_t n, at; /* taints, and which one is ours */
	} cases[] = {
		{ "{}", 1, 0 },
		{ "{\"taints\":[{\"key\":\"a\",\"effect\":\"NoExecute\"}]}", 2, 1 },
		{ "{\"taints\":[{\"key\":\"node.kubernetes.io/not-ready\",\"effect\":\"NoSchedule\"}]}", 1, 0 },
		{ "{\"taints\":[{\"key\":\"node.kubernetes.io/not-ready\",\"effect\":\"NoExecute\"}]}", 2, 1 },
	};
	json_t *o, *taints, *t;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[300];

		snprintf(body, sizeof(body),
			 "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n%zu\"},\"spec\":%s}", i,
			 cases[i].spec);
		o = fx_expect(&f, 201, "POST", "/api/v1/nodes", body);
		taints = api_get(o, "spec.taints");
		t = json_array_get(taints, cases[i].at);
		cr_assert(json_array_size(taints) == cases[i].n, "case %zu", i);
		cr_assert_str_eq(api_get_str(t, "key"), "node.kubernetes.io/not-ready");
		cr_assert_str_eq(api_get_str(t, "effect"), "NoSchedule");
		json_decref(o);
	}
	/* whoever takes it away has the last word */
	o = fx_expect(&f, 200, "PATCH", "/api/v1/nodes/n0", "{\"spec\":{\"taints\":null}}");
	cr_assert(!json_array_size(api_get(o, "spec.taints")));
	json_decref(o);
}

Test(admission, claims_grow_if_their_class_lets_them)
{
#define CLAIMS "/api/v1/namespaces/default/persistentvolumeclaims"
#define GROW   "{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"2Gi\"}}}}"
#define ONLY                                                                                                           \
	"only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
	static const struct {
		const char *class, *expands;
		bool made;
	} cases[] = {
		{ "grows", "true", true },
		{ "stays", "false", true },
		{ "silent", "null", true },
		{ "missing", NULL, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[400], path[128];

		snprintf(
			body, sizeof(body),
			"{\"apiVersion\":\"storage.k8s.io/v1\",\"kind\":\"StorageClass\",\"metadata\":{\"name\":\"%s\"},"
			"\"provisioner\":\"x/y\",\"allowVolumeExpansion\":%s}",
			cases[i].class, cases[i].expands ? cases[i].expands : "null");
		if (cases[i].made)
			fx_do(&f, 201, "POST", "/apis/storage.k8s.io/v1/storageclasses", body);
		snprintf(
			body, sizeof(body),
			"{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"metadata\":{\"name\":\"c%zu\"},\"spec\":{"
			"\"accessModes\":[\"ReadWriteOnce\"],\"storageClassName\":\"%s\",\"resources\":{\"requests\":{"
			"\"storage\":\"1Gi\"}}}}",
			i, cases[i].class);
		fx_do(&f, 201, "POST", CLAIMS, body);
		snprintf(path, sizeof(path), CLAIMS "/c%zu", i);
		fx_do(&f, 422, "PATCH", path, GROW); /* not bound */
		snprintf(path, sizeof(path), CLAIMS "/c%zu/status", i);
		fx_do(&f, 200, "PATCH", path, "{\"status\":{\"phase\":\"Bound\"}}");
		snprintf(path, sizeof(path), CLAIMS "/c%zu", i);
		if (streq(cases[i].expands, "true"))
			fx_do(&f, 200, "PATCH", path, GROW);
		else
			fx_refused(&f, ADMIN, 403, "PATCH", path, GROW, ONLY);
		fx_do(&f, 200, "PATCH", path, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
	}
}
