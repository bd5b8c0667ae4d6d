/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints that move from one slice to another, as a pod's does whose weight changes. Each slice is written for
 * itself, so a node may see the one without it before it sees the one with it, and refuse connections meanwhile:
 * an endpoint stays where it is until it is there as well.
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "endpointslice_plan.h"

enum { KEY = 300 };

/* By uid: another pod of the same name is another endpoint. */
static bool key_of(const char *family, const char *uid, char key[static KEY])
{
	return uid && snprintf(key, KEY, "%s/%s", family ? family : "", uid) < KEY;
}

static bool key_of_wanted(const json_t *slice, const json_t *e, char key[static KEY])
{
	return key_of(api_get_str(slice, "addressType"), api_get_str(e, "targetRef.uid"), key);
}

static bool key_of_present(const struct api_endpoint_slice *es, size_t i, char key[static KEY])
{
	const struct api_object_reference *pod = es->endpoints[i].target_ref;

	return pod && key_of(es->address_type, pod->uid, key);
}

struct strmap *endpointslice_moves(const json_t *wanted, const struct endpointslice_world *w)
{
	static struct api_endpoint_slice nowhere, several;
	struct strmap *moves = strmap_new();
	const json_t *slice, *e;
	char key[KEY];
	size_t i, k;
	int r = moves ? 0 : -1;

	json_array_foreach (wanted, i, slice)
		json_array_foreach (json_object_get(slice, "endpoints"), k, e)
			if (!r && key_of_wanted(slice, e, key))
				r = strmap_set(moves, key, &nowhere, NULL);
	for (i = 0; !r && i < w->n_have; i++)
		for (k = 0; !r && k < w->have[i]->n_endpoints; k++) {
			const void *in = key_of_present(w->have[i], k, key) ? strmap_get(moves, key) : NULL;

			if (in)
				r = strmap_set(moves, key, in == &nowhere ? (void *)w->have[i] : &several, NULL);
		}
	if (r < 0) {
		strmap_free(moves);
		return NULL;
	}
	return moves;
}

static bool has(const json_t *endpoints, const char *uid)
{
	const json_t *e;
	size_t i;

	json_array_foreach (endpoints, i, e)
		if (streq(api_get_str(e, "targetRef.uid"), uid))
			return true;
	return false;
}

/* Into the order of the pods' names, so that nothing is written where nothing else has changed. */
static void insert(json_t *endpoints, json_t *e)
{
	const char *name = api_get_str(e, "targetRef.name"), *other;
	size_t i = 0;

	while (i < json_array_size(endpoints)) {
		other = api_get_str(json_array_get(endpoints, i), "targetRef.name");
		if (name && other && strcmp(other, name) > 0)
			break;
		i++;
	}
	json_array_insert(endpoints, i, e);
}

bool endpointslice_hold(const struct strmap *moves, const struct api_endpoint_slice *es, json_t *want)
{
	json_t *now = endpointslice_content(es), *endpoints = json_object_get(want, "endpoints");
	bool held = false;
	char key[KEY];

	/* With other ports than it had, it would be another endpoint. */
	if (!want || json_equal(json_object_get(want, "ports"), json_object_get(now, "ports")))
		for (size_t i = 0; i < es->n_endpoints; i++) {
			if (!key_of_present(es, i, key) || strmap_get(moves, key) != es ||
			    has(endpoints, es->endpoints[i].target_ref->uid))
				continue;
			held = true;
			if (endpoints)
				insert(endpoints, json_array_get(json_object_get(now, "endpoints"), i));
		}
	json_decref(now);
	return held;
}
