/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a certificate signing request: decided from the object alone, with no server and no key. */
#ifndef SKEP_CONTROLLERS_CERTIFICATES_PLAN_H
#define SKEP_CONTROLLERS_CERTIFICATES_PLAN_H

#include "api/api_types.h"
#include "io/tls_csr.h"

#define SIGNER_CLIENT  "kubernetes.io/kube-apiserver-client"
#define SIGNER_KUBELET "kubernetes.io/kube-apiserver-client-kubelet"
#define SIGNER_SERVING "kubernetes.io/kubelet-serving"

enum csr_action {
	CSR_NOTHING,
	CSR_APPROVE, /* why: for people */
	CSR_SIGN,
	CSR_FAIL, /* approved, but against the signer's rules: why */
	CSR_DELETE,
};
struct csr_plan {
	enum csr_action action;
	const char *why;
	struct tls_sign how; /* CSR_SIGN */
};
/* csr: what spec.request holds; NULL: it cannot be read. max_seconds: longest life given. */
void csr_plan(const struct api_certificate_signing_request *r, const struct tls_csr *csr, int64_t max_seconds,
	      int64_t now_ms, struct csr_plan *ret);
/* A signer's rules: what of the request is against them, NULL: nothing. */
const char *csr_rules(const char *signer, const struct tls_csr *csr, size_t n_usages, const char *const *usages);

#endif
