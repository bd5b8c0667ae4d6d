/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ServiceAccount: a pod has an account, which exists, and gets a token of it that expires, with what it needs to use
 * it (the cluster's CA and its namespace), in a projected volume; unless the pod or the account says otherwise. The
 * account `default` is made by a controller a moment after its namespace: a pod that comes in between waits for it.
 */
#include "admission-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../../lib/base/str.h"

#define DEFAULT	      "default"
#define MIRROR	      "kubernetes.io/config.mirror"
#define VOLUME_PREFIX "kube-api-access-"
#define MOUNT_PATH    "/var/run/secrets/kubernetes.io/serviceaccount"
#define TOKEN_S	      3607 /* an hour, told from one that somebody asked for */
#define WAIT_MS	      2000

/* A pod that waits for its namespace's account `default`. */
struct account_waiter {
	struct list link;
	struct admission *a;
	struct loop_timer timer;
};

static enum admit set_account(struct admission *a, const json_t *account);

static json_t *account_of(struct admission *a)
{
	return admission_get(a->c->s, "", "serviceaccounts", a->c->ns, api_get_str(a->obj, "spec.serviceAccountName"));
}

static enum admit no_account(struct admission *a)
{
	const char *name = api_get_str(a->obj, "spec.serviceAccountName");

	return admission_forbid(a, "error looking up service account %s/%.253s: serviceaccount \"%.253s\" not found",
				a->c->ns, name, name);
}

static struct call *forget(struct account_waiter *w)
{
	struct call *c = w->a->c;

	list_remove(&w->link);
	loop_timer_cancel(&w->timer);
	free(w);
	return c;
}

/* The account has come, or it is too late. */
static void on_timer(struct loop_timer *t)
{
	struct account_waiter *w = t->arg;
	struct admission *a = w->a;
	struct call *c = forget(w);
	json_t *account = NULL;

	if (!call_dead(c)) {
		account = account_of(a);
		if (!account)
			no_account(a);
		else if (set_account(a, account) == ADMIT_NEXT)
			admission_resume(a);
	}
	json_decref(account);
	call_unref(c);
}

void service_account_changed(struct resource *r, const struct object *cur, const struct object *prev)
{
	char key[320];

	(void)prev;
	if (!cur || !streq(cur->name, DEFAULT))
		return;
	list_for_each (pos, &r->s->account_waiters) {
		struct account_waiter *w = list_entry(pos, struct account_waiter, link);

		snprintf(key, sizeof(key), "%s/" DEFAULT, w->a->c->ns);
		/* Not from within the cache's change. */
		if (streq(cur->key, key))
			(void)loop_timer_set(r->s->loop, &w->timer, 0);
	}
}

void service_account_forget_waiters(struct apiserver *s)
{
	while (!list_empty(&s->account_waiters))
		call_unref(forget(list_first(&s->account_waiters, struct account_waiter, link)));
}

static enum admit wait_for_account(struct admission *a)
{
	struct account_waiter *w = calloc(1, sizeof(*w));

	if (!w)
		goto oom;
	w->a = a;
	w->timer.fn = on_timer;
	w->timer.arg = w;
	if (loop_timer_set(a->c->s->loop, &w->timer, WAIT_MS) < 0)
		goto oom;
	call_ref(a->c);
	list_push_back(&a->c->s->account_waiters, &w->link);
	return ADMIT_WAIT;
oom:
	free(w);
	call_oom(a->c);
	return ADMIT_ANSWERED;
}

/* --- the token ---------------------------------------------------------------------------------------------------- */

static bool wants_token(const json_t *spec, const json_t *account)
{
	const json_t *pod = json_object_get(spec, "automountServiceAccountToken");
	const json_t *own = json_object_get(account, "automountServiceAccountToken");

	return json_is_boolean(pod) ? json_is_true(pod) : !json_is_boolean(own) || json_is_true(own);
}

static bool mounted(const json_t *container)
{
	json_t *m;
	size_t i;

	json_array_foreach (json_object_get(container, "volumeMounts"), i, m)
		if (streq(api_get_str(m, "mountPath"), MOUNT_PATH))
			return true;
	return false;
}

/* Made if it is missing. */
static json_t *list_of(json_t *obj, const char *name)
{
	if (!json_object_get(obj, name))
		json_object_set_new(obj, name, json_array());
	return json_object_get(obj, name);
}

/* True: a container has been given the mount. */
static bool mount_in(json_t *containers, const char *volume)
{
	bool any = false;
	json_t *c;
	size_t i;

	json_array_foreach (containers, i, c) {
		if (!json_is_object(c) || mounted(c))
			continue;
		json_array_append_new(list_of(c, "volumeMounts"), json_pack("{s:s,s:b,s:s}", "name", volume, "readOnly",
									    1, "mountPath", MOUNT_PATH));
		any = true;
	}
	return any;
}

static json_t *volume_object(const char *name)
{
	return json_pack("{s:s,s:{s:i,s:[{s:{s:i,s:s}},{s:{s:s,s:[{s:s,s:s}]}},{s:{s:[{s:s,s:{s:s,s:s}}]}}]}}", "name",
			 name, "projected", "defaultMode", 0644, "sources", "serviceAccountToken", "expirationSeconds",
			 TOKEN_S, "path", "token", "configMap", "name", "kube-root-ca.crt", "items", "key", "ca.crt",
			 "path", "ca.crt", "downwardAPI", "items", "path", "namespace", "fieldRef", "apiVersion", "v1",
			 "fieldPath", "metadata.namespace");
}

static void add_token(json_t *spec)
{
	char name[sizeof(VOLUME_PREFIX) + 5] = VOLUME_PREFIX;
	json_t *volumes = json_object_get(spec, "volumes"), *v;
	bool there = false, needed;
	const char *use = name;
	size_t i;

	json_array_foreach (volumes, i, v) {
		const char *n = api_get_str(v, "name");

		if (n && str_starts(n, VOLUME_PREFIX)) {
			use = n;
			there = true;
			break;
		}
	}
	obj_random_suffix(name + strlen(VOLUME_PREFIX), 5);
	needed = mount_in(json_object_get(spec, "initContainers"), use);
	needed = mount_in(json_object_get(spec, "containers"), use) || needed;
	if (there || !needed)
		return;
	json_array_append_new(list_of(spec, "volumes"), volume_object(name));
}

static enum admit set_account(struct admission *a, const json_t *account)
{
	json_t *spec = json_object_get(a->obj, "spec");

	/* A server without a key gives out no tokens. */
	if (a->c->s->config.sa_signing_key && wants_token(spec, account)) {
		add_token(spec);
		a->changed = true;
	}
	return ADMIT_NEXT;
}

/* --- the plugin --------------------------------------------------------------------------------------------------- */

static bool is_mirror(const json_t *pod)
{
	return json_object_get(api_get(pod, "metadata.annotations"), MIRROR);
}

static enum admit admit(struct admission *a)
{
	json_t *spec = json_object_get(a->obj, "spec"), *account;
	const char *name;
	enum admit r;

	if (!admission_is_pod(a) || !json_is_object(spec) || is_mirror(a->obj))
		return ADMIT_NEXT;
	name = api_get_str(spec, "serviceAccountName");
	if (!name || !*name) {
		name = DEFAULT;
		json_object_set_new(spec, "serviceAccountName", json_string(name));
		json_object_set_new(spec, "serviceAccount", json_string(name));
		a->changed = true;
	}
	account = account_of(a);
	if (!account)
		return streq(name, DEFAULT) ? wait_for_account(a) : no_account(a);
	r = set_account(a, account);
	json_decref(account);
	return r;
}

/* A mirror pod is a file on its node: it can have no account, and with it none of what accounts may read. */
static enum admit validate(struct admission *a)
{
	const char *account = api_get_str(a->obj, "spec.serviceAccountName");
	json_t *v, *source;
	size_t i, k;

	if (!admission_is_pod(a) || !is_mirror(a->obj))
		return ADMIT_NEXT;
	if (account && *account)
		return admission_forbid(a, "a mirror pod may not reference service accounts");
	json_array_foreach (api_get(a->obj, "spec.volumes"), i, v) {
		if (json_object_get(v, "secret"))
			return admission_forbid(a, "a mirror pod may not reference secrets");
		json_array_foreach (api_get(v, "projected.sources"), k, source)
			if (json_object_get(source, "serviceAccountToken"))
				return admission_forbid(
					a, "a mirror pod may not use ServiceAccountToken volume projections");
	}
	return ADMIT_NEXT;
}

const struct admission_plugin admission_service_account = {
	.name = "ServiceAccount",
	.ops = ADMIT_CREATE,
	.mutate = admit,
	.validate = validate,
};
