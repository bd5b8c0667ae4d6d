/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of roles and bindings. A binding is in the list of each of its subjects, by the namespace it holds for;
 * it points to its role's slot, which is there, empty, before and after the role itself.
 */
#include "rbac.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "../../lib/base/strmap.h"
#include "apiserver-internal.h"

#define SEP	      '\x1f' /* between the parts of a key */
#define SA_PREFIX     "system:serviceaccount:"
#define MAX_NOT_FOUND 8 /* roles named in a reason */

struct role {
	struct rbac_rules rules;
	bool present;
	size_t refs; /* bindings */
	char key[];  /* namespace SEP name */
};

struct holder { /* who has bindings: one subject in one namespace, or everywhere */
	size_t n, cap;
	struct binding **v;
	char key[];
};

struct subject {
	struct holder *holder;
	const char *text; /* User "x" */
};
struct binding {
	struct arena arena; /* holds the strings and itself not */
	const char *ns, *name, *role_kind, *role_name;
	struct role *role;
	size_t n_subjects;
	struct subject *subjects;
};

struct rbac {
	struct strmap *roles, *bindings, *holders;
};

/* --- rules -------------------------------------------------------------------------------------------------------- */

static int words_parse(struct arena *a, const json_t *list, struct words *ret)
{
	size_t i, n = json_array_size(list);
	json_t *s;

	*ret = (struct words){ 0 };
	if (!n)
		return 0;
	ret->v = arena_calloc(a, n, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	json_array_foreach (list, i, s) {
		if (!json_is_string(s))
			continue;
		ret->v[ret->n] = arena_strdup(a, json_string_value(s));
		if (!ret->v[ret->n++])
			return -ENOMEM;
	}
	return 0;
}

int rbac_rules_parse(const json_t *rules, struct rbac_rules *ret)
{
	struct rbac_rules out = { ARENA_INIT, 0, NULL };
	size_t i, n = json_array_size(rules);
	json_t *rule;

	*ret = out;
	if (!n)
		return 0;
	out.v = arena_calloc(&out.arena, n, sizeof(*out.v));
	if (!out.v)
		goto oom;
	json_array_foreach (rules, i, rule) {
		struct rbac_rule *r = &out.v[out.n++];

		if (words_parse(&out.arena, json_object_get(rule, "verbs"), &r->verbs) < 0 ||
		    words_parse(&out.arena, json_object_get(rule, "apiGroups"), &r->groups) < 0 ||
		    words_parse(&out.arena, json_object_get(rule, "resources"), &r->resources) < 0 ||
		    words_parse(&out.arena, json_object_get(rule, "resourceNames"), &r->names) < 0 ||
		    words_parse(&out.arena, json_object_get(rule, "nonResourceURLs"), &r->urls) < 0)
			goto oom;
	}
	*ret = out;
	return 0;
oom:
	arena_done(&out.arena);
	return -ENOMEM;
}

void rbac_rules_done(struct rbac_rules *r)
{
	arena_done(&r->arena);
	r->n = 0;
	r->v = NULL;
}

/* The word, or "*". */
static bool has(const struct words *w, const char *word)
{
	for (size_t i = 0; i < w->n; i++)
		if (streq(w->v[i], word) || streq(w->v[i], "*"))
			return true;
	return false;
}

static bool has_resource(const struct words *w, const char *resource, const char *sub)
{
	size_t len = strlen(resource);

	for (size_t i = 0; i < w->n; i++) {
		const char *s = w->v[i];

		if (streq(s, "*"))
			return true;
		if (!*sub ? streq(s, resource)
			  : ((!strncmp(s, resource, len) && s[len] == '/' && streq(s + len + 1, sub)) ||
			     (s[0] == '*' && s[1] == '/' && streq(s + 2, sub))))
			return true;
	}
	return false;
}

static bool has_url(const struct words *w, const char *path)
{
	for (size_t i = 0; i < w->n; i++) {
		const char *s = w->v[i];
		size_t len = strlen(s);

		if (streq(s, path) || (len && s[len - 1] == '*' && !strncmp(s, path, len - 1)))
			return true;
	}
	return false;
}

static bool has_name(const struct words *w, const char *name)
{
	if (!w->n)
		return true;
	for (size_t i = 0; i < w->n; i++)
		if (streq(w->v[i], name))
			return true;
	return false;
}

bool rbac_rule_allows(const struct rbac_rule *rule, const struct authz_request *a)
{
	if (!has(&rule->verbs, a->verb))
		return false;
	if (a->path)
		return has_url(&rule->urls, a->path);
	return has(&rule->groups, a->group) && has_resource(&rule->resources, a->resource, a->sub) &&
	       has_name(&rule->names, a->name);
}

/* --- the index ---------------------------------------------------------------------------------------------------- */

struct rbac *rbac_new(void)
{
	struct rbac *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->roles = strmap_new();
	r->bindings = strmap_new();
	r->holders = strmap_new();
	if (!r->roles || !r->bindings || !r->holders) {
		rbac_free(r);
		return NULL;
	}
	return r;
}

static void role_free(struct role *role)
{
	rbac_rules_done(&role->rules);
	free(role);
}

static void binding_free(struct binding *b)
{
	arena_done(&b->arena);
	free(b);
}

void rbac_free(struct rbac *r)
{
	if (!r)
		return;
	for (struct strmap_iter it = { 0 }; r->bindings && strmap_next(r->bindings, &it);)
		binding_free(it.value);
	for (struct strmap_iter it = { 0 }; r->roles && strmap_next(r->roles, &it);)
		role_free(it.value);
	for (struct strmap_iter it = { 0 }; r->holders && strmap_next(r->holders, &it);) {
		struct holder *h = it.value;

		free(h->v);
		free(h);
	}
	strmap_free(r->bindings);
	strmap_free(r->roles);
	strmap_free(r->holders);
	free(r);
}

static const char *make_key(struct strbuf *sb, const char *ns, const char *name)
{
	strbuf_clear(sb);
	strbuf_adds(sb, ns);
	strbuf_addc(sb, SEP);
	strbuf_adds(sb, name);
	return strbuf_oom(sb) ? NULL : sb->buf;
}

/* kind: 'U' or 'G'. */
static const char *holder_key(struct strbuf *sb, const char *ns, char kind, const char *name)
{
	strbuf_clear(sb);
	strbuf_adds(sb, ns);
	strbuf_addc(sb, SEP);
	strbuf_addc(sb, kind);
	strbuf_adds(sb, name);
	return strbuf_oom(sb) ? NULL : sb->buf;
}

static struct role *role_slot(struct rbac *r, const char *key)
{
	struct role *role = strmap_get(r->roles, key);
	size_t len = strlen(key) + 1;

	if (role)
		return role;
	role = calloc(1, sizeof(*role) + len);
	if (!role)
		return NULL;
	memcpy(role->key, key, len);
	if (strmap_set(r->roles, key, role, NULL) < 0) {
		free(role);
		return NULL;
	}
	return role;
}

static void role_release(struct rbac *r, struct role *role)
{
	if (role->present || role->refs)
		return;
	strmap_del(r->roles, role->key);
	role_free(role);
}

int rbac_set_role(struct rbac *r, const char *ns, const char *name, const json_t *obj)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	const char *key = make_key(&sb, ns, name);
	struct role *role = key ? role_slot(r, key) : NULL;
	int ret = 0;

	if (!role)
		return -ENOMEM;
	rbac_rules_done(&role->rules);
	role->present = obj != NULL;
	if (obj)
		ret = rbac_rules_parse(json_object_get(obj, "rules"), &role->rules);
	role_release(r, role);
	return ret;
}

const struct rbac_rules *rbac_role(const struct rbac *r, const char *ns, const char *name)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	const char *key = make_key(&sb, ns, name);
	const struct role *role = key ? strmap_get(r->roles, key) : NULL;

	return role && role->present ? &role->rules : NULL;
}

static struct holder *holder_slot(struct rbac *r, const char *key)
{
	struct holder *h = strmap_get(r->holders, key);
	size_t len = strlen(key) + 1;

	if (h)
		return h;
	h = calloc(1, sizeof(*h) + len);
	if (!h)
		return NULL;
	memcpy(h->key, key, len);
	if (strmap_set(r->holders, key, h, NULL) < 0) {
		free(h);
		return NULL;
	}
	return h;
}

static int holder_add(struct holder *h, struct binding *b)
{
	if (h->n == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : 4;
		struct binding **v = realloc(h->v, cap * sizeof(struct binding *));

		if (!v)
			return -ENOMEM;
		h->v = v;
		h->cap = cap;
	}
	h->v[h->n++] = b;
	return 0;
}

static void holder_drop(struct rbac *r, struct holder *h, const struct binding *b)
{
	for (size_t i = 0; b && i < h->n; i++)
		if (h->v[i] == b) {
			h->v[i] = h->v[--h->n];
			break;
		}
	if (h->n)
		return;
	strmap_del(r->holders, h->key);
	free(h->v);
	free(h);
}

static void binding_remove(struct rbac *r, struct binding *b)
{
	for (size_t i = 0; i < b->n_subjects; i++)
		holder_drop(r, b->subjects[i].holder, b);
	if (b->role) {
		b->role->refs--;
		role_release(r, b->role);
	}
	binding_free(b);
}

/* A service account is the user it acts as. 0: not a subject that anybody can be. */
static int subject_add(struct rbac *r, struct binding *b, const json_t *s, struct strbuf *sb)
{
	const char *kind = api_get_str(s, "kind"), *name = api_get_str(s, "name"), *ns = api_get_str(s, "namespace");
	struct subject *to = &b->subjects[b->n_subjects];
	const char *key;

	if (!kind || !name || !*name)
		return 0;
	if (streq(kind, "ServiceAccount")) {
		cleanup(strbuf_done) struct strbuf user = STRBUF_INIT;

		if (!ns || !*ns)
			ns = b->ns;
		if (!*ns)
			return 0;
		strbuf_addf(&user, SA_PREFIX "%s:%s", ns, name);
		key = strbuf_oom(&user) ? NULL : holder_key(sb, b->ns, 'U', user.buf);
		to->text = arena_printf(&b->arena, "ServiceAccount \"%s/%s\"", name, ns);
	} else if (streq(kind, "User") || streq(kind, "Group")) {
		key = holder_key(sb, b->ns, *kind, name);
		to->text = arena_printf(&b->arena, "%s \"%s\"", kind, name);
	} else {
		return 0;
	}
	to->holder = key && to->text ? holder_slot(r, key) : NULL;
	if (!to->holder)
		return -ENOMEM;
	if (holder_add(to->holder, b) < 0) {
		holder_drop(r, to->holder, NULL);
		return -ENOMEM;
	}
	b->n_subjects++;
	return 0;
}

static int binding_add(struct rbac *r, const char *map_key, const char *ns, const char *name, const json_t *obj)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	const json_t *subjects = json_object_get(obj, "subjects"), *s;
	const char *kind = api_get_str(obj, "roleRef.kind"), *role = api_get_str(obj, "roleRef.name"), *key;
	struct binding *b;
	size_t i;

	if (!kind || !role)
		return 0;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->ns = arena_strdup(&b->arena, ns);
	b->name = arena_strdup(&b->arena, name);
	b->role_kind = streq(kind, "Role") ? "Role" : "ClusterRole";
	b->role_name = arena_strdup(&b->arena, role);
	b->subjects = arena_calloc(&b->arena, json_array_size(subjects) + 1, sizeof(*b->subjects));
	key = make_key(&sb, streq(kind, "Role") ? ns : "", role);
	if (!b->ns || !b->name || !b->role_name || !b->subjects || !key)
		goto oom;
	b->role = role_slot(r, key);
	if (!b->role)
		goto oom;
	b->role->refs++;
	json_array_foreach (subjects, i, s)
		if (subject_add(r, b, s, &sb) < 0)
			goto oom;
	if (strmap_set(r->bindings, map_key, b, NULL) < 0)
		goto oom;
	return 0;
oom:
	binding_remove(r, b);
	return -ENOMEM;
}

int rbac_set_binding(struct rbac *r, const char *ns, const char *name, const json_t *obj)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	const char *key = make_key(&sb, ns, name);
	struct binding *old;

	if (!key)
		return -ENOMEM;
	old = strmap_del(r->bindings, key);
	if (old)
		binding_remove(r, old);
	return obj ? binding_add(r, key, ns, name, obj) : 0;
}

/* --- questions ---------------------------------------------------------------------------------------------------- */

static const char *text_of(const struct binding *b, const struct holder *h)
{
	for (size_t i = 0; i < b->n_subjects; i++)
		if (b->subjects[i].holder == h)
			return b->subjects[i].text;
	return "";
}

static bool visit_holder(const struct rbac *r, const char *key, rbac_visit_fn *fn, void *arg)
{
	const struct holder *h = key ? strmap_get(r->holders, key) : NULL;

	for (size_t i = 0; h && i < h->n; i++) {
		const struct binding *b = h->v[i];
		struct rbac_source source = { b->ns, b->name, b->role_kind, b->role_name, text_of(b, h) };

		if (!b->role->present && !fn(arg, &source, NULL))
			return false;
		for (size_t j = 0; j < b->role->rules.n; j++)
			if (!fn(arg, &source, &b->role->rules.v[j]))
				return false;
	}
	return true;
}

void rbac_visit(const struct rbac *r, const struct identity *who, const char *ns, rbac_visit_fn *fn, void *arg)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	const char *scopes[] = { "", ns };

	for (size_t s = 0; s < (*ns ? 2 : 1); s++) {
		if (!visit_holder(r, holder_key(&sb, scopes[s], 'U', who->user), fn, arg))
			return;
		for (size_t i = 0; i < who->n_groups; i++)
			if (!visit_holder(r, holder_key(&sb, scopes[s], 'G', who->groups[i]), fn, arg))
				return;
	}
}

struct question {
	const struct authz_request *a;
	struct strbuf *reason;
	bool allowed;
	size_t not_found;
};

static bool ask(void *arg, const struct rbac_source *src, const struct rbac_rule *rule)
{
	struct question *q = arg;

	if (!rule) {
		if (q->reason && q->not_found++ < MAX_NOT_FOUND)
			strbuf_addf(q->reason, "%s%s.rbac.authorization.k8s.io \"%s\" not found",
				    q->reason->len ? ", " : "RBAC: ",
				    streq(src->role_kind, "Role") ? "role" : "clusterrole", src->role);
		return true;
	}
	if (!rbac_rule_allows(rule, q->a))
		return true;
	q->allowed = true;
	if (q->reason) {
		bool cluster = !src->binding_ns[0];

		strbuf_clear(q->reason);
		strbuf_addf(q->reason, "RBAC: allowed by %sRoleBinding \"%s%s%s\" of %s \"%s\" to %s",
			    cluster ? "Cluster" : "", src->binding, cluster ? "" : "/", src->binding_ns, src->role_kind,
			    src->role, src->subject);
	}
	return false;
}

bool rbac_allows(const struct rbac *r, const struct authz_request *a, struct strbuf *reason)
{
	struct question q = { a, reason, false, 0 };

	if (reason)
		strbuf_clear(reason);
	/* Paths have no namespace: only what is bound everywhere counts. */
	rbac_visit(r, a->who, a->path || !a->ns ? "" : a->ns, ask, &q);
	return q.allowed;
}
