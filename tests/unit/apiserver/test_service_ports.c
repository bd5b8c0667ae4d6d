/* SPDX-License-Identifier: Apache-2.0 */
/* Node ports of services: given, kept, refused and let go, through a server. */
#include "fixture.h"

static struct fx f;

static void up(void)
{
	fx_init(&f);
	fx_start(&f);
}

static void down(void)
{
	fx_done(&f);
}

TestSuite(service_ports, .init = up, .fini = down);

#define SVCS "/api/v1/namespaces/default/services"
#define SVC(name, spec)                                                                                                \
	"{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"" name "\"},\"spec\":{" spec "}}"
#define PORTS(port) "\"ports\":[{\"port\":80" port "}]"
#define NP	    "\"type\":\"NodePort\","
#define LB	    "\"type\":\"LoadBalancer\","

static int64_t node_port(const json_t *o, size_t i)
{
	return api_get_int(json_array_get(api_get(o, "spec.ports"), i), "nodePort", 0);
}

/* Of the first port, of an answer of that status. */
static int64_t port_of(int status, const char *method, const char *path, const char *body)
{
	json_t *o = fx_expect(&f, status, method, path, body);
	int64_t port = node_port(o, 0);

	json_decref(o);
	return port;
}

Test(service_ports, are_given_kept_and_given_back)
{
	int64_t port = port_of(201, "POST", SVCS, SVC("a", NP PORTS("")));
	char body[256];

	cr_assert(port >= 30086 && port <= 32767, "not from the static band: %lld", (long long)port);
	/* by a replacement and a patch that leave it out */
	cr_assert_eq(port_of(200, "PUT", SVCS "/a", SVC("a", NP "\"selector\":{\"x\":\"y\"}," PORTS(""))), port);
	cr_assert_eq(port_of(200, "PATCH", SVCS "/a", "{\"spec\":{\"selector\":{\"x\":\"z\"}}}"), port);
	snprintf(body, sizeof(body), SVC("b", NP PORTS(",\"nodePort\":%lld")), (long long)port);
	fx_refused(&f, ADMIN, 422, "POST", SVCS, body, "provided port is already allocated");
	/* known after a restart */
	fx_stop(&f);
	fx_start(&f);
	fx_refused(&f, ADMIN, 422, "POST", SVCS, body, "spec.ports[0].nodePort: Invalid value");
	fx_do(&f, 200, "DELETE", SVCS "/a", NULL);
	cr_assert_eq(port_of(201, "POST", SVCS, body), port);
}

Test(service_ports, as_asked_for)
{
	cr_assert_eq(port_of(201, "POST", SVCS, SVC("a", NP PORTS(",\"nodePort\":30005"))), 30005);
	fx_refused(&f, ADMIN, 422, "POST", SVCS, SVC("b", NP PORTS(",\"nodePort\":80")),
		   "provided port is not in the valid range. The range of valid ports is 30000-32767");
	/* a dry run keeps nothing, neither does what is refused */
	fx_do(&f, 201, "POST", SVCS "?dryRun=All", SVC("b", NP PORTS(",\"nodePort\":30006")));
	fx_refused(
		&f, ADMIN, 422, "POST", SVCS,
		SVC("b", NP
		    "\"ports\":[{\"name\":\"a\",\"port\":80,\"nodePort\":30006},{\"name\":\"b\",\"port\":81,\"nodePort\":30005}]"),
		"spec.ports[1].nodePort");
	cr_assert_eq(port_of(201, "POST", SVCS, SVC("b", NP PORTS(",\"nodePort\":30006"))), 30006);
	/* another one: the old one is free */
	cr_assert_eq(port_of(200, "PUT", SVCS "/b", SVC("b", NP PORTS(",\"nodePort\":30007"))), 30007);
	cr_assert_eq(port_of(201, "POST", SVCS, SVC("c", NP PORTS(",\"nodePort\":30006"))), 30006);
}

Test(service_ports, two_protocols_of_one_port_share_one)
{
#define BOTH                                                                                                           \
	"\"ports\":[{\"name\":\"t\",\"port\":53},{\"name\":\"u\",\"port\":53,\"protocol\":\"UDP\"},"                   \
	"{\"name\":\"w\",\"port\":54}]"
	json_t *o = fx_expect(&f, 201, "POST", SVCS, SVC("dns", NP BOTH));

	cr_assert(node_port(o, 0) && node_port(o, 0) == node_port(o, 1));
	cr_assert(node_port(o, 2) && node_port(o, 2) != node_port(o, 0));
	json_decref(o);
	o = fx_expect(&f, 201, "POST", SVCS,
		      SVC("two", NP "\"ports\":[{\"name\":\"t\",\"port\":53,\"nodePort\":30053},"
				    "{\"name\":\"u\",\"port\":53,\"protocol\":\"UDP\",\"nodePort\":30054}]"));
	cr_assert(node_port(o, 0) == 30053 && node_port(o, 1) == 30054);
	json_decref(o);
}

Test(service_ports, go_with_the_type_that_had_them)
{
	json_t *o = fx_expect(&f, 201, "POST", SVCS, SVC("a", NP PORTS(",\"nodePort\":30005")));

	cr_assert_str_eq(api_get_str(o, "spec.externalTrafficPolicy"), "Cluster");
	json_decref(o);
	o = fx_expect(&f, 200, "PATCH", SVCS "/a", "{\"spec\":{\"type\":\"ClusterIP\"}}");
	cr_assert(!node_port(o, 0) && !api_get(o, "spec.externalTrafficPolicy"));
	json_decref(o);
	cr_assert_eq(port_of(201, "POST", SVCS, SVC("b", NP PORTS(",\"nodePort\":30005"))), 30005);
	cr_assert(port_of(200, "PATCH", SVCS "/a", "{\"spec\":{\"type\":\"NodePort\"}}") != 0, "given anew");
	/* asked for with a type that has none */
	fx_refused(&f, ADMIN, 422, "PATCH", SVCS "/a",
		   "{\"spec\":{\"type\":\"ClusterIP\",\"ports\":[{\"port\":80,\"nodePort\":30009}]}}",
		   "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'");
}

Test(service_ports, of_a_load_balancer)
{
	json_t *o =
		fx_expect(&f, 201, "POST", SVCS,
			  SVC("a", LB "\"externalTrafficPolicy\":\"Local\",\"loadBalancerClass\":\"x/y\"," PORTS("")));
	int64_t health = api_get_int(o, "spec.healthCheckNodePort", 0);

	cr_assert(node_port(o, 0) && health && health != node_port(o, 0));
	cr_assert(json_is_true(api_get(o, "spec.allocateLoadBalancerNodePorts")));
	json_decref(o);
	o = fx_expect(&f, 200, "PATCH", SVCS "/a", "{\"spec\":{\"selector\":{\"x\":\"z\"}}}");
	cr_assert_eq(api_get_int(o, "spec.healthCheckNodePort", 0), health);
	json_decref(o);
	fx_refused(&f, ADMIN, 422, "PATCH", SVCS "/a", "{\"spec\":{\"healthCheckNodePort\":30001}}",
		   "field is immutable");
	o = fx_expect(&f, 200, "PATCH", SVCS "/a", "{\"spec\":{\"externalTrafficPolicy\":\"Cluster\"}}");
	cr_assert(!api_get(o, "spec.healthCheckNodePort"));
	json_decref(o);
	/* its status is another's business, and goes with the type */
	o = fx_expect(&f, 200, "PATCH", SVCS "/a/status",
		      "{\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"198.51.100.7\"}]}}}");
	cr_assert_str_eq(api_get_str(json_array_get(api_get(o, "status.loadBalancer.ingress"), 0), "ipMode"), "VIP");
	json_decref(o);
	o = fx_expect(&f, 200, "PATCH", SVCS "/a", "{\"spec\":{\"type\":\"ClusterIP\"}}");
	cr_assert(!node_port(o, 0) && !api_get(o, "status.loadBalancer.ingress"));
	cr_assert(!api_get(o, "spec.loadBalancerClass") && !api_get(o, "spec.allocateLoadBalancerNodePorts"));
	json_decref(o);
	fx_refused(&f, ADMIN, 422, "PATCH", SVCS "/a/status",
		   "{\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"198.51.100.7\"}]}}}",
		   "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is");
	/* without node ports */
	cr_assert_eq(port_of(201, "POST", SVCS, SVC("b", LB "\"allocateLoadBalancerNodePorts\":false," PORTS(""))), 0);
}
