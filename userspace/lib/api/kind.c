/* SPDX-License-Identifier: Apache-2.0 */
/* Finding kinds and fields in the generated tables. */
#include "api-internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../base/str.h"

const struct api_kind *const *api_kinds(size_t *ret_n)
{
	*ret_n = api_kind_table_len;
	return api_kind_table;
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
