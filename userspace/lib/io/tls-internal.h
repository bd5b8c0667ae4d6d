/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL as the HTTP server uses it. */
#ifndef SKEP_IO_TLS_INTERNAL_H
#define SKEP_IO_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include <openssl/x509v3.h>

#include "tls.h"

#define OPENSSL_CLEANUP(type, fn)                                                                                      \
	static inline void fn##p(type **p)                                                                             \
	{                                                                                                              \
		fn(*p);                                                                                                \
	}                                                                                                              \
	struct openssl_cleanup_semicolon

OPENSSL_CLEANUP(X509, X509_free);
OPENSSL_CLEANUP(EVP_PKEY, EVP_PKEY_free);
OPENSSL_CLEANUP(BIO, BIO_vfree);
OPENSSL_CLEANUP(BIGNUM, BN_free);
OPENSSL_CLEANUP(GENERAL_NAMES, GENERAL_NAMES_free);
OPENSSL_CLEANUP(GENERAL_NAME, GENERAL_NAME_free);
OPENSSL_CLEANUP(X509_EXTENSION, X509_EXTENSION_free);

/*
 * A server's context: ALPN h2 and http/1.1 (our preference), buffers released while idle, stateless session tickets.
 * client_certs: ask for a certificate and refuse a bad one; none is fine. *ret: SSL_CTX_free().
 */
int tls_server_ctx(const struct tls_files *files, bool client_certs, SSL_CTX **ret, struct err *err);

/* "context: reason of the last OpenSSL error"; empties OpenSSL's error queue. Returns -code. */
int tls_err(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* tls_cert.c, for tls_csr.c. value: only our own constants; texts from outside would be read as OpenSSL settings. */
bool tls_add_extension(X509 *cert, X509 *issuer, int nid, const char *value);
bool tls_add_name(X509_NAME *name, int nid, const char *value);
bool tls_set_serial(X509 *cert);
int tls_load_ca(const char *cert_file, const char *key_file, X509 **ret_cert, EVP_PKEY **ret_key, struct err *err);

#endif
