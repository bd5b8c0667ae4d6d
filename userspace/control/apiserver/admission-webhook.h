/* SPDX-License-Identifier: Apache-2.0 */
/* Admission webhooks: which are asked (admission_webhook_match.c), and asking them (admission_webhook.c). */
#ifndef SKEP_ADMISSION_WEBHOOK_H
#define SKEP_ADMISSION_WEBHOOK_H

#include "admission-internal.h"

/* What rules are compared with. */
struct hook_request {
	const char *operation; /* "CREATE" */
	const char *group, *version, *resource, *sub;
	bool namespaced;
	bool equivalent; /* matchPolicy: another version of the resource will do */
};
/* One of the webhook's rules matches. Pure. */
bool hook_rules_match(const json_t *rules, const struct hook_request *q);
/* A LabelSelector (NULL: everything) matches these labels (NULL: none). Pure. */
bool hook_selector_matches(const json_t *selector, const json_t *labels);

enum hook_answer { HOOK_ALLOWED, HOOK_DENIED, HOOK_BROKEN };
/*
 * Reads a webhook's AdmissionReview. HOOK_ALLOWED: *ret_patch is the JSON patch (new; NULL: none). HOOK_DENIED:
 * *ret_status is the Status to answer with (new). HOOK_BROKEN: err says what is wrong. *ret_response: the response
 * within (borrowed from *ret_review, which is the caller's), for warnings and annotations.
 */
enum hook_answer hook_read_answer(const char *body, size_t len, const char *uid, const char *hook, bool mutating,
				  json_t **ret_review, json_t **ret_response, json_t **ret_patch, json_t **ret_status,
				  struct err *err);
const char *hook_operation(unsigned op);

#endif
