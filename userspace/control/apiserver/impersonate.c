/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Impersonation: who is allowed to asks as somebody else (Impersonate-User, -Group, -Uid, -Extra-*). Every name taken
 * on is a resource that the verb "impersonate" is needed for, as in Kubernetes; what the real user is stays in
 * call.real.
 */
#include "authn.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

#define EXTRA_PREFIX  "impersonate-extra-"
#define SA_PREFIX     "system:serviceaccount:"
#define AUTHENTICATED "system:authenticated"
#define ANY_AUTHN     "authentication.k8s.io"

/* Whom the headers name. Keys of extra are unescaped copies. */
struct wish {
	struct identity who;
	const char *groups[MAX_GROUPS];
	struct identity_extra extra[MAX_EXTRA];
	char *keys[MAX_EXTRA];
	char *strings[2]; /* groups of a service account */
	const char *why;  /* what is wrong with the headers; NULL: nothing */
};

static void wish_donep(struct wish *w)
{
	for (size_t i = 0; i < MAX_EXTRA; i++)
		free(w->keys[i]);
	free(w->strings[0]);
	free(w->strings[1]);
}

/* Header names are lower case by now; a key is percent-encoded in them. */
static char *unescape(const char *s)
{
	char *out = malloc(strlen(s) + 1), *p = out;

	for (; out && *s; s++) {
		if (s[0] == '%' && isxdigit((unsigned char)s[1]) && isxdigit((unsigned char)s[2])) {
			char hex[3] = { s[1], s[2], '\0' };
			char c = (char)strtol(hex, NULL, 16);

			if (c) {
				*p++ = c;
				s += 2;
				continue;
			}
		}
		*p++ = *s;
	}
	if (out)
		*p = '\0';
	return out;
}

static void add_group(struct wish *w, const char *group)
{
	if (identity_in_group(&w->who, group))
		return;
	if (w->who.n_groups == MAX_GROUPS)
		w->why = "too many groups to impersonate";
	else
		w->who.groups[w->who.n_groups++] = group;
}

static void add_extra(struct wish *w, const char *name, const char *value)
{
	struct identity *who = &w->who;

	if (who->n_extra == MAX_EXTRA) {
		w->why = "too much extra to impersonate";
		return;
	}
	w->keys[who->n_extra] = unescape(name);
	if (!w->keys[who->n_extra] || !w->keys[who->n_extra][0]) {
		w->why = "a key of extra is empty";
		return;
	}
	w->extra[who->n_extra] = (struct identity_extra){ w->keys[who->n_extra], value };
	who->n_extra++;
}

static bool read_headers(struct http_req *req, struct wish *w)
{
	const char *name, *value;
	bool any = false;

	w->who.extra = w->extra;
	for (size_t i = 0; !w->why && (value = http_req_header_at(req, i, &name)); i++) {
		if (!str_starts(name, "impersonate-"))
			continue;
		any = true;
		if (streq(name, "impersonate-user"))
			w->who.user = value;
		else if (streq(name, "impersonate-uid"))
			w->who.uid = value;
		else if (streq(name, "impersonate-group"))
			add_group(w, value);
		else if (str_starts(name, EXTRA_PREFIX))
			add_extra(w, name + strlen(EXTRA_PREFIX), value);
	}
	if (!w->why && any && (!w->who.user || !*w->who.user))
		w->why = "requested attributes of a user without Impersonate-User";
	return any;
}

/* "system:serviceaccount:ns:name" in two; false: another user. */
static bool service_account(const char *user, char *ns, size_t size, const char **ret_name)
{
	const char *colon;

	if (!str_starts(user, SA_PREFIX))
		return false;
	user += strlen(SA_PREFIX);
	colon = strchr(user, ':');
	if (!colon || colon == user || !colon[1] || strchr(colon + 1, ':') || (size_t)(colon - user) >= size)
		return false;
	snprintf(ns, size, "%.*s", (int)(colon - user), user);
	*ret_name = colon + 1;
	return true;
}

static bool may(struct call *c, const char *group, const char *resource, const char *sub, const char *ns,
		const char *name)
{
	struct authz_request a = { .who = &c->who,
				   .verb = "impersonate",
				   .group = group,
				   .resource = resource,
				   .sub = sub,
				   .ns = ns,
				   .name = name };

	if (authz_decide(c->s, &a, NULL) == AUTHZ_ALLOW)
		return true;
	if (c->who.authenticated)
		call_status(c, 403, "Forbidden",
			    "%s%s%s%s%s \"%s\" is forbidden: User \"%s\" cannot impersonate resource \"%s%s%s\" in API "
			    "group \"%s\"%s%s%s",
			    resource, *group ? "." : "", group, *sub ? "/" : "", sub, name, c->who.user, resource,
			    *sub ? "/" : "", sub, group, *ns ? " in the namespace \"" : " at the cluster scope", ns,
			    *ns ? "\"" : "");
	else
		authn_refuse(c);
	return false;
}

static bool may_all(struct call *c, const struct wish *w)
{
	const struct identity *who = &w->who;
	const char *name;
	char ns[256];

	if (service_account(who->user, ns, sizeof(ns), &name)) {
		if (!may(c, "", "serviceaccounts", "", ns, name))
			return false;
	} else if (!may(c, "", "users", "", "", who->user)) {
		return false;
	}
	if (who->uid && !may(c, ANY_AUTHN, "uids", "", "", who->uid))
		return false;
	for (size_t i = 0; i < who->n_groups; i++)
		if (!may(c, "", "groups", "", "", who->groups[i]))
			return false;
	for (size_t i = 0; i < who->n_extra; i++)
		if (!may(c, ANY_AUTHN, "userextras", who->extra[i].key, "", who->extra[i].value))
			return false;
	return true;
}

/* Groups that come with the user, not from the headers: nothing to ask for. */
static void add_own_groups(struct wish *w)
{
	bool asked = w->who.n_groups > 0;
	const char *name;
	char ns[256];

	if (!asked && service_account(w->who.user, ns, sizeof(ns), &name)) {
		add_group(w, "system:serviceaccounts");
		if (asprintf(&w->strings[0], "system:serviceaccounts:%s", ns) < 0)
			w->strings[0] = NULL;
		if (w->strings[0])
			add_group(w, w->strings[0]);
	}
	if (streq(w->who.user, "system:anonymous")) {
		add_group(w, "system:unauthenticated");
	} else if (!identity_in_group(&w->who, "system:unauthenticated")) {
		add_group(w, AUTHENTICATED);
		w->who.authenticated = true;
	}
}

void impersonate(struct call *c, call_fn *then)
{
	cleanup(wish_done) struct wish w = { 0 };

	w.who.groups = w.groups;
	if (!read_headers(c->req, &w)) {
		then(c);
		return;
	}
	if (w.why) {
		call_status(c, 400, "BadRequest", "%s", w.why);
		return;
	}
	if (!may_all(c, &w))
		return;
	add_own_groups(&w);
	if (w.why) {
		call_status(c, 400, "BadRequest", "%s", w.why);
		return;
	}
	c->real = malloc(sizeof(*c->real));
	if (!c->real) {
		call_oom(c);
		return;
	}
	*c->real = c->who;
	c->who = (struct identity){ 0 };
	if (identity_copy(&c->who, &w.who) < 0)
		call_oom(c);
	else
		then(c);
}
