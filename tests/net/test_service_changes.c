/* SPDX-License-Identifier: Apache-2.0 */
/* Services come, change and go one by one: what is compiled for it, what is told of it, and what does not fit. */
#include "wire.h"

#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/str.h"

TestSuite(service_changes, .init = wire_up, .fini = wire_down, .timeout = 180);

/* Services brought into the first node's maps so far. */
static int64_t compiled(void)
{
	json_t *list = node_get(&n1, "services");
	int64_t n = api_get_int(list, "servicesCompiled", -1);

	json_decref(list);
	cr_assert(n >= 0);
	return n;
}

/* "address:port>backends" of every front end of the first node, in order, with a space between. */
static void fronts(char *ret, size_t size)
{
	json_t *list = node_get(&n1, "services"), *items = json_object_get(list, "items"), *item;
	char *lines[64];
	size_t n = 0, i;

	json_array_foreach (items, i, item) {
		json_t *backends = json_object_get(item, "backends");

		cr_assert(n < 64);
		cr_assert(asprintf(&lines[n++], "%s>%zu", api_get_str(item, "address"), json_array_size(backends)) > 0);
	}
	for (i = 0; i < n; i++)
		for (size_t k = i + 1; k < n; k++)
			if (strcmp(lines[i], lines[k]) > 0) {
				char *t = lines[i];

				lines[i] = lines[k];
				lines[k] = t;
			}
	ret[0] = '\0';
	for (i = 0; i < n; i++) {
		snprintf(ret + strlen(ret), size - strlen(ret), "%s%s", i ? " " : "", lines[i]);
		free(lines[i]);
	}
	json_decref(list);
}

static char last_fronts[2048];

static bool are_fronts(void *want)
{
	fronts(last_fronts, sizeof(last_fronts));
	return streq(last_fronts, want);
}

#define FRONTS(text) cr_assert(wait_for(are_fronts, (char *)(text)), "%s, not %s", last_fronts, text)

static void service(const char *name, const char *ip, int port, const char *created)
{
	fake_put(
		api, "services",
		"{'metadata':{'namespace':'default','name':'%s','uid':'uid-%s','creationTimestamp':'%s'},'spec':{'type':'ClusterIP',"
		"'clusterIP':'%s','clusterIPs':['%s'],'ports':[{'port':%d,'protocol':'TCP'}]}}",
		name, name, created, ip, ip, port);
}

static void endpoints(const char *service_name, const char *slice_name, const char *ip)
{
	fake_put(
		api, "endpointslices",
		"{'metadata':{'namespace':'default','name':'%s','uid':'uid-%s','labels':{'kubernetes.io/service-name':'%s'}},"
		"'addressType':'IPv4','ports':[{'name':'','port':8080,'protocol':'TCP'}],'endpoints':[{'addresses':['%s']}]}",
		slice_name, slice_name, service_name, ip);
}

#define T1 "2026-01-01T00:00:00Z"
#define T2 "2026-01-02T00:00:00Z"

static bool is_reported(void *arg)
{
	const size_t *revision = arg;
	const json_t *applied = api_get(fake_report(api, n1.name, NULL), "status.applied"), *one;
	size_t i;

	json_array_foreach (applied, i, one)
		if (!strcmp(api_get_str(one, "resource"), "services"))
			return strtoul(api_get_str(one, "resourceVersion"), NULL, 10) >= *revision;
	return false;
}

static size_t put_service(int number)
{
	fake_put(
		api, "services",
		"{'metadata':{'namespace':'default','name':'s','uid':'uid-s'},'spec':{'type':'ClusterIP','clusterIP':'10.96.1.%d',"
		"'clusterIPs':['10.96.1.%d'],'ports':[{'port':80,'protocol':'TCP'}]}}",
		number, number);
	return fake_revision(api);
}

/* Many changes make few reports, the last of which has them all. */
Test(service_changes, a_node_reports_what_it_forwards_by)
{
	size_t revision = put_service(1), before, after;
	const json_t *status;

	cr_assert(wait_for(is_reported, &revision));
	status = json_object_get(fake_report(api, n1.name, NULL), "status");
	cr_assert_eq(json_integer_value(json_object_get(status, "services")), 1);
	cr_assert(json_integer_value(json_object_get(status, "generation")) > 0);
	cr_assert_str_eq(api_get_str(status, "error"), "");
	cr_assert_str_eq(api_get_str(status, "xdp"), "off");
	fake_report(api, n1.name, &before);
	for (int i = 2; i < 200; i++) {
		revision = put_service(i);
		serve(1);
	}
	cr_assert(wait_for(is_reported, &revision));
	fake_report(api, n1.name, &after);
	cr_assert(after - before < 198, "%zu reports of 198 changes by two nodes", after - before);
}

Test(service_changes, a_service_changes_without_the_others, .timeout = 180)
{
	int64_t before;

	FRONTS("");
	/* A slice may come before its service, and two make one. */
	endpoints("a", "a-1", "10.0.9.1");
	service("a", "10.96.0.1", 80, T1);
	FRONTS("10.96.0.1:80>1");
	endpoints("a", "a-2", "10.0.9.2");
	FRONTS("10.96.0.1:80>2");
	service("b", "10.96.0.2", 80, T1);
	endpoints("b", "b-1", "10.0.9.3");
	FRONTS("10.96.0.1:80>2 10.96.0.2:80>1");

	/* One change, one service. */
	before = compiled();
	service("b", "10.96.0.2", 81, T1);
	FRONTS("10.96.0.1:80>2 10.96.0.2:81>1");
	cr_assert_leq(compiled() - before, 1 + 2 /* a resync may fall between */);

	/* A slice that goes to another service is taken from the first. */
	endpoints("b", "a-2", "10.0.9.2");
	FRONTS("10.96.0.1:80>1 10.96.0.2:81>2");
	fake_delete(api, "endpointslices", "default", "a-1");
	FRONTS("10.96.0.1:80>0 10.96.0.2:81>2");

	/* Two claim one address: the older one has it, and when that goes, the other. */
	service("c", "10.96.0.2", 81, T2);
	endpoints("c", "c-1", "10.0.9.4");
	service("d", "10.96.0.4", 80, T1);
	FRONTS("10.96.0.1:80>0 10.96.0.2:81>2 10.96.0.4:80>0");
	fake_delete(api, "services", "default", "b");
	FRONTS("10.96.0.1:80>0 10.96.0.2:81>1 10.96.0.4:80>0");

	/* An address that one gives up and another takes in the same breath. */
	service("d", "10.96.0.5", 80, T1);
	service("a", "10.96.0.4", 80, T1);
	FRONTS("10.96.0.2:81>1 10.96.0.4:80>0 10.96.0.5:80>0");
	fake_delete(api, "services", "default", "c");
	fake_delete(api, "services", "default", "a");
	fake_delete(api, "services", "default", "d");
	FRONTS("");
	/* What is left of services without a Service: their slices, until these go too. */
	fake_delete(api, "endpointslices", "default", "c-1");
	fake_delete(api, "endpointslices", "default", "a-2");
	fake_delete(api, "endpointslices", "default", "b-1");
	service("e", "10.96.0.9", 80, T1);
	FRONTS("10.96.0.9:80>0");
}

static char last_error[600];

static bool error_has(void *text)
{
	const char *error = api_get_str(fake_report(api, n1.name, NULL), "status.error");

	snprintf(last_error, sizeof(last_error), "%s", error ? error : "none");
	return *(const char *)text ? error && strstr(error, text) : error && !*error;
}

#define ERROR(text) cr_assert(wait_for(error_has, (char *)(text)), "%s, not %s", last_error, text)

Test(service_changes, a_service_without_room_in_the_maps_is_told_of_and_holds_up_nothing, .timeout = 300)
{
	node_kill(&n1);
	n1.max_frontends = 2;
	node_start(&n1);
	service("a", "10.96.0.1", 80, T1);
	service("b", "10.96.0.2", 80, T1);
	FRONTS("10.96.0.1:80>0 10.96.0.2:80>0");
	service("c", "10.96.0.3", 80, T1);
	ERROR("service default/c: map 'services' is full: it has room for 2 entries (the agent's --max-frontends)");
	endpoints("a", "a-1", "10.0.9.1");
	FRONTS("10.96.0.1:80>1 10.96.0.2:80>0");
	struct wpod a = (struct wpod){ .node = &n1, .ns = "default", .name = "a", .labels = "'app':'a'" };
	pod_start(&a);
	/* One goes and makes room, in the same change even. */
	service("b", "10.96.0.4", 80, T1);
	FRONTS("10.96.0.1:80>1 10.96.0.4:80>0");
	fake_delete(api, "services", "default", "b");
	FRONTS("10.96.0.1:80>1 10.96.0.3:80>0");
	ERROR("");
}
