/* SPDX-License-Identifier: Apache-2.0 */
/* Computed columns of tables: what a schema's "fn=" names. */
#ifndef SKEP_API_TABLE_H
#define SKEP_API_TABLE_H

#include "api.h"

/* A new reference, or NULL for null. now_ms: Unix time for ages. */
typedef json_t *api_column_fn(const json_t *obj, int64_t now_ms);
struct api_column_impl {
	const char *name;
	api_column_fn *fn;
};
extern const struct api_column_impl api_pod_columns[], api_workload_columns[], api_core_columns[],
	api_more_workload_columns[], api_storage_columns[], api_flow_columns[], api_rbac_columns[],
	api_certificate_columns[], api_policy_columns[]; /* end with name NULL */

/* "a=b,c in (d)" of a LabelSelector object; "<none>" when empty. */
json_t *api_column_selector(const json_t *label_selector);
json_t *api_column_age_of(const char *time, int64_t now_ms);

#endif
