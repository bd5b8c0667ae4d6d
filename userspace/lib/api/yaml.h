/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading plain YAML scalars, shared by the reader and the writer, which must quote what the reader would take for
 * something else.
 */
#ifndef SKEP_API_YAML_H
#define SKEP_API_YAML_H

#include <jansson.h>
#include <stdbool.h>

/*
 * What an unquoted scalar means, as sigs.k8s.io/yaml reads it: YAML 1.1's booleans and numbers, else a string. A new
 * reference; NULL: out of memory or a number JSON cannot hold (infinity), told apart by *ret_bad.
 */
json_t *api_yaml_plain(const char *s, size_t len, bool *ret_bad);

#endif
