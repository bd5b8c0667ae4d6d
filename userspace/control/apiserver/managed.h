/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata.managedFields in the API server. In the store and on the wire they are the first member of metadata (behind
 * resourceVersion); in memory they are text beside the object's tree, which never has them: whoever only reads or
 * copies an object does not pay for them. struct call keeps those of the present object, and, if a change touches
 * them, those of the new one.
 */
#ifndef SKEP_APISERVER_MANAGED_H
#define SKEP_APISERVER_MANAGED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "../../lib/api/managed_fields.h"
#include "../../lib/base/strbuf.h"

struct call;
struct resource;

/*
 * A stored value or a cached object's JSON to its tree, without managedFields; these go to ret_managed, which may be
 * NULL. -EINVAL: not such an object; -ENOMEM.
 */
int managed_split(const struct resource *r, const void *value, size_t len, json_t **ret, struct strbuf *ret_managed);
/*
 * The text of a client's object without its metadata.managedFields, which many send back as they got them. false: it
 * has none, or is not JSON; then the two are left empty.
 */
bool managed_cut(const char *data, size_t len, struct strbuf *ret_without, struct strbuf *ret_managed);
/* The managedFields that go with what the call writes; "" if there are none. */
const struct strbuf *managed_text(const struct call *c);
/* Puts them into a tree that is answered or patched. */
void managed_attach(const struct strbuf *text, json_t *obj);
/* Takes them out of a tree that a client has sent: a new reference, NULL if it has none. */
json_t *managed_take(json_t *obj);
/* Those a write comes with, in its object or cut from its text; NULL: none, or the same as there are. */
json_t *managed_asked(struct call *c, json_t *obj);

/* The parameter fieldManager of a write is fit to be kept; -1: answered. */
int managed_check_manager(struct call *c);
/* obj, as the client wants it created, belongs to who sends it. 0 or -1 (answered). */
int managed_create(struct call *c, const json_t *obj);
/*
 * obj is what becomes of c->old; asked: the managedFields that the client sent along, or NULL. Whoever changes fields
 * owns them. 1: there are changes, to fields or to who owns them; 0: none that matter to owners; -1: answered.
 */
int managed_track(struct call *c, const json_t *obj, const json_t *asked);

/* For applies: who writes (now: CLOCK_RFC3339_SIZE), what the endpoint may change, and what came of it. -1: answered.
 */
void managed_writer_of(struct call *c, char *now, struct managed_writer *ret);
enum managed_scope managed_scope_of(const struct call *c);
int managed_keep(struct call *c, struct managed *m);

/* registry_apply.c: PATCH with an applied configuration. */
void registry_apply(struct call *c);
/*
 * Applies config to c->old ({} if there is none) in the name of the request. 0: *ret is the new object; -1: answered.
 * prepare makes it fit (may be NULL) and returns -1 if it has answered.
 */
int apply_config(struct call *c, json_t *config, enum managed_scope scope, int (*prepare)(struct call *c, json_t *obj),
		 json_t **ret);
/* Force and fieldManager are as an apply needs them; -1: answered. */
int apply_check_options(struct call *c);

#endif
