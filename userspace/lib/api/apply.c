/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-side apply: a configuration is merged into the live object, what its owner said before and does not say any
 * longer goes unless somebody else owns it too, and what others own and would be changed is a conflict.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/str.h"
#include "api-internal.h"
#include "managed_fields.h"
#include "managed_internal.h"

#define BEFORE_FIRST_APPLY "before-first-apply"
#define KUBECTL		   "kubectl"

struct applier {
	struct fset_mem *mem;
	const struct api_type *type;
	const struct managed_writer *who;
	enum managed_scope scope;
	json_t *live;
};

static const struct fset *named_set(struct applier *a, json_t *obj)
{
	const struct fset *set = NULL;

	if (field_set_of(a->mem, a->type, obj, false, &set, NULL) < 0)
		a->mem->oom = true;
	return field_name_parents(a->mem, a->type, set);
}

/*
 * merged without what `last` had and nobody owns now. Steals merged. Three steps, as upstream: take away everything
 * of the last set; of the merged object keep what that left and what any manager owns; and of the merged object take
 * only what both went and was in the last set, so that what nobody owns stays.
 */
static json_t *prune(struct applier *a, const struct managed *m, json_t *merged, const struct fset *last)
{
	const struct fset *owned = NULL, *merged_set, *named_last, *gone;
	json_t *pruned, *left;

	if (!last)
		return merged;
	named_last = field_name_parents(a->mem, a->type, last);
	pruned = field_remove(a->mem, a->type, merged, named_last);
	for (size_t i = 0; i < m->n; i++)
		owned = fset_union(a->mem, owned, m->v[i].set);
	owned = field_name_parents(a->mem, a->type, owned);
	merged_set = named_set(a, merged);
	if (pruned) {
		gone = fset_difference(a->mem, merged_set, fset_union(a->mem, named_set(a, pruned), owned));
		left = field_remove(a->mem, a->type, merged, gone);
		json_decref(pruned);
		pruned = left;
	}
	left = NULL;
	if (pruned) {
		gone = fset_difference(a->mem, merged_set, named_set(a, pruned));
		left = field_remove(a->mem, a->type, merged, fset_intersection(a->mem, gone, named_last));
	}
	json_decref(pruned);
	json_decref(merged);
	return left;
}

/* --- conflicts ---------------------------------------------------------------------------------------------------- */

static int conflict_order(const void *pa, const void *pb)
{
	const struct managed_entry *a = &((const struct managed_conflict *)pa)->with;
	const struct managed_entry *b = &((const struct managed_conflict *)pb)->with;
	int r = strcmp(a->manager, b->manager);

	r = r ? r : (int)a->apply - (int)b->apply;
	r = r ? r : strcmp(a->api_version, b->api_version);
	return r ? r : strcmp(a->subresource, b->subresource);
}

/*
 * The fields of others that would change. allowed: not counted. -EBUSY: there are some, in ret. mine: the applier's
 * own entry.
 */
static int find_conflicts(struct applier *a, const struct managed *m, const struct managed_entry *mine,
			  const struct fset *taken, const struct fset *allowed, struct managed_applied *ret)
{
	ret->conflicts = arena_calloc(&a->mem->arena, m->n ? m->n : 1, sizeof(*ret->conflicts));
	ret->n_conflicts = 0;
	if (!ret->conflicts) {
		a->mem->oom = true;
		return -ENOMEM;
	}
	for (size_t i = 0; i < m->n; i++) {
		const struct fset *set;

		if (&m->v[i] == mine)
			continue;
		set = fset_difference(a->mem, fset_intersection(a->mem, m->v[i].set, taken), allowed);
		if (!set)
			continue;
		ret->conflicts[ret->n_conflicts].with = m->v[i];
		ret->conflicts[ret->n_conflicts++].set = set;
	}
	if (ret->n_conflicts > 1)
		qsort(ret->conflicts, ret->n_conflicts, sizeof(*ret->conflicts), conflict_order);
	return ret->n_conflicts ? -EBUSY : 0;
}

static const char *last_applied(const json_t *obj)
{
	const json_t *annotations = json_object_get(json_object_get(obj, "metadata"), "annotations");
	const char *text = json_string_value(json_object_get(annotations, MANAGED_LAST_APPLIED));

	return text && *text ? text : NULL;
}

/*
 * What kubectl's client-side apply owns, going by its annotation: fields that are still as it applied them. The move
 * from there to server-side apply is no conflict with oneself.
 */
static const struct fset *client_side_set(struct applier *a)
{
	const char *text = last_applied(a->live);
	struct field_changes changes = { 0 };
	const struct fset *set = NULL;
	json_t *last;

	if (!streq(a->who->manager, KUBECTL) || !text || api_json_parse(text, strlen(text), &last, NULL, NULL) < 0)
		return NULL;
	if (json_is_object(last) &&
	    streq(json_string_value(json_object_get(last, "apiVersion")), a->who->api_version) &&
	    field_set_of(a->mem, a->type, last, false, &set, NULL) == 0 &&
	    field_compare(a->mem, a->type, last, a->live, &changes) == 0) {
		set = fset_difference(a->mem, set, changes.modified);
		set = fset_difference(a->mem, set, changes.added);
		set = fset_difference(a->mem, set, changes.removed);
		set = fset_copy(a->mem, set);
	} else {
		set = NULL;
	}
	json_decref(last);
	return set;
}

/* --- the annotation of client-side apply, kept for those who still go by it --------------------------------------- */

static int sync_last_applied(struct applier *a, json_t *config, json_t **obj)
{
	json_t *base = *obj ? *obj : a->live, *copy, *meta, *out;
	cleanup(strbuf_done) struct strbuf line = STRBUF_INIT;
	cleanup(free) char *text = NULL;

	if (!streq(a->who->manager, KUBECTL) || !last_applied(base))
		return 0;
	copy = json_deep_copy(config);
	meta = json_object_get(copy, "metadata");
	json_object_del(json_object_get(meta, "annotations"), MANAGED_LAST_APPLIED);
	if (json_object_get(meta, "annotations") && !json_object_size(json_object_get(meta, "annotations")))
		json_object_del(meta, "annotations");
	text = copy ? json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(copy);
	if (!text)
		return -ENOMEM;
	strbuf_adds(&line, text);
	strbuf_addc(&line, '\n');
	if (strbuf_oom(&line))
		return -ENOMEM;
	if (streq(last_applied(base), line.buf))
		return 0;
	out = json_deep_copy(base);
	if (!out || json_object_set_new(json_object_get(json_object_get(out, "metadata"), "annotations"),
					MANAGED_LAST_APPLIED, json_string(line.buf)) < 0) {
		json_decref(out);
		return -ENOMEM;
	}
	json_decref(*obj);
	*obj = out;
	return 0;
}

/* --- applying ----------------------------------------------------------------------------------------------------- */

/* What an object has of which nobody ever kept track belongs to one manager who stands for all of before. */
static int adopt(struct applier *a, struct managed *m)
{
	struct managed_writer before = *a->who;
	struct field_changes changes = { 0 };
	json_t *empty = json_object();
	int r;

	if (!empty)
		return -ENOMEM;
	before.manager = BEFORE_FIRST_APPLY;
	r = field_compare(a->mem, a->type, empty, a->live, &changes);
	if (r == 0) {
		changes.removed = NULL;
		r = managed_update(m, &changes, &before, a->scope);
	}
	json_decref(empty);
	return r;
}

static int copy_entries(const struct managed *from, struct managed *to)
{
	*to = *from;
	if (!from->n)
		return 0;
	to->v = arena_calloc(&from->mem->arena, from->n, sizeof(*to->v));
	if (!to->v)
		return -ENOMEM;
	to->cap = from->n;
	memcpy(to->v, from->v, from->n * sizeof(*to->v));
	return 0;
}

/* The new object, and who owns what then; taken: what the configuration changes. */
static int try_apply(struct applier *a, struct managed *m, json_t *config, const struct fset *set, bool force,
		     struct managed_applied *ret)
{
	struct managed_entry *mine = managed_entry_of(m, a->who, true);
	const struct fset *last = mine ? mine->set : NULL, *own = managed_strip(a->mem, set), *taken, *gone;
	struct field_changes all = { 0 };
	json_t *merged;
	int r;

	if (!mine)
		mine = managed_entry_new(m, a->who, true);
	if (!mine)
		return -ENOMEM;
	if (!fset_equal(last, own) || !streq(mine->api_version, a->who->api_version)) {
		mine->time = a->who->now;
		mine->raw = NULL;
	}
	mine->set = set; /* pruning has to know of the object's name, too */
	mine->api_version = a->who->api_version;
	merged = field_merge(a->mem, a->type, a->live, config);
	if (merged)
		merged = prune(a, m, merged, last);
	if (!merged)
		return -ENOMEM;
	r = field_compare(a->mem, a->type, a->live, merged, &all);
	if (r < 0)
		goto out;
	taken = managed_within(a->mem, fset_union(a->mem, all.modified, all.added), a->scope);
	gone = managed_within(a->mem, all.removed, a->scope);
	if (!force && find_conflicts(a, m, mine, taken, NULL, ret) < 0) {
		r = -EBUSY;
		/* kubectl takes over from its own client-side apply, if there is nothing else in the way. */
		if (find_conflicts(a, m, mine, taken, client_side_set(a), ret) < 0)
			goto out;
	}
	for (size_t i = 0; i < m->n; i++) {
		if (&m->v[i] == mine)
			continue;
		managed_give_up(m, &m->v[i], taken);
		managed_give_up(m, &m->v[i], gone);
	}
	mine->set = own;
	managed_drop_empty(m);
	r = 0;
	if (!field_changes_none(&all)) {
		ret->obj = json_deep_copy(merged);
		if (!ret->obj)
			r = -ENOMEM;
	}
out:
	json_decref(merged);
	return r;
}

int managed_apply(struct managed *m, const struct api_type *type, json_t *live, json_t *config,
		  const struct managed_writer *who, enum managed_scope scope, bool force, struct managed_applied *ret,
		  struct err *err)
{
	struct applier a = { .mem = m->mem, .type = type, .who = who, .scope = scope, .live = live };
	const struct fset *set = NULL;
	struct managed mine;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = field_set_of(m->mem, type, config, true, &set, err);
	if (r < 0)
		return r;
	set = managed_within(m->mem, set, scope);
	r = copy_entries(m, &mine);
	if (r == 0 && !mine.n)
		r = adopt(&a, &mine);
	if (r == 0)
		r = try_apply(&a, &mine, config, set, force, ret);
	if (r == 0)
		r = sync_last_applied(&a, config, &ret->obj);
	if (m->mem->oom)
		r = -ENOMEM;
	if (r < 0) {
		json_decref(ret->obj);
		ret->obj = NULL;
		return r == -ENOMEM ? err_set(err, ENOMEM, "out of memory") : r;
	}
	*m = mine;
	return 0;
}

void managed_touch(struct managed *m, const struct managed_writer *who)
{
	struct managed_entry *e = managed_entry_of(m, who, true);

	if (e)
		e->time = who->now;
}

/* --- the answer to conflicts -------------------------------------------------------------------------------------- */

static void print_manager(const struct managed_entry *e, struct strbuf *out)
{
	strbuf_add_json(out, e->manager);
	if (e->subresource[0]) {
		strbuf_adds(out, " with subresource ");
		strbuf_add_json(out, e->subresource);
	}
	if (!e->apply)
		strbuf_addf(out, " using %s", e->api_version);
}

struct teller {
	const struct managed_entry *with;
	json_t *causes;
	struct strbuf lines;
};

static void tell(void *arg, const char *path)
{
	struct teller *t = arg;
	struct strbuf text = STRBUF_INIT;

	strbuf_adds(&text, "conflict with ");
	print_manager(t->with, &text);
	json_array_append_new(t->causes, json_pack("{s:s,s:s,s:s}", "reason", "FieldManagerConflict", "message",
						   text.buf, "field", path));
	strbuf_addf(&t->lines, "\n- %s", path);
	strbuf_done(&text);
}

json_t *managed_conflict_status(const struct managed_applied *a)
{
	cleanup(strbuf_done) struct strbuf list = STRBUF_INIT, text = STRBUF_INIT;
	struct teller t = { .causes = json_array(), .lines = STRBUF_INIT };
	json_t *status;
	size_t n;

	for (size_t i = 0; i < a->n_conflicts; i++) {
		t.with = &a->conflicts[i].with;
		strbuf_clear(&t.lines);
		fset_paths(a->conflicts[i].set, tell, &t);
		strbuf_addf(&list, "%sconflicts with ", i ? "\n" : "");
		print_manager(t.with, &list);
		strbuf_addc(&list, ':');
		strbuf_add(&list, t.lines.buf, t.lines.len);
	}
	n = json_array_size(t.causes);
	if (n == 1)
		strbuf_addf(&text, "Apply failed with 1 conflict: %s: %s",
			    json_string_value(json_object_get(json_array_get(t.causes, 0), "message")),
			    json_string_value(json_object_get(json_array_get(t.causes, 0), "field")));
	else
		strbuf_addf(&text, "Apply failed with %zu conflicts: %s", n, list.buf);
	strbuf_done(&t.lines);
	status = strbuf_oom(&text) || strbuf_oom(&list) ? NULL : api_status(409, "Conflict", text.buf);
	if (!status) {
		json_decref(t.causes);
		return NULL;
	}
	(void)api_set(status, "details.causes", t.causes);
	return status;
}
