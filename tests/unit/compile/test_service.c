/* SPDX-License-Identifier: Apache-2.0 */
/* Services to front ends, case by case. Objects are JSON with ' for ". */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "compile/service_weights.h"

static struct arena arena;
static json_t *trees[64];
static size_t n_trees, n_services, n_slices;
static const struct api_service *services[8];
static const struct api_endpoint_slice *slices[8];
static const struct api_service *trimmed_services[8];
static const struct api_endpoint_slice *trimmed_slices[8];
static struct service_table table;
static const struct service_place place = { "n1", "z1" };

static void *decode(const struct api_type *type, const char *text, void (*trim)(json_t *obj))
{
	struct err err = ERR_INIT;
	char copy[2048], *p;
	void *obj;

	snprintf(copy, sizeof(copy), "%s", text);
	for (p = copy; (p = strchr(p, '\'')); p++)
		*p = '"';
	cr_assert(api_json_parse(copy, strlen(copy), &trees[n_trees], NULL, &err) == 0, "%s: %s", copy, err.msg);
	if (trim)
		trim(trees[n_trees]);
	cr_assert(api_decode(type, trees[n_trees++], &arena, &obj, &err) == 0, "%s", err.msg);
	return obj;
}

static void service(const char *text)
{
	trimmed_services[n_services] = decode(&api_type_service, text, service_trim);
	services[n_services++] = decode(&api_type_service, text, NULL);
}

/* One slice of service s in namespace n, port "" 8080/TCP unless told. */
static void slice(const char *type, const char *ports, const char *endpoints)
{
	char text[1500];

	snprintf(
		text, sizeof(text),
		"{'metadata':{'namespace':'n','name':'x','labels':{'kubernetes.io/service-name':'s'}},'addressType':'%s',"
		"'ports':[%s],'endpoints':[%s]}",
		type, ports ? ports : "{'port':8080,'protocol':'TCP'}", endpoints);
	trimmed_slices[n_slices] = decode(&api_type_endpoint_slice, text, service_trim_slice);
	slices[n_slices++] = decode(&api_type_endpoint_slice, text, NULL);
}

#define PLAIN                                                                                                          \
	"{'metadata':{'namespace':'n','name':'s'},'spec':{'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1','fd00:96::1'],'ports':[{'port':80}]}}"

/* What an agent keeps of the objects gives the same table as the whole of them: in every case here. */
static void check_trimmed(void)
{
	struct service_table t;
	struct err err = ERR_INIT;

	cr_assert(service_compile(&place, trimmed_services, n_services, trimmed_slices, n_slices, &t, &err) == 0, "%s",
		  err.msg);
	cr_assert(t.n == table.n && t.clashes == table.clashes);
	for (size_t i = 0; i < t.n; i++) {
		cr_assert(service_front_same(&t.fronts[i], &table.fronts[i]));
		cr_assert_str_eq(t.fronts[i].port_name, table.fronts[i].port_name);
		cr_assert_str_eq(t.fronts[i].service->metadata.name, table.fronts[i].service->metadata.name);
	}
	service_table_done(&t);
}

/* All front ends as text: "10.96.0.1:80/6=10.0.0.1:8080,10.0.0.2:8080 "; "/6o": for those outside; "!": silent; "@":
 * announced; "~": direct server return; "<192.0.2.0/120": from there */
static const char *compiled(void)
{
	static char out[4096];
	struct err err = ERR_INIT;
	char ip[INET6_ADDRSTRLEN];
	size_t len = 0;

	cr_assert(service_compile(&place, services, n_services, slices, n_slices, &table, &err) == 0, "%s", err.msg);
	check_trimmed();
	out[0] = '\0';
	for (size_t i = 0; i < table.n; i++) {
		const struct service_front *f = &table.fronts[i];

		for (size_t k = 0; k <= f->n_backends; k++) {
			const struct ip_addr *a = k ? &f->backends[k - 1].ip : &f->vip;
			bool v4 = a->w[2] == htonl(0xffff) && !a->w[0];

			inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &a->w[3] : a->w, ip, sizeof(ip));
			if (k)
				len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%s:%u", k > 1 ? "," : "", ip,
							f->backends[k - 1].port);
			else
				len += (size_t)snprintf(out + len, sizeof(out) - len, "%s:%u/%u%s=%s", ip, f->port,
							f->proto, f->side == SVC_OUTSIDE ? "o" : "",
							f->silent      ? "!"
							: f->announced ? "@"
							: f->direct    ? "~"
								       : "");
		}
		for (size_t k = 0; k < f->n_ranges; k++) {
			const struct ip_addr *a = &f->ranges[k].ip;
			bool v4 = a->w[2] == htonl(0xffff) && !a->w[0];

			inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &a->w[3] : a->w, ip, sizeof(ip));
			len += (size_t)snprintf(out + len, sizeof(out) - len, "<%s/%u", ip, f->ranges[k].len);
		}
		len += (size_t)snprintf(out + len, sizeof(out) - len, " ");
	}
	return out;
}

static void down(void)
{
	service_table_done(&table);
	for (size_t i = 0; i < n_trees; i++)
		json_decref(trees[i]);
	arena_done(&arena);
}

TestSuite(service, .fini = down);

Test(service, both_families_each_from_its_own_slices)
{
	service(PLAIN);
	slice("IPv4", NULL, "{'addresses':['10.0.0.2']},{'addresses':['10.0.0.1'],'conditions':{'ready':true}}");
	slice("IPv6", NULL, "{'addresses':['fd00:10::1']}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6=10.0.0.1:8080,10.0.0.2:8080 fd00:96::1:80/6=fd00:10::1:8080 ");
}

#define LOCAL                                                                                                          \
	"{'metadata':{'namespace':'n','name':'s'},'spec':{'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1'],"         \
	"'internalTrafficPolicy':'Local','ports':[{'port':80}]}}"

Test(service, internal_traffic_policy_local_stays_on_the_node)
{
	service(LOCAL);
	slice("IPv4", NULL,
	      "{'addresses':['10.0.0.1'],'nodeName':'n1'},{'addresses':['10.0.0.2'],'nodeName':'n2'},{'addresses':['10.0.0.3']}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6=10.0.0.1:8080 ");
}

Test(service, internal_traffic_policy_local_serves_nobody_without_a_local_endpoint)
{
	service(LOCAL);
	slice("IPv4", NULL,
	      "{'addresses':['10.0.0.2'],'nodeName':'n2','hints':{'forZones':[{'name':'z1'}]}},"
	      "{'addresses':['10.0.0.4'],'nodeName':'n2','conditions':{'ready':false,'serving':true,'terminating':true}}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6= ");
	service_table_done(&table);
	/* One that drains here is better than none. */
	slice("IPv4", NULL,
	      "{'addresses':['10.0.0.5'],'nodeName':'n1','conditions':{'ready':false,'serving':true,'terminating':true}}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6=10.0.0.5:8080 ");
}

#define Z(zone)	       "'hints':{'forZones':[{'name':'" zone "'}]}"
#define ZN(zone, node) "'hints':{'forZones':[{'name':'" zone "'}],'forNodes':[{'name':'" node "'}]}"

Test(service, hints_for_zones_and_nodes)
{
	static const struct {
		const char *endpoints, *want;
	} cases[] = {
		{ "{'addresses':['10.0.0.1']," Z("z1") "},{'addresses':['10.0.0.2']," Z("z2") "}", "10.0.0.1:8080" },
		/* One without hints: everybody. */
		{ "{'addresses':['10.0.0.1']," Z("z1") "},{'addresses':['10.0.0.2']}", "10.0.0.1:8080,10.0.0.2:8080" },
		/* None for this zone: everybody. */
		{ "{'addresses':['10.0.0.1']," Z("z3") "},{'addresses':['10.0.0.2']," Z("z2") "}",
		  "10.0.0.1:8080,10.0.0.2:8080" },
		/* Not ready ones have no say. */
		{ "{'addresses':['10.0.0.1']," Z("z1") "},{'addresses':['10.0.0.2']," Z(
			  "z2") "},{'addresses':['10.0.0.3'],'conditions':{'ready':false}}",
		  "10.0.0.1:8080" },
		/* The node before the zone; without one here the zone. */
		{ "{'addresses':['10.0.0.1']," ZN("z1", "n1") "},{'addresses':['10.0.0.2']," ZN("z1", "n2") "}",
		  "10.0.0.1:8080" },
		{ "{'addresses':['10.0.0.1']," ZN("z1", "n3") "},{'addresses':['10.0.0.2']," ZN("z2", "n2") "}",
		  "10.0.0.1:8080" },
		{ "{'addresses':['10.0.0.1']," ZN("z1", "n1") "},{'addresses':['10.0.0.2']," Z("z1") "}",
		  "10.0.0.1:8080,10.0.0.2:8080" },
		/* Those that drain are used from anywhere. */
		{ "{'addresses':['10.0.0.2']," Z(
			  "z2") ",'conditions':{'ready':false,'serving':true,'terminating':true}}",
		  "10.0.0.2:8080" },
	};
	char want[128];

	service("{'metadata':{'namespace':'n','name':'s'},'spec':{'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1'],"
		"'ports':[{'port':80}]}}");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		n_slices = 0;
		slice("IPv4", NULL, cases[i].endpoints);
		snprintf(want, sizeof(want), "10.96.0.1:80/6=%s ", cases[i].want);
		cr_assert_str_eq(compiled(), want, "case %zu", i);
		service_table_done(&table);
	}
}

Test(service, session_affinity_has_its_time)
{
	service("{'metadata':{'namespace':'n','name':'s'},'spec':{'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1'],"
		"'ports':[{'port':80}],'sessionAffinity':'ClientIP'}}");
	service("{'metadata':{'namespace':'n','name':'t'},'spec':{'clusterIP':'10.96.0.2','clusterIPs':['10.96.0.2'],"
		"'ports':[{'port':80}],'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':7}}}}");
	service("{'metadata':{'namespace':'n','name':'u'},'spec':{'clusterIP':'10.96.0.3','clusterIPs':['10.96.0.3'],"
		"'ports':[{'port':80}],'sessionAffinity':'None','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':7}}}}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6= 10.96.0.2:80/6= 10.96.0.3:80/6= ");
	cr_assert_eq(table.fronts[0].affinity_s, 10800);
	cr_assert_eq(table.fronts[1].affinity_s, 7);
	cr_assert_eq(table.fronts[2].affinity_s, 0);
}

Test(service, without_endpoints_the_front_end_stays)
{
	service(PLAIN);
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6= fd00:96::1:80/6= ");
}

Test(service, not_ready_ones_are_left_out)
{
	service(PLAIN);
	slice("IPv4", NULL,
	      "{'addresses':['10.0.0.1'],'conditions':{'ready':false}},{'addresses':['10.0.0.2'],'conditions':{'ready':true}}");
	cr_assert(str_starts(compiled(), "10.96.0.1:80/6=10.0.0.2:8080 "));
}

Test(service, terminating_ones_serve_only_when_nobody_else_does)
{
	service(PLAIN);
	slice("IPv4", NULL,
	      "{'addresses':['10.0.0.1'],'conditions':{'ready':false,'serving':true,'terminating':true}},"
	      "{'addresses':['10.0.0.2'],'conditions':{'ready':false,'serving':false,'terminating':true}},"
	      "{'addresses':['10.0.0.3'],'conditions':{'ready':false,'serving':true,'terminating':false}}");
	cr_assert(str_starts(compiled(), "10.96.0.1:80/6=10.0.0.1:8080 "));
	service_table_done(&table);
	slice("IPv4", NULL, "{'addresses':['10.0.0.9'],'conditions':{'ready':true}}");
	cr_assert(str_starts(compiled(), "10.96.0.1:80/6=10.0.0.9:8080 "));
}

Test(service, ports_are_matched_by_name_and_protocol)
{
	service("{'metadata':{'namespace':'n','name':'s'},'spec':{'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1'],'ports':["
		"{'name':'web','port':80,'protocol':'TCP'},{'name':'dns','port':53,'protocol':'UDP'},{'name':'dns-tcp','port':53,'protocol':'TCP'},"
		"{'name':'s','port':9,'protocol':'SCTP'}]}}");
	slice("IPv4", "{'name':'web','port':8080,'protocol':'TCP'},{'name':'dns','port':5353,'protocol':'UDP'}",
	      "{'addresses':['10.0.0.1']}");
	slice("IPv4", "{'name':'web','port':8081,'protocol':'TCP'},{'name':'dns-tcp','port':5354,'protocol':'UDP'}",
	      "{'addresses':['10.0.0.2']}");
	cr_assert_str_eq(compiled(),
			 "10.96.0.1:53/6= 10.96.0.1:53/17=10.0.0.1:5353 10.96.0.1:80/6=10.0.0.1:8080,10.0.0.2:8081 ");
}

Test(service, an_endpoint_told_twice_counts_once)
{
	service(PLAIN);
	slice("IPv4", NULL, "{'addresses':['10.0.0.1']}");
	slice("IPv4", NULL,
	      "{'addresses':['10.0.0.1']},{'addresses':[]},{'addresses':['nonsense']},{'addresses':['fd00::1']}");
	cr_assert(str_starts(compiled(), "10.96.0.1:80/6=10.0.0.1:8080 "));
}

#define SPEC(more)                                                                                                     \
	"{'metadata':{'namespace':'n','name':'s'},'spec':{'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1']," more "}"
#define TWO                                                                                                            \
	"{'addresses':['10.0.0.1'],'nodeName':'n1'},{'addresses':['10.0.0.2'],'nodeName':'n2','conditions':{'ready':true}}"

Test(service, a_node_port_has_each_side_and_family)
{
	service("{'metadata':{'namespace':'n','name':'s'},'spec':{'type':'NodePort','clusterIP':'10.96.0.1',"
		"'clusterIPs':['10.96.0.1','fd00:96::1'],'ports':[{'name':'a','port':80,'nodePort':30080},"
		"{'name':'b','port':53,'protocol':'UDP'}]}}");
	slice("IPv4", "{'name':'a','port':8080},{'name':'b','port':5353,'protocol':'UDP'}",
	      "{'addresses':['10.0.0.1']}");
	slice("IPv6", "{'name':'a','port':8080}", "{'addresses':['fd00:10::1']}");
	cr_assert_str_eq(compiled(), ":::30080/6=fd00:10::1:8080 :::30080/6o=fd00:10::1:8080 "
				     "0.0.0.0:30080/6=10.0.0.1:8080 0.0.0.0:30080/6o=10.0.0.1:8080 "
				     "10.96.0.1:53/17=10.0.0.1:5353 10.96.0.1:80/6=10.0.0.1:8080 "
				     "fd00:96::1:53/17= fd00:96::1:80/6=fd00:10::1:8080 ");
}

Test(service, external_traffic_policy_local_is_for_those_outside)
{
	service(SPEC("'type':'NodePort','externalTrafficPolicy':'Local','ports':[{'port':80,'nodePort':30080}]}"));
	slice("IPv4", NULL, TWO);
	cr_assert_str_eq(compiled(), "0.0.0.0:30080/6=10.0.0.1:8080,10.0.0.2:8080 0.0.0.0:30080/6o=10.0.0.1:8080 "
				     "10.96.0.1:80/6=10.0.0.1:8080,10.0.0.2:8080 ");
}

Test(service, internal_traffic_policy_local_is_for_the_clusters_own_address)
{
	service(SPEC("'type':'NodePort','internalTrafficPolicy':'Local','ports':[{'port':80,'nodePort':30080}]}"));
	slice("IPv4", NULL, TWO);
	cr_assert_str_eq(compiled(), "0.0.0.0:30080/6=10.0.0.1:8080,10.0.0.2:8080 "
				     "0.0.0.0:30080/6o=10.0.0.1:8080,10.0.0.2:8080 10.96.0.1:80/6=10.0.0.1:8080 ");
}

/* A load balancer is to look for another node; one that drains here is better than none (KEP-1669). */
Test(service, without_a_local_backend_those_outside_hear_nothing)
{
	service(SPEC("'type':'NodePort','externalTrafficPolicy':'Local','ports':[{'port':80,'nodePort':30080}]}"));
	cr_assert_str_eq(compiled(), "0.0.0.0:30080/6= 0.0.0.0:30080/6o= 10.96.0.1:80/6= ");
	service_table_done(&table);
	slice("IPv4", NULL, "{'addresses':['10.0.0.2'],'nodeName':'n2'}");
	cr_assert_str_eq(compiled(), "0.0.0.0:30080/6=10.0.0.2:8080 0.0.0.0:30080/6o=! 10.96.0.1:80/6=10.0.0.2:8080 ");
	service_table_done(&table);
	slice("IPv4", NULL,
	      "{'addresses':['10.0.0.5'],'nodeName':'n1','conditions':{'ready':false,'serving':true,'terminating':true}}");
	cr_assert_str_eq(compiled(), "0.0.0.0:30080/6=10.0.0.2:8080 0.0.0.0:30080/6o=10.0.0.5:8080 "
				     "10.96.0.1:80/6=10.0.0.2:8080 ");
}

Test(service, external_addresses_and_those_of_a_load_balancer)
{
	service(SPEC(
		"'type':'LoadBalancer','externalIPs':['192.0.2.1','2001:db8::1'],'ports':[{'port':80}]},"
		"'status':{'loadBalancer':{'ingress':[{'ip':'198.51.100.7','ipMode':'VIP'},{'ip':'198.51.100.8','ipMode':'Proxy'},"
		"{'hostname':'lb.example'}]}}"));
	slice("IPv4", NULL, "{'addresses':['10.0.0.1']}");
	cr_assert_str_eq(compiled(),
			 "10.96.0.1:80/6=10.0.0.1:8080 "
			 "192.0.2.1:0/0o= 192.0.2.1:80/6=10.0.0.1:8080 192.0.2.1:80/6o=10.0.0.1:8080 "
			 "198.51.100.7:0/0o= 198.51.100.7:80/6=10.0.0.1:8080 198.51.100.7:80/6o=10.0.0.1:8080 "
			 "2001:db8::1:0/0o= 2001:db8::1:80/6= 2001:db8::1:80/6o= ");
}

#define ANNOUNCED_BY(node)                                                                                             \
	"{'metadata':{'namespace':'n','name':'s','annotations':{'skep.io/announced-by':'" node "','x':'y'}},"          \
	"'spec':{'clusterIP':'10.96.0.1','externalIPs':['192.0.2.1'],'ports':[{'port':80}]},"                          \
	"'status':{'loadBalancer':{'ingress':[{'ip':'198.51.100.7'}]}}}"

Test(service, a_load_balancers_address_is_announced_by_the_node_that_the_annotation_names)
{
	service(ANNOUNCED_BY("n1"));
	cr_assert(strstr(compiled(), "198.51.100.7:0/0o=@ "));
	cr_assert(strstr(compiled(), "192.0.2.1:0/0o= "), "routed by the world itself");
}

Test(service, another_nodes_address_is_not_announced)
{
	service(ANNOUNCED_BY("n2"));
	cr_assert(strstr(compiled(), "198.51.100.7:0/0o= "));
	service_table_done(&table);
	/* unless one of those who share it says this node */
	service("{'metadata':{'namespace':'n','name':'t','annotations':{'skep.io/announced-by':'n1'}},"
		"'spec':{'clusterIP':'10.96.0.2','ports':[{'port':81}]},"
		"'status':{'loadBalancer':{'ingress':[{'ip':'198.51.100.7'}]}}}");
	cr_assert(strstr(compiled(), "198.51.100.7:0/0o=@ "));
}

#define DSR(spec)                                                                                                                        \
	"{'metadata':{'namespace':'n','name':'s','annotations':{'skep.io/forwarding-mode':'dsr'}},'spec':{'clusterIP':'10.96.0.1'," spec \
	"'externalIPs':['192.0.2.1'],'ports':[{'port':80,'nodePort':30080}]}}"

Test(service, direct_server_return_is_for_those_outside)
{
	service(DSR(""));
	slice("IPv4", NULL, "{'addresses':['10.0.0.1']}");
	cr_assert_str_eq(compiled(),
			 "0.0.0.0:30080/6=10.0.0.1:8080 0.0.0.0:30080/6o=~10.0.0.1:8080 10.96.0.1:80/6=10.0.0.1:8080 "
			 "192.0.2.1:0/0o= 192.0.2.1:80/6=10.0.0.1:8080 192.0.2.1:80/6o=~10.0.0.1:8080 ");
}

Test(service, direct_server_return_has_no_meaning_with_affinity_or_local_backends)
{
	service(DSR("'sessionAffinity':'ClientIP',"));
	cr_assert(!strchr(compiled(), '~'));
	service_table_done(&table);
	n_services = 0;
	service(DSR("'externalTrafficPolicy':'Local',"));
	cr_assert(!strchr(compiled(), '~'));
}

Test(service, source_ranges_are_for_a_load_balancers_addresses_outside)
{
	service(SPEC(
		"'type':'LoadBalancer','externalIPs':['192.0.2.1'],'loadBalancerSourceRanges':['203.0.113.9/24','2001:db8::/32'],"
		"'ports':[{'port':80,'nodePort':30080}]},"
		"'status':{'loadBalancer':{'ingress':[{'ip':'198.51.100.7'}]}}"));
	cr_assert_str_eq(compiled(), "0.0.0.0:30080/6= 0.0.0.0:30080/6o= 10.96.0.1:80/6= "
				     "192.0.2.1:0/0o= 192.0.2.1:80/6= 192.0.2.1:80/6o= "
				     "198.51.100.7:0/0o= 198.51.100.7:80/6= "
				     "198.51.100.7:80/6o=<203.0.113.0/120 ");
	service_table_done(&table);
	/* of the other family only: nobody */
	service("{'metadata':{'namespace':'n','name':'t'},'spec':{'clusterIP':'10.96.0.2','loadBalancerSourceRanges':['::/0'],"
		"'ports':[{'port':80}]},'status':{'loadBalancer':{'ingress':[{'ip':'198.51.100.8'}]}}}");
	cr_assert(strstr(compiled(), "198.51.100.8:80/6o=<::/128 "));
}

Test(service, an_external_address_may_be_several_services)
{
	service(SPEC("'externalIPs':['192.0.2.1'],'ports':[{'port':80}]}"));
	service("{'metadata':{'namespace':'n','name':'t'},'spec':{'clusterIP':'10.96.0.2','externalIPs':['192.0.2.1'],"
		"'ports':[{'port':81}]}}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6= 10.96.0.2:81/6= 192.0.2.1:0/0o= 192.0.2.1:80/6= 192.0.2.1:80/6o= "
				     "192.0.2.1:81/6= 192.0.2.1:81/6o= ");
	cr_assert(!table.clashes);
}

Test(service, headless_and_external_ones_have_no_front_end)
{
	service("{'metadata':{'namespace':'n','name':'s'},'spec':{'clusterIP':'None','clusterIPs':['None'],'ports':[{'port':80}]}}");
	service("{'metadata':{'namespace':'n','name':'e'},'spec':{'type':'ExternalName','ports':[{'port':80}]}}");
	slice("IPv4", NULL, "{'addresses':['10.0.0.1']}");
	cr_assert_str_eq(compiled(), "");
}

Test(service, slices_of_another_service_or_namespace_do_not_count)
{
	service("{'metadata':{'namespace':'m','name':'s'},'spec':{'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1'],'ports':[{'port':80}]}}");
	slice("IPv4", NULL, "{'addresses':['10.0.0.1']}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6= ");
}

Test(service, trimmed_objects_keep_only_what_is_compiled)
{
	const struct api_service *s;
	const struct api_endpoint_slice *e;

	service("{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'n','name':'s','uid':'u','resourceVersion':'5',"
		"'labels':{'a':'b'},'annotations':{'c':'d'}},'spec':{'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1'],"
		"'type':'ClusterIP','selector':{'a':'b'},'sessionAffinity':'None','internalTrafficPolicy':'Cluster',"
		"'ports':[{'name':'','port':80,'protocol':'TCP','targetPort':8080}]}}");
	slice("IPv4", NULL,
	      "{'addresses':['10.0.0.1','10.0.0.9'],'nodeName':'n1','zone':'z1','targetRef':{'kind':'Pod','name':'p'}}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6=10.0.0.1:8080 ");
	s = trimmed_services[0];
	cr_assert_str_eq(s->metadata.uid, "u");
	cr_assert_str_eq(s->metadata.resource_version, "5");
	cr_assert(!s->kind && !s->metadata.labels.n && !s->metadata.annotations.n && !s->spec.selector.n);
	cr_assert(!s->spec.type && !s->spec.cluster_ip && !s->spec.session_affinity);
	e = trimmed_slices[0];
	cr_assert_str_eq(api_map_get(&e->metadata.labels, "kubernetes.io/service-name"), "s");
	cr_assert_eq(e->endpoints[0].n_addresses, 1);
	cr_assert_str_eq(e->endpoints[0].node_name, "n1");
	cr_assert(!e->endpoints[0].target_ref && !e->endpoints[0].zone && !e->address_type);
}

/* A slice with a weight; endpoints as in slice(). */
static void weighted(const char *weight, const char *endpoints)
{
	char text[1500];

	snprintf(
		text, sizeof(text),
		"{'metadata':{'namespace':'n','name':'x','labels':{'kubernetes.io/service-name':'s'},'annotations':{'skep.io/weight':'%s',"
		"'a':'b'}},'addressType':'IPv4','ports':[{'port':8080}],'endpoints':[%s]}",
		weight, endpoints);
	trimmed_slices[n_slices] = decode(&api_type_endpoint_slice, text, service_trim_slice);
	slices[n_slices++] = decode(&api_type_endpoint_slice, text, NULL);
}

#define ONE "{'metadata':{'namespace':'n','name':'s'},'spec':{'clusterIP':'10.96.0.1','ports':[{'port':80}]}}"

Test(service, a_backend_has_as_many_entries_as_its_weight_says)
{
	service(ONE);
	slice("IPv4", NULL, "{'addresses':['10.0.0.1']}"); /* 100 */
	weighted("300", "{'addresses':['10.0.0.2']}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6=10.0.0.1:8080,10.0.0.2:8080,10.0.0.2:8080,10.0.0.2:8080 ");
	service_table_done(&table);
	/* Two have the same weight: what counts is each one's against the others'. */
	weighted("50", "{'addresses':['10.0.0.3']},{'addresses':['10.0.0.4'],'conditions':{'ready':false}}");
	cr_assert_str_eq(compiled(),
			 "10.96.0.1:80/6=10.0.0.1:8080,10.0.0.1:8080,10.0.0.2:8080,10.0.0.2:8080,10.0.0.2:8080,"
			 "10.0.0.2:8080,10.0.0.2:8080,10.0.0.2:8080,10.0.0.3:8080 ");
}

Test(service, weights_that_are_alike_are_none)
{
	service(ONE);
	weighted("7", "{'addresses':['10.0.0.1']}");
	weighted("7", "{'addresses':['10.0.0.2']}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6=10.0.0.1:8080,10.0.0.2:8080 ");
}

Test(service, weight_0_is_for_when_there_is_nobody_else)
{
	service(ONE);
	weighted("0", "{'addresses':['10.0.0.1']},{'addresses':['10.0.0.2']}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6=10.0.0.1:8080,10.0.0.2:8080 ");
	service_table_done(&table);
	weighted("1", "{'addresses':['10.0.0.3']}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6=10.0.0.3:8080 ");
}

/* It changes its slice just now: all nodes must say the same of it, whatever order they hear of the slices in. */
Test(service, of_two_weights_of_a_backend_the_greater_counts)
{
	service(ONE);
	weighted("0", "{'addresses':['10.0.0.1']}");
	weighted("200", "{'addresses':['10.0.0.1']}");
	weighted("100", "{'addresses':['10.0.0.2']},{'addresses':['10.0.0.1']}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6=10.0.0.1:8080,10.0.0.1:8080,10.0.0.2:8080 ");
}

Test(service, what_is_no_weight_is_the_default)
{
	static const char *const texts[] = { "", "many", "-1", "1001", "1.5" };

	service(ONE);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		n_slices = 0;
		slice("IPv4", NULL, "{'addresses':['10.0.0.1']}");
		weighted(texts[i], "{'addresses':['10.0.0.2']}");
		cr_assert_str_eq(compiled(), "10.96.0.1:80/6=10.0.0.1:8080,10.0.0.2:8080 ", "%s", texts[i]);
		service_table_done(&table);
	}
}

Test(service, shares_fit_the_maps)
{
	enum { N = 40000 };
	static struct service_weighted list[N];
	size_t total;

	/* Without a common divisor: the weights themselves, as long as they are few. */
	list[0].weight = 997;
	list[1].weight = 3;
	cr_assert_eq(service_shares(list, 2), 1000);
	cr_assert_eq(list[0].weight, 997);
	/* More than that is rounded, and who has a weight keeps an entry. */
	list[0].weight = 1000;
	list[1].weight = 999;
	list[2].weight = 1;
	total = service_shares(list, 3);
	cr_assert(total <= 1024 && list[2].weight == 1);
	cr_assert(list[0].weight > 500 && list[0].weight < 520 && list[1].weight > 500 && list[1].weight < 520);
	/* However many that are. */
	for (size_t i = 0; i < 341; i++)
		list[i].weight = i < 2 ? 1000 : 1;
	total = service_shares(list, 341);
	cr_assert(total <= 1024 && list[0].weight > 280 && list[340].weight == 1);
	for (size_t n = 1; n <= N; n = n * 3 + 1) {
		for (size_t i = 0; i < n; i++)
			list[i].weight = 1 + (uint32_t)(i * 7919) % 1000;
		total = service_shares(list, n);
		cr_assert(total >= n && total <= 65535, "%zu of %zu", total, n);
		for (size_t i = 0; i < n; i++)
			cr_assert(list[i].weight >= 1);
	}
	cr_assert_eq(service_shares(list, 0), 0);
}

Test(service, node_ports_that_are_not_of_the_nodes_range)
{
	service("{'metadata':{'namespace':'n','name':'s'},'spec':{'type':'NodePort','clusterIP':'10.96.0.1','ports':[{'port':80},"
		"{'port':81,'nodePort':30000},{'port':82,'nodePort':32767}]}}");
	cr_assert_eq(service_node_port_outside(services[0], 30000, 32767), 0);
	cr_assert_eq(service_node_port_outside(services[0], 30001, 32767), 30000);
	cr_assert_eq(service_node_port_outside(services[0], 30000, 32766), 32767);
}

Test(service, of_two_with_one_address_the_older_has_it)
{
	service("{'metadata':{'namespace':'m','name':'young','uid':'1','creationTimestamp':'2026-01-02T00:00:00Z'},'spec':{'clusterIP':'10.96.0.1',"
		"'clusterIPs':['10.96.0.1'],'ports':[{'port':80}]}}");
	service("{'metadata':{'namespace':'n','name':'s','uid':'2','creationTimestamp':'2026-01-01T00:00:00Z'},'spec':{'clusterIP':'10.96.0.1',"
		"'clusterIPs':['10.96.0.1'],'ports':[{'port':80}]}}");
	slice("IPv4", NULL, "{'addresses':['10.0.0.1']}");
	cr_assert_str_eq(compiled(), "10.96.0.1:80/6=10.0.0.1:8080 ");
	cr_assert_str_eq(table.fronts[0].service->metadata.name, "s");
}
