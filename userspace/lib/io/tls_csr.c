/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate signing requests; see tls_csr.h. */
#include "tls_csr.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../base/cleanup.h"
#include "../base/file.h"
#include "tls-internal.h"

#define MAX_PEM_BYTES 65536
#define BACKDATE_S    300
#define MIN_RSA_BITS  2048
#define MAX_RSA_BITS  8192

OPENSSL_CLEANUP(X509_REQ, X509_REQ_free);

static void extensions_freep(X509_EXTENSIONS **p)
{
	sk_X509_EXTENSION_pop_free(*p, X509_EXTENSION_free);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* Text without a NUL, which would hide what follows it. */
static int name_text(const X509_NAME_ENTRY *e, char **ret)
{
	unsigned char *utf8 = NULL;
	int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(e));
	int r = -EINVAL;

	if (len >= 0 && !memchr(utf8, '\0', (size_t)len)) {
		*ret = strndup((char *)utf8, (size_t)len);
		r = *ret ? 0 : -ENOMEM;
	}
	OPENSSL_free(utf8);
	return r;
}

static int read_subject(X509_REQ *req, struct tls_csr *csr, struct err *err)
{
	X509_NAME *name = X509_REQ_get_subject_name(req);

	for (int i = 0; i < X509_NAME_entry_count(name); i++) {
		const X509_NAME_ENTRY *e = X509_NAME_get_entry(name, i);
		int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(e)), r = 0;

		if (nid == NID_commonName && !csr->common_name) {
			r = name_text(e, &csr->common_name);
		} else if (nid == NID_organizationName) {
			if (csr->n_orgs == TLS_CSR_MAX_NAMES)
				return err_set(err, EINVAL, "too many organizations");
			r = name_text(e, &csr->orgs[csr->n_orgs]);
			if (!r)
				csr->n_orgs++;
		} else {
			csr->other_subject = true;
		}
		if (r < 0)
			return err_set(err, -r, "the subject cannot be read");
	}
	if (!csr->common_name)
		csr->common_name = strdup("");
	return csr->common_name ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int read_alt_names(X509_EXTENSIONS *exts, struct tls_csr *csr, struct err *err)
{
	GENERAL_NAMES *names = X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL);
	int n = names ? sk_GENERAL_NAME_num(names) : 0, r = 0;

	if (n > TLS_CSR_MAX_NAMES)
		r = err_set(err, EINVAL, "too many alternative names");
	for (int i = 0; i < n && !r; i++) {
		const GENERAL_NAME *gn = sk_GENERAL_NAME_value(names, i);

		switch (gn->type) {
		case GEN_DNS:
			csr->n_dns++;
			break;
		case GEN_IPADD:
			csr->n_ips++;
			break;
		case GEN_EMAIL:
			csr->n_emails++;
			break;
		case GEN_URI:
			csr->n_uris++;
			break;
		default:
			r = err_set(err, EINVAL, "an alternative name of a kind that is not signed");
		}
	}
	GENERAL_NAMES_free(names);
	return r;
}

static int read_request(X509_REQ *req, struct tls_csr *csr, struct err *err)
{
	cleanup(extensions_free) X509_EXTENSIONS *exts = NULL;
	EVP_PKEY *key = X509_REQ_get0_pubkey(req);
	BASIC_CONSTRAINTS *bc;
	int bits;

	if (!key || X509_REQ_verify(req, key) != 1)
		return tls_err(err, EINVAL, "the request's signature is not by its key");
	bits = EVP_PKEY_get_bits(key);
	if (EVP_PKEY_is_a(key, "RSA") && (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS))
		return err_set(err, EINVAL, "an RSA key of %d bits; %d to %d are signed", bits, MIN_RSA_BITS,
			       MAX_RSA_BITS);
	exts = X509_REQ_get_extensions(req);
	bc = exts ? X509V3_get_d2i(exts, NID_basic_constraints, NULL, NULL) : NULL;
	csr->wants_ca = bc && bc->ca;
	BASIC_CONSTRAINTS_free(bc);
	if (read_subject(req, csr, err) < 0 || (exts && read_alt_names(exts, csr, err) < 0))
		return -EINVAL;
	return 0;
}

int tls_csr_read(const char *pem, size_t len, struct tls_csr *ret, struct err *err)
{
	cleanup(BIO_vfree) BIO *bio = NULL;
	cleanup(X509_REQ_free) X509_REQ *req = NULL;
	struct tls_csr csr = { 0 };

	if (!len || len > MAX_PEM_BYTES)
		return err_set(err, EINVAL, "PEM block type must be CERTIFICATE REQUEST");
	ERR_clear_error();
	bio = BIO_new_mem_buf(pem, (int)len);
	req = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
	ERR_clear_error();
	if (!req)
		return err_set(err, EINVAL, "PEM block type must be CERTIFICATE REQUEST");
	if (read_request(req, &csr, err) < 0) {
		tls_csr_done(&csr);
		return -EINVAL;
	}
	csr.req = TAKE(req);
	*ret = csr;
	return 0;
}

void tls_csr_done(struct tls_csr *csr)
{
	free(csr->common_name);
	for (size_t i = 0; i < csr->n_orgs; i++)
		free(csr->orgs[i]);
	X509_REQ_free(csr->req);
	*csr = (struct tls_csr){ 0 };
}

/* --- making ------------------------------------------------------------------------------------------------------- */

static int bio_text(BIO *bio, char **ret)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	*ret = strndup(data, (size_t)len);
	return *ret ? 0 : -ENOMEM;
}

static bool add_gn(GENERAL_NAMES *names, int type, ASN1_STRING *value)
{
	GENERAL_NAME *gn = value ? GENERAL_NAME_new() : NULL;

	if (!gn) {
		ASN1_STRING_free(value);
		return false;
	}
	GENERAL_NAME_set0_value(gn, type, value);
	if (sk_GENERAL_NAME_push(names, gn) > 0)
		return true;
	GENERAL_NAME_free(gn);
	return false;
}

static bool add_alt(X509_REQ *req, const char *const *dns, const char *const *ips)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	X509_EXTENSIONS *exts = NULL;
	bool ok = names != NULL;

	for (; ok && dns && *dns; dns++) {
		ASN1_STRING *v = ASN1_IA5STRING_new();

		if (v && ASN1_STRING_set(v, *dns, -1) != 1) {
			ASN1_STRING_free(v);
			v = NULL;
		}
		ok = add_gn(names, GEN_DNS, v);
	}
	for (; ok && ips && *ips; ips++)
		ok = add_gn(names, GEN_IPADD, a2i_IPADDRESS(*ips));
	if (ok && sk_GENERAL_NAME_num(names) > 0)
		ok = X509V3_add1_i2d(&exts, NID_subject_alt_name, names, 0, 0) == 1 &&
		     X509_REQ_add_extensions(req, exts) == 1;
	GENERAL_NAMES_free(names);
	extensions_freep(&exts);
	return ok;
}

int tls_csr_make(const char *common_name, const char *const *orgs, const char *const *dns_names,
		 const char *const *ip_addresses, char **ret_key, char **ret_csr, struct err *err)
{
	cleanup(EVP_PKEY_free) EVP_PKEY *key = EVP_EC_gen("P-256");
	cleanup(X509_REQ_free) X509_REQ *req = X509_REQ_new();
	cleanup(BIO_vfree) BIO *key_pem = BIO_new(BIO_s_mem()), *req_pem = BIO_new(BIO_s_mem());
	cleanup(free) char *key_text = NULL;
	X509_NAME *name = req ? X509_REQ_get_subject_name(req) : NULL;
	bool ok = key && name && key_pem && req_pem && X509_REQ_set_version(req, 0) == 1;

	for (; ok && orgs && *orgs; orgs++)
		ok = tls_add_name(name, NID_organizationName, *orgs);
	if (!ok || !tls_add_name(name, NID_commonName, common_name) || !add_alt(req, dns_names, ip_addresses) ||
	    X509_REQ_set_pubkey(req, key) != 1 || !X509_REQ_sign(req, key, EVP_sha256()) ||
	    PEM_write_bio_X509_REQ(req_pem, req) != 1 ||
	    PEM_write_bio_PKCS8PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) != 1)
		return tls_err(err, EIO, "make a certificate request for '%s'", common_name);
	if (bio_text(key_pem, &key_text) < 0 || bio_text(req_pem, ret_csr) < 0)
		return err_set(err, ENOMEM, "out of memory");
	*ret_key = TAKE(key_text);
	return 0;
}

/* --- signing ------------------------------------------------------------------------------------------------------ */

static bool set_times(X509 *cert, const X509 *ca, int64_t seconds)
{
	time_t now = time(NULL);
	const ASN1_TIME *end = X509_get0_notAfter(ca);

	if (!X509_time_adj_ex(X509_getm_notBefore(cert), 0, -BACKDATE_S, &now) ||
	    !X509_time_adj_ex(X509_getm_notAfter(cert), (int)(seconds / 86400), (long)(seconds % 86400), &now))
		return false;
	if (ASN1_TIME_compare(X509_get0_notAfter(cert), end) > 0)
		return X509_set1_notAfter(cert, end) == 1;
	return true;
}

/* Alternative names are taken over; every other wish is decided here. */
static bool set_extensions(X509 *cert, X509 *ca, const struct tls_csr *csr, const struct tls_sign *how)
{
	cleanup(extensions_free) X509_EXTENSIONS *exts = X509_REQ_get_extensions(csr->req);
	int at = exts ? X509v3_get_ext_by_NID(exts, NID_subject_alt_name, -1) : -1;

	if (!tls_add_extension(cert, ca, NID_basic_constraints, "critical,CA:FALSE") ||
	    !tls_add_extension(cert, ca, NID_key_usage,
			       how->encipherment ? "critical,digitalSignature,keyEncipherment"
						 : "critical,digitalSignature") ||
	    !tls_add_extension(cert, ca, NID_ext_key_usage,
			       !how->server  ? "clientAuth"
			       : how->client ? "serverAuth,clientAuth"
					     : "serverAuth") ||
	    !tls_add_extension(cert, ca, NID_authority_key_identifier, "keyid:always"))
		return false;
	return at < 0 || X509_add_ext(cert, X509v3_get_ext(exts, at), -1) == 1;
}

int tls_csr_sign(const char *ca_cert_file, const char *ca_key_file, const struct tls_csr *csr,
		 const struct tls_sign *how, char **ret, struct err *err)
{
	cleanup(EVP_PKEY_free) EVP_PKEY *ca_key = NULL;
	cleanup(X509_free) X509 *ca = NULL, *cert = NULL;
	cleanup(BIO_vfree) BIO *pem = BIO_new(BIO_s_mem());
	int r = tls_load_ca(ca_cert_file, ca_key_file, &ca, &ca_key, err);

	if (r < 0)
		return r;
	cert = X509_new();
	if (!pem || !cert || X509_set_version(cert, X509_VERSION_3) != 1 || !tls_set_serial(cert) ||
	    !set_times(cert, ca, how->seconds) ||
	    X509_set_subject_name(cert, X509_REQ_get_subject_name(csr->req)) != 1 ||
	    X509_set_issuer_name(cert, X509_get_subject_name(ca)) != 1 ||
	    X509_set_pubkey(cert, X509_REQ_get0_pubkey(csr->req)) != 1 || !set_extensions(cert, ca, csr, how) ||
	    !X509_sign(cert, ca_key, EVP_sha256()) || PEM_write_bio_X509(pem, cert) != 1)
		return tls_err(err, EIO, "sign a certificate");
	return bio_text(pem, ret) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* --- what a file holds -------------------------------------------------------------------------------------------- */

static bool seconds_of(const ASN1_TIME *t, int64_t *ret)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*ret = timegm(&tm);
	return true;
}

int tls_cert_times(const char *path, int64_t *ret_from, int64_t *ret_until, struct err *err)
{
	cleanup(free) char *text = NULL;
	cleanup(BIO_vfree) BIO *bio = NULL;
	cleanup(X509_free) X509 *cert = NULL;
	size_t len;
	int r = file_read(path, MAX_PEM_BYTES, &text, &len, err);

	if (r < 0)
		return r;
	bio = BIO_new_mem_buf(text, (int)len);
	cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	ERR_clear_error();
	if (!cert || !seconds_of(X509_get0_notBefore(cert), ret_from) ||
	    !seconds_of(X509_get0_notAfter(cert), ret_until))
		return err_set(err, EINVAL, "'%s' holds no certificate", path);
	return 0;
}
