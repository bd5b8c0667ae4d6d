/* SPDX-License-Identifier: Apache-2.0 */
/* Admission of pods' service accounts: which account, whether a token, where it is mounted, and who waits for whom. */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "io/tls.h"

static struct fx f;
static char key[128];

#define SAS   "/api/v1/namespaces/default/serviceaccounts"
#define MOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

static void setup(void)
{
	struct err err = ERR_INIT;

	fx_init(&f);
	snprintf(key, sizeof(key), "%s/sa.key", f.dir);
	cr_assert(tls_make_key(key, &err) == 0);
	f.config.sa_signing_key = key;
	f.config.disable_admission_plugins = NULL;
	fx_start(&f);
}

static void teardown(void)
{
	fx_done(&f);
}

TestSuite(service_account, .init = setup, .fini = teardown, .timeout = 180);

static void account(const char *name, const char *more)
{
	char body[256];

	snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"%s\"}%s}", name, more);
	fx_do(&f, 201, "POST", SAS, body);
}

static const char *mount_of(const json_t *pod, const char *list, size_t i)
{
	json_t *m;
	size_t k;

	json_array_foreach (
		json_object_get(json_array_get(json_object_get(json_object_get(pod, "spec"), list), i), "volumeMounts"),
		k, m)
		if (streq(api_get_str(m, "mountPath"), MOUNT))
			return api_get_str(m, "name");
	return NULL;
}

Test(service_account, a_pod_gets_the_default_account_and_its_token)
{
	json_t *pod, *v;
	const char *name;
	char *text;

	account("default", "");
	pod = fx_expect(
		&f, 201, "POST", PODS,
		"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"initContainers\":[{\"name\":\"i\",\"image\":\"i:1\"}],"
		"\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"},{\"name\":\"d\",\"image\":\"i:1\",\"volumeMounts\":["
		"{\"name\":\"mine\",\"mountPath\":\"" MOUNT
		"\"}]}],\"volumes\":[{\"name\":\"mine\",\"emptyDir\":{}}]}}");
	cr_assert_str_eq(api_get_str(pod, "spec.serviceAccountName"), "default");
	cr_assert_str_eq(api_get_str(pod, "spec.serviceAccount"), "default");
	name = mount_of(pod, "containers", 0);
	cr_assert(name && str_starts(name, "kube-api-access-") && strlen(name) == 21, "%s", name ? name : "none");
	cr_assert_str_eq(mount_of(pod, "initContainers", 0), name);
	cr_assert_str_eq(mount_of(pod, "containers", 1), "mine", "what the pod mounts there stays");
	cr_assert_eq(json_array_size(api_get(pod, "spec.volumes")), 2);
	v = json_array_get(api_get(pod, "spec.volumes"), 1);
	cr_assert_str_eq(api_get_str(v, "name"), name);
	text = json_dumps(json_object_get(v, "projected"), JSON_COMPACT | JSON_SORT_KEYS);
	cr_assert_str_eq(
		text, "{\"defaultMode\":420,\"sources\":[{\"serviceAccountToken\":{\"expirationSeconds\":3607,\"path\":"
		      "\"token\"}},{\"configMap\":{\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}],\"name\":"
		      "\"kube-root-ca.crt\"}},{\"downwardAPI\":{\"items\":[{\"fieldRef\":{\"apiVersion\":\"v1\","
		      "\"fieldPath\":\"metadata.namespace\"},\"path\":\"namespace\"}]}}]}");
	free(text);
	json_decref(pod);
}

Test(service_account, pod_and_account_may_decline_the_token)
{
	static const struct {
		const char *name, *spec;
		bool token;
	} cases[] = {
		{ "a", "", true },
		{ "b", "\"automountServiceAccountToken\":false,", false },
		{ "c", "\"serviceAccountName\":\"shy\",", false },
		{ "d", "\"serviceAccountName\":\"shy\",\"automountServiceAccountToken\":true,", true },
		{ "e", "\"serviceAccountName\":\"open\",\"automountServiceAccountToken\":false,", false },
		{ "f", "\"serviceAccountName\":\"open\",", true },
		/* the old name of the field */
		{ "g", "\"serviceAccount\":\"shy\",", false },
	};
	char body[512];

	account("default", "");
	account("shy", ",\"automountServiceAccountToken\":false");
	account("open", ",\"automountServiceAccountToken\":true");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *pod;

		snprintf(
			body, sizeof(body),
			"{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}",
			cases[i].name, cases[i].spec);
		pod = fx_expect(&f, 201, "POST", PODS, body);
		cr_assert_eq(mount_of(pod, "containers", 0) != NULL, cases[i].token, "pod %s", cases[i].name);
		cr_assert_eq(json_array_size(api_get(pod, "spec.volumes")), cases[i].token, "pod %s", cases[i].name);
		json_decref(pod);
	}
}

Test(service_account, the_account_must_be_there)
{
	account("default", "");
	fx_refused(
		&f, ADMIN, 403, "POST", PODS, POD("a", "\"serviceAccountName\":\"none\","),
		"pods \"a\" is forbidden: error looking up service account default/none: serviceaccount \"none\" not "
		"found");
	/* Nothing of it remains, and a later pod of an account that came is fine. */
	fx_do(&f, 404, "GET", PODS "/a", NULL);
	account("none", "");
	fx_do(&f, 201, "POST", PODS, POD("a", "\"serviceAccountName\":\"none\","));
}

Test(service_account, a_volume_of_a_copied_pod_is_not_doubled)
{
	json_t *pod, *copy;
	char *text;

	account("default", "");
	pod = fx_expect(&f, 201, "POST", PODS, POD("a", ""));
	copy = json_pack("{s:{s:s},s:O}", "metadata", "name", "b", "spec", json_object_get(pod, "spec"));
	text = json_dumps(copy, 0);
	json_decref(copy);
	copy = fx_expect(&f, 201, "POST", PODS, text);
	cr_assert(json_equal(api_get(pod, "spec.volumes"), api_get(copy, "spec.volumes")));
	cr_assert(json_equal(api_get(pod, "spec.containers"), api_get(copy, "spec.containers")));
	free(text);
	json_decref(copy);
	json_decref(pod);
}

struct later {
	bool done;
	int status;
};

static void on_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct later *l = arg;

	(void)call;
	l->done = true;
	l->status = rsp->status;
}

static void post_pod(struct later *l, const char *name)
{
	static char bodies[2][256];
	static int n;
	char *body = bodies[n++ % 2];
	struct http_call_config c = { .method = "POST",
				      .path = PODS,
				      .content_type = "application/json",
				      .body = body,
				      .on_done = on_done,
				      .arg = l };

	snprintf(body, 256,
		 "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}",
		 name);
	c.body_len = strlen(body);
	*l = (struct later){ 0 };
	cr_assert(http_call_start(f.clients[ADMIN2], &c));
}

static void wait_done(struct later *l)
{
	int64_t end = clock_mono_ms() + 60000;

	while (!l->done) {
		cr_assert(clock_mono_ms() < end);
		loop_run_once(f.loop, 1000);
	}
}

Test(service_account, a_pod_waits_for_the_default_account)
{
	struct later a, b;

	post_pod(&a, "a");
	/* Another client's answer says that the pod's request has arrived; other accounts are of no use to it. */
	fx_do(&f, 404, "GET", PODS "/a", NULL);
	account("other", "");
	account("default", "");
	wait_done(&a);
	cr_assert_eq(a.status, 201);

	/* It does not wait for ever. */
	fx_do(&f, 200, "DELETE", SAS "/default", NULL);
	post_pod(&b, "b");
	wait_done(&b);
	cr_assert_eq(b.status, 403);
	fx_do(&f, 404, "GET", PODS "/b", NULL);
}

Test(service_account, the_server_stops_while_a_pod_waits)
{
	struct later a;

	post_pod(&a, "a");
	fx_do(&f, 404, "GET", PODS "/a", NULL);
	fx_stop(&f);
	fx_start(&f);
	fx_do(&f, 404, "GET", PODS "/a", NULL);
}

#define MIRROR(name, spec)                                                                                             \
	"{\"metadata\":{\"name\":\"" name "\",\"annotations\":{\"kubernetes.io/config.mirror\":\"x\"}},\"spec\":{"     \
	"\"nodeName\":\"n\",\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]" spec "}}"

Test(service_account, mirror_pods_have_none)
{
	json_t *pod;

	account("default", "");
	pod = fx_expect(&f, 201, "POST", PODS, MIRROR("a", ""));
	cr_assert(!api_get(pod, "spec.serviceAccountName") && !api_get(pod, "spec.volumes"));
	json_decref(pod);
	fx_refused(&f, ADMIN, 403, "POST", PODS, MIRROR("b", ",\"serviceAccountName\":\"default\""),
		   "a mirror pod may not reference service accounts");
	fx_refused(&f, ADMIN, 403, "POST", PODS,
		   MIRROR("b", ",\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"s\"}}]"),
		   "a mirror pod may not reference secrets");
	fx_refused(
		&f, ADMIN, 403, "POST", PODS,
		MIRROR("b",
		       ",\"volumes\":[{\"name\":\"v\",\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"path\":"
		       "\"t\"}}]}}]"),
		"a mirror pod may not use ServiceAccountToken volume projections");
}

Test(service_account, without_a_key_no_token_is_promised)
{
	json_t *pod;

	account("default", "");
	fx_stop(&f);
	f.config.sa_signing_key = NULL;
	fx_start(&f);
	pod = fx_expect(&f, 201, "POST", PODS, POD("a", ""));
	cr_assert_str_eq(api_get_str(pod, "spec.serviceAccountName"), "default");
	cr_assert(!api_get(pod, "spec.volumes"));
	json_decref(pod);
}

Test(service_account, plugins_are_switched_off_by_name)
{
	struct apiserver *s;
	struct err err = ERR_INIT;

	fx_stop(&f);
	f.config.disable_admission_plugins = "Priority,ServiceAcount";
	cr_assert_eq(apiserver_new(f.loop, &f.config, &s, &err), -EINVAL);
	cr_assert_str_eq(err.msg, "--disable-admission-plugins: there is no plugin 'ServiceAcount'");
	f.config.disable_admission_plugins = "Priority,ServiceAccount";
	f.config.enable_admission_plugins = "NodeRestriction,RuntimeClass";
	cr_assert(apiserver_new(f.loop, &f.config, &s, &err) < 0);
	cr_assert_str_eq(err.msg, "--enable-admission-plugins: there is no plugin 'RuntimeClass'");
	f.config.enable_admission_plugins = "NodeRestriction,ServiceAccount";
	cr_assert(apiserver_new(f.loop, &f.config, &s, &err) < 0);
	cr_assert_str_eq(err.msg, "'ServiceAccount' is in --enable-admission-plugins and --disable-admission-plugins");
	f.config.enable_admission_plugins = "NodeRestriction";
	fx_start(&f);
	fx_do(&f, 201, "POST", PODS, POD("a", "\"serviceAccountName\":\"none\",\"priority\":7,"));
}
