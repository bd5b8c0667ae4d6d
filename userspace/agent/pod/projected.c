/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Projected volumes: files of secrets, config maps, the pod's own fields and its service account's tokens side by side
 * in one directory, which lies in memory and is swapped whole like that of a single source.
 */
#include "pod-internal.h"

#include <errno.h>
#include <string.h>

#include "../../lib/base/str.h"

static bool is_set(struct api_opt_bool b)
{
	return b.set && b.v;
}

/* key="value" lines, as kubelet writes labels and annotations. */
static const char *map_text(struct arena *a, const struct api_map *map)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;

	for (size_t i = 0; i < map->n; i++) {
		strbuf_addf(&sb, "%s%s=", i ? "\n" : "", map->v[i].key);
		strbuf_add_json(&sb, map->v[i].value);
	}
	return strbuf_oom(&sb) ? NULL : arena_strdup(a, sb.buf);
}

static int field_text(const struct api_pod *pod, struct arena *a, const char *field, const char **ret, struct err *err)
{
	const char *text;

	if (streq(field, "metadata.name"))
		text = pod->metadata.name;
	else if (streq(field, "metadata.namespace"))
		text = pod->metadata.namespace_;
	else if (streq(field, "metadata.uid"))
		text = pod->metadata.uid;
	else if (streq(field, "metadata.labels"))
		text = map_text(a, &pod->metadata.labels);
	else if (streq(field, "metadata.annotations"))
		text = map_text(a, &pod->metadata.annotations);
	else
		return err_set(err, EOPNOTSUPP, "field '%s' cannot be a file", field);
	*ret = text;
	return text ? 0 : err_set(err, ENOMEM, "out of memory");
}

static mode_t mode_of(struct api_opt_int own, struct api_opt_int dflt)
{
	return (mode_t)(own.set ? own.v : dflt.set ? dflt.v : 0644);
}

static int add_fields(struct pod *p, const struct api_downward_api_projection *v, struct api_opt_int mode,
		      struct arena *a, struct payload_list *l, struct err *err)
{
	for (size_t i = 0; i < v->n_items; i++) {
		const struct api_downward_api_volume_file *f = &v->items[i];
		struct payload_file file = { .path = f->path, .mode = mode_of(f->mode, mode) };
		const char *text;
		int r = field_text(p->obj, a, f->field_ref ? f->field_ref->field_path : "", &text, err);

		if (r < 0)
			return r;
		file.data = text;
		file.len = strlen(text);
		r = payload_add(a, l, &file, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_token(struct pod *p, const struct api_service_account_token_projection *v, struct api_opt_int mode,
		     struct arena *a, struct payload_list *l, struct err *err)
{
	struct payload_file file = { .path = v->path, .mode = mode_of((struct api_opt_int){ 0 }, mode) };
	const char *token;
	int r = pod_token(p, v, &token, err);

	if (r < 0)
		return r;
	file.len = strlen(token);
	file.data = arena_strdup(a, token);
	if (!file.data)
		return err_set(err, ENOMEM, "out of memory");
	return payload_add(a, l, &file, err);
}

static int add_source(struct pod *p, const struct api_volume_projection *v, struct api_opt_int mode, struct arena *a,
		      struct payload_list *l, struct err *err)
{
	struct payload_source s = { .secret = v->secret != NULL, .mode = mode };

	if (v->service_account_token)
		return add_token(p, v->service_account_token, mode, a, l, err);
	if (v->downward_api)
		return add_fields(p, v->downward_api, mode, a, l, err);
	if (v->secret) {
		s.name = v->secret->name;
		s.n_items = v->secret->n_items;
		s.items = v->secret->items;
		s.optional = is_set(v->secret->optional);
	} else if (v->config_map) {
		s.name = v->config_map->name;
		s.n_items = v->config_map->n_items;
		s.items = v->config_map->items;
		s.optional = is_set(v->config_map->optional);
	} else {
		return err_set(err, EOPNOTSUPP, "this source is not served");
	}
	return payload_add_object(p, a, &s, l, err);
}

int projected_sync(struct pod *p, const struct api_projected_volume_source *v, const char *dir, struct arena *a,
		   struct err *err)
{
	struct payload_list files = { 0 };
	int first = 0;

	/* All are asked for before the first one is waited for. */
	for (size_t i = 0; i < v->n_sources; i++) {
		struct err e = ERR_INIT;
		int r = add_source(p, &v->sources[i], v->default_mode, a, &files, &e);

		if (r < 0 && (!first || first == -EAGAIN)) {
			first = r;
			if (err)
				*err = e;
		}
	}
	return first < 0 ? first : payload_mount(dir, true, &files, err);
}
