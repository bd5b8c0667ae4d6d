/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether rules somebody has include rules they want to hand out. A wanted rule is multiplied out into single
 * permissions (one verb on one resource, name or path); each must be within one owned rule. Work is bounded, since
 * clients write the rules.
 */
#include "rbac.h"

#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

#define MAX_LOOKS   4000000 /* owned rules looked at for one request */
#define MAX_MISSING 32	    /* permissions told */

struct one { /* path NULL: a resource; name NULL: any */
	const char *verb, *group, *resource, *name, *path;
};

static bool all(const struct words *w, const char *word)
{
	for (size_t i = 0; i < w->n; i++)
		if (streq(w->v[i], word) || streq(w->v[i], "*"))
			return true;
	return false;
}

static bool owns_resource(const struct words *w, const char *resource)
{
	const char *slash = strchr(resource, '/');

	for (size_t i = 0; i < w->n; i++) {
		const char *s = w->v[i];

		if (streq(s, "*") || streq(s, resource))
			return true;
		if (slash && s[0] == '*' && streq(s + 1, slash))
			return true;
	}
	return false;
}

static bool owns_path(const struct words *w, const char *path)
{
	for (size_t i = 0; i < w->n; i++) {
		size_t len = strlen(w->v[i]);

		if (streq(w->v[i], path) || (len && w->v[i][len - 1] == '*' && !strncmp(w->v[i], path, len - 1)))
			return true;
	}
	return false;
}

static bool rule_covers(const struct rbac_rule *r, const struct one *o)
{
	if (!all(&r->verbs, o->verb))
		return false;
	if (o->path)
		return owns_path(&r->urls, o->path);
	if (!all(&r->groups, o->group) || !owns_resource(&r->resources, o->resource))
		return false;
	if (!r->names.n)
		return true;
	for (size_t i = 0; o->name && i < r->names.n; i++)
		if (streq(r->names.v[i], o->name))
			return true;
	return false;
}

struct cover {
	const struct rbac_rule *const *owned;
	size_t n, looks, told;
	struct strbuf *missing;
	bool ok;
};

static bool covered(struct cover *c, const struct one *o)
{
	for (size_t i = 0; i < c->n; i++) {
		if (c->looks++ >= MAX_LOOKS)
			return false;
		if (rule_covers(c->owned[i], o))
			return true;
	}
	return false;
}

static void add_list(struct strbuf *sb, const char *name, const char *word)
{
	strbuf_addf(sb, "%s:[", name);
	strbuf_add_json(sb, word);
	strbuf_adds(sb, "], ");
}

/* All verbs on one thing: those that are not owned make one line. */
static void check_thing(struct cover *c, const struct words *verbs, struct one o)
{
	size_t n = 0;

	for (size_t i = 0; i < verbs->n; i++) {
		o.verb = verbs->v[i];
		if (covered(c, &o))
			continue;
		c->ok = false;
		if (c->told >= MAX_MISSING)
			return;
		if (!n++) {
			strbuf_adds(c->missing, c->missing->len ? "\n{" : "{");
			if (o.path) {
				add_list(c->missing, "NonResourceURLs", o.path);
			} else {
				add_list(c->missing, "APIGroups", o.group);
				add_list(c->missing, "Resources", o.resource);
				if (o.name)
					add_list(c->missing, "ResourceNames", o.name);
			}
			strbuf_adds(c->missing, "Verbs:[");
		}
		strbuf_adds(c->missing, n > 1 ? " " : "");
		strbuf_add_json(c->missing, o.verb);
	}
	if (!n)
		return;
	strbuf_adds(c->missing, "]}");
	c->told++;
}

bool rbac_covers(const struct rbac_rule *const *owned, size_t n, const struct rbac_rules *wanted,
		 struct strbuf *missing)
{
	struct cover c = { owned, n, 0, 0, missing, true };

	for (size_t i = 0; i < wanted->n; i++) {
		const struct rbac_rule *r = &wanted->v[i];

		for (size_t u = 0; u < r->urls.n; u++)
			check_thing(&c, &r->verbs, (struct one){ .path = r->urls.v[u] });
		for (size_t g = 0; g < r->groups.n; g++)
			for (size_t s = 0; s < r->resources.n; s++)
				for (size_t m = 0; m < (r->names.n ? r->names.n : 1); m++) {
					if (!c.ok && (c.told >= MAX_MISSING || c.looks >= MAX_LOOKS))
						return false;
					check_thing(&c, &r->verbs,
						    (struct one){ .group = r->groups.v[g],
								  .resource = r->resources.v[s],
								  .name = r->names.n ? r->names.v[m] : NULL });
				}
	}
	return c.ok;
}
