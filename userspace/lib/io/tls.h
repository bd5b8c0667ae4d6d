/* SPDX-License-Identifier: Apache-2.0 */
/* TLS settings shared by server and client: PEM files, TLS 1.2 or later, a server with forward secrecy and AEAD only.
 */
#ifndef SKEP_IO_TLS_H
#define SKEP_IO_TLS_H

#include <stdbool.h>

#include "../base/err.h"

struct tls_files {
	const char *ca_file;   /* trusted issuers of the peer's certificate; NULL: none */
	const char *cert_file; /* own certificate chain; NULL: none */
	const char *key_file;
};

/*
 * Small certificate authority for `skep up` and tests: P-256 keys, PEM files, written atomically, keys with mode
 * 0600.
 */
struct tls_cert_request {
	const char *common_name;	  /* Kubernetes user name for client certificates */
	const char *const *organizations; /* NULL-terminated: Kubernetes groups; may be NULL */
	const char *const *dns_names;	  /* NULL-terminated, may be NULL */
	const char *const *ip_addresses;  /* NULL-terminated, textual, may be NULL */
	bool server, client;		  /* extended key usages */
	int days;
};
int tls_make_key(const char *key_file, struct err *err); /* a private key alone, for signing tokens */
int tls_make_ca(const char *common_name, int days, const char *cert_file, const char *key_file, struct err *err);
int tls_make_cert(const char *ca_cert_file, const char *ca_key_file, const struct tls_cert_request *req,
		  const char *cert_file, const char *key_file, struct err *err);

#endif
