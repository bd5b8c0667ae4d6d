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

#define AGGREGATED_V2 "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

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

/* kubectl asks for the aggregated form first and falls back by its Accept list. */
static bool wants_aggregated(struct call *c)
{
	const char *accept = http_req_header(c->req, "accept"), *p = accept;

	while (p && (p = strstr(p, "as=APIGroupDiscoveryList"))) {
		const char *start = p, *end = p + strcspn(p, ",");
		cleanup(free) char *range = NULL;

		while (start > accept && start[-1] != ',')
			start--;
		range = strndup(start, (size_t)(end - start));
		if (range && strstr(range, "application/json") && strstr(range, "g=apidiscovery.k8s.io")) {
			const char *v = strstr(range, "v=v2");

			if (v && (v[4] == ';' || v[4] == '\0' || v[4] == ' '))
				return true;
		}
		p = end;
	}
	return false;
}

static void answer_aggregated(struct call *c, bool core)
{
	cleanup(free) char *text = NULL;
	json_t *v = api_discovery_aggregated(&c->s->kinds, core);

	if (v)
		text = json_dumps(v, JSON_COMPACT);
	json_decref(v);
	if (!text) {
		call_oom(c);
		return;
	}
	http_add_header(c->req, "Vary", "Accept");
	call_bytes(c, 200, AGGREGATED_V2, text, strlen(text));
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
	if (wants_aggregated(c))
		answer_aggregated(c, true);
	else
		answer_or_404(c, api_discovery_versions(c->s->config.advertise ? c->s->config.advertise : ""));
	return true;
}

static bool api_groups(struct call *c)
{
	if (wants_aggregated(c))
		answer_aggregated(c, false);
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

static bool health(struct call *c, const char *path)
{
	struct apiserver *s = c->s;
	bool live = str_starts(path, "/livez"), ready = s->loaded && s->store_ok && s->bootstrapped && !s->stopping;
	cleanup(strbuf_done) struct strbuf out = STRBUF_INIT;

	if (!live && !str_starts(path, "/readyz") && !str_starts(path, "/healthz"))
		return false;
	if (live || ready) {
		if (http_req_query(c->req, "verbose"))
			strbuf_addf(&out, "[+]ping ok\n[+]store ok\n[+]cache ok\n%s check passed\n", path + 1);
		else
			strbuf_adds(&out, "ok");
		call_bytes(c, 200, "text/plain; charset=utf-8", out.buf, out.len);
		return true;
	}
	strbuf_addf(&out, "[+]ping ok\n[%c]store %s%s\n[%c]cache %s\n[%c]bootstrap %s\n%s check failed\n",
		    s->store_ok ? '+' : '-', s->store_ok ? "ok" : "failed: ", s->store_ok ? "" : s->store_error,
		    s->loaded ? '+' : '-', s->loaded ? "ok" : "not yet filled", s->bootstrapped ? '+' : '-',
		    s->bootstrapped ? "ok" : "not finished", path + 1);
	call_bytes(c, 503, "text/plain; charset=utf-8", out.buf, out.len);
	return true;
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
	if (health(c, path))
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
