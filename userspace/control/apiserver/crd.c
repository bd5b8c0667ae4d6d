/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CustomResourceDefinitions and what they make the server serve. The cache tells of every definition, at the start and
 * whenever one changes, on each API server alike; an established one is compiled, version by version, and given to the
 * cache. A change of its spec gives the cache new versions in place of the old ones: their watches end and their
 * objects are read anew, since what a schema lets through, and defaults, may differ.
 */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

static const char *text(const json_t *v, const char *name)
{
	const char *s = json_string_value(json_object_get(v, name));

	return s ? s : "";
}

bool crd_is(const struct api_kind *kind)
{
	return streq(kind->plural, "customresourcedefinitions") && streq(kind->group, "apiextensions.k8s.io");
}

static bool condition_true(const json_t *crd, const char *type)
{
	json_t *c;
	size_t i;

	json_array_foreach (api_get(crd, "status.conditions"), i, c)
		if (streq(text(c, "type"), type))
			return streq(text(c, "status"), "True");
	return false;
}

/* --- what is served ----------------------------------------------------------------------------------------------- */

static void object_changed(struct resource *r, const struct object *cur, const struct object *prev)
{
	char name[384];
	struct definition *d;

	(void)cur;
	(void)prev;
	snprintf(name, sizeof(name), "%s.%s", r->kind->plural, r->kind->group);
	d = strmap_get(r->s->definitions, name);
	if (d && d->terminating && !r->s->stopping)
		crd_cleanup_soon(d);
}

static int preferred_first(const void *a, const void *b)
{
	const struct resource *x = *(struct resource *const *)a, *y = *(struct resource *const *)b;

	return api_version_compare(x->kind->version, y->kind->version);
}

static struct resource *make_version(struct apiserver *s, const json_t *crd, const json_t *version, const char *storage,
				     struct err *err)
{
	struct api_custom *custom;
	struct resource *r;

	if (api_custom_new(crd, version, &custom, err) < 0)
		return NULL;
	r = resource_new(s, &custom->kind);
	if (!r) {
		api_custom_free(custom);
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	r->custom = custom;
	r->hidden = !json_is_true(json_object_get(version, "served"));
	r->on_change = json_is_true(json_object_get(version, "storage")) ? object_changed : NULL;
	snprintf(r->store_version, sizeof(r->store_version), "%s/%s", custom->kind.group, storage);
	return r;
}

/* Versions that are served, and the one that is stored. */
static int serve(struct definition *d, const json_t *crd)
{
	json_t *versions = api_get(crd, "spec.versions"), *v;
	cleanup(free) struct resource **list = calloc(json_array_size(versions) + 1, sizeof(*list));
	struct err err = ERR_INIT;
	const char *storage = "";
	size_t n = 0, i;
	int r = list ? 0 : -ENOMEM;

	json_array_foreach (versions, i, v)
		if (json_is_true(json_object_get(v, "storage")))
			storage = text(v, "name");
	json_array_foreach (versions, i, v) {
		if (r < 0 || (!json_is_true(json_object_get(v, "served")) && !streq(text(v, "name"), storage)))
			continue;
		list[n] = make_version(d->s, crd, v, storage, &err);
		if (list[n])
			n++;
		else
			r = -EINVAL;
	}
	if (r < 0) {
		log_error("definition \"%s\" cannot be served: %s", d->name, err.code ? err.msg : strerror(-r));
		while (n)
			resource_free(list[--n]);
		return r;
	}
	qsort(list, n, sizeof(struct resource *), preferred_first);
	return cache_set_custom(d->s, d->group, d->plural, list);
}

static void unserve(struct definition *d)
{
	if (d->served && cache_set_custom(d->s, d->group, d->plural, NULL) < 0)
		log_error("out of memory: discovery still tells of %s", d->name);
	d->served = false;
}

/* --- definitions -------------------------------------------------------------------------------------------------- */

static void definition_free(struct definition *d)
{
	if (!d)
		return;
	loop_timer_cancel(&d->cleanup);
	json_decref(d->spec);
	json_decref(d->accepted);
	free(d->name);
	free(d->group);
	free(d->plural);
	free(d);
}

static struct definition *definition_of(struct apiserver *s, const json_t *crd)
{
	const char *name = api_get_str(crd, "metadata.name"), *group = api_get_str(crd, "spec.group"),
		   *plural = api_get_str(crd, "spec.names.plural");
	struct definition *d = name ? strmap_get(s->definitions, name) : NULL;

	if (d || !name || !group || !plural)
		return d;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->s = s;
	d->name = strdup(name);
	d->group = strdup(group);
	d->plural = strdup(plural);
	if (!d->name || !d->group || !d->plural || strmap_set(s->definitions, name, d, NULL) < 0) {
		definition_free(d);
		return NULL;
	}
	return d;
}

static void learn(struct apiserver *s, const json_t *crd)
{
	struct definition *d = definition_of(s, crd);
	json_t *spec = json_object_get(crd, "spec"), *accepted = api_get(crd, "status.acceptedNames");
	bool same, serve_it = condition_true(crd, "Established");

	if (!d) {
		log_error("out of memory: definition \"%s\" is not served", api_get_str(crd, "metadata.name"));
		return;
	}
	d->seen = true;
	d->names_accepted = condition_true(crd, "NamesAccepted");
	same = d->spec && json_equal(d->spec, spec) && (accepted ? json_equal(d->accepted, accepted) : !d->accepted);
	if (!same) {
		json_decref(d->spec);
		json_decref(d->accepted);
		d->spec = json_incref(spec);
		d->accepted = accepted ? json_incref(accepted) : NULL;
	}
	if (!serve_it)
		unserve(d);
	else if (!same || !d->served)
		d->served = serve(d, crd) == 0;
	d->terminating = api_get_str(crd, "metadata.deletionTimestamp") != NULL;
	if (d->terminating)
		crd_cleanup_soon(d);
}

static void forget(struct apiserver *s, const char *name)
{
	struct definition *d = strmap_del(s->definitions, name);

	if (!d)
		return;
	unserve(d);
	definition_free(d);
}

void crd_load_begin(struct apiserver *s)
{
	for (struct strmap_iter it = { 0 }; strmap_next(s->definitions, &it);)
		((struct definition *)it.value)->seen = false;
}

void crd_load(struct apiserver *s, const void *value, size_t len)
{
	json_t *crd = NULL;

	if (api_json_parse(value, len, &crd, NULL, NULL) < 0)
		return;
	learn(s, crd);
	json_decref(crd);
}

void crd_load_end(struct apiserver *s)
{
	bool again = true;

	while (again) {
		again = false;
		for (struct strmap_iter it = { 0 }; !again && strmap_next(s->definitions, &it);) {
			struct definition *d = it.value;

			again = !d->seen;
			if (again)
				forget(s, d->name);
		}
	}
}

void crd_changed(struct resource *r, const struct object *cur, const struct object *prev)
{
	struct apiserver *s = r->s;

	/* A cache that is emptied or filled as a whole has its own way with them. */
	if (s->stopping || (!s->loaded && !cur))
		return;
	if (cur) {
		crd_load(s, cur->json->data, cur->json->len);
		return;
	}
	forget(s, prev->name);
	crd_recheck_names(s);
}

void crd_done(struct apiserver *s)
{
	for (struct strmap_iter it = { 0 }; s->definitions && strmap_next(s->definitions, &it);)
		definition_free(it.value);
	if (s->definitions)
		strmap_clear(s->definitions);
}

bool crd_terminating(struct apiserver *s, const struct api_kind *kind)
{
	char name[384];
	struct definition *d;

	snprintf(name, sizeof(name), "%s.%s", kind->plural, kind->group);
	d = strmap_get(s->definitions, name);
	return d && d->terminating;
}

void custom_convert(const struct resource *r, json_t *obj)
{
	if (!r->custom)
		return;
	obj_set_str(obj, "apiVersion", r->api_version);
	api_prune(r->kind->type, obj);
	api_default(r->kind, obj);
}

void crd_warn(struct call *c)
{
	const struct api_custom *custom = c->res->custom;
	char warning[400];

	if (!custom || !custom->deprecated || !c->req)
		return;
	snprintf(warning, sizeof(warning), "299 - \"%.256s\"", custom->deprecated);
	http_add_header(c->req, "Warning", warning);
}
