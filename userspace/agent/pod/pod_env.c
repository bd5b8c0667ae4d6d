/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's environment as kubelet builds it: envFrom, then env with $(NAME) standing for what is defined before
 * it or by a service, then the services' variables that nothing else defined.
 */
#include "pod-internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/base/str.h"

struct env {
	struct arena *a;
	size_t n, cap;
	struct api_kv *v;
};

static int env_set(struct env *e, const char *key, const char *value, bool keep)
{
	for (size_t i = 0; i < e->n; i++)
		if (streq(e->v[i].key, key)) {
			if (!keep)
				e->v[i].value = value;
			return 0;
		}
	if (e->n == e->cap) {
		size_t cap = e->cap ? e->cap * 2 : 32;
		struct api_kv *v = arena_calloc(e->a, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		if (e->n)
			memcpy(v, e->v, e->n * sizeof(*v));
		e->v = v;
		e->cap = cap;
	}
	e->v[e->n++] = (struct api_kv){ key, value };
	return 0;
}

static const char *find(const struct api_kv *v, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(v[i].key) == len && !memcmp(v[i].key, name, len))
			return v[i].value;
	return NULL;
}

static char *expand(struct arena *a, const char *text, const struct api_kv *v, size_t n, const struct api_map *more)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;

	for (const char *s = text; *s; s++) {
		const char *end, *value = NULL;

		if (*s != '$') {
			strbuf_addc(&sb, *s);
		} else if (s[1] == '$') {
			strbuf_addc(&sb, '$');
			s++;
		} else if (s[1] == '(' && (end = strchr(s, ')'))) {
			value = find(v, n, s + 2, (size_t)(end - s - 2));
			if (!value && more)
				value = find(more->v, more->n, s + 2, (size_t)(end - s - 2));
			if (value)
				strbuf_adds(&sb, value);
			else /* an unknown name stays as it is written */
				strbuf_add(&sb, s, (size_t)(end - s + 1));
			s = end;
		} else {
			strbuf_addc(&sb, '$');
		}
	}
	return strbuf_oom(&sb) ? NULL : arena_strndup(a, sb.buf, sb.len);
}

char *env_expand(struct arena *a, const char *text, const struct api_kv *vars, size_t n)
{
	return expand(a, text, vars, n, NULL);
}

/* Secrets' values are base64; config maps' are text. */
static int value_of(struct arena *a, bool secret, const char *value, const char **ret)
{
	cleanup(free) unsigned char *raw = NULL;
	size_t len;

	if (!secret) {
		*ret = value;
		return 0;
	}
	raw = str_unbase64(value, &len);
	if (!raw)
		return -EINVAL;
	*ret = arena_strndup(a, (char *)raw, len);
	return *ret ? 0 : -ENOMEM;
}

static const char *what(bool secret)
{
	return secret ? "secret" : "configmap";
}

static int from_object(struct env *e, const struct env_source *src, bool secret, const char *name, const char *prefix,
		       bool optional, struct err *err)
{
	const struct api_map *data;
	int r = src->get(src->arg, secret, name, &data);

	if (r == -ENOENT)
		return optional ? 0 : err_set(err, ENOENT, "%s \"%s\" not found", what(secret), name);
	if (r < 0)
		return err_set(err, -r, "%s \"%s\" is not known yet", what(secret), name);
	for (size_t i = 0; i < data->n; i++) {
		const char *key = data->v[i].key, *value;

		if (prefix && prefix[0])
			key = arena_printf(e->a, "%s%s", prefix, key);
		r = value_of(e->a, secret, data->v[i].value, &value);
		if (!r)
			r = key ? env_set(e, key, value, false) : -ENOMEM;
		if (r < 0)
			return err_set(err, -r, "key \"%s\" of %s \"%s\" cannot be read", data->v[i].key, what(secret),
				       name);
	}
	return 0;
}

/* *ret NULL without an error: the variable is left out (optional). */
static int from_key(struct env *e, const struct env_source *src, bool secret, const char *ns, const char *name,
		    const char *key, bool optional, const char **ret, struct err *err)
{
	const struct api_map *data;
	const char *value;
	int r = src->get(src->arg, secret, name, &data);

	*ret = NULL;
	if (r == -ENOENT)
		return optional ? 0 : err_set(err, ENOENT, "%s \"%s\" not found", what(secret), name);
	if (r < 0)
		return err_set(err, -r, "%s \"%s\" is not known yet", what(secret), name);
	value = api_map_get(data, key);
	if (!value)
		return optional ? 0
				: err_set(err, ENOENT, "couldn't find key %s in %s %s/%s", key,
					  secret ? "Secret" : "ConfigMap", ns, name);
	r = value_of(e->a, secret, value, ret);
	return r < 0 ? err_set(err, -r, "key \"%s\" of %s \"%s\" cannot be read", key, what(secret), name) : 0;
}

/* metadata.labels['key'] */
static const char *subscript(struct arena *a, const char *path, const char *field, const struct api_map *map)
{
	size_t len = strlen(field), n = strlen(path);
	const char *value;
	char *key;

	if (strncmp(path, field, len) || n < len + 4 || path[len] != '[' || path[n - 1] != ']')
		return NULL;
	if ((path[len + 1] != '\'' && path[len + 1] != '"') || path[n - 2] != path[len + 1])
		return NULL;
	key = arena_strndup(a, path + len + 2, n - len - 4);
	value = key ? api_map_get(map, key) : NULL;
	return value ? value : "";
}

static int from_field(struct env *e, const struct env_source *src, const struct api_pod *pod, const char *path,
		      const char **ret, struct err *err)
{
	const struct {
		const char *path, *value;
	} fields[] = {
		{ "metadata.name", pod->metadata.name },
		{ "metadata.namespace", pod->metadata.namespace_ },
		{ "metadata.uid", pod->metadata.uid },
		{ "spec.nodeName", src->node_name },
		{ "spec.serviceAccountName", pod->spec.service_account_name },
		{ "status.podIP", src->pod_ip },
		{ "status.podIPs", src->pod_ips },
		{ "status.hostIP", src->host_ip },
		{ "status.hostIPs", src->host_ips },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (streq(path, fields[i].path)) {
			*ret = fields[i].value ? fields[i].value : "";
			return 0;
		}
	*ret = subscript(e->a, path, "metadata.labels", &pod->metadata.labels);
	if (!*ret)
		*ret = subscript(e->a, path, "metadata.annotations", &pod->metadata.annotations);
	if (!*ret)
		return err_set(err, ENOENT, "unsupported fieldPath: %s", path);
	return 0;
}

static bool is_set(struct api_opt_bool b)
{
	return b.set && b.v;
}

static int add_var(struct env *e, const struct env_source *src, const struct api_pod *pod,
		   const struct api_env_var *var, struct err *err)
{
	const struct api_env_var_source *from = var->value_from;
	const char *value = NULL;
	int r = 0;

	if (!from) {
		value = expand(e->a, var->value ? var->value : "", e->v, e->n, src->services);
		if (!value)
			r = err_set(err, ENOMEM, "out of memory");
	} else if (from->field_ref) {
		r = from_field(e, src, pod, from->field_ref->field_path, &value, err);
	} else if (from->config_map_key_ref) {
		const struct api_config_map_key_selector *s = from->config_map_key_ref;

		r = from_key(e, src, false, pod->metadata.namespace_, s->name, s->key, is_set(s->optional), &value,
			     err);
	} else if (from->secret_key_ref) {
		const struct api_secret_key_selector *s = from->secret_key_ref;

		r = from_key(e, src, true, pod->metadata.namespace_, s->name, s->key, is_set(s->optional), &value, err);
	}
	if (r < 0 || !value)
		return r;
	return env_set(e, var->name, value, false) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

int env_build(const struct api_pod *pod, const struct api_container *c, const struct env_source *src, struct arena *a,
	      size_t *ret_n, struct api_kv **ret, struct err *err)
{
	struct env e = { .a = a };
	int r;

	for (size_t i = 0; i < c->n_env_from; i++) {
		const struct api_env_from_source *f = &c->env_from[i];

		r = 0;
		if (f->config_map_ref)
			r = from_object(&e, src, false, f->config_map_ref->name, f->prefix,
					is_set(f->config_map_ref->optional), err);
		if (!r && f->secret_ref)
			r = from_object(&e, src, true, f->secret_ref->name, f->prefix, is_set(f->secret_ref->optional),
					err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < c->n_env; i++) {
		r = add_var(&e, src, pod, &c->env[i], err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; src->services && i < src->services->n; i++)
		if (env_set(&e, src->services->v[i].key, src->services->v[i].value, true) < 0)
			return err_set(err, ENOMEM, "out of memory");
	*ret_n = e.n;
	*ret = e.v;
	return 0;
}

static char *upper(struct arena *a, const char *name)
{
	char *s = arena_strdup(a, name);

	for (char *p = s; p && *p; p++)
		*p = *p == '-' || *p == '.' ? '_' : (char)toupper((unsigned char)*p);
	return s;
}

void env_add_service(struct arena *a, const char *name, const struct api_service_spec *spec, size_t *n, size_t *cap,
		     struct api_kv **out)
{
	struct env e = { .a = a, .n = *n, .cap = *cap, .v = *out };
	const char *ip = spec->cluster_ip, *up = upper(a, name);
	bool v6 = ip && strchr(ip, ':');

	if (!ip || !ip[0] || streq(ip, "None") || !spec->n_ports || !up)
		return;
	(void)env_set(&e, arena_printf(a, "%s_SERVICE_HOST", up), ip, false);
	(void)env_set(&e, arena_printf(a, "%s_SERVICE_PORT", up),
		      arena_printf(a, "%lld", (long long)spec->ports[0].port), false);
	for (size_t i = 0; i < spec->n_ports; i++) {
		const struct api_service_port *p = &spec->ports[i];

		if (p->name && p->name[0])
			(void)env_set(&e, arena_printf(a, "%s_SERVICE_PORT_%s", up, upper(a, p->name)),
				      arena_printf(a, "%lld", (long long)p->port), false);
	}
	for (size_t i = 0; i < spec->n_ports; i++) {
		const struct api_service_port *p = &spec->ports[i];
		const char *proto = p->protocol ? p->protocol : "TCP";
		char *low = arena_strdup(a, proto),
		     *prefix = arena_printf(a, "%s_PORT_%lld_%s", up, (long long)p->port, proto), *url;

		for (char *s = low; s && *s; s++)
			*s = (char)tolower((unsigned char)*s);
		url = arena_printf(a, v6 ? "%s://[%s]:%lld" : "%s://%s:%lld", low, ip, (long long)p->port);
		if (!i)
			(void)env_set(&e, arena_printf(a, "%s_PORT", up), url, false);
		(void)env_set(&e, prefix, url, false);
		(void)env_set(&e, arena_printf(a, "%s_PROTO", prefix), low, false);
		(void)env_set(&e, arena_printf(a, "%s_PORT", prefix), arena_printf(a, "%lld", (long long)p->port),
			      false);
		(void)env_set(&e, arena_printf(a, "%s_ADDR", prefix), ip, false);
	}
	*n = e.n;
	*cap = e.cap;
	*out = e.v;
}

/* --- the services of the pod's namespace, and kubernetes of default, as they are when the pod starts -------------- */

static void add_services(struct pod *p, json_t *items, const char *only, size_t *cap)
{
	size_t i;
	json_t *item;

	json_array_foreach (items, i, item) {
		const char *name = api_get_str(item, "metadata.name");
		struct api_service *svc;
		struct err err = ERR_INIT;

		if (!name || (only && !streq(name, only)) ||
		    api_decode(&api_type_service, item, &p->arena, &svc, &err) < 0)
			continue;
		env_add_service(&p->arena, name, &svc->spec, &p->service_env.n, cap, &p->service_env.v);
	}
}

static void on_kubernetes(void *arg, const struct kube_result *r)
{
	struct pod *p = arg;
	size_t cap = p->service_env.n;

	if (r->status == 404 || kube_ok(r)) {
		if (kube_ok(r)) {
			json_t *one = json_array();

			if (one && !json_array_append(one, r->obj))
				add_services(p, one, NULL, &cap);
			json_decref(one);
		}
		p->services_ready = true;
	} else {
		p->services_asked = false; /* asked again at the next look */
	}
	pod_kick(p);
	pod_drop(p);
}

static void fetch_kubernetes(struct pod *p)
{
	pod_hold(p);
	if (kube_get(p->m->kube, &api_kind_service, "default", "kubernetes", NULL, on_kubernetes, p) < 0) {
		p->services_asked = false;
		pod_drop(p);
	}
}

static void on_services(void *arg, const struct kube_result *r)
{
	struct pod *p = arg;
	size_t cap = 0;

	p->service_env = (struct api_map){ 0, NULL };
	if (kube_ok(r)) {
		add_services(p, json_object_get(r->obj, "items"), NULL, &cap);
		fetch_kubernetes(p);
	} else {
		p->services_asked = false;
		pod_kick(p);
	}
	pod_drop(p);
}

void pod_fetch_services(struct pod *p)
{
	if (p->services_ready || p->services_asked || p->gone)
		return;
	p->services_asked = true;
	if (p->obj->spec.enable_service_links.set && !p->obj->spec.enable_service_links.v) {
		fetch_kubernetes(p);
		return;
	}
	pod_hold(p);
	if (kube_list(p->m->kube, &api_kind_service, p->ns, NULL, on_services, p) < 0) {
		p->services_asked = false;
		pod_drop(p);
	}
}
