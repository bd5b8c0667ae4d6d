/* SPDX-License-Identifier: Apache-2.0 */
/* What both stores share; nobody outside control/store includes this. */
#ifndef SKEP_STORE_INTERNAL_H
#define SKEP_STORE_INTERNAL_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

#define STORE_MAX_KEY	  4096u
#define STORE_MAX_VALUE	  (1536u << 10) /* etcd's default bound on a request */
#define STORE_PROGRESS_MS 10000

/* 0, or -EINVAL with the reason in *ret_msg. */
int store_check_key(const char *key, char **ret_msg);

/*
 * Error texts travel with operations as heap strings: an operation in a queue shall not carry a kilobyte for one.
 * Returns -code.
 */
int store_fail(char **ret_msg, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void store_err(struct err *err, int r, const char *msg);

#endif
