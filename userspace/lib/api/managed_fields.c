/* SPDX-License-Identifier: Apache-2.0 */
/* metadata.managedFields: reading and writing the entries, and what a write that is not an apply makes of them. */
#include "managed_fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/str.h"
#include "api-internal.h"
#include "managed_internal.h"

#define ANCIENT "ancient-changes"

static int lost(struct managed *m)
{
	m->mem->oom = true;
	return -ENOMEM;
}

static struct managed_entry *add_entry(struct managed *m)
{
	if (m->n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 8;
		struct managed_entry *v = arena_calloc(&m->mem->arena, cap, sizeof(*v));

		if (!v) {
			m->mem->oom = true;
			return NULL;
		}
		if (m->n)
			memcpy(v, m->v, m->n * sizeof(*v));
		m->v = v;
		m->cap = cap;
	}
	memset(&m->v[m->n], 0, sizeof(m->v[0]));
	return &m->v[m->n++];
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* `"name":"value"` at *p, the value copied. */
static int read_member(struct fset_mem *mem, const char **p, const char *end, const char *name, const char **ret)
{
	size_t len = strlen(name), value_len;
	const char *value;
	int r;

	if ((size_t)(end - *p) < len + 3 || (*p)[0] != '"' || memcmp(*p + 1, name, len) != 0 || (*p)[len + 1] != '"' ||
	    (*p)[len + 2] != ':')
		return -ENOENT;
	*p += len + 3;
	r = fset_read_string(mem, p, end, &value, &value_len);
	if (r < 0)
		return r;
	*ret = arena_strndup(&mem->arena, value, value_len);
	if (!*ret) {
		mem->oom = true;
		return -ENOMEM;
	}
	return 0;
}

static bool skip(const char **p, const char *end, const char *what)
{
	size_t len = strlen(what);

	if ((size_t)(end - *p) < len || memcmp(*p, what, len) != 0)
		return false;
	*p += len;
	return true;
}

static int read_entry(struct managed *m, const char **p, const char *end)
{
	struct managed_entry *e = add_entry(m);
	const char *operation = "";
	const struct {
		const char *name, **to;
		bool needed;
	} members[] = {
		{ "manager", &e->manager, true },	   { "operation", &operation, true },
		{ "apiVersion", &e->api_version, true },   { "time", &e->time, false },
		{ "subresource", &e->subresource, false },
	};
	int r;

	if (!e)
		return -ENOMEM;
	e->manager = e->api_version = e->time = e->subresource = "";
	if (!skip(p, end, "{"))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		r = read_member(m->mem, p, end, members[i].name, members[i].to);
		if (r == -ENOENT && !members[i].needed)
			continue;
		if (r < 0)
			return r == -ENOENT ? -EINVAL : r;
		if (!skip(p, end, ","))
			return -EINVAL;
	}
	if (!skip(p, end, "\"fieldsType\":\"FieldsV1\",\"fieldsV1\":"))
		return -EINVAL;
	e->apply = streq(operation, "Apply");
	e->raw = *p;
	r = fset_read(m->mem, p, end, &e->set);
	if (r < 0)
		return r;
	e->raw_len = (size_t)(*p - e->raw);
	if (skip(p, end, ",")) {
		r = read_member(m->mem, p, end, "subresource", &e->subresource);
		if (r < 0)
			return r == -ENOENT ? -EINVAL : r;
	}
	return skip(p, end, "}") ? 0 : -EINVAL;
}

int managed_read(struct fset_mem *mem, const char *text, size_t len, struct managed *ret)
{
	struct managed m = { .mem = mem };
	const char *p = text, *end = text + len;
	int r;

	if (len && !skip(&p, end, "["))
		return -EINVAL;
	while (p < end) {
		r = read_entry(&m, &p, end);
		if (r < 0)
			return r;
		if (skip(&p, end, "]"))
			break;
		if (!skip(&p, end, ","))
			return -EINVAL;
	}
	*ret = m;
	return p == end ? 0 : -EINVAL;
}

bool managed_is_reset(const json_t *array)
{
	return json_array_size(array) == 1 && json_is_object(json_array_get(array, 0)) &&
	       !json_object_size(json_array_get(array, 0));
}

static const char *member(struct fset_mem *mem, const json_t *entry, const char *name)
{
	const char *s = json_string_value(json_object_get(entry, name));
	char *copy = s ? arena_strdup(&mem->arena, s) : NULL;

	if (s && !copy)
		mem->oom = true;
	return copy ? copy : "";
}

int managed_from_json(struct fset_mem *mem, const json_t *array, struct managed *ret, struct err *err)
{
	struct managed m = { .mem = mem };
	json_t *entry;
	size_t i;
	int r;

	if (json_array_size(array) > MANAGED_MAX_ENTRIES)
		return err_set(err, EINVAL, "metadata.managedFields has more than %d entries", MANAGED_MAX_ENTRIES);
	if (!json_is_array(array))
		return err_set(err, EINVAL, "metadata.managedFields must be a list");
	json_array_foreach (array, i, entry) {
		const char *op = json_string_value(json_object_get(entry, "operation"));
		const char *type = json_string_value(json_object_get(entry, "fieldsType"));
		struct managed_entry *e = add_entry(&m);

		if (!e)
			return err_set(err, ENOMEM, "out of memory");
		if (!streq(op, "Apply") && !streq(op, "Update"))
			return err_set(err, EINVAL, "metadata.managedFields[%zu].operation must be `Apply` or `Update`",
				       i);
		if (type && !streq(type, "FieldsV1"))
			return err_set(err, EINVAL, "metadata.managedFields[%zu].fieldsType must be `FieldsV1`", i);
		e->apply = streq(op, "Apply");
		e->manager = member(mem, entry, "manager");
		e->api_version = member(mem, entry, "apiVersion");
		e->time = member(mem, entry, "time");
		e->subresource = member(mem, entry, "subresource");
		if (strlen(e->manager) > MANAGED_MAX_NAME)
			return err_set(err, EINVAL, "metadata.managedFields[%zu].manager is too long", i);
		r = fset_from_json(mem, json_object_get(entry, "fieldsV1"), &e->set, err);
		if (r < 0)
			return r;
		if (!e->set)
			m.n--;
	}
	if (mem->oom)
		return err_set(err, ENOMEM, "out of memory");
	*ret = m;
	return 0;
}

static int id_order(const void *pa, const void *pb)
{
	const struct managed_entry *a = pa, *b = pb;
	int r = (int)a->apply - (int)b->apply;

	r = r ? r : strcmp(a->manager, b->manager);
	r = r ? r : strcmp(a->api_version, b->api_version);
	return r ? r : strcmp(a->subresource, b->subresource);
}

bool managed_same_owners(struct managed *a, struct managed *b)
{
	if (a->n != b->n)
		return false;
	if (a->n > 1) {
		qsort(a->v, a->n, sizeof(a->v[0]), id_order);
		qsort(b->v, b->n, sizeof(b->v[0]), id_order);
	}
	for (size_t i = 0; i < a->n; i++)
		if (id_order(&a->v[i], &b->v[i]) != 0 || !fset_equal(a->v[i].set, b->v[i].set))
			return false;
	return true;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static int entry_order(const void *pa, const void *pb)
{
	const struct managed_entry *a = pa, *b = pb;
	int r;

	if (a->apply != b->apply)
		return a->apply ? -1 : 1;
	r = strcmp(a->time, b->time);
	r = r ? r : strcmp(a->manager, b->manager);
	r = r ? r : strcmp(a->api_version, b->api_version);
	return r ? r : strcmp(a->subresource, b->subresource);
}

static void write_member(struct strbuf *out, const char *name, const char *value)
{
	strbuf_addc(out, '"');
	strbuf_adds(out, name);
	strbuf_adds(out, "\":");
	strbuf_add_json(out, value);
	strbuf_addc(out, ',');
}

/* In the order of Go's struct: what Go clients send back is the same text. */
void managed_write(struct managed *m, struct strbuf *out)
{
	if (!m->n)
		return;
	if (m->n > 1)
		qsort(m->v, m->n, sizeof(m->v[0]), entry_order);
	for (size_t i = 0; i < m->n; i++) {
		const struct managed_entry *e = &m->v[i];

		strbuf_adds(out, i ? ",{" : "[{");
		write_member(out, "manager", e->manager);
		write_member(out, "operation", e->apply ? "Apply" : "Update");
		write_member(out, "apiVersion", e->api_version);
		if (e->time[0])
			write_member(out, "time", e->time);
		strbuf_adds(out, "\"fieldsType\":\"FieldsV1\",\"fieldsV1\":");
		if (e->raw)
			strbuf_add(out, e->raw, e->raw_len);
		else
			fset_write(e->set, out);
		if (e->subresource[0]) {
			strbuf_addc(out, ',');
			write_member(out, "subresource", e->subresource);
			out->len -= !strbuf_oom(out); /* its comma */
		}
		strbuf_addc(out, '}');
	}
	strbuf_addc(out, ']');
}

/* --- what writes make of it --------------------------------------------------------------------------------------- */

const struct fset *managed_strip(struct fset_mem *mem, const struct fset *set)
{
	static const char *const names[] = { "creationTimestamp", "generation",	     "managedFields", "name",
					     "namespace",	  "resourceVersion", "selfLink",      "uid" };
	struct fset meta[sizeof(names) / sizeof(names[0])] = { 0 }, root[3] = { 0 };
	size_t n = sizeof(names) / sizeof(names[0]);

	for (size_t i = 0; i < n; i++) {
		meta[i].kind = FSET_FIELD;
		meta[i].text = names[i];
		meta[i].len = (uint32_t)strlen(names[i]);
		meta[i].member = true;
		meta[i].next = i + 1 < n ? &meta[i + 1] : NULL;
	}
	for (size_t i = 0; i < 3; i++) {
		static const char *const tops[] = { "apiVersion", "kind", "metadata" };

		root[i].kind = FSET_FIELD;
		root[i].text = tops[i];
		root[i].len = (uint32_t)strlen(tops[i]);
		root[i].member = true;
		root[i].next = i < 2 ? &root[i + 1] : NULL;
	}
	root[2].sub = meta;
	return fset_difference(mem, set, root); /* which has nothing of root in it */
}

const struct fset *managed_within(struct fset_mem *mem, const struct fset *set, enum managed_scope scope)
{
	const struct fset *first = NULL;
	struct fset *last = NULL, *s;

	if (scope == MANAGED_ALL)
		return set;
	for (; set; set = set->next) {
		bool status = set->kind == FSET_FIELD && set->len == 6 && memcmp(set->text, "status", 6) == 0;

		if (status != (scope == MANAGED_STATUS))
			continue;
		s = fset_step(mem, set->kind, set->text, set->len, set->member, set->sub);
		if (!s)
			return NULL;
		if (last)
			last->next = s;
		else
			first = s;
		last = s;
	}
	return first;
}

/* The entry that who's writes go to. An applier is the same in every version. */
struct managed_entry *managed_entry_of(struct managed *m, const struct managed_writer *who, bool apply)
{
	for (size_t i = 0; i < m->n; i++) {
		struct managed_entry *e = &m->v[i];

		if (e->apply == apply && streq(e->manager, who->manager) && streq(e->subresource, who->subresource) &&
		    (apply || streq(e->api_version, who->api_version)))
			return e;
	}
	return NULL;
}

struct managed_entry *managed_entry_new(struct managed *m, const struct managed_writer *who, bool apply)
{
	struct managed_entry *e = add_entry(m);

	if (!e)
		return NULL;
	e->manager = who->manager;
	e->api_version = who->api_version;
	e->subresource = who->subresource;
	e->time = "";
	e->apply = apply;
	return e;
}

void managed_give_up(struct managed *m, struct managed_entry *e, const struct fset *set)
{
	if (!fset_meets(e->set, set))
		return;
	e->set = fset_difference(m->mem, e->set, set);
	e->raw = NULL;
}

void managed_drop_empty(struct managed *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].set)
			m->v[n++] = m->v[i];
	m->n = n;
}

static int age_order(const void *pa, const void *pb)
{
	const struct managed_entry *a = *(struct managed_entry *const *)pa, *b = *(struct managed_entry *const *)pb;
	int r = strcmp(a->time, b->time);

	r = r ? r : strcmp(a->manager, b->manager);
	r = r ? r : strcmp(a->api_version, b->api_version);
	return r ? r : strcmp(a->subresource, b->subresource);
}

static struct managed_entry *merge_target(struct managed_entry **updates, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (updates[k]->set && streq(updates[k]->api_version, updates[i]->api_version))
			return updates[k];
	return NULL;
}

/* More updaters than allowed: the oldest ones of each version become one. */
static void cap_updates(struct managed *m)
{
	struct managed_entry **updates;
	size_t n = 0, left;

	for (size_t i = 0; i < m->n; i++)
		n += !m->v[i].apply;
	if (n <= MANAGED_MAX_UPDATES)
		return;
	updates = arena_calloc(&m->mem->arena, n, sizeof(struct managed_entry *));
	if (!updates) {
		m->mem->oom = true;
		return;
	}
	left = n;
	n = 0;
	for (size_t i = 0; i < m->n; i++)
		if (!m->v[i].apply)
			updates[n++] = &m->v[i];
	qsort(updates, n, sizeof(struct managed_entry *), age_order);
	for (size_t i = 1; i < n && left > MANAGED_MAX_UPDATES; i++) {
		struct managed_entry *into = merge_target(updates, i);

		if (!into)
			continue;
		into->manager = ANCIENT;
		into->subresource = "";
		into->set = fset_union(m->mem, into->set, updates[i]->set);
		into->raw = NULL;
		into->time = updates[i]->time;
		updates[i]->set = NULL;
		left--;
	}
	managed_drop_empty(m);
}

int managed_update(struct managed *m, const struct field_changes *changes, const struct managed_writer *who,
		   enum managed_scope scope)
{
	const struct fset *taken = managed_within(m->mem, fset_union(m->mem, changes->modified, changes->added), scope);
	const struct fset *gone = managed_within(m->mem, changes->removed, scope), *own;

	for (size_t i = 0; i < m->n; i++) {
		managed_give_up(m, &m->v[i], taken);
		managed_give_up(m, &m->v[i], gone);
	}
	own = managed_strip(m->mem, taken);
	if (own) {
		struct managed_entry *e = managed_entry_of(m, who, false);

		if (!e)
			e = managed_entry_new(m, who, false);
		if (!e)
			return -ENOMEM;
		e->set = fset_union(m->mem, e->set, own);
		e->raw = NULL;
		e->time = who->now;
	}
	managed_drop_empty(m);
	cap_updates(m);
	return m->mem->oom ? lost(m) : 0;
}
