/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a custom kind's schema: types, ranges, patterns, formats, presence, and the four ways to join schemas.
 * Compiled once per version, then interpreted for every object. Wordings are those of Kubernetes' validator.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/str.h"
#include "api-internal.h"

struct property {
	const char *name;
	struct api_schema *schema;
};

struct limit {
	bool set;
	double v;
};

struct api_schema {
	struct api_schema *next_regex; /* those with a pattern, for api_schema_free(); the root is the list's head */
	const char *type;	       /* "": any */
	const char *format;
	bool nullable, int_or_string, embedded, exclusive_min, exclusive_max, is_set;
	struct limit min, max, multiple_of, min_length, max_length, min_items, max_items, min_props, max_props;
	const json_t *enum_values; /* borrowed from the definition, which the kind keeps */
	struct api_regex *regex;
	const char *pattern;
	const char **required;
	size_t n_required;
	struct property *properties;
	size_t n_properties;
	struct api_schema *items, *values, *not_;
	struct api_schema **all_of, **any_of, **one_of;
	size_t n_all, n_any, n_one;
	const char **map_keys;
	size_t n_map_keys;
};

/* --- compiling ---------------------------------------------------------------------------------------------------- */

struct maker {
	struct arena *arena;
	struct api_schema *root;
	struct err *err;
};

static int make(struct maker *m, const json_t *json, struct api_schema **ret);

static struct limit limit_of(const json_t *schema, const char *name)
{
	const json_t *v = json_object_get(schema, name);

	return (struct limit){ json_is_number(v), json_number_value(v) };
}

static const char *copy(struct maker *m, const json_t *schema, const char *name)
{
	const char *s = json_string_value(json_object_get(schema, name));

	return s ? arena_strdup(m->arena, s) : "";
}

static int make_strings(struct maker *m, const json_t *list, const char ***ret, size_t *ret_n)
{
	const char **v;
	size_t i;
	json_t *s;

	if (!json_array_size(list))
		return 0;
	v = arena_calloc(m->arena, json_array_size(list), sizeof(*v));
	if (!v)
		return err_set(m->err, ENOMEM, "out of memory");
	json_array_foreach (list, i, s)
		if (json_is_string(s) && !(v[(*ret_n)++] = arena_strdup(m->arena, json_string_value(s))))
			return err_set(m->err, ENOMEM, "out of memory");
	*ret = v;
	return 0;
}

static int make_list(struct maker *m, const json_t *list, struct api_schema ***ret, size_t *ret_n)
{
	struct api_schema **v;
	json_t *s;
	size_t i;
	int r = 0;

	if (!json_array_size(list))
		return 0;
	v = arena_calloc(m->arena, json_array_size(list), sizeof(struct api_schema *));
	if (!v)
		return err_set(m->err, ENOMEM, "out of memory");
	*ret = v;
	*ret_n = json_array_size(list);
	json_array_foreach (list, i, s)
		if (r == 0)
			r = make(m, s, &v[i]);
	return r;
}

static int make_properties(struct maker *m, const json_t *json, struct api_schema *s)
{
	const char *key;
	json_t *v;
	int r = 0;

	if (!json_object_size(json))
		return 0;
	s->properties = arena_calloc(m->arena, json_object_size(json), sizeof(*s->properties));
	if (!s->properties)
		return err_set(m->err, ENOMEM, "out of memory");
	json_object_foreach ((json_t *)json, key, v) {
		struct property *p = &s->properties[s->n_properties];

		p->name = arena_strdup(m->arena, key);
		r = p->name ? make(m, v, &p->schema) : err_set(m->err, ENOMEM, "out of memory");
		if (r < 0)
			return r;
		s->n_properties++;
	}
	return 0;
}

static int make_pattern(struct maker *m, struct api_schema *s)
{
	char why[200];

	s->regex = api_regex_new(s->pattern, why, sizeof(why));
	if (!s->regex)
		return err_set(m->err, EINVAL, "pattern '%s': %s", s->pattern, why);
	if (s != m->root) {
		s->next_regex = m->root->next_regex;
		m->root->next_regex = s;
	}
	return 0;
}

static int make(struct maker *m, const json_t *json, struct api_schema **ret)
{
	struct api_schema *s = arena_calloc(m->arena, 1, sizeof(*s));
	json_t *v;
	int r;

	if (!s)
		return err_set(m->err, ENOMEM, "out of memory");
	*ret = s;
	if (!m->root)
		m->root = s;
	s->type = copy(m, json, "type");
	s->format = copy(m, json, "format");
	s->pattern = copy(m, json, "pattern");
	s->nullable = json_is_true(json_object_get(json, "nullable"));
	s->int_or_string = json_is_true(json_object_get(json, "x-kubernetes-int-or-string"));
	s->embedded = json_is_true(json_object_get(json, "x-kubernetes-embedded-resource"));
	s->exclusive_min = json_is_true(json_object_get(json, "exclusiveMinimum"));
	s->exclusive_max = json_is_true(json_object_get(json, "exclusiveMaximum"));
	s->is_set = streq(json_string_value(json_object_get(json, "x-kubernetes-list-type")), "set");
	s->min = limit_of(json, "minimum");
	s->max = limit_of(json, "maximum");
	s->multiple_of = limit_of(json, "multipleOf");
	s->min_length = limit_of(json, "minLength");
	s->max_length = limit_of(json, "maxLength");
	s->min_items = limit_of(json, "minItems");
	s->max_items = limit_of(json, "maxItems");
	s->min_props = limit_of(json, "minProperties");
	s->max_props = limit_of(json, "maxProperties");
	v = json_object_get(json, "enum");
	s->enum_values = json_array_size(v) ? v : NULL;
	if (!s->type || !s->format || !s->pattern)
		return err_set(m->err, ENOMEM, "out of memory");
	if (*s->pattern && (r = make_pattern(m, s)) < 0)
		return r;
	if ((r = make_strings(m, json_object_get(json, "required"), &s->required, &s->n_required)) < 0 ||
	    (r = make_strings(m, json_object_get(json, "x-kubernetes-list-map-keys"), &s->map_keys, &s->n_map_keys)) <
		    0 ||
	    (r = make_properties(m, json_object_get(json, "properties"), s)) < 0 ||
	    (r = make_list(m, json_object_get(json, "allOf"), &s->all_of, &s->n_all)) < 0 ||
	    (r = make_list(m, json_object_get(json, "anyOf"), &s->any_of, &s->n_any)) < 0 ||
	    (r = make_list(m, json_object_get(json, "oneOf"), &s->one_of, &s->n_one)) < 0)
		return r;
	v = json_object_get(json, "items");
	if (json_is_object(v) && (r = make(m, v, &s->items)) < 0)
		return r;
	v = json_object_get(json, "additionalProperties");
	if (json_is_object(v) && (r = make(m, v, &s->values)) < 0)
		return r;
	v = json_object_get(json, "not");
	return json_is_object(v) ? make(m, v, &s->not_) : 0;
}

int api_schema_new(const json_t *schema, struct arena *arena, struct api_schema **ret, struct err *err)
{
	struct maker m = { .arena = arena, .err = err };
	int r = make(&m, schema, ret);

	if (r < 0) {
		api_schema_free(*ret);
		*ret = NULL;
	}
	return r;
}

void api_schema_free(struct api_schema *s)
{
	for (; s; s = s->next_regex)
		api_regex_free(s->regex);
}

/* --- checking ----------------------------------------------------------------------------------------------------- */

static const char *type_of(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "object";
	case JSON_ARRAY:
		return "array";
	case JSON_STRING:
		return "string";
	case JSON_INTEGER:
		return "integer";
	case JSON_REAL:
		return "number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "boolean";
	case JSON_NULL:
		break;
	}
	return "null";
}

static bool has_type(const struct api_schema *s, const json_t *v)
{
	if (json_is_null(v) && s->nullable)
		return true;
	if (s->int_or_string)
		return json_is_string(v) || json_is_integer(v);
	if (!*s->type || streq(s->type, type_of(v)))
		return true;
	if (streq(s->type, "number"))
		return json_is_integer(v);
	return streq(s->type, "integer") && json_is_real(v) && json_real_value(v) == trunc(json_real_value(v));
}

/* "spec.x in body", as the messages begin. */
static const char *in_body(const struct api_path *path, char *buf)
{
	return api_path_str(path, buf, API_PATH_MAX);
}

static void invalid(struct api_errs *errs, const struct api_path *path, const json_t *v, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void invalid(struct api_errs *errs, const struct api_path *path, const json_t *v, const char *fmt, ...)
{
	char field[API_PATH_MAX], why[API_PATH_MAX + 1024];
	int n = snprintf(why, sizeof(why), "%s in body ", in_body(path, field));
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why + n, sizeof(why) - (size_t)n, fmt, ap);
	va_end(ap);
	api_err_invalid(errs, path, v, why);
}

static size_t utf8_len(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void check_number(const struct api_schema *s, const json_t *v, const struct api_path *path,
			 struct api_errs *errs)
{
	double n = json_number_value(v);

	if (s->min.set && (s->exclusive_min ? n <= s->min.v : n < s->min.v))
		invalid(errs, path, v, "should be greater than %s%.15g", s->exclusive_min ? "" : "or equal to ",
			s->min.v);
	if (s->max.set && (s->exclusive_max ? n >= s->max.v : n > s->max.v))
		invalid(errs, path, v, "should be less than %s%.15g", s->exclusive_max ? "" : "or equal to ", s->max.v);
	if (s->multiple_of.set && s->multiple_of.v > 0) {
		double q = n / s->multiple_of.v;

		if (fabs(q - round(q)) > 1e-9 * fmax(1, fabs(q)))
			invalid(errs, path, v, "should be a multiple of %.15g", s->multiple_of.v);
	}
	if (streq(s->format, "int32") && (n > INT32_MAX || n < INT32_MIN))
		invalid(errs, path, v, "must be of type int32: \"%.15g\"", n);
}

static void check_string(const struct api_schema *s, const json_t *v, const struct api_path *path,
			 struct api_errs *errs)
{
	const char *text = json_string_value(v);
	size_t chars = s->min_length.set || s->max_length.set ? utf8_len(text) : 0;

	if (s->max_length.set && (double)chars > s->max_length.v)
		api_path_err(errs, path, API_C_TOO_LONG, "Too long: may not be more than %.0f bytes", s->max_length.v);
	if (s->min_length.set && (double)chars < s->min_length.v)
		invalid(errs, path, v, "should be at least %.0f chars long", s->min_length.v);
	if (s->regex && !api_regex_matches(s->regex, text, json_string_length(v)))
		invalid(errs, path, v, "should match '%.900s'", s->pattern);
	if (*s->format && !api_schema_format_ok(s->format, text))
		invalid(errs, path, v, "must be of type %s: \"%.200s\"", s->format, text);
}

/* The values of the keys, to compare and to show. A new reference. */
static json_t *keys_of(const struct api_schema *s, const json_t *item)
{
	json_t *keys = json_object();

	for (size_t i = 0; i < s->n_map_keys; i++) {
		json_t *v = json_object_get(item, s->map_keys[i]);

		if (v)
			json_object_set(keys, s->map_keys[i], v);
	}
	return keys;
}

/* Sorting makes it n log n: the dumps are compared, equal values have equal ones. */
struct keyed {
	char *text;
	size_t index;
};

static int by_text(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	int r = strcmp(x->text, y->text);

	return r ? r : x->index < y->index ? -1 : 1;
}

static void check_distinct(const struct api_schema *s, const json_t *list, const struct api_path *path,
			   struct api_errs *errs)
{
	size_t n = json_array_size(list), i, filled = 0;
	struct keyed *v = n > 1 ? calloc(n, sizeof(*v)) : NULL;
	json_t *item;

	if (!v)
		return;
	json_array_foreach (list, i, item) {
		json_t *key = s->n_map_keys ? keys_of(s, item) : json_incref(item);

		v[filled].text = json_dumps(key, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
		v[filled].index = i;
		filled += v[filled].text != NULL;
		json_decref(key);
	}
	qsort(v, filled, sizeof(*v), by_text);
	for (i = 1; i < filled; i++) {
		struct api_path at = { .up = path, .index = v[i].index };

		if (strcmp(v[i].text, v[i - 1].text) != 0)
			continue;
		api_path_err(errs, &at, API_C_DUPLICATE, "Duplicate value: %s", v[i].text);
	}
	for (i = 0; i < filled; i++)
		free(v[i].text);
	free(v);
}

static void check_array(const struct api_schema *s, const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path };
	size_t n = json_array_size(v);
	json_t *item;

	if (s->max_items.set && (double)n > s->max_items.v)
		api_path_err(errs, path, API_C_TOO_MANY, "Too many: %zu: must have at most %.0f items", n,
			     s->max_items.v);
	if (s->min_items.set && (double)n < s->min_items.v)
		invalid(errs, path, v, "should have at least %.0f items", s->min_items.v);
	if (s->items)
		json_array_foreach (v, at.index, item)
			api_schema_check(s->items, item, &at, errs);
	if (s->n_map_keys || s->is_set)
		check_distinct(s, v, path, errs);
}

static void check_object(const struct api_schema *s, const json_t *v, const struct api_path *path,
			 struct api_errs *errs)
{
	size_t n = json_object_size(v);
	const char *key;
	json_t *item;

	if (s->max_props.set && (double)n > s->max_props.v)
		api_path_err(errs, path, API_C_TOO_MANY, "Too many: %zu: must have at most %.0f items", n,
			     s->max_props.v);
	if (s->min_props.set && (double)n < s->min_props.v)
		invalid(errs, path, v, "should have at least %.0f properties", s->min_props.v);
	for (size_t i = 0; i < s->n_required; i++) {
		struct api_path at = { .up = path, .name = s->required[i] };

		if (!json_object_get(v, s->required[i]))
			api_err_required(errs, &at, NULL);
	}
	for (size_t i = 0; i < s->n_properties; i++) {
		struct api_path at = { .up = path, .name = s->properties[i].name };

		item = json_object_get(v, at.name);
		if (item)
			api_schema_check(s->properties[i].schema, item, &at, errs);
	}
	if (s->values)
		json_object_foreach ((json_t *)v, key, item) {
			struct api_path at = { .up = path, .name = key };

			api_schema_check(s->values, item, &at, errs);
		}
	if (s->embedded) {
		static const char *const must[] = { "apiVersion", "kind" };

		for (size_t i = 0; i < 2; i++) {
			struct api_path at = { .up = path, .name = must[i] };
			const char *text = json_string_value(json_object_get(v, must[i]));

			if (!text || !*text)
				api_err_required(errs, &at, "must not be empty");
		}
	}
}

/* --- schemas of schemas ------------------------------------------------------------------------------------------- */

static bool holds(const struct api_schema *s, const json_t *v, const struct api_path *path)
{
	struct api_errs errs = { 0 };
	bool ok;

	api_schema_check(s, v, path, &errs);
	ok = !errs.n;
	api_errs_done(&errs);
	return ok;
}

static void joined(struct api_errs *errs, const struct api_path *path, const char *what)
{
	char field[API_PATH_MAX];

	api_path_err(errs, path, API_C_INVALID, "Invalid value: \"\": \"%s\" %s", in_body(path, field), what);
}

static void check_joined(const struct api_schema *s, const json_t *v, const struct api_path *path,
			 struct api_errs *errs)
{
	struct api_errs first = { 0 };
	size_t ok = 0, before;

	/* Each schema is tried once: joins within joins would double the work at every level otherwise. */
	for (size_t i = 0; i < s->n_any && !ok; i++) {
		if (i == 0)
			api_schema_check(s->any_of[0], v, path, &first);
		ok = i == 0 ? !first.n : holds(s->any_of[i], v, path);
	}
	if (s->n_any && !ok) {
		joined(errs, path, "must validate at least one schema (anyOf)");
		/* What would have been missing to the first is most often what was meant. */
		for (size_t i = 0; i < first.n; i++)
			api_errs_add(errs, first.v[i].cause, first.v[i].field, "%s",
				     first.v[i].text ? first.v[i].text : "");
	}
	api_errs_done(&first);
	ok = 0;
	for (size_t i = 0; i < s->n_one; i++)
		ok += holds(s->one_of[i], v, path);
	if (s->n_one && ok != 1)
		joined(errs, path,
		       ok ? "must validate one and only one schema (oneOf). Found more than one valid"
			  : "must validate one and only one schema (oneOf). Found none valid");
	before = errs->n;
	for (size_t i = 0; i < s->n_all; i++)
		api_schema_check(s->all_of[i], v, path, errs);
	if (errs->n > before)
		joined(errs, path, "must validate all the schemas (allOf)");
	if (s->not_ && holds(s->not_, v, path))
		joined(errs, path, "must not validate the schema (not)");
}

static void check_enum(const struct api_schema *s, const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	struct strbuf sb = STRBUF_INIT;
	json_t *e;
	size_t i;

	json_array_foreach (s->enum_values, i, e)
		if (json_equal(e, v) ||
		    (json_is_number(e) && json_is_number(v) && json_number_value(e) == json_number_value(v)))
			return;
	json_array_foreach (s->enum_values, i, e) {
		char *text = json_is_string(e) ? NULL : json_dumps(e, JSON_COMPACT | JSON_ENCODE_ANY);

		strbuf_addf(&sb, "%s\"%s\"", i ? ", " : "",
			    text		? text
			    : json_is_string(e) ? json_string_value(e)
						: "");
		free(text);
	}
	{
		char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

		api_path_err(errs, path, API_C_NOT_SUPPORTED, "Unsupported value: %s: supported values: %s",
			     text ? text : "", sb.buf);
		free(text);
	}
	strbuf_done(&sb);
}

void api_schema_check(const struct api_schema *s, const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	if (errs->n >= API_ERRS_MAX)
		return;
	if (!has_type(s, v)) {
		char field[API_PATH_MAX];

		api_path_err(errs, path, API_C_INVALID, "Invalid value: \"%s\": %s in body must be of type %s: \"%s\"",
			     type_of(v), in_body(path, field), s->int_or_string ? "integer,string" : s->type,
			     type_of(v));
		return;
	}
	if (json_is_null(v) && s->nullable)
		return;
	if (s->enum_values)
		check_enum(s, v, path, errs);
	if (json_is_number(v))
		check_number(s, v, path, errs);
	else if (json_is_string(v))
		check_string(s, v, path, errs);
	else if (json_is_array(v))
		check_array(s, v, path, errs);
	else if (json_is_object(v))
		check_object(s, v, path, errs);
	check_joined(s, v, path, errs);
}
