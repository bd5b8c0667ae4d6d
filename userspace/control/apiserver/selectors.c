/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What list, watch and deletecollection choose by: label and field selectors, the namespace, a name, resourceVersion.
 */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/str.h"

int call_selectors(struct call *c)
{
	const char *labels = call_query(c, "labelSelector"), *fields = call_query(c, "fieldSelector"), *name;
	struct err err = ERR_INIT;

	if (labels && *labels) {
		if (api_selector_parse(labels, &c->labels, &err) < 0) {
			call_status(c, 400, "BadRequest", "unable to parse requirement: %s", err.msg);
			return -1;
		}
		c->labels_text = strdup(labels);
	}
	if (fields && *fields) {
		if (api_field_selector_parse(c->res->kind, fields, &c->fields, &err) < 0) {
			call_status(c, 400, "BadRequest", "%s", err.msg);
			return -1;
		}
		c->fields_text = strdup(fields);
		name = api_field_selector_exact(c->fields, "metadata.name");
		if (name)
			c->only_name = name;
	}
	if (c->name[0]) {
		/* watch of one object by path */
		if (c->only_name && !streq(c->only_name, c->name)) {
			call_status(c, 400, "BadRequest", "the field selector does not match the name in the path");
			return -1;
		}
		c->only_name = c->name;
	}
	return 0;
}

bool object_matches(const struct call *c, const struct object *o)
{
	size_t ns_len = strlen(c->ns);

	if (ns_len && (strncmp(o->key, c->ns, ns_len) != 0 || o->key[ns_len] != '/'))
		return false;
	if (c->only_name && !streq(c->only_name, o->name))
		return false;
	if (c->labels && !api_selector_matches_json(c->labels, api_get(o->index, "metadata.labels")))
		return false;
	return !c->fields || api_field_selector_matches(c->fields, o->index);
}

int call_resource_version(struct call *c, int64_t *ret_rev, bool *ret_zero)
{
	const char *rv = call_query(c, "resourceVersion");

	*ret_rev = 0;
	*ret_zero = false;
	if (!rv || !*rv)
		return 0;
	if (str_to_i64(rv, 0, INT64_MAX, ret_rev) < 0) {
		call_invalid1(c, API_C_INVALID, "resourceVersion", "Invalid value: \"%.64s\": must be a decimal number",
			      rv);
		return -1;
	}
	*ret_zero = *ret_rev == 0;
	return 0;
}
