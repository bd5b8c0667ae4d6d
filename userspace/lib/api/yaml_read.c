/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML to JSON trees. Aliases are expanded, which is bounded in nodes and depth; duplicate keys are refused, merge
 * keys (<<) are honoured. Lines of fields are found in a second reading, when there is something to say about them.
 */
#include "api-internal.h"
#include "yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "../base/cleanup.h"
#include "../base/str.h"
#include "../base/strmap.h"

#define MAX_NODES 1000000 /* of one stream, aliases expanded */
#define MAX_DOCS  10000

struct reader {
	yaml_parser_t parser;
	struct strmap *anchors; /* json_t * by name, of this document */
	size_t nodes;
	struct err *err;
};

static void event_done(yaml_event_t *ev)
{
	yaml_event_delete(ev);
}
static inline void event_donep(yaml_event_t *ev)
{
	event_done(ev);
}

static int fail_at(struct reader *r, const yaml_event_t *ev, const char *what)
{
	return err_set(r->err, EINVAL, "YAML, line %zu, column %zu: %s", ev->start_mark.line + 1,
		       ev->start_mark.column + 1, what);
}

static int no_memory(struct reader *r)
{
	return err_set(r->err, ENOMEM, "out of memory");
}

static int next_event(struct reader *r, yaml_event_t *ev);
static int read_value(struct reader *r, const yaml_event_t *ev, int depth, json_t **ret);

static int read_scalar(struct reader *r, const yaml_event_t *ev, json_t **ret)
{
	const char *tag = (const char *)ev->data.scalar.tag, *s = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;
	bool bad = false;
	json_t *v;

	/* Without a tag a plain scalar is what it looks like and a quoted one a string. */
	if (tag ? streq(tag, YAML_STR_TAG) || streq(tag, "!") : !ev->data.scalar.plain_implicit)
		v = json_stringn(s, len);
	else if (!tag || streq(tag, YAML_INT_TAG) || streq(tag, YAML_FLOAT_TAG) || streq(tag, YAML_BOOL_TAG) ||
		 streq(tag, YAML_NULL_TAG))
		v = api_yaml_plain(s, len, &bad);
	else
		return fail_at(r, ev, "this tag is not supported");
	if (bad)
		return fail_at(r, ev, "JSON has no such number");
	if (!v)
		return fail_at(r, ev, "not valid UTF-8, or out of memory");
	*ret = v;
	return 0;
}

static size_t count_nodes(const json_t *v)
{
	size_t n = 1, i;
	const char *key;
	json_t *child;

	if (json_is_object(v))
		json_object_foreach ((json_t *)v, key, child)
			n += count_nodes(child);
	else if (json_is_array(v))
		json_array_foreach (v, i, child)
			n += count_nodes(child);
	return n;
}

static int depth_of(const json_t *v)
{
	int deepest = 0, d;
	const char *key;
	json_t *child;
	size_t i;

	if (json_is_object(v))
		json_object_foreach ((json_t *)v, key, child)
			deepest = (d = 1 + depth_of(child)) > deepest ? d : deepest;
	else if (json_is_array(v))
		json_array_foreach (v, i, child)
			deepest = (d = 1 + depth_of(child)) > deepest ? d : deepest;
	return deepest;
}

/* An anchor is known once its value is complete, so that none can contain itself. Copies: a tree shares nothing. */
static int read_alias(struct reader *r, const yaml_event_t *ev, int depth, json_t **ret)
{
	json_t *v = r->anchors ? strmap_get(r->anchors, (const char *)ev->data.alias.anchor) : NULL;

	if (!v)
		return fail_at(r, ev, "undefined alias");
	r->nodes += count_nodes(v);
	if (r->nodes > MAX_NODES)
		return fail_at(r, ev, "too large with its anchors expanded");
	if (depth + depth_of(v) > API_MAX_DEPTH)
		return fail_at(r, ev, "nested too deeply");
	*ret = json_deep_copy(v);
	return *ret ? 0 : no_memory(r);
}

static int set_anchor(struct reader *r, const yaml_char_t *name, json_t *v)
{
	void *old = NULL;

	if (!name)
		return 0;
	if (!r->anchors)
		r->anchors = strmap_new();
	if (!r->anchors || strmap_set(r->anchors, (const char *)name, json_incref(v), &old) < 0) {
		json_decref(v);
		return no_memory(r);
	}
	json_decref(old);
	return 0;
}

static void clear_anchors(struct reader *r)
{
	if (!r->anchors)
		return;
	for (struct strmap_iter it = { 0 }; strmap_next(r->anchors, &it);)
		json_decref(it.value);
	strmap_clear(r->anchors);
}

static int read_sequence(struct reader *r, int depth, json_t *list)
{
	for (;;) {
		cleanup(event_done) yaml_event_t ev = { 0 };
		json_t *v;
		int res = next_event(r, &ev);

		if (res < 0)
			return res;
		if (ev.type == YAML_SEQUENCE_END_EVENT)
			return 0;
		res = read_value(r, &ev, depth + 1, &v);
		if (res < 0)
			return res;
		if (json_array_append_new(list, v) < 0)
			return no_memory(r);
	}
}

/*
 * The value of <<: a mapping, or a list of them of which earlier ones win; what the object says itself wins over all.
 */
static int merge(struct reader *r, const yaml_event_t *at, json_t *into, const json_t *value)
{
	const json_t *item;
	size_t i;

	if (json_is_object(value))
		return json_object_update_missing(into, (json_t *)value) < 0 ? no_memory(r) : 0;
	json_array_foreach (value, i, item) {
		if (!json_is_object(item))
			break;
		if (json_object_update_missing(into, (json_t *)item) < 0)
			return no_memory(r);
	}
	return json_is_array(value) && i == json_array_size(value) ? 0 : fail_at(r, at, "merge keys take mappings");
}

/*
 * Keys are strings: 1 is "1", as in Kubernetes; words like "yes" keep their spelling. merged collects what << brings.
 */
static int read_pair(struct reader *r, const yaml_event_t *key, int depth, json_t *obj, json_t *merged)
{
	cleanup(event_done) yaml_event_t ev = { 0 };
	const char *name = (const char *)key->data.scalar.value;
	json_t *v;
	int res;

	if (key->type != YAML_SCALAR_EVENT || strlen(name) != key->data.scalar.length)
		return fail_at(r, key, "a key must be a scalar");
	if (json_object_get(obj, name))
		return err_set(r->err, EINVAL, "YAML, line %zu: key \"%.200s\" is there already",
			       key->start_mark.line + 1, name);
	res = next_event(r, &ev);
	if (!res)
		res = read_value(r, &ev, depth + 1, &v);
	if (res < 0)
		return res;
	if (key->data.scalar.plain_implicit && !strcmp(name, "<<")) {
		res = merge(r, key, merged, v);
		json_decref(v);
		return res;
	}
	return json_object_set_new(obj, name, v) < 0 ? fail_at(r, key, "key is not valid UTF-8, or out of memory") : 0;
}

static int read_mapping(struct reader *r, int depth, json_t *obj)
{
	json_t *merged = json_object();
	int res = merged ? 0 : no_memory(r);

	while (!res) {
		cleanup(event_done) yaml_event_t ev = { 0 };

		res = next_event(r, &ev);
		if (res < 0 || ev.type == YAML_MAPPING_END_EVENT)
			break;
		res = read_pair(r, &ev, depth, obj, merged);
	}
	if (!res && json_object_size(merged) && json_object_update_missing(obj, merged) < 0)
		res = no_memory(r);
	json_decref(merged);
	return res;
}

static int read_value(struct reader *r, const yaml_event_t *ev, int depth, json_t **ret)
{
	const yaml_char_t *anchor = NULL;
	json_t *v = NULL;
	int res;

	if (depth > API_MAX_DEPTH)
		return fail_at(r, ev, "nested too deeply");
	if (++r->nodes > MAX_NODES)
		return fail_at(r, ev, "too large");
	switch (ev->type) {
	case YAML_ALIAS_EVENT:
		return read_alias(r, ev, depth, ret);
	case YAML_SCALAR_EVENT:
		anchor = ev->data.scalar.anchor;
		res = read_scalar(r, ev, &v);
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = ev->data.sequence_start.anchor;
		v = json_array();
		res = v ? read_sequence(r, depth, v) : no_memory(r);
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = ev->data.mapping_start.anchor;
		v = json_object();
		res = v ? read_mapping(r, depth, v) : no_memory(r);
		break;
	default:
		return fail_at(r, ev, "not a value");
	}
	if (!res)
		res = set_anchor(r, anchor, v);
	if (res < 0) {
		json_decref(v);
		return res;
	}
	*ret = v;
	return 0;
}

static int parser_error(const yaml_parser_t *p, struct err *err)
{
	if (p->error == YAML_MEMORY_ERROR)
		return err_set(err, ENOMEM, "out of memory");
	if (p->error == YAML_READER_ERROR)
		return err_set(err, EINVAL, "YAML, byte %zu: %s", p->problem_offset,
			       p->problem ? p->problem : "not readable");
	return err_set(err, EINVAL, "YAML, line %zu, column %zu: %s%s%s", p->problem_mark.line + 1,
		       p->problem_mark.column + 1, p->problem ? p->problem : "not valid", p->context ? " " : "",
		       p->context ? p->context : "");
}

static int add_doc(json_t *docs, int **lines, size_t *cap, json_t *v, int line)
{
	size_t n = json_array_size(docs);

	if (n == *cap) {
		size_t bigger = *cap ? *cap * 2 : 8;
		int *l = reallocarray(*lines, bigger, sizeof(*l));

		if (!l) {
			json_decref(v);
			return -ENOMEM;
		}
		*lines = l;
		*cap = bigger;
	}
	(*lines)[n] = line;
	return json_array_append_new(docs, v) < 0 ? -ENOMEM : 0;
}

static int next_event(struct reader *r, yaml_event_t *ev)
{
	return yaml_parser_parse(&r->parser, ev) ? 0 : parser_error(&r->parser, r->err);
}

/* Documents up to the end of the stream. Empty ones (a trailing ---) are left out. */
static int read_docs(struct reader *r, json_t *docs, int **lines)
{
	size_t cap = 0;

	for (;;) {
		cleanup(event_done) yaml_event_t ev = { 0 };
		json_t *v;
		int res = next_event(r, &ev);

		if (res < 0)
			return res;
		if (ev.type == YAML_STREAM_END_EVENT)
			return 0;
		if (ev.type != YAML_SCALAR_EVENT && ev.type != YAML_SEQUENCE_START_EVENT &&
		    ev.type != YAML_MAPPING_START_EVENT && ev.type != YAML_ALIAS_EVENT) {
			clear_anchors(r); /* they end with their document */
			continue;
		}
		res = read_value(r, &ev, 0, &v);
		if (res < 0)
			return res;
		if (json_is_null(v)) {
			json_decref(v);
		} else if (json_array_size(docs) >= MAX_DOCS) {
			json_decref(v);
			return err_set(r->err, EINVAL, "YAML: more than %d documents", MAX_DOCS);
		} else if (add_doc(docs, lines, &cap, v, (int)ev.start_mark.line + 1) < 0) {
			return no_memory(r);
		}
	}
}

int api_yaml_parse(const char *data, size_t len, json_t **ret_array, int **ret_lines, struct err *err)
{
	struct reader r = { .err = err };
	cleanup(free) int *lines = NULL;
	json_t *docs = json_array();
	int res;

	if (!docs || !yaml_parser_initialize(&r.parser)) {
		json_decref(docs);
		return err_set(err, ENOMEM, "out of memory");
	}
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)data, len);
	res = read_docs(&r, docs, &lines);
	clear_anchors(&r);
	strmap_free(r.anchors);
	yaml_parser_delete(&r.parser);
	if (res < 0) {
		json_decref(docs);
		return res;
	}
	*ret_array = docs;
	if (ret_lines)
		*ret_lines = TAKE(lines);
	return 0;
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

/* One step down: "name", "name[0]", "[key]"; *path moves on. 0: not there. */
static int step(yaml_document_t *doc, int at, const char **path, int *ret_line)
{
	const yaml_node_t *node = yaml_document_get_node(doc, at);
	bool bracket = **path == '[';
	const char *start = *path + bracket;
	size_t len = bracket ? strcspn(start, "]") : strcspn(start, ".[");

	*path = start + len + (bracket && start[len] == ']');
	if (**path == '.')
		(*path)++;
	if (node->type == YAML_SEQUENCE_NODE && bracket) {
		size_t i = strtoul(start, NULL, 10),
		       n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);

		if (i >= n)
			return 0;
		at = node->data.sequence.items.start[i];
		*ret_line = (int)yaml_document_get_node(doc, at)->start_mark.line + 1;
		return at;
	}
	if (node->type != YAML_MAPPING_NODE)
		return 0;
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = yaml_document_get_node(doc, p->key);

		if (key->type == YAML_SCALAR_NODE && key->data.scalar.length == len &&
		    !memcmp(key->data.scalar.value, start, len)) {
			*ret_line = (int)key->start_mark.line + 1;
			return p->value;
		}
	}
	return 0;
}

/* As far down the path as the document goes: for what is missing, the line of what should hold it. */
static int find_line(yaml_document_t *doc, const char *path)
{
	int at = 1, line = (int)yaml_document_get_root_node(doc)->start_mark.line + 1;

	while (at && *path)
		at = step(doc, at, &path, &line);
	return line;
}

int api_yaml_line_of(const char *data, size_t len, size_t index, const char *field_path)
{
	yaml_parser_t parser;
	yaml_document_t doc;
	int line = 0;

	if (!yaml_parser_initialize(&parser))
		return 0;
	yaml_parser_set_input_string(&parser, (const unsigned char *)data, len);
	while (!line && yaml_parser_load(&parser, &doc)) {
		const yaml_node_t *root = yaml_document_get_root_node(&doc);
		bool end = !root, empty = root && root->type == YAML_SCALAR_NODE && !root->data.scalar.length;

		/* Counted as api_yaml_parse counts: without empty documents. */
		if (root && !empty && !index--)
			line = find_line(&doc, field_path);
		yaml_document_delete(&doc);
		if (end)
			break;
	}
	yaml_parser_delete(&parser);
	return line;
}
