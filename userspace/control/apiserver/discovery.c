/* SPDX-License-Identifier: Apache-2.0 */
/* What is not a resource: version, discovery (plain and aggregated), OpenAPI, health and metrics. */
#include "apiserver-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

#ifndef SKEP_VERSION
#define SKEP_VERSION "unknown"
#endif

static void answer_version(struct call *c)
{
	struct utsname u;

	if (uname(&u) < 0)
		snprintf(u.machine, sizeof(u.machine), "unknown");
	call_json(c, 200,
		  json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "major", "1", "minor", "33", "gitVersion",
			    "v1.33.0+skep-" SKEP_VERSION, "gitCommit", SKEP_VERSION, "gitTreeState", "clean",
			    "buildDate", "1970-01-01T00:00:00Z", "goVersion", "none", "compiler", "gcc", "platform",
			    streq(u.machine, "aarch64") ? "linux/arm64" : "linux/amd64"));
}

/*
 * kubectl asks for the aggregated form first and falls back by its Accept list; up to 1.29 it knows the form by its
 * beta's name only. The version asked for first; NULL: not this form.
 */
static const char *wants_aggregated(struct call *c)
{
	static const char *const versions[] = { "v2", "v2beta1" };
	const char *accept = http_req_header(c->req, "accept"), *p = accept;

	while (p && (p = strstr(p, "as=APIGroupDiscoveryList"))) {
		const char *start = p, *end = p + strcspn(p, ","), *v;
		cleanup(free) char *range = NULL;

		while (start > accept && start[-1] != ',')
			start--;
		range = strndup(start, (size_t)(end - start));
		v = range ? strstr(range, "v=v2") : NULL;
		for (size_t i = 0; v && i < 2; i++)
			if (strcspn(v + 2, "; ") == strlen(versions[i]) && str_starts(v + 2, versions[i]) &&
			    strstr(range, "application/json") && strstr(range, "g=apidiscovery.k8s.io"))
				return versions[i];
		p = end;
	}
	return NULL;
}

static void answer_aggregated(struct call *c, bool core, const char *version)
{
	cleanup(free) char *text = NULL;
	json_t *v = api_discovery_aggregated(&c->s->kinds, core);
	char name[64], type[128];

	snprintf(name, sizeof(name), "apidiscovery.k8s.io/%s", version);
	snprintf(type, sizeof(type), "application/json;g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList", version);
	if (v && json_object_set_new(v, "apiVersion", json_string(name)) == 0)
		text = json_dumps(v, JSON_COMPACT);
	json_decref(v);
	if (!text) {
		call_oom(c);
		return;
	}
	http_add_header(c->req, "Vary", "Accept");
	call_bytes(c, 200, type, text, strlen(text));
}

static void answer_or_404(struct call *c, json_t *v)
{
	if (v)
		call_json(c, 200, v);
	else
		call_status(c, 404, "NotFound", "the server could not find the requested resource");
}

static bool api_versions(struct call *c)
{
	const char *version = wants_aggregated(c);

	if (version)
		answer_aggregated(c, true, version);
	else
		answer_or_404(c, api_discovery_versions(c->s->config.advertise ? c->s->config.advertise : ""));
	return true;
}

static bool api_groups(struct call *c)
{
	const char *version = wants_aggregated(c);

	if (version)
		answer_aggregated(c, false, version);
	else
		answer_or_404(c, api_discovery_groups(&c->s->kinds));
	return true;
}

/* /apis/<group>: one entry of the groups' list. */
static json_t *one_group(struct call *c, const char *name)
{
	json_t *all = api_discovery_groups(&c->s->kinds), *g, *ret = NULL;
	size_t i;

	json_array_foreach (json_object_get(all, "groups"), i, g) {
		if (!streq(api_get_str(g, "name"), name))
			continue;
		ret = json_pack("{s:s,s:s}", "kind", "APIGroup", "apiVersion", "v1");
		if (ret)
			json_object_update(ret, g);
	}
	json_decref(all);
	return ret;
}

bool discovery_handle(struct call *c, const char *path)
{
	char a[128], b[32];

	if (!streq(c->verb, "get")) {
		call_status(c, 405, "MethodNotAllowed",
			    "the server does not allow this method on the requested resource");
		return true;
	}
	if (streq(path, "/version")) {
		answer_version(c);
		return true;
	}
	if (streq(path, "/metrics")) {
		cleanup(strbuf_done) struct strbuf out = STRBUF_INIT;

		metrics_write(&out);
		call_bytes(c, 200, "text/plain; version=0.0.4; charset=utf-8", out.buf, out.len);
		return true;
	}
	if (health_handle(c, path))
		return true;
	if (str_starts(path, "/openapi"))
		return openapi_handle(c, path);
	if (streq(path, "/api") || streq(path, "/api/"))
		return api_versions(c);
	if (streq(path, "/apis") || streq(path, "/apis/"))
		return api_groups(c);
	if (sscanf(path, "/apis/%127[^/]/%31[^/]", a, b) == 2) {
		answer_or_404(c, api_discovery_resources(&c->s->kinds, a, b));
		return true;
	}
	if (sscanf(path, "/apis/%127[^/]", a) == 1) {
		answer_or_404(c, one_group(c, a));
		return true;
	}
	if (sscanf(path, "/api/%31[^/]", b) == 1) {
		answer_or_404(c, api_discovery_resources(&c->s->kinds, "", b));
		return true;
	}
	if (streq(path, "/")) {
		call_json(c, 200,
			  json_pack("{s:[s,s,s,s,s,s,s,s,s]}", "paths", "/api", "/apis", "/healthz", "/livez",
				    "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version"));
		return true;
	}
	return false;
}
