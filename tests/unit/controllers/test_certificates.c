/* SPDX-License-Identifier: Apache-2.0 */
/* Signers' rules, approval without a person, and what a signed certificate is. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "control/controllers/certificates_plan.h"
#include "io/tls.h"

#define NOW INT64_C(1800000000000)

static void make(const char *cn, const char *org, const char *dns, const char *ip, struct tls_csr *ret)
{
	const char *orgs[] = { org, NULL }, *names[] = { dns, NULL }, *ips[] = { ip, NULL };
	struct err err = ERR_INIT;
	char *key, *pem;

	cr_assert(tls_csr_make(cn, orgs, names, ips, &key, &pem, &err) == 0, "%s", err.msg);
	cr_assert(tls_csr_read(pem, strlen(pem), ret, &err) == 0, "%s", err.msg);
	free(key);
	free(pem);
}

#define DS "digital signature"
#define KE "key encipherment"
#define CA "client auth"
#define SA "server auth"

Test(certificates, signers_rules)
{
	static const struct {
		const char *signer, *cn, *org, *dns, *ip, *usages[5];
		bool good;
	} t[] = {
		{ SIGNER_CLIENT, "jane", "devs", NULL, NULL, { DS, CA }, true },
		{ SIGNER_CLIENT, "jane", "devs", "a.b", NULL, { CA }, true },
		{ SIGNER_CLIENT, "jane", "devs", NULL, NULL, { DS, KE, CA }, true },
		{ SIGNER_CLIENT, "jane", "devs", NULL, NULL, { DS, KE }, false },
		{ SIGNER_CLIENT, "jane", "devs", NULL, NULL, { DS, CA, SA }, false },
		{ SIGNER_CLIENT, "jane", "system:masters", NULL, NULL, { DS, CA }, false },
		{ SIGNER_KUBELET, "system:node:n", "system:nodes", NULL, NULL, { DS, CA }, true },
		{ SIGNER_KUBELET, "system:node:n", "system:nodes", NULL, NULL, { DS, KE, CA }, true },
		{ SIGNER_KUBELET, "system:node:", "system:nodes", NULL, NULL, { DS, CA }, false },
		{ SIGNER_KUBELET, "n", "system:nodes", NULL, NULL, { DS, CA }, false },
		{ SIGNER_KUBELET, "system:node:n", "nodes", NULL, NULL, { DS, CA }, false },
		{ SIGNER_KUBELET, "system:node:n", NULL, NULL, NULL, { DS, CA }, false },
		{ SIGNER_KUBELET, "system:node:n", "system:nodes", "n", NULL, { DS, CA }, false },
		{ SIGNER_KUBELET, "system:node:n", "system:nodes", NULL, "10.0.0.1", { DS, CA }, false },
		{ SIGNER_KUBELET, "system:node:n", "system:nodes", NULL, NULL, { CA }, false },
		{ SIGNER_KUBELET, "system:node:n", "system:nodes", NULL, NULL, { DS, CA, SA }, false },
		{ SIGNER_SERVING, "system:node:n", "system:nodes", "n", "10.0.0.1", { DS, SA }, true },
		{ SIGNER_SERVING, "system:node:n", "system:nodes", NULL, "fd00::1", { DS, KE, SA }, true },
		{ SIGNER_SERVING, "system:node:n", "system:nodes", NULL, NULL, { DS, SA }, false },
		{ SIGNER_SERVING, "system:node:n", "system:nodes", "n", NULL, { DS, CA }, false },
		{ SIGNER_SERVING, "n", "system:nodes", "n", NULL, { DS, SA }, false },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct tls_csr csr;
		size_t n = 0;

		while (t[i].usages[n])
			n++;
		make(t[i].cn, t[i].org, t[i].dns, t[i].ip, &csr);
		cr_assert(!csr_rules(t[i].signer, &csr, n, t[i].usages) == t[i].good, "row %zu", i);
		tls_csr_done(&csr);
	}
}

Test(certificates, what_becomes_of_requests)
{
	const char *usages[] = { DS, CA };
	struct api_certificate_signing_request_condition approved = { .type = "Approved", .status = "True" },
							 denied = { .type = "Denied", .status = "True" };
	struct {
		const char *signer, *user, *group;
		struct api_certificate_signing_request_condition *cond;
		const char *certificate, *created, *decided;
		enum csr_action want;
	} t[] = {
		{ SIGNER_KUBELET, "system:bootstrap:abcdef", "system:bootstrappers", NULL, NULL, NULL, NULL,
		  CSR_APPROVE },
		{ SIGNER_KUBELET, "system:node:n", "system:nodes", NULL, NULL, NULL, NULL, CSR_APPROVE },
		{ SIGNER_KUBELET, "system:node:m", "system:nodes", NULL, NULL, NULL, NULL, CSR_NOTHING },
		{ SIGNER_KUBELET, "system:node:n", "others", NULL, NULL, NULL, NULL, CSR_NOTHING },
		{ SIGNER_KUBELET, "jane", "devs", NULL, NULL, NULL, NULL, CSR_NOTHING },
		{ SIGNER_CLIENT, "system:bootstrap:abcdef", "system:bootstrappers", NULL, NULL, NULL, NULL,
		  CSR_NOTHING },
		{ SIGNER_CLIENT, "jane", "devs", &approved, NULL, NULL, NULL, CSR_SIGN },
		{ SIGNER_KUBELET, "jane", "devs", &approved, NULL, NULL, NULL, CSR_SIGN },
		{ SIGNER_SERVING, "jane", "devs", &approved, NULL, NULL, NULL, CSR_FAIL },
		{ "example.com/other", "jane", "devs", &approved, NULL, NULL, NULL, CSR_NOTHING },
		{ SIGNER_CLIENT, "jane", "devs", &denied, NULL, NULL, NULL, CSR_NOTHING },
		{ SIGNER_CLIENT, "jane", "devs", &approved, "AAAA", NULL, NULL, CSR_NOTHING },
		{ SIGNER_CLIENT, "jane", "devs", &approved, "AAAA", NULL, "2027-01-15T06:00:00Z", CSR_DELETE },
		{ SIGNER_CLIENT, "jane", "devs", &denied, NULL, NULL, "2027-01-15T06:00:00Z", CSR_DELETE },
		{ SIGNER_CLIENT, "jane", "devs", &approved, NULL, NULL, "2027-01-15T06:00:00Z", CSR_SIGN },
		{ SIGNER_CLIENT, "jane", "devs", NULL, NULL, "2027-01-13T00:00:00Z", NULL, CSR_DELETE },
	};
	struct tls_csr csr;

	make("system:node:n", "system:nodes", NULL, NULL, &csr);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct api_certificate_signing_request r = { 0 };
		struct csr_plan plan;

		r.metadata.creation_timestamp = t[i].created ? t[i].created : "2027-01-15T07:59:00Z";
		r.spec.signer_name = t[i].signer;
		r.spec.username = t[i].user;
		r.spec.n_groups = 1;
		r.spec.groups = &t[i].group;
		r.spec.n_usages = 2;
		r.spec.usages = usages;
		if (t[i].cond) {
			r.status.n_conditions = 1;
			r.status.conditions = t[i].cond;
			t[i].cond->last_update_time = t[i].decided ? t[i].decided : "2027-01-15T07:59:00Z";
		}
		r.status.certificate = t[i].certificate;
		csr_plan(&r, &csr, 1000, NOW, &plan);
		cr_assert(plan.action == t[i].want, "row %zu: %d", i, plan.action);
		if (plan.action == CSR_SIGN)
			cr_assert(plan.how.client && !plan.how.server && plan.how.seconds == 1000);
	}
	tls_csr_done(&csr);
}

Test(certificates, what_is_signed_lives_as_long_as_said)
{
	char dir[] = "/tmp/skep-csr-test-XXXXXX", cert[64], key[64], file[64], *pem;
	struct tls_sign how = { .client = true, .seconds = 7200 };
	struct err err = ERR_INIT;
	struct tls_csr csr;
	int64_t from, until;

	cr_assert(mkdtemp(dir));
	snprintf(cert, sizeof(cert), "%s/ca.crt", dir);
	snprintf(key, sizeof(key), "%s/ca.key", dir);
	snprintf(file, sizeof(file), "%s/n.crt", dir);
	cr_assert(tls_make_ca("test", 1, cert, key, &err) == 0);
	make("system:node:n", "system:nodes", NULL, NULL, &csr);
	cr_assert(tls_csr_sign(cert, key, &csr, &how, &pem, &err) == 0, "%s", err.msg);
	cr_assert(file_write_atomic(file, pem, strlen(pem), 0600, &err) == 0);
	cr_assert(tls_cert_times(file, &from, &until, &err) == 0);
	cr_assert(until - from == 7200 + 300);
	free(pem);
	/* never beyond its authority */
	how.seconds = 1000 * 86400;
	cr_assert(tls_csr_sign(cert, key, &csr, &how, &pem, &err) == 0);
	cr_assert(file_write_atomic(file, pem, strlen(pem), 0600, &err) == 0);
	cr_assert(tls_cert_times(file, &from, &until, &err) == 0);
	cr_assert(until - from <= 86400 + 300);
	free(pem);
	tls_csr_done(&csr);
	cr_assert(tls_csr_read("nonsense", 8, &csr, &err) < 0);
	(void)dir_remove(dir, NULL);
}
