/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate signing requests: what is refused, and who decides what. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "fixture.h"
#include "io/tls_csr.h"

#define CSRS "/apis/certificates.k8s.io/v1/certificatesigningrequests"

/* base64 of the PEM of a request by a new key */
static char *request_for(const char *cn, const char *org)
{
	const char *orgs[] = { org, NULL };
	struct err err = ERR_INIT;
	char *key, *csr, *base64;

	cr_assert(tls_csr_make(cn, orgs, NULL, NULL, &key, &csr, &err) == 0, "%s", err.msg);
	base64 = str_base64(csr, strlen(csr));
	free(key);
	free(csr);
	return base64;
}

static char *body_for(const char *name, const char *request, const char *signer, const char *more)
{
	char *out;

	cr_assert(asprintf(&out,
			   "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"request\":\"%s\",\"signerName\":\"%s\",%s}}",
			   name, request, signer, more) > 0);
	return out;
}

#define USAGES "\"usages\":[\"digital signature\",\"client auth\"]"
#define CLIENT "kubernetes.io/kube-apiserver-client"

Test(csr, requests_that_are_refused)
{
	static const struct {
		const char *request, *org, *signer, *more;
		int status;
		const char *text;
	} t[] = {
		{ NULL, "o", CLIENT, USAGES, 201, NULL },
		{ "AAAA", NULL, CLIENT, USAGES, 422, "PEM block type must be CERTIFICATE REQUEST" },
		{ "!", NULL, CLIENT, USAGES, 400, "spec.request" },
		{ NULL, "o", "signer", USAGES, 422, "fully qualified domain" },
		{ NULL, "o", CLIENT, "\"usages\":[]", 422, "spec.usages: Required value" },
		{ NULL, "o", CLIENT, "\"usages\":[\"anything\"]", 422, "spec.usages[0]: Unsupported value" },
		{ NULL, "o", CLIENT, USAGES ",\"expirationSeconds\":599", 422, "600 seconds" },
		{ NULL, "system:masters", CLIENT, USAGES, 403, "system:masters group is not allowed" },
	};
	struct fx f;

	fx_init(&f);
	fx_start(&f);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char *request = t[i].request ? strdup(t[i].request) : request_for("u", t[i].org), name[16], *body;

		snprintf(name, sizeof(name), "r%zu", i);
		body = body_for(name, request, t[i].signer, t[i].more);
		if (t[i].text)
			fx_refused(&f, ADMIN, t[i].status, "POST", CSRS, body, t[i].text);
		else
			fx_do(&f, t[i].status, "POST", CSRS, body);
		free(request);
		free(body);
	}
	fx_done(&f);
}

Test(csr, decisions)
{
#define COND(type) "{\"type\":\"" type "\",\"status\":\"True\",\"reason\":\"r\"}"
	char *request = request_for("u", "o"), *body;
	struct fx f;
	json_t *v;

	fx_init(&f);
	fx_start(&f);
	/* who asks is the server's to say; a status is not taken from creation */
	body = body_for("a", request, CLIENT,
			USAGES ",\"username\":\"somebody\",\"groups\":[\"x\"]},\"status\":{\"certificate\":\"AAAA\"");
	v = fx_expect(&f, 201, "POST", CSRS, body);
	cr_assert_str_eq(api_get_str(v, "spec.username"), "admin");
	cr_assert_str_eq(json_string_value(json_array_get(api_get(v, "spec.groups"), 0)), "system:masters");
	cr_assert(!api_get(v, "status.certificate"));
	json_decref(v);
	free(body);
	/* the spec stays */
	v = fx_expect(&f, 200, "PATCH", CSRS "/a", "{\"spec\":{\"signerName\":\"a.b/c\"}}");
	cr_assert_str_eq(api_get_str(v, "spec.signerName"), CLIENT);
	json_decref(v);
	/* no certificate before the approval, no approval by the status */
	fx_refused(&f, ADMIN, 422, "PATCH", CSRS "/a/status",
		   "{\"status\":{\"certificate\":\"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t\"}}", "not approved");
	v = fx_expect(&f, 200, "PATCH", CSRS "/a/status", "{\"status\":{\"conditions\":[" COND("Approved") "]}}");
	cr_assert(!json_array_size(api_get(v, "status.conditions")));
	json_decref(v);
	fx_refused(&f, ADMIN, 422, "PATCH", CSRS "/a/approval",
		   "{\"status\":{\"conditions\":[" COND("Approved") "," COND("Denied") "]}}", "mutually exclusive");
	fx_refused(&f, STRANGER, 403, "PATCH", CSRS "/a/approval",
		   "{\"status\":{\"conditions\":[" COND("Approved") "]}}", "forbidden");
	/* and an approval is nothing but that */
	v = fx_expect(&f, 200, "PATCH", CSRS "/a/approval",
		      "{\"status\":{\"certificate\":\"AAAA\",\"conditions\":[" COND("Approved") "]}}");
	cr_assert(json_array_size(api_get(v, "status.conditions")) == 1 && !api_get(v, "status.certificate"));
	cr_assert(api_get_str(json_array_get(api_get(v, "status.conditions"), 0), "lastTransitionTime"));
	json_decref(v);
	fx_refused(&f, ADMIN, 422, "PATCH", CSRS "/a/approval", "{\"status\":{\"conditions\":[]}}", "not taken back");
	fx_refused(&f, ADMIN, 422, "PATCH", CSRS "/a/status", "{\"status\":{\"certificate\":\"AAAA\"}}", "PEM blocks");
	v = fx_expect(&f, 200, "PATCH", CSRS "/a/status",
		      "{\"status\":{\"certificate\":\"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t\"}}");
	cr_assert(json_array_size(api_get(v, "status.conditions")) == 1);
	json_decref(v);
	fx_refused(&f, ADMIN, 422, "PATCH", CSRS "/a/status",
		   "{\"status\":{\"certificate\":\"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==\"}}", "not changed");
	free(request);
	fx_done(&f);
}
