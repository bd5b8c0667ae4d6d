/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every cluster has: its four namespaces and the `kubernetes` Service with the API servers' addresses behind it.
 * Made through the same path as users' objects, one after the other, when the cache is filled; what is there already
 * is left alone, except that the EndpointSlice follows --advertise.
 */
#include "apiserver-internal.h"

#include "authz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

#define RETRY_MS 1000

static const char *const namespaces[] = { "default", "kube-system", "kube-public", "kube-node-lease" };
/* STEP_FLOW + i: flow_default_object(i); STEP_PRIORITY + i: priority_default_object(i) */
enum { STEP_SERVICE = 4, STEP_SLICE = 5, STEP_FLOW = 6, STEP_PRIORITY = 1000 };
/* and then the roles, all at once */

static void step(struct apiserver *s, int n);

static void on_timer(struct loop_timer *timer)
{
	struct apiserver *s = timer->arg;

	step(s, s->bootstrap_step);
}

/* From the loop, not from within the callback of the step before. */
static void step_later(struct apiserver *s, int n, int delay_ms)
{
	s->bootstrap_step = n;
	(void)loop_timer_set(s->loop, &s->bootstrap_timer, delay_ms);
}

static void on_done(struct call *c, int code, const char *body, size_t len)
{
	struct apiserver *s = c->s;

	if (s->stopping)
		return;
	if (code >= 300 && code != 409) {
		log_warn("bootstrap: %s \"%s\": %d %.*s; trying again", c->resource, c->name, code,
			 (int)(len > 300 ? 300 : len), body);
		step_later(s, 0, RETRY_MS);
		return;
	}
	step_later(s, (int)(intptr_t)c->data + 1, 0);
}

static enum change create_or_leave(struct call *c)
{
	if (c->old) {
		call_bytes(c, 409, "application/json", "", 0);
		return CHANGE_ANSWERED;
	}
	c->obj = json_deep_copy(c->body);
	if (!c->obj) {
		call_oom(c);
		return CHANGE_ANSWERED;
	}
	/* A static address somebody else took meanwhile is told and tried again: the Service is nothing without it. */
	if (streq(c->resource, "services") && service_prepare_create(c, c->obj) < 0)
		return CHANGE_ANSWERED;
	return CHANGE_WRITE;
}

static bool same_endpoints(const json_t *a, const json_t *b)
{
	return json_equal(json_object_get(a, "endpoints"), json_object_get(b, "endpoints")) &&
	       json_equal(json_object_get(a, "ports"), json_object_get(b, "ports"));
}

static enum change create_or_replace(struct call *c)
{
	if (!c->old)
		return create_or_leave(c);
	if (same_endpoints(c->old, c->body))
		return CHANGE_NONE;
	c->obj = json_deep_copy(c->old);
	if (c->obj) {
		json_object_set(c->obj, "endpoints", json_object_get(c->body, "endpoints"));
		json_object_set(c->obj, "ports", json_object_get(c->body, "ports"));
		return CHANGE_WRITE;
	}
	call_oom(c);
	return CHANGE_ANSWERED;
}

/* Steals obj. */
static void submit(struct apiserver *s, int n, const char *group, const char *plural, const char *ns, json_t *obj,
		   enum change (*change)(struct call *c))
{
	struct call *c = call_new_inner(s, "create", cache_resource(s, group, plural), ns, "", "");

	if (!c || !obj) {
		json_decref(obj);
		if (c)
			call_unref(c);
		step_later(s, 0, RETRY_MS);
		return;
	}
	c->finish = on_done;
	c->data = (void *)(intptr_t)n;
	c->body = obj;
	c->change = change;
	if (!c->res)
		call_bytes(c, 409, "", "", 0); /* a server without that kind */
	else if (object_prepare_create(c, obj) == 0)
		registry_mutate(c);
	call_unref(c);
}

static json_t *make_service(struct apiserver *s)
{
	char ip[INET6_ADDRSTRLEN];
	const char *family = ipalloc_family(s->ips, 0) == AF_INET ? "IPv4" : "IPv6";
	json_t *obj;

	ipalloc_first(s->ips, 0, ip);
	obj = json_pack("{s:s,s:s,s:{s:s,s:{s:s,s:s}},s:{s:s,s:[s],s:[s],s:s,s:[{s:s,s:s,s:i,s:i}]}}", "kind",
			"Service", "apiVersion", "v1", "metadata", "name", "kubernetes", "labels", "component",
			"apiserver", "provider", "kubernetes", "spec", "clusterIP", ip, "clusterIPs", ip, "ipFamilies",
			family, "ipFamilyPolicy", "SingleStack", "ports", "name", "https", "protocol", "TCP", "port",
			443, "targetPort", 6443);
	return obj;
}

/* "10.0.0.1:6443" to address and port; -EINVAL. */
static int split_address(const char *text, char *ip, size_t size, int *ret_port)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	int64_t port;

	if (!colon || str_to_i64(colon + 1, 1, 65535, &port) < 0)
		return -EINVAL;
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len >= size)
		return -EINVAL;
	memcpy(ip, text, len);
	ip[len] = '\0';
	*ret_port = (int)port;
	return 0;
}

static json_t *make_slice(struct apiserver *s)
{
	int family = ipalloc_family(s->ips, 0), port = 0;
	cleanup(free) char *copy = s->config.advertise ? strdup(s->config.advertise) : NULL;
	json_t *addresses = json_array(), *obj;
	char *save = NULL;

	for (char *p = copy ? strtok_r(copy, ",", &save) : NULL; p; p = strtok_r(NULL, ",", &save)) {
		unsigned char raw[16];
		char ip[64];
		int this_port;

		if (split_address(p, ip, sizeof(ip), &this_port) < 0 || inet_pton(family, ip, raw) != 1)
			continue;
		/* one slice has one list of ports: the first one's */
		if (!port)
			port = this_port;
		if (this_port == port)
			json_array_append_new(addresses,
					      json_pack("{s:[s],s:{s:b,s:b,s:b}}", "addresses", ip, "conditions",
							"ready", 1, "serving", 1, "terminating", 0));
	}
	if (!json_array_size(addresses)) {
		json_decref(addresses);
		return NULL;
	}
	obj = json_pack("{s:s,s:s,s:{s:s,s:{s:s}},s:s,s:o,s:[{s:s,s:s,s:i}]}", "kind", "EndpointSlice", "apiVersion",
			"discovery.k8s.io/v1", "metadata", "name", "kubernetes", "labels", "kubernetes.io/service-name",
			"kubernetes", "addressType", family == AF_INET ? "IPv4" : "IPv6", "endpoints", addresses,
			"ports", "name", "https", "protocol", "TCP", "port", port);
	return obj;
}

static void on_roles(struct apiserver *s, bool ok)
{
	if (!ok) {
		step_later(s, 0, RETRY_MS);
		return;
	}
	s->bootstrapped = true;
	apiserver_serve_passed(s);
	log_info("ready");
}

static void step(struct apiserver *s, int n)
{
	json_t *slice;

	if (n < STEP_SERVICE) {
		submit(s, n, "", "namespaces", "",
		       json_pack("{s:s,s:s,s:{s:s}}", "kind", "Namespace", "apiVersion", "v1", "metadata", "name",
				 namespaces[n]),
		       create_or_leave);
		return;
	}
	if (n == STEP_SERVICE) {
		submit(s, n, "", "services", "default", make_service(s), create_or_leave);
		return;
	}
	if (n == STEP_SLICE) {
		slice = make_slice(s);
		if (slice) {
			submit(s, n, "discovery.k8s.io", "endpointslices", "default", slice, create_or_replace);
			return;
		}
		n = STEP_FLOW;
	}
	if (n >= STEP_FLOW) {
		const char *plural;
		json_t *obj = flow_default_object(n - STEP_FLOW, &plural);

		if (obj) {
			submit(s, n, "flowcontrol.apiserver.k8s.io", plural, "", obj, create_or_leave);
			return;
		}
		n = n < STEP_PRIORITY ? STEP_PRIORITY : n;
	}
	if (n >= STEP_PRIORITY) {
		json_t *obj = priority_default_object(n - STEP_PRIORITY);

		if (obj) {
			submit(s, n, "scheduling.k8s.io", "priorityclasses", "", obj, create_or_leave);
			return;
		}
	}
	rbac_bootstrap(s, on_roles);
}

void bootstrap_start(struct apiserver *s)
{
	if (s->bootstrapped)
		return;
	s->bootstrap_timer.fn = on_timer;
	s->bootstrap_timer.arg = s;
	step(s, 0);
}
