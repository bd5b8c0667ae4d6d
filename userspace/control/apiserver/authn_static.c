/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of a file (--token-auth-file): lines of token,user,uid[,"group,group..."] as CSV, read at start. For setting a
 * cluster up and for tests; they never end. Only their SHA-256 is kept, so that comparing tells nothing of them.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/file.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "authn.h"

#define MAX_FILE   (1u << 20)
#define MAX_TOKENS 4096
#define MAX_FIELDS 8

struct static_token {
	unsigned char sum[SHA256_DIGEST_LENGTH];
	const char *user, *uid, *groups[MAX_GROUPS];
	size_t n_groups;
};

struct static_tokens {
	char *text; /* what the strings are in */
	struct static_token *v;
	size_t n;
};

/*
 * One record: fields are unquoted in place and end with a NUL. Returns what follows it, NULL: a quote is wrong.
 * Like Go's reader: a quoted field may have line ends, and "" is a quote.
 */
static char *read_record(char *p, const char *fields[MAX_FIELDS], size_t *ret_n)
{
	*ret_n = 0;
	for (;;) {
		char *start = p, *to = p, end;

		if (*p == '"') {
			for (p++; *p && (*p != '"' || p[1] == '"'); p++) {
				p += *p == '"';
				*to++ = *p;
			}
			if (*p++ != '"' || (*p && !strchr(",\r\n", *p)))
				return NULL;
		} else {
			p += strcspn(p, ",\n");
			to = p;
			while (*p != ',' && to > start && to[-1] == '\r')
				to--;
		}
		if (*p == '\r' && p[1] == '\n')
			p++;
		end = *p;
		*to = '\0';
		if (*ret_n < MAX_FIELDS)
			fields[(*ret_n)++] = start;
		if (!end)
			return p;
		p++;
		if (end == '\n')
			return p;
	}
}

/* 1: a token that is empty is nobody's. */
static int read_token(const char *const *fields, size_t n, struct static_token *t, struct err *err)
{
	char *save = NULL;

	if (n < 3)
		return err_set(err, EINVAL, "at least 3 columns (token, user name, user uid), found %zu", n);
	if (!*fields[0])
		return 1;
	if (!*fields[1])
		return err_set(err, EINVAL, "the user name is empty");
	SHA256((const unsigned char *)fields[0], strlen(fields[0]), t->sum);
	OPENSSL_cleanse((char *)fields[0], strlen(fields[0]));
	t->user = fields[1];
	t->uid = *fields[2] ? fields[2] : NULL;
	for (char *g = n > 3 ? strtok_r((char *)fields[3], ",", &save) : NULL; g; g = strtok_r(NULL, ",", &save)) {
		if (t->n_groups == MAX_GROUPS - 1)
			return err_set(err, E2BIG, "more than %d groups", MAX_GROUPS - 1);
		t->groups[t->n_groups++] = g;
	}
	t->groups[t->n_groups++] = "system:authenticated";
	return 0;
}

static int read_all(struct static_tokens *s, const char *path, struct err *err)
{
	char *p = s->text;

	for (int record = 1; *p; record++) {
		const char *fields[MAX_FIELDS];
		struct static_token t = { .user = NULL };
		struct static_token *v;
		size_t n;
		int r;

		if (*p == '\n' || (*p == '\r' && p[1] == '\n')) { /* an empty line */
			p += *p == '\r' ? 2 : 1;
			record--;
			continue;
		}
		p = read_record(p, fields, &n);
		r = p ? read_token(fields, n, &t, err) : err_set(err, EINVAL, "a quote is wrong");
		if (r < 0)
			return err_wrap(err, r, "record %d", record);
		if (r > 0) {
			log_warn("--token-auth-file '%s': record %d has an empty token, ignoring it", path, record);
			continue;
		}
		if (s->n == MAX_TOKENS)
			return err_set(err, E2BIG, "more than %d tokens", MAX_TOKENS);
		v = realloc(s->v, (s->n + 1) * sizeof(*v));
		if (!v)
			return err_set(err, ENOMEM, "out of memory");
		s->v = v;
		s->v[s->n++] = t;
	}
	return 0;
}

int static_tokens_load(const char *path, struct static_tokens **ret, struct err *err)
{
	struct static_tokens *s = calloc(1, sizeof(*s));
	size_t len;
	int r;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	r = file_read(path, MAX_FILE, &s->text, &len, err);
	if (!r && strlen(s->text) != len)
		r = err_set(err, EINVAL, "a NUL is in it");
	if (!r)
		r = read_all(s, path, err);
	if (r < 0) {
		static_tokens_free(s);
		return err_wrap(err, r, "--token-auth-file '%s'", path);
	}
	*ret = s;
	return 0;
}

void static_tokens_free(struct static_tokens *s)
{
	if (!s)
		return;
	free(s->text);
	free(s->v);
	free(s);
}

/* The last one with the token, as in Kubernetes. */
bool static_token_find(const struct static_tokens *s, const char *token, struct identity *ret)
{
	unsigned char sum[SHA256_DIGEST_LENGTH];

	if (!s)
		return false;
	SHA256((const unsigned char *)token, strlen(token), sum);
	for (size_t i = s->n; i-- > 0;) {
		if (CRYPTO_memcmp(s->v[i].sum, sum, sizeof(sum)) != 0)
			continue;
		*ret = (struct identity){ .user = s->v[i].user,
					  .uid = s->v[i].uid,
					  .groups = s->v[i].groups,
					  .n_groups = s->v[i].n_groups,
					  .authenticated = true };
		return true;
	}
	return false;
}
