/* SPDX-License-Identifier: Apache-2.0 */
/* The server's TLS context, and errors from OpenSSL's queue. Certificates are made in tls_cert.c. */
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../base/cleanup.h"
#include "tls-internal.h"

/* TLS 1.2: keys that nobody can find later, and nothing but authenticated encryption. TLS 1.3 has no others. */
#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

#define TICKET_LIFETIME_S 3600 /* how long a resumed session skips checking the client's certificate again */

int tls_err(struct err *err, int code, const char *fmt, ...)
{
	unsigned long e = ERR_peek_error(), next;
	const char *reason = NULL;
	char text[512];
	va_list ap;

	/* The first entry is the cause; a system error behind it (ENOENT) says more than "system lib". */
	while ((next = ERR_get_error()))
		if (!reason && !ERR_SYSTEM_ERROR(next))
			reason = ERR_reason_error_string(next);
	if (e && ERR_SYSTEM_ERROR(e))
		reason = strerror(ERR_GET_REASON(e));
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err, code, "%s: %s", text, reason ? reason : "TLS library failure");
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
		       unsigned in_len, void *arg)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto((unsigned char **)out, out_len, ours, sizeof(ours) - 1, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

static void ssl_ctx_freep(SSL_CTX **p)
{
	SSL_CTX_free(*p);
}

static int trust_clients(SSL_CTX *ctx, const char *ca_file, struct err *err)
{
	STACK_OF(X509_NAME) * names;

	if (!ca_file)
		return err_set(err, EINVAL, "client certificates need a CA file to verify them");
	if (SSL_CTX_load_verify_locations(ctx, ca_file, NULL) != 1)
		return tls_err(err, EINVAL, "load CA certificates '%s'", ca_file);
	names = SSL_load_client_CA_file(ca_file);
	if (!names)
		return tls_err(err, EINVAL, "load CA certificates '%s'", ca_file);
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return 0;
}

int tls_server_ctx(const struct tls_files *files, bool client_certs, SSL_CTX **ret, struct err *err)
{
	static const unsigned char session_context[] = "skep";
	cleanup(ssl_ctx_free) SSL_CTX *ctx = NULL;
	int r;

	ERR_clear_error();
	ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx)
		return tls_err(err, ENOMEM, "TLS context");
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 || SSL_CTX_set_cipher_list(ctx, TLS12_CIPHERS) != 1)
		return tls_err(err, EIO, "TLS versions and ciphers");
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (!files->cert_file || !files->key_file)
		return err_set(err, EINVAL, "a TLS server needs a certificate and a key file");
	if (SSL_CTX_use_certificate_chain_file(ctx, files->cert_file) != 1)
		return tls_err(err, EINVAL, "load certificate '%s'", files->cert_file);
	if (SSL_CTX_use_PrivateKey_file(ctx, files->key_file, SSL_FILETYPE_PEM) != 1)
		return tls_err(err, EINVAL, "load key '%s'", files->key_file);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return tls_err(err, EINVAL, "key '%s' does not belong to certificate '%s'", files->key_file,
			       files->cert_file);
	if (client_certs) {
		r = trust_clients(ctx, files->ca_file, err);
		if (r < 0)
			return r;
	}
	/* Tickets keep the session with the client: resuming costs us no memory. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1);
	SSL_CTX_set_timeout(ctx, TICKET_LIFETIME_S);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
	*ret = TAKE(ctx);
	return 0;
}
