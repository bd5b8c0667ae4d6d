/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of requests; all of these return -1 when they have answered the call. */
#ifndef SKEP_APISERVER_OPTIONS_H
#define SKEP_APISERVER_OPTIONS_H

#include "apiserver-internal.h"

const char *options_kind(const struct call *c); /* of the verb: "CreateOptions" */
int options_check_write(struct call *c);	/* dryRun, which is taken over, and fieldValidation */
int options_check_timeout(struct call *c);
int options_dry_run(struct call *c, const char *value);
int options_check_list(struct call *c); /* of lists and watches: what goes with resourceVersion */
int options_refuse(struct call *c, enum api_cause cause, const char *field, const char *text);

#endif
