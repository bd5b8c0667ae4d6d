/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of Kubernetes' own signers, who is approved without a person, and when a request is old. A client
 * certificate of a node is approved for who comes with a bootstrap token, and for the node itself, which renews its
 * own; everything else waits for somebody with the right.
 */
#include "certificates_plan.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"

#define NODE_PREFIX   "system:node:"
#define NODE_GROUP    "system:nodes"
#define BOOTSTRAPPERS "system:bootstrappers"
#define MIN_SECONDS   600
#define HOUR_MS	      (3600 * INT64_C(1000))
#define DECIDED_MS    HOUR_MS	     /* approved and signed, denied, failed: kept so long */
#define PENDING_MS    (24 * HOUR_MS) /* and so long where nobody decides */

static bool uses(size_t n, const char *const *usages, const char *usage)
{
	for (size_t i = 0; i < n; i++)
		if (streq(usages[i], usage))
			return true;
	return false;
}

/* digital signature and auth, perhaps key encipherment, and nothing else. */
static bool usages_are(size_t n, const char *const *usages, const char *auth)
{
	return uses(n, usages, "digital signature") && uses(n, usages, auth) &&
	       n == 2u + uses(n, usages, "key encipherment");
}

static bool of_node(const struct tls_csr *csr)
{
	return csr->n_orgs == 1 && streq(csr->orgs[0], NODE_GROUP) && str_starts(csr->common_name, NODE_PREFIX) &&
	       csr->common_name[strlen(NODE_PREFIX)] && !csr->other_subject;
}

const char *csr_rules(const char *signer, const struct tls_csr *csr, size_t n, const char *const *usages)
{
	if (csr->wants_ca)
		return "certificates of authorities are not signed";
	if (streq(signer, SIGNER_CLIENT)) {
		if (!uses(n, usages, "client auth"))
			return "usages must include client auth";
		for (size_t i = 0; i < n; i++)
			if (!streq(usages[i], "client auth") && !streq(usages[i], "digital signature") &&
			    !streq(usages[i], "key encipherment"))
				return "usages may only be client auth, digital signature and key encipherment";
		for (size_t i = 0; i < csr->n_orgs; i++)
			if (streq(csr->orgs[i], "system:masters"))
				return "the group system:masters is not signed";
		return NULL;
	}
	if (!of_node(csr))
		return "the subject must be O=system:nodes, CN=system:node:<name>";
	if (streq(signer, SIGNER_KUBELET)) {
		if (csr->n_dns || csr->n_ips || csr->n_emails || csr->n_uris)
			return "subject alternative names are not allowed";
		return usages_are(n, usages, "client auth")
			       ? NULL
			       : "usages must be digital signature, client auth and at most "
				 "key encipherment";
	}
	if (!csr->n_dns && !csr->n_ips)
		return "a DNS name or an IP address is needed";
	if (csr->n_emails || csr->n_uris)
		return "email addresses and URIs are not allowed";
	return usages_are(n, usages, "server auth") ? NULL
						    : "usages must be digital signature, server auth and at most key "
						      "encipherment";
}

static bool served(const char *signer)
{
	return streq(signer, SIGNER_CLIENT) || streq(signer, SIGNER_KUBELET) || streq(signer, SIGNER_SERVING);
}

static const struct api_certificate_signing_request_condition *
condition(const struct api_certificate_signing_request *r, const char *type)
{
	for (size_t i = 0; i < r->status.n_conditions; i++)
		if (streq(r->status.conditions[i].type, type))
			return &r->status.conditions[i];
	return NULL;
}

static bool older(const char *time, int64_t ms, int64_t now_ms)
{
	int64_t at;

	return time && clock_rfc3339_parse(time, &at) == 0 && now_ms - at > ms;
}

static bool is_old(const struct api_certificate_signing_request *r, int64_t now_ms)
{
	static const char *const types[] = { "Approved", "Denied", "Failed" };
	bool decided = false;

	for (size_t i = 0; i < 3; i++) {
		const struct api_certificate_signing_request_condition *c = condition(r, types[i]);

		decided |= c != NULL;
		if (c && older(c->last_update_time, DECIDED_MS, now_ms) &&
		    (i > 0 || (r->status.certificate && *r->status.certificate)))
			return true;
	}
	return !decided && older(r->metadata.creation_timestamp, PENDING_MS, now_ms);
}

static const char *approval(const struct api_certificate_signing_request *r, const struct tls_csr *csr)
{
	if (!streq(r->spec.signer_name, SIGNER_KUBELET) ||
	    csr_rules(SIGNER_KUBELET, csr, r->spec.n_usages, r->spec.usages))
		return NULL;
	if (streq(r->spec.username, csr->common_name) && uses(r->spec.n_groups, r->spec.groups, NODE_GROUP))
		return "Auto approving self kubelet client certificate.";
	if (uses(r->spec.n_groups, r->spec.groups, BOOTSTRAPPERS))
		return "Auto approving kubelet client certificate.";
	return NULL;
}

void csr_plan(const struct api_certificate_signing_request *r, const struct tls_csr *csr, int64_t max_seconds,
	      int64_t now_ms, struct csr_plan *ret)
{
	const char *signer = r->spec.signer_name;

	*ret = (struct csr_plan){ .action = CSR_NOTHING };
	if (is_old(r, now_ms)) {
		ret->action = CSR_DELETE;
		return;
	}
	if (!served(signer) || condition(r, "Denied") || condition(r, "Failed") ||
	    (r->status.certificate && *r->status.certificate))
		return;
	if (!condition(r, "Approved")) {
		ret->why = csr ? approval(r, csr) : NULL;
		ret->action = ret->why ? CSR_APPROVE : CSR_NOTHING;
		return;
	}
	ret->why = csr ? csr_rules(signer, csr, r->spec.n_usages, r->spec.usages) : "the request cannot be read";
	if (ret->why) {
		ret->action = CSR_FAIL;
		return;
	}
	ret->action = CSR_SIGN;
	ret->how.server = uses(r->spec.n_usages, r->spec.usages, "server auth");
	ret->how.client = uses(r->spec.n_usages, r->spec.usages, "client auth");
	ret->how.encipherment = uses(r->spec.n_usages, r->spec.usages, "key encipherment");
	ret->how.seconds = max_seconds;
	if (r->spec.expiration_seconds.set && r->spec.expiration_seconds.v < max_seconds)
		ret->how.seconds = r->spec.expiration_seconds.v < MIN_SECONDS ? MIN_SECONDS
									      : r->spec.expiration_seconds.v;
}
