/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: the verified client certificate's CN is the user, its Os are the groups, as in Kubernetes. */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/str.h"

int identity_copy(struct identity *dst, const struct identity *src)
{
	size_t len = strlen(src->user) + 1;
	char *p;

	for (size_t i = 0; i < src->n_groups; i++)
		len += strlen(src->groups[i]) + 1;
	*dst = *src;
	dst->mem = p = malloc(len);
	if (!p) {
		*dst = (struct identity){ .user = "system:anonymous" };
		return -ENOMEM;
	}
	dst->user = p;
	p = stpcpy(p, src->user) + 1;
	for (size_t i = 0; i < src->n_groups; i++) {
		dst->groups[i] = p;
		p = stpcpy(p, src->groups[i]) + 1;
	}
	return 0;
}

void identity_done(struct identity *who)
{
	free(who->mem);
	who->mem = NULL;
}

int authn_identify(struct http_req *req, struct identity *ret)
{
	const char *cn = http_req_cert_cn(req), *org;
	struct identity who = { .user = "system:anonymous" };

	if (cn && *cn) {
		who.user = cn;
		who.authenticated = true;
		for (size_t i = 0; who.n_groups < MAX_GROUPS - 1 && (org = http_req_cert_org(req, i)); i++)
			who.groups[who.n_groups++] = org;
		who.groups[who.n_groups++] = "system:authenticated";
	} else {
		who.groups[who.n_groups++] = "system:unauthenticated";
	}
	return identity_copy(ret, &who);
}

bool identity_in_group(const struct identity *who, const char *group)
{
	for (size_t i = 0; i < who->n_groups; i++)
		if (streq(who->groups[i], group))
			return true;
	return false;
}
