/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate signing requests (PKCS #10): made by who wants a certificate, read by who decides, signed by an
 * authority. Everything is in memory; keys come from and go to their owner.
 */
#ifndef SKEP_IO_TLS_CSR_H
#define SKEP_IO_TLS_CSR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"

#define TLS_CSR_MAX_NAMES 64

/* What a request asks for. */
struct tls_csr {
	char *common_name; /* "" without one */
	char *orgs[TLS_CSR_MAX_NAMES];
	size_t n_orgs, n_dns, n_ips, n_emails, n_uris;
	bool other_subject; /* something besides CN and O */
	bool wants_ca;	    /* basicConstraints with CA */
	void *req;	    /* X509_REQ */
};
/* One PEM block, whose signature proves that the sender has the key. -EINVAL: err says what is wrong. */
int tls_csr_read(const char *pem, size_t len, struct tls_csr *ret, struct err *err);
void tls_csr_done(struct tls_csr *csr);

/* A new P-256 key and a request by it, both PEM, the caller's (free()). Lists end with NULL and may be NULL. */
int tls_csr_make(const char *common_name, const char *const *orgs, const char *const *dns_names,
		 const char *const *ip_addresses, char **ret_key, char **ret_csr, struct err *err);

struct tls_sign {
	bool server, client; /* extended key usages */
	bool encipherment;   /* keyEncipherment besides digitalSignature */
	int64_t seconds;     /* life, cut to the authority's own */
};
/* A certificate for csr's key, subject and alternative names, signed by the authority. *ret: PEM, the caller's. */
int tls_csr_sign(const char *ca_cert_file, const char *ca_key_file, const struct tls_csr *csr,
		 const struct tls_sign *how, char **ret, struct err *err);

/* Times (seconds since 1970) between which the first certificate of a PEM file is good. */
int tls_cert_times(const char *path, int64_t *ret_from, int64_t *ret_until, struct err *err);

#endif
