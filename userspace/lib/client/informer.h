/* SPDX-License-Identifier: Apache-2.0 */
/*
 * List, then watch, then keep: a local cache of one kind. Survives server restarts, 410 Gone and lost connections by
 * relisting with jittered back-off; on a relist the difference is delivered as add, update and delete.
 * Level-triggered users also get every object again each resync_ms. Objects are decoded to typed structs, reference
 * counted and never changed once published.
 */
#ifndef SKEP_CLIENT_INFORMER_H
#define SKEP_CLIENT_INFORMER_H

#include "../base/list.h"
#include "../base/strmap.h"
#include "kube.h"

struct informer;

struct informer_item {
	unsigned refs;
	const char *key;	      /* "namespace/name" or "name" */
	const struct api_object *obj; /* struct api_<kind> *, by the informer's kind */
	/* private */
	struct arena arena;
	json_t *json;
	struct list in_namespace;
};
struct informer_item *informer_item_ref(struct informer_item *it);
void informer_item_unref(struct informer_item *it);

struct informer_ops {
	/* old NULL: new; new NULL: deleted. On a resync old == new. */
	void (*on_change)(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new);
	/* First complete list is in the cache; called once. May be NULL. */
	void (*on_synced)(struct informer *inf, void *arg);
};
struct informer_config {
	const struct api_kind *kind;
	const char *namespace_;			     /* NULL: all */
	const char *label_selector, *field_selector; /* NULL: none; not escaped */
	int resync_ms;				     /* 0: 10 s, DESIGN.md; -1: never */
	void (*trim)(json_t *obj); /* leaves out what the user does not need, before decoding; not metadata's name,
				      namespace, uid and resourceVersion. NULL: all stays */
	bool keep_json;		   /* item->json stays for those who must send the object back */
};
struct informer *informer_new(struct kube *k, const struct informer_config *config, const struct informer_ops *ops,
			      void *arg);
int informer_start(struct informer *inf);
void informer_free(struct informer *inf);
bool informer_synced(const struct informer *inf);
const char *informer_resource_version(const struct informer *inf); /* of the last event or list seen */
struct informer_item *informer_get(const struct informer *inf, const char *ns,
				   const char *name); /* borrowed; NULL if absent */
struct informer_item *informer_get_key(const struct informer *inf, const char *key);
size_t informer_len(const struct informer *inf);
/* for (struct informer_iter it = { 0 }; informer_next(inf, &it);) use(it.item); no changes meanwhile */
struct informer_iter {
	struct strmap_iter at; /* private */
	struct informer_item *item;
};
bool informer_next(const struct informer *inf, struct informer_iter *it);
/* Those of one namespace, by their number only: as above, with informer_next_in(inf, ns, &it). */
bool informer_next_in(const struct informer *inf, const char *ns, struct informer_iter *it);
size_t informer_len_in(const struct informer *inf, const char *ns);

#endif
