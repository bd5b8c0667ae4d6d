/* SPDX-License-Identifier: Apache-2.0 */
/* The pod security standards (kubernetes.io/docs/concepts/security/pod-security-standards). Pure. */
#ifndef SKEP_APISERVER_POD_SECURITY_H
#define SKEP_APISERVER_POD_SECURITY_H

#include <jansson.h>
#include <stdbool.h>

#include "../../lib/base/strbuf.h"

enum pod_level { POD_PRIVILEGED, POD_BASELINE, POD_RESTRICTED };
#define POD_LATEST 9999
struct pod_policy {
	enum pod_level level;
	int minor; /* of version v1.<minor>; POD_LATEST */
};

int pod_level_parse(const char *text, enum pod_level *ret); /* -EINVAL */
int pod_version_parse(const char *text, int *ret);	    /* "latest", "v1.24"; -EINVAL */
/* "restricted:latest" */
void pod_policy_text(const struct pod_policy *p, char *buf, size_t size);
/*
 * What of the spec the policy forbids: "privileged (container "a" must not set ...), hostPort (...)". false: nothing.
 * reasons_only leaves out what is in parentheses.
 */
bool pod_security_check(const struct pod_policy *p, const json_t *spec, bool reasons_only, struct strbuf *out);

#endif
