/* SPDX-License-Identifier: Apache-2.0 */
/* Authentication's own part of the API: reviews of tokens and users. */
#ifndef SKEP_APISERVER_AUTHN_H
#define SKEP_APISERVER_AUTHN_H

#include "apiserver-internal.h"

void self_subject_review(struct call *c);

#endif
