/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /openapi: version 2 as JSON and as gnostic's protobuf, version 3 per group. A document is made when it is first asked
 * for and kept, plain and in gzip, until kinds come or go (openapi_forget()). Every document's ETag is a digest of its
 * bytes; version 3's addresses carry it, so that clients keep what they have for ever.
 */
#include "apiserver-internal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

#define V2_PROTOBUF	"application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
#define V2_PROTOBUF_OLD "application/com.github.proto-openapi.spec.v2@v1.0+protobuf" /* kubectl before 1.27 */
#define DIGEST_HEX	65

struct document {
	struct document *next;
	char path[200]; /* and "+protobuf" */
	char digest[DIGEST_HEX];
	struct http_buf *plain; /* NULL: only the digest was needed so far */
	struct http_buf *gzip;
};

void openapi_forget(struct apiserver *s)
{
	struct document *d;

	while ((d = s->documents)) {
		s->documents = d->next;
		if (d->plain)
			http_buf_unref(d->plain);
		if (d->gzip)
			http_buf_unref(d->gzip);
		free(d);
	}
}

static int make_v2(struct apiserver *s, bool protobuf, struct strbuf *out);
static int make_v3(struct apiserver *s, const char *path, struct strbuf *out);
static int make_index(struct apiserver *s, struct strbuf *out);

/* 0, -ENOENT, -ENOMEM */
static int make(struct apiserver *s, const char *path, struct strbuf *out)
{
	if (streq(path, "/openapi/v2") || streq(path, "/openapi/v2+protobuf"))
		return make_v2(s, str_ends(path, "+protobuf"), out);
	if (streq(path, "/openapi/v3"))
		return make_index(s, out);
	return make_v3(s, path, out);
}

static void digest_of(const struct strbuf *text, char *ret)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (EVP_Digest(text->buf, text->len, digest, &len, EVP_sha256(), NULL) != 1)
		len = 0;
	for (unsigned i = 0; i < len; i++)
		snprintf(ret + i * 2, 3, "%02X", digest[i]);
}

/* bytes: whether the caller needs the text too, and not only the digest. */
static int find(struct apiserver *s, const char *path, bool bytes, struct document **ret)
{
	cleanup(strbuf_done) struct strbuf text = STRBUF_INIT, packed = STRBUF_INIT;
	struct document *d = s->documents;
	int r;

	while (d && !streq(d->path, path))
		d = d->next;
	if (d && (d->plain || !bytes)) {
		*ret = d;
		return 0;
	}
	if (strlen(path) >= sizeof(d->path))
		return -ENOENT;
	r = make(s, path, &text);
	if (r < 0)
		return r;
	if (!d) {
		d = calloc(1, sizeof(*d));
		if (!d)
			return -ENOMEM;
		strcpy(d->path, path);
		digest_of(&text, d->digest);
		d->next = s->documents;
		s->documents = d;
	}
	if (bytes) {
		d->plain = http_buf_new(text.buf, text.len);
		if (!d->plain)
			return -ENOMEM;
		if (gzip_whole(text.buf, text.len, &packed) == 0)
			d->gzip = http_buf_new(packed.buf, packed.len);
	}
	*ret = d;
	return 0;
}

static int dump(const char *data, size_t len, void *arg)
{
	struct strbuf *out = arg;

	strbuf_add(out, data, len);
	return out->oom ? -1 : 0;
}

static int write_out(json_t *v, struct strbuf *out)
{
	int r = v ? json_dump_callback(v, dump, out, JSON_COMPACT) : -1;

	json_decref(v);
	return r < 0 ? -ENOMEM : 0;
}

static int make_v2(struct apiserver *s, bool protobuf, struct strbuf *out)
{
	json_t *v = api_openapi_v2(&s->kinds);
	int r;

	if (!protobuf)
		return write_out(v, out);
	r = v ? api_openapi_v2_protobuf(v, out) : -ENOMEM;
	json_decref(v);
	return r;
}

static int make_v3(struct apiserver *s, const char *path, struct strbuf *out)
{
	char group[128] = "", version[64];
	int used = 0;
	json_t *v;

	if (sscanf(path, "/openapi/v3/apis/%127[^/]/%63[^/]%n", group, version, &used) != 2) {
		group[0] = '\0';
		if (sscanf(path, "/openapi/v3/api/%63[^/]%n", version, &used) != 1)
			return -ENOENT;
	}
	if (path[used])
		return -ENOENT;
	v = api_openapi_v3(&s->kinds, group, version);
	return v ? write_out(v, out) : -ENOENT;
}

static int make_index(struct apiserver *s, struct strbuf *out)
{
	json_t *v = api_openapi_v3_index(&s->kinds), *entry;
	const char *key;

	json_object_foreach (json_object_get(v, "paths"), key, entry) {
		const char *url = api_get_str(entry, "serverRelativeURL");
		struct document *d;
		char hashed[400];

		if (!url || find(s, url, false, &d) < 0)
			continue;
		snprintf(hashed, sizeof(hashed), "%s?hash=%s", url, d->digest);
		json_object_set_new(entry, "serverRelativeURL", json_string(hashed));
	}
	return write_out(v, out);
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void answer(struct call *c, const char *path, const char *type)
{
	const char *have = http_req_header(c->req, "if-none-match"), *hash = http_req_query(c->req, "hash");
	struct document *d = NULL;
	char etag[DIGEST_HEX + 2];
	int r = find(c->s, path, true, &d);

	if (r == -ENOENT) {
		call_status(c, 404, "NotFound", "the server could not find the requested resource");
		return;
	}
	if (r < 0) {
		call_oom(c);
		return;
	}
	if (hash && !streq(hash, d->digest) && str_starts(path, "/openapi/v3/")) {
		char to[400];

		/* An address of before: it must not be kept under that name. */
		snprintf(to, sizeof(to), "%s?hash=%s", path, d->digest);
		http_add_header(c->req, "Location", to);
		call_bytes(c, 301, "text/plain; charset=utf-8", "Moved Permanently\n", 18);
		return;
	}
	snprintf(etag, sizeof(etag), "\"%s\"", d->digest);
	http_add_header(c->req, "Etag", etag);
	http_add_header(c->req, "Vary", "Accept");
	if (hash) {
		/* The address changes with the contents: it may be kept for ever. */
		http_add_header(c->req, "Cache-Control", "public, immutable");
		http_add_header(c->req, "Expires", "Thu, 31 Dec 2099 23:59:59 GMT");
	}
	if (have && (strstr(have, etag) || streq(have, "*"))) {
		call_bytes(c, 304, type, "", 0);
		return;
	}
	if (d->gzip && gzip_accepted(c)) {
		gzip_announce(c);
		call_typed_buf(c, 200, type, d->gzip);
	} else {
		call_typed_buf(c, 200, type, d->plain);
	}
}

/* Which form of version 2: the first of the client's choices that there is. */
static const char *v2_type(struct call *c)
{
	static const char *const types[] = { "application/json", V2_PROTOBUF, V2_PROTOBUF_OLD, NULL };

	return accept_choose(http_req_header(c->req, "accept"), types);
}

static bool v3_acceptable(struct call *c)
{
	static const char *const types[] = { "application/json", NULL };

	return accept_choose(http_req_header(c->req, "accept"), types) != NULL;
}

bool openapi_handle(struct call *c, const char *path)
{
	if (streq(path, "/openapi/v2")) {
		const char *type = v2_type(c);

		if (!type)
			call_not_acceptable(c, "application/json, " V2_PROTOBUF);
		else if (streq(type, "application/json"))
			answer(c, path, type);
		else
			answer(c, "/openapi/v2+protobuf", V2_PROTOBUF);
		return true;
	}
	if (!streq(path, "/openapi/v3") && !str_starts(path, "/openapi/v3/"))
		return false;
	if (v3_acceptable(c))
		answer(c, path, "application/json");
	else
		call_not_acceptable(c, "application/json");
	return true;
}
