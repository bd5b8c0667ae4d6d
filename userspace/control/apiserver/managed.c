/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping managedFields: out of the trees, into the store, and up to date with every write (see managed.h). */
#include "managed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"
#include "apiserver-internal.h"

#define OWN_MANAGER "skep-apiserver"
#define FIELD	    "\"managedFields\":"
#define RV_FIELD    "\"resourceVersion\":\""

/*
 * Where the members of metadata begin; NULL: not as we write it. Custom kinds are stored in any of their versions,
 * views in another kind's form.
 */
static const char *metadata_of(const struct resource *r, const char *value, size_t len)
{
	static const char start[] = "\"metadata\":{";
	const char *p;

	if (len >= r->head_len && memcmp(value, r->head, r->head_len) == 0)
		return value + r->head_len;
	if (len < 9 || memcmp(value, "{\"kind\":\"", 9) != 0)
		return NULL;
	p = memmem(value, len < sizeof(r->head) ? len : sizeof(r->head), start, sizeof(start) - 1);
	return p ? p + sizeof(start) - 1 : NULL;
}

int managed_split(const struct resource *r, const void *value, size_t len, json_t **ret, struct strbuf *ret_managed)
{
	const char *end = (const char *)value + len, *p = metadata_of(r, value, len);
	cleanup(free) char *without = NULL;
	size_t n, head;

	if (ret_managed)
		strbuf_clear(ret_managed);
	if (!p)
		return -EINVAL;
	if ((size_t)(end - p) > strlen(RV_FIELD) && memcmp(p, RV_FIELD, strlen(RV_FIELD)) == 0) {
		p = memchr(p, ',', (size_t)(end - p));
		if (!p++)
			return -EINVAL;
	}
	if ((size_t)(end - p) <= strlen(FIELD) || memcmp(p, FIELD, strlen(FIELD)) != 0)
		return api_json_parse(value, len, ret, NULL, NULL);
	head = (size_t)(p - (const char *)value);
	p += strlen(FIELD);
	n = managed_array_length(p, end);
	if (!n || p + n >= end || p[n] != ',')
		return -EINVAL;
	if (ret_managed) {
		strbuf_add(ret_managed, p, n);
		if (strbuf_oom(ret_managed))
			return -ENOMEM;
	}
	p += n + 1;
	without = malloc(head + (size_t)(end - p));
	if (!without)
		return -ENOMEM;
	memcpy(without, value, head);
	memcpy(without + head, p, (size_t)(end - p));
	return api_json_parse(without, head + (size_t)(end - p), ret, NULL, NULL);
}

/* Behind the string whose first quote is at p; end if it has no end. */
static const char *string_end(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p < end ? p + 1 : end;
}

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && memchr(" \t\r\n", *p, 4))
		p++;
	return p;
}

static bool is_key(const char *p, const char *after, const char *name)
{
	return (size_t)(after - p) == strlen(name) + 2 && memcmp(p + 1, name, strlen(name)) == 0;
}

/* metadata.managedFields in the text of an object: its key, its value and what follows it; false: not there. */
static bool find_managed(const char *p, const char *end, const char **ret_key, const char **ret_value, size_t *ret_len)
{
	bool in_metadata = false;
	size_t depth = 0;

	while (p < end) {
		const char *key = p, *after;

		switch (*p) {
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (depth == 2)
				in_metadata = false;
			if (depth)
				depth--;
			break;
		case '"':
			p = after = string_end(p, end);
			if (depth > 2 || (depth == 2 && !in_metadata))
				continue;
			p = skip_space(p, end);
			if (p >= end || *p != ':')
				continue;
			p = skip_space(p + 1, end);
			if (depth == 1 && is_key(key, after, "metadata") && p < end && *p == '{') {
				in_metadata = true;
			} else if (depth == 2 && is_key(key, after, "managedFields") && p < end && *p == '[') {
				*ret_key = key;
				*ret_value = p;
				*ret_len = managed_array_length(p, end);
				return *ret_len > 0;
			}
			continue;
		}
		p++;
	}
	return false;
}

bool managed_cut(const char *data, size_t len, struct strbuf *ret_without, struct strbuf *ret_managed)
{
	const char *end = data + len, *key, *value, *rest;
	size_t n;

	strbuf_clear(ret_without);
	strbuf_clear(ret_managed);
	if (!find_managed(data, end, &key, &value, &n))
		return false;
	rest = skip_space(value + n, end);
	if (rest < end && *rest == ',') {
		rest++;
	} else {
		while (key > data && memchr(" \t\r\n", key[-1], 4))
			key--;
		if (key > data && key[-1] == ',')
			key--;
	}
	strbuf_add(ret_without, data, (size_t)(key - data));
	strbuf_add(ret_without, rest, (size_t)(end - rest));
	strbuf_add(ret_managed, value, n);
	if (!strbuf_oom(ret_without) && !strbuf_oom(ret_managed))
		return true;
	strbuf_done(ret_without);
	strbuf_done(ret_managed);
	return false;
}

const struct strbuf *managed_text(const struct call *c)
{
	return c->managed_changed ? &c->new_managed : &c->managed;
}

void managed_attach(const struct strbuf *text, json_t *obj)
{
	json_t *list = text->len ? json_loadb(text->buf, text->len, 0, NULL) : NULL;

	if (list)
		json_object_set_new(obj_meta(obj), "managedFields", list);
}

json_t *managed_asked(struct call *c, json_t *obj)
{
	json_t *list = managed_take(obj);

	if (list || !c->asked.len ||
	    (c->asked.len == c->managed.len && memcmp(c->asked.buf, c->managed.buf, c->asked.len) == 0))
		return list;
	/* What does not parse makes no sense either. */
	return api_json_parse(c->asked.buf, c->asked.len, &list, NULL, NULL) == 0 ? list : NULL;
}

json_t *managed_take(json_t *obj)
{
	json_t *meta = json_object_get(obj, "metadata");
	json_t *list = json_incref(json_object_get(meta, "managedFields"));

	json_object_del(meta, "managedFields");
	return list;
}

/* --- who writes --------------------------------------------------------------------------------------------------- */

int managed_check_manager(struct call *c)
{
	const char *manager = call_query(c, "fieldManager"), *kind, *type;
	struct api_errs errs = { 0 };

	if (streq(c->sub, "proxy"))
		return 0;
	type = streq(c->verb, "patch") && call_query(c, "force") ? http_req_header(c->req, "content-type") : NULL;
	if (type && !str_starts(type, "application/apply-patch"))
		api_errs_add(&errs, API_C_FORBIDDEN, "force", "Forbidden: may not be specified for non-apply patch");
	if (!manager)
		manager = "";
	if (strlen(manager) > MANAGED_MAX_NAME) {
		api_errs_add(&errs, API_C_TOO_LONG, "fieldManager", "Too long: may not be more than %d bytes",
			     MANAGED_MAX_NAME);
	} else {
		for (size_t i = 0; manager[i] && !errs.n; i++)
			if ((unsigned char)manager[i] < 0x20 || manager[i] == 0x7f)
				api_errs_add(&errs, API_C_INVALID, "fieldManager",
					     "Invalid value: \"%s\": should not contain the unprintable character "
					     "U+%04X (at position %zu)",
					     manager, (unsigned)manager[i], i);
	}
	if (!errs.n)
		return 0;
	kind = streq(c->verb, "create") ? "CreateOptions" : streq(c->verb, "update") ? "UpdateOptions" : "PatchOptions";
	call_options_invalid(c, kind, &errs);
	api_errs_done(&errs);
	return -1;
}

/* fieldManager, else what the client calls itself. c->manager keeps it. */
static const char *manager_of(struct call *c)
{
	const char *name = call_query(c, "fieldManager"), *agent;
	char buf[MANAGED_MAX_NAME + 4];
	size_t n = 0;

	if (c->manager)
		return c->manager;
	if (name && *name) {
		c->manager = strdup(name);
		return c->manager ?: "";
	}
	agent = c->req ? http_req_header(c->req, "user-agent") : OWN_MANAGER;
	for (; agent && *agent && *agent != '/' && n + 1 < sizeof(buf); agent++)
		if ((unsigned char)*agent >= 0x20 && *agent != 0x7f)
			buf[n++] = *agent;
	/* not in the middle of a character */
	while (agent && n + 1 == sizeof(buf) && ((unsigned char)*agent & 0xc0) == 0x80 && n)
		agent = &buf[--n];
	buf[n] = '\0';
	c->manager = strdup(buf);
	return c->manager ?: "";
}

void managed_writer_of(struct call *c, char *now, struct managed_writer *ret)
{
	obj_now(now);
	ret->manager = manager_of(c);
	ret->api_version = c->res->api_version;
	ret->subresource = c->sub;
	ret->now = now;
}

/* --- following writes --------------------------------------------------------------------------------------------- */

static bool kind_has_status(const struct api_kind *kind)
{
	for (const char *const *p = kind->subresources; p && *p; p++)
		if (streq(*p, "status"))
			return true;
	return false;
}

/* What is decided anew on another present object starts from nothing. */
static void start_over(struct call *c)
{
	c->managed_changed = false;
	strbuf_clear(&c->new_managed);
}

int managed_keep(struct call *c, struct managed *m)
{
	start_over(c);
	managed_write(m, &c->new_managed);
	if (strbuf_oom(&c->new_managed) || m->mem->oom) {
		call_oom(c);
		return -1;
	}
	c->managed_changed = c->new_managed.len != c->managed.len ||
			     memcmp(c->new_managed.buf, c->managed.buf, c->managed.len) != 0;
	return 0;
}

enum managed_scope managed_scope_of(const struct call *c)
{
	if (streq(c->sub, "status"))
		return MANAGED_STATUS;
	return !c->sub[0] && kind_has_status(c->res->kind) ? MANAGED_MAIN : MANAGED_ALL;
}

int managed_create(struct call *c, const json_t *obj)
{
	cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
	struct managed m = { .mem = &mem };
	struct field_changes changes = { 0 };
	struct managed_writer who;
	char now[CLOCK_RFC3339_SIZE];

	managed_writer_of(c, now, &who);
	if (field_compare(&mem, c->res->kind->type, NULL, obj, &changes) < 0 ||
	    managed_update(&m, &changes, &who, managed_scope_of(c)) < 0) {
		call_oom(c);
		return -1;
	}
	return managed_keep(c, &m);
}

/* The entries a write starts from: the client's own list if it makes sense, else those that are there. */
static int starting_point(struct call *c, struct fset_mem *mem, const json_t *asked, struct managed *ret)
{
	struct managed live = { .mem = mem }, sent = { .mem = mem };

	/* Garbage is nobody's: what we cannot read we forget, as upstream does. */
	if (managed_read(mem, c->managed.buf, c->managed.len, &live) < 0)
		live.n = 0;
	*ret = live;
	if (!asked || c->sub[0])
		return 0;
	if (managed_is_reset(asked)) {
		ret->n = 0;
		return 1;
	}
	if (managed_from_json(mem, asked, &sent, NULL) < 0 || !sent.n || managed_same_owners(&live, &sent))
		return 0;
	*ret = sent;
	return 1;
}

int managed_track(struct call *c, const json_t *obj, const json_t *asked)
{
	cleanup(fset_mem_done) struct fset_mem mem = FSET_MEM_INIT;
	struct managed m;
	struct field_changes changes = { 0 };
	struct managed_writer who;
	char now[CLOCK_RFC3339_SIZE];
	bool replaced;

	start_over(c);
	/* What nobody has kept track of so far is left to its first apply. */
	if (!c->managed.len && !asked)
		return !json_equal(obj, c->old);
	if (field_compare(&mem, c->res->kind->type, c->old, obj, &changes) < 0) {
		call_oom(c);
		return -1;
	}
	if (!asked && field_changes_none(&changes))
		return 0;
	replaced = starting_point(c, &mem, asked, &m);
	managed_writer_of(c, now, &who);
	if (m.n && !field_changes_none(&changes) && managed_update(&m, &changes, &who, MANAGED_ALL) < 0) {
		call_oom(c);
		return -1;
	}
	if ((replaced || !field_changes_none(&changes)) && managed_keep(c, &m) < 0)
		return -1;
	return c->managed_changed || !field_changes_none(&changes);
}
