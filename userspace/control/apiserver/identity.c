/* SPDX-License-Identifier: Apache-2.0 */
/* A user as the API server knows them: struct identity, its copies and its wire form. */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/str.h"

static size_t text_len(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

/* Copies s to *p and moves *p on. */
static const char *put(char **p, const char *s)
{
	const char *at = *p;

	if (!s)
		return NULL;
	*p = stpcpy(*p, s) + 1;
	return at;
}

int identity_copy(struct identity *dst, const struct identity *src)
{
	size_t len = text_len(src->user) + text_len(src->uid);
	struct identity_extra *extra;
	const char **groups;
	char *p;

	for (size_t i = 0; i < src->n_groups; i++)
		len += text_len(src->groups[i]);
	for (size_t i = 0; i < src->n_extra; i++)
		len += text_len(src->extra[i].key) + text_len(src->extra[i].value);
	extra = malloc(src->n_extra * sizeof(*extra) + src->n_groups * sizeof(*groups) + len + 1);
	if (!extra) {
		*dst = (struct identity){ .user = "system:anonymous" };
		return -ENOMEM;
	}
	*dst = *src;
	dst->mem = extra;
	dst->extra = src->n_extra ? extra : NULL;
	dst->groups = groups = (const char **)(extra + src->n_extra);
	p = (char *)(groups + src->n_groups);
	dst->user = put(&p, src->user);
	dst->uid = put(&p, src->uid);
	for (size_t i = 0; i < src->n_groups; i++)
		groups[i] = put(&p, src->groups[i]);
	for (size_t i = 0; i < src->n_extra; i++) {
		extra[i].key = put(&p, src->extra[i].key);
		extra[i].value = put(&p, src->extra[i].value);
	}
	return 0;
}

void identity_done(struct identity *who)
{
	free(who->mem);
	who->mem = NULL;
}

bool identity_in_group(const struct identity *who, const char *group)
{
	for (size_t i = 0; i < who->n_groups; i++)
		if (streq(who->groups[i], group))
			return true;
	return false;
}

json_t *identity_user_info(const struct identity *who)
{
	json_t *info = json_pack("{s:s?}", "username", who->user), *list;

	if (!info)
		return NULL;
	if (who->uid && *who->uid)
		json_object_set_new(info, "uid", json_string(who->uid));
	if (who->n_groups) {
		list = json_array();
		for (size_t i = 0; i < who->n_groups; i++)
			json_array_append_new(list, json_string(who->groups[i]));
		json_object_set_new(info, "groups", list);
	}
	if (who->n_extra) {
		json_t *extra = json_object();

		for (size_t i = 0; i < who->n_extra; i++) {
			list = json_object_get(extra, who->extra[i].key);
			if (!list) {
				list = json_array();
				json_object_set_new(extra, who->extra[i].key, list);
			}
			json_array_append_new(list, json_string(who->extra[i].value));
		}
		json_object_set_new(info, "extra", extra);
	}
	return info;
}
