/* SPDX-License-Identifier: Apache-2.0 */
/* Small string helpers that say yes or no; none allocates unless it says so. */
#ifndef SKEP_BASE_STR_H
#define SKEP_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool streq(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static inline bool str_starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

bool str_ends(const char *s, const char *suffix);
/* Whole string, decimal, within [min, max]: 0, else -EINVAL or -ERANGE. */
int str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
/* "30000-32767", or one port: 0, or -EINVAL for what is no range of ports from 1 to 65535. */
int str_to_port_range(const char *s, uint16_t *ret_first, uint16_t *ret_last);
int str_to_u64(const char *s, uint64_t max, uint64_t *ret);
/* Go-style durations as Kubernetes flags take them: "300ms", "1h2m3.5s", "10s". */
int str_to_duration_ms(const char *s, int64_t *ret_ms);
/* Base64 (RFC 4648, padded). Return NUL-terminated heap strings (free()); NULL: bad input or no memory. */
char *str_base64(const void *data, size_t len);
unsigned char *str_unbase64(const char *s, size_t *ret_len);
/* Version 4 UUID (RFC 9562) from getrandom; buf has 37 bytes. Returns buf. */
char *str_uuid(char *buf);

#endif
