/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL as the HTTP server uses it. */
#ifndef SKEP_IO_TLS_INTERNAL_H
#define SKEP_IO_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "tls.h"

/*
 * A server's context: ALPN h2 and http/1.1 (our preference), buffers released while idle, stateless session tickets.
 * client_certs: ask for a certificate and refuse a bad one; none is fine. *ret: SSL_CTX_free().
 */
int tls_server_ctx(const struct tls_files *files, bool client_certs, SSL_CTX **ret, struct err *err);

/* "context: reason of the last OpenSSL error"; empties OpenSSL's error queue. Returns -code. */
int tls_err(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
