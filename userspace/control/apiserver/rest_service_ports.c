/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services' node ports and health check ports: given or taken as asked, kept by updates that leave them out, and let go
 * with the type that had them, as other fields of a type are.
 */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/base/str.h"

static bool type_is(const json_t *spec, const char *type)
{
	return streq(api_get_str(spec, "type"), type);
}

static bool may_have_ports(const json_t *spec)
{
	return type_is(spec, "NodePort") || type_is(spec, "LoadBalancer");
}

static bool wants_ports(const json_t *spec)
{
	return type_is(spec, "NodePort") || (type_is(spec, "LoadBalancer") &&
					     !json_is_false(json_object_get(spec, "allocateLoadBalancerNodePorts")));
}

static bool wants_health_port(const json_t *spec)
{
	return type_is(spec, "LoadBalancer") && streq(api_get_str(spec, "externalTrafficPolicy"), "Local");
}

static bool is_external(const json_t *spec)
{
	return may_have_ports(spec) || json_array_size(json_object_get(spec, "externalIPs"));
}

/* Does the service have that node port? Also as its health check's. */
bool service_has_port(const json_t *spec, int64_t port)
{
	const json_t *p;
	size_t i;

	json_array_foreach (json_object_get(spec, "ports"), i, p)
		if (api_get_int(p, "nodePort", 0) == port)
			return true;
	return api_get_int(spec, "healthCheckNodePort", 0) == port;
}

void service_for_ports(const json_t *spec, void (*fn)(struct portalloc *a, int64_t port), struct portalloc *a)
{
	const json_t *p;
	size_t i;

	json_array_foreach (json_object_get(spec, "ports"), i, p)
		if (api_get_int(p, "nodePort", 0))
			fn(a, api_get_int(p, "nodePort", 0));
	if (api_get_int(spec, "healthCheckNodePort", 0))
		fn(a, api_get_int(spec, "healthCheckNodePort", 0));
}

/* --- updates ------------------------------------------------------------------------------------------------------ */

static const json_t *port_named(const json_t *ports, const char *name)
{
	const json_t *p;
	size_t i;

	json_array_foreach (ports, i, p)
		if (streq(api_get_str(p, "name") ?: "", name ?: ""))
			return p;
	return NULL;
}

static bool ports_have(const json_t *ports, int64_t node_port)
{
	const json_t *p;
	size_t i;

	json_array_foreach (ports, i, p)
		if (api_get_int(p, "nodePort", 0) == node_port)
			return true;
	return false;
}

/* A port that comes without a node port keeps that of its name, unless it has moved to another port. */
static void keep_ports(json_t *ports, const json_t *had)
{
	json_t *p;
	size_t i;

	json_array_foreach (ports, i, p) {
		int64_t old = api_get_int(port_named(had, api_get_str(p, "name")), "nodePort", 0);

		if (!api_get_int(p, "nodePort", 0) && old && !ports_have(ports, old))
			json_object_set_new(p, "nodePort", json_integer(old));
	}
}

static bool same_ports(const json_t *a, const json_t *b)
{
	const json_t *p;
	size_t i;

	json_array_foreach (a, i, p)
		if (!ports_have(b, api_get_int(p, "nodePort", 0)))
			return false;
	json_array_foreach (b, i, p)
		if (!ports_have(a, api_get_int(p, "nodePort", 0)))
			return false;
	return true;
}

static void drop_same(json_t *spec, const json_t *was, const char *name)
{
	if (json_equal(json_object_get(spec, name), json_object_get(was, name)))
		json_object_del(spec, name);
}

/* What went with the old type goes with it, unless the writer asks for it: then it is refused. */
static void drop_with_type(json_t *spec, const json_t *was)
{
	json_t *ports = json_object_get(spec, "ports"), *p;
	size_t i;

	if (may_have_ports(was) && !may_have_ports(spec) && same_ports(ports, json_object_get(was, "ports")))
		json_array_foreach (ports, i, p)
			json_object_del(p, "nodePort");
	if (wants_health_port(was) && !wants_health_port(spec))
		drop_same(spec, was, "healthCheckNodePort");
	if (is_external(was) && !is_external(spec))
		drop_same(spec, was, "externalTrafficPolicy");
	if (type_is(was, "LoadBalancer") && !type_is(spec, "LoadBalancer")) {
		drop_same(spec, was, "allocateLoadBalancerNodePorts");
		drop_same(spec, was, "loadBalancerClass");
	}
}

void service_ports_keep(json_t *spec, const json_t *was)
{
	if (may_have_ports(was) && wants_ports(spec))
		keep_ports(json_object_get(spec, "ports"), json_object_get(was, "ports"));
	if (wants_health_port(was) && wants_health_port(spec) && !api_get_int(spec, "healthCheckNodePort", 0))
		json_object_set(spec, "healthCheckNodePort", json_object_get(was, "healthCheckNodePort"));
	drop_with_type(spec, was);
}

/* --- allocation --------------------------------------------------------------------------------------------------- */

static int refuse(struct call *c, const char *field, int64_t port, int r)
{
	if (r == -EADDRINUSE)
		call_invalid1(c, API_C_INVALID, field, "Invalid value: %lld: provided port is already allocated",
			      (long long)port);
	else if (r == -ERANGE)
		call_invalid1(
			c, API_C_INVALID, field,
			"Invalid value: %lld: provided port is not in the valid range. The range of valid ports is %s",
			(long long)port, portalloc_range(c->s->node_ports));
	else if (r == -ENOSPC)
		call_status(c, 500, "InternalError",
			    "Internal error occurred: failed to allocate a nodePort: range is full");
	else
		call_oom(c);
	return -1;
}

/* *port 0: any. What this call or the service itself has already is not taken twice. -1: answered. */
static int take(struct call *c, const char *field, const json_t *was, int64_t *port)
{
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%lld", (long long)*port);
	if (*port && (service_has_port(was, *port) || service_holds(c, text)))
		return 0;
	r = *port ? portalloc_take(c->s->node_ports, *port) : portalloc_take_any(c->s->node_ports, port);
	if (r < 0)
		return refuse(c, field, *port, r);
	snprintf(text, sizeof(text), "%lld", (long long)*port);
	if (service_hold(c, text) < 0) {
		portalloc_release(c->s->node_ports, *port);
		call_oom(c);
		return -1;
	}
	return 0;
}

/* One port number by two protocols has one node port, if both were not told otherwise. */
static int64_t shared_port(const json_t *ports, const json_t *port)
{
	const json_t *p;
	size_t i;

	json_array_foreach (ports, i, p)
		if (p != port && api_get_int(p, "port", 0) == api_get_int(port, "port", 0) &&
		    !streq(api_get_str(p, "protocol"), api_get_str(port, "protocol")) && api_get_int(p, "nodePort", 0))
			return api_get_int(p, "nodePort", 0);
	return 0;
}

int service_ports_allocate(struct call *c, json_t *spec, const json_t *was)
{
	json_t *ports = json_object_get(spec, "ports"), *p;
	char field[64];
	int64_t port;
	size_t i;

	/* Those that are asked for by number first, so that none of them is given to another. */
	for (int asked = 1; asked >= 0 && may_have_ports(spec); asked--) {
		json_array_foreach (ports, i, p) {
			port = api_get_int(p, "nodePort", 0);
			if (!port != !asked || (!port && !wants_ports(spec)))
				continue;
			if (!port)
				port = shared_port(ports, p);
			snprintf(field, sizeof(field), "spec.ports[%zu].nodePort", i);
			if (take(c, field, was, &port) < 0)
				return -1;
			json_object_set_new(p, "nodePort", json_integer(port));
		}
	}
	if (!wants_health_port(spec))
		return 0;
	port = api_get_int(spec, "healthCheckNodePort", 0);
	if (port && ports_have(ports, port))
		return refuse(c, "spec.healthCheckNodePort", port, -EADDRINUSE);
	if (take(c, "spec.healthCheckNodePort", was, &port) < 0)
		return -1;
	json_object_set_new(spec, "healthCheckNodePort", json_integer(port));
	return 0;
}
