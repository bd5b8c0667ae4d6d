/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /livez, /readyz and /healthz as Kubernetes' probes and load balancers use them: one word when all is well, a line per
 * check with ?verbose or when something is not, ?exclude=NAME to leave checks out, and each check at an address of its
 * own (/readyz/store). /livez is about this process only; the others about whether it can serve.
 */
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "apiserver-internal.h"

struct check {
	const char *name, *alias; /* alias: what Kubernetes calls it */
	bool ok;
	const char *why;
};

static size_t checks_of(const struct apiserver *s, bool live, struct check ret[5])
{
	struct check all[] = {
		{ "ping", NULL, true, "" },
		{ "store", "etcd", s->store_ok, s->store_error },
		{ "cache", "informer-sync", s->loaded, "not yet filled" },
		{ "bootstrap", "poststarthook/rbac/bootstrap-roles", s->bootstrapped, "not finished" },
		{ "shutdown", NULL, !s->stopping, "the server is stopping" },
	};
	size_t n = live ? 1 : sizeof(all) / sizeof(all[0]);

	memcpy(ret, all, n * sizeof(all[0]));
	return n;
}

static bool named(const struct check *check, const char *name)
{
	return streq(check->name, name) || (check->alias && streq(check->alias, name));
}

/* ?exclude=a&exclude=b, and a,b as well. */
static bool excluded(const struct http_req *req, const struct check *check)
{
	const char *p;

	for (size_t i = 0; (p = http_req_query_nth(req, "exclude", i)); i++)
		for (; *p; p += strcspn(p, ","), p += *p == ',') {
			char name[64];
			size_t len = strcspn(p, ",");

			if (len >= sizeof(name))
				continue;
			memcpy(name, p, len);
			name[len] = '\0';
			if (named(check, name))
				return true;
		}
	return false;
}

static void answer(struct call *c, bool ok, const struct strbuf *text)
{
	http_add_header(c->req, "Cache-Control", "no-cache, private");
	http_add_header(c->req, "X-Content-Type-Options", "nosniff");
	call_bytes(c, ok ? 200 : 503, "text/plain; charset=utf-8", text->buf, text->len);
}

static void answer_one(struct call *c, const struct check *checks, size_t n, const char *name)
{
	cleanup(strbuf_done) struct strbuf out = STRBUF_INIT;

	for (size_t i = 0; i < n; i++) {
		if (!named(&checks[i], name))
			continue;
		if (checks[i].ok)
			strbuf_adds(&out, "ok");
		else
			strbuf_addf(&out, "%s: %s\n", checks[i].name, checks[i].why);
		answer(c, checks[i].ok, &out);
		return;
	}
	call_status(c, 404, "NotFound", "the server could not find the requested resource");
}

bool health_handle(struct call *c, const char *path)
{
	static const char *const roots[] = { "/livez", "/readyz", "/healthz" };
	const char *root = NULL, *rest;
	cleanup(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct check checks[5];
	bool ok = true;
	size_t n;

	for (size_t i = 0; i < 3 && !root; i++)
		if (str_starts(path, roots[i]) && (!path[strlen(roots[i])] || path[strlen(roots[i])] == '/'))
			root = roots[i];
	if (!root)
		return false;
	rest = path + strlen(root);
	n = checks_of(c->s, streq(root, "/livez"), checks);
	if (rest[0] && rest[1]) {
		answer_one(c, checks, n, rest + 1);
		return true;
	}
	for (size_t i = 0; i < n; i++) {
		if (excluded(c->req, &checks[i])) {
			strbuf_addf(&out, "[+]%s excluded: ok\n", checks[i].name);
			continue;
		}
		ok = ok && checks[i].ok;
		strbuf_addf(&out, "[%c]%s %s%s\n", checks[i].ok ? '+' : '-', checks[i].name,
			    checks[i].ok ? "ok" : "failed: ", checks[i].ok ? "" : checks[i].why);
	}
	strbuf_addf(&out, "%s check %s\n", root + 1, ok ? "passed" : "failed");
	if (ok && !http_req_query(c->req, "verbose")) {
		strbuf_clear(&out);
		strbuf_adds(&out, "ok");
	}
	if (strbuf_oom(&out))
		call_oom(c);
	else
		answer(c, ok, &out);
	return true;
}
