/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The continue token of a list in pages: {"v":"meta.k8s.io/v1","rv":N,"start":"default/x"} in base64, as Kubernetes'
 * own; opaque to clients, and anything may come back from them.
 */
#ifndef SKEP_APISERVER_CONTINUE_TOKEN_H
#define SKEP_APISERVER_CONTINUE_TOKEN_H

#include <stdint.h>

char *continue_token_make(int64_t rev, const char *after); /* the caller's; NULL: out of memory */
/* 0 and the revision and last key of the pages so far (the caller's); -EINVAL: no such token; -ENOMEM. */
int continue_token_read(const char *token, int64_t *ret_rev, char **ret_after);

#endif
