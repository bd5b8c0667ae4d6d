/* SPDX-License-Identifier: Apache-2.0 */
/* CertificateSubjectRestriction: nobody gets a client certificate of system:masters by asking for it. */
#include "admission-internal.h"

#include <stdlib.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "../../lib/io/tls_csr.h"

#define SIGNER "kubernetes.io/kube-apiserver-client"

static enum admit validate(struct admission *a)
{
	cleanup(free) unsigned char *pem = NULL;
	struct err err = ERR_INIT;
	struct tls_csr csr;
	const char *text;
	size_t len = 0;
	bool masters = false;

	if (!admission_is(a, "certificates.k8s.io", "certificatesigningrequests") ||
	    !streq(api_get_str(a->obj, "spec.signerName"), SIGNER))
		return ADMIT_NEXT;
	text = api_get_str(a->obj, "spec.request");
	pem = text ? str_unbase64(text, &len) : NULL;
	/* It was readable when it came: a webhook broke it. */
	if (!pem || tls_csr_read((char *)pem, len, &csr, &err) < 0)
		return admission_forbid(a, "unable to parse csr: %s", pem ? err.msg : "it is not base64");
	for (size_t i = 0; i < csr.n_orgs; i++)
		masters |= streq(csr.orgs[i], "system:masters");
	tls_csr_done(&csr);
	return masters ? admission_forbid(a, "use of " SIGNER " signer with system:masters group is not allowed")
		       : ADMIT_NEXT;
}

const struct admission_plugin admission_certificate_subject = {
	.name = "CertificateSubjectRestriction",
	.ops = ADMIT_CREATE,
	.validate = validate,
};
