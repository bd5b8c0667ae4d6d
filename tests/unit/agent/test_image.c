/* SPDX-License-Identifier: Apache-2.0 */
/* Image references and the policy that follows from them; arithmetic of control groups. */
#include <criterion/criterion.h>
#include <string.h>

#include "agent/cgroup.h"
#include "agent/pod/pod-internal.h"

Test(image, names)
{
	static const char *const good[] = {
		"busybox",
		"busybox:1.36",
		"library/busybox",
		"docker.io/library/busybox:local",
		"localhost/pause:1",
		"localhost:5000/a/b-c_d.e:V1",
		"[::1]:5000/a:1",
		"registry.k8s.io/pause:3.10",
		"a@sha256:e5ba0cafa24cee553444832f2c49ecf9a2be13f366c30fb6c1a0d2c3868a30d9",
		"a:t@sha256:e5ba0cafa24cee553444832f2c49ecf9a2be13f366c30fb6c1a0d2c3868a30d9"
	};
	static const char *const bad[] = {
		"",	"Busybox",	"a b", "a:", "a:b:c", ":tag",		"a/", "/a",
		"a//b", "a@sha256:xyz", "a@",  "-a", "a:-x",  "Bad:Image:Name", "a-", "a/-b"
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		cr_assert(image_name_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert(!image_name_valid(bad[i]), "%s", bad[i]);
}

Test(image, policy_follows_from_the_tag)
{
	static const struct {
		const char *image, *given, *policy;
	} cases[] = {
		{ "busybox", NULL, "Always" },
		{ "busybox:latest", "", "Always" },
		{ "busybox:1", NULL, "IfNotPresent" },
		{ "host:5000/a", NULL, "Always" },
		{ "host:5000/a:1", NULL, "IfNotPresent" },
		{ "busybox", "Never", "Never" },
		{ "a@sha256:00", NULL, "IfNotPresent" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *policy = cases[i].given;

		image_policy_default(cases[i].image, &policy);
		cr_assert_str_eq(policy, cases[i].policy);
	}
}

Test(cgroup, arithmetic)
{
	cr_assert_eq(cgroup_shares(0), 2);
	cr_assert_eq(cgroup_shares(1000), 1024);
	cr_assert_eq(cgroup_shares(1000000), 262144);
	cr_assert_eq(cgroup_quota(1000), 100000);
	cr_assert_eq(cgroup_quota(1), 1000);
	cr_assert_eq(cgroup_weight(2), 1);
	cr_assert_eq(cgroup_weight(1024), 39);
	cr_assert_eq(cgroup_weight(262144), 10000);
}

static struct api_container with(const char *cpu_request, const char *cpu_limit, struct api_resource_requirements *r,
				 struct api_kv kv[4])
{
	r->requests = (struct api_map){ cpu_request ? 1 : 0, kv };
	r->limits = (struct api_map){ cpu_limit ? 2 : 0, kv + 1 };
	kv[0] = (struct api_kv){ "cpu", cpu_request };
	kv[1] = (struct api_kv){ "cpu", cpu_limit };
	kv[2] = (struct api_kv){ "memory", "1Mi" };
	return (struct api_container){ .resources = r };
}

Test(pod_config, resources_and_class)
{
	struct api_resource_requirements r[3] = { 0 };
	struct api_kv kv[3][4];
	struct api_container c[] = { with("100m", NULL, &r[0], kv[0]), with(NULL, "200m", &r[1], kv[1]) };
	struct api_container init[] = { with("1", NULL, &r[2], kv[2]) };
	struct api_pod_spec spec = { .n_containers = 2, .containers = c };
	bool all;

	cr_assert_eq(pod_resource(&spec, "cpu", false, &all), 300); /* a limit stands for a request */
	cr_assert(all);
	cr_assert_eq(pod_resource(&spec, "cpu", true, &all), 200);
	cr_assert(!all);
	spec.n_init_containers = 1;
	spec.init_containers = init;
	cr_assert_eq(pod_resource(&spec, "cpu", false, NULL), 1000); /* the largest init container counts */
	cr_assert_str_eq(pod_qos(&spec), "Burstable");
	spec.n_init_containers = 0;
	spec.n_containers = 1;
	spec.containers = &c[1];
	cr_assert_str_eq(pod_qos(&spec), "Guaranteed");
	c[1].resources = NULL;
	cr_assert_str_eq(pod_qos(&spec), "BestEffort");
}
