/* SPDX-License-Identifier: Apache-2.0 */
/* What jwt.c and jwt_keys.c share: base64url without padding (RFC 4648, section 5). */
#ifndef SKEP_APISERVER_JWT_INTERNAL_H
#define SKEP_APISERVER_JWT_INTERNAL_H

#include "jwt.h"

void jwt_base64url(const void *data, size_t len, struct strbuf *out);
/* buf needs len / 4 * 3 + 3 bytes. -EINVAL: another alphabet, padding, a length or last bits that no encoder makes. */
int jwt_unbase64url(const char *s, size_t len, unsigned char *buf, size_t size, size_t *ret_len);

#endif
