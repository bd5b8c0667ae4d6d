/* SPDX-License-Identifier: Apache-2.0 */
/* The small certificate authority of `skep up` and the tests: X.509 v3, P-256, SHA-256. */
#include <errno.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "../base/cleanup.h"
#include "../base/file.h"
#include "tls-internal.h"

#define SERIAL_BITS   159    /* positive and at most 20 bytes (RFC 5280, 4.1.2.2) */
#define BACKDATE_S    300    /* machines whose clocks differ a little */
#define MAX_PEM_BYTES 262144 /* of a CA's files */

static const struct {
	int nid;
	const char *value;
} ca_extensions[] = {
	{ NID_basic_constraints, "critical,CA:TRUE" },
	{ NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign" },
	{ NID_subject_key_identifier, "hash" },
}, leaf_extensions[] = {
	{ NID_basic_constraints, "critical,CA:FALSE" },
	{ NID_key_usage, "critical,digitalSignature" },
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
};

/* value: only our own constants; texts from outside would be parsed as OpenSSL configuration. */
bool tls_add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	cleanup(X509_EXTENSION_free) X509_EXTENSION *ext = NULL;
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	return ext && X509_add_ext(cert, ext, -1) == 1;
}

/* Not by MBSTRING type: OpenSSL would refuse names above 64 characters, which node names may reach. */
bool tls_add_name(X509_NAME *name, int nid, const char *value)
{
	return X509_NAME_add_entry_by_NID(name, nid, V_ASN1_UTF8STRING, (const unsigned char *)value,
					  (int)strlen(value), -1, 0) == 1;
}

static bool set_subject(X509 *cert, const char *cn, const char *const *orgs)
{
	X509_NAME *name = X509_get_subject_name(cert);

	for (; orgs && *orgs; orgs++)
		if (!tls_add_name(name, NID_organizationName, *orgs))
			return false;
	return tls_add_name(name, NID_commonName, cn);
}

bool tls_set_serial(X509 *cert)
{
	cleanup(BN_free) BIGNUM *n = BN_new();

	return n && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
	       BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
}

static bool push_name(GENERAL_NAMES *names, int type, ASN1_STRING *value)
{
	cleanup(GENERAL_NAME_free) GENERAL_NAME *gn = GENERAL_NAME_new();

	if (!gn || !value) {
		ASN1_STRING_free(value);
		return false;
	}
	GENERAL_NAME_set0_value(gn, type, value);
	if (!sk_GENERAL_NAME_push(names, gn))
		return false;
	gn = NULL;
	return true;
}

static int add_alt_names(X509 *cert, const struct tls_cert_request *req, struct err *err)
{
	cleanup(GENERAL_NAMES_free) GENERAL_NAMES *names = GENERAL_NAMES_new();

	if (!names)
		return tls_err(err, ENOMEM, "subject alternative names");
	for (const char *const *s = req->dns_names; s && *s; s++) {
		ASN1_STRING *v = ASN1_IA5STRING_new();

		if (v && ASN1_STRING_set(v, *s, -1) != 1) {
			ASN1_STRING_free(v);
			v = NULL;
		}
		if (!push_name(names, GEN_DNS, v))
			return tls_err(err, ENOMEM, "DNS name '%s'", *s);
	}
	for (const char *const *s = req->ip_addresses; s && *s; s++) {
		ASN1_OCTET_STRING *v = a2i_IPADDRESS(*s);

		if (!v)
			return tls_err(err, EINVAL, "IP address '%s'", *s);
		if (!push_name(names, GEN_IPADD, v))
			return tls_err(err, ENOMEM, "IP address '%s'", *s);
	}
	if (sk_GENERAL_NAME_num(names) > 0 && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) != 1)
		return tls_err(err, ENOMEM, "subject alternative names");
	return 0;
}

static int new_cert(int days, EVP_PKEY *key, X509 **ret, struct err *err)
{
	cleanup(X509_free) X509 *cert = X509_new();
	time_t now = time(NULL);

	if (days <= 0)
		return err_set(err, EINVAL, "a certificate must be valid for at least a day");
	if (!cert || X509_set_version(cert, X509_VERSION_3) != 1 || !tls_set_serial(cert) ||
	    !X509_time_adj_ex(X509_getm_notBefore(cert), 0, -BACKDATE_S, &now) ||
	    !X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, &now) || X509_set_pubkey(cert, key) != 1)
		return tls_err(err, ENOMEM, "make certificate");
	*ret = TAKE(cert);
	return 0;
}

static int bio_to_file(BIO *bio, const char *path, mode_t mode, struct err *err)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	return file_write_atomic(path, data, (size_t)len, mode, err);
}

/* The key first: a certificate on disk always has its key beside it. */
static int save(X509 *cert, EVP_PKEY *key, const char *cert_file, const char *key_file, struct err *err)
{
	cleanup(BIO_vfree) BIO *cert_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_secmem());
	int r;

	if (!cert_pem || !key_pem || PEM_write_bio_X509(cert_pem, cert) != 1 ||
	    PEM_write_bio_PKCS8PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) != 1)
		return tls_err(err, ENOMEM, "encode certificate");
	r = bio_to_file(key_pem, key_file, 0600, err);
	return r < 0 ? r : bio_to_file(cert_pem, cert_file, 0644, err);
}

int tls_make_key(const char *key_file, struct err *err)
{
	cleanup(EVP_PKEY_free) EVP_PKEY *key = EVP_EC_gen("P-256");
	cleanup(BIO_vfree) BIO *pem = BIO_new(BIO_s_secmem());

	if (!key)
		return tls_err(err, EIO, "make P-256 key");
	if (!pem || PEM_write_bio_PKCS8PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL) != 1)
		return tls_err(err, ENOMEM, "encode key");
	return bio_to_file(pem, key_file, 0600, err);
}

int tls_make_ca(const char *common_name, int days, const char *cert_file, const char *key_file, struct err *err)
{
	cleanup(EVP_PKEY_free) EVP_PKEY *key = EVP_EC_gen("P-256");
	cleanup(X509_free) X509 *cert = NULL;
	int r;

	if (!key)
		return tls_err(err, EIO, "make P-256 key");
	r = new_cert(days, key, &cert, err);
	if (r < 0)
		return r;
	if (!set_subject(cert, common_name, NULL) || X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1)
		return tls_err(err, EINVAL, "name of CA '%s'", common_name);
	for (size_t i = 0; i < sizeof(ca_extensions) / sizeof(ca_extensions[0]); i++)
		if (!tls_add_extension(cert, cert, ca_extensions[i].nid, ca_extensions[i].value))
			return tls_err(err, EIO, "extensions of CA '%s'", common_name);
	if (!X509_sign(cert, key, EVP_sha256()))
		return tls_err(err, EIO, "sign CA '%s'", common_name);
	return save(cert, key, cert_file, key_file, err);
}

static int load_bio(const char *path, BIO **ret, char **ret_data, struct err *err)
{
	size_t len;
	int r = file_read(path, MAX_PEM_BYTES, ret_data, &len, err);

	if (r < 0)
		return r;
	*ret = BIO_new_mem_buf(*ret_data, (int)len);
	return *ret ? 0 : tls_err(err, ENOMEM, "read '%s'", path);
}

static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
	(void)buf, (void)size, (void)rwflag, (void)u;
	return -1; /* never prompt on the terminal */
}

int tls_load_ca(const char *cert_file, const char *key_file, X509 **ret_cert, EVP_PKEY **ret_key, struct err *err)
{
	cleanup(EVP_PKEY_free) EVP_PKEY *key = NULL;
	cleanup(X509_free) X509 *cert = NULL;
	cleanup(free) char *cert_text = NULL, *key_text = NULL;
	cleanup(BIO_vfree) BIO *cert_bio = NULL, *key_bio = NULL;
	int r;

	r = load_bio(cert_file, &cert_bio, &cert_text, err);
	if (!r)
		r = load_bio(key_file, &key_bio, &key_text, err);
	if (r < 0)
		return r;
	ERR_clear_error();
	cert = PEM_read_bio_X509(cert_bio, NULL, no_passphrase, NULL);
	if (!cert)
		return tls_err(err, EINVAL, "CA certificate '%s'", cert_file);
	key = PEM_read_bio_PrivateKey(key_bio, NULL, no_passphrase, NULL);
	OPENSSL_cleanse(key_text, strlen(key_text));
	if (!key)
		return tls_err(err, EINVAL, "CA key '%s'", key_file);
	if (X509_check_private_key(cert, key) != 1)
		return tls_err(err, EINVAL, "CA key '%s' does not belong to '%s'", key_file, cert_file);
	if (X509_check_ca(cert) != 1)
		return err_set(err, EINVAL, "'%s' is not the certificate of an authority", cert_file);
	*ret_cert = TAKE(cert);
	*ret_key = TAKE(key);
	return 0;
}

int tls_make_cert(const char *ca_cert_file, const char *ca_key_file, const struct tls_cert_request *req,
		  const char *cert_file, const char *key_file, struct err *err)
{
	cleanup(EVP_PKEY_free) EVP_PKEY *ca_key = NULL, *key = NULL;
	cleanup(X509_free) X509 *ca = NULL, *cert = NULL;
	const char *usage = req->server ? req->client ? "serverAuth,clientAuth" : "serverAuth" : "clientAuth";
	int r;

	if (!req->server && !req->client)
		return err_set(err, EINVAL, "certificate '%s' is for neither servers nor clients", req->common_name);
	r = tls_load_ca(ca_cert_file, ca_key_file, &ca, &ca_key, err);
	if (r < 0)
		return r;
	key = EVP_EC_gen("P-256");
	if (!key)
		return tls_err(err, EIO, "make P-256 key");
	r = new_cert(req->days, key, &cert, err);
	if (r < 0)
		return r;
	if (!set_subject(cert, req->common_name, req->organizations) ||
	    X509_set_issuer_name(cert, X509_get_subject_name(ca)) != 1)
		return tls_err(err, EINVAL, "name of certificate '%s'", req->common_name);
	for (size_t i = 0; i < sizeof(leaf_extensions) / sizeof(leaf_extensions[0]); i++)
		if (!tls_add_extension(cert, ca, leaf_extensions[i].nid, leaf_extensions[i].value))
			return tls_err(err, EIO, "extensions of certificate '%s'", req->common_name);
	if (!tls_add_extension(cert, ca, NID_ext_key_usage, usage))
		return tls_err(err, EIO, "extensions of certificate '%s'", req->common_name);
	r = add_alt_names(cert, req, err);
	if (r < 0)
		return r;
	if (!X509_sign(cert, ca_key, EVP_sha256()))
		return tls_err(err, EIO, "sign certificate '%s'", req->common_name);
	return save(cert, key, cert_file, key_file, err);
}
