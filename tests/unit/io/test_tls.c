/* SPDX-License-Identifier: Apache-2.0 */
/* lib/io: certificates made here are accepted by OpenSSL's own verification, and bad files are named. */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "io/tls.h"
#include "io/tls-internal.h"

static char dir[64];
static char ca_crt[96], ca_key[96], crt[96], key[96];
static struct err err;

static void setup(void)
{
	strcpy(dir, "/tmp/skep-test-tls.XXXXXX");
	cr_assert(mkdtemp(dir));
	snprintf(ca_crt, sizeof(ca_crt), "%s/ca.crt", dir);
	snprintf(ca_key, sizeof(ca_key), "%s/ca.key", dir);
	snprintf(crt, sizeof(crt), "%s/x.crt", dir);
	snprintf(key, sizeof(key), "%s/x.key", dir);
	cr_assert_eq(tls_make_ca("skep-ca", 10, ca_crt, ca_key, &err), 0, "%s", err.msg);
}

static void teardown(void)
{
	dir_remove(dir, NULL);
}

static X509 *load(const char *path)
{
	FILE *f = fopen(path, "r");
	X509 *x = PEM_read_X509(f, NULL, NULL, NULL);

	fclose(f);
	cr_assert(x);
	return x;
}

static int verify(X509 *leaf, X509 *ca, int purpose)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int ok;

	X509_STORE_add_cert(store, ca);
	X509_STORE_set_flags(store, X509_V_FLAG_X509_STRICT);
	X509_STORE_CTX_init(ctx, store, leaf, NULL);
	X509_STORE_CTX_set_purpose(ctx, purpose);
	ok = X509_verify_cert(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return ok;
}

Test(tls, certificates_verify_with_names_and_usage, .init = setup, .fini = teardown)
{
	const char *dns[] = { "kubernetes.default.svc", "localhost", NULL };
	const char *ips[] = { "127.0.0.1", "fd00::1", NULL };
	const char *orgs[] = { "system:nodes", "second", NULL };
	char cn[128];
	struct tls_cert_request req = { .common_name = cn,
					.organizations = orgs,
					.dns_names = dns,
					.ip_addresses = ips,
					.server = true,
					.days = 5 };
	struct stat st;
	char text[256];
	X509 *ca, *x;

	memset(cn, 'n', sizeof(cn));
	cn[127] = '\0'; /* longer than X.520's bound */
	cr_assert_eq(tls_make_cert(ca_crt, ca_key, &req, crt, key, &err), 0, "%s", err.msg);
	cr_assert_eq(stat(key, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	ca = load(ca_crt);
	x = load(crt);
	cr_assert_eq(verify(x, ca, X509_PURPOSE_SSL_SERVER), 1);
	cr_assert_eq(verify(x, ca, X509_PURPOSE_SSL_CLIENT), 0);
	cr_assert_eq(X509_check_host(x, "kubernetes.default.svc", 0, 0, NULL), 1);
	cr_assert_eq(X509_check_host(x, "example.org", 0, 0, NULL), 0);
	cr_assert_eq(X509_check_ip_asc(x, "fd00::1", 0), 1);
	cr_assert_eq(X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, text, sizeof(text)), 127);
	cr_assert_str_eq(text, cn);
	cr_assert_neq(ASN1_INTEGER_cmp(X509_get_serialNumber(x), X509_get_serialNumber(ca)), 0);
	X509_free(x);
	X509_free(ca);
}

Test(tls, refuses_bad_requests_and_files, .init = setup, .fini = teardown)
{
	const char *ips[] = { "not-an-ip", NULL };
	struct tls_cert_request req = { .common_name = "x", .client = true, .days = 1 };
	struct tls_files files = { .cert_file = crt, .key_file = key };
	SSL_CTX *ctx = NULL;

	cr_assert_eq(tls_make_cert("/nonexistent", ca_key, &req, crt, key, &err), -ENOENT);
	cr_assert(strstr(err.msg, "/nonexistent"));
	cr_assert_eq(tls_make_cert(ca_key, ca_key, &req, crt, key, &err), -EINVAL);
	req.ip_addresses = ips;
	cr_assert_eq(tls_make_cert(ca_crt, ca_key, &req, crt, key, &err), -EINVAL);
	cr_assert(strstr(err.msg, "not-an-ip"));
	req.ip_addresses = NULL;
	cr_assert_eq(tls_server_ctx(&files, false, &ctx, &err), -EINVAL);
	cr_assert(strstr(err.msg, crt) && strstr(err.msg, "No such file"), "%s", err.msg);
	cr_assert_eq(tls_make_cert(ca_crt, ca_key, &req, crt, key, &err), 0);
	/* A leaf cannot sign. */
	cr_assert_eq(tls_make_cert(crt, key, &req, crt, key, &err), -EINVAL);
	cr_assert(strstr(err.msg, "not the certificate of an authority"));
	cr_assert_eq(tls_server_ctx(&files, true, &ctx, &err), -EINVAL); /* no CA */
	files.key_file = ca_key;
	cr_assert_eq(tls_server_ctx(&files, false, &ctx, &err), -EINVAL);
	files.key_file = key;
	files.ca_file = ca_crt;
	cr_assert_eq(tls_server_ctx(&files, true, &ctx, &err), 0, "%s", err.msg);
	SSL_CTX_free(ctx);
}

/* A client that offers these versions and ciphers, against our server's context, in memory. */
static bool handshake(SSL_CTX *server_ctx, int version, const char *ciphers)
{
	SSL_CTX *client_ctx = SSL_CTX_new(TLS_client_method());
	SSL *server = SSL_new(server_ctx), *client;
	BIO *a, *b;
	bool ok = false;

	SSL_CTX_set_security_level(client_ctx, 0);
	cr_assert(SSL_CTX_set_min_proto_version(client_ctx, version) == 1);
	cr_assert(SSL_CTX_set_max_proto_version(client_ctx, version) == 1);
	if (ciphers)
		cr_assert(SSL_CTX_set_cipher_list(client_ctx, ciphers) == 1);
	client = SSL_new(client_ctx);
	cr_assert(server && client && BIO_new_bio_pair(&a, 0, &b, 0) == 1);
	SSL_set_bio(server, a, a);
	SSL_set_bio(client, b, b);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int i = 0; i < 20 && !ok; i++) {
		int c = SSL_do_handshake(client), s = SSL_do_handshake(server);

		ok = c == 1 && s == 1;
	}
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(client_ctx);
	return ok;
}

Test(tls, versions_and_ciphers, .init = setup, .fini = teardown)
{
	static const struct {
		int version;
		const char *ciphers;
		bool good;
	} t[] = {
		{ TLS1_3_VERSION, NULL, true },
		{ TLS1_2_VERSION, NULL, true },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", true },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384", false }, /* CBC */
		{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", false },
		{ TLS1_2_VERSION, "AES128-GCM-SHA256", false }, /* no forward secrecy */
		{ TLS1_2_VERSION, "ADH-AES128-GCM-SHA256", false },
		{ TLS1_1_VERSION, "ALL:@SECLEVEL=0", false },
		{ TLS1_VERSION, "ALL:@SECLEVEL=0", false },
	};
	const char *names[] = { "localhost", NULL };
	struct tls_cert_request req = { .common_name = "server", .dns_names = names, .server = true, .days = 1 };
	struct tls_files files = { ca_crt, crt, key };
	SSL_CTX *ctx;

	cr_assert(tls_make_ca("test", 1, ca_crt, ca_key, &err) == 0);
	cr_assert(tls_make_cert(ca_crt, ca_key, &req, crt, key, &err) == 0);
	cr_assert(tls_server_ctx(&files, true, &ctx, &err) == 0, "%s", err.msg);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		cr_assert(handshake(ctx, t[i].version, t[i].ciphers) == t[i].good, "row %zu", i);
	SSL_CTX_free(ctx);
}
