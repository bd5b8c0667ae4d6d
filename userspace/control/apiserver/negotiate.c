/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Accept header: which of the forms we have the client likes best. Alternatives are tried by their q, then exact
 * types before wildcards, then in the order they stand; the first that can be served is taken. So kubectl's "as a
 * Table, or else plain" and client-go's "protobuf, or else JSON" find the best there is for the kind asked for.
 */
#include "apiserver-internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

#define MAX_CHOICES 32 /* further ones are ignored */

struct choice {
	char *type; /* lower-case letters not ensured */
	const char *as, *v, *g;
	double q;
};

struct accept {
	char *mem;
	struct choice v[MAX_CHOICES];
	size_t n;
};

static char *trim(char *s)
{
	char *end;

	while (*s == ' ' || *s == '\t')
		s++;
	end = s + strlen(s);
	while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	return s;
}

static int wildcards(const struct choice *x)
{
	return !strncmp(x->type, "*/", 2) ? 2 : str_ends(x->type, "/*") ? 1 : 0;
}

static void add(struct accept *a, char *range)
{
	struct choice x = { .q = 1 };
	char *save = NULL, *p = strtok_r(range, ";", &save);
	size_t i;

	if (!p || a->n == MAX_CHOICES)
		return;
	x.type = trim(p);
	while ((p = strtok_r(NULL, ";", &save))) {
		p = trim(p);
		if (!strncasecmp(p, "q=", 2))
			x.q = strtod(p + 2, NULL);
		else if (str_starts(p, "as="))
			x.as = p + 3;
		else if (str_starts(p, "v="))
			x.v = p + 2;
		else if (str_starts(p, "g="))
			x.g = p + 2;
	}
	if (!*x.type || !(x.q > 0))
		return;
	for (i = a->n; i > 0; i--) {
		const struct choice *before = &a->v[i - 1];

		if (before->q > x.q || (before->q == x.q && wildcards(before) <= wildcards(&x)))
			break;
	}
	memmove(&a->v[i + 1], &a->v[i], (a->n - i) * sizeof(x));
	a->v[i] = x;
	a->n++;
}

/* An absent or empty header takes anything. -1: out of memory. */
static int parse(const char *header, struct accept *a)
{
	char *save = NULL;

	a->n = 0;
	a->mem = strdup(header && *header ? header : "*/*");
	if (!a->mem)
		return -1;
	for (char *p = strtok_r(a->mem, ",", &save); p; p = strtok_r(NULL, ",", &save))
		add(a, p);
	return 0;
}

static bool matches(const char *range, const char *type)
{
	size_t len = strlen(range);

	if (!strcmp(range, "*/*") || !strcasecmp(range, type))
		return true;
	return len > 2 && !strcmp(range + len - 2, "/*") && !strncasecmp(range, type, len - 1);
}

const char *accept_choose(const char *header, const char *const *types)
{
	struct accept a;
	const char *ret = NULL;

	if (parse(header, &a) < 0)
		return types[0];
	for (size_t i = 0; i < a.n && !ret; i++)
		for (const char *const *t = types; *t && !ret; t++)
			if (!a.v[i].as && matches(a.v[i].type, *t))
				ret = *t;
	free(a.mem);
	return ret;
}

/* --- forms of objects --------------------------------------------------------------------------------------------- */

#define JSON "application/json"
#define YAML "application/yaml"

static bool as_form(const struct choice *x, enum repr *ret)
{
	if (!streq(x->g, "meta.k8s.io") || !streq(x->v, "v1"))
		return false;
	if (streq(x->as, "Table")) {
		*ret = REPR_TABLE;
		return matches(x->type, JSON);
	}
	if (!streq(x->as, "PartialObjectMetadata") && !streq(x->as, "PartialObjectMetadataList"))
		return false;
	*ret = matches(x->type, JSON) ? REPR_META : REPR_META_PROTOBUF;
	return *ret == REPR_META || matches(x->type, PROTOBUF_TYPE);
}

static bool can(const struct call *c, const struct choice *x, enum repr *ret)
{
	bool whole = c->res && (!c->sub[0] || streq(c->sub, "status") || pod_sub_of(c));

	if (x->as)
		return whole && as_form(x, ret);
	if (matches(x->type, JSON)) {
		*ret = REPR_JSON;
		return true;
	}
	if (matches(x->type, YAML)) {
		*ret = REPR_YAML;
		return !streq(c->verb, "watch"); /* a stream of documents has no frames */
	}
	*ret = REPR_PROTOBUF;
	return matches(x->type, PROTOBUF_TYPE) && (!whole || api_protobuf_has(c->res->kind->type));
}

bool call_choose_repr(struct call *c)
{
	const char *header = c->req ? http_req_header(c->req, "accept") : NULL;
	struct accept a;
	bool found = false;

	c->repr = REPR_JSON;
	c->negotiated = true;
	if (!header || parse(header, &a) < 0)
		return true;
	for (size_t i = 0; i < a.n && !found; i++)
		found = can(c, &a.v[i], &c->repr);
	free(a.mem);
	if (!found)
		c->repr = REPR_JSON;
	c->wants_protobuf = found && (c->repr == REPR_PROTOBUF || c->repr == REPR_META_PROTOBUF);
	return found;
}

int call_negotiate(struct call *c)
{
	/* Text of others: only errors are ours. */
	if (call_choose_repr(c) || streq(c->sub, "proxy") || streq(c->sub, "log"))
		return 0;
	if (c->res && api_protobuf_has(c->res->kind->type))
		call_not_acceptable(c, streq(c->verb, "watch") ? JSON ", " PROTOBUF_TYPE
							       : JSON ", " YAML ", " PROTOBUF_TYPE);
	else
		call_not_acceptable(c, streq(c->verb, "watch") ? JSON : JSON ", " YAML);
	return -1;
}

void call_not_acceptable(struct call *c, const char *types)
{
	call_status(c, 406, "NotAcceptable", "only the following media types are accepted: %s", types);
}
