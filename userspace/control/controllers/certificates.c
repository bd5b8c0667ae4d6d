/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate signing requests: approves those of nodes, signs what is approved, removes what is old. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "certificates_plan.h"
#include "manager.h"

#define DEFAULT_SECONDS (365 * 24 * 3600)

static void changed(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		    struct informer_item *new)
{
	(void)kind;
	(void)old;
	if (new)
		enqueue(c, new->key);
}

/* Adds a condition at /approval or /status; the revision says that nobody has decided meanwhile. */
static json_t *with_condition(const struct api_certificate_signing_request *r, const char *type, const char *reason,
			      const char *message)
{
	json_t *obj = api_encode(&api_type_certificate_signing_request, r), *list, *cond;
	char now[CLOCK_RFC3339_SIZE];

	if (!obj)
		return NULL;
	clock_rfc3339(clock_real_ms(), now);
	(void)api_set(obj, "apiVersion", json_string("certificates.k8s.io/v1"));
	(void)api_set(obj, "kind", json_string("CertificateSigningRequest"));
	if (!type)
		return obj;
	list = api_get(obj, "status.conditions");
	if (!list) {
		(void)api_set(obj, "status.conditions", json_array());
		list = api_get(obj, "status.conditions");
	}
	cond = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "type", type, "status", "True", "reason", reason, "message",
			 message, "lastUpdateTime", now, "lastTransitionTime", now);
	if (!list || json_array_append_new(list, cond) < 0) {
		json_decref(obj);
		return NULL;
	}
	return obj;
}

static json_t *signed_one(struct controller *c, const struct api_certificate_signing_request *r,
			  const struct tls_csr *csr, const struct csr_plan *plan)
{
	const struct manager_config *config = &c->m->config;
	cleanup(free) char *pem = NULL, *base64 = NULL;
	struct err err = ERR_INIT;
	json_t *obj;

	if (tls_csr_sign(config->signing_cert_file, config->signing_key_file, csr, &plan->how, &pem, &err) < 0) {
		log_error("certificate request %s: %s", r->metadata.name, err.msg);
		return NULL;
	}
	base64 = str_base64(pem, strlen(pem));
	obj = base64 ? with_condition(r, NULL, NULL, NULL) : NULL;
	if (obj && api_set(obj, "status.certificate", json_string(base64)) < 0) {
		json_decref(obj);
		return NULL;
	}
	return obj;
}

static void act(struct controller *c, const char *key, const struct api_certificate_signing_request *r,
		const struct tls_csr *csr, const struct csr_plan *plan)
{
	const struct api_kind *kind = &api_kind_certificate_signing_request;
	const char *sub = plan->action == CSR_APPROVE ? "approval" : "status";
	struct batch *b = batch_new(c, key);
	json_t *obj = NULL;

	if (!b)
		return;
	switch (plan->action) {
	case CSR_APPROVE:
		obj = with_condition(r, "Approved", "AutoApproved", plan->why);
		break;
	case CSR_FAIL:
		obj = with_condition(r, "Failed", "SignerValidationFailure", plan->why);
		break;
	case CSR_SIGN:
		obj = signed_one(c, r, csr, plan);
		break;
	case CSR_DELETE:
		obj = delete_options(r->metadata.uid, NULL);
		if (obj)
			BATCH_CALL(b, kube_delete(c->m->kube, kind, NULL, key, obj, batch_result, b));
		break;
	case CSR_NOTHING:
		break;
	}
	if (obj && plan->action != CSR_DELETE)
		BATCH_CALL(b, kube_update(c->m->kube, kind, NULL, key, sub, obj, batch_result, b));
	batch_give(b, obj || plan->action == CSR_NOTHING ? 0 : -EIO);
	json_decref(obj);
}

static void reconcile(struct controller *c, const char *key)
{
	struct informer_item *item = informer_get_key(manager_informer(c->m, &api_kind_certificate_signing_request),
						      key);
	const struct manager_config *config = &c->m->config;
	const struct api_certificate_signing_request *r;
	cleanup(free) unsigned char *pem = NULL;
	struct tls_csr csr;
	struct csr_plan plan;
	size_t len = 0;
	bool readable;

	if (!item) {
		done(c, key, 0);
		return;
	}
	r = (const struct api_certificate_signing_request *)item->obj;
	pem = r->spec.request ? str_unbase64(r->spec.request, &len) : NULL;
	readable = pem && tls_csr_read((char *)pem, len, &csr, NULL) == 0;
	csr_plan(r, readable ? &csr : NULL, DEFAULT_SECONDS, clock_real_ms(), &plan);
	if (plan.action == CSR_SIGN && (!config->signing_cert_file || !config->signing_key_file))
		plan.action = CSR_NOTHING; /* another program signs */
	if (plan.action == CSR_NOTHING)
		done(c, key, 0);
	else
		act(c, key, r, readable ? &csr : NULL, &plan);
	if (readable)
		tls_csr_done(&csr);
}

static const struct api_kind *const kinds[] = { &api_kind_certificate_signing_request, NULL };

const struct controller_ops certificates_controller = {
	.name = "certificates",
	.kinds = kinds,
	.on_change = changed,
	.reconcile = reconcile,
};
