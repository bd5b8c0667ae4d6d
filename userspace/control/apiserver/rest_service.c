/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services' addresses: which families a service gets, its clusterIPs given or taken as asked, and how they are kept
 * through updates. Addresses and ports are reserved in memory by the call that decides and released when its write is
 * over; by then the cache has them, because the cache learns of a write before its caller may ask again.
 */
#include "apiserver-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

static const char *family_name(int family)
{
	return family == AF_INET ? "IPv4" : "IPv6";
}

static int family_of_name(const char *name)
{
	return streq(name, "IPv4") ? AF_INET : streq(name, "IPv6") ? AF_INET6 : 0;
}

static void count(struct apiserver *s, const struct object *o, void (*ip_fn)(struct ipalloc *a, const char *ip),
		  void (*port_fn)(struct portalloc *a, int64_t port))
{
	json_t *obj = NULL, *v;
	size_t i;

	if (!o || api_json_parse(o->json->data, o->json->len, &obj, NULL, NULL) < 0)
		return;
	json_array_foreach (api_get(obj, "spec.clusterIPs"), i, v)
		if (json_is_string(v) && !streq(json_string_value(v), "None"))
			ip_fn(s->ips, json_string_value(v));
	service_for_ports(json_object_get(obj, "spec"), port_fn, s->node_ports);
	json_decref(obj);
}

/* Called by the cache for every change of a service. */
void service_changed(struct resource *r, const struct object *cur, const struct object *prev)
{
	count(r->s, cur, ipalloc_hold, portalloc_hold);
	count(r->s, prev, ipalloc_release, portalloc_release);
}

static void release_now(struct call *c)
{
	while (c->n_held) {
		char *text = c->held[--c->n_held];
		int64_t port;

		if (str_to_i64(text, 1, 65535, &port) == 0)
			portalloc_release(c->s->node_ports, port);
		else
			ipalloc_release(c->s->ips, text);
		free(text);
	}
	free(c->held);
	c->held = NULL;
}

static enum change no_change(struct call *c)
{
	(void)c;
	return CHANGE_ANSWERED;
}

/* Waiting for the cache is a call's business: an inner one that answers nobody holds the addresses that long. */
static void on_seen(struct call *c)
{
	release_now(c);
}

static void no_answer(struct call *c, int code, const char *body, size_t len)
{
	(void)c;
	(void)code;
	(void)body;
	(void)len;
}

void service_release_held(struct call *c)
{
	struct call *keeper;

	if (!c->n_held)
		return;
	if (c->finish == no_answer || c->s->stopping || !(keeper = call_new(c->s, NULL))) {
		release_now(c);
		return;
	}
	keeper->finish = no_answer;
	keeper->change = no_change;
	keeper->held = c->held;
	keeper->n_held = c->n_held;
	c->held = NULL;
	c->n_held = 0;
	cache_wait(keeper, c->s->written_rev, 60000, on_seen);
	call_unref(keeper);
}

int service_hold(struct call *c, const char *text)
{
	char *copy = strdup(text), **list = reallocarray(c->held, c->n_held + 1, sizeof(*list));

	if (list)
		c->held = list;
	if (!copy || !list) {
		free(copy);
		return -ENOMEM;
	}
	list[c->n_held++] = copy;
	return 0;
}

bool service_holds(const struct call *c, const char *text)
{
	for (size_t i = 0; i < c->n_held; i++)
		if (streq(c->held[i], text))
			return true;
	return false;
}

static void refuse_ip(struct call *c, const char *ip, int family, int r, size_t i)
{
	char field[64];

	snprintf(field, sizeof(field), "spec.clusterIPs[%zu]", i);
	if (r == -EADDRINUSE)
		call_invalid1(
			c, API_C_INVALID, "spec.clusterIPs",
			"Invalid value: [\"%.64s\"]: failed to allocate IP %.64s: provided IP is already allocated", ip,
			ip);
	else if (r == -ERANGE)
		call_invalid1(
			c, API_C_INVALID, "spec.clusterIPs",
			"Invalid value: [\"%.64s\"]: failed to allocate IP %.64s: the provided IP (%.64s) is not in the valid range. "
			"The range of valid IPs is %s",
			ip, ip, ip, ipalloc_cidr_text(c->s->ips, family));
	else
		call_invalid1(c, API_C_INVALID, field,
			      "Invalid value: \"%.64s\": must be a valid IP address of a family that the cluster "
			      "serves",
			      ip);
}

/* Families in order: what is asked by ipFamilies, by static addresses, by policy. -1: answered. */
static int choose_families(struct call *c, json_t *spec, int families[2])
{
	struct ipalloc *a = c->s->ips;
	const char *policy = api_get_str(spec, "ipFamilyPolicy");
	json_t *asked = json_object_get(spec, "ipFamilies"), *ips = json_object_get(spec, "clusterIPs"), *v;
	bool dual = streq(policy, "PreferDualStack") || streq(policy, "RequireDualStack");
	size_t i;
	int n = 0;

	if (json_array_size(asked) > 2 || json_array_size(ips) > 2) {
		call_invalid1(c, API_C_INVALID, "spec.ipFamilies", "Invalid value: may only hold up to 2 values");
		return -1;
	}
	json_array_foreach (asked, i, v) {
		int f = family_of_name(json_string_value(v));

		if (!f || !ipalloc_cidr_text(a, f)) {
			call_invalid1(c, API_C_INVALID, "spec.ipFamilies",
				      "Invalid value: \"%.16s\": not configured on this cluster",
				      json_string_value(v) ? json_string_value(v) : "");
			return -1;
		}
		if (n && families[0] == f) {
			call_invalid1(c, API_C_DUPLICATE, "spec.ipFamilies[1]", "Duplicate value: \"%s\"",
				      family_name(f));
			return -1;
		}
		families[n++] = f;
	}
	json_array_foreach (ips, i, v) {
		const char *ip = json_string_value(v);
		int f;

		if (!ip || !*ip || streq(ip, "None"))
			continue;
		f = strchr(ip, ':') ? AF_INET6 : AF_INET;
		if (i < (size_t)n && families[i] != f) {
			call_invalid1(
				c, API_C_INVALID, "spec.clusterIPs",
				"Invalid value: \"%.64s\": expected an %s value as indicated by `ipFamilies[%zu]`", ip,
				family_name(families[i]), i);
			return -1;
		}
		if (i == (size_t)n && n < 2)
			families[n++] = f;
	}
	if (!n)
		families[n++] = ipalloc_family(a, 0);
	if (n == 2 && !dual && policy) {
		call_invalid1(c, API_C_INVALID, "spec.ipFamilyPolicy",
			      "Invalid value: \"SingleStack\": may be \"SingleStack\" only with one IP family");
		return -1;
	}
	if (n == 1 && dual) {
		int other = families[0] == AF_INET ? AF_INET6 : AF_INET;

		if (ipalloc_cidr_text(a, other)) {
			families[n++] = other;
		} else if (streq(policy, "RequireDualStack")) {
			call_invalid1(
				c, API_C_INVALID, "spec.ipFamilyPolicy",
				"Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services");
			return -1;
		}
	}
	if (!policy)
		obj_set_str(spec, "ipFamilyPolicy", n == 2 ? "RequireDualStack" : "SingleStack");
	return n;
}

/* Fills ipFamilies, clusterIPs and clusterIP of spec; addresses already in `kept` stay as they are. */
static int allocate(struct call *c, json_t *spec, const json_t *kept)
{
	const char *ip = api_get_str(spec, "clusterIP");
	json_t *ips = json_object_get(spec, "clusterIPs"), *new_ips, *new_families;
	int families[2], n;
	bool headless;

	if (!json_array_size(ips) && ip && *ip) {
		json_object_set_new(spec, "clusterIPs", json_pack("[s]", ip));
		ips = json_object_get(spec, "clusterIPs");
	}
	headless = streq(json_string_value(json_array_get(ips, 0)), "None") || streq(ip, "None");
	n = choose_families(c, spec, families);
	if (n < 0)
		return -1;
	new_ips = json_array();
	new_families = json_array();
	for (int i = 0; i < n; i++) {
		const char *want = json_string_value(json_array_get(ips, (size_t)i));
		const char *had = json_string_value(json_array_get(kept, (size_t)i));
		char text[INET6_ADDRSTRLEN];
		int r;

		json_array_append_new(new_families, json_string(family_name(families[i])));
		if (headless)
			continue;
		if (want && *want && streq(want, had)) {
			json_array_append_new(new_ips, json_string(want));
			continue;
		}
		if (want && *want) {
			snprintf(text, sizeof(text), "%s", want);
			r = ipalloc_take(c->s->ips, families[i], want);
			if (r < 0) {
				refuse_ip(c, want, families[i], r, (size_t)i);
				goto fail;
			}
		} else {
			r = ipalloc_take_any(c->s->ips, families[i], text);
			if (r < 0) {
				call_status(c, 500, "InternalError",
					    "Internal error occurred: failed to allocate a serviceIP: range is full");
				goto fail;
			}
		}
		if (service_hold(c, text) < 0) {
			ipalloc_release(c->s->ips, text);
			call_oom(c);
			goto fail;
		}
		json_array_append_new(new_ips, json_string(text));
	}
	if (headless)
		json_array_append_new(new_ips, json_string("None"));
	obj_set_str(spec, "clusterIP", json_string_value(json_array_get(new_ips, 0)));
	json_object_set_new(spec, "clusterIPs", new_ips);
	json_object_set_new(spec, "ipFamilies", new_families);
	return 0;
fail:
	json_decref(new_ips);
	json_decref(new_families);
	return -1;
}

int service_prepare_create(struct call *c, json_t *obj)
{
	json_t *spec = json_object_get(obj, "spec");

	if (!json_is_object(spec))
		return 0; /* validation has answered */
	if (json_object_set_new(obj, "status", json_pack("{s:{}}", "loadBalancer")) < 0) {
		call_oom(c);
		return -1;
	}
	return allocate(c, spec, NULL) < 0 ? -1 : service_ports_allocate(c, spec, NULL);
}

static void drop_ingress(json_t *obj)
{
	if (!streq(api_get_str(obj, "spec.type"), "LoadBalancer") && api_get(obj, "status.loadBalancer.ingress"))
		(void)api_set(obj, "status", json_pack("{s:{}}", "loadBalancer"));
}

static int update_addresses(struct call *c, json_t *spec, const json_t *was)
{
	static const char *const kept[] = { "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy" };
	const char *policy = api_get_str(spec, "ipFamilyPolicy"), *old_policy = api_get_str(was, "ipFamilyPolicy");
	json_t *old_ips = json_object_get(was, "clusterIPs");
	if (policy && !streq(policy, old_policy)) {
		/* The second family comes and goes with the policy; the first never changes. */
		if (streq(policy, "SingleStack") && json_array_size(old_ips) == 2) {
			json_t *families = json_object_get(was, "ipFamilies");

			json_object_set_new(spec, "ipFamilies", json_pack("[O]", json_array_get(families, 0)));
			json_object_set_new(spec, "clusterIPs", json_pack("[O]", json_array_get(old_ips, 0)));
			json_object_set(spec, "clusterIP", json_object_get(was, "clusterIP"));
			return 0;
		}
		if (!json_array_size(json_object_get(spec, "clusterIPs")))
			json_object_set_new(spec, "clusterIPs", json_deep_copy(old_ips));
		if (!json_array_size(json_object_get(spec, "ipFamilies")))
			json_object_set_new(spec, "ipFamilies", json_deep_copy(json_object_get(was, "ipFamilies")));
		return allocate(c, spec, old_ips);
	}
	/* A replacement that leaves them out keeps them. */
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		json_t *v = json_object_get(spec, kept[i]);

		if (!v || (json_is_string(v) && !*json_string_value(v)) || (json_is_array(v) && !json_array_size(v)))
			json_object_set(spec, kept[i], json_object_get(was, kept[i]));
	}
	return 0;
}

int service_prepare_update(struct call *c, json_t *obj, const json_t *old)
{
	json_t *spec = json_object_get(obj, "spec"), *was = json_object_get(old, "spec");

	if (!json_is_object(spec) || !json_is_object(was))
		return 0;
	drop_ingress(obj);
	service_ports_keep(spec, was);
	return update_addresses(c, spec, was) < 0 ? -1 : service_ports_allocate(c, spec, was);
}
