/* SPDX-License-Identifier: Apache-2.0 */
/* The admission chain: its plugins in order, and how a call goes through them. See admission-internal.h. */
#include "admission-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

#define MAX_WARNINGS 32

/* Kubernetes' recommended order (kubeapiserver/options/plugins.go). */
static const struct admission_plugin *const plugins[] = {
	&admission_namespace_lifecycle,
	&admission_limit_ranger,
	&admission_service_account,
	&admission_node_restriction,
	&admission_taint_nodes,
	&admission_pod_security,
	&admission_priority,
	&admission_default_tolerations,
	&admission_default_storage_class,
	&admission_claim_resize,
	&admission_certificate_subject,
	&admission_default_ingress_class,
	&admission_mutating_webhook,
	&admission_rbac,
	&admission_validating_webhook,
	&admission_resource_quota, /* last: nothing refuses what has been charged */
};

_Static_assert(sizeof(plugins) / sizeof(plugins[0]) <= 32, "struct apiserver has a bit for each");

static void run(struct admission *a);

/* The plugins that a flag names, a bit each. */
static int read_names(const char *flag, const char *list, uint32_t *ret, struct err *err)
{
	cleanup(free) char *names = strdup(list ? list : "");
	char *save = NULL;

	*ret = 0;
	if (!names)
		return err_set(err, ENOMEM, "out of memory");
	for (char *n = strtok_r(names, ",", &save); n; n = strtok_r(NULL, ",", &save)) {
		size_t i = 0;

		while (i < sizeof(plugins) / sizeof(plugins[0]) && !streq(plugins[i]->name, n))
			i++;
		if (i == sizeof(plugins) / sizeof(plugins[0]))
			return err_set(err, EINVAL, "%s: there is no plugin '%s'", flag, n);
		*ret |= 1u << i;
	}
	return 0;
}

int admission_init(struct apiserver *s, const char *enabled, const char *disabled, struct err *err)
{
	uint32_t on = 0, off = 0;
	int r = read_names("--enable-admission-plugins", enabled, &on, err);

	if (!r)
		r = read_names("--disable-admission-plugins", disabled, &off, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); i++)
		if (on & off & 1u << i)
			return err_set(err, EINVAL,
				       "'%s' is in --enable-admission-plugins and --disable-admission-plugins",
				       plugins[i]->name);
	s->admission_off = off; /* all others are on as it is */
	return 0;
}

void admission_free(struct admission *a)
{
	if (!a)
		return;
	json_decref(a->own);
	json_decref(a->own_old);
	json_decref(a->hooks);
	json_decref(a->to_charge);
	json_decref(a->charged);
	json_decref(a->hooks_seen);
	json_decref(a->after_hooks);
	free(a);
}

static unsigned op_of(const struct call *c)
{
	if (streq(c->sub, "binding") || streq(c->sub, "eviction"))
		return ADMIT_CREATE;
	if (c->del)
		return ADMIT_DELETE;
	return c->old ? ADMIT_UPDATE : ADMIT_CREATE;
}

/* The objects the request is about: see struct admission. -1: out of memory. */
static int set_objects(struct admission *a)
{
	struct call *c = a->c;

	json_decref(a->own);
	json_decref(a->own_old);
	a->own = a->own_old = NULL;
	a->obj = c->obj;
	a->old = c->old;
	if (a->op == ADMIT_DELETE) {
		a->obj = NULL;
	} else if (streq(c->sub, "binding") || streq(c->sub, "eviction")) {
		bool binding = streq(c->sub, "binding");

		a->own = json_deep_copy(c->body);
		if (!a->own)
			return -1;
		obj_set_str(a->own, "kind", binding ? "Binding" : "Eviction");
		if (!api_get_str(a->own, "apiVersion"))
			obj_set_str(a->own, "apiVersion", binding ? "v1" : "policy/v1");
		a->obj = a->own;
		a->old = NULL;
	} else if (streq(c->sub, "scale")) {
		a->own_old = scale_of(c, c->old);
		if (!a->own_old || !c->reply)
			return -1;
		a->obj = c->reply;
		a->old = a->own_old;
	}
	return 0;
}

void admission_run(struct call *c, call_fn *then)
{
	struct admission *a = c->admission;

	if (!a) {
		a = c->admission = calloc(1, sizeof(*a));
		if (!a) {
			call_oom(c);
			return;
		}
		a->c = c;
	}
	a->then = then;
	a->op = op_of(c);
	a->changed = a->reinvoke = a->reinvoked = a->validating = false;
	a->next = 0;
	if (set_objects(a) < 0)
		call_oom(c);
	else
		run(a);
}

void admission_connect(struct call *c, json_t *options, call_fn *then)
{
	struct admission *a = calloc(1, sizeof(*a));

	if (!a || !options) {
		json_decref(options);
		free(a);
		call_oom(c);
		return;
	}
	admission_free(c->admission);
	c->admission = a;
	a->c = c;
	a->op = ADMIT_CONNECT;
	a->own = a->obj = options;
	a->then = then;
	run(a);
}

/* What plugins made of the object is defaulted and checked like what the client sent. -1: answered. */
static int recheck(struct admission *a)
{
	const struct api_kind *kind = a->c->res->kind;
	struct call *c = a->c;
	struct api_errs errs = { 0 };
	int r = 0;

	if (!c->obj || a->op == ADMIT_DELETE || a->op == ADMIT_CONNECT)
		return 0;
	if (streq(c->sub, "scale") && a->changed) {
		json_t *n = api_get(a->obj, "spec.replicas");

		if (n)
			(void)api_set(c->obj, "spec.replicas", json_incref(n));
	}
	/* An update was checked when it was decided. */
	if (a->op == ADMIT_UPDATE && !a->changed)
		return 0;
	if (a->obj != c->obj && !streq(c->sub, "scale"))
		return 0;
	api_default(kind, c->obj);
	if (a->op == ADMIT_CREATE && admission_is_pod(a))
		pod_set_qos(c->obj);
	if (a->op == ADMIT_UPDATE && a->changed && (!c->sub[0] || pod_sub_of(c)))
		object_set_generation(c, c->obj, c->old);
	api_validate_sub(kind, c->sub, c->obj, c->old, &errs);
	if (errs.n) {
		call_invalid(c, &errs);
		r = -1;
	}
	api_errs_done(&errs);
	return r;
}

static void run(struct admission *a)
{
	struct call *c = a->c;

	for (;;) {
		while (a->next < sizeof(plugins) / sizeof(plugins[0])) {
			bool off = c->s->admission_off & 1u << a->next;
			const struct admission_plugin *p = plugins[a->next++];
			enum admit (*fn)(struct admission * a) = a->validating ? p->validate : p->mutate;

			if (fn && !off && (p->ops & a->op) && fn(a) != ADMIT_NEXT)
				return;
		}
		a->next = 0;
		if (a->validating)
			break;
		if (a->reinvoke && !a->reinvoked) {
			a->reinvoked = true;
			continue;
		}
		if (recheck(a) < 0)
			return;
		a->validating = true;
	}
	a->then(c);
}

void admission_resume(struct admission *a)
{
	if (!call_dead(a->c))
		run(a);
}

/* --- for plugins -------------------------------------------------------------------------------------------------- */

bool admission_is(const struct admission *a, const char *group, const char *plural)
{
	const struct api_kind *kind = a->c->res->kind;

	return !a->c->sub[0] && streq(kind->plural, plural) && streq(kind->group, group);
}

bool admission_is_pod(const struct admission *a)
{
	return admission_is(a, "", "pods");
}

bool admission_is_resize(const struct admission *a)
{
	const struct api_kind *kind = a->c->res->kind;

	return streq(a->c->sub, "resize") && streq(kind->plural, "pods") && !kind->group[0] && a->op == ADMIT_UPDATE;
}

enum admit admission_forbid(struct admission *a, const char *fmt, ...)
{
	cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;
	char resource[256];
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	call_status(a->c, 403, "Forbidden", "%s \"%s\" is forbidden: %s",
		    call_resource_name(a->c, resource, sizeof(resource)), a->c->name, text.buf);
	return ADMIT_ANSWERED;
}

void admission_warn(struct admission *a, const char *fmt, ...)
{
	cleanup(strbuf_done) struct strbuf text = STRBUF_INIT, header = STRBUF_INIT;
	struct call *c = a->c;
	va_list ap;

	while (c->parent)
		c = c->parent;
	/* A change that is decided again has warned already. */
	if (!c->req || c->answered || a->c->tries || a->warnings >= MAX_WARNINGS)
		return;
	a->warnings++;
	va_start(ap, fmt);
	strbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	strbuf_adds(&header, "299 - \"");
	for (const char *p = text.buf; *p && header.len < 4096; p++) {
		if (*p == '"' || *p == '\\')
			strbuf_addc(&header, '\\');
		if ((unsigned char)*p >= ' ' && *p != 0x7f)
			strbuf_addc(&header, *p);
	}
	strbuf_addc(&header, '"');
	if (!strbuf_oom(&header))
		http_add_header(c->req, "Warning", header.buf);
}

json_t *admission_parse(const struct object *o)
{
	json_t *obj = NULL;

	if (!o || api_json_parse(o->json->data, o->json->len, &obj, NULL, NULL) < 0)
		return NULL;
	return obj;
}

json_t *admission_get(struct apiserver *s, const char *group, const char *plural, const char *ns, const char *name)
{
	struct resource *r = cache_resource(s, group, plural);

	return r ? admission_parse(cache_get(r, ns, name)) : NULL;
}

void admission_range(const struct resource *r, const char *ns, size_t *ret_from, size_t *ret_to)
{
	char key[300];

	snprintf(key, sizeof(key), "%s/", ns);
	*ret_from = cache_lower_bound(r, key);
	snprintf(key, sizeof(key), "%s0", ns); /* '0' follows '/' */
	*ret_to = cache_lower_bound(r, key);
}
