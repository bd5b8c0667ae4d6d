/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds that CustomResourceDefinitions bring, for controllers that work on objects of any kind: each served one
 * gets an informer that keeps its objects' metadata. A kind keeps its place (manager_custom()) for as long as the
 * process lives, so that keys may name it by its index; one that went has no informer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "manager.h"

struct custom {
	struct manager *m;
	struct api_kind kind;
	char *strings; /* of kind */
	char version[64];
	struct informer *informer;
};

/* Any object, as far as its metadata. */
static const struct api_field fields[] = {
	{ .name = "apiVersion", .type = API_STRING, .offset = offsetof(struct api_object, api_version), .max = -1 },
	{ .name = "kind", .type = API_STRING, .offset = offsetof(struct api_object, kind), .max = -1 },
	{ .name = "metadata",
	  .type = API_OBJECT,
	  .flags = API_EMBEDDED,
	  .offset = offsetof(struct api_object, metadata),
	  .object = &api_type_object_meta,
	  .max = -1 },
};
static const struct api_type any_type = {
	.name = "Object", .size = sizeof(struct api_object), .fields = fields, .n_fields = 3
};

static void changed(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new)
{
	struct custom *k = arg;

	(void)inf;
	for (size_t i = 0; i < k->m->n_controllers; i++)
		if (k->m->controllers[i].ops->custom_kinds)
			k->m->controllers[i].ops->on_change(&k->m->controllers[i], &k->kind, old, new);
}

size_t manager_customs(const struct manager *m)
{
	return m->n_customs;
}

const struct api_kind *manager_custom(const struct manager *m, size_t i, struct informer **ret_informer)
{
	if (ret_informer)
		*ret_informer = m->customs[i]->informer;
	return &m->customs[i]->kind;
}

const struct api_kind *manager_custom_by_name(const struct manager *m, const char *group, const char *kind,
					      struct informer **ret_informer)
{
	for (size_t i = 0; i < m->n_customs; i++)
		if (m->customs[i]->informer && streq(m->customs[i]->kind.group, group) &&
		    streq(m->customs[i]->kind.kind, kind))
			return manager_custom(m, i, ret_informer);
	return NULL;
}

static struct custom *find(struct manager *m, const char *group, const char *plural)
{
	for (size_t i = 0; i < m->n_customs; i++)
		if (streq(m->customs[i]->kind.group, group) && streq(m->customs[i]->kind.plural, plural))
			return m->customs[i];
	return NULL;
}

static struct custom *custom_new(struct manager *m, const struct api_custom_resource_definition *crd)
{
	static const char *const none[] = { NULL };
	const struct api_custom_resource_definition_names *names = &crd->spec.names;
	struct custom **v = realloc(m->customs, (m->n_customs + 1) * sizeof(struct custom *));
	size_t g = strlen(crd->spec.group) + 1, p = strlen(names->plural) + 1, n = strlen(names->kind) + 1;
	struct custom *k;

	if (!v)
		return NULL;
	m->customs = v;
	k = calloc(1, sizeof(*k));
	if (k)
		k->strings = malloc(g + p + n);
	if (!k || !k->strings) {
		free(k);
		return NULL;
	}
	k->m = m;
	k->kind = (struct api_kind){ .group = memcpy(k->strings, crd->spec.group, g),
				     .plural = memcpy(k->strings + g, names->plural, p),
				     .kind = memcpy(k->strings + g + p, names->kind, n),
				     .version = k->version,
				     .singular = "",
				     .short_names = none,
				     .categories = none,
				     .subresources = none,
				     .selectable = none,
				     .namespaced = streq(crd->spec.scope, "Namespaced"),
				     .type = &any_type };
	v[m->n_customs++] = k;
	return k;
}

/* The version to follow: the stored one if it is served, else any that is. NULL: none. */
static const char *version_of(const struct api_custom_resource_definition *crd)
{
	const char *version = NULL;

	for (size_t i = 0; i < crd->status.n_conditions; i++)
		if (streq(crd->status.conditions[i].type, "Established") &&
		    !streq(crd->status.conditions[i].status, "True"))
			return NULL;
	for (size_t i = 0; i < crd->spec.n_versions; i++)
		if (crd->spec.versions[i].served && (!version || crd->spec.versions[i].storage))
			version = crd->spec.versions[i].name;
	return version;
}

static void stop(struct custom *k)
{
	if (k && k->informer) {
		informer_free(k->informer);
		k->informer = NULL;
	}
}

static void follow(struct manager *m, const struct api_custom_resource_definition *crd)
{
	static const struct informer_ops ops = { .on_change = changed };
	const char *version = version_of(crd);
	struct custom *k = find(m, crd->spec.group, crd->spec.names.plural);
	struct informer_config config = { 0 };

	if (k && (!version || !streq(k->version, version)))
		stop(k);
	if (!version || (k && k->informer))
		return;
	if (!k)
		k = custom_new(m, crd);
	if (k) {
		snprintf(k->version, sizeof(k->version), "%s", version);
		config.kind = &k->kind;
		k->informer = informer_new(m->kube, &config, &ops, k);
	}
	if (!k || !k->informer || informer_start(k->informer) < 0)
		log_error("out of memory: the garbage among %s is not collected", crd->object.metadata.name);
}

void manager_free_customs(struct manager *m)
{
	for (size_t i = 0; i < m->n_customs; i++) {
		stop(m->customs[i]);
		free(m->customs[i]->strings);
		free(m->customs[i]);
	}
	free(m->customs);
	m->customs = NULL;
	m->n_customs = 0;
}

/* --- the controller: nothing to reconcile, definitions are followed as they come ---------------------------------- */

static void on_change(struct controller *c, const struct api_kind *kind, struct informer_item *old,
		      struct informer_item *new)
{
	const struct api_custom_resource_definition *crd = (const void *)(new ? new : old)->obj;

	(void)kind;
	if (new)
		follow(c->m, crd);
	else
		stop(find(c->m, crd->spec.group, crd->spec.names.plural));
}

static void reconcile(struct controller *c, const char *key)
{
	done(c, key, 0);
}

static const struct api_kind *const kinds[] = { &api_kind_custom_resource_definition, NULL };

const struct controller_ops custom_kinds_controller = {
	.name = "custom-kinds",
	.kinds = kinds,
	.on_change = on_change,
	.reconcile = reconcile,
};
