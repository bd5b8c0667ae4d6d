/* SPDX-License-Identifier: Apache-2.0 */
/* Finding kinds and fields in the generated tables. */
#include "api-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../base/str.h"

const struct api_kind *const *api_kinds(size_t *ret_n)
{
	*ret_n = api_kind_table_len;
	return api_kind_table;
}

struct api_kinds api_kinds_or_built_in(const struct api_kinds *kinds)
{
	return kinds ? *kinds : (struct api_kinds){ api_kind_table, api_kind_table_len };
}

const struct api_kind *api_kind_by_plural(const char *group, const char *version, const char *plural)
{
	for (const struct api_kind *const *k = api_kind_table; *k; k++)
		if (streq((*k)->plural, plural) && streq((*k)->group, group) && streq((*k)->version, version))
			return *k;
	return NULL;
}

const struct api_kind *api_kind_by_name(const char *group, const char *version, const char *kind)
{
	for (const struct api_kind *const *k = api_kind_table; *k; k++)
		if (streq((*k)->kind, kind) && streq((*k)->group, group) && streq((*k)->version, version))
			return *k;
	return NULL;
}

static bool word_names_kind(const struct api_kind *kind, const char *word, size_t len)
{
	const char *names[] = { kind->plural, kind->singular, kind->kind };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && !strncasecmp(names[i], word, len))
			return true;
	for (const char *const *s = kind->short_names; *s; s++)
		if (strlen(*s) == len && !strncasecmp(*s, word, len))
			return true;
	return false;
}

const struct api_kind *api_kind_by_word(const char *word)
{
	const char *dot = strchr(word, '.');
	size_t len = dot ? (size_t)(dot - word) : strlen(word);

	/* Among groups with the same word the first one wins, and the core group sorts first. */
	for (const struct api_kind *const *k = api_kind_table; *k; k++) {
		char versioned[256];

		if (!word_names_kind(*k, word, len))
			continue;
		snprintf(versioned, sizeof(versioned), "%s.%s", (*k)->version, (*k)->group);
		if (!dot || !strcasecmp(dot + 1, (*k)->group) || !strcasecmp(dot + 1, versioned))
			return *k;
	}
	return NULL;
}

/* "v12beta3": 12, stage, 3. Not of that form: false. */
static bool kube_version(const char *s, long *ret_major, int *ret_stage, long *ret_minor)
{
	char *end;

	if (s[0] != 'v' || s[1] < '1' || s[1] > '9')
		return false;
	*ret_major = strtol(s + 1, &end, 10);
	*ret_minor = 0;
	*ret_stage = 2;
	if (!*end)
		return true;
	*ret_stage = !strncmp(end, "beta", 4) ? 1 : 0;
	if (*ret_stage)
		end += 4;
	else if (!strncmp(end, "alpha", 5))
		end += 5;
	else
		return false;
	if (*end < '1' || *end > '9')
		return false;
	*ret_minor = strtol(end, &end, 10);
	return !*end;
}

int api_version_compare(const char *a, const char *b)
{
	long x[2], y[2];
	int x_stage, y_stage;
	bool x_kube = kube_version(a, &x[0], &x_stage, &x[1]), y_kube = kube_version(b, &y[0], &y_stage, &y[1]);

	if (x_kube != y_kube)
		return x_kube ? -1 : 1;
	if (!x_kube)
		return strcmp(a, b);
	if (x_stage != y_stage)
		return y_stage - x_stage;
	if (x[0] != y[0])
		return x[0] > y[0] ? -1 : 1;
	return x[1] == y[1] ? 0 : x[1] > y[1] ? -1 : 1;
}

void api_kind_api_version(const struct api_kind *kind, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", kind->group, *kind->group ? "/" : "", kind->version);
}

const struct api_field *api_type_field(const struct api_type *type, const char *name)
{
	for (size_t i = 0; i < type->n_fields; i++)
		if (!strcmp(type->fields[i].name, name))
			return &type->fields[i];
	return NULL;
}
