/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate signing requests: who asks is written down by the server, what is asked for never changes, and each of
 * approving and signing is a right of its own, on the signer.
 */
#include "apiserver-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"
#include "../../lib/io/tls_csr.h"

#define GROUP		 "certificates.k8s.io"
#define MIN_EXPIRATION_S 600
#define MAX_CERT_BYTES	 (1 << 20)

bool csr_is(const struct api_kind *kind)
{
	return streq(kind->group, GROUP) && streq(kind->plural, "certificatesigningrequests");
}

/* --- creation ----------------------------------------------------------------------------------------------------- */

static void check_usages(const json_t *list, struct api_errs *errs)
{
	static const char *const known[] = { "signing",
					     "digital signature",
					     "content commitment",
					     "key encipherment",
					     "key agreement",
					     "data encipherment",
					     "cert sign",
					     "crl sign",
					     "encipher only",
					     "decipher only",
					     "any",
					     "server auth",
					     "client auth",
					     "code signing",
					     "email protection",
					     "s/mime",
					     "ipsec end system",
					     "ipsec tunnel",
					     "ipsec user",
					     "timestamping",
					     "ocsp signing",
					     "microsoft sgc",
					     "netscape sgc" };
	const json_t *v;
	size_t i;

	if (!json_array_size(list))
		api_errs_add(errs, API_C_REQUIRED, "spec.usages", "Required value");
	json_array_foreach (list, i, v) {
		const char *u = json_string_value(v);
		bool ok = false;
		char field[48];

		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]) && !ok; k++)
			ok = streq(known[k], u);
		snprintf(field, sizeof(field), "spec.usages[%zu]", i);
		if (!ok)
			api_errs_add(errs, API_C_NOT_SUPPORTED, field, "Unsupported value: \"%.64s\"", u ? u : "");
		for (size_t k = 0; k < i && ok; k++)
			if (streq(json_string_value(json_array_get(list, k)), u)) {
				api_errs_add(errs, API_C_DUPLICATE, field, "Duplicate value: \"%.64s\"", u);
				break;
			}
	}
}

static void check_signer(const char *name, struct api_errs *errs)
{
	const char *slash = name ? strchr(name, '/') : NULL;

	if (!name || !*name)
		api_errs_add(errs, API_C_REQUIRED, "spec.signerName", "Required value");
	else if (!slash || slash == name || !slash[1] || strchr(slash + 1, '/') || strlen(name) > 571)
		api_errs_add(errs, API_C_INVALID, "spec.signerName",
			     "Invalid value: \"%.200s\": must be a fully qualified domain and path of the form "
			     "'example.com/signer-name'",
			     name);
}

/* The request as it was sent; refusals go to errs. */
static void check_request(const json_t *spec, struct api_errs *errs)
{
	const char *text = json_string_value(json_object_get(spec, "request"));
	cleanup(free) unsigned char *pem = NULL;
	struct err err = ERR_INIT;
	struct tls_csr csr;
	size_t len = 0;

	pem = text ? str_unbase64(text, &len) : NULL;
	if (!pem || tls_csr_read((char *)pem, len, &csr, &err) < 0) {
		api_errs_add(errs, API_C_INVALID, "spec.request", "Invalid value: \"\": %s",
			     pem ? err.msg : "it is not base64");
		return;
	}
	tls_csr_done(&csr);
}

static int set_user(struct call *c, json_t *spec)
{
	static const struct {
		const char *from, *to;
	} members[] = { { "username", "username" }, { "uid", "uid" }, { "groups", "groups" }, { "extra", "extra" } };
	json_t *info = identity_user_info(&c->who);
	int r = info ? 0 : -1;

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]) && !r; i++) {
		json_t *v = json_object_get(info, members[i].from);

		json_object_del(spec, members[i].to);
		if (v)
			r = json_object_set(spec, members[i].to, v);
	}
	json_decref(info);
	return r;
}

int csr_prepare_create(struct call *c, json_t *obj)
{
	json_t *spec = json_object_get(obj, "spec");
	struct api_errs errs = { 0 };
	const json_t *life;

	json_object_set_new(obj, "status", json_object());
	if (!spec && !(spec = json_object()))
		return -1;
	if (set_user(c, spec) < 0) {
		call_oom(c);
		return -1;
	}
	life = json_object_get(spec, "expirationSeconds");
	if (json_is_integer(life) && json_integer_value(life) < MIN_EXPIRATION_S)
		api_errs_add(&errs, API_C_INVALID, "spec.expirationSeconds",
			     "Invalid value: %lld: may not specify a duration less than 600 seconds (10 minutes)",
			     (long long)json_integer_value(life));
	check_signer(api_get_str(spec, "signerName"), &errs);
	check_usages(json_object_get(spec, "usages"), &errs);
	if (json_object_get(spec, "request"))
		check_request(spec, &errs);
	else
		api_errs_add(&errs, API_C_REQUIRED, "spec.request", "Required value");
	if (errs.n)
		call_invalid(c, &errs);
	api_errs_done(&errs);
	return c->answered ? -1 : 0;
}

/* --- decisions ---------------------------------------------------------------------------------------------------- */

static bool may(struct call *c, const char *verb, const char *signer)
{
	const char *slash = strchr(signer, '/');
	char any[600];
	struct authz_request a = {
		.who = &c->who, .verb = verb, .group = GROUP, .resource = "signers", .sub = "", .ns = "", .name = signer
	};

	if (authz_decide(c->s, &a, NULL) == AUTHZ_ALLOW)
		return true;
	snprintf(any, sizeof(any), "%.*s/*", (int)(slash ? slash - signer : 0), signer);
	a.name = any;
	if (authz_decide(c->s, &a, NULL) == AUTHZ_ALLOW)
		return true;
	call_status(
		c, 403, "Forbidden",
		"certificatesigningrequests.certificates.k8s.io \"%s\" is forbidden: user not permitted to %s requests "
		"with signerName \"%s\"",
		c->name, verb, signer);
	return false;
}

static json_t *condition(const json_t *obj, const char *type)
{
	json_t *list = api_get(obj, "status.conditions"), *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (streq(api_get_str(v, "type"), type))
			return v;
	return NULL;
}

static bool decision(const json_t *cond)
{
	return streq(api_get_str(cond, "type"), "Approved") || streq(api_get_str(cond, "type"), "Denied");
}

/* The old conditions that pass, then the new ones that pass. */
static json_t *merge(const json_t *old, bool old_decisions, const json_t *new, bool new_decisions)
{
	json_t *out = json_array(), *v;
	size_t i;

	json_array_foreach (api_get(old, "status.conditions"), i, v)
		if (decision(v) == old_decisions)
			json_array_append(out, v);
	json_array_foreach (api_get(new, "status.conditions"), i, v)
		if (decision(v) == new_decisions)
			json_array_append(out, v);
	return out;
}

static int stamp(json_t *obj)
{
	char now[CLOCK_RFC3339_SIZE];
	json_t *v;
	size_t i;

	obj_now(now);
	json_array_foreach (api_get(obj, "status.conditions"), i, v) {
		static const char *const times[] = { "lastUpdateTime", "lastTransitionTime" };

		for (size_t k = 0; k < 2; k++)
			if (!api_get_str(v, times[k]))
				json_object_set_new(v, times[k], json_string(now));
	}
	return 0;
}

static int forbid(struct call *c, const char *field, const char *why)
{
	call_invalid1(c, API_C_FORBIDDEN, field, "Forbidden: %s", why);
	return -1;
}

/* /approval changes the decision and nothing else. */
static int prepare_approval(struct call *c, json_t *obj, const json_t *old)
{
	static const char *const types[] = { "Approved", "Denied" };
	json_t *list = merge(old, false, obj, true), *cert = api_get(old, "status.certificate");

	for (size_t i = 0; i < 2; i++) {
		json_t *was = condition(old, types[i]), *is = condition(obj, types[i]);

		if (was && !is) {
			json_decref(list);
			return forbid(c, "status.conditions", "decisions are not taken back");
		}
		if (is && !streq(api_get_str(is, "status"), "True")) {
			json_decref(list);
			return forbid(c, "status.conditions", "Approved and Denied can only be True");
		}
	}
	if (condition(obj, "Approved") && condition(obj, "Denied")) {
		json_decref(list);
		return forbid(c, "status.conditions", "Approved and Denied conditions are mutually exclusive");
	}
	if (api_set(obj, "status.conditions", list) < 0) {
		call_oom(c);
		return -1;
	}
	if (cert)
		(void)api_set(obj, "status.certificate", json_incref(cert));
	else
		json_object_del(json_object_get(obj, "status"), "certificate");
	if (!may(c, "approve", api_get_str(old, "spec.signerName")))
		return -1;
	return stamp(obj);
}

/* /status carries the certificate and Failed; the decision stays. */
static int prepare_status(struct call *c, json_t *obj, const json_t *old)
{
	const char *was = api_get_str(old, "status.certificate"), *is = api_get_str(obj, "status.certificate");
	cleanup(free) unsigned char *pem = NULL;
	size_t len = 0;

	if (api_set(obj, "status.conditions", merge(old, true, obj, false)) < 0) {
		call_oom(c);
		return -1;
	}
	if (was && *was && !streq(was, is))
		return forbid(c, "status.certificate", "the certificate is not changed once it is there");
	if (is && *is && !(was && *was)) {
		pem = str_unbase64(is, &len);
		if (!pem || len > MAX_CERT_BYTES || !memmem(pem, len, "-----BEGIN CERTIFICATE-----", 27)) {
			call_invalid1(c, API_C_INVALID, "status.certificate",
				      "Invalid value: must contain PEM blocks of type CERTIFICATE");
			return -1;
		}
		if (!condition(old, "Approved") || condition(old, "Denied"))
			return forbid(c, "status.certificate", "the request is not approved");
	}
	if (!json_equal(json_object_get(obj, "status"), json_object_get(old, "status")) &&
	    !may(c, "sign", api_get_str(old, "spec.signerName")))
		return -1;
	return stamp(obj);
}

int csr_prepare_update(struct call *c, json_t *obj, const json_t *old)
{
	json_t *spec = json_object_get(old, "spec");

	if (spec && json_object_set(obj, "spec", spec) < 0) {
		call_oom(c);
		return -1;
	}
	if (!json_object_get(obj, "status"))
		json_object_set_new(obj, "status", json_object());
	if (streq(c->sub, "approval"))
		return prepare_approval(c, obj, old);
	return streq(c->sub, "status") ? prepare_status(c, obj, old) : 0;
}
