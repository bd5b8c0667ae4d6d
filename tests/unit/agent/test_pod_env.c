/* SPDX-License-Identifier: Apache-2.0 */
/* A container's environment: sources, order, expansion, services. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "agent/pod/pod-internal.h"

static int get(void *arg, bool secret, const char *name, const struct api_map **ret)
{
	static struct api_kv cfg[] = { { "a", "1" }, { "b", "two" } }, sec[] = { { "bad", "?" }, { "pw", "aHVzaA==" } };
	static const struct api_map cfg_map = { 2, cfg }, sec_map = { 2, sec };

	(void)arg;
	if (!strcmp(name, "late"))
		return -EAGAIN;
	if (strcmp(name, secret ? "sec" : "cfg"))
		return -ENOENT;
	*ret = secret ? &sec_map : &cfg_map;
	return 0;
}

static struct api_kv labels[] = { { "app", "web" } };
static struct api_kv service_vars[] = { { "X_SERVICE_HOST", "10.96.0.9" }, { "PLAIN", "of a service" } };
static const struct api_map services = { 2, service_vars };
static const struct api_pod pod = { .metadata = {
					    .name = "p", .namespace_ = "ns", .uid = "u", .labels = { 1, labels } } };
static const struct env_source source = {
	.get = get, .services = &services, .node_name = "n1", .pod_ip = "10.0.0.5", .host_ip = "10.1.1.1"
};

static int build(const struct api_container *c, struct arena *a, struct api_map *ret, struct err *err)
{
	*ret = (struct api_map){ 0, NULL };
	return env_build(&pod, c, &source, a, &ret->n, &ret->v, err);
}

static const char *value(const struct api_map *env, const char *key)
{
	for (size_t i = 0; i < env->n; i++)
		if (!strcmp(env->v[i].key, key))
			return env->v[i].value;
	return NULL;
}

Test(pod_env, sources_order_and_expansion)
{
	struct api_config_map_env_source cm = { .name = "cfg" };
	struct api_env_from_source from[] = { { .prefix = "CFG_", .config_map_ref = &cm } };
	struct api_secret_key_selector sk = { .name = "sec", .key = "pw" };
	struct api_object_field_selector ip = { .field_path = "status.podIP" },
					 label = { .field_path = "metadata.labels['app']" };
	struct api_env_var_source vs = { .secret_key_ref = &sk }, vi = { .field_ref = &ip },
				  vl = { .field_ref = &label };
	struct api_env_var vars[] = {
		{ .name = "PLAIN", .value = "x" },
		{ .name = "PW", .value_from = &vs },
		{ .name = "IP", .value_from = &vi },
		{ .name = "APP", .value_from = &vl },
		{ .name = "ALL", .value = "$(PLAIN)-$(CFG_b)-$(X_SERVICE_HOST)-$(NONE)-$$(PLAIN)-$" },
		{ .name = "CFG_a", .value = "own" },
	};
	struct api_container c = { .n_env_from = 1, .env_from = from, .n_env = 6, .env = vars };
	struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct api_map env;

	cr_assert(!build(&c, &a, &env, &err), "%s", err.msg);
	cr_assert_str_eq(value(&env, "PLAIN"), "x"); /* not the service's */
	cr_assert_str_eq(value(&env, "PW"), "hush");
	cr_assert_str_eq(value(&env, "IP"), "10.0.0.5");
	cr_assert_str_eq(value(&env, "APP"), "web");
	cr_assert_str_eq(value(&env, "ALL"), "x-two-10.96.0.9-$(NONE)-$(PLAIN)-$");
	cr_assert_str_eq(value(&env, "CFG_a"), "own");
	cr_assert_str_eq(value(&env, "CFG_b"), "two");
	cr_assert_str_eq(value(&env, "X_SERVICE_HOST"), "10.96.0.9");
	arena_done(&a);
}

Test(pod_env, what_is_missing_is_named)
{
	static const struct {
		const char *object, *key;
		bool secret, optional;
		int r;
		const char *text;
	} cases[] = {
		{ "cfg", "zz", false, false, -ENOENT, "couldn't find key zz in ConfigMap ns/cfg" },
		{ "cfg", "zz", false, true, 0, "" },
		{ "none", "zz", false, false, -ENOENT, "configmap \"none\" not found" },
		{ "none", "zz", true, false, -ENOENT, "secret \"none\" not found" },
		{ "none", "zz", true, true, 0, "" },
		{ "late", "zz", true, true, -EAGAIN, "secret \"late\" is not known yet" },
		{ "sec", "bad", true, false, -EINVAL, "key \"bad\" of secret \"sec\" cannot be read" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct api_secret_key_selector sk = { .name = cases[i].object,
						      .key = cases[i].key,
						      .optional = { cases[i].optional, true } };
		struct api_config_map_key_selector ck = { .name = cases[i].object,
							  .key = cases[i].key,
							  .optional = { cases[i].optional, true } };
		struct api_env_var_source from = { .secret_key_ref = cases[i].secret ? &sk : NULL,
						   .config_map_key_ref = cases[i].secret ? NULL : &ck };
		struct api_env_var var = { .name = "V", .value_from = &from };
		struct api_container c = { .n_env = 1, .env = &var };
		struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;
		struct api_map env;

		cr_assert_eq(build(&c, &a, &env, &err), cases[i].r);
		cr_assert_str_eq(err.msg, cases[i].text);
		if (!cases[i].r)
			cr_assert(!value(&env, "V"));
		arena_done(&a);
	}
}

Test(pod_env, unknown_field_is_refused)
{
	struct api_object_field_selector f = { .field_path = "spec.magic" };
	struct api_env_var_source from = { .field_ref = &f };
	struct api_env_var var = { .name = "V", .value_from = &from };
	struct api_container c = { .n_env = 1, .env = &var };
	struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct api_map env;

	cr_assert_eq(build(&c, &a, &env, &err), -ENOENT);
	cr_assert_str_eq(err.msg, "unsupported fieldPath: spec.magic");
	arena_done(&a);
}

Test(pod_env, variables_of_a_service)
{
	struct api_service_port ports[] = { { .name = "http", .port = 80, .protocol = "TCP" },
					    { .name = "dns", .port = 53, .protocol = "UDP" } };
	struct api_service_spec spec = { .cluster_ip = "10.96.0.9", .n_ports = 2, .ports = ports };
	static const char *const want[][2] = {
		{ "MY_SVC_SERVICE_HOST", "10.96.0.9" },	    { "MY_SVC_SERVICE_PORT", "80" },
		{ "MY_SVC_SERVICE_PORT_HTTP", "80" },	    { "MY_SVC_SERVICE_PORT_DNS", "53" },
		{ "MY_SVC_PORT", "tcp://10.96.0.9:80" },    { "MY_SVC_PORT_80_TCP", "tcp://10.96.0.9:80" },
		{ "MY_SVC_PORT_80_TCP_PROTO", "tcp" },	    { "MY_SVC_PORT_80_TCP_PORT", "80" },
		{ "MY_SVC_PORT_80_TCP_ADDR", "10.96.0.9" }, { "MY_SVC_PORT_53_UDP", "udp://10.96.0.9:53" },
	};
	struct arena a = ARENA_INIT;
	struct api_map env = { 0, NULL };
	size_t cap = 0;

	env_add_service(&a, "my-svc", &spec, &env.n, &cap, &env.v);
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++)
		cr_assert_str_eq(value(&env, want[i][0]), want[i][1]);
	spec.cluster_ip = "None";
	env.n = 0;
	env_add_service(&a, "headless", &spec, &env.n, &cap, &env.v);
	cr_assert_eq(env.n, 0);
	arena_done(&a);
}
