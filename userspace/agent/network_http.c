/* SPDX-License-Identifier: Apache-2.0 */
/* What the data plane holds, with names: JSON for `skep net`, and metrics for Prometheus. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/cleanup.h"
#include "../lib/base/str.h"
#include "../lib/io/metrics.h"
#include "network-internal.h"

static const char *proto_name(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "TCP";
	case IPPROTO_UDP:
		return "UDP";
	case IPPROTO_ICMP:
		return "ICMP";
	case IPPROTO_ICMPV6:
		return "ICMPv6";
	case IPPROTO_SCTP:
		return "SCTP";
	}
	return "other";
}

static char *address_port(const struct ip_addr *ip, uint16_t port, char *buf)
{
	char text[INET6_ADDRSTRLEN];

	snprintf(buf, INET6_ADDRSTRLEN + 10, ip_is_v4(ip) ? "%s:%u" : "[%s]:%u", ip_text(ip, text), port);
	return buf;
}

static char *pod_name(const struct network *n, uint32_t ep_id, char *buf)
{
	const struct local *l = ep_id ? network_local_by_ep(n, ep_id) : NULL;

	if (l)
		snprintf(buf, 330, "%s/%s", l->s.ns, l->s.name);
	else
		snprintf(buf, 330, "%s", ep_id ? "(gone)" : "(none)");
	return buf;
}

static const char *who(const struct network *n, const struct ip_addr *ip)
{
	char text[INET6_ADDRSTRLEN];
	const struct cached *c = strmap_get(n->ipcache, ip_text(ip, text));

	if (c)
		return c->pod;
	return ip_equal(ip, &n->node.ip4) || ip_equal(ip, &n->node.ip6) ? n->node_name : "";
}

/* "0.0.0.0:30080", "[::]:30080": a node port; "192.0.2.1:*": what is no port of the address */
static char *front_address(const struct dp_service *s, char *buf)
{
	char port[8] = "*", text[INET6_ADDRSTRLEN];

	if (s->port)
		snprintf(port, sizeof(port), "%u", s->port);
	ip_text(&s->vip, text);
	snprintf(buf, INET6_ADDRSTRLEN + 10, ip_is_v4(&s->vip) ? "%s:%s" : "[%s]:%s", *text ? text : "::", port);
	return buf;
}

/* Entries of the same backend from the i-th on: one with weight has several, side by side. */
static size_t same_from(const struct dp_service *s, size_t i)
{
	size_t n = 1;

	while (i + n < s->n_backends && s->backends[i + n].port == s->backends[i].port &&
	       ip_equal(&s->backends[i + n].ip, &s->backends[i].ip))
		n++;
	return n;
}

/* With shares of the connections where they are not alike: "10.0.0.1:8080=25%". */
static json_t *backends_of(const struct dp_service *s)
{
	json_t *out = json_array();
	bool weights = false;

	for (size_t i = 0; i < s->n_backends; i++)
		weights = weights || same_from(s, i) > 1;
	for (size_t i = 0, n; i < s->n_backends; i += n) {
		char text[INET6_ADDRSTRLEN + 30];

		n = same_from(s, i);
		address_port(&s->backends[i].ip, s->backends[i].port, text);
		if (weights)
			snprintf(text + strlen(text), 20, "=%.3g%%", 100.0 * (double)n / (double)s->n_backends);
		json_array_append_new(out, json_string(text));
	}
	return out;
}

static json_t *services(struct network *n, struct err *err)
{
	cleanup(free) struct dp_service *list = NULL;
	json_t *items = json_array();
	size_t count;

	if (dp_service_list(n->dp, &list, &count, err) < 0) {
		json_decref(items);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		const char *name = network_service_of(n, &list[i]);
		char buf[INET6_ADDRSTRLEN + 10];

		json_array_append_new(items, json_pack("{s:s,s:s,s:s,s:s,s:o}", "service", name ? name : "(gone)",
						       "address", front_address(&list[i], buf), "protocol",
						       list[i].proto ? proto_name(list[i].proto) : "any", "from",
						       list[i].side == SVC_OUTSIDE ? "outside" : "inside", "backends",
						       backends_of(&list[i])));
	}
	return items;
}

static json_t *policies(struct network *n)
{
	json_t *items = json_array();

	for (struct strmap_iter it = { 0 }; strmap_next(n->locals, &it);) {
		const struct local *l = it.value;
		char name[330];

		snprintf(name, sizeof(name), "%s/%s", l->s.ns, l->s.name);
		json_array_append_new(items,
				      json_pack("{s:s,s:s,s:s,s:I,s:I,s:s}", "pod", name, "ingress",
						l->isolated[POLICY_DIR_INGRESS] ? "isolated" : "open", "egress",
						l->isolated[POLICY_DIR_EGRESS] ? "isolated" : "open", "identity",
						(json_int_t)l->identity, "rules", (json_int_t)l->n_rules, "policies",
						l->policies && *l->policies ? l->policies : "<none>"));
	}
	return items;
}

static json_t *endpoints(struct network *n)
{
	json_t *items = json_array();

	for (struct strmap_iter it = { 0 }; strmap_next(n->locals, &it);) {
		const struct local *l = it.value;
		char name[330], ip4[INET6_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN];

		snprintf(name, sizeof(name), "%s/%s", l->s.ns, l->s.name);
		json_array_append_new(items,
				      json_pack("{s:s,s:I,s:I,s:s,s:s,s:s,s:s}", "pod", name, "id",
						(json_int_t)l->s.number, "identity", (json_int_t)l->identity, "ipv4",
						ip_text(&l->s.ip4, ip4), "ipv6", ip_text(&l->s.ip6, ip6), "interface",
						l->s.host_ifname, "state", l->in_maps ? "ready" : "not in the maps"));
	}
	return items;
}

static json_t *drops(struct network *n, struct err *err)
{
	cleanup(free) struct dp_drop_stats *list = NULL;
	json_t *items = json_array();
	size_t count;

	if (dp_drop_stats(n->dp, &list, &count, err) < 0) {
		json_decref(items);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		char name[330];

		if (!list[i].packets)
			continue;
		json_array_append_new(items,
				      json_pack("{s:s,s:s,s:s,s:I,s:I}", "pod", pod_name(n, list[i].ep_id, name),
						"reason", dp_drop_name(list[i].reason), "direction",
						list[i].direction == DP_EGRESS ? "egress" : "ingress", "packets",
						(json_int_t)list[i].packets, "bytes", (json_int_t)list[i].bytes));
	}
	return items;
}

static int by_use(const void *va, const void *vb)
{
	const struct dp_use *a = va, *b = vb;
	uint64_t x = (uint64_t)a->opened + a->accepted, y = (uint64_t)b->opened + b->accepted;

	return x != y ? (x < y) - (x > y) : (a->nat_ports < b->nat_ports) - (a->nat_ports > b->nat_ports);
}

/* Who has how much of what all pods share, most first. */
static json_t *top(struct network *n, struct err *err)
{
	cleanup(free) struct dp_use *list = NULL;
	json_t *items = json_array();
	size_t count;

	if (dp_use(n->dp, &list, &count, err) < 0) {
		json_decref(items);
		return NULL;
	}
	qsort(list, count, sizeof(*list), by_use);
	for (size_t i = 0; i < count; i++) {
		char name[330];

		json_array_append_new(items,
				      json_pack("{s:s,s:I,s:I,s:I,s:I}", "pod",
						list[i].ep_id ? pod_name(n, list[i].ep_id, name) : "(node)", "opened",
						(json_int_t)list[i].opened, "accepted", (json_int_t)list[i].accepted,
						"natPorts", (json_int_t)list[i].nat_ports, "serviceFlows",
						(json_int_t)list[i].service_flows));
	}
	return items;
}

/* The last ones, newest first, each with what is known of its ends and its rule. */
static json_t *recent_drops(struct network *n)
{
	size_t count = n->n_drops < NETWORK_RECENT_DROPS ? n->n_drops : NETWORK_RECENT_DROPS;
	json_t *items = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct dp_drop_event *e = &n->drops[(n->n_drops - 1 - i) % NETWORK_RECENT_DROPS];
		char src[INET6_ADDRSTRLEN + 10], dst[INET6_ADDRSTRLEN + 10], name[330];
		const struct local *l = e->ep_id ? network_local_by_ep(n, e->ep_id) : NULL;
		struct policy_rule_source rule;
		json_t *one;

		one = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "pod", pod_name(n, e->ep_id, name), "reason",
				dp_drop_name(e->reason), "direction", e->direction == DP_EGRESS ? "egress" : "ingress",
				"protocol", proto_name(e->proto), "from", address_port(&e->src, e->sport, src),
				"fromPod", who(n, &e->src), "to", address_port(&e->dst, e->dport, dst), "toPod",
				who(n, &e->dst));
		if (l && l->policies && *l->policies)
			json_object_set_new(one, "isolatedBy", json_string(l->policies));
		if (e->rule_id && policy_rule_source(n->ids, e->rule_id, &rule)) {
			char text[800];

			snprintf(text, sizeof(text), "%s/%s %s", rule.ns, rule.name, rule.path);
			json_object_set_new(one, "rule", json_string(text));
		}
		json_array_append_new(items, one);
	}
	return items;
}

void network_on_drop(void *network, const struct dp_drop_event *ev)
{
	struct network *n = network;

	n->drops[n->n_drops++ % NETWORK_RECENT_DROPS] = *ev;
}

bool network_http(struct network *n, struct http_req *req)
{
	static const char prefix[] = "/debug/net/";
	const char *path = http_req_path(req), *what;
	cleanup(free) char *text = NULL;
	struct err err = ERR_INIT;
	json_t *items = NULL, *body;

	if (!str_starts(path, prefix))
		return false;
	what = path + sizeof(prefix) - 1;
	if (streq(what, "services"))
		items = services(n, &err);
	else if (streq(what, "policies"))
		items = policies(n);
	else if (streq(what, "endpoints"))
		items = endpoints(n);
	else if (streq(what, "drops"))
		items = drops(n, &err);
	else if (streq(what, "top"))
		items = top(n, &err);
	else
		return false;
	if (!items) {
		http_respond(req, 500, "text/plain", err.msg, strlen(err.msg));
		return true;
	}
	body = json_pack("{s:o}", "items", items);
	if (streq(what, "services"))
		json_object_set_new(body, "servicesCompiled", json_integer((json_int_t)n->services_compiled));
	if (streq(what, "drops"))
		json_object_set_new(body, "recent", recent_drops(n));
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	http_respond(req, text ? 200 : 500, "application/json", text ? text : "", text ? strlen(text) : 0);
	return true;
}

/* --- metrics ------------------------------------------------------------------------------------------------------ */

static struct {
	struct metric *packets[2], *bytes[2], *drops, *entries, *capacity, *generation, *endpoints, *addresses,
		*address_capacity, *repairs, *compiled, *xdp, *xdp_packets, *xdp_bytes, *flows, *nat_ports;
} m;

static void scrape_pods(struct network *n)
{
	cleanup(free) struct dp_pod_stats *stats = NULL;
	size_t count;

	for (int d = 0; d < 2; d++) {
		metric_reset(m.packets[d]);
		metric_reset(m.bytes[d]);
	}
	if (dp_pod_stats(n->dp, &stats, &count, NULL) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		const struct local *l = network_local_by_ep(n, stats[i].ep_id);

		for (int d = 0; l && d < 2; d++) {
			metric_set(m.packets[d], (double)stats[i].packets[d], l->s.ns, l->s.name);
			metric_set(m.bytes[d], (double)stats[i].bytes[d], l->s.ns, l->s.name);
		}
	}
}

static void scrape_drops(struct network *n)
{
	cleanup(free) struct dp_drop_stats *stats = NULL;
	size_t count;

	metric_reset(m.drops);
	if (dp_drop_stats(n->dp, &stats, &count, NULL) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		const struct local *l = stats[i].ep_id ? network_local_by_ep(n, stats[i].ep_id) : NULL;

		/* Counts of pods that have gone are summed without a name: a counter must not lose what it counted. */
		metric_add(m.drops, (double)stats[i].packets, dp_drop_name(stats[i].reason),
			   stats[i].direction == DP_EGRESS ? "egress" : "ingress", l ? l->s.ns : "",
			   l ? l->s.name : "");
	}
}

static void scrape_use(struct network *n)
{
	cleanup(free) struct dp_use *list = NULL;
	size_t count;

	metric_reset(m.flows);
	metric_reset(m.nat_ports);
	if (dp_use(n->dp, &list, &count, NULL) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		const struct local *l = list[i].ep_id ? network_local_by_ep(n, list[i].ep_id) : NULL;

		if (list[i].ep_id && !l)
			continue;
		metric_set(m.flows, list[i].opened, l ? l->s.ns : "", l ? l->s.name : "", "opened");
		metric_set(m.flows, list[i].accepted, l ? l->s.ns : "", l ? l->s.name : "", "accepted");
		metric_set(m.nat_ports, list[i].nat_ports, l ? l->s.ns : "", l ? l->s.name : "");
	}
}

static void scrape(void *arg)
{
	const struct dp_map_fill *fill;
	uint64_t packets, bytes;
	struct network *n = arg;
	size_t count;

	scrape_pods(n);
	scrape_drops(n);
	scrape_use(n);
	if (!dp_map_fill(n->dp, &fill, &count, NULL))
		for (size_t i = 0; i < count; i++) {
			metric_set(m.entries, (double)fill[i].entries, fill[i].name);
			metric_set(m.capacity, (double)fill[i].capacity, fill[i].name);
		}
	metric_set(m.repairs, (double)n->repairs);
	metric_set(m.xdp, 1, n->node.uplink, network_xdp(n));
	if (!dp_xdp_stats(n->dp, &packets, &bytes, NULL)) {
		metric_set(m.xdp_packets, (double)packets);
		metric_set(m.xdp_bytes, (double)bytes);
	}
	metric_set(m.compiled, (double)n->services_compiled);
	metric_set(m.generation, (double)n->generation);
	metric_set(m.endpoints, (double)strmap_len(n->locals));
	metric_set(m.addresses, ipam_in_use(n->ipam));
	metric_set(m.address_capacity, ipam_capacity(n->ipam));
}

void network_metrics(struct network *n)
{
	m.packets[0] = metric_new(METRIC_COUNTER, "skep_pod_network_transmit_packets_total", "Packets from the pod.",
				  "namespace,pod", NULL, 0);
	m.packets[1] = metric_new(METRIC_COUNTER, "skep_pod_network_receive_packets_total", "Packets to the pod.",
				  "namespace,pod", NULL, 0);
	m.bytes[0] = metric_new(METRIC_COUNTER, "skep_pod_network_transmit_bytes_total", "Bytes from the pod.",
				"namespace,pod", NULL, 0);
	m.bytes[1] = metric_new(METRIC_COUNTER, "skep_pod_network_receive_bytes_total", "Bytes to the pod.",
				"namespace,pod", NULL, 0);
	m.drops = metric_new(METRIC_COUNTER, "skep_drops_total", "Packets dropped by the data plane.",
			     "reason,direction,namespace,pod", NULL, 0);
	m.flows = metric_new(METRIC_GAUGE, "skep_pod_flows",
			     "Live flows that the pod opened, and that others opened to it; without a pod: the node's.",
			     "namespace,pod,way", NULL, 0);
	m.nat_ports = metric_new(METRIC_GAUGE, "skep_pod_nat_ports", "Ports of masquerade that the pod has.",
				 "namespace,pod", NULL, 0);
	m.entries = metric_new(METRIC_GAUGE, "skep_map_entries", "Entries of an eBPF map.", "map", NULL, 0);
	m.repairs = metric_new(METRIC_COUNTER, "skep_map_repairs_total",
			       "Map entries that the periodic comparison found wrong.", "", NULL, 0);
	m.xdp = metric_new(METRIC_GAUGE, "skep_xdp_info",
			   "1; how XDP is attached to the uplink: native, generic or off.", "interface,mode", NULL, 0);
	m.xdp_packets = metric_new(METRIC_COUNTER, "skep_xdp_forwarded_packets_total",
				   "Packets to services that XDP sent on to other nodes.", "", NULL, 0);
	m.xdp_bytes = metric_new(METRIC_COUNTER, "skep_xdp_forwarded_bytes_total", "Their bytes.", "", NULL, 0);
	m.compiled = metric_new(METRIC_COUNTER, "skep_services_compiled_total",
				"Services brought into the maps: those that changed, and all at times.", "", NULL, 0);
	m.capacity = metric_new(METRIC_GAUGE, "skep_map_capacity", "Entries an eBPF map can hold.", "map", NULL, 0);
	m.generation = metric_new(METRIC_GAUGE, "skep_policy_generation", "Policies applied so often.", "", NULL, 0);
	m.endpoints = metric_new(METRIC_GAUGE, "skep_endpoints", "Sandboxes with a network.", "", NULL, 0);
	m.addresses = metric_new(METRIC_GAUGE, "skep_ipam_addresses_in_use", "Pod addresses in use.", "", NULL, 0);
	m.address_capacity = metric_new(METRIC_GAUGE, "skep_ipam_addresses", "Pod addresses of this node.", "", NULL,
					0);
	metrics_on_scrape(scrape, n);
}
