/* SPDX-License-Identifier: Apache-2.0 */
/* What a PUT may do, kind by kind. */
#ifndef SKEP_APISERVER_WRITE_RULES_H
#define SKEP_APISERVER_WRITE_RULES_H

#include <jansson.h>
#include <stdbool.h>

#include "apiserver-internal.h"

enum {
	WRITE_PUT_CREATES = 1,	       /* of what is missing */
	WRITE_NEEDS_VERSION = 2,       /* updates name metadata.resourceVersion */
	WRITE_STATUS_ONLY = 4,	       /* the status subresource changes no metadata */
	WRITE_STATUS_KEEPS_LABELS = 8, /* but it may change annotations and the like */
};
unsigned write_rules(const struct resource *r);

/* Makes obj, a whole object as a client wants it, into old with obj's status and what goes with it. -1: no memory. */
int write_status_only(struct call *c, json_t *obj, const json_t *old);
/* An update of what is there names the version it was made from, where that is demanded; -1: answered. */
int write_check_version(struct call *c);
/* Is nothing against making what is not there, for a client that would change it? Else it has been told. */
bool write_may_make(struct call *c);
/* PUT of an object that is not there. */
enum change write_put_missing(struct call *c);

#endif
