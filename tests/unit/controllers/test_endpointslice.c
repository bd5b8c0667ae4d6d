/* SPDX-License-Identifier: Apache-2.0 */
/* What slices a service and its pods make: conditions, families, ports, the split at 100, and what counts as the same.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "control/controllers/endpointslice_plan.h"
#include "../documents.h"

static struct arena arena;

static const struct api_service *service(const char *spec)
{
	char text[1024];

	snprintf(text, sizeof(text), "{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\"},\"spec\":{%s}}", spec);
	return from_json_as(&api_type_service, text, &arena);
}

#define PORT80 "\"ports\":[{\"port\":80,\"targetPort\":8080}]"

/* ready: the Ready condition; more: further members of metadata, with a comma before. */
static const struct api_pod *pod(const char *name, const char *ips, bool ready, const char *more, const char *phase)
{
	char text[1024], list[256] = "", *p = list;
	char copy[128], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", ips);
	for (char *ip = strtok_r(copy, ",", &save); ip; ip = strtok_r(NULL, ",", &save))
		p += sprintf(p, "%s{\"ip\":\"%s\"}", p > list ? "," : "", ip);
	snprintf(
		text, sizeof(text),
		"{\"metadata\":{\"name\":\"%s\",\"namespace\":\"n\",\"uid\":\"u-%s\"%s},\"spec\":{\"nodeName\":\"n1\","
		"\"containers\":[{\"name\":\"c\",\"ports\":[{\"name\":\"web\",\"containerPort\":%d}]}]},"
		"\"status\":{\"phase\":\"%s\",\"podIPs\":[%s],\"conditions\":[{\"type\":\"Ready\",\"status\":\"%s\"}]}}",
		name, name, more, name[0] == 'b' ? 9090 : 7070, phase, list, ready ? "True" : "False");
	return from_json_as(&api_type_pod, text, &arena);
}

#define DELETING ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\""

static const char *zone_of(void *arg, const char *node)
{
	const char *const *zone = arg;

	return streq(node, "n1") ? *zone : NULL;
}

static const char *zone;

static struct topology_zone zones[4];
static size_t n_zones;
static const char *why_not;
static const struct api_endpoint_slice *have[64]; /* what is there */
static size_t n_have;

/* What a plan says is there: new slices get names in their order. */
static void carried_out(const json_t *slices)
{
	const struct api_endpoint_slice *next[64];
	const json_t *slice;
	static int made;
	size_t i;

	json_array_foreach (slices, i, slice) {
		json_t *obj = json_deep_copy(slice);
		char name[16], *text;

		snprintf(name, sizeof(name), "s%d", made);
		if (!json_object_get(obj, "name"))
			made++;
		api_set(obj, "metadata.name", json_string(api_get_str(slice, "name") ?: name));
		if (json_object_get(obj, "weight"))
			api_set(obj, "metadata.annotations",
				json_pack("{s:O}", "skep.io/weight", json_object_get(obj, "weight")));
		json_object_del(obj, "name");
		json_object_del(obj, "weight");
		text = json_dumps(obj, 0);
		next[i] = from_json_as(&api_type_endpoint_slice, text, &arena);
		free(text);
		json_decref(obj);
	}
	n_have = json_array_size(slices);
	memcpy(have, next, n_have * sizeof(*have));
}

/* How many slices of the plan are to be written: new ones, and those that say something else now. */
static size_t to_write(const json_t *slices)
{
	const json_t *slice;
	size_t i, n = 0;

	json_array_foreach (slices, i, slice) {
		json_t *copy = json_deep_copy(slice);
		bool same = false;

		for (size_t k = 0; k < n_have; k++)
			if (streq(have[k]->metadata.name, api_get_str(slice, "name"))) {
				json_t *now = endpointslice_content(have[k]);

				json_object_del(copy, "name");
				same = json_equal(copy, now);
				json_decref(now);
			}
		n += !same;
		json_decref(copy);
	}
	return n;
}

static json_t *plan(const struct api_service *s, size_t n, const struct api_pod *const *pods)
{
	struct endpointslice_world w = { have, n_have, zone_of, &zone, zones, n_zones };
	json_t *slices = endpointslice_plan(s, pods, n, &w, &why_not);

	cr_assert(slices);
	return slices;
}

static const json_t *endpoint(const json_t *slices, size_t slice, size_t i)
{
	return json_array_get(json_object_get(json_array_get(slices, slice), "endpoints"), i);
}

static const char *address(const json_t *slices, size_t slice, size_t i)
{
	return json_string_value(json_array_get(json_object_get(endpoint(slices, slice, i), "addresses"), 0));
}

static size_t n_endpoints(const json_t *slices, size_t slice)
{
	return json_array_size(json_object_get(json_array_get(slices, slice), "endpoints"));
}

Test(endpointslice, conditions_of_ready_unready_and_terminating_pods)
{
	static const struct {
		bool ready_condition, deleting, publish;
		bool ready, serving, terminating;
	} cases[] = {
		{ true, false, false, true, true, false },  { false, false, false, false, false, false },
		{ true, true, false, false, true, true },   { false, true, false, false, false, true },
		{ false, false, true, true, false, false }, { false, true, true, true, false, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct api_pod *p = pod("a", "10.0.0.1", cases[i].ready_condition,
					      cases[i].deleting ? DELETING : "", "Running");
		json_t *slices = plan(service(cases[i].publish ? PORT80 ",\"publishNotReadyAddresses\":true" : PORT80),
				      1, &p);
		const json_t *c = json_object_get(endpoint(slices, 0, 0), "conditions");

		cr_assert_eq(json_is_true(json_object_get(c, "ready")), cases[i].ready, "case %zu", i);
		cr_assert_eq(json_is_true(json_object_get(c, "serving")), cases[i].serving, "case %zu", i);
		cr_assert_eq(json_is_true(json_object_get(c, "terminating")), cases[i].terminating, "case %zu", i);
		json_decref(slices);
	}
}

Test(endpointslice, each_family_has_its_slices_and_pods_without_an_address_none)
{
	const struct api_pod *pods[] = {
		pod("c", "10.0.0.3,fd00::3", true, "", "Running"),
		pod("a", "10.0.0.1", true, "", "Running"),
		pod("d", "", true, "", "Pending"),
		pod("e", "10.0.0.5,fd00::5", true, "", "Succeeded"),
		pod("f", "10.0.0.6,fd00::6", true, "", "Failed"),
	};
	json_t *slices = plan(service(PORT80 ",\"ipFamilies\":[\"IPv6\",\"IPv4\"]"), 5, pods);

	cr_assert_eq(json_array_size(slices), 2);
	cr_assert_str_eq(api_get_str(json_array_get(slices, 0), "addressType"), "IPv6");
	cr_assert_eq(n_endpoints(slices, 0), 1);
	cr_assert_str_eq(address(slices, 0, 0), "fd00::3");
	cr_assert_str_eq(api_get_str(json_array_get(slices, 1), "addressType"), "IPv4");
	cr_assert_eq(n_endpoints(slices, 1), 2);
	cr_assert_str_eq(address(slices, 1, 0), "10.0.0.1", "by name");
	cr_assert_str_eq(address(slices, 1, 1), "10.0.0.3");
	json_decref(slices);
}

/* The one pod's endpoint: its zone and hints as text. */
static void expect_hints(const char *distribution, const char *of_zone, const char *more, const char *want)
{
	const struct api_pod *pods[] = { pod("a", "10.0.0.1", true, more, "Running") };
	char spec[128];
	json_t *slices, *e;
	char *text;

	zone = of_zone;
	snprintf(spec, sizeof(spec), PORT80 "%s%s%s", distribution ? ",\"trafficDistribution\":\"" : "",
		 distribution ? distribution : "", distribution ? "\"" : "");
	slices = plan(service(spec), 1, pods);
	e = json_array_get(json_object_get(json_array_get(slices, 0), "endpoints"), 0);
	cr_assert(streq(api_get_str(e, "zone"), of_zone));
	text = json_dumps(json_object_get(e, "hints"), JSON_COMPACT);
	cr_assert(streq(text, want), "%s, not %s", text ? text : "none", want ? want : "none");
	free(text);
	json_decref(slices);
}

Test(endpointslice, traffic_distribution_becomes_hints)
{
	expect_hints(NULL, "z1", "", NULL);
	expect_hints("PreferClose", "z1", "", "{\"forZones\":[{\"name\":\"z1\"}]}");
	expect_hints("PreferSameZone", "z1", "", "{\"forZones\":[{\"name\":\"z1\"}]}");
	expect_hints("PreferSameNode", "z1", "", "{\"forZones\":[{\"name\":\"z1\"}],\"forNodes\":[{\"name\":\"n1\"}]}");
	expect_hints("PreferSameNode", NULL, "", "{\"forNodes\":[{\"name\":\"n1\"}]}");
	expect_hints("PreferClose", NULL, "", NULL);
	expect_hints("PreferSameNode", "z1", DELETING, NULL);
}

/* for_zones: a letter for each endpoint, '-' for none. */
static void expect_zones(const char *mode, size_t n, const char *for_zones)
{
	static const struct api_pod *pods[16];
	char text[512], name[8], ip[16];
	const struct api_service *s;
	json_t *slices;

	snprintf(text, sizeof(text),
		 "{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\",\"annotations\":{\"%s\":\"%s\"}},"
		 "\"spec\":{" PORT80 ",\"trafficDistribution\":\"PreferClose\"}}",
		 mode[0] == 'o' ? "service.kubernetes.io/topology-aware-hints" : "service.kubernetes.io/topology-mode",
		 mode[0] == 'o' ? "auto" : mode);
	s = from_json_as(&api_type_service, text, &arena);
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "a%zu", i);
		snprintf(ip, sizeof(ip), "10.0.0.%zu", i + 1);
		pods[i] = pod(name, ip, true, i == 9 ? DELETING : "", "Running");
	}
	zone = "a";
	slices = plan(s, n, pods);
	for (size_t i = 0; i < n; i++) {
		const char *got = api_get_str(json_array_get(api_get(endpoint(slices, 0, i), "hints.forZones"), 0),
					      "name");

		cr_assert_eq(got ? got[0] : '-', for_zones[i], "%s: endpoint %zu is for %s", mode, i, got ?: "all");
	}
	json_decref(slices);
}

Test(endpointslice, topology_mode_shares_endpoints_out_and_is_before_the_field)
{
	zones[0] = (struct topology_zone){ "a", 2000 };
	zones[1] = (struct topology_zone){ "b", 2000 };
	n_zones = 2;
	expect_zones("Auto", 4, "aabb");
	cr_assert(!why_not);
	expect_zones("auto", 4, "aabb");
	expect_zones("old", 4, "aabb");
	/* One that drains has no hint and no part. */
	expect_zones("Auto", 10, "aaaaabbbb-");
	expect_zones("Auto", 3, "---");
	cr_assert(strstr(why_not, "too few endpoints"), "%s", why_not);
	expect_zones("Disabled", 4, "aaaa");
	cr_assert(!why_not);
	n_zones = 0;
	expect_zones("Auto", 4, "----");
	cr_assert(strstr(why_not, "fewer than two zones"), "%s", why_not);
}

Test(endpointslice, a_service_without_endpoints_has_an_empty_slice_per_family)
{
	json_t *slices = plan(service(PORT80 ",\"ipFamilies\":[\"IPv4\",\"IPv6\"]"), 0, NULL);

	cr_assert_eq(json_array_size(slices), 2);
	cr_assert_eq(n_endpoints(slices, 0), 0);
	cr_assert_eq(n_endpoints(slices, 1), 0);
	json_decref(slices);
}

Test(endpointslice, a_named_port_is_each_pods_own)
{
	const struct api_pod *pods[] = { pod("a", "10.0.0.1", true, "", "Running"),
					 pod("b", "10.0.0.2", true, "", "Running") };
	json_t *slices = plan(service("\"ports\":[{\"name\":\"x\",\"port\":80,\"targetPort\":\"web\"}]"), 2, pods);

	cr_assert_eq(json_array_size(slices), 2, "other ports, another slice");
	for (size_t i = 0; i < 2; i++) {
		const json_t *port = json_array_get(json_object_get(json_array_get(slices, i), "ports"), 0);

		cr_assert_eq(json_integer_value(json_object_get(port, "port")), i ? 9090 : 7070);
		cr_assert_str_eq(api_get_str(port, "name"), "x");
		cr_assert_str_eq(api_get_str(port, "protocol"), "TCP");
		cr_assert_eq(n_endpoints(slices, i), 1);
	}
	json_decref(slices);

	/* A pod without such a port is an endpoint without it, and the protocol counts. */
	slices = plan(service("\"ports\":[{\"name\":\"x\",\"port\":80,\"protocol\":\"UDP\",\"targetPort\":\"web\"}]"),
		      2, pods);
	cr_assert_eq(json_array_size(slices), 1);
	cr_assert_eq(json_array_size(json_object_get(json_array_get(slices, 0), "ports")), 0);
	json_decref(slices);
}

Test(endpointslice, slices_hold_a_hundred_endpoints)
{
	const struct api_pod *pods[250];
	char name[16], ip[32];
	json_t *slices;
	size_t total = 0;

	for (int i = 0; i < 250; i++) {
		snprintf(name, sizeof(name), "a%03d", i);
		snprintf(ip, sizeof(ip), "10.0.1.%d", i);
		pods[i] = pod(name, ip, true, "", "Running");
	}
	slices = plan(service(PORT80), 250, pods);
	cr_assert_eq(json_array_size(slices), 3);
	for (size_t i = 0; i < 3; i++) {
		cr_assert_leq(n_endpoints(slices, i), 100);
		total += n_endpoints(slices, i);
	}
	cr_assert_eq(total, 250);
	json_decref(slices);
}

#define WEIGHT(text) ",\"annotations\":{\"skep.io/weight\":\"" text "\"}"

Test(endpointslice, pods_of_a_weight_have_a_slice_of_their_own)
{
	const struct api_pod *pods[] = { pod("a", "10.0.0.1", true, "", "Running"),
					 pod("b", "10.0.0.2", true, WEIGHT("5"), "Running"),
					 pod("c", "10.0.0.3", true, WEIGHT("100"), "Running"),
					 pod("d", "10.0.0.4", true, WEIGHT("5"), "Running"),
					 pod("e", "10.0.0.5", true, WEIGHT("many"), "Running") };
	json_t *slices = plan(service(PORT80), 5, pods), *weighted, *again, *obj;
	char *text;

	cr_assert_eq(json_array_size(slices), 2);
	cr_assert_eq(n_endpoints(slices, 0), 3);
	cr_assert(!json_object_get(json_array_get(slices, 0), "weight"));
	weighted = json_array_get(slices, 1);
	cr_assert_str_eq(api_get_str(weighted, "weight"), "5");
	cr_assert_str_eq(address(slices, 1, 0), "10.0.0.2");
	cr_assert_str_eq(address(slices, 1, 1), "10.0.0.4");

	/* As it is then in the API, and as it is compared with the next plan. */
	obj = json_copy(weighted);
	json_object_del(obj, "weight");
	api_set(obj, "metadata.annotations", json_pack("{s:s}", "skep.io/weight", "5"));
	text = json_dumps(obj, 0);
	again = endpointslice_content(from_json_as(&api_type_endpoint_slice, text, &arena));
	free(text);
	cr_assert(json_equal(again, weighted));
	json_decref(again);
	json_decref(obj);
	json_decref(slices);
}

static const struct api_pod *numbered(int i, const char *more)
{
	char name[16], ip[32];

	snprintf(name, sizeof(name), "a%04d", i);
	snprintf(ip, sizeof(ip), "10.0.%d.%d", 1 + i / 250, i % 250);
	return pod(name, ip, true, more, "Running");
}

static void plan_and_do(size_t n, const struct api_pod *const *pods, size_t writes, size_t slices_after)
{
	json_t *slices = plan(service(PORT80), n, pods);

	cr_assert_eq(to_write(slices), writes, "%zu instead of %zu", to_write(slices), writes);
	cr_assert_eq(json_array_size(slices), slices_after);
	carried_out(slices);
	json_decref(slices);
}

/* One whose weight changes is in its slice until another one has it, so that no node misses it. */
Test(endpointslice, who_moves_is_in_both_slices_for_a_moment)
{
	const struct api_pod *before[] = { pod("a", "10.0.0.1", true, "", "Running"),
					   pod("b", "10.0.0.2", true, "", "Running"),
					   pod("c", "10.0.0.3", true, WEIGHT("5"), "Running") };
	const struct api_pod *after[] = { pod("a", "10.0.0.1", true, WEIGHT("5"), "Running"), before[1], before[2] };
	const struct api_pod *alike[] = { after[0], pod("b", "10.0.0.2", true, WEIGHT("5"), "Running"), before[2] };
	const struct api_service *s = service(PORT80);
	struct endpointslice_world w = { .have = have };
	json_t *slices = plan(s, 3, before), *again;
	struct strmap *moves;

	carried_out(slices);
	w.n_have = n_have;
	json_decref(slices);
	slices = plan(s, 3, after);
	moves = endpointslice_moves(slices, &w);
	cr_assert_eq(to_write(slices), 2);
	/* At first one slice gets it; the other is not even written. */
	cr_assert(endpointslice_hold(moves, have[0], json_array_get(slices, 0)));
	cr_assert(!endpointslice_hold(moves, have[1], json_array_get(slices, 1)));
	cr_assert_eq(to_write(slices), 1);
	cr_assert_eq(n_endpoints(slices, 0), 2);
	cr_assert_str_eq(address(slices, 0, 0), "10.0.0.1");
	strmap_free(moves);
	/* Then it goes. */
	carried_out(slices);
	json_decref(slices);
	slices = plan(s, 3, after);
	moves = endpointslice_moves(slices, &w);
	cr_assert(!endpointslice_hold(moves, have[0], json_array_get(slices, 0)));
	cr_assert_eq(to_write(slices), 1);
	cr_assert_eq(n_endpoints(slices, 0), 1);
	cr_assert_eq(n_endpoints(slices, 1), 2);
	strmap_free(moves);

	/* A slice that is to go stays for as long; a pod that has ended is held by nobody. */
	carried_out(slices);
	json_decref(slices);
	slices = plan(s, 3, alike);
	cr_assert_eq(json_array_size(slices), 1);
	moves = endpointslice_moves(slices, &w);
	cr_assert(endpointslice_hold(moves, have[0], NULL));
	strmap_free(moves);
	json_decref(slices);
	slices = plan(s, 1, alike);
	moves = endpointslice_moves(slices, &w);
	cr_assert(!endpointslice_hold(moves, have[0], NULL));
	again = json_deep_copy(slices);
	cr_assert(!endpointslice_hold(moves, have[1], json_array_get(slices, 0)));
	cr_assert(json_equal(again, slices));
	json_decref(again);
	strmap_free(moves);
	json_decref(slices);
}

Test(endpointslice, a_change_of_one_endpoint_is_one_slices)
{
	const struct api_pod *pods[251];

	for (int i = 0; i < 250; i++)
		pods[i] = numbered(i + 1, "");
	plan_and_do(250, pods, 3, 3);
	plan_and_do(250, pods, 0, 3);
	/* One goes and another comes, which would be the first of all by its name: it takes the place. */
	pods[120] = numbered(0, "");
	plan_and_do(250, pods, 1, 3);
	/* One more goes where there is room. */
	pods[250] = numbered(999, "");
	plan_and_do(251, pods, 1, 3);
	plan_and_do(251, pods, 0, 3);
	/* One drains. */
	pods[7] = numbered(8, DELETING);
	plan_and_do(251, pods, 1, 3);
	/* Another weight is another slice: the one that it leaves, and a new one. */
	pods[8] = numbered(9, WEIGHT("5"));
	plan_and_do(251, pods, 2, 4);
	pods[9] = numbered(10, WEIGHT("5"));
	plan_and_do(251, pods, 2, 4);
}

Test(endpointslice, slices_that_nobody_is_in_go)
{
	const struct api_pod *pods[150];
	json_t *slices;

	for (int i = 0; i < 150; i++)
		pods[i] = numbered(i, "");
	plan_and_do(150, pods, 2, 2);
	/* The second one's: the first is not touched, and the second not named any more. */
	plan_and_do(100, pods, 0, 1);
	/* The last one stays, empty, for clients to be told. */
	slices = plan(service(PORT80), 0, pods);
	cr_assert_eq(json_array_size(slices), 1);
	cr_assert_eq(n_endpoints(slices, 0), 0);
	cr_assert_str_eq(api_get_str(json_array_get(slices, 0), "name"), have[0]->metadata.name);
	carried_out(slices);
	json_decref(slices);
	plan_and_do(0, pods, 0, 1);
	/* It has no ports: it is rewritten by whoever calls, who finds it not named. */
	plan_and_do(1, pods, 1, 1);
}

Test(endpointslice, what_is_there_already_equals_the_plan)
{
	const struct api_pod *pods[] = { pod("a", "10.0.0.1", true, "", "Running"),
					 pod("c", "10.0.0.2", false, DELETING, "Running") };
	json_t *slices = plan(
		service("\"ports\":[{\"name\":\"x\",\"port\":80,\"appProtocol\":\"http\"},{\"port\":81}]"), 2, pods);
	char *text = json_dumps(json_array_get(slices, 0), 0);
	json_t *again = endpointslice_content(from_json_as(&api_type_endpoint_slice, text, &arena));

	cr_assert(json_equal(again, json_array_get(slices, 0)), "%s\n%s", text, json_dumps(again, 0));
	json_decref(again);
	free(text);
	json_decref(slices);
}
